"""The generators by name: settings and a seed in, an endless stream of documents out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from .text.document import Document
from .text.drills import drill, matched
from .text.facts import WorldMaker
from .text.forms import FORMS, Task
from .text.layouts import context_of, page_of
from .text.sql_pages import drawn_schema, sql_page
from .text.sql_schema import SchemaMaker
from .text.talk import talk

Generator = Callable[[Random, str, Mapping[str, Any], Sequence[str]], Iterator[Document]]


def tasks_for(maker: WorldMaker, world: Any, count: int, shares: Mapping[str, float]) -> list[Task]:
    """Distinct questions about one world, forms drawn by their shares where the world allows them."""
    found: dict[str, Task] = {}
    for form in maker.rng.choices(list(shares), weights=list(shares.values()), k=3 * count):
        if len(found) == count:
            break
        if (task := FORMS[form](maker, world)) is not None:
            found.setdefault(task.question, task)
    return list(found.values())


def context_documents(rng: Random, split: str, settings: Mapping[str, Any], words: Sequence[str]) -> Iterator[Document]:
    maker = WorldMaker(rng, split, words if settings.get("vocabulary_names") else ())
    (fewest, most), (least, highest) = settings["facts"], settings["questions"]
    while True:
        world = maker.world(rng.randint(fewest, most))
        tasks = tasks_for(maker, world, rng.randint(least, highest), settings["forms"])
        if tasks:
            yield page_of(rng, context_of(rng, world), tasks, settings.get("chat_share", 0.6))


def drill_documents(rng: Random, split: str, settings: Mapping[str, Any], words: Sequence[str]) -> Iterator[Document]:
    while True:
        yield drill(rng, words)


def matched_documents(rng: Random, split: str, settings: Mapping[str, Any], words: Sequence[str]) -> Iterator[Document]:
    while True:
        yield matched(rng, words)


def sql_documents(rng: Random, split: str, settings: Mapping[str, Any], words: Sequence[str]) -> Iterator[Document]:
    maker = SchemaMaker(rng, split)
    least, highest = settings["questions"]
    while True:
        schema, queries = drawn_schema(maker, settings["joined_share"], rng.randint(least, highest))
        schema.connection.close()
        yield sql_page(rng, schema, queries, is_chat=rng.random() < 0.6)


def talk_documents(rng: Random, split: str, settings: Mapping[str, Any], words: Sequence[str]) -> Iterator[Document]:
    maker = WorldMaker(rng, split)
    while True:
        yield talk(maker)


GENERATORS: dict[str, Generator] = {
    "context": context_documents,
    "drill": drill_documents,
    "matched": matched_documents,
    "sql": sql_documents,
    "talk": talk_documents,
}
