"""A small canvas of SVG, 344 units wide: text is readable on a phone, where that is about the width of the screen.

Colours and fonts are those of the page: shapes carry classes, and style.css says what they look like on a light screen,
on a dark one and on paper.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from memtune.evaluate.card.markup import Markup, joined, tag

WIDTH = 344.0


@dataclass
class Canvas:
    name: str
    """Unlike that of any other picture on the page."""
    title: str
    about: str
    """The same in words, for those who cannot see it."""
    height: float
    shapes: list[Markup] = field(default_factory=list)

    def line(self, x1: float, y1: float, x2: float, y2: float, class_: str = "axis") -> None:
        self.shapes.append(tag("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=class_))

    def rect(self, x: float, y: float, width: float, height: float, class_: str) -> None:
        self.shapes.append(
            tag("rect", x=float(x), y=float(y), width=float(max(width, 0)), height=float(height), class_=class_)
        )

    def circle(self, x: float, y: float, r: float, class_: str) -> None:
        self.shapes.append(tag("circle", cx=float(x), cy=float(y), r=float(r), class_=class_))

    def text(self, x: float, y: float, said: str, class_: str = "", *, whole: str = "") -> None:
        """`whole`: what it is short for."""
        inner = (tag("title", whole), said) if whole else (said,)
        self.shapes.append(tag("text", *inner, x=float(x), y=float(y), class_=class_ or None))

    def path(self, steps: str, class_: str) -> None:
        self.shapes.append(tag("path", d=steps, class_=class_))

    def curve(self, places: list[tuple[float, float]], class_: str) -> None:
        self.path("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places), class_)

    def whiskers(self, low: float, high: float, y: float) -> None:
        """An interval that lies: from low to high, with its ends."""
        self.path(f"M{low:.1f} {y - 3:.1f}v6m0 -3H{high:.1f}m0 -3v6", "whisker")

    def upright(self, x: float, low: float, high: float) -> None:
        """An interval that stands."""
        self.path(f"M{x - 3:.1f} {low:.1f}h6m-3 0V{high:.1f}m-3 0h6", "whisker")

    def drawn(self) -> Markup:
        ids = f"{self.name}-title", f"{self.name}-about"
        inner = joined(tag("title", self.title, id=ids[0]), tag("desc", self.about, id=ids[1]), *self.shapes)
        box = f"0 0 {WIDTH:g} {self.height:g}"
        return tag("svg", inner, viewBox=box, role="img", aria_labelledby=" ".join(ids))


def shortened(text: str, most: int) -> str:
    """On one line, and not longer than that."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"
