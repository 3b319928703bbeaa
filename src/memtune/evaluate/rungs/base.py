"""The frozen backbone alone."""

from __future__ import annotations

from collections.abc import Sequence

from memtune.evaluate.cases import Case, Said
from memtune.evaluate.workbench import Workbench


class Base:
    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    def answer(self, cases: Sequence[Case]) -> list[Said]:
        return self._bench.ask(cases, lambda case: case.question, memory=False)

    def describe(self) -> str:
        return "the backbone alone (parameters only)"
