"""The right facts in the prompt: what the backbone can do when it is told, in the best place and wording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from memtune.core.facts import Fact
from memtune.core.prompts import Message
from memtune.evaluate.cases import Case, Said
from memtune.evaluate.retrieval import WORDINGS, passage
from memtune.evaluate.rungs.tuning import best, reached, sample
from memtune.evaluate.workbench import Workbench
from memtune.questions import Question


@dataclass(frozen=True)
class Telling:
    """How the facts are put before the model."""

    place: str
    wording: str

    def put(self, facts: Sequence[Fact], case: Case) -> Question:
        return PLACES[self.place]("\n".join(passage(fact, self.wording) for fact in facts), case)

    def __str__(self) -> str:
        return f"{self.place}, {self.wording}"


class Oracle:
    """The right facts in the prompt, at the better of two places and in the best of a few wordings."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        cases = sample(bench.tuning)
        tried = {way: reached(cases, self.at(way, cases)) for way in tellings()}
        self._way, self._reached = best(tried)

    def answer(self, cases: Sequence[Case]) -> list[Said]:
        return self.at(self._way, cases)

    def describe(self) -> str:
        return f"the facts asked for in the prompt, {self._way} (offline retrieval without a fault){self._reached}"

    def at(self, way: Telling, cases: Sequence[Case]) -> list[Said]:
        """A reply to each, the facts told so; a form that is not decoded says otherwise how it is answered."""
        return self._bench.ask(cases, lambda case: self.put(way, case), memory=False)

    def put(self, way: Telling, case: Case) -> Question:
        """What is asked, with the facts told so."""
        return way.put(self.told(case), case)

    def told(self, case: Case) -> list[Fact]:
        """The facts that stand in the prompt of a case."""
        return [self._bench.by_id[fact] for fact in case.facts if fact in self._bench.by_id]


def before(text: str, case: Case) -> Question:
    """In front of the question."""
    if not text:
        return case.question
    if isinstance(case.question, str):
        return f"{text}\n\n{case.question}"
    *earlier, last = case.question
    return [*earlier, {**last, "content": f"{text}\n\n{last['content']}"}]


def as_system(text: str, case: Case) -> Question:
    """As system text, before what there is of it; a raw text has none."""
    if not text or case.raw:
        return before(text, case)
    chat = [{"role": "user", "content": case.question}] if isinstance(case.question, str) else list(case.question)
    if chat[0]["role"] == "system":
        text, chat = f"{text}\n\n{chat[0]['content']}", chat[1:]
    return [{"role": "system", "content": text}, *chat]


PLACES: dict[str, Callable[[str, Case], Question]] = {"before the question": before, "as system text": as_system}


def tellings() -> list[Telling]:
    """Every place with every wording, the plain one first."""
    return [Telling(place, wording) for wording in WORDINGS for place in PLACES]


def with_turns(turns: Sequence[Message], chat: Sequence[Message]) -> list[Message]:
    """Turns before what a chat begins with, behind its system text."""
    first = 1 if chat[0]["role"] == "system" else 0
    return [*chat[:first], *turns, *chat[first:]]
