"""Generated biographies of known content: names, and six values each, drawn evenly from lists of known size."""

from __future__ import annotations

import calendar
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from memtune.core.facts import Fact
from memtune.evaluate.use.names import names

_LISTS = ("city", "university", "major", "employer")
_SIZES = {"first": 400, "middle": 400, "last": 1000, "city": 200, "university": 300, "major": 100, "employer": 263}
_YEARS, _DAYS = 200, 28
_SEED = "biographies"
"""The lists are always the same; which values are drawn is up to the seed."""


@dataclass(frozen=True)
class Attribute:
    key: str
    question: str
    choices: int

    @property
    def bits(self) -> float:
        return math.log2(self.choices)


ATTRIBUTES = (
    Attribute("birthday", "On which day was {} born?", 12 * _DAYS * _YEARS),
    Attribute("birth city", "In which city was {} born?", _SIZES["city"]),
    Attribute("university", "At which university did {} study?", _SIZES["university"]),
    Attribute("major", "What was the main subject of {} at university?", _SIZES["major"]),
    Attribute("employer", "For which company does {} work?", _SIZES["employer"]),
    Attribute("work city", "In which city does {} work?", _SIZES["city"]),
)
POSSIBLE_NAMES = _SIZES["first"] * _SIZES["middle"] * _SIZES["last"]


@dataclass(frozen=True)
class Person:
    name: str
    facts: tuple[Fact, ...]
    """In the order of `ATTRIBUTES`."""


def biographies(n: int, seed: int) -> list[Person]:
    """n persons of different names."""
    lists, draw = _lists(), random.Random(f"people {seed}")
    made = []
    for number in draw.sample(range(POSSIBLE_NAMES), n):
        rest, last = divmod(number, _SIZES["last"])
        first, middle = divmod(rest, _SIZES["middle"])
        made.append(_person(f"{lists['first'][first]} {lists['middle'][middle]} {lists['last'][last]}", lists, draw))
    return made


def name_bits(n: int) -> float:
    """For each of n persons: which of all possible names are there, in no order."""
    return math.log2(math.comb(POSSIBLE_NAMES, n)) / n


def _person(name: str, lists: dict[str, list[str]], draw: random.Random) -> Person:
    values = (_day(draw), *(draw.choice(lists[key]) for key in ("city", *_LISTS[1:], "city")))
    return Person(name, tuple(
        Fact(f"{name} / {a.key}", a.question.format(name), value, group=name)
        for a, value in zip(ATTRIBUTES, values, strict=True)
    ))  # fmt: skip


def _day(draw: random.Random) -> str:
    month = calendar.month_name[draw.randint(1, 12)]
    return f"{month} {draw.randint(1, _DAYS)}, {1900 + draw.randrange(_YEARS)}"


def _lists() -> dict[str, list[str]]:
    new = names(random.Random(_SEED))
    worded = {"university": "University of {}", "major": "{} Studies", "employer": "{} Group"}
    return {key: [worded.get(key, "{}").format(name) for name in islice(new, size)] for key, size in _SIZES.items()}


def total_bits(recalled: Sequence[Sequence[bool]]) -> tuple[float, float]:
    """Of values that were recalled, and of the names of those of whom everything was."""
    values = sum(a.bits for person in recalled for a, right in zip(ATTRIBUTES, person, strict=True) if right)
    return values, name_bits(len(recalled)) * sum(all(person) for person in recalled)
