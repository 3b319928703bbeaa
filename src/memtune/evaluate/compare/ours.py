"""A memory of memtune, by the name of its kind, as a user would have it."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from memtune.checked import replace
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.errors import UnknownFact
from memtune.evaluate.cases import Case, Said
from memtune.evaluate.compare.contender import Setting, Took
from memtune.evaluate.workbench import Workbench
from memtune.model import MemoryModel
from memtune.store.stats import stats


class Ours:
    def __init__(self, setting: Setting, kind: str) -> None:
        self._setting, self.name = setting, kind
        self._room = tempfile.TemporaryDirectory(prefix="memtune-race-")
        config = dataclasses.replace(setting.config, learn=replace(setting.config.learn, kind=kind))
        self.model = MemoryModel(setting.backbone, Path(self._room.name) / "memory", config=config)
        self._failed = 0

    def learn(self, facts: Sequence[Fact]) -> Took:
        begin = time.perf_counter()
        report = self.model.learn(facts)
        self._failed = len(report.failed)
        return Took(time.perf_counter() - begin, "one write, router and commit included")

    def answer(self, cases: Sequence[Case]) -> list[Said]:
        bench = Workbench(self.model, [])
        return bench.ask(cases, lambda case: case.question, memory=True, unknown="base") if cases else []

    def update(self, fact: Fact) -> Took:
        begin = time.perf_counter()
        try:
            self.model.update(fact.id, answer=fact.answer)
        except UnknownFact:
            return Took(time.perf_counter() - begin, "it had not been learned", in_time=False)
        return Took(time.perf_counter() - begin, "written anew and committed")

    def delete(self, fact_id: str) -> Took:
        begin = time.perf_counter()
        try:
            self.model.forget(fact_id)
        except UnknownFact:
            return Took(time.perf_counter() - begin, "it had not been learned")
        return Took(time.perf_counter() - begin, "forgotten by its id and committed")

    def close(self) -> None:
        self.model.close()
        self._room.cleanup()

    @property
    def stored_bytes(self) -> int:
        """Everything that the present version needs: experts, facts and the router's keys."""
        return sum(self._rooms.values())

    @property
    def stored_without_experts(self) -> int:
        """Facts and the router's keys: what a lookup table needs."""
        return sum(size for room, size in self._rooms.items() if room not in self.name.split("+"))

    @property
    def _rooms(self) -> dict[str, int]:
        return {room: size for room, size in stats(self.model.memory.folder).bytes.items() if room != "history"}

    @property
    def exposures(self) -> float:
        return 1.0

    @property
    def about(self) -> str:
        refused = f"; {self._failed} facts could not be learned and are counted as wrong" if self._failed else ""
        return f"a memory of kind {self.name} with its router; questions for no fact go to the backbone{refused}"

    @property
    def reader(self) -> Backbone:
        return self._setting.backbone
