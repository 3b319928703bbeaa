"""A lookup table: the memory's own router, and the stored string printed. No model decodes anything."""

from __future__ import annotations

import time
from collections.abc import Sequence

from memtune.evaluate.cases import Case, Said
from memtune.evaluate.workbench import Workbench


class Lookup:
    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._serving = bench.model.memory.serving()

    def answer(self, cases: Sequence[Case]) -> list[Said]:
        return [self._one(case) for case in cases]

    def _one(self, case: Case) -> Said:
        begin = time.perf_counter()
        confirmed = [p for p in self._serving.route(case.question).confirmed if self._serving.in_force(p.owner)]
        found = [self._serving.describe(p.owner)[0] for p in confirmed if p.recite]
        ids = [fact for fact in dict.fromkeys(found) if fact in self._bench.by_id]
        text = " ".join(self._bench.by_id[fact].answer for fact in ids)
        return Said(text, not ids, tuple(ids), bool(ids), seconds=time.perf_counter() - begin)

    def describe(self) -> str:
        return "the same router, the stored string printed (online retrieval); what it reaches is not knowledge"
