"""`memtune eval`: from a memory to a ladder."""

from __future__ import annotations

from collections.abc import Sequence

from memtune.evaluate.gather import recall_cases, split
from memtune.evaluate.ladder import Ladder, climb
from memtune.evaluate.output import Say, silent
from memtune.evaluate.rungs import named
from memtune.evaluate.workbench import Workbench
from memtune.model import MemoryModel


def evaluate(
    model: MemoryModel, rungs: Sequence[str], *, max_n: int | None = None, seed: int = 0, say: Say = silent
) -> Ladder:
    """Every rung on what the memory learned."""
    names = named(rungs)
    facts = list(model.facts())
    asked, tuning = split(facts, max_n, seed)
    bench = Workbench(model, facts, recall_cases(tuning), seed)
    return climb(bench, recall_cases(asked), names, say)
