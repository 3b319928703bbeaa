"""Figures that say how sure they are: rates with an interval, times with their spread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

_Z = 1.959964
"""Of the standard normal: intervals hold 95 %."""


@dataclass(frozen=True)
class Rate:
    """Hits among n, with Wilson's interval, which stays honest near 0 and 1."""

    hits: int
    n: int

    @classmethod
    def of(cls, outcomes: Iterable[bool]) -> Rate:
        seen = list(outcomes)
        return cls(sum(seen), len(seen))

    @property
    def value(self) -> float | None:
        return self.hits / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        if not self.n:
            return None
        share, z2 = self.hits / self.n, _Z * _Z / self.n
        middle = (share + z2 / 2) / (1 + z2)
        half = _Z / (1 + z2) * math.sqrt(share * (1 - share) / self.n + z2 / (4 * self.n))
        return max(0.0, middle - half), min(1.0, middle + half)

    def to_json(self) -> dict[str, object]:
        return {"hits": self.hits, "n": self.n, "rate": self.value, "interval95": self.interval}

    def __str__(self) -> str:
        if self.interval is None:
            return "none asked"
        return f"{self.brief} of {self.n:,}"

    @property
    def brief(self) -> str:
        """Without n, for tables that have a column for it."""
        if self.interval is None:
            return "none asked"
        low, high = self.interval
        return f"{percent(self.hits / self.n)} % [{percent(low)}, {percent(high)}]"


@dataclass(frozen=True)
class Spread:
    """The median of several runs, and how far apart they lie."""

    median: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        seen = sorted(values)
        return cls(statistics.median(seen), seen[0], seen[-1], len(seen))

    def __str__(self) -> str:
        if self.runs == 1:
            return figure(self.median)
        return f"{figure(self.median)} ({figure(self.low)}–{figure(self.high)})"


def percent(share: float) -> str:
    """One digit behind the point, two where all but a few hit."""
    return f"{100 * share:.2f}" if 0.99 <= share < 0.99995 else f"{100 * share:.1f}"


def figure(value: float) -> str:
    """Three digits that count, without powers of ten."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"
