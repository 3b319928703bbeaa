"""The memory as a user gets it; what is not in it is not answered."""

from __future__ import annotations

from collections.abc import Sequence

from memtune.evaluate.cases import Case, Said
from memtune.evaluate.workbench import Workbench


class WithMemory:
    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    def answer(self, cases: Sequence[Case]) -> list[Said]:
        return self._bench.ask(cases, lambda case: case.question, memory=True, unknown="abstain")

    def describe(self) -> str:
        return (
            "the memory through its router; what no fact answers is not answered, decode.unknown=abstain (online "
            "retrieval, of experts: no text is added to the prompt)"
        )
