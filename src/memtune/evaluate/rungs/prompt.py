"""The backbone with a good prompt: an instruction and worked examples, the best of several forms of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from memtune.core.facts import Fact, normalise
from memtune.core.prompts import Message
from memtune.evaluate.cases import Case, Said
from memtune.evaluate.rungs.oracle import as_system, before, with_turns
from memtune.evaluate.rungs.tuning import best, reached, sample
from memtune.evaluate.workbench import Workbench
from memtune.questions import Question

BRIEF = "Answer with the exact answer and nothing else."
OR_UNKNOWN = "If you do not know it, say “I don't know.”"
_SHOTS = 4

Shown = Literal["not at all", "as chat turns", "as one text"]


@dataclass(frozen=True)
class Template:
    """One form of a prompt."""

    instruction: str = ""
    examples: Shown = "not at all"
    nearest: bool = False
    """The examples most like the question, rather than the same ones for all."""

    def put(self, case: Case, examples: Sequence[Fact]) -> Question:
        if self.examples == "as chat turns" and not case.raw:
            return as_system(self.instruction, Case(case.id, with_turns(as_turns(examples), messages(case))))
        shown = "\n\n".join(f"{fact.question}\n{fact.answer}" for fact in examples)
        text = "\n\n".join(part for part in (self.instruction, shown) if part)
        return before(text, case) if shown else as_system(text, case)

    def __str__(self) -> str:
        parts = [f"“{self.instruction}”" if self.instruction else "no instruction"]
        if self.examples != "not at all":
            which = "nearest to the question" if self.nearest else "drawn by the seed"
            parts.append(f"{_SHOTS} examples {which}, {self.examples}")
        return ", ".join(parts)


_SHOWN: tuple[tuple[Shown, bool], ...] = (
    ("not at all", False), ("as chat turns", False), ("as chat turns", True), ("as one text", False),
    ("as one text", True),
)  # fmt: skip
TEMPLATES = (
    Template(),
    *(Template(text, shown, near) for text in (BRIEF, f"{BRIEF} {OR_UNKNOWN}") for shown, near in _SHOWN),
)


class Prompted:
    def __init__(self, bench: Workbench) -> None:
        self._bench, self._examples = bench, Examples(bench)
        cases = sample(bench.tuning)
        templates = [t for t in TEMPLATES if self._examples or t.examples == "not at all"]
        tried = {t: reached(cases, self._with(t, cases)) for t in templates}
        self.template, self._reached = best(tried)
        self._tried = len(tried)

    def answer(self, cases: Sequence[Case]) -> list[Said]:
        return self._with(self.template, cases)

    def describe(self) -> str:
        return f"the best of {self._tried} prompts (parameters only): {self.template}{self._reached}"

    def _with(self, template: Template, cases: Sequence[Case]) -> list[Said]:
        reply = self._bench.longest(cases)

        def put(case: Case) -> Question:
            chosen = self._chosen(template, case)
            return self._bench.fitted(case, lambda shown: template.put(case, shown), chosen, reply)[0]

        return self._bench.ask(cases, put, memory=False)

    def _chosen(self, template: Template, case: Case) -> list[Fact]:
        shots = 0 if template.examples == "not at all" else _SHOTS
        return self._examples.pick(case, shots, nearest=template.nearest)


class Examples:
    """Facts of the tuning split, to be shown as examples; never the one that is asked for."""

    def __init__(self, bench: Workbench) -> None:
        ids = dict.fromkeys(fact for case in bench.tuning for fact in case.facts)
        self._facts = [bench.by_id[fact] for fact in ids if fact in bench.by_id]
        self._encoder = bench.model.memory.router.matcher.encoder
        self._vectors = self._encoder.encode([fact.question for fact in self._facts])

    def __len__(self) -> int:
        return len(self._facts)

    def pick(self, case: Case, n: int, *, nearest: bool = False) -> list[Fact]:
        """n of them; the nearest one stands last, next to the question."""
        if not n or not self._facts:
            return []
        order = list(range(len(self._facts)))
        if nearest:
            order = np.argsort(-(self._vectors @ self._encoder.encode([case.text])[0]), kind="stable").tolist()
        chosen = [self._facts[i] for i in order if not _asks(case, self._facts[i])][:n]
        return chosen[::-1] if nearest else chosen


def _asks(case: Case, fact: Fact) -> bool:
    return fact.id in case.facts or normalise(case.text) in map(normalise, fact.wordings)


def messages(case: Case) -> list[Message]:
    """A case as a chat."""
    if isinstance(case.question, str):
        return [{"role": "user", "content": case.question}]
    return list(case.question)


def as_turns(examples: Sequence[Fact]) -> list[Message]:
    return [
        {"role": role, "content": text}
        for fact in examples
        for role, text in (("user", fact.question), ("assistant", fact.answer))
    ]
