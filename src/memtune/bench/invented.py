"""Facts about places that do not exist, so that no model can know them, and the forms of asking."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from memtune.core.facts import Fact
from memtune.evaluate.use.names import names


@dataclass(frozen=True)
class Relation:
    """One thing that is said about a place {s}: its value {v} is a name or a year."""

    field: str
    question: str
    doubt: str
    gap: str
    years: bool = False


_LATER = "Which was founded later, {a} or {b}?"
RELATIONS = (
    Relation("capital", "What is the capital of {s}?", "Is {v} the capital of {s}?", "The capital of {s} is"),
    Relation(
        "founded",
        "In what year was {s} founded?",
        "Was {s} founded in {v}?",
        "{s} was founded in",
        years=True,
    ),
    Relation("president", "Who leads {s}?", "Does {v} lead {s}?", "The president of {s} is"),
    Relation(
        "language",
        "Which language is spoken in {s}?",
        "Do people in {s} speak {v}?",
        "The language of {s} is",
    ),
    Relation("river", "Which river flows through {s}?", "Does the {v} flow through {s}?", "The river in {s} is the"),
)


@dataclass(frozen=True)
class Invented:
    """One fact and what is needed to ask for it in other forms."""

    fact: Fact
    relation: Relation
    subject: str

    @property
    def value(self) -> str:
        return self.fact.answer

    def doubt(self, value: str) -> str:
        return self.relation.doubt.format(s=self.subject, v=value)

    @property
    def gap(self) -> str:
        return self.relation.gap.format(s=self.subject)


def invented(n: int, seed: int) -> list[Invented]:
    """n facts about n different places; relations take turns."""
    draw = random.Random(seed)
    new = names(draw)
    made = []
    for i in range(n):
        relation, subject = RELATIONS[i % len(RELATIONS)], next(new)
        value = str(draw.randrange(1100, 1990)) if relation.years else next(new)
        fact = Fact(f"invented-{i}", relation.question.format(s=subject), value, group=relation.field)
        made.append(Invented(fact, relation, subject))
    return made


@dataclass(frozen=True)
class Task:
    """Facts used in one form. `raw` prompts are texts to be continued."""

    form: str
    prompt: str
    facts: tuple[Fact, ...]
    right: Callable[[str], bool]
    raw: bool = False


def open_tasks(world: Sequence[Invented]) -> list[Task]:
    return [Task("open question", w.fact.question, (w.fact,), w.value.__eq__) for w in world]


def pair_tasks(world: Sequence[Invented]) -> list[Task]:
    """Two facts side by side: one of them asked for, and both in one prompt, where both answers have to be there."""
    pairs = list(zip(world[::2], world[1::2], strict=False))
    tasks = []
    for i, (a, b) in enumerate(pairs):
        facts, wanted = (a.fact, b.fact), (a, b)[i % 2]
        tasks.append(Task("one of two facts", wanted.fact.question, facts, wanted.value.__eq__))
        both = f"{a.fact.question} {b.fact.question}"
        tasks.append(Task("two facts", both, facts, _says(a.value, b.value)))
    return tasks


def use_tasks(world: Sequence[Invented], seed: int) -> list[Task]:
    """The forms in which a fact is used rather than recited."""
    draw = random.Random(seed)
    return [*_doubts(world, draw), *_gaps(world), *_json_fields(world), *_comparisons(world)]


def _doubts(world: Sequence[Invented], draw: random.Random) -> Iterator[Task]:
    """As many true as false; a false one names the value of another place."""
    rivals = {
        field: [w.value for w in world if w.relation.field == field] for field in {w.relation.field for w in world}
    }
    for i, w in enumerate(world):
        others = [v for v in rivals[w.relation.field] if v != w.value]
        true = i % 2 == 0 or not others
        prompt = w.doubt(w.value if true else draw.choice(others))
        yield Task("yes or no", prompt, (w.fact,), _begins("yes" if true else "no", whole=True))


def _gaps(world: Sequence[Invented]) -> Iterator[Task]:
    for w in world:
        yield Task("inside a sentence", w.gap, (w.fact,), _begins(w.value), raw=True)


def _json_fields(world: Sequence[Invented]) -> Iterator[Task]:
    for w in world:
        prompt = f'{w.fact.question} Reply as JSON.\n{{"name": "{w.subject}", "{w.relation.field}": "'
        yield Task("JSON field", prompt, (w.fact,), _begins(w.value, whole=True), raw=True)


def _comparisons(world: Sequence[Invented]) -> Iterator[Task]:
    dated = [w for w in world if w.relation.years]
    for a, b in pairwise(dated):
        if a.value != b.value:
            later, earlier = (a, b) if int(a.value) > int(b.value) else (b, a)
            prompt = _LATER.format(a=a.subject, b=b.subject)
            yield Task("comparison", prompt, (a.fact, b.fact), _only(later.subject, earlier.subject))


def _says(*wanted: str) -> Callable[[str], bool]:
    return lambda said: all(text in said for text in wanted)


def _only(wanted: str, unwanted: str) -> Callable[[str], bool]:
    return lambda said: wanted in said and unwanted not in said


def _begins(wanted: str, *, whole: bool = False) -> Callable[[str], bool]:
    """Whether a reply begins so, in any case; `whole`: as a word of its own."""

    def right(said: str) -> bool:
        said = said.strip().casefold()
        follows = said[len(wanted) : len(wanted) + 1]
        return said.startswith(wanted.casefold()) and not (whole and follows.isalnum())

    return right
