"""What all arms of a measurement of use share: the workbench of the ladder, and how replies are judged here."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

from memtune.answering import Answering, Question
from memtune.config import DecodeConfig
from memtune.evaluate import likelihood, rungs
from memtune.evaluate.ability import fires
from memtune.evaluate.cases import Case, Said
from memtune.evaluate.rungs import Rung
from memtune.evaluate.rungs.oracle import Oracle
from memtune.evaluate.use.forms import LIKELIEST
from memtune.evaluate.use.right import holds
from memtune.evaluate.workbench import Workbench

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
        return self._bench.ask(cases, lambda case: case.question, memory=True)

    def describe(self) -> str:
        return "the memory through its router; what it does not know, the backbone answers"


class Told(Oracle):
    """The oracle: where the likeliest option is asked for, its place is chosen by the likeliest options too."""

    def at(self, place: str, cases: Sequence[Case]) -> list[Said]:
        if not _by_likelihood(cases):
            return super().at(place, cases)
        questions = [self.put(place, case) for case in cases]
        return likeliest(self._bench.model.memory.answering, cases, questions, memory=False)


class _Looked:
    """What a lookup table would choose: the option that the stored strings hold; where none does, none."""

    def __init__(self, rung: Rung) -> None:
        self._rung = rung

    def choose(self, cases: Sequence[Case]) -> list[Said]:
        return [
            dataclasses.replace(said, text=next((o for o in case.options if holds(said.text, o)), ""))
            for case, said in zip(cases, self._rung.answer(cases), strict=True)
        ]


def make(name: str, bench: UseBench) -> Rung:
    """The rung of this name for one form; the oracle and the memory as they are needed here."""
    if name == "oracle":
        return Told(bench)
    return Remembering(bench) if name == "memory" else rungs.make(name, bench)


def answers(name: str, rung: Rung, bench: UseBench, cases: Sequence[Case]) -> list[Said] | None:
    """A reply to each, or the likeliest option; None where this rung has no likelihood to ask for."""
    if isinstance(rung, Told) or not _by_likelihood(cases):
        return rung.answer(cases)
    if name == "lookup":
        return _Looked(rung).choose(cases)
    if name not in ("base", "memory"):
        return None
    questions = [case.question for case in cases]
    return likeliest(bench.model.memory.answering, cases, questions, memory=name == "memory")


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
    return [dataclasses.replace(s, fired=fires(answering, q)) for s, q in zip(said, questions, strict=True)]
