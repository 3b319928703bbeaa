"""The rungs of the ladder: ways of answering, one file each, by name.

A rung is made once from what all of them share (`Workbench`) and then asked. What it has to tune, it tunes on
`bench.tuning`, never on what it is asked.

`describe` names the setting of the information that a rung has. *Parameters only*: nothing is looked up. *Offline
retrieval*: from a store that was made beforehand and stands still. *Online retrieval*: from a store that is read at the
version at which it stands when the question comes.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Protocol

from memtune.errors import UsageError
from memtune.evaluate.cases import Case, Said
from memtune.evaluate.workbench import Workbench

RUNGS: dict[str, str] = {
    "base": "memtune.evaluate.rungs.base:Base",
    "prompt": "memtune.evaluate.rungs.prompt:Prompted",
    "rag": "memtune.evaluate.rungs.rag:Rag",
    "memory": "memtune.evaluate.rungs.memory:WithMemory",
    "memory+rag": "memtune.evaluate.rungs.memory_rag:MemoryThenRag",
    "lookup": "memtune.evaluate.rungs.lookup:Lookup",
    "oracle": "memtune.evaluate.rungs.oracle:Oracle",
    "random": "memtune.evaluate.rungs.random:RandomWeights",
}
"""In the order in which tables show them; each is imported when it is asked for."""


class Rung(Protocol):
    """One way of answering."""

    def answer(self, cases: Sequence[Case]) -> list[Said]:
        """A reply to each, in order."""

    def describe(self) -> str:
        """What it is made of and what was tuned, in one line; empty where there is nothing to say."""


def named(names: Sequence[str]) -> list[str]:
    """These names, each known and none twice."""
    for name in names:
        if name not in RUNGS:
            raise UsageError(f"no rung '{name}'", hint=f"there is: {', '.join(RUNGS)}")
    return list(dict.fromkeys(names))


def make(name: str, bench: Workbench) -> Rung:
    module, _, kind = RUNGS[name].partition(":")
    rung: Rung = getattr(importlib.import_module(module), kind)(bench)
    return rung
