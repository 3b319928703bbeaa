"""Choosing among ways to ask, by what each reaches on the tuning split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from memtune.evaluate.cases import Case, Said
from memtune.evaluate.scores import score
from memtune.evaluate.use.right import right

T = TypeVar("T")
_ENOUGH = 32


def sample(tuning: Sequence[Case]) -> Sequence[Case]:
    """So many cases of the tuning split as tell good ways from bad ones: each way is decoded on all of them."""
    return tuning[:_ENOUGH]


@dataclass(frozen=True, order=True)
class Reached:
    """More right answers are better, and among equals more words that are right."""

    right: int
    f1: float
    n: int = field(compare=False)

    def __str__(self) -> str:
        """As the end of a description."""
        return (
            f"; on the tuning split {self.right} of {self.n} right, F1 {100 * self.f1:.1f}" if self.n else "; untuned"
        )


def reached(cases: Sequence[Case], said: Sequence[Said]) -> Reached:
    found = [score(c, s) for c, s in zip(cases, said, strict=True)]
    hits = [
        right(c, s.text) if "judge" in c.extra else judged.normalised
        for c, s, judged in zip(cases, said, found, strict=True)
    ]
    return Reached(sum(hits), sum(s.f1 for s in found) / max(len(found), 1), len(found))


def best(tried: Mapping[T, Reached]) -> tuple[T, Reached]:
    """The first of the best."""
    return max(tried.items(), key=lambda item: item[1])
