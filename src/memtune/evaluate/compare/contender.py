"""What takes part in a race: one way of keeping facts, asked, changed and weighed like all others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.evaluate.cases import Case, Said
from memtune.evaluate.output import Say, silent
from memtune.evaluate.workbench import Workbench
from memtune.model import MemoryModel


@dataclass(frozen=True)
class Setting:
    """What all contenders of a race are given."""

    backbone: Backbone
    """Read only; whoever changes weights works on a copy."""
    config: Config
    tuning: Sequence[Fact]
    """Learned facts on which rates and prompts may be chosen; none of them is asked for in what is reported."""
    seed: int = 0
    budget_seconds: float = 60.0
    """For learning, and again for the search before it, for an update and for a deletion."""
    equal_bytes: int | None = None
    """What a memory takes, for those whose size can be chosen."""
    say: Say = silent


@dataclass(frozen=True)
class Took:
    """What learning, an update or a deletion took, and how it was done."""

    seconds: float
    how: str = ""
    in_time: bool = True
    """False: the budget ended it."""
    search_seconds: float = 0.0
    """Of choosing a rate beforehand; not among the seconds."""


class Contender(Protocol):
    """Made from a `Setting`; then learns once, answers, and is changed."""

    def learn(self, facts: Sequence[Fact]) -> Took: ...

    def answer(self, cases: Sequence[Case]) -> list[Said]:
        """A reply to each by free decoding, in order."""

    def update(self, fact: Fact) -> Took:
        """The fact of this id has another answer."""

    def delete(self, fact_id: str) -> Took:
        """The fact is gone, or whatever comes nearest to that."""

    def close(self) -> None: ...

    @property
    def stored_bytes(self) -> int:
        """What has to be kept beside the backbone, or instead of it."""

    @property
    def exposures(self) -> float:
        """How often each fact was put before the model while learning."""

    @property
    def about(self) -> str:
        """What it is and what was chosen, in one line."""

    @property
    def reader(self) -> Backbone:
        """The model that reads ordinary text."""


def ask_plainly(backbone: Backbone, config: Config, cases: Sequence[Case]) -> list[Said]:
    """Replies of a model without a memory, in the engine that serves all."""
    bench = Workbench(MemoryModel(backbone, config=config), [])
    return bench.ask(cases, lambda case: case.question, memory=False, unknown="base") if cases else []


def text_bytes(facts: Sequence[Fact]) -> int:
    """Of the facts as rows of text."""
    return sum(len(json.dumps(fact.to_row(), ensure_ascii=False).encode()) + 1 for fact in facts)
