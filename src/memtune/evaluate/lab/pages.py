"""Invented pages of about 300 tokens, each about one observatory, and questions that a page answers.

Names share no word with any name that the bundled backbone was trained on. Values of one kind are all different within
a page, so that every question has one answer there.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from memtune.core.facts import Fact
from memtune.evaluate.cases import Case
from memtune.evaluate.use.names import held_out_names

TITLE = "The observatory {s}"
FORM = "question about a page"


@dataclass(frozen=True)
class Statement:
    """A sentence of a page with a value {v}, and a question for it about the observatory {s}."""

    said: str
    asked: str
    value: str


STATEMENTS = (
    Statement("The observatory {s} is guarded by {v}.", "Who guards the observatory {s}?", "person"),
    Statement("The observatory {s} was finished in {v}.", "When was the observatory {s} finished?", "year"),
    Statement("The observatory {s} has {v} rooms.", "How many rooms does the observatory {s} have?", "number"),
    Statement("The observatory {s} overlooks {v}.", "Which valley does the observatory {s} overlook?", "place"),
    Statement("The observatory {s} was drawn by {v}.", "Who drew the observatory {s}?", "person"),
    Statement("The observatory {s} burned down in {v}.", "When did the observatory {s} burn down?", "year"),
    Statement("The observatory {s} has {v} lenses.", "How many lenses does the observatory {s} have?", "number"),
    Statement("The observatory {s} is heated from {v}.", "From where is the observatory {s} heated?", "place"),
    Statement("The observatory {s} is cleaned by {v}.", "Who cleans the observatory {s}?", "person"),
    Statement("The observatory {s} was restored in {v}.", "When was the observatory {s} restored?", "year"),
    Statement("The observatory {s} has {v} steps.", "How many steps does the observatory {s} have?", "number"),
    Statement("The observatory {s} is reached from {v}.", "From where is the observatory {s} reached?", "place"),
    Statement("The observatory {s} was sold by {v}.", "Who sold the observatory {s}?", "person"),
    Statement("The observatory {s} was painted in {v}.", "When was the observatory {s} painted?", "year"),
    Statement("The observatory {s} has {v} star maps.", "How many star maps does the observatory {s} have?", "number"),
    Statement("The observatory {s} faces {v}.", "Which hill does the observatory {s} face?", "place"),
    Statement("The observatory {s} is praised by {v}.", "Who praises the observatory {s}?", "person"),
    Statement(
        "The observatory {s} got electric light in {v}.", "When did the observatory {s} get electric light?", "year"
    ),
)


@dataclass(frozen=True)
class Page:
    """One page as a passage to learn, and the questions that it answers."""

    fact: Fact
    cases: tuple[Case, ...]


def pages(n: int, sentences: int, seed: int) -> list[Page]:
    """So many pages of so many sentences each, which are drawn for each page and stand in no order. Each is given the
    questions that it answers: a router that reads questions does not find an answer in a text by itself."""
    draw = random.Random(f"pages {seed}")
    names = held_out_names(draw)
    return [_page(number, sentences, draw, names) for number in range(n)]


def _page(number: int, sentences: int, draw: random.Random, names: Iterator[str]) -> Page:
    name, chosen = next(names), draw.sample(STATEMENTS, sentences)
    values = _values(chosen, draw, names)
    text = " ".join(s.said.format(s=name, v=value) for s, value in zip(chosen, values, strict=True))
    asked = tuple(statement.asked.format(s=name) for statement in chosen)
    fact = Fact(f"page-{number}", TITLE.format(s=name), text, asked, passage=True)
    cases = []
    for i, (question, value) in enumerate(zip(asked, values, strict=True)):
        extra = {"judge": "holds", "unwanted": [v for v in values if v != value]}
        cases.append(
            Case(f"{fact.id} {i}", question, (value,), form=FORM, role="wording", facts=(fact.id,), extra=extra)
        )
    return Page(fact, tuple(cases))


def _values(chosen: Sequence[Statement], draw: random.Random, names: Iterator[str]) -> list[str]:
    """None twice on a page."""
    years, numbers = draw.sample(range(1100, 1990), len(chosen)), draw.sample(range(20, 990), len(chosen))
    made = {
        "person": lambda: f"{next(names)} {next(names)}",
        "place": lambda: next(names),
        "year": lambda: str(years.pop()),
        "number": lambda: str(numbers.pop()),
    }
    return [made[statement.value]() for statement in chosen]
