"""Two rungs on the same cases: by how much they differ, between which bounds, and how surprising that would be.

The interval is a paired bootstrap: cases are drawn again, each with what both rungs made of it. Drawn cases differ only
in how often each pair of outcomes comes, so a draw is one multinomial over the pairs that there are, and ten thousand
of them take milliseconds. The p-value is that of swapping the two rungs case by case at random: if it did not matter
which of them answered, a difference like this one would come so often.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memtune.errors import UsageError
from memtune.evaluate.ladder import Judged, Ladder
from memtune.evaluate.output import Sheet
from memtune.evaluate.scores import Score
from memtune.evaluate.stats import points, probability

Array = NDArray[np.float64]

RESAMPLES = 10_000
FEWEST = 6
"""Cases below which no difference could be shown: that all of five go one way happens by chance one time in 16."""
_CELLS = 4_000_000
"""Numbers held at once while resampling."""
_TIE = 1e-12

MEASURES: dict[str, Callable[[Score], tuple[float, float]]] = {
    "exact": lambda s: (s.exact, 1.0),
    "normalised": lambda s: (s.normalised, 1.0),
    "f1": lambda s: (s.f1, 1.0),
    "hallucinated": lambda s: (s.wrong, s.given),
    "fired": lambda s: (s.fired, s.routed),
}
"""What a case adds to a figure, and to what the figure is divided by."""


@dataclass(frozen=True)
class Difference:
    """The first figure minus the second, with a 95 % interval and a two-sided p-value."""

    value: float
    low: float
    high: float
    p: float
    n: int


@dataclass(frozen=True)
class Comparison:
    """One rung against the one that the ladder is about; above zero the latter has more."""

    form: str
    rung: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    n: int = 0


def paired(first: Sequence[tuple[float, float]], second: Sequence[tuple[float, float]], seed: int = 0) -> Difference:
    """Two figures over the same cases; each case adds (part, whole), and a figure is all parts over all wholes."""
    if len(first) != len(second) or not first:
        raise UsageError("a paired comparison needs the same cases on both sides, and at least one")
    cases = np.concatenate([np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)], axis=1)
    pairs, counts = np.unique(cases, axis=0, return_counts=True)
    value = float(_difference(counts @ pairs))
    drawing, swapping = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    low, high = _interval(pairs, counts, value, drawing)
    return Difference(value, low, high, _p(pairs, counts, value, swapping), len(first))


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's correction: the chance that any of the family is called a difference by mistake stays as said."""
    order = sorted(range(len(ps)), key=ps.__getitem__)
    corrected, highest = [0.0] * len(ps), 0.0
    for done, place in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - done) * ps[place]))
        corrected[place] = highest
    return corrected


def compare_all(
    ladder: Ladder, against: str = "memory", measure: str = "exact", seed: int = 0, forms: Collection[str] | None = None
) -> list[Comparison]:
    """`against` beside every other rung on every form that both were asked often enough for a difference to show, or on
    these forms alone; all of them are one family for Holm."""
    if against not in ladder.judged:
        raise UsageError(f"no rung '{against}' to compare with", hint=f"there is: {', '.join(ladder.judged)}")
    if measure not in MEASURES:
        raise UsageError(f"no measure '{measure}'", hint=f"there is: {', '.join(MEASURES)}")
    wanted = [form for form in ladder.forms if forms is None or form in forms]
    named = [(form, rung) for form in wanted for rung in ladder.judged if rung != against]
    asked = [(form, rung) for form, rung in named if min(len(ladder.of(r, form)) for r in (against, rung)) >= FEWEST]
    found = [_compare(ladder, against, rung, form, measure, seed) for form, rung in asked]
    corrected = holm([difference.p for difference in found])
    return [
        Comparison(form, rung, d.value, d.low, d.high, d.p, p_holm, d.n)
        for (form, rung), d, p_holm in zip(asked, found, corrected, strict=True)
    ]


def sheet(comparisons: Sequence[Comparison], against: str = "memory", measure: str = "exact") -> Sheet:
    rows = [
        [c.form, c.rung, f"{c.n:,}", f"{points(c.difference)} [{points(c.low)}, {points(c.high)}]",
         probability(c.p), probability(c.p_holm)]
        for c in comparisons
    ]  # fmt: skip
    note = (
        f"Points of a hundred by which {against} has more ({measure}), on the same cases; paired bootstrap, "
        f"{RESAMPLES:,} resamples; p by swapping the two case by case, and after Holm's correction for "
        f"{len(comparisons)} comparisons."
    )
    return Sheet(f"{against} beside the others", ["form", "rung", "n", "difference", "p", "p (Holm)"], rows, note)


def _compare(ladder: Ladder, against: str, rung: str, form: str, measure: str, seed: int) -> Difference:
    ours, theirs = _by_case(ladder.of(against, form)), _by_case(ladder.of(rung, form))
    if ours.keys() != theirs.keys():
        raise UsageError(f"'{against}' and '{rung}' were not asked the same cases of '{form}'")
    counted = MEASURES[measure]
    return paired([counted(ours[key]) for key in ours], [counted(theirs[key]) for key in ours], seed)


def _by_case(judged: Sequence[Judged]) -> dict[tuple[str, int], Score]:
    """A case may be asked more than once; its first time is one pair, its second another."""
    seen: dict[str, int] = {}
    found = {}
    for j in judged:
        seen[j.case.id] = seen.get(j.case.id, 0) + 1
        found[j.case.id, seen[j.case.id]] = j.score
    return found


def _difference(sums: Array) -> Array:
    """Of figures whose parts and wholes are in the last axis; not a number where nothing was counted."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = sums[..., 0] / sums[..., 1] - sums[..., 2] / sums[..., 3]
    return found


def _interval(pairs: Array, counts: NDArray[np.int64], value: float, rng: np.random.Generator) -> tuple[float, float]:
    """Percentiles of redrawn differences.

    Half a case is added at each of the four ends (both all right, neither, one, the other), as Agresti and Min do for
    paired rates: where all cases agree, a plain bootstrap would claim to be certain.
    """
    ends = np.array([[a, 1.0, b, 1.0] for a in (0.0, 1.0) for b in (0.0, 1.0)])
    pool = np.concatenate([pairs, ends])
    shares = np.concatenate([counts, np.full(4, 0.5)])
    shares /= shares.sum()
    n = int(counts.sum())
    draws = [_difference(rng.multinomial(n, shares, size=size) @ pool) for size in _sizes(len(pool))]
    low, high = np.nanquantile(np.concatenate(draws), [0.025, 0.975])
    return min(float(low), value), max(float(high), value)


def _p(pairs: Array, counts: NDArray[np.int64], value: float, rng: np.random.Generator) -> float:
    if np.isnan(value):
        return 1.0
    other = pairs[:, [2, 3, 0, 1]]
    asked = counts @ pairs
    as_far = 0
    for size in _sizes(len(pairs)):
        swapped = rng.binomial(counts, 0.5, size=(size, len(pairs)))
        differences = _difference(asked + swapped @ (other - pairs))
        as_far += int(np.count_nonzero(~(np.abs(differences) < abs(value) - _TIE)))
    return (1 + as_far) / (1 + RESAMPLES)


def _sizes(columns: int) -> Iterator[int]:
    """How many resamples at a time, so that they fit into memory."""
    each = max(1, _CELLS // columns)
    for start in range(0, RESAMPLES, each):
        yield min(each, RESAMPLES - start)
