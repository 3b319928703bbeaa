"""A memory: facts written beside one frozen backbone, kept in a folder."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace as change
from pathlib import Path
from typing import Any

from memtune.admission import Measure, measure_recall, shortcomings
from memtune.answering import Answering
from memtune.checked import replace
from memtune.config import Config, DecodeConfig, LearnConfig
from memtune.core.backbone import Backbone
from memtune.core.experts import Expert, Tensors, stack
from memtune.core.facts import Fact, normalise
from memtune.core.kinds import make_kinds
from memtune.core.learn import Learner, Lot
from memtune.core.reports import Answer, LearnReport
from memtune.core.sources import FactSource
from memtune.errors import ConflictError, InputError, UsageError
from memtune.explaining import explanation
from memtune.history import History
from memtune.inbox import Inbox
from memtune.learning import Learning, Progress
from memtune.migrate import require_present
from memtune.questions import Question
from memtune.router.encoders import make_encoder
from memtune.router.entries import Entry, make_keys
from memtune.router.gate import Gate
from memtune.router.route import Owner
from memtune.router.router import Router
from memtune.store import Manifest, MemoryFolder, Point, Segment, Writer, unfinished
from memtune.store.accounts import Purged
from memtune.store.regroup import Regrouped, regroup
from memtune.store.skills import GATE, Skill
from memtune.survey import Survey
from memtune.tuning import Tuning

_ROUTER_ROOM = "router"
_SLACK = 8
"""Tokens that a reply may be longer than the answer before decoding it as a proof gives up."""


class Memory:
    """Learns, answers, updates and forgets. One object writes at a time; others read the version they opened."""

    def __init__(self, backbone: Backbone, folder: MemoryFolder, config: Config, *, follow: bool = False) -> None:
        backbone.identity.require(folder.header.backbone)
        require_present(folder)
        backbone = backbone.with_template(folder.header.settings["chat_template"])
        self.backbone, self.folder = backbone, folder
        self.config = change(config, router=change(config.router, encoder=folder.header.settings["encoder"]))
        encoder = make_encoder(self.config.router.encoder, backbone)
        self.router = Router(self.config.router, self.config.index, encoder)
        self.answering = Answering(backbone, folder, self.router, self.config)
        self.follow = follow
        """Whether to look for a newer version before each question."""
        self.measure: Measure = measure_recall
        """What says whether a bulk commit may be served, where the memory asks for anything."""
        self.history = History(folder, self.writing)
        self._changing = threading.RLock()
        self._caught_up: Point | None = None
        self._opened_by: dict[str, Skill] = {}
        """The skills whose gates the router holds."""
        self._taken_in: dict[int, tuple[frozenset[int], str]] = {}
        """The segments whose keys the router holds, each with the rows that it left out and its shard of keys."""
        self.catch_up()
        self.tuning = Tuning(folder, self.router, self.config.router)

    @classmethod
    def create(cls, backbone: Backbone, path: str | Path, config: Config) -> Memory:
        settings: dict[str, Any] = {"chat_template": backbone.template.chat_template}
        settings["encoder"] = config.router.encoder
        settings |= {"admission": vars(config.admission)} if config.admission.active else {}
        folder = MemoryFolder.create(path, backbone=backbone.identity.to_json(), settings=settings)
        try:
            return cls(backbone, folder, config)
        except BaseException:  # an encoder that is none: the folder would keep its name
            folder.close()
            MemoryFolder.discard(path)
            raise

    @classmethod
    def open(cls, backbone: Backbone, path: str | Path, config: Config, *, follow: bool = False) -> Memory:
        return cls(backbone, MemoryFolder.open(path), config, follow=follow)

    def close(self) -> None:
        self.folder.close()

    @property
    def version(self) -> int:
        return self.folder.version

    def refresh(self) -> bool:
        """Move to the newest version, if another process made one. Costs microseconds if none did."""
        with self._changing:
            moved = self.folder.refresh()
            self.catch_up()
            if moved:
                self.tuning.load()
            return moved

    def serving(self) -> Answering:
        """What answers the next question, at the newest version where this memory follows.

        A reader never waits: while this very process writes, it moves the memory on itself.
        """
        if self.follow and self._changing.acquire(blocking=False):
            try:
                self.refresh()
            finally:
                self._changing.release()
        return self.answering

    def catch_up(self) -> None:
        """Make router and caches follow the version that the folder stands at."""
        if self._caught_up == self.folder.manifest.point:
            return
        with self.answering.moving(self.folder.manifest):
            self._move_on()
        self._caught_up = self.folder.manifest.point

    def _move_on(self) -> None:
        segments = self.folder.manifest.held
        for known, (left_out, keys) in list(self._taken_in.items()):
            now = segments.get(known)
            if now is None or now.shards[_ROUTER_ROOM] != keys or not left_out <= now.silent:  # rolled back, or purged
                self._release(self.router.owners(known))
                del self._taken_in[known]
            else:
                self._release([(known, row) for row in now.silent - left_out])
        for segment in self.folder.segments:
            if segment.id not in self._taken_in:
                self.router.add(segment.id, self.folder.shard(segment, _ROUTER_ROOM), segment.silent)
            self._taken_in[segment.id] = (segment.silent, segment.shards[_ROUTER_ROOM])
        self._take_gates_in(self.folder.manifest.skills)

    def _take_gates_in(self, skills: Mapping[str, Skill]) -> None:
        """Let each skill of this version, and no other, be opened by its gate."""
        for name in [name for name, skill in self._opened_by.items() if skills.get(name) != skill]:
            self.router.remove_gate(name)
            del self._opened_by[name]
        for name in skills.keys() - self._opened_by.keys():
            tensors = self.folder.skill_shard(skills[name], GATE)
            self.router.add_gate(Gate.from_tensors(tensors, self.router.matcher.encoder))
            self._opened_by[name] = skills[name]

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """The memory's one writer, at the newest version."""
        with self._changing:
            with self.folder.writer() as writer:
                self.catch_up()
                yield writer
            self.catch_up()

    @contextmanager
    def holding(self) -> Iterator[None]:
        """While inside, the memory stays as it is, as far as this process goes."""
        with self._changing:
            self.refresh()
            yield

    # ---- learning and changing ----------------------------------------------------------------------------------

    def learn(
        self,
        source: FactSource,
        found: Survey,
        *,
        config: LearnConfig,
        since: float,
        measure_reading: bool = False,
        resume: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> LearnReport:
        """Learn, lot by lot, what a checked and surveyed source gives. `since`: when the work on it began."""
        for kinds in sorted(found.experts):
            for kind in make_kinds(kinds, self.config):
                kind.require(self.backbone)
        with self._changing:
            learning = Learning(self, config, since=since, measure_reading=measure_reading, progress=progress)
            if found.count == 1 or not self.history.admission.active:
                report = learning.run(source, found)
            else:
                report = self._learn_a_candidate(learning, source, found, resume)
            begin = time.perf_counter()
            self.tuning.settle()
            report.seconds += time.perf_counter() - begin
            return report

    def _learn_a_candidate(self, learning: Learning, source: FactSource, found: Survey, resume: bool) -> LearnReport:
        """Learn beside what is served, measure, and serve it if it may be."""
        required = self.history.admission
        with self.history.on_candidate(resume=resume) as candidate:
            self.catch_up()
            try:
                report = learning.run(source, found)
                measured = self.measure(self, learning.learned, required)
            finally:
                candidate.leave()
                self.catch_up()
        report.not_admitted = shortcomings(required, measured)
        if candidate.version:
            said = "; ".join(report.not_admitted) or "every threshold is met"
            self.history.note(candidate.version, f"admission: {said}", measured.to_json())
            if not report.not_admitted:
                self.history.promote()
        report.version = candidate.version or self.version
        return report

    def update(self, fact_id: str, *, answer: str) -> int:
        """Give a fact another answer. Its wordings stay; it is learned and proved like a new one."""
        with self.writing() as writer:
            fact = change(self._not_aside(fact_id), answer=answer.strip())
            kinds = make_kinds(self._kinds_of(fact_id), self.config)
            lot = Learner(self.backbone, kinds, self.config.learn).learn([fact])
            if lot.failed:
                raise InputError(f"'{fact_id}' was not changed: {lot.failed[0].reason}")
            before = self.folder.manifest
            self.commit(writer, lot, drop=[fact_id], message=f"update {fact_id}", act="update")
            self._check_alone(writer, fact, before)
            return self.version

    def _check_alone(self, writer: Writer, fact: Fact, before: Manifest) -> None:
        """A single change is checked on its fact itself; one that does not hold is taken back."""
        if not self.leads_to(fact.question, fact.id):
            self.take_back(writer, before)
            raise InputError(f"'{fact.id}' was not changed: the router does not lead its question to it")

    def phrase(self, fact_id: str, text: str, *, never: bool = False) -> int:
        """Let another wording lead to a fact as well, or with `never` make sure that this text does not."""
        with self.writing() as writer:
            fact, owner = self._not_aside(fact_id), self.router.exact(text)
            if not normalise(text):
                raise UsageError("a phrasing must not be empty")
            if never:
                grown = fact.barred_from(text)
            else:
                other = self.answering.describe(owner)[0] if owner is not None else fact_id
                if other != fact_id:
                    raise ConflictError(f"'{text}' already leads to the fact '{other}'", hint="forget that one first")
                grown = fact.phrased(text)
            if grown == fact:
                return self.version
            experts = self.experts_of(fact_id)
            lot = Lot([grown], {name: stack([expert.tensors]) for name, expert in experts.items()})
            self.commit(writer, lot, drop=[fact_id], message=f"phrase {fact_id}", act="phrase")
            return self.version

    def take_back(self, writer: Writer, before: Manifest) -> None:
        """Hold again what was held before, by the writer that changed it."""
        self.history.hold_again(writer, before)
        self.catch_up()

    def _not_aside(self, fact_id: str) -> Fact:
        """A fact that may be changed."""
        ref = self.folder.find([fact_id]).get(fact_id)
        if ref is not None and self.folder.is_archived(ref):
            raise UsageError(f"'{fact_id}' is archived", hint=f"`memtune facts restore {fact_id}` brings it back")
        return self.folder.fact(fact_id)

    def archive(self, *ids: str) -> int:
        """Set facts aside: they stay in the memory and answer nothing."""
        with self._changing:
            return self.history.archive(*ids)

    def restore(self, *ids: str) -> int:
        """Let archived facts answer again."""
        with self._changing:
            return self.history.restore(*ids)

    def regroup(self) -> Regrouped:
        """Regroup facts that were written one by one, and prove them again; if one does not hold, nothing changes."""
        with self.writing() as writer:
            before = self.folder.manifest
            astray = {f.id for f in self._astray(self.folder.segments)}
            done = regroup(self.folder, writer, self.config.learn.lot_size)
            self.catch_up()
            made = [segment for segment in self.folder.segments if segment.id in done.made]
            lost = [f for f in self._astray(made) if f.id not in astray]
            lost = lost or self.not_recalled(self._to_prove(made))
            if lost:
                self.take_back(writer, before)
                raise InputError(f"nothing was regrouped: '{lost[0].id}' would not be recalled any more")
            return done

    def _astray(self, segments: Sequence[Segment]) -> Iterator[Fact]:
        """Facts to which the router does not lead their own question."""
        for segment in segments:
            held = self.folder.records(segment)
            for row in sorted(set(segment.live) - segment.archived):
                if self.router.exact(held[row].question) != (segment.id, row):
                    yield held[row]

    def _to_prove(self, segments: Sequence[Segment]) -> list[Fact]:
        """Some facts of each segment that recite."""
        found = []
        for segment in segments:
            if any(kind.recites and name in segment.shards for name, kind in self.answering.kinds.items()):
                held, live = self.folder.records(segment), sorted(set(segment.live) - segment.archived)
                step = max(1, len(live) // max(1, self.config.learn.proof_sample))
                found += [held[row] for row in live[::step]]
        return found

    def forget(self, *ids: str, where: Mapping[str, str] | None = None) -> list[str]:
        """Take facts out; at their prompts the model is the backbone again."""
        with self._changing:
            self.refresh()
            gone = list(dict.fromkeys([*ids, *(f.id for f in self.folder.facts(where))] if where else ids))
            if gone:
                unfinished.clear(self.folder.path)  # what was worked out for them goes with them
                with self.writing() as writer:
                    self.drop(writer, gone, message=f"forget {gone[0] if len(gone) == 1 else f'{len(gone)} facts'}")
                unfinished.clear(self.folder.path)  # and what another process kept meanwhile
            return gone

    def purge(self, *ids: str) -> Purged:
        """Take facts out of every version for good; what was measured while they were there is measured anew."""
        with self._changing:
            self.refresh()
            measured = self.tuning.calibration is not None
            done = self.history.purge(*ids, inbox=Inbox(self.folder.path, self.config.inbox))
            self.tuning.load()
            if measured:
                self.tuning.settle(again=True)
            return done

    def commit(self, writer: Writer, lot: Lot, *, drop: Sequence[str], message: str, act: str = "learn") -> None:
        """Make a learned lot, and the going of the facts it replaces, one version."""
        if drop:
            writer.drop(drop)
        if lot.facts:
            self.add(writer, lot.facts, lot.rooms)
        writer.commit(message, act=act)
        self.catch_up()

    def add(self, writer: Writer, facts: Sequence[Fact], rooms: Mapping[str, Tensors]) -> None:
        """Facts with their experts, and keys that lead to them; they count from the writer's next commit on."""
        entries = [Entry.of(fact, self.config.router.made) for fact in facts]
        keys = make_keys(entries, self.router.matcher.encoder, self.config.router.vectors)
        writer.add_segment(facts, {**rooms, _ROUTER_ROOM: keys})

    def drop(self, writer: Writer, ids: Sequence[str], *, message: str) -> None:
        writer.drop(ids)
        writer.commit(message, act="forget")
        self.catch_up()

    def _owners(self, ids: Sequence[str]) -> list[Owner]:
        return [(ref.segment, ref.row) for ref in self.folder.find(ids).values()] if ids else []

    def _release(self, owners: Sequence[Owner]) -> None:
        if owners:
            self.router.remove(owners)
            self.answering.forget(owners)

    def _kinds_of(self, fact_id: str) -> str:
        """The kinds that a fact was learned with."""
        return "+".join(self.experts_of(fact_id))

    def experts_of(self, fact_id: str) -> dict[str, Expert]:
        """A fact's experts by kind."""
        return self.answering.experts(self._owners([fact_id])[0])

    def leads_to(self, question: str, fact_id: str) -> bool:
        """Whether the router leads a question to this fact and no other."""
        found = self.router.route(question).confirmed
        return [self.answering.describe(p.owner)[0] for p in found] == [fact_id]

    def not_recalled(self, facts: Sequence[Fact]) -> list[Fact]:
        """Facts whose learned wording does not give their answer exactly, asked as a user would ask."""
        facts = [f for f in facts if not f.passage]  # known, not recited: that its title leads to it is all to prove
        spelled = self.backbone.tokenizer([f.answer for f in facts] or [""], add_special_tokens=False)["input_ids"]
        longest = max(map(len, spelled)) + _SLACK
        config = replace(DecodeConfig(), max_new_tokens=longest, reroute=False)
        asked = [f.question for f in facts]
        answers = self.answering.ask(asked, config, memory=True, raw=False, proof=True) if facts else []
        return [
            f for f, a in zip(facts, answers, strict=True) if a.text != f.answer or [u.id for u in a.facts] != [f.id]
        ]

    # ---- asking -------------------------------------------------------------------------------------------------

    def ask(
        self, questions: Sequence[Question], decode: DecodeConfig, *, memory: bool = True, raw: bool = False
    ) -> list[Answer]:
        return self.serving().ask(questions, decode, memory=memory, raw=raw)

    def explain(self, question: Question, hidden: frozenset[str] = frozenset()) -> dict[str, Any]:
        """What the router saw, proposed and confirmed, and why or why not."""
        return explanation(self.serving().route(question, hidden), self.answering)

    def facts(self, where: Mapping[str, str] | None = None, *, limit: int | None = None) -> Iterator[Fact]:
        return self.folder.facts(where, limit=limit)
