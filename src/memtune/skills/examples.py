"""Examples of a task, from a file or from rows: what is asked, and what is to be answered.

A row has a question (`question` or `prompt`) and an answer (`answer`, `completion` or `output`, else `sql` or `query`),
or `messages`, the last of which is the assistant's. `schema` holds tables as SQL, on which two queries can be compared.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memtune.core.facts import ANSWER_FIELDS, QUESTION_FIELDS, normalise
from memtune.core.prompts import Message, check_messages
from memtune.errors import BadRows, ConflictError, InputError, UsageError
from memtune.ingest import files
from memtune.ingest.reader import Columns
from memtune.ingest.readers import csv, parquet, reader_for
from memtune.ingest.rows import Item, Problem, foreign_byte, without_gaps

Origin = str | os.PathLike[str] | Iterable[Mapping[str, Any]]

SETTLED = ("error", "keep-first", "keep-last")
"""What to do about one question with two answers."""
_CODE = ("sql", "query")
_MESSAGES, _SCHEMA = "messages", "schema"
_SHOWN = 3


@dataclass(frozen=True)
class Example:
    """One request and its answer."""

    messages: tuple[Message, ...]
    answer: str
    schema: str | None = None
    """Tables, as SQL makes them, for which the answer is a query."""

    @property
    def asked(self) -> str:
        """What is said last."""
        return self.messages[-1]["content"]

    @property
    def key(self) -> tuple[str, ...]:
        """The same for requests that differ in case and spacing only."""
        return tuple(normalise(f"{message['role']}: {message['content']}") for message in self.messages)

    def to_row(self) -> dict[str, Any]:
        """The row that `read_examples` makes this of."""
        row: dict[str, Any] = (
            {"question": self.asked, "answer": self.answer}
            if len(self.messages) == 1
            else {"messages": [*self.messages, {"role": "assistant", "content": self.answer}]}
        )
        return row | ({_SCHEMA: self.schema} if self.schema else {})


@dataclass
class Examples:
    """Different examples, in the order of their rows."""

    rows: list[Example] = field(default_factory=list)
    duplicates: int = 0
    contradictions: list[str] = field(default_factory=list)
    """Questions that had more than one answer, where that was settled as asked."""


def read_examples(origin: Origin, *, answer_field: str | None = None, on_conflict: str = "error") -> Examples:
    """Every example of a file or of rows; refused whole, with the places named, if one cannot be used.

    `answer_field`: the field that holds the answer, where a row has several that could.
    """
    if on_conflict not in SETTLED:
        raise UsageError(f"on_conflict must be one of {', '.join(SETTLED)}, not '{on_conflict}'")
    name, items = _items(origin, answer_field)
    found, problems = Examples(), list[str]()
    places: dict[tuple[str, ...], int] = {}
    for where, row in items:
        try:
            _place(found, places, to_example(row, answer_field), on_conflict)
        except InputError as error:
            problems.append(f"{where}: {error.message}")
    if problems:
        raise BadRows(name, problems, hint="mend them: a skill is not trained on a part of its rows")
    if not found.rows:
        raise InputError(f"{name}: there are no examples in it")
    if found.contradictions and on_conflict == "error":
        raise _contradicting(name, found.contradictions)
    return found


def to_example(found: Any, answer_field: str | None = None) -> Example:
    """One row as an example; raises InputError with the reason when it is none."""
    if isinstance(found, Problem):
        raise InputError(found.reason)
    if not isinstance(found, Mapping):
        raise InputError("not an object with fields")
    fields = without_gaps(found)
    schema = _text(fields, _SCHEMA) if _SCHEMA in fields else None
    if _MESSAGES in fields:
        messages = _messages(fields[_MESSAGES])
        return Example(messages[:-1], messages[-1]["content"], schema)
    question = _text(fields, *QUESTION_FIELDS)
    answers = (answer_field,) if answer_field else (*ANSWER_FIELDS, *_CODE)
    return Example(({"role": "user", "content": question},), _text(fields, *answers), schema)


def _place(found: Examples, places: dict[tuple[str, ...], int], example: Example, on_conflict: str) -> None:
    place = places.setdefault(example.key, len(found.rows))
    if place == len(found.rows):
        found.rows.append(example)
    elif found.rows[place].answer == example.answer:
        found.duplicates += 1
    else:
        found.contradictions.append(example.asked)
        if on_conflict == "keep-last":
            found.rows[place] = example


def _contradicting(name: str, asked: Sequence[str]) -> ConflictError:
    different = list(dict.fromkeys(asked))
    shown = "; ".join(f"'{' '.join(text.split()):.60}'" for text in different[:_SHOWN])
    more = f"; and {len(different) - _SHOWN} more" if len(different) > _SHOWN else ""
    many = "1 question has" if len(different) == 1 else f"{len(different)} questions have"
    return ConflictError(
        f"{name}: {many} more than one answer: {shown}{more}",
        hint="mend them, or pass --on-conflict keep-first or keep-last",
    )


def _items(origin: Origin, answer_field: str | None) -> tuple[str, Iterator[Item]]:
    if not isinstance(origin, (str, os.PathLike)):
        rows = [origin] if isinstance(origin, Mapping) else origin
        return "rows", ((f"row {number}", row) for number, row in enumerate(rows, 1))
    path = Path(origin)
    files.require_file(path)
    reader = reader_for(path)
    if reader not in (csv.READER, parquet.READER):
        return str(path), reader.read(path)
    answers = {answer_field} if answer_field else {*ANSWER_FIELDS, *_CODE}
    columns = Columns({*QUESTION_FIELDS, *answers, _MESSAGES, _SCHEMA}, _require_columns(answers))
    return str(path), (csv.read if reader is csv.READER else parquet.read)(path, columns)


def _require_columns(answers: set[str]) -> Any:
    def require(path: Path, names: Sequence[str]) -> None:
        there = set(names)
        if _MESSAGES not in there and not (there & set(QUESTION_FIELDS) and there & answers):
            wanted = f"question and {' or '.join(sorted(answers))}"
            hint = f"its columns are named: {', '.join(names)[:200]}"
            raise InputError(f"{path}: it needs columns of {wanted}", hint=hint)

    return require


def _messages(given: Any) -> tuple[Message, ...]:
    if not isinstance(given, (list, tuple)) or len(given) < 2 or not all(isinstance(m, Mapping) for m in given):
        raise InputError("'messages' must be a list of at least two messages")
    plain = [{"role": _text(m, "role"), "content": _text(m, "content")} for m in given]
    if plain[-1]["role"] != "assistant":
        raise InputError("the last of the 'messages' must be the assistant's")
    try:
        check_messages(plain[:-1])
    except UsageError as error:
        raise InputError(error.message) from None
    return tuple(plain)


def _text(fields: Mapping[str, Any], *names: str) -> str:
    """The first of these fields that the row has, without the spaces around it."""
    name = next((name for name in names if name in fields), None)
    if name is None:
        raise InputError(f"no '{names[0]}'")
    given = fields[name]
    if isinstance(given, bool) or not isinstance(given, (str, int)):
        raise InputError(f"'{name}' must be text, not {type(given).__name__}")
    text = str(given).strip()
    if not text:
        raise InputError(f"'{name}' is empty")
    if reason := foreign_byte(text):
        raise InputError(f"'{name}' is {reason}")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError(f"'{name}' holds a character that is no text")
    return text
