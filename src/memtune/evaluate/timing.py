"""How long it takes until the first token of a reply, one question alone."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from memtune.evaluate.cases import Case
from memtune.evaluate.rungs import Rung
from memtune.evaluate.stats import Spread
from memtune.evaluate.workbench import Workbench

_SAMPLE = 16


def time_to_first_token(bench: Workbench, rung: Rung, cases: Sequence[Case], n: int = _SAMPLE) -> Spread | None:
    """Seconds from the question to the first token, retrieval and routing included; None where nothing is asked.

    Replies of one token, one question after the other; the first one is asked once before, and not timed. A rung that
    prints a stored string is done when another would say its first token.
    """
    drawn = random.Random(f"first token {bench.seed}").sample(list(cases), min(n, len(cases)))
    if not drawn:
        return None
    with bench.replies_of(1):
        rung.answer(drawn[:1])
        return Spread.of(_seconds(rung, case) for case in drawn)


def _seconds(rung: Rung, case: Case) -> float:
    begin = time.perf_counter()
    rung.answer([case])
    return time.perf_counter() - begin
