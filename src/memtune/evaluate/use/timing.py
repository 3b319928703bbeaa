"""Time to the first token of several ways of answering, side by side."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence

from memtune.evaluate.cases import Case
from memtune.evaluate.rungs import Rung
from memtune.evaluate.workbench import Workbench


def first_tokens(bench: Workbench, rungs: Mapping[str, Rung], cases: Sequence[Case], n: int) -> dict[str, list[float]]:
    """Milliseconds of each rung to the first token of some questions, one alone, retrieval and routing included.

    The rungs take turns at every question, so that what else the machine does falls on all of them alike.
    """
    drawn = random.Random(f"first token {bench.seed}").sample(list(cases), min(n, len(cases)))
    found: dict[str, list[float]] = {name: [] for name in rungs}
    with bench.replies_of(1):
        for rung in rungs.values():
            rung.answer(drawn[:1])
        for case in drawn:
            for name, rung in rungs.items():
                begin = time.perf_counter()
                rung.answer([case])
                found[name].append(1000 * (time.perf_counter() - begin))
    return found
