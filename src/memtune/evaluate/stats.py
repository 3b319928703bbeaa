"""Figures that say how sure they are: rates with an interval, times with their spread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

_Z = 1.959964
"""Of the standard normal: intervals hold 95 %."""
_RESAMPLES = 2000


@dataclass(frozen=True)
class Rate:
    """Hits among n, with Wilson's interval, which stays honest near 0 and 1."""

    hits: int
    n: int

    @classmethod
    def of(cls, outcomes: Iterable[bool | None]) -> Rate:
        """None among the outcomes: it can be neither, and does not count."""
        seen = [outcome for outcome in outcomes if outcome is not None]
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


@dataclass(frozen=True)
class Mean:
    """Of shares between 0 and 1, with a bootstrap interval."""

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Iterable[float], seed: int = 0) -> Mean | None:
        """None where there is nothing to take the mean of.

        Half a value is added at 0 and half at 1, so that many equal values do not pass for certainty.
        """
        seen = np.fromiter(values, dtype=np.float64)
        if not len(seen):
            return None
        levels, counts = np.unique(np.concatenate([seen, [0.0, 1.0]]), return_counts=True)
        weights = counts - 0.5 * ((levels == 0) | (levels == 1))
        rng = np.random.default_rng(seed)
        draws = rng.multinomial(len(seen), weights / weights.sum(), size=_RESAMPLES) @ levels / len(seen)
        value, (low, high) = float(seen.mean()), np.quantile(draws, [0.025, 0.975]).tolist()
        return cls(value, min(low, value), max(high, value), len(seen))

    @property
    def brief(self) -> str:
        return f"{percent(self.value)} % [{percent(self.low)}, {percent(self.high)}]"

    def __str__(self) -> str:
        return f"{self.brief} of {self.n:,}"


def percent(share: float) -> str:
    """One digit behind the point, two where all but a few hit."""
    return f"{100 * share:.2f}" if 0.99 <= share < 0.99995 else f"{100 * share:.1f}"


def figure(value: float) -> str:
    """Three digits that count, without powers of ten."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def points(difference: float) -> str:
    """A difference of two shares in points of a hundred, with its sign."""
    if math.isnan(difference):
        return "none asked"
    return f"{100 * difference:+.1f}".replace("-", "\u2212") if abs(difference) >= 0.0005 else "0.0"


def probability(p: float) -> str:
    """Four digits at most: resampling cannot tell smaller ones apart."""
    if p < 0.00015:
        return "< 0.0002"
    return f"{p:.4f}" if p < 0.01 else f"{p:.2f}" if p >= 0.095 else f"{p:.3f}"
