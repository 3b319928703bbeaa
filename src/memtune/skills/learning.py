"""The life of a skill: spell, train, judge, and then one version that holds it."""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

from memtune.checked import replace
from memtune.config import Config, DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.experts import Expert, bytes_of
from memtune.core.generate import Request, decode
from memtune.core.kinds import KINDS
from memtune.core.reports import Failed
from memtune.errors import InputError, UsageError
from memtune.learning import Progress
from memtune.memory import Memory
from memtune.router.gate import Gate, everything_else
from memtune.skills.examples import Example
from memtune.skills.record import Record, Summary
from memtune.skills.right import alike
from memtune.skills.training import KIND, Spelled, Trained, spell, train_expert
from memtune.store import MemoryFolder
from memtune.store.skills import ABOUT, GATE, encode_text

FEWEST = 8
"""Different examples without which nothing is a task."""
_SLACK = 8
"""Tokens that a reply may be longer than the longest answer before it is cut off."""


@dataclass
class Learning:
    """One skill on its way into a memory."""

    memory: Memory
    name: str
    about: str
    others: list[str] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)

    def run(self, examples: Sequence[Example], progress: Callable[[Progress], None] | None) -> Record:
        """Train and judge it, and fit its gate. Nothing is written."""
        begin = time.perf_counter()
        config, backbone = self.memory.config.skill, self.memory.backbone
        rows, self.failed = spell(backbone, examples, config.max_length)
        require_enough(len(rows), self.name)
        kept, aside = _divided(rows, config.held_out, config.seed)
        self.trained = train_expert(backbone, kept, aside, config, progress)
        self.gate = self._fit_gate(kept)
        summary = self._judge(aside, time.perf_counter() - begin)
        return Record(
            name=self.name,
            about=self.about,
            kind=KIND,
            settings=asdict(config),
            learned_at=self.memory.version,
            facts=self.memory.folder.count(),
            summary=summary,
            gate=asdict(self.gate.figures),
            trained_on=tuple(row.example for row in kept),
            set_aside=tuple(row.example for row in aside),
        )

    def _fit_gate(self, rows: Sequence[Spelled]) -> Gate:
        """From what was trained on alone, so that the set-aside examples can say whether it opens."""
        memory, config = self.memory, self.memory.config.skill
        others = everything_else([*questions_of(memory.folder, config.against), *self.others])
        asked = [row.example.asked for row in rows]
        return Gate.fit(self.name, asked, others, memory.router.matcher.encoder, config.false_opening)

    def _judge(self, aside: Sequence[Spelled], seconds: float) -> Summary:
        asked = aside[: self.memory.config.skill.ask]
        trained = self.trained
        before, after = (
            right_answers(self.memory.backbone, self.memory.config, asked, expert) for expert in (None, trained)
        )
        return Summary(
            steps=trained.steps,
            best_step=trained.best_step,
            loss_before=trained.loss_before,
            loss=trained.loss,
            asked=len(asked),
            right_before=before,
            right=after,
            seconds=seconds,
            bytes=bytes_of([trained.tensors, self.gate.to_tensors()]),
        )

    def commit(self, record: Record, *, instead: bool) -> int:
        """Make it a version. `instead`: it may take the place of a skill of its name."""
        with self.memory.writing() as writer:
            require_free(self.memory.folder, self.name, instead)  # somebody may have written since training began
            rooms = {ABOUT: encode_text(record.stored()), GATE: self.gate.to_tensors(), KIND: self.trained.tensors}
            writer.hold_skill(self.name, rooms)
            return writer.commit(f"learn the skill '{self.name}'", act="learn skill")


def require_enough(number: int, name: str) -> None:
    if number < FEWEST:
        many = "1 different example" if number == 1 else f"{number} different examples"
        raise InputError(
            f"the skill '{name}' has {many} that can be used; it needs at least {FEWEST}",
            hint="a hundred make a good one; a single answer to be given word for word is a fact: `memtune facts add`",
        )


def require_free(folder: MemoryFolder, name: str, instead: bool) -> None:
    if name in folder.manifest.skills and not instead:
        raise UsageError(
            f"there is a skill '{name}' already",
            hint="--replace trains it anew and puts the new one in its place; or choose another name",
        )


def right_answers(backbone: Backbone, config: Config, rows: Sequence[Spelled], trained: Trained | None) -> int:
    """How many examples are answered exactly by free decoding, by the plain model or with the expert acting."""
    if not rows:
        return 0
    longest = max(len(row.answer) for row in rows) + _SLACK
    given = {} if trained is None else {KIND: [Expert("skill", "", trained.tensors)]}
    requests = [Request(row.prompt, given) for row in rows]
    asking = replace(DecodeConfig(), max_new_tokens=longest, reroute=False)
    replies = decode(backbone, [KINDS[KIND](config)], requests, asking)
    return sum(alike(reply.text, row.example.answer) for reply, row in zip(replies, rows, strict=True))


def _divided(rows: Sequence[Spelled], share: float, seed: int) -> tuple[list[Spelled], list[Spelled]]:
    """Those to train on, and those that are set aside: none of so few that the others would be no task."""
    aside = min(max(1, round(share * len(rows))), len(rows) - FEWEST) if share else 0
    chosen = set(random.Random(seed).sample(range(len(rows)), aside))
    kept = [row for place, row in enumerate(rows) if place not in chosen]
    return kept, [rows[place] for place in sorted(chosen)]


def questions_of(folder: MemoryFolder, most: int) -> list[str]:
    """Of so many facts at most, from all over the memory."""
    step = max(1, math.ceil(folder.count() / max(1, most)))
    return [fact.question for fact in itertools.islice(folder.facts(), 0, None, step)]
