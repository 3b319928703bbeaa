"""A rung of the ladder as a contender: what answers from stored text rather than from learned weights."""

from __future__ import annotations

import time
from collections.abc import Sequence

from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.evaluate import rungs
from memtune.evaluate.cases import Case, Said
from memtune.evaluate.compare.contender import Setting, Took, text_bytes
from memtune.evaluate.compare.ours import Ours
from memtune.evaluate.gather import tuning_cases
from memtune.evaluate.made import Learned
from memtune.evaluate.workbench import Workbench

_HELD_BY_THE_ROUTER = {"lookup"}
"""Rungs for which writing to the memory is what learning means; the others keep text of their own."""
_READ_AS_THEY_ARE = {"prompt", "oracle"}
"""Rungs that take facts from the workbench when they need them, and have nothing to make anew."""


class OfTheLadder:
    def __init__(self, setting: Setting, name: str) -> None:
        self._setting, self.name = setting, name
        self._memory = Ours(setting, "imprint")
        """The router that rungs may use is a memory's."""
        self._facts: dict[str, Fact] = {}
        self._bench = Workbench(self._memory.model, [], (), setting.seed)
        self._rung: rungs.Rung | None = None

    def learn(self, facts: Sequence[Fact]) -> Took:
        self._facts = {fact.id: fact for fact in facts}
        tuning = [fact for fact in self._setting.tuning if fact.id in self._facts]
        seed = self._setting.seed
        self._bench = Workbench(self._memory.model, facts, tuning_cases(tuning, Learned(facts), seed), seed)
        writing = self._memory.learn(facts).seconds
        return self._made(writing, "the text, its index, and what is chosen on the tuning split")

    def answer(self, cases: Sequence[Case]) -> list[Said]:
        assert self._rung is not None, "it has learned nothing yet"
        return self._rung.answer(cases) if cases else []

    def update(self, fact: Fact) -> Took:
        self._facts[fact.id] = fact
        return self._changed(self._memory.update(fact).seconds)

    def delete(self, fact_id: str) -> Took:
        del self._facts[fact_id]
        return self._changed(self._memory.delete(fact_id).seconds)

    def close(self) -> None:
        self._memory.close()

    @property
    def stored_bytes(self) -> int:
        if self.name in _HELD_BY_THE_ROUTER:
            return self._memory.stored_without_experts
        return text_bytes(list(self._facts.values()))

    @property
    def exposures(self) -> float:
        return 0.0

    @property
    def about(self) -> str:
        assert self._rung is not None, "it has learned nothing yet"
        return self._rung.describe()

    @property
    def reader(self) -> Backbone:
        return self._setting.backbone

    def _changed(self, writing: float) -> Took:
        """The facts as they are now. What was tuned stays on the workbench."""
        self._bench.facts = list(self._facts.values())
        vars(self._bench).pop("by_id", None)  # it is worked out once from the facts
        if self.name in _READ_AS_THEY_ARE:
            return Took(0.0, "the text is exchanged")
        return self._made(writing, "the text exchanged, its index made anew")

    def _made(self, writing: float, how: str) -> Took:
        begin = time.perf_counter()
        self._rung = rungs.make(self.name, self._bench)
        if self.name in _HELD_BY_THE_ROUTER:
            return Took(writing, "written to the router")
        return Took(time.perf_counter() - begin, how)
