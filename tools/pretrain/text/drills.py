"""Dense exercises from arbitrary words: repeated spans and tiny lookups for copying, tables for comparing names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from .document import END, Document, Part, Piece
from .forms import UNKNOWN


def repeated_span(rng: Random, words: Sequence[str]) -> Document:
    """A span of random words, then the same span again: the second time every word can be known."""
    span = " ".join(rng.choice(words) for _ in range(rng.randint(6, 40)))
    first = Piece(f"{span}\n", Part.BACKGROUND)
    return (first, *[Piece(f"{span}\n", Part.ANSWER)] * rng.choice((1, 1, 2)), Piece(END, Part.ANSWER))


def lookup(rng: Random, words: Sequence[str]) -> Document:
    """Pairs of words, then some of the keys again in another order."""
    keys = rng.sample(words, rng.randint(2, 8))
    values = [" ".join(rng.choice(words) for _ in range(rng.choice((1, 1, 2, 3)))) for _ in keys]
    sign = rng.choice((":", " is", " ->", " =", ","))
    pieces = [Piece("".join(f"{k}{sign} {v}\n" for k, v in zip(keys, values, strict=True)), Part.BACKGROUND)]
    for index in rng.sample(range(len(keys)), len(keys)):
        pieces += [Piece(f"{keys[index]}{sign}", Part.BACKGROUND), Piece(f" {values[index]}\n", Part.ANSWER)]
    return (*pieces, Piece(END, Part.ANSWER))


def drill(rng: Random, words: Sequence[str]) -> Document:
    return (repeated_span if rng.random() < 0.5 else lookup)(rng, words)


@dataclass(frozen=True)
class Cell:
    name: str
    field: str
    value: str


class Table:
    """A few names with a few fields: many small questions that cannot be answered without comparing names."""

    def __init__(self, rng: Random, words: Sequence[str]) -> None:
        self.rng, self.words = rng, words
        self.fields = rng.sample(words, rng.randint(2, 4))
        self.amount = rng.choice(self.fields)  # the field that holds numbers
        first = [self.phrase(1, 3) for _ in range(rng.randint(1, 4))]
        self.names = list(dict.fromkeys([*first, *(self.near(n) for n in first if rng.random() < 0.5)]))
        pairs = [(name, field) for name in self.names for field in self.fields if rng.random() < 0.6]
        rng.shuffle(pairs)
        self.cells = [Cell(n, f, self.drawn_value(f)) for n, f in pairs[:7] or [(self.names[0], self.fields[0])]]

    def phrase(self, fewest: int, most: int) -> str:
        return " ".join(self.rng.choice(self.words) for _ in range(self.rng.randint(fewest, most)))

    def near(self, name: str) -> str:
        """The name with one of its words changed, or another word added."""
        parts = name.split()
        place = self.rng.randrange(len(parts) + 1)
        parts[place : place + 1] = [self.rng.choice(self.words)]
        return " ".join(parts)

    def drawn_value(self, field: str) -> str:
        return str(self.rng.randint(1, 10 ** self.rng.randint(1, 4))) if field == self.amount else self.phrase(1, 2)

    def absent(self) -> tuple[str, str]:
        """A name and a field of which nothing is said: a neighbour's, or another field of the same name."""
        told = {(c.name, c.field) for c in self.cells}
        cell = self.rng.choice(self.cells)
        name, field = self.rng.choice([(self.near(cell.name), cell.field), (self.phrase(1, 3), cell.field),
                                       (cell.name, self.rng.choice(self.fields)),
                                       (self.rng.choice(self.names), cell.field)])  # fmt: skip
        return (name, field) if (name, field) not in told else (self.near(cell.name), cell.field)

    def wrong_value(self, cell: Cell) -> str:
        others = [c.value for c in self.cells if c.field == cell.field and c.value != cell.value]
        return self.rng.choice(others) if others and self.rng.random() < 0.6 else self.drawn_value(cell.field)

    def question(self) -> tuple[str, str]:
        cell, draw = self.rng.choice(self.cells), self.rng.random()
        if draw < 0.3:
            return f"{cell.field} of {cell.name}?", cell.value
        if draw < 0.55:
            name, field = self.absent()
            return f"{field} of {name}?", UNKNOWN
        if draw < 0.8:
            value = cell.value if self.rng.random() < 0.5 else self.wrong_value(cell)
            return f"Is {cell.field} of {cell.name} {value}?", "Yes" if value == cell.value else "No"
        if draw < 0.92 and (compared := self.compared()) is not None:
            return compared
        holders = [c.name for c in self.cells if (c.field, c.value) == (cell.field, cell.value)]
        return f"Which has {cell.field} {cell.value}?", holders[0]

    def compared(self) -> tuple[str, str] | None:
        rivals = [c for c in self.cells if c.field == self.amount]
        if len(rivals) < 2:
            return None
        one, other = self.rng.sample(rivals, 2)
        more = self.rng.random() < 0.5
        wins = one if (int(one.value) >= int(other.value)) == more else other
        return f"Which has {'more' if more else 'less'} {self.amount}, {one.name} or {other.name}?", wins.name


def matched(rng: Random, words: Sequence[str]) -> Document:
    """A table told in sentences, then a dozen questions about it, half of them near misses."""
    table = Table(rng, words)
    claim = rng.choice(("{c.field} of {c.name} is {c.value}.", "{c.name}: {c.field} {c.value}.",
                        "{c.name} has {c.field} {c.value}."))  # fmt: skip
    told = rng.choice((" ", "\n")).join(claim.format(c=cell) for cell in table.cells)
    pieces = [Piece(f"{told}\n", Part.BACKGROUND)]
    for question, answer in dict(table.question() for _ in range(rng.randint(6, 14))).items():
        pieces += [Piece(question, Part.BACKGROUND), Piece(f" {answer}\n", Part.ANSWER)]
    return (*pieces, Piece(END, Part.ANSWER))
