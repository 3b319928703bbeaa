"""A memory: facts written beside one frozen backbone, kept in a folder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace as change
from pathlib import Path
from typing import Any

from memtune.answering import Answering, Question, explanation
from memtune.config import Config, DecodeConfig, LearnConfig, replace
from memtune.core.backbone import Backbone
from memtune.core.experts import stack
from memtune.core.facts import Fact, normalise
from memtune.core.kinds import make_kinds
from memtune.core.learn import Learner, Lot
from memtune.core.prompts import Template
from memtune.core.reports import Answer, LearnReport
from memtune.core.sources import FactSource
from memtune.errors import ConflictError, InputError, UsageError
from memtune.learning import Learning, Progress
from memtune.router.keys import make_keys
from memtune.router.route import Owner
from memtune.router.router import Router
from memtune.store import MemoryFolder, Writer
from memtune.survey import Survey

_ROUTER_ROOM = "router"
_SLACK = 8
"""Tokens that a reply may be longer than the answer before decoding it as a proof gives up."""


class Memory:
    """Learns, answers, updates and forgets. One object writes at a time; others read the version they opened."""

    def __init__(self, backbone: Backbone, folder: MemoryFolder, config: Config) -> None:
        backbone.identity.require(folder.header.backbone)
        backbone.template = Template(backbone.tokenizer, folder.header.settings["chat_template"])
        width = folder.header.settings["router_width"]
        self.backbone, self.folder = backbone, folder
        self.config = change(config, router=change(config.router, width=width))
        self.router = Router(self.config.router)
        self.answering = Answering(backbone, folder, self.router, self.config)
        self._changing = threading.RLock()
        self._taken_in: dict[int, frozenset[int]] = {}
        """The segments whose keys the router holds, each with the rows that it left out."""
        self._catch_up()

    @classmethod
    def create(cls, backbone: Backbone, path: str | Path, config: Config) -> Memory:
        settings = {"chat_template": backbone.template.chat_template, "router_width": config.router.width}
        folder = MemoryFolder.create(path, backbone=backbone.identity.to_json(), settings=settings)
        return cls(backbone, folder, config)

    @classmethod
    def open(cls, backbone: Backbone, path: str | Path, config: Config) -> Memory:
        return cls(backbone, MemoryFolder.open(path), config)

    def close(self) -> None:
        self.folder.close()

    @property
    def version(self) -> int:
        return self.folder.version

    def refresh(self) -> bool:
        """Move to the newest version, if another process made one."""
        with self._changing:
            moved = self.folder.refresh()
            self._catch_up()
            return moved

    def _catch_up(self) -> None:
        """Make router and caches follow the version that the folder stands at."""
        segments = {segment.id: segment for segment in self.folder.segments}
        for known, left_out in list(self._taken_in.items()):
            now = segments.get(known)
            gone = self.router.owners(known) if now is None else [(known, row) for row in now.dropped - left_out]
            self._release(gone)
        for segment in segments.values():
            if segment.id not in self._taken_in:
                self.router.add(segment.id, self.folder.shard(segment, _ROUTER_ROOM), segment.dropped)
        self._taken_in = {segment.id: segment.dropped for segment in segments.values()}

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """The memory's one writer, at the newest version."""
        with self._changing, self.folder.writer() as writer:
            self._catch_up()
            yield writer

    # ---- learning and changing ----------------------------------------------------------------------------------

    def learn(
        self,
        source: FactSource,
        found: Survey,
        *,
        config: LearnConfig,
        since: float,
        measure_reading: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> LearnReport:
        """Learn, lot by lot, what a checked and surveyed source gives. `since`: when the work on it began."""
        with self._changing:
            learning = Learning(self, config, since=since, measure_reading=measure_reading, progress=progress)
            return learning.run(source, found)

    def update(self, fact_id: str, *, answer: str) -> int:
        """Give a fact another answer. Its wordings stay; it is learned and proved like a new one."""
        with self._changing:
            self.refresh()
            fact = change(self.folder.fact(fact_id), answer=answer.strip())
            lot = Learner(self.backbone, make_kinds(self._kinds_of(fact_id), self.config), self.config.learn).learn(
                [fact]
            )
            if lot.failed:
                raise InputError(f"'{fact_id}' was not changed: {lot.failed[0].reason}")
            with self.writing() as writer:
                self.commit(writer, lot, drop=[fact_id], message=f"update {fact_id}")
            return self.version

    def phrase(self, fact_id: str, text: str) -> int:
        """Let another wording lead to a fact as well."""
        with self._changing:
            self.refresh()
            fact, owner = self.folder.fact(fact_id), self.router.exact(text)
            if not normalise(text):
                raise UsageError("a phrasing must not be empty")
            if owner is not None:
                other = self.answering.describe(owner)[0]
                if other != fact_id:
                    raise ConflictError(f"'{text}' already leads to the fact '{other}'", hint="forget that one first")
                return self.version
            grown = change(fact, phrasings=(*fact.phrasings, text))
            experts = self.answering.experts(self._owners([fact_id])[0])
            lot = Lot([grown], {name: stack([expert.tensors]) for name, expert in experts.items()})
            with self.writing() as writer:
                self.commit(writer, lot, drop=[fact_id], message=f"phrase {fact_id}")
            return self.version

    def forget(self, *ids: str, where: Mapping[str, str] | None = None) -> list[str]:
        """Take facts out; at their prompts the model is the backbone again."""
        with self._changing:
            self.refresh()
            gone = list(dict.fromkeys([*ids, *(f.id for f in self.folder.facts(where))] if where else ids))
            if gone:
                with self.writing() as writer:
                    self.drop(writer, gone, message=f"forget {gone[0] if len(gone) == 1 else f'{len(gone)} facts'}")
            return gone

    def commit(self, writer: Writer, lot: Lot, *, drop: Sequence[str], message: str) -> None:
        """Make a learned lot, and the going of the facts it replaces, one version."""
        if drop:
            writer.drop(drop)
        keys = make_keys([(row, w) for row, f in enumerate(lot.facts) for w in f.wordings], self.config.router.width)
        if lot.facts:
            writer.add_segment(lot.facts, {**lot.rooms, _ROUTER_ROOM: keys})
        writer.commit(message)
        self._catch_up()

    def drop(self, writer: Writer, ids: Sequence[str], *, message: str) -> None:
        writer.drop(ids)
        writer.commit(message)
        self._catch_up()

    def _owners(self, ids: Sequence[str]) -> list[Owner]:
        return [(ref.segment, ref.row) for ref in self.folder.find(ids).values()] if ids else []

    def _release(self, owners: Sequence[Owner]) -> None:
        if owners:
            self.router.remove(owners)
            self.answering.forget(owners)

    def _kinds_of(self, fact_id: str) -> str:
        """The kinds that a fact was learned with."""
        return "+".join(self.answering.experts(self._owners([fact_id])[0]))

    def leads_to(self, question: str, fact_id: str) -> bool:
        """Whether the router leads a question to this fact and no other."""
        found = self.router.route(question).confirmed
        return [self.answering.describe(p.owner)[0] for p in found] == [fact_id]

    def not_recalled(self, facts: Sequence[Fact]) -> list[Fact]:
        """Facts whose learned wording does not give their answer exactly, asked as a user would ask."""
        spelled = self.backbone.tokenizer([f.answer for f in facts] or [""], add_special_tokens=False)["input_ids"]
        longest = max(map(len, spelled)) + _SLACK
        config = replace(DecodeConfig(), max_new_tokens=longest, reroute=False)
        answers = self.answering.ask([f.question for f in facts], config, memory=True, raw=False) if facts else []
        return [
            f for f, a in zip(facts, answers, strict=True) if a.text != f.answer or [u.id for u in a.facts] != [f.id]
        ]

    # ---- asking -------------------------------------------------------------------------------------------------

    def ask(
        self, questions: Sequence[Question], decode: DecodeConfig, *, memory: bool = True, raw: bool = False
    ) -> list[Answer]:
        return self.answering.ask(questions, decode, memory=memory, raw=raw)

    def explain(self, question: Question) -> dict[str, Any]:
        """What the router saw, proposed and confirmed, and why or why not."""
        return explanation(self.answering.route(question), self.answering.describe)

    def facts(self, where: Mapping[str, str] | None = None, *, limit: int | None = None) -> Iterator[Fact]:
        return self.folder.facts(where, limit=limit)
