"""A world of invented facts: ferries, theatres and mines, who looks after them, and where those people grew up.

Names share no word with any name that the bundled backbone was trained on, and no wording here is one of its training
templates. Values of one relation are all different, so that every question has one answer.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from memtune.core.facts import Fact
from memtune.errors import UsageError
from memtune.evaluate.use.names import held_out_names


@dataclass(frozen=True)
class Relation:
    """One thing that is said of a subject {s}: its value {v} is a person, a place, a year or a number."""

    key: str
    noun: str
    learned: str
    """The wording that is learned."""
    asked: str
    """Another wording, for choices."""
    doubt: str
    gap: str
    """A sentence that stops right before the value."""
    value: str


@dataclass(frozen=True)
class Kind:
    """One kind of subject. The first relation leads to a person; the second can be compared."""

    noun: str
    relations: tuple[Relation, ...]
    compare: str
    """What the subject with the smaller value of the second relation answers."""
    reverse: str
    two_hop: str


FERRY = Kind(
    "ferry",
    (
        Relation("skipper", "skipper", "Who steers the ferry {s}?", "By whom is the ferry {s} steered?",
                 "Does {v} steer the ferry {s}?", "The ferry {s} is steered by", "person"),
        Relation("built", "year", "When was the ferry {s} built?", "In what year was the ferry {s} built?",
                 "Was the ferry {s} built in {v}?", "The ferry {s} was built in", "year"),
        Relation("cabins", "number of cabins", "How many cabins does the ferry {s} have?",
                 "How many cabins are there on the ferry {s}?", "Does the ferry {s} have {v} cabins?",
                 "The cabins on the ferry {s} number", "number"),
        Relation("harbour", "harbour", "Where is the ferry {s} moored?", "In which harbour is the ferry {s} moored?",
                 "Is the ferry {s} moored in {v}?", "The ferry {s} is moored in", "place"),
    ),
    "Which ferry was built earlier, {a} or {b}?",
    "Which ferry does {v} steer?",
    "Where did the skipper of the ferry {s} grow up?",
)  # fmt: skip
THEATRE = Kind(
    "theatre",
    (
        Relation("director", "director", "Who directs the theatre {s}?", "By whom is the theatre {s} directed?",
                 "Does {v} direct the theatre {s}?", "The theatre {s} is directed by", "person"),
        Relation("opened", "year", "When was the theatre {s} opened?", "In what year was the theatre {s} opened?",
                 "Was the theatre {s} opened in {v}?", "The theatre {s} was opened in", "year"),
        Relation("seats", "number of seats", "How many seats does the theatre {s} have?",
                 "How many seats are there in the theatre {s}?", "Does the theatre {s} have {v} seats?",
                 "The seats in the theatre {s} number", "number"),
        Relation("quarter", "quarter", "Where does the theatre {s} stand?",
                 "In which quarter does the theatre {s} stand?",
                 "Does the theatre {s} stand in {v}?", "The theatre {s} stands in", "place"),
    ),
    "Which theatre was opened earlier, {a} or {b}?",
    "Which theatre does {v} direct?",
    "Where did the director of the theatre {s} grow up?",
)  # fmt: skip
MINE = Kind(
    "mine",
    (
        Relation("foreman", "foreman", "Who oversees the mine {s}?", "By whom is the mine {s} overseen?",
                 "Does {v} oversee the mine {s}?", "The mine {s} is overseen by", "person"),
        Relation("dug", "year", "When was the mine {s} dug?", "In what year was the mine {s} dug?",
                 "Was the mine {s} dug in {v}?", "The mine {s} was dug in", "year"),
        Relation("shafts", "number of shafts", "How many shafts does the mine {s} have?",
                 "How many shafts are there in the mine {s}?", "Does the mine {s} have {v} shafts?",
                 "The shafts in the mine {s} number", "number"),
        Relation("valley", "valley", "Where is the mine {s} hidden?", "In which valley is the mine {s} hidden?",
                 "Is the mine {s} hidden in {v}?", "The mine {s} is hidden in", "place"),
    ),
    "Which mine was dug earlier, {a} or {b}?",
    "Which mine does {v} oversee?",
    "Where did the foreman of the mine {s} grow up?",
)  # fmt: skip
KINDS = (FERRY, THEATRE, MINE)
VILLAGE = Relation(
    "village", "village", "Where did {s} grow up?", "In which village did {s} grow up?", "Did {s} grow up in {v}?",
    "{s} grew up in", "place",
)  # fmt: skip


@dataclass(frozen=True)
class Known:
    """One fact of the world, and what is needed to ask for it in other forms."""

    fact: Fact
    relation: Relation
    subject: str

    @property
    def value(self) -> str:
        return self.fact.answer

    @property
    def id(self) -> str:
        return self.fact.id

    def put(self, wording: str, value: str | None = None) -> str:
        return wording.format(s=self.subject, v=self.value if value is None else value)


@dataclass(frozen=True)
class Thing:
    """A subject with its facts, and the fact about the person of the first of them."""

    kind: Kind
    name: str
    known: tuple[Known, ...]
    home: Known


@dataclass(frozen=True)
class World:
    things: tuple[Thing, ...]
    others: dict[str, tuple[str, ...]] = field(repr=False)
    """All values of a relation, by its key."""

    @property
    def facts(self) -> list[Fact]:
        return [k.fact for thing in self.things for k in (*thing.known, thing.home)]

    def wrong(self, known: Known, count: int, draw: random.Random) -> list[str]:
        """Values that other subjects have in the same relation: that they are stored gives nothing away."""
        return draw.sample([v for v in self.others[known.relation.key] if v != known.value], count)

    def part(self, things: Sequence[Thing]) -> World:
        """The same world, of which only these are asked about."""
        return World(tuple(things), self.others)


def make(n: int, seed: int) -> World:
    """n subjects with five facts each; the kinds take turns."""
    if n < 2 * len(KINDS):
        raise UsageError(f"{n} subjects are too few to compare and to choose among", hint=f"at least {2 * len(KINDS)}")
    draw = random.Random(f"use {seed}")
    values = _Values(draw)
    things = tuple(_thing(number, KINDS[number % len(KINDS)], values) for number in range(n))
    others: dict[str, list[str]] = {}
    for thing in things:
        for known in (*thing.known, thing.home):
            others.setdefault(known.relation.key, []).append(known.value)
    return World(things, {key: tuple(found) for key, found in others.items()})


def _thing(number: int, kind: Kind, values: _Values) -> Thing:
    name = values.place()
    known = tuple(_known(f"use-{number}-{r.key}", r, name, values.new(r), name) for r in kind.relations)
    person = known[0].value
    return Thing(kind, name, known, _known(f"use-{number}-village", VILLAGE, person, values.place(), name))


def _known(fact_id: str, relation: Relation, subject: str, value: str, group: str) -> Known:
    return Known(Fact(fact_id, relation.learned.format(s=subject), value, group=group), relation, subject)


class _Values:
    """Draws values, none twice within a relation."""

    def __init__(self, draw: random.Random) -> None:
        self._draw, self._names = draw, held_out_names(draw)
        self._taken: set[tuple[str, str]] = set()

    def place(self) -> str:
        return next(self._names)

    def new(self, relation: Relation) -> str:
        if relation.value in ("person", "place"):
            return f"{next(self._names)} {next(self._names)}" if relation.value == "person" else next(self._names)
        return next(value for value in self._numbers(relation.value) if self._is_new(relation.key, value))

    def _numbers(self, kind: str) -> Iterator[str]:
        wide = len(self._taken) // 2
        while True:
            yield str(self._draw.randint(1100 - wide, 1990) if kind == "year" else self._draw.randint(20, 990 + wide))

    def _is_new(self, key: str, value: str) -> bool:
        new = (key, value) not in self._taken
        self._taken.add((key, value))
        return new
