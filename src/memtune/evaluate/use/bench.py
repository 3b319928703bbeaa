"""What all arms of a measurement of use share: the workbench of the ladder, and how replies are judged here."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

from memtune.answering import Answering
from memtune.config import DecodeConfig
from memtune.core.facts import Fact
from memtune.evaluate import likelihood, rungs
from memtune.evaluate.cases import Case, Said
from memtune.evaluate.rungs import Rung
from memtune.evaluate.rungs.oracle import Oracle, Telling
from memtune.evaluate.use.forms import LIKELIEST
from memtune.evaluate.use.right import holds
from memtune.evaluate.workbench import Workbench
from memtune.questions import Question
from memtune.router.route import Owner, Proposal, Route

HANDED, SAME_FACTS = "memory, handed over", "rag, same facts"
"""Arms that only this measurement has."""
_ROOM = 48
"""Tokens at least: to work a fact into words takes more of them than the fact has."""


class UseBench(Workbench):
    def decoding(self, cases: Sequence[Case]) -> DecodeConfig:
        config = super().decoding(cases)
        if self.longest_reply is not None:
            return config
        return dataclasses.replace(config, max_new_tokens=max(_ROOM, config.max_new_tokens))


class Remembering:
    """The memory as it is served by default: what it does not know, the backbone answers."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    def answer(self, cases: Sequence[Case]) -> list[Said]:
        if _by_likelihood(cases):
            return likeliest(self._bench.model.memory.answering, cases, [c.question for c in cases], memory=True)
        return self._bench.ask(cases, lambda case: case.question, memory=True)

    def describe(self) -> str:
        return "the memory through its router; what it does not know, the backbone answers"


class Handing(Answering):
    """Answers with the facts that it is handed for each question, whatever a router would find."""

    def __init__(self, answering: Answering) -> None:
        super().__init__(answering.backbone, answering.folder, answering.router, answering.config)
        self.given: dict[str, Sequence[str]] = {}
        """Ids of facts, by question."""

    def route(self, question: Question, hidden: frozenset[str] = frozenset()) -> Route:
        assert self.folder is not None
        facts = self.given.get(str(question), ())
        held = self.folder.find(facts) if facts else {}
        owners = [(held[fact].segment, held[fact].row) for fact in facts if fact in held]
        return Route(confirmed=tuple(self._handed(owner, str(question)) for owner in owners))

    def _handed(self, owner: Owner, question: str) -> Proposal:
        """Where a fact has an expert that knows it, only that one acts: it is use that is asked for."""
        knows = any(not self.kinds[name].recites for name in self.experts(owner))
        return Proposal(owner, 1.0, True, "handed over", question, recite=not knows)


class HandedOver:
    """The memory's experts of exactly the right facts: does an expert know, were it found."""

    def __init__(self, bench: Workbench) -> None:
        self._bench, self._answering = bench, Handing(bench.model.memory.answering)

    def answer(self, cases: Sequence[Case]) -> list[Said]:
        self._answering.given = {str(case.question): case.facts for case in cases}
        questions = [case.question for case in cases]
        if _by_likelihood(cases):
            return likeliest(self._answering, cases, questions, memory=True)
        begin = time.perf_counter()
        answers = self._answering.ask(questions, self._bench.decoding(cases), memory=True, raw=False)
        each = (time.perf_counter() - begin) / max(1, len(cases))
        return [
            Said(a.text, facts=tuple(used.id for used in a.facts), fired=a.fired, prompt_tokens=a.prompt_tokens,
                 new_tokens=len(a.tokens), seconds=each)
            for a in answers
        ]  # fmt: skip

    def describe(self) -> str:
        return "the memory's experts of the right facts, handed over without a router"


class Told(Oracle):
    """The oracle: where the likeliest option is asked for, its telling is chosen by the likeliest options too."""

    def at(self, way: Telling, cases: Sequence[Case]) -> list[Said]:
        if not _by_likelihood(cases):
            return super().at(way, cases)
        questions = [self.put(way, case) for case in cases]
        return likeliest(self._bench.model.memory.answering, cases, questions, memory=False)


