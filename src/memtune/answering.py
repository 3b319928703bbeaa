"""The life of a question: route, gather, generate, report. Reads a memory, never changes it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from memtune.asked import note as note_asked
from memtune.config import Config, DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.experts import Expert, Kind
from memtune.core.generate import Decoder, Reply, Request, decode, pieces
from memtune.core.kinds import KINDS
from memtune.core.prompts import Prompt
from memtune.core.reports import Answer, Used, UsedSkill
from memtune.errors import UnknownFact, UsageError
from memtune.gaps import FieldFacts, Told, fits, names_key, open_field
from memtune.inbox import Inbox, Why
from memtune.questions import NOTHING_HIDDEN, Asked, Prepared, Question, Schema, Use, last_said, require_askable
from memtune.residents import Residents, Views
from memtune.router.route import Owner, Proposal, Route
from memtune.router.router import Router
from memtune.router.wishes import own_form
from memtune.store import Manifest, MemoryFolder, Segment
from memtune.structured import Constraints, Filling

_MOST_RIVALS = 4
"""Facts that are named when it is asked which is meant."""
_BRIEFLY = 0.1
"""Seconds that a field which opens waits for the memory at most; then no fact is looked for."""
_FIELD = "field"
"""Stands for a kind where an answer is said in the field of a form, as it is stored."""


class Answering:
    """Answers questions with a memory at the version it stands at, or with the plain backbone."""

    def __init__(self, backbone: Backbone, folder: MemoryFolder | None, router: Router | None, config: Config) -> None:
        self.backbone, self.folder, self.router, self.config = backbone, folder, router, config
        self.kinds: dict[str, Kind] = {name: kind(config) for name, kind in KINDS.items()}
        self.inbox = Inbox(folder.path, config.inbox) if folder is not None else None
        self.clock: Callable[[], float] = time.time
        """Seconds since 1970, by which facts begin and cease to hold."""
        self._lock = threading.RLock()
        """Held while a question is routed and its experts are gathered: both come from one version."""
        self._residents = Residents(folder, self.kinds)
        self._views = Views(router, self._residents, self._knows) if router is not None else None

    @contextmanager
    def moving(self, manifest: Manifest) -> Iterator[None]:
        """While inside, the router changes; afterwards questions are answered at this version."""
        with self._lock:
            yield
            self._residents.stand_at(manifest)
            if self.router is not None:
                self.router.knowing = any(self._knows(segment) for segment in manifest.held.values())
                self.router.fact_of = self._told

    @contextmanager
    def _briefly(self) -> Iterator[bool]:
        """Whether the lock is held. While one memory takes in a version, a batch of many does not wait for it."""
        held = self._lock.acquire(timeout=_BRIEFLY)
        try:
            yield held
        finally:
            if held:
                self._lock.release()

    def _told(self, owner: Owner) -> tuple[str, str] | None:
        """Question and answer of a fact, if it holds at this moment. Nothing is locked here: the router asks."""
        with suppress(UnknownFact):
            fact = self._residents.record(owner)
            return (fact.question, fact.answer) if fact.validity.holds(self.clock()) else None
        return None

    def _knows(self, segment: Segment) -> bool:
        """Whether its facts can be used without being recited."""
        return any(not kind.recites and name in segment.shards for name, kind in self.kinds.items())

    # ---- phases -------------------------------------------------------------------------------------------------

    def ask(
        self,
        questions: Sequence[Question],
        config: DecodeConfig,
        *,
        memory: bool,
        raw: bool,
        proof: bool = False,
        hidden: frozenset[str] = NOTHING_HIDDEN,
        schema: Schema | None = None,
    ) -> list[Answer]:
        """Answers in the order of the questions. `proof`: facts are shown to be recalled, also those whose time has not
        come; else what stays unanswered may go into the inbox. `hidden`: groups whose facts are as if they were not
        there; `schema`: what the replies follow."""
        asked = self._begin(questions, memory=memory, raw=raw, proof=proof, hidden=hidden, schema=schema)
        answers = {i: said for i, a in enumerate(asked) if (said := self._instead(a, config, memory))}
        live = sorted((i for i in range(len(asked)) if i not in answers), key=lambda i: len(asked[i].prompt.ids))
        for start in range(0, len(live), config.batch_size):
            part = live[start : start + config.batch_size]  # no more experts are held than decode side by side
            requests = [self._request(asked[i], config, memory, proof) for i in part]
            for i, reply in zip(part, decode(self.backbone, self._acting(memory), requests, config), strict=True):
                answers[i] = self._report(asked[i], reply)
        if memory and not proof:
            self._note_use(asked, [answers[i] for i in range(len(asked))])
        return [answers[i] for i in range(len(asked))]

    def stream(
        self,
        question: Question,
        config: DecodeConfig,
        *,
        memory: bool,
        raw: bool,
        hidden: frozenset[str] = NOTHING_HIDDEN,
        schema: Schema | None = None,
    ) -> Iterator[str | Answer]:
        """Pieces of the reply as they are said, and the whole answer at the end."""
        (asked,) = self._begin([question], memory=memory, raw=raw, hidden=hidden, schema=schema)
        answer = self._instead(asked, config, memory)
        if answer is not None:
            yield answer.text
        else:
            decoder = Decoder(self.backbone, self._acting(memory), [self._request(asked, config, memory)], config)
            yield from pieces(decoder)
            answer = self._report(asked, decoder.replies[0])
        if memory:
            self._note_use([asked], [answer])
        yield answer

    def prepare(
        self,
        question: Question,
        config: DecodeConfig,
        *,
        memory: bool,
        raw: bool,
        draw: int = 0,
        schema: Schema | None = None,
        hidden: frozenset[str] = NOTHING_HIDDEN,
    ) -> Prepared:
        """A question with its experts, for one who decodes it beside others. `draw`: which of several replies to it."""
        (asked,) = self._begin([question], memory=memory, raw=raw, hidden=hidden, schema=schema)
        asked.draw = draw
        if answer := self._instead(asked, config, memory):
            return Prepared(asked, answer=answer)
        return Prepared(asked, self._request(asked, config, memory))

    @property
    def notes_use(self) -> bool:
        """Whether a report writes something down, and so may have to wait for another process."""
        return self.folder is not None and (self.config.inbox.keep or self.config.consolidate.count_asked)

    def report(self, prepared: Prepared, reply: Reply | None) -> Answer:
        """The answer that a reply gives; None: it was answered already."""
        answer = prepared.answer
        if answer is None:
            assert reply is not None
            answer = self._report(prepared.asked, reply)
        if self.folder is not None:
            self._note_use([prepared.asked], [answer])
        return answer

    def reply(
        self,
        question: Question,
        config: DecodeConfig,
        *,
        memory: bool,
        raw: bool,
        hidden: frozenset[str] = NOTHING_HIDDEN,
    ) -> tuple[Reply, list[str]]:
        """What is decoded, with the logits of every step, and the facts that acted."""
        (asked,) = self._begin([question], memory=memory, raw=raw, hidden=hidden)
        request = self._request(asked, config, memory)
        (reply,) = decode(self.backbone, self._acting(memory), [request], config, keep_logits=True)
        return reply, [*(use.id for use in asked.used), *(f"skill {skill.name}" for skill in asked.skills)]

    def request(self, question: Question, *, memory: bool, raw: bool = False) -> Request:
        """One question with the experts of the facts that it asks for, as it would be decoded."""
        (asked,) = self._begin([question], memory=memory, raw=raw)
        return self._request(asked, self.config.decode, memory)

    def _begin(
        self,
        questions: Sequence[Question],
        *,
        memory: bool,
        raw: bool,
        proof: bool = False,
        hidden: frozenset[str] = NOTHING_HIDDEN,
        schema: Schema | None = None,
    ) -> list[Asked]:
        prompts = [self.prompt(q, raw=raw) for q in questions]
        before: Counter[tuple[int, ...]] = Counter()
        asked = []
        for question, prompt in zip(questions, prompts, strict=True):
            one = Asked(question, prompt, Route(), before[prompt.ids], self._version, hidden=hidden, schema=schema)
            asked.append(one)
            if memory and self.folder is not None:
                self._route(asked[-1], proof)
            before[prompt.ids] += 1
        return asked

    def _route(self, asked: Asked, proof: bool) -> None:
        with self._lock:
            asked.version, asked.route = self._version, self.route(asked.question, asked.hidden)
            confirmed = [p for p in asked.route.confirmed if proof or self.in_force(p.owner)]
            asked.chosen = [p for p in confirmed if self._can_serve(p)]
            asked.skills = self._opened(asked)

    def _request(self, asked: Asked, config: DecodeConfig, memory: bool, proof: bool = False) -> Request:
        """The experts that the question needs, from the version that it was routed at."""
        with self._lock:
            if asked.version != self._version and memory:
                self._route(asked, proof)
            return self._gather(asked, config, memory)

    def prompt(self, question: Question, *, raw: bool) -> Prompt:
        require_askable(question, self.backbone)
        if raw:
            if not isinstance(question, str):
                raise UsageError("a raw prompt is one text, not a list of messages")
            return self.backbone.template.raw(question)
        messages = [{"role": "user", "content": question}] if isinstance(question, str) else question
        return self.backbone.template.render(messages)

    def route(self, question: Question, hidden: frozenset[str] = NOTHING_HIDDEN) -> Route:
        """The facts that a question, or the last message of a chat, asks for."""
        router = self._router_for(hidden)
        return router.route(question) if isinstance(question, str) else router.route_chat(question)

    def _router_for(self, hidden: frozenset[str]) -> Router:
        """The router of those to whom these groups of facts are hidden."""
        assert self.router is not None
        assert self._views is not None
        if not hidden:
            return self.router
        with self._lock:
            return self._views.of(hidden)

    def _can_serve(self, proposal: Proposal) -> bool:
        """A fact that may only be used, not recited, needs an expert that knows it."""
        return proposal.recite or any(not self.kinds[name].recites for name in self.experts(proposal.owner))

    def _opened(self, asked: Asked) -> tuple[UsedSkill, ...]:
        """The skills that act: all that the question opens, but none beside a fact that is recited. That it is recited
        was proved on the model as it is without them."""
        if not asked.route.skills or any(self._is_recited(asked, proposal) for proposal in asked.chosen):
            return ()
        return tuple(UsedSkill(name, score) for name, score in asked.route.skills if self._residents.has_skill(name))

    def _is_recited(self, asked: Asked, proposal: Proposal) -> bool:
        """Whether the stored answer is said. Where another form of it is wanted, an expert that knows it serves better,
        if there is one."""
        if not proposal.recite:
            return False
        held = self._residents.fact(proposal.owner)
        recite = {self.kinds[name].recites for name in held.experts}
        if recite != {True, False}:
            return True in recite
        return not own_form(last_said(asked.question)) or own_form(held.question)

    def _gather(self, asked: Asked, config: DecodeConfig, memory: bool) -> Request:
        if asked.schema is not None:
            return self._gather_form(asked, asked.schema, config, memory)
        experts: dict[str, list[Expert]] = {}
        for proposal in asked.chosen:
            for name, expert in self._use(asked, proposal).items():
                experts.setdefault(name, []).append(expert)
        if not memory or not config.reroute or self.folder is None:
            return Request(asked.prompt, self._with_skills(experts, asked), draw=asked.draw)

        def find_gap(said: str) -> Mapping[str, Sequence[Expert]]:
            name = open_field(said)
            if name is None:  # seen without the lock, which another thread may hold for long
                return {}
            with self._briefly() as held:
                found = self._gap(asked, said, name) if held and asked.version == self._version else None
                reciting = self._use(asked, found, recited=True) if found and self.in_force(found.owner) else {}
            return {name: [expert] for name, expert in reciting.items()}

        at_once = {} if experts else find_gap(asked.prompt.tail)
        if at_once:
            asked.skills = ()
            return Request(asked.prompt, at_once, find_gap, end=False, draw=asked.draw)
        return Request(asked.prompt, self._with_skills(experts, asked), find_gap, draw=asked.draw)

    def _gather_form(self, asked: Asked, schema: Schema, config: DecodeConfig, memory: bool) -> Request:
        """A reply that follows a schema: what knows stands beside the prompt, what recites is said in its field."""
        experts: dict[str, list[Expert]] = {}
        for proposal in asked.chosen:
            for name, expert in self._use(asked, proposal, recited=False).items():
                experts.setdefault(name, []).append(expert)
        constraint = Constraints.of(self.backbone).make(
            schema,
            most=min(self.backbone.context - len(asked.prompt.ids), config.max_new_tokens),
            find=self._field_facts(asked, schema, config) if memory and self.folder is not None else None,
        )
        return Request(asked.prompt, self._with_skills(experts, asked), draw=asked.draw, constraint=constraint)

    def _field_facts(self, asked: Asked, schema: Schema, config: DecodeConfig) -> FieldFacts:
        text = last_said(asked.question)
        recited = [told for p in asked.chosen if p.recite and (told := self._tell(asked, p))]

        def named(name: str) -> Told | None:
            with self._briefly() as held:
                if not held or not config.reroute or asked.version != self._version:
                    return None
                found = self._router_for(asked.hidden).route_gap(text, name)
                return self._tell(asked, found) if found and self.in_force(found.owner) else None

        return FieldFacts(Constraints.of(self.backbone).form(schema), recited, named)

    def _tell(self, asked: Asked, proposal: Proposal) -> Told | None:
        """A fact for a field; it is noted as used when it is said there."""
        with suppress(UnknownFact):
            held = self._residents.fact(proposal.owner)
            use = Use(proposal, held.id, held.source, (_FIELD,))
            said = Filling(held.answer, lambda name: asked.used.append(replace(use, field=name)))
            return Told(held.id, held.question, said)
        return None

    def _with_skills(self, experts: Mapping[str, Sequence[Expert]], asked: Asked) -> Mapping[str, Sequence[Expert]]:
        """The facts' experts, and behind them those of the skills that act."""
        joined = {name: list(chosen) for name, chosen in experts.items()}
        for skill in asked.skills:
            for name, expert in self._residents.skill(skill.name).items():
                joined.setdefault(name, []).append(expert)
        return joined

    def _use(self, asked: Asked, proposal: Proposal, *, recited: bool | None = None) -> dict[str, Expert]:
        """The experts of a fact that act in this reply, noted as used; none where it was forgotten meanwhile.
        `recited`: whether those that recite act or those that know; None: as the question wants it."""
        try:
            held = self._residents.fact(proposal.owner)
        except UnknownFact:
            return {}
        recited = self._is_recited(asked, proposal) if recited is None else recited
        acting = {name: expert for name, expert in held.experts.items() if self.kinds[name].recites == recited}
        if acting:
            asked.used.append(Use(proposal, held.id, held.source, tuple(acting)))
        return acting

    def _gap(self, asked: Asked, said: str, name: str) -> Proposal | None:
        """The fact that a field which opens at the end of what was said asks for: one that the field names, or the only
        one that was asked for, where the message says that its answer belongs there."""
        text = last_said(asked.question)
        found = self._router_for(asked.hidden).route_gap(text, name)
        if not asked.chosen:
            return found
        if found is None and len(asked.chosen) == 1 and asked.chosen[0].recite and names_key(text, name):
            found = asked.chosen[0]
        with suppress(UnknownFact):  # beside a fact that is used the model writes the quotes, which it must also close
            return found if found and fits(self._residents.fact(found.owner).answer, said) else None
        return None

    def _acting(self, memory: bool) -> list[Kind]:
        return list(self.kinds.values()) if memory and self.folder is not None else []

    # ---- experts ------------------------------------------------------------------------------------------------

    def experts(self, owner: Owner) -> dict[str, Expert]:
        """A fact's experts by kind, read from its shards once."""
        return self._residents.fact(owner).experts

    def describe(self, owner: Owner) -> tuple[str, str | None]:
        """A fact's id and source."""
        held = self._residents.fact(owner)
        return held.id, held.source

    def in_force(self, owner: Owner) -> bool:
        """Whether the fact holds at this moment. One that does not is nobody's answer, though it is in the memory."""
        try:
            return self._residents.fact(owner).validity.holds(self.clock())
        except UnknownFact:
            return False

    def forget(self, owners: Sequence[Owner]) -> None:
        """Nothing of these facts stays in this process."""
        self._residents.forget(owners)

    # ---- reporting ----------------------------------------------------------------------------------------------

    def _instead(self, asked: Asked, config: DecodeConfig, memory: bool) -> Answer | None:
        """What is said without asking the model: that the memory does not know, or which fact could be meant."""
        if not memory or asked.chosen or asked.skills or self._is_told_by_fields(asked, config):
            return None
        if config.unknown == "abstain":
            return self._without_model(asked, config.abstention, abstained=True)
        rivals = self._rivals(asked.route) if config.unknown == "clarify" else {}
        if len(rivals) < 2:
            return None
        *others, last = (f"“{question.rstrip(' ?.!')}”" for question in rivals.values())
        sentence = config.clarification.replace("{questions}", f"{', '.join(others)} or {last}")
        return self._without_model(asked, sentence, clarifies=tuple(rivals))

    def _is_told_by_fields(self, asked: Asked, config: DecodeConfig) -> bool:
        """Whether the reply follows a form, and fields of it name facts."""
        looked = config.unknown != "base" and asked.schema is not None and self.folder is not None
        return looked and self._field_facts(asked, asked.schema or {}, config).any_named

    def _without_model(self, asked: Asked, text: str, **marked: Any) -> Answer:
        return Answer(text, version=asked.version, prompt_tokens=len(asked.prompt.ids), **marked)

    def _rivals(self, route: Route) -> dict[str, str]:
        """Ids and questions of the facts that fit alike."""
        found = {}
        for rival in route.rivals[:_MOST_RIVALS]:
            with suppress(UnknownFact):
                held = self._residents.fact(rival.owner)
                if held.validity.holds(self.clock()):
                    found[held.id] = held.question
        return found

    def _report(self, asked: Asked, reply: Reply) -> Answer:
        best_first = sorted(asked.used, key=lambda use: -use.proposal.score)
        used: dict[Owner, Used] = {}
        for use in best_first:
            told, before = use.report(), used.get(use.proposal.owner)
            used[use.proposal.owner] = told if before is None else replace(before, kind=_both(before.kind, told.kind))
        return Answer(
            text=reply.text.strip(),
            facts=tuple(used.values()),
            skills=asked.skills,
            fired=bool(used),
            version=asked.version,
            tokens=tuple(reply.tokens),
            prompt_tokens=len(asked.prompt.ids),
            finish=reply.finish,
            scores=tuple(reply.scores),
        )

    @property
    def _version(self) -> int | None:
        return self._residents.version

    def _note_use(self, asked: Sequence[Asked], answers: Sequence[Answer]) -> None:
        """Questions that no fact answered, for the owner of the memory, and how often the others were used."""
        if self.inbox is None or self.folder is None:
            return
        if self.config.consolidate.count_asked and any(answer.facts for answer in answers):
            note_asked(self.folder.path, (fact.id for answer in answers for fact in answer.facts))
        for one, answer in zip(asked, answers, strict=True):
            if not answer.fired and not answer.skills and one.route.asked and not self._is_kept_from(one):
                why: Why = "abstained" if answer.abstained else "clarified" if answer.clarifies else "base"
                self.inbox.keep(one.route.in_short, why)

    def _is_kept_from(self, asked: Asked) -> bool:
        """Whether a question goes unanswered only because facts are hidden: the owner has nothing to teach there."""
        return self.config.inbox.keep and bool(asked.hidden) and bool(self.route(asked.question).confirmed)


def _both(kinds: str, others: str) -> str:
    """Kinds that acted at different places of one reply."""
    return "+".join(dict.fromkeys([*kinds.split("+"), *others.split("+")]))
