"""The race: ways of keeping facts, one file each, learned, asked, changed and weighed in one run on one backbone.

`race.py` runs it, `contender.py` says what a contender is. Kinds of memory and rungs of the ladder take part under
their own names; what is only here is listed below. Each is imported when it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import cast

from memtune.config import KIND_NAMES
from memtune.errors import UsageError
from memtune.evaluate.compare.contender import Contender, Setting
from memtune.evaluate.rungs import RUNGS

PEERS: dict[str, str] = {
    "peft-lora": "memtune.evaluate.compare.lora:Lora",
    "full-ft": "memtune.evaluate.compare.full:Full",
    "locft": "memtune.evaluate.compare.local:LateBlock",
    "grace": "memtune.evaluate.compare.grace:Grace",
}
_NOT_HERE = {"base", "memory", "memory+rag", "random"}
"""Rungs that are no contenders: the backbone always runs along, memories are named by their kind, and what combines
them or shows what they owe to the backbone belongs to the ladder."""


def is_memory(name: str) -> bool:
    return set(name.split("+")) <= set(KIND_NAMES)


def known() -> list[str]:
    """All names, memories first; kinds may be joined by `+`."""
    return [*KIND_NAMES, *PEERS, *(rung for rung in RUNGS if rung not in _NOT_HERE)]


def named(names: Sequence[str]) -> list[str]:
    """These names, each known and none twice."""
    right = known()
    for name in names:
        if name not in right and not is_memory(name):
            raise UsageError(f"no contender '{name}'", hint=f"there is: {', '.join(right)}; kinds may be joined by +")
    return list(dict.fromkeys(names))


def make(name: str, setting: Setting) -> Contender:
    """A contender that has learned nothing yet; raises where a package that it needs is not installed."""
    if name in PEERS:
        module, _, made = PEERS[name].partition(":")
        return cast(Callable[[Setting], Contender], getattr(importlib.import_module(module), made))(setting)
    if is_memory(name):
        from memtune.evaluate.compare.ours import Ours

        return Ours(setting, name)
    from memtune.evaluate.compare.rung import OfTheLadder

    return OfTheLadder(setting, name)