class SameFacts(Told):
    """Retrieval by the memory's own router: the facts that it confirms stand as text in the prompt."""

    def __init__(self, bench: Workbench) -> None:
        self._found: dict[int, list[Fact]] = {}
        super().__init__(bench)

    def told(self, case: Case) -> list[Fact]:
        return self._found[id(case)]

    def at(self, way: Telling, cases: Sequence[Case]) -> list[Said]:
        begin = time.perf_counter()
        self._found = {id(case): self._confirmed(case) for case in cases}
        each = (time.perf_counter() - begin) / max(1, len(cases))
        said = super().at(way, cases)
        found = [(tuple(fact.id for fact in self.told(case)), one) for case, one in zip(cases, said, strict=True)]
        return [dataclasses.replace(one, facts=ids, fired=bool(ids), seconds=one.seconds + each) for ids, one in found]

    def _confirmed(self, case: Case) -> list[Fact]:
        answering = self._bench.model.memory.answering
        found = [p.owner for p in answering.route(case.question).confirmed if answering.in_force(p.owner)]
        return [self._bench.by_id[answering.describe(owner)[0]] for owner in found]

    def describe(self) -> str:
        return f"the facts that the memory's router confirms, as text in the prompt, {self._way}{self._reached}"


class _Looked:
    """What a lookup table would choose: the option that the stored strings hold; where none does, none."""

    def __init__(self, rung: Rung) -> None:
        self._rung = rung

    def choose(self, cases: Sequence[Case]) -> list[Said]:
        return [
            dataclasses.replace(said, text=next((o for o in case.options if holds(said.text, o)), ""))
            for case, said in zip(cases, self._rung.answer(cases), strict=True)
        ]


_OWN: dict[str, Callable[[Workbench], Rung]] = {
    "oracle": Told,
    "memory": Remembering,
    HANDED: HandedOver,
    SAME_FACTS: SameFacts,
}


def make(name: str, bench: UseBench) -> Rung:
    """The rung of this name for one form; the oracle and the memory as they are needed here."""
    return _OWN[name](bench) if name in _OWN else rungs.make(name, bench)


def answers(name: str, rung: Rung, bench: UseBench, cases: Sequence[Case]) -> list[Said] | None:
    """A reply to each, or the likeliest option; None where this rung has no likelihood to ask for."""
    if name in _OWN or not _by_likelihood(cases):
        return rung.answer(cases)
    if name == "lookup":
        return _Looked(rung).choose(cases)
    if name != "base":
        return None
    return likeliest(bench.model.memory.answering, cases, [case.question for case in cases], memory=False)


def _by_likelihood(cases: Sequence[Case]) -> bool:
    return bool(cases) and cases[0].form == LIKELIEST


def likeliest(
    answering: Answering, cases: Sequence[Case], questions: Sequence[Question], *, memory: bool
) -> list[Said]:
    """The option that is likeliest token for token."""
    begin = time.perf_counter()
    asked = [(question, case.options) for question, case in zip(questions, cases, strict=True)]
    found = likelihood.scores(answering, asked, memory=memory)
    each = (time.perf_counter() - begin) / max(1, len(cases))
    lengths = [len(answering.prompt(question, raw=False).ids) for question in questions]
    said = [
        Said(case.options[likelihood.best(scores)], prompt_tokens=tokens, seconds=each)
        for case, scores, tokens in zip(cases, found, lengths, strict=True)
    ]
    if not memory:
        return said
    used = [_acting(answering, question) for question in questions]
    return [dataclasses.replace(s, facts=ids, fired=bool(ids)) for s, ids in zip(said, used, strict=True)]


def _acting(answering: Answering, question: Question) -> tuple[str, ...]:
    """The facts whose experts would act on the reply, from its beginning on."""
    by_kind = answering.request(question, memory=True).experts
    return tuple(dict.fromkeys(expert.id for experts in by_kind.values() for expert in experts))
