"""What all arms of a measurement of use share: the workbench of the ladder, and how replies are judged here."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass

from memtune.answering import Answering, Question
from memtune.config import DecodeConfig
from memtune.evaluate import likelihood, rungs
from memtune.evaluate.cases import Case, Said
from memtune.evaluate.rungs import Rung
from memtune.evaluate.rungs.oracle import PLACES, Oracle
from memtune.evaluate.use.forms import LIKELIEST
from memtune.evaluate.use.right import right
from memtune.evaluate.workbench import Workbench

_ROOM = 48
"""Tokens at least: to work a fact into words takes more of them than the fact has."""


@dataclass
class UseBench(Workbench):
    limit: int | None = None
    """Tokens of a reply while the time to the first one is taken."""

    def decoding(self, cases: Sequence[Case]) -> DecodeConfig:
        config = super().decoding(cases)
        return dataclasses.replace(config, max_new_tokens=self.limit or max(_ROOM, config.max_new_tokens))

    def first_token_seconds(self, rung: Rung, cases: Sequence[Case]) -> list[float]:
        """One question at a time, until the first token is there; the first round warms up."""
        taken = []
        self.limit = 1
        try:
            for case in [*cases[:1], *cases]:
                begin = time.perf_counter()
                rung.answer([case])
                taken.append(time.perf_counter() - begin)
        finally:
            self.limit = None
        return taken[1:]


class Remembering:
    """The memory as it is served by default: what it does not know, the backbone answers."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    def answer(self, cases: Sequence[Case]) -> list[Said]:
        return self._bench.ask(cases, lambda case: case.question, memory=True)

    def describe(self) -> str:
        return "the memory through its router; what it does not know, the backbone answers"


class Told(Oracle):
    """The oracle, its place chosen by how many replies are right in the form that is asked."""

    def _right(self, place: str, cases: Sequence[Case]) -> int:
        if cases and cases[0].form == LIKELIEST:
            return sum(right(c, s.text) for c, s in zip(cases, self.choose(cases, place), strict=True))
        return sum(right(c, s.text) for c, s in zip(cases, self._at(place, cases), strict=True))

    def choose(self, cases: Sequence[Case], place: str | None = None) -> list[Said]:
        put = PLACES[place or self._place]
        questions = [put(self._told(case), case) for case in cases]
        return likeliest(self._bench.model.memory.answering, cases, questions, memory=False)


class _Looked:
    """What a lookup table would choose: the option that the stored strings hold; where none does, none."""

    def __init__(self, rung: Rung) -> None:
        self._rung = rung

    def choose(self, cases: Sequence[Case]) -> list[Said]:
        return [
            dataclasses.replace(said, text=next((o for o in case.options if o in said.text), ""))
            for case, said in zip(cases, self._rung.answer(cases), strict=True)
        ]


def make(name: str, bench: UseBench) -> Rung:
    """The rung of this name for one form; the oracle and the memory as they are needed here."""
    if name == "oracle":
        return Told(bench)
    return Remembering(bench) if name == "memory" else rungs.make(name, bench)


def answers(name: str, rung: Rung, bench: UseBench, cases: Sequence[Case]) -> list[Said] | None:
    """A reply to each, or the likeliest option; None where this rung has no likelihood to ask for."""
    if not cases or cases[0].form != LIKELIEST:
        return rung.answer(cases)
    if isinstance(rung, Told):
        return rung.choose(cases)
    if name == "lookup":
        return _Looked(rung).choose(cases)
    if name not in ("base", "memory"):
        return None
    questions = [case.question for case in cases]
    return likeliest(bench.model.memory.answering, cases, questions, memory=name == "memory")


def likeliest(
    answering: Answering, cases: Sequence[Case], questions: Sequence[Question], *, memory: bool
) -> list[Said]:
    """The option that is likeliest token for token."""
    begin = time.perf_counter()
    asked = [(question, case.options) for question, case in zip(questions, cases, strict=True)]
    found = likelihood.scores(answering, asked, memory=memory)
    each = (time.perf_counter() - begin) / max(1, len(cases))
    lengths = [len(answering.prompt(question, raw=False).ids) for question in questions]
    return [
        Said(case.options[likelihood.best(scores)], prompt_tokens=tokens, seconds=each)
        for case, scores, tokens in zip(cases, found, lengths, strict=True)
    ]
