"""The memory first; where it confirms no fact, retrieval answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from memtune.evaluate.cases import Case, Said
from memtune.evaluate.rungs.memory import WithMemory
from memtune.evaluate.rungs.rag import Rag
from memtune.evaluate.workbench import Workbench


class MemoryThenRag:
    def __init__(self, bench: Workbench) -> None:
        self._memory, self._rag = WithMemory(bench), Rag(bench)

    def answer(self, cases: Sequence[Case]) -> list[Said]:
        said = self._memory.answer(cases)
        open_ = [i for i, reply in enumerate(said) if not reply.fired]
        for i, reply in zip(open_, self._rag.answer([cases[i] for i in open_]), strict=True):
            said[i] = dataclasses.replace(reply, fired=False, seconds=reply.seconds + said[i].seconds)
        return said

    def describe(self) -> str:
        return f"the memory (online retrieval, of experts); where it confirms no fact, {self._rag.describe()}"
