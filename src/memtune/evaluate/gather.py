"""From a memory to cases: what it learned, in learned wordings, drawn by the seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

from memtune.core.facts import Fact
from memtune.evaluate.cases import LEARNED, Case

_TUNING = 64


def recall_cases(facts: Sequence[Fact]) -> list[Case]:
    return [Case(f"recall {f.id}", f.question, (f.answer,), LEARNED, "recall", (f.id,), f.group) for f in facts]


def split(facts: Sequence[Fact], max_n: int | None, seed: int) -> tuple[list[Fact], list[Fact]]:
    """Facts to report on and facts to tune on: no fact is in both."""
    drawn = random.Random(f"evaluate {seed}").sample(list(facts), len(facts))
    tuning = min(_TUNING, len(drawn) // 5)
    return drawn[tuning:][:max_n], drawn[:tuning]
