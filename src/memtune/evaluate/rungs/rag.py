"""Retrieval: the facts as text, the best of them in the prompt; how they are put is tuned on the split."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass

from memtune.core.facts import Fact
from memtune.core.prompts import Message
from memtune.evaluate.cases import Case, Said
from memtune.evaluate.retrieval import PLAINLY, WORDINGS, Passages, hits, passage, queries
from memtune.evaluate.rungs.oracle import PLACES, with_turns
from memtune.evaluate.rungs.prompt import BRIEF, Examples, messages
from memtune.evaluate.rungs.tuning import Reached, best, reached, sample
from memtune.evaluate.workbench import Workbench
from memtune.questions import Question

INSTRUCTIONS = ("", BRIEF, f"{BRIEF} If these lines do not hold it, say “I don't know.”")
KS = (1, 2, 3, 5)
_AT_FIRST, _SHOTS = (1, 3), 2
_WITHHELD = 5
"""Of so many tuning cases one is asked a second time without its fact: saying so is what is right then. Odd, so that
both learned and other wordings, which take turns, are among them."""
_WITHOUT = "its fact is withheld"


@dataclass(frozen=True)
class Way:
    """How passages are put."""

    place: str = next(iter(PLACES))
    wording: str = PLAINLY
    instruction: str = ""
    k: int = _AT_FIRST[0]
    shots: int = 0
    """Examples before the question, as chat turns."""

    def put(self, case: Case, shown: Sequence[Fact], examples: Sequence[tuple[Fact, Sequence[Fact]]]) -> Question:
        lines = "\n".join(passage(fact, self.wording) for fact in shown)
        told = PLACES[self.place]("\n\n".join(part for part in (self.instruction, lines) if part), case)
        return with_turns(self._turns(examples), told) if examples and not isinstance(told, str) else told

    def chat(self, case: Case) -> Case:
        """A case to which turns can be added."""
        return case if case.raw or not self.shots else dataclasses.replace(case, question=messages(case))

    def _turns(self, examples: Sequence[tuple[Fact, Sequence[Fact]]]) -> list[Message]:
        turns: list[Message] = []
        for fact, shown in examples:
            put = dataclasses.replace(self, shots=0).put(Case("", fact.question), shown, ())
            turns.append({"role": "user", "content": str(put)})
            turns.append({"role": "assistant", "content": fact.answer})
        return turns

    def __str__(self) -> str:
        told = f"“{self.instruction}”" if self.instruction else "no instruction"
        shots = f", {self.shots} worked examples" if self.shots else ""
        return f"{self.k} passages {self.place}, {self.wording}, {told}{shots}"


class Rag:
    def __init__(self, bench: Workbench) -> None:
        self._bench, self._examples = bench, Examples(bench)
        self._passages = Passages(bench.facts, bench.model.memory.router.matcher.encoder)
        self._passages.tune(bench.tuning)
        self._withheld = [_without_its_fact(case) for case in sample(bench.tuning)[::_WITHHELD]]
        self._tried: dict[Way, Reached] = bench.once("ways of rag", dict)
        self.way = self._tuned()
        self._hits = hits((case, self._found(case, self.way.k)) for case in bench.tuning)

    def answer(self, cases: Sequence[Case]) -> list[Said]:
        return self._with(self.way, cases)

    def describe(self) -> str:
        found = f", the right fact among them in {100 * self._hits:.1f} %" if self._bench.tuning else ""
        return (
            f"BM25 and the router's encoder, ranks joined, {self._passages.mix}, over {len(self._bench.facts):,} facts "
            f"as text (offline retrieval): {self.way}{found}; the best of {len(self._tried)} ways"
            f"{self._tried[self.way]}, {len(self._withheld)} times with its fact withheld"
        )

    # ---- tuning -------------------------------------------------------------------------------------------------

    def _tuned(self) -> Way:
        """How passages are worded and where they stand, one or a few of them, first; then the words of the instruction,
        then how many passages, then whether examples help."""
        way = self._best([Way(place, wording, k=k) for wording in WORDINGS for place in PLACES for k in _AT_FIRST])
        way = self._best([dataclasses.replace(way, instruction=text) for text in INSTRUCTIONS])
        way = self._best([dataclasses.replace(way, k=k) for k in KS])
        if self._examples and way.place == Way.place:  # examples cannot have a system text of their own
            way = self._best([way, dataclasses.replace(way, shots=_SHOTS)])
        return way

    def _best(self, ways: Sequence[Way]) -> Way:
        for way in ways:
            if way not in self._tried:
                self._tried[way] = self._measured(way)
        return best({way: self._tried[way] for way in ways})[0]

    def _measured(self, way: Way) -> Reached:
        cases = [*sample(self._bench.tuning), *self._withheld]
        return reached(cases, self._with(way, cases))

    # ---- asking -------------------------------------------------------------------------------------------------

    def _with(self, way: Way, cases: Sequence[Case]) -> list[Said]:
        begin = time.perf_counter()
        reply = self._bench.longest(cases)
        put = {id(case): self._put(way, case, reply) for case in cases}
        each = (time.perf_counter() - begin) / max(len(cases), 1)
        said = self._bench.ask(cases, lambda case: put[id(case)][0], memory=False)
        return [self._said(put[id(c)][1], s, each) for c, s in zip(cases, said, strict=True)]

    def _put(self, way: Way, case: Case, reply: int) -> tuple[Question, Sequence[Fact]]:
        found, chat = self._found(case, way.k), way.chat(case)
        examples = [] if case.raw else self._examples.pick(case, way.shots)
        worked = [(fact, self._passages.search([fact.question], way.k)) for fact in examples]
        return self._bench.fitted(chat, lambda shown: way.put(chat, shown, worked if shown else ()), found, reply)

    def _found(self, case: Case, k: int) -> list[Fact]:
        return self._passages.search(queries(case), k, case.facts if case.extra.get(_WITHOUT) else ())

    def _said(self, shown: Sequence[Fact], reply: Said, seconds: float) -> Said:
        return dataclasses.replace(reply, facts=tuple(fact.id for fact in shown), seconds=reply.seconds + seconds)


def _without_its_fact(case: Case) -> Case:
    """The same question where nothing answers it."""
    return dataclasses.replace(case, answers=(), extra={**case.extra, _WITHOUT: True})
