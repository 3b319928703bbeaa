"""Whether a bulk commit may be served: thresholds of the memory against what was measured."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from memtune.config import AdmissionConfig
from memtune.core.facts import Fact

if TYPE_CHECKING:
    from memtune.memory import Memory


@dataclass(frozen=True)
class Measured:
    """Shares between 0 and 1; None for what was not measured."""

    recall: float | None = None
    near_miss: float | None = None
    ability: float | None = None
    sample: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Measure(Protocol):
    """How a memory is measured before what it has just learned is served."""

    def __call__(self, memory: Memory, learned: Sequence[Fact], required: AdmissionConfig) -> Measured: ...


def measure_recall(memory: Memory, learned: Sequence[Fact], required: AdmissionConfig) -> Measured:
    """The measure that needs nothing but the memory: a sample of what was learned, asked as a user would ask."""
    sample = random.Random(0).sample(list(learned), min(len(learned), required.sample))
    if not sample:
        return Measured(recall=1.0)
    return Measured(recall=1 - len(memory.not_recalled(sample)) / len(sample), sample=len(sample))


def shortcomings(required: AdmissionConfig, found: Measured) -> list[str]:
    """Why it may not be served, each in a few words; a threshold that nobody measured is one of them."""
    rules = [
        ("recall", found.recall, required.recall > 0, required.recall, 1),
        ("near-miss firing", found.near_miss, required.near_miss < 1, required.near_miss, -1),
        ("general ability", found.ability, required.ability > 0, required.ability, 1),
    ]
    short = []
    for name, value, asked, limit, sign in rules:
        if not asked:
            continue
        if value is None:
            short.append(f"{name} was not measured")
        elif sign * value < sign * limit:
            short.append(f"{name} is {value:.3f}, {'at least' if sign > 0 else 'at most'} {limit:g} is asked for")
    return short
