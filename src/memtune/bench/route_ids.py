"""Ten thousand facts whose questions differ in one digit or letter of an id, and ids that nobody learned."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from memtune.bench.route_sets import Group, Query, RouteSet
from memtune.core.facts import Fact

_HEX = "0123456789abcdef"


@dataclass(frozen=True)
class Shape:
    """How ids of one kind look: `9` stands for a digit, `A` for a letter, `x` for a hex digit; and what is asked."""

    name: str
    pattern: str
    learned: str
    asked: tuple[str, ...]
    """The same in other words."""

    def draw(self, draw: random.Random) -> str:
        return "".join(draw.choice(_ALPHABETS.get(mark, mark)) for mark in self.pattern)

    def places(self) -> list[int]:
        """Where another character may stand."""
        return [place for place, mark in enumerate(self.pattern) if mark in _ALPHABETS]

    def changed(self, name: str, place: int) -> Iterator[str]:
        """The names that differ from this one there."""
        for other in _ALPHABETS[self.pattern[place]]:
            if other != name[place]:
                yield name[:place] + other + name[place + 1 :]


_ALPHABETS = {"9": string.digits, "A": string.ascii_uppercase, "x": _HEX}
SHAPES = (
    Shape(
        "AX-10482", "AA-99999", "What is the price of part {}?",
        ("How much does part {} cost?", "Part {}: what do we charge for it?", "Tell me the price of {}.",
         "I need to know what {} costs, please.", "what's the price for part {}"),
    ),
    Shape(
        "10482", "99999", "What is the balance of account {}?",
        ("How much money is on account {}?", "Account {}: what is its balance?",
         "Please look up the balance for account number {}.", "What does account {} hold at the moment?",
         "balance of {}?"),
    ),
    Shape(
        "SKU-133-B", "SKU-999-A", "How many items of {} are in stock?",
        ("What is the stock of {}?", "How much of {} do we have left?", "Is there any {} left, and how many?",
         "Tell me how many {} we have in stock.", "stock level {}"),
    ),
    Shape(
        "customer 10483", "99999", "What does customer {} owe us?",
        ("How much does customer {} still have to pay?", "Customer {}: which amount is outstanding?",
         "What is the debt of customer {}?", "Which sum do we get from customer number {}?",
         "open amount for customer {}?"),
    ),
    Shape(
        "3fa92c", "xxxxxx", "What is the licence key of device {}?",
        ("Which licence key belongs to device {}?", "Device {}: what is its licence key?",
         "I lost the licence key for {}. What is it?", "Give me the key that device {} is licensed with.",
         "licence key {}"),
    ),
)  # fmt: skip
IN_OTHER_WORDS, OTHER_CASE, OTHER_SPACING = "known ids, in other words", "in other case", "in other spacing"
UNKNOWN = "unknown ids"


def id_set(n: int, seed: int, taught: int = 0) -> RouteSet:
    """n facts, each with a neighbour one character away, asked in five other wordings; n unknown neighbours. Of the
    first `taught` ids of each kind all wordings are given, and they are not asked about."""
    draw = random.Random(f"ids {seed}")
    facts: list[Fact] = []
    asked: dict[str, list[Query]] = {IN_OTHER_WORDS: [], OTHER_CASE: [], OTHER_SPACING: [], UNKNOWN: []}
    values = iter(draw.sample(range(100_000, 100_000_000), n))
    counts = [n // len(SHAPES) + (number < n % len(SHAPES)) for number in range(len(SHAPES))]
    known = [_close_ids(shape, count, draw) for shape, count in zip(SHAPES, counts, strict=True)]
    taken = {name for names in known for name in names}
    for shape, names in zip(SHAPES, known, strict=True):
        for number, name in enumerate(names):
            place = len(facts)
            given = tuple(w.format(name) for w in shape.asked) if number < taught else ()
            facts.append(Fact(f"{shape.name}: {name}", shape.learned.format(name), _answer(next(values)), given))
            if given:
                continue
            asked[IN_OTHER_WORDS] += _queries(f"{name}", [w.format(name) for w in shape.asked], place)
            asked[OTHER_CASE] += _queries(f"{name}", _put(shape, _other_case(shape, name), place), place)
            asked[OTHER_SPACING] += _queries(f"{name}", _put(shape, _other_spacing(name), place), place)
        for turn, name in enumerate(_unknown(shape, names, taken, draw)):
            wordings = (shape.learned, *shape.asked)
            asked[UNKNOWN] += _queries(name, [wordings[turn % len(wordings)].format(name)], None)
    groups = [Group(name, queries) for name, queries in asked.items()]
    return RouteSet(f"ids, wordings of {taught} a kind given" if taught else "ids", facts, groups)


def _queries(name: str, texts: Sequence[str], wanted: int | None) -> list[Query]:
    return [Query(f"{name} / {text}", text, wanted) for text in texts]


def _put(shape: Shape, variants: Sequence[str], place: int) -> list[str]:
    """Each in the learned wording, which is not found by its hash then, or in another, taking turns."""
    wordings = (shape.learned, *shape.asked)
    return [wordings[(place + n) % len(wordings)].format(variant) for n, variant in enumerate(variants)]


def _close_ids(shape: Shape, n: int, draw: random.Random) -> list[str]:
    """n different ids; each but a few differs from another one in one character."""
    found: dict[str, None] = {}
    while len(found) < n:
        base = shape.draw(draw)
        found[base] = None
        others = list(shape.changed(base, draw.choice(shape.places())))
        found |= dict.fromkeys(draw.sample(others, min(4, len(others))))
    return list(found)[:n]


def _unknown(shape: Shape, known: Sequence[str], taken: set[str], draw: random.Random) -> list[str]:
    """As many ids again, each one character away from a known one: another, one more or less, or two in turn."""
    found: dict[str, None] = {}
    for turn, name in enumerate(known):
        slips = _SLIPS[turn % len(_SLIPS)](shape, name)
        free = [other for other in slips if other not in taken and other not in found]
        if free:
            found[draw.choice(free)] = None
    return list(found)


def _others(shape: Shape, name: str) -> list[str]:
    return [other for place in shape.places() for other in shape.changed(name, place)]


def _longer_or_shorter(shape: Shape, name: str) -> list[str]:
    """A character typed twice, or left out."""
    return [name[:i] + name[i] * times + name[i + 1 :] for i in shape.places() for times in (0, 2)]


def _swapped(shape: Shape, name: str) -> list[str]:
    """Two characters of one kind in the other order."""
    pairs = [i for i in shape.places() if shape.pattern[i : i + 1] == shape.pattern[i + 1 : i + 2]]
    return [name[:i] + name[i + 1] + name[i] + name[i + 2 :] for i in pairs]


_SLIPS = (_others, _others, _others, _longer_or_shorter, _swapped)


def _other_case(shape: Shape, name: str) -> list[str]:
    """In lower case, or in upper case where ids are small; none for ids without letters."""
    other = name.upper() if "x" in shape.pattern else name.lower()
    return [other] if other != name else []


def _other_spacing(name: str) -> list[str]:
    """With spaces for its hyphens, and without them; none for ids in one piece."""
    return [name.replace("-", " "), name.replace("-", "")] if "-" in name else []


def _answer(value: int) -> str:
    """A text that no two facts share."""
    return f"{value // 100:,}.{value % 100:02d}"
