"""The right facts in the prompt, at the better of two places: what the backbone can do when it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from memtune.answering import Question
from memtune.core.prompts import Message
from memtune.evaluate.cases import Case, Said
from memtune.evaluate.rungs.tuning import best, reached, sample
from memtune.evaluate.workbench import Workbench


class Oracle:
    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        cases = sample(bench.tuning)
        tried = {place: reached(cases, self.at(place, cases)) for place in PLACES}
        self._place, self._reached = best(tried)

    def answer(self, cases: Sequence[Case]) -> list[Said]:
        return self.at(self._place, cases)

    def describe(self) -> str:
        return f"the facts asked for in the prompt, {self._place} (offline retrieval without a fault){self._reached}"

    def at(self, place: str, cases: Sequence[Case]) -> list[Said]:
        """A reply to each, the facts in this place; a form that is not decoded says otherwise how it is answered."""
        return self._bench.ask(cases, lambda case: self.put(place, case), memory=False)

    def put(self, place: str, case: Case) -> Question:
        """What is asked, with the facts in this place."""
        return PLACES[place](self._told(case), case)

    def _told(self, case: Case) -> str:
        facts = [self._bench.by_id[fact] for fact in case.facts if fact in self._bench.by_id]
        return "\n".join(f"{fact.question} {fact.answer}" for fact in facts)


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


def with_turns(turns: Sequence[Message], chat: Sequence[Message]) -> list[Message]:
    """Turns before what a chat begins with, behind its system text."""
    first = 1 if chat[0]["role"] == "system" else 0
    return [*chat[:first], *turns, *chat[first:]]
