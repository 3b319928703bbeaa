"""Small invented worlds: a few entities, and facts about them that can be compared, chained and asked about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from .names import Namer
from .relations import BY_SUBJECT, KIND_NOUNS, RELATIONS, Relation

KINDS = tuple(KIND_NOUNS)
COMPARABLE = tuple(r for r in RELATIONS if r.more)
CHAINS = tuple((a, b) for a in RELATIONS for b in BY_SUBJECT.get(a.value, ()) if a.key != b.key)


@dataclass(frozen=True)
class Fact:
    relation: Relation
    subject: str
    value: str

    def fill(self, wording: str, value: str | None = None) -> str:
        return tidy(wording.format(s=self.subject, v=self.value if value is None else value))


World = tuple[Fact, ...]


def tidy(text: str) -> str:
    """The right indefinite article, and no article before a name that has one."""
    text = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)
    return re.sub(r"\b[Tt]he The\b", "The", text)


def capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


class WorldMaker:
    """Draws worlds in which no value of a relation occurs twice, so that every question has one answer."""

    def __init__(self, rng: Random, split: str, words: Sequence[str] = ()) -> None:
        self.rng, self.namer = rng, Namer(rng, split, words)

    def world(self, size: int) -> World:
        """About `size` facts: single entities, pairs that can be compared, chains of two."""
        facts: list[Fact] = []
        while len(facts) < size:
            draw = self.rng.random()
            if size - len(facts) >= 2 and draw < 0.3:
                self._add_pair(facts)
            elif size - len(facts) >= 2 and draw < 0.6:
                self._add_chain(facts)
            else:
                self._add_entity(facts, size - len(facts))
        return tuple(facts)

    def _add(self, facts: list[Fact], relation: Relation, subject: str) -> Fact:
        taken = [f.value for f in facts if f.relation.value == relation.value]
        fact = Fact(relation, subject, self.namer.draw_other(relation.value, taken))
        facts.append(fact)
        return fact

    def new_subject(self, kind: str, facts: list[Fact] | World) -> str:
        return self.namer.draw_other(kind, [f.subject for f in facts])

    def _add_entity(self, facts: list[Fact], room: int) -> None:
        kind = self.rng.choice(KINDS)
        relations = BY_SUBJECT[kind]
        subject = self.new_subject(kind, facts)
        for relation in self.rng.sample(relations, min(self.rng.choice((1, 1, 2, 3, 4)), room, len(relations))):
            self._add(facts, relation, subject)

    def _add_pair(self, facts: list[Fact]) -> None:
        relation = self.rng.choice(COMPARABLE if self.rng.random() < 0.6 else RELATIONS)
        for _ in range(2):
            self._add(facts, relation, self.new_subject(relation.subject, facts))

    def _add_chain(self, facts: list[Fact]) -> None:
        first, second = self.rng.choice(CHAINS)
        middle = self._add(facts, first, self.new_subject(first.subject, facts)).value
        self._add(facts, second, middle)


def number_in(value: str) -> float:
    """The first number of a value such as "$1,249.50" or "1,200 kg"."""
    found = re.search(r"\d[\d,]*(?:\.\d+)?", value)
    if found is None:
        raise ValueError(f"no number in {value!r}")
    return float(found.group().replace(",", ""))
