"""Curves over the threshold as an SVG picture: what is right above, what is wrong below, on a scale of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT, _LEFT, _RIGHT = 760, 520, 70, 730
_UPPER, _LOWER = (92, 272), (330, 460)
"""From where to where each panel reaches."""
_GREEN, _RED, _ORANGE, _INK, _SOFT, _GRID = "#1b7f4d", "#c2342b", "#d07a00", "#222", "#666", "#e4e4e4"
_ROUND = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_INTERESTING = 0.5
"""The scale of what is wrong is chosen for thresholds from here on; below, curves may leave the panel."""


@dataclass(frozen=True)
class Curve:
    name: str
    thresholds: NDArray[np.float64]
    shares: NDArray[np.float64]

    def at(self, threshold: float) -> float:
        """Between two thresholds that were measured: between their shares."""
        return float(np.interp(threshold, self.thresholds, self.shares)) if len(self.shares) else 0.0


@dataclass(frozen=True)
class Marks:
    """What is marked beside the curves."""

    threshold: float
    how: str
    """How it was set."""
    rate: float
    """Of near misses that were allowed to fire."""
    about: str


def errors_top(curves: Sequence[Curve]) -> float:
    """A round share that the curves of what is wrong stay below where thresholds may be."""
    most = max(float(c.shares[c.thresholds >= _INTERESTING].max(initial=0.0)) for c in curves)
    return next((top for top in _ROUND if most <= top), 1.0)


def svg(right: Curve, errors: Sequence[Curve], marks: Marks) -> str:
    top = errors_top(errors)
    parts = [
        _text(_LEFT, 34, "What each threshold would do", size=19, bold=True),
        _text(_LEFT, 56, marks.about, colour=_SOFT, size=12),
        *_panel(_UPPER, 1.0, "wordings that were not learned"),
        *_panel(_LOWER, top, "answered wrongly (a larger scale)"),
        *_rate(marks.rate, top),
        _curve(right, _UPPER, 1.0, _GREEN),
        *(_curve(c, _LOWER, top, colour) for c, colour in zip(errors, (_RED, _ORANGE), strict=False)),
        *_chosen(marks),
        *_legend([right], _UPPER, marks.threshold, (_GREEN,)),
        *_legend(errors, _LOWER, marks.threshold, (_RED, _ORANGE)),
        *_ticks_below(),
    ]
    frame = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" font-size="13"'
    font = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif"
    clip = f'<clipPath id="lower"><rect x="{_LEFT}" y="{_LOWER[0]}" width="{_RIGHT - _LEFT}" height="200"/></clipPath>'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {frame} font-family="{font}">',
            f"<title>What each threshold of the router would do</title><defs>{clip}</defs>",
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
            *parts,
            "</svg>",
        ]
    )


def _x(threshold: float) -> float:
    return _LEFT + threshold * (_RIGHT - _LEFT)


def _y(share: float, panel: tuple[int, int], top: float) -> float:
    return panel[1] - share / top * (panel[1] - panel[0])


def _panel(panel: tuple[int, int], top: float, about: str) -> list[str]:
    """Its name, its lines and what they stand for."""
    parts = [_text(_LEFT, panel[0] - 12, about, colour=_SOFT, size=12)]
    for step in range(5):
        share = top * step / 4
        y = _y(share, panel, top)
        parts.append(_line(_LEFT, y, _RIGHT, y, _SOFT if step == 0 else _GRID))
        parts.append(_text(_LEFT - 8, y + 4, f"{100 * share:.3g} %", anchor="end", colour=_SOFT, size=12))
    return parts


def _ticks_below() -> list[str]:
    bottom = _LOWER[1]
    marks = [_line(_x(t / 10), bottom, _x(t / 10), bottom + 5, _SOFT) for t in range(11)]
    said = [_text(_x(t / 10), bottom + 21, f"{t / 10:.1f}", anchor="middle", colour=_SOFT, size=12) for t in range(11)]
    return [*marks, *said, _text((_LEFT + _RIGHT) / 2, bottom + 45, "threshold", anchor="middle")]


def _curve(curve: Curve, panel: tuple[int, int], top: float, colour: str) -> str:
    pairs = zip(curve.thresholds.tolist(), curve.shares.tolist(), strict=True)
    points = " ".join(f"{_x(t):.1f},{_y(share, panel, top):.1f}" for t, share in pairs)
    clip = ' clip-path="url(#lower)"' if panel is _LOWER else ""
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"{clip}/>'


def _rate(rate: float, top: float) -> list[str]:
    """How many near misses were allowed to fire."""
    if not 0 < rate <= top:
        return []
    y = _y(rate, _LOWER, top)
    words = f"asked for: at most {100 * rate:.3g} % of near misses"
    said = _text(_RIGHT - 6, y - 5, words, anchor="end", colour=_ORANGE, size=11)
    return [_line(_LEFT, y, _RIGHT, y, _ORANGE, dashed=True), said]


def _chosen(marks: Marks) -> list[str]:
    """The threshold, through both panels."""
    x = _x(marks.threshold)
    lines = [_line(x, top, x, bottom, _INK, dashed=True) for top, bottom in (_UPPER, _LOWER)]
    side, anchor = (8, "start") if marks.threshold < _INTERESTING else (-8, "end")
    said = f"threshold {marks.threshold:.3f} ({marks.how})"
    return [*lines, _text(x + side, _UPPER[1] - 12, said, anchor=anchor, bold=True)]


def _legend(curves: Sequence[Curve], panel: tuple[int, int], threshold: float, colours: Sequence[str]) -> list[str]:
    """The name of each curve and its share at the threshold, above the panel."""
    parts, x = [], float(_RIGHT)
    for curve, colour in reversed(list(zip(curves, colours, strict=True))):
        said = f"{curve.name} {100 * curve.at(threshold):.3g} %"
        parts.append(_line(x - 18, panel[0] - 16, x, panel[0] - 16, colour, width=3))
        parts.append(_text(x - 24, panel[0] - 12, said, anchor="end", colour=colour, bold=True))
        x -= 8.2 * len(said) + 42
    return parts


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, *, dashed: bool = False, width: float = 1) -> str:
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {place} stroke="{colour}" stroke-width="{width:g}"{dash}/>'


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", colour: str = _INK, size: int = 13, bold: bool = False
) -> str:
    weight = ' font-weight="600"' if bold else ""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-size="{size}" fill="{colour}"{weight}>{escape(text)}</text>'
