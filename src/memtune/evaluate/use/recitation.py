"""Is a stored answer recited where none was asked for, and is it exact whatever stands around the question?"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from memtune.core.facts import Fact
from memtune.evaluate.cases import Case, Said
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.scores import plain
from memtune.evaluate.stats import Rate
from memtune.evaluate.surfaces import surroundings
from memtune.evaluate.workbench import Workbench
from memtune.model import MemoryModel
from memtune.questions import Question

OTHER_WISHES = {
    "do not answer": "Do not answer, just say hello. {}",
    "translate": "Translate this question into French: {}",
    "repeat": "Repeat the question: {}",
    "count words": "How many words has this question: {}",
}
"""What is wanted is something else about the question."""


@dataclass(frozen=True)
class Wish:
    """One wish, in which the question is only mentioned."""

    name: str
    recited: Rate
    """The stored answer is in the reply all the same."""
    fired: Rate
    base: Rate
    """The backbone alone has it in its reply, by chance."""


@dataclass(frozen=True)
class Surrounding:
    """The learned question, with something around it."""

    name: str
    exact: Rate
    skipped: int
    """Questions that the context has no room for there."""
    prompt_tokens: float


@dataclass
class Recitation:
    facts: int
    wishes: list[Wish] = field(default_factory=list)
    surroundings: list[Surrounding] = field(default_factory=list)

    def sheets(self, memory: str = "memory") -> list[Sheet]:
        """Of a memory that is called so."""
        wishes = [[w.name, f"{w.recited.n:,}", w.recited.brief, w.fired.brief, w.base.brief] for w in self.wishes]
        about = "Share of replies that hold the stored answer although it was not asked for."
        around = [[s.name, f"{s.exact.n:,}", s.exact.brief, str(s.skipped), f"{s.prompt_tokens:.0f}"]
                  for s in self.surroundings]  # fmt: skip
        asked = ["wish", "n", "recited", "a fact was used", "base"]
        put = ["surroundings", "n", "exact", "do not fit", "prompt tokens"]
        return [
            Sheet(f"{memory}: recited where none was asked for", asked, wishes, about),
            Sheet(f"{memory}: exact, whatever stands around", put, around),
        ]


def recitation(model: MemoryModel, facts: Sequence[Fact], *, seed: int = 0, say: Say = silent) -> Recitation:
    """Both questions on these learned facts."""
    bench = Workbench(model, facts, (), seed)
    result = Recitation(len(facts))
    telling = [fact for fact in facts if not _holds(fact.question, fact.answer)]
    for name, wish in OTHER_WISHES.items():
        result.wishes.append(_wish(bench, name, wish, telling))
        say(f"{name}: recited {result.wishes[-1].recited}")
    for surface in surroundings(model.backbone):
        result.surroundings.append(_surrounding(bench, surface.name, surface.put, facts))
        say(f"{surface.name}: exact {result.surroundings[-1].exact}")
    return result


def _wish(bench: Workbench, name: str, wish: str, facts: Sequence[Fact]) -> Wish:
    cases = _cases(facts, wish.format)
    with_memory = bench.ask(cases, _question, memory=True)
    without = bench.ask(cases, _question, memory=False)
    fired = Rate.of(s.fired for s in with_memory if s.fired is not None)
    return Wish(name, _recited(facts, with_memory), fired, _recited(facts, without))


def _surrounding(bench: Workbench, name: str, put: Callable[[str], Question], facts: Sequence[Fact]) -> Surrounding:
    """Facts whose question and answer fit into the context there."""
    answering = bench.model.memory.answering
    cases = _cases(facts, put)
    lengths = [len(answering.prompt(case.question, raw=False).ids) for case in cases]
    room = bench.backbone.context - bench.decoding(cases).max_new_tokens
    fitting = [i for i, length in enumerate(lengths) if length <= room]
    said = bench.ask([cases[i] for i in fitting], _question, memory=True)
    exact = Rate.of(s.text == facts[i].answer for i, s in zip(fitting, said, strict=True))
    tokens = statistics.fmean(lengths[i] for i in fitting) if fitting else 0.0
    return Surrounding(name, exact, len(facts) - len(fitting), tokens)


def _cases(facts: Sequence[Fact], put: Callable[[str], Question]) -> list[Case]:
    return [Case(fact.id, put(fact.question), (fact.answer,), facts=(fact.id,)) for fact in facts]


def _question(case: Case) -> Question:
    return case.question


def _recited(facts: Sequence[Fact], said: Sequence[Said]) -> Rate:
    return Rate.of(_holds(s.text, fact.answer) for s, fact in zip(said, facts, strict=True))


def _holds(text: str, answer: str) -> bool:
    """As words of their own, however they are written."""
    return f" {plain(answer)} " in f" {plain(text)} "
