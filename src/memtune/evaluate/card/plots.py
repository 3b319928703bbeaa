"""The pictures of the card. Each returns a picture, or None where there is nothing to draw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from memtune.evaluate.card.card import CONTROLS, ByFact, Card, FactsMap
from memtune.evaluate.card.drawing import WIDTH, Canvas, shortened
from memtune.evaluate.card.facts import Group, binned
from memtune.evaluate.card.markup import Markup
from memtune.evaluate.ladder import Ladder
from memtune.evaluate.paired import Comparison
from memtune.evaluate.stats import Rate, figure, percent, points
from memtune.router.curves import Curve, errors_top

MOST_POINTS = 4000
COLOURS = 7
"""Groups of the map that have a colour of their own."""
_BAR = (90.0, 204.0)
_ROW = 25.0


def ladder_bars(ladder: Ladder, form: str, against: str, name: str) -> Markup | None:
    """A bar for each rung: exact matches of one form."""
    found = [(rung, ladder.figures(rung, form).exact) for rung in ladder.judged]
    asked = [(rung, rate) for rung, rate in found if rate.n]
    if not asked:
        return None
    said = "; ".join(f"{rung} {rate}" for rung, rate in asked)
    canvas = Canvas(name, f"Exact answers, {form}", said, _ROW * len(asked) + 32)
    _share_axis(canvas, _BAR, 8, _ROW * len(asked) + 10)
    for place, (rung, rate) in enumerate(asked):
        y = 20.0 + _ROW * place
        canvas.text(_BAR[0] - 8, y + 4, shortened(rung, 13), "end strong" if rung == against else "end", whole=rung)
        _bar(canvas, rate, y, _kind(rung, against))
    return canvas.drawn()


def group_bars(found: Sequence[Group], name: str) -> Markup | None:
    """Their names stand above the bars, for names are long."""
    if not found:
        return None
    each = 33.0
    said = "; ".join(f"{g.name} {g.recalled}" for g in found)
    canvas = Canvas(name, "Exact recall by group, worst first", said, each * len(found) + 32)
    bar = (2.0, 204.0)
    _share_axis(canvas, bar, 8, each * len(found) + 10, first=False)
    for place, group in enumerate(found):
        y = 18.0 + each * place
        canvas.text(bar[0], y + 3, shortened(group.name, 40), "halo", whole=group.name)
        canvas.text(WIDTH - 4, y + 3, f"n = {group.recalled.n:,}", "end soft")
        _bar(canvas, group.recalled, y + 15, "subject", bar)
    return canvas.drawn()


def _kind(rung: str, against: str) -> str:
    return "subject" if rung == against else "control" if rung in CONTROLS else "other"


def _bar(canvas: Canvas, rate: Rate, y: float, kind: str, bar: tuple[float, float] = _BAR) -> None:
    low, high = rate.interval or (0.0, 0.0)
    canvas.rect(bar[0], y - 6, _along(rate.value or 0.0, bar) - bar[0], 12, kind)
    canvas.whiskers(_along(low, bar), _along(high, bar), y)
    canvas.text(WIDTH - 4, y + 4, _with_bounds(rate), "end small")


def _with_bounds(rate: Rate) -> str:
    low, high = rate.interval or (0.0, 0.0)
    return f"{percent(rate.value or 0.0)} % [{percent(low)}, {percent(high)}]"


def _along(share: float, bar: tuple[float, float]) -> float:
    return bar[0] + share * (bar[1] - bar[0])


def _share_axis(canvas: Canvas, bar: tuple[float, float], top: float, bottom: float, *, first: bool = True) -> None:
    for share in (0.0, 0.25, 0.5, 0.75, 1.0)[not first :]:
        x = _along(share, bar)
        canvas.line(x, top, x, bottom, "grid" if share else "axis")
    for share in (0.0, 0.5, 1.0):
        anchor = "middle " if share or first else ""
        canvas.text(_along(share, bar), bottom + 14, f"{100 * share:.0f} %", f"{anchor}soft small")


def forest(comparisons: Sequence[Comparison], name: str) -> Markup | None:
    """Differences of one form about zero."""
    if not comparisons:
        return None
    said = "; ".join(f"{c.rung} {points(c.difference)} [{points(c.low)}, {points(c.high)}]" for c in comparisons)
    canvas = Canvas(name, f"Differences, {comparisons[0].form}", said, _ROW * len(comparisons) + 32)
    reach = max([0.05, *(abs(end) for c in comparisons for end in (c.low, c.high) if end == end)])
    middle, half = sum(_BAR) / 2, (_BAR[1] - _BAR[0]) / 2
    bottom = _ROW * len(comparisons) + 10
    for share in (-reach, 0.0, reach):
        canvas.line(
            middle + share / reach * half, 8, middle + share / reach * half, bottom, "grid" if share else "axis"
        )
        canvas.text(middle + share / reach * half, bottom + 14, points(share), "middle soft small")
    for place, c in enumerate(comparisons):
        y = 20 + _ROW * place
        canvas.text(_BAR[0] - 8, y + 4, shortened(c.rung, 13), "end", whole=c.rung)
        if c.difference == c.difference:
            canvas.whiskers(middle + c.low / reach * half, middle + c.high / reach * half, y)
            canvas.circle(middle + c.difference / reach * half, y, 4, "subject" if c.p_holm < 0.05 else "undecided")
        interval = f"{points(c.difference)} [{points(c.low)}, {points(c.high)}]"
        canvas.text(WIDTH - 4, y + 4, interval, "end small")
    return canvas.drawn()


# ---- the router's threshold -----------------------------------------------------------------------------------------


_PLANE = (46.0, 334.0)
_UPPER, _LOWER = (26.0, 126.0), (166.0, 246.0)


def threshold_curve(card: Card, name: str) -> Markup | None:
    """What is right above, what is wrong below on a larger scale, by threshold."""
    if card.router is None:
        return None
    right, wrong, fired = card.router.curves()
    if not len(right.shares):
        return None
    at, top = card.router.threshold, errors_top((wrong, fired))
    said = ", ".join(f"{curve.name} {percent(curve.at(at))} %" for curve in (right, wrong, fired))
    canvas = Canvas(name, "What each threshold would do", f"At the threshold of {at:.3f}: {said}.", 284)
    _panel(canvas, _UPPER, 1.0, "other wordings, answered rightly")
    _panel(canvas, _LOWER, top, "answered wrongly (a larger scale)")
    _share_curve(canvas, right, _UPPER, 1.0, "curve first")
    _share_curve(canvas, wrong, _LOWER, top, "curve second")
    _share_curve(canvas, fired, _LOWER, top, "curve third dashed")
    x = _across(at)
    for panel in (_UPPER, _LOWER):
        canvas.line(x, panel[0] - 4, x, panel[1], "mark")
    canvas.text(x + (5 if at < 0.5 else -5), _UPPER[1] - 8, f"{at:.3f}", ("" if at < 0.5 else "end ") + "strong halo")
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        canvas.text(_across(share), _LOWER[1] + 15, f"{share:g}", "middle soft small")
    canvas.text(sum(_PLANE) / 2, _LOWER[1] + 32, "threshold", "middle soft small")
    return canvas.drawn()


def _across(threshold: float) -> float:
    return _PLANE[0] + threshold * (_PLANE[1] - _PLANE[0])


def _panel(canvas: Canvas, panel: tuple[float, float], top: float, about: str) -> None:
    canvas.text(_PLANE[0], panel[0] - 9, about, "soft small")
    for step in range(0, 5, 2):
        y = panel[1] - step / 4 * (panel[1] - panel[0])
        canvas.line(_PLANE[0], y, _PLANE[1], y, "grid" if step else "axis")
        canvas.text(_PLANE[0] - 5, y + 4, f"{100 * top * step / 4:.3g} %", "end soft small")


def _share_curve(canvas: Canvas, curve: Curve, panel: tuple[float, float], top: float, class_: str) -> None:
    """Only within its panel: far below every sensible threshold more is wrong than its scale has room for."""
    part: list[tuple[float, float]] = []
    for at, share in [*zip(curve.thresholds.tolist(), curve.shares.tolist(), strict=True), (1.0, np.inf)]:
        if share <= top:
            part.append((_across(at), panel[1] - share / top * (panel[1] - panel[0])))
        elif part:
            canvas.curve(part, class_)
            part = []


# ---- fact by fact ---------------------------------------------------------------------------------------------------


def recall_by_value(found: ByFact, recalled: Mapping[str, bool], name: str) -> Markup | None:
    """Facts in bins of about the same size by their number; each wrong one is a tick at the foot."""
    known = [(value, recalled[fact]) for fact, value in found.values if fact in recalled and np.isfinite(value)]
    bins = binned(known)
    if not bins:
        return None
    said = "; ".join(f"{_short(low)} to {_short(high)}: {rate}" for low, high, rate in bins)
    canvas = Canvas(name, f"Exact recall by {found.name}", said, 214)
    plane, panel = (46.0, 334.0), (20.0, 150.0)
    canvas.text(plane[0], 10, "recalled exactly", "soft small")
    for share in (0.0, 0.5, 1.0):
        y = panel[1] - share * (panel[1] - panel[0])
        canvas.line(plane[0], y, plane[1], y, "grid" if share else "axis")
        canvas.text(plane[0] - 5, y + 4, f"{100 * share:.0f} %", "end soft small")
    least, most = bins[0][0], bins[-1][1]
    wide = (most - least) or 1.0
    for low, high, rate in bins:
        left, right = (plane[0] + (end - least) / wide * (plane[1] - plane[0]) for end in (low, high))
        _bin(canvas, left, right, rate, panel)
    ticks = sorted(
        {round(plane[0] + (value - least) / wide * (plane[1] - plane[0])) for value, hit in known if not hit}
    )
    canvas.path("".join(f"M{x} {panel[1] + 6:g}v9" for x in ticks) or "M0 0", "rug")
    for class_, x, value in (("", plane[0], least), ("end ", plane[1], most)):
        canvas.text(x, panel[1] + 32, _short(value), f"{class_}soft small")
    canvas.text(sum(plane) / 2, panel[1] + 50, found.name, "middle soft small")
    return canvas.drawn()


def _short(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else figure(value)


def _bin(canvas: Canvas, left: float, right: float, rate: Rate, panel: tuple[float, float]) -> None:
    low, high = rate.interval or (0.0, 0.0)
    y, y_low, y_high = (panel[1] - share * (panel[1] - panel[0]) for share in (rate.value or 0.0, low, high))
    middle = (left + right) / 2
    canvas.line(left, y, right, y, "span")
    canvas.upright(middle, y_low, y_high)
    canvas.circle(middle, y, 3.5, "subject")


def colours_of(found: FactsMap) -> list[str]:
    """The groups that have a colour, largest first: none where all are alike."""
    counted = Counter(group for group in found.groups if group)
    return [group for group, _ in counted.most_common(COLOURS)] if len(counted) > 1 else []


def facts_map(found: FactsMap, recalled: Mapping[str, bool], name: str, seed: int = 0) -> Markup | None:
    """Dots for facts that were recalled or not asked for, crosses for those that were not recalled."""
    places = np.asarray(found.points, dtype=np.float64).reshape(len(found.ids), 2)
    if not len(places):
        return None
    side, margin = 320.0, (WIDTH - 320.0) / 2
    low, wide = places.min(axis=0), float(np.ptp(places, axis=0).max()) or 1.0
    room = (wide - np.ptp(places, axis=0)) / 2
    x, y = (margin + 8 + (places - low + room) / wide * (side - 16)).T
    named = colours_of(found)
    groups = list(found.groups) or [None] * len(found.ids)
    canvas = Canvas(name, "Facts map", _map_in_words(found, recalled), side + 24)
    canvas.rect(margin, margin, side, side, "frame")
    dot = "dot few" if len(places) < 600 else "dot"
    dots: dict[str, list[str]] = {}
    for i in _drawn(found, recalled, seed):
        colour = f"c{named.index(groups[i] or '')}" if groups[i] in named else "c-other" if named else "c0"
        missed = recalled.get(found.ids[i]) is False
        steps = f"M{x[i] - 3:.1f} {y[i] - 3:.1f}l6 6m0 -6l-6 6" if missed else f"M{x[i]:.1f} {y[i]:.1f}h0"
        dots.setdefault(f"{'missed' if missed else dot} {colour}", []).append(steps)
    for class_ in sorted(dots):  # "dot" before "missed": crosses lie on top
        canvas.path("".join(dots[class_]), class_)
    return canvas.drawn()


def _drawn(found: FactsMap, recalled: Mapping[str, bool], seed: int) -> list[int]:
    """All that were missed, and as many others as a picture can show."""
    missed = [i for i, fact in enumerate(found.ids) if recalled.get(fact) is False][:MOST_POINTS]
    taken = set(missed)
    others = [i for i in range(len(found.ids)) if i not in taken]
    rest = max(0, MOST_POINTS - len(missed))
    if len(others) > rest:
        others = np.sort(np.random.default_rng(seed).choice(others, rest, replace=False)).tolist()
    return others + missed


def _map_in_words(found: FactsMap, recalled: Mapping[str, bool]) -> str:
    missed = sum(recalled.get(fact) is False for fact in found.ids)
    asked = sum(fact in recalled for fact in found.ids)
    return f"{len(found.ids):,} facts in two dimensions; {asked:,} were asked for, {missed:,} of them not recalled."
