"""The figures of an exported folder: bits per byte, and answers decoded freely about names it never saw."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from . import corpora
from .subject import Subject
from .text.document import END, USER, Document, Part, text_of
from .text.facts import WorldMaker
from .text.forms import FORMS, Task
from .text.layouts import chat_page, context_of, raw_page
from .text.names import HELDOUT
from .text.sql_pages import drawn_schema, sql_page
from .text.sql_queries import Query, same_result
from .text.sql_schema import Schema, SchemaMaker
from .text.talk import bare_question

NEW_TOKENS = 64
FACTS = (1, 6)  # stated in the context of a question


@dataclass(frozen=True)
class Rate:
    """A share with its 95 % Wilson interval."""

    hits: int
    of: int

    @property
    def share(self) -> float:
        return self.hits / self.of

    @property
    def interval(self) -> tuple[float, float]:
        z, n, p = 1.96, self.of, self.share
        centre, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return (centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)

    def as_dict(self) -> dict[str, Any]:
        low, high = self.interval
        return {"share": round(self.share, 4), "low": round(low, 4), "high": round(high, 4), "of": self.of}


@dataclass(frozen=True)
class Case:
    prompt: str
    answer: str
    is_chat: bool
    task: Task


@dataclass(frozen=True)
class SqlCase:
    prompt: str
    query: Query
    schema: Schema


def split_at_answer(document: Document) -> tuple[str, str]:
    """The text before the first answer, and that answer."""
    first = next(i for i, piece in enumerate(document) if piece.part == Part.ANSWER)
    return text_of(document[:first]), document[first].text.removesuffix(END).strip()


def form_cases(form: str, count: int, facts: tuple[int, int], seed: int) -> list[Case]:
    """Single questions in one form, every second one in the chat template, about names of the held-out split."""
    rng = Random(f"evaluate/{seed}/{form}/{facts}")
    maker, cases = WorldMaker(rng, HELDOUT), list[Case]()
    while len(cases) < count:
        world = maker.world(rng.randint(*facts))
        if (task := FORMS[form](maker, world)) is None:
            continue
        is_chat = len(cases) % 2 == 0
        page = (chat_page if is_chat else raw_page)(rng, context_of(rng, world), [task])
        cases.append(Case(*split_at_answer(page), is_chat, task))
    return cases


def is_right(case: Case, said: str) -> bool:
    if case.task.values:
        return all(value in said for value in case.task.values)
    return said.strip() == case.answer


def chance_of(cases: Iterable[Case]) -> float:
    """What blind choice among the options would reach; zero where the answer is free."""
    shares = [1 / len(case.task.options) if case.task.options else 0.0 for case in cases]
    return sum(shares) / len(shares)


def measure_form(subject: Subject, cases: list[Case]) -> tuple[dict[str, Any], list[bool]]:
    """The figures of one form, and for each chat answer whether it ended in time."""
    said = subject.continuations([case.prompt for case in cases], NEW_TOKENS)
    rate = Rate(sum(is_right(c, text) for c, (text, _) in zip(cases, said, strict=True)), len(cases))
    chance = chance_of(cases)
    corrected = (rate.share - chance) / (1 - chance)
    ended = [end for case, (_, end) in zip(cases, said, strict=True) if case.is_chat]
    return {**rate.as_dict(), "chance": round(chance, 3), "corrected": round(corrected, 4)}, ended


def measure_forms(subject: Subject, count: int, seed: int) -> dict[str, Any]:
    report: dict[str, Any] = {}
    ended: list[bool] = []
    for form in FORMS:
        report[form], ends = measure_form(subject, form_cases(form, count, FACTS, seed))
        ended += ends
    for facts in (1, 3, 6):
        report[f"open, {facts} stated"], ends = measure_form(subject, form_cases("open", count, (facts, facts), seed))
        ended += ends
    ended += bare_questions_end(subject, count, seed)
    report["chat answers that end"] = Rate(sum(ended), len(ended)).as_dict()
    return report


def bare_questions_end(subject: Subject, count: int, seed: int) -> list[bool]:
    """Chat questions without any context: whether the answer, whatever it is, ends."""
    maker, prompts = WorldMaker(Random(f"evaluate/{seed}/bare"), HELDOUT), list[str]()
    while len(prompts) < count:
        page = bare_question(maker)
        text = text_of(page[:-1])
        if USER in text:
            prompts.append(text[: text.rindex("|>") + len("|>")])
    return [ended for _, ended in subject.continuations(prompts, NEW_TOKENS)]


def sql_cases(count: int, joined_share: float, seed: int) -> list[SqlCase]:
    rng = Random(f"evaluate/{seed}/sql/{joined_share}")
    maker, cases = SchemaMaker(rng, HELDOUT), list[SqlCase]()
    while len(cases) < count:
        schema, queries = drawn_schema(maker, joined_share, questions=1)
        page = sql_page(rng, schema, queries, is_chat=len(cases) % 2 == 0)
        cases.append(SqlCase(split_at_answer(page)[0], queries[0], schema))
    return cases


def measure_sql(subject: Subject, count: int, seed: int) -> dict[str, Any]:
    report = {}
    for name, joined_share in (("one table", 0.0), ("two tables", 1.0)):
        cases = sql_cases(count, joined_share, seed)
        written = [text.strip() for text, _ in subject.continuations([c.prompt for c in cases], 2 * NEW_TOKENS)]
        pairs = list(zip(cases, written, strict=True))
        report[f"{name}, executes"] = Rate(sum(c.schema.run(sql) is not None for c, sql in pairs), count).as_dict()
        right = sum(same_result(c.query, c.schema, sql) for c, sql in pairs)
        report[f"{name}, right result"] = Rate(right, count).as_dict()
    return report


def measure_prose(subject: Subject, folder: Path) -> dict[str, float]:
    texts = {
        "wikitext2_valid": corpora.read_text(folder / "wikitext2_valid.txt.gz"),
        "openstax, held-out hundredth": "".join(corpora.heldout_blocks(folder / "openstax.txt.gz")),
    }
    return {name: round(subject.bits_per_byte(text), 4) for name, text in texts.items()}


def measure(folder: Path, corpora_folder: Path, count: int, seed: int, device: str) -> dict[str, Any]:
    subject = Subject(folder, device)
    return {
        "bits per byte": measure_prose(subject, corpora_folder),
        "use of a stated fact": measure_forms(subject, count, seed),
        "text to SQL": measure_sql(subject, count, seed),
    }
