"""Uploads as rows of facts, in all the spellings that the APIs know.

memtune's own rows, the reference's (`input`, `output`), and OpenAI's chats (`messages`): one question and its answer.
What a system message says is left out: a fact is recalled behind any of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from memtune.core.facts import ANSWER_FIELDS, PASSAGE_FIELDS, QUESTION_FIELDS
from memtune.errors import InputError, MemtuneError
from memtune.ingest import files
from memtune.ingest.reader import MEANINGFUL_COLUMNS, Columns
from memtune.ingest.readers import csv, parquet, reader_for
from memtune.ingest.rows import Item, Problem
from memtune.ingest.source import FileItems

_INPUT, _MESSAGES = "input", "messages"
_SYSTEM = ("system", "developer")


class Uploads(FileItems):
    """The rows of several uploads, one file behind the other, read anew each time."""

    def __init__(self, named: Sequence[tuple[Path, str]]) -> None:
        """`named`: each file, and what its sender called it."""
        super().__init__(named[0][0])
        self.name = ", ".join(name for _, name in named)
        self._named = named

    def __iter__(self) -> Iterator[Item]:
        for path, name in self._named:
            try:
                files.require_file(path)
                for where, found in _read(path):
                    place = where if len(self._named) == 1 else f"{name}, {where}"
                    yield place, as_fact_row(found)
            except MemtuneError as fault:
                raise said_of(fault, path, name) from None


def said_of(fault: MemtuneError, path: Path, name: str) -> MemtuneError:
    """What is wrong with a file, by the name that its sender knows: no path of the server leaves it."""
    known = re.compile(f"{re.escape(str(path))}|{re.escape(path.name)}")
    hint = fault.hint and known.sub(lambda _: name, fault.hint)
    return InputError(known.sub(lambda _: name, fault.message), hint=hint)


def as_fact_row(found: Any) -> Any:
    """A row in memtune's own spelling; what is none is left for the check to name."""
    if not isinstance(found, Mapping):
        return found
    asked = any(found.get(name) is not None for name in QUESTION_FIELDS)
    if not asked and found.get(_MESSAGES) is not None:
        return _of_chat(found)
    if not asked and found.get(_INPUT) is not None and found.get(PASSAGE_FIELDS[0]) is None:
        return {QUESTION_FIELDS[0] if name == _INPUT else name: value for name, value in found.items()}
    return found


def _of_chat(row: Mapping[str, Any]) -> dict[str, Any] | Problem:
    given = row[_MESSAGES]
    if not isinstance(given, (list, tuple)) or not all(isinstance(message, Mapping) for message in given):
        return Problem("'messages' must be a list of messages")
    said = [(m.get("role"), _content(m.get("content"))) for m in given if m.get("role") not in _SYSTEM]
    roles = [role for role, _ in said]
    if roles != ["user", "assistant"]:
        several = roles.count("user") > 1
        return Problem(
            "a chat of several turns is no fact; give each question a row of its own"
            if several
            else "'messages' must be one of the user and the answer of the assistant"
        )
    rest = {name: value for name, value in row.items() if name != _MESSAGES}
    return {**rest, QUESTION_FIELDS[0]: said[0][1], ANSWER_FIELDS[0]: said[1][1]}


def _content(given: Any) -> Any:
    """Text, or the text of a list of parts; anything else is refused where the fact is made."""
    if not isinstance(given, list):
        return given
    texts = [part.get("text") for part in given if isinstance(part, Mapping) and part.get("type") == "text"]
    return "".join(map(str, texts)) if len(texts) == len(given) else given


def _read(path: Path) -> Iterator[Item]:
    reader = reader_for(path)
    if reader is csv.READER:
        return csv.read(path, _COLUMNS)
    return parquet.read(path, _COLUMNS) if reader is parquet.READER else reader.read(path)


def _require_columns(path: Path, names: Sequence[str]) -> None:
    there = set(names)
    answered = not there.isdisjoint(ANSWER_FIELDS)
    if PASSAGE_FIELDS[0] in there or _MESSAGES in there:
        return
    if not answered or there.isdisjoint({*QUESTION_FIELDS, _INPUT}):
        hint = f"its columns are named: {', '.join(names)[:200]}"
        raise InputError(f"{path}: it needs columns 'question' and 'answer', or 'input' and 'output'", hint=hint)


_COLUMNS = Columns({*MEANINGFUL_COLUMNS, _INPUT, _MESSAGES}, _require_columns)
