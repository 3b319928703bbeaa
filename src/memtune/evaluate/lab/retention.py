"""What becomes of facts that were learned first, when ten times as many are learned after them.

memtune learns every part into one memory. Beside it one low-rank adapter is trained on one part after the other, the
earlier ones never shown again: the usual way of updating a model, and the one that forgets.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact, wording_hash
from memtune.errors import UsageError
from memtune.evaluate.lab.learners import InMemory, InSequence, Learner
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.stats import Rate
from memtune.model import MemoryModel

_TIMES_MORE = 10
_ASKED = 100
"""Facts of a part that are asked at most."""
_TUNING = 32
_FOR_THE_FIRST = 0.5
"""Of the budget: what was never learned cannot be kept."""
_LEARNED = 0.9
"""Share of the first facts that must be recalled before anything can be said about keeping them."""


@dataclass(frozen=True)
class Step:
    """After one more part."""

    facts: int
    """Learned so far."""
    first: Rate
    """Of the facts that were learned first, those still recalled exactly."""
    newest: Rate
    """The same of the part that was just learned."""
    seconds: float
    how: str


@dataclass
class Retention:
    first: int
    facts: int
    learners: dict[str, list[Step]] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)

    def sheets(self) -> list[Sheet]:
        rows = [
            [name, f"{s.facts:,}", s.first.brief, s.newest.brief, f"{s.seconds:.1f}", s.how]
            for name, steps in self.learners.items()
            for s in steps
        ]
        title = f"Retention: {self.first:,} facts learned first, then {self.facts - self.first:,} more"
        columns = ["learner", "facts so far", "first facts, exact", "newest part, exact", "seconds", "how"]
        notes = [f"{name}: {text}" for name, text in self.about.items()]
        notes += [f"{name} did not learn the first facts in its budget: that it keeps few says nothing"
                  for name in self.not_learned]  # fmt: skip
        return [Sheet(title, columns, rows, "\n".join(notes))]

    @property
    def not_learned(self) -> list[str]:
        """Who never had the first facts to lose."""
        return [name for name, steps in self.learners.items() if (steps[0].first.value or 0.0) < _LEARNED]

    def to_json(self) -> dict[str, object]:
        learners = {name: [vars(step) for step in steps] for name, steps in self.learners.items()}
        return {"first": self.first, "facts": self.facts, "about": self.about, "learners": learners,
                "not_learned": self.not_learned}  # fmt: skip


def retention(
    backbone: Backbone,
    facts: Sequence[Fact],
    *,
    steps: int = 5,
    seed: int = 0,
    budget_seconds: float = 300.0,
    peers: bool = True,
    kind: str = "imprint",
    config: Config | None = None,
    say: Say = silent,
) -> Retention:
    """An eleventh of the facts first, the others in so many parts. The budget is for all that the peer trains."""
    tuning, parts = split(facts, steps, seed)
    result = Retention(len(parts[0]), sum(map(len, parts)))
    with ExitStack() as stack:
        learners: list[Learner] = []
        if peers:  # first, so that a package that is missing is named before anything is learned
            learners.append(InSequence(backbone, tuning, budget_seconds, seed, say))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="memtune-"))) / "memory"
        model = stack.enter_context(MemoryModel(backbone, folder, config=config))
        for learner in [InMemory(model, kind), *learners]:
            result.about[learner.name] = learner.about
            result.learners[learner.name] = _go_through(learner, parts, seed, say)
    return result


def split(facts: Sequence[Fact], steps: int, seed: int) -> tuple[list[Fact], list[list[Fact]]]:
    """Facts to choose the peer's rate on, which nobody is asked for, and the parts in the order of learning. Of facts
    that ask the same, the first is taken: later parts must not contradict earlier ones."""
    first_of: dict[int, Fact] = {}
    for fact in facts:
        first_of.setdefault(wording_hash(fact.question), fact)
    distinct = list(first_of.values())
    drawn = random.Random(f"retention {seed}").sample(distinct, len(distinct))
    tuning = min(_TUNING, len(drawn) // 10)
    rest = drawn[tuning:]
    first = len(rest) // (_TIMES_MORE + 1)
    if not first or not tuning or steps < 1 or len(rest) - first < steps:
        raise UsageError(
            f"{len(distinct)} facts are too few to learn some first and {_TIMES_MORE} times more in {steps} steps",
            hint=f"at least {max(_TIMES_MORE + 2, 2 * steps)} facts, and at least one step",
        )
    marks = [first + (len(rest) - first) * i // steps for i in range(steps + 1)]
    return drawn[:tuning], [rest[:first], *(rest[a:b] for a, b in pairwise(marks))]


def _go_through(learner: Learner, parts: Sequence[Sequence[Fact]], seed: int, say: Say) -> list[Step]:
    """A fact that could not be learned counts as one that is not recalled."""
    known, steps, later = 0, list[Step](), sum(map(len, parts[1:]))
    first = _some(parts[0], seed)
    for part in parts:
        share = (1 - _FOR_THE_FIRST) * len(part) / later if steps else _FOR_THE_FIRST
        seconds, how = learner.learn(part, share)
        known += len(part)
        steps.append(Step(known, learner.exact(first), learner.exact(_some(part, seed)), seconds, how))
        say(f"{learner.name}, {known:,} facts: first {steps[-1].first}, newest {steps[-1].newest}")
    return steps


def _some(part: Sequence[Fact], seed: int) -> list[Fact]:
    return random.Random(f"asked {seed}").sample(list(part), min(_ASKED, len(part)))
