"""One row, as a reader found it, becomes a fact or a problem."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from memtune.core.facts import Fact
from memtune.errors import InputError


@dataclass(frozen=True)
class Problem:
    """Why something is no row or no fact."""

    reason: str


_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")

Item = tuple[str, Any]
"""Where it was found ("line 7"), and what was found: a row, a Fact, a Problem, or what should be none of them."""


def to_fact(found: Any, max_answer_chars: int) -> Fact | Problem:
    """The fact that was found, or why there is none."""
    if isinstance(found, Problem):
        return found
    if not isinstance(found, Mapping | Fact):
        return Problem(f"not an object with fields, but {_kind(found)}")
    try:
        fact = found if isinstance(found, Fact) else Fact.from_row(found)
    except InputError as error:
        return Problem(error.message)
    reason = _unfit(fact, max_answer_chars)
    return Problem(reason) if reason else fact


def without_gaps(row: Mapping[str, Any]) -> dict[str, Any]:
    """Tables mark a missing value as None or NaN; a row of facts leaves it out."""
    return {name: v for name, v in row.items() if v is not None and not (isinstance(v, float) and v != v)}


def foreign_byte(line: str) -> str | None:
    """Names the first byte of a line that is not UTF-8: `files.open_text` made a lone surrogate of it."""
    found = None if line.isascii() else _ESCAPED_BYTE.search(line)
    return f"not UTF-8: byte 0x{_byte(found):02x} at column {found.start() + 1}" if found else None


def has_own_id(found: Any) -> bool:
    """Whether the id was given; ids that are made from question and answer never clash."""
    return isinstance(found, Fact) or (isinstance(found, Mapping) and found.get("id") is not None)


def _unfit(fact: Fact, max_answer_chars: int) -> str | None:
    if len(fact.answer) > max_answer_chars:
        return f"'answer' has {len(fact.answer):,} characters; at most {max_answer_chars:,} can be learned"
    for name, text in _texts(fact):
        reason = _unfit_text(text)
        if reason:
            return f"'{name}' {reason}"
    return _unfit_extra(fact.extra) if fact.extra else None


def _texts(fact: Fact) -> Iterator[tuple[str, str]]:
    yield "question", fact.question
    yield "answer", fact.answer
    yield "id", fact.id
    for text in fact.phrasings:
        yield "phrasings", text
    if fact.source is not None:
        yield "source", fact.source
    if fact.group is not None:
        yield "group", fact.group


def _unfit_text(text: str) -> str | None:
    if "\0" in text:
        return "holds a NUL character"
    lone = None if text.isascii() else _SURROGATE.search(text)
    if lone is None:
        return None
    if _ESCAPED_BYTE.match(lone.group()):
        return f"is not UTF-8 (byte 0x{_byte(lone):02x})"
    return "holds half of a surrogate pair"


def _byte(escaped: re.Match[str]) -> int:
    return ord(escaped.group()) - 0xDC00


def _unfit_extra(extra: Mapping[str, Any]) -> str | None:
    """Further fields are kept as JSON: what JSON cannot hold is refused before anything is written."""
    for name, value in extra.items():
        try:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            return f"{name!r} cannot be kept as JSON: {error}"
        reason = _unfit_text(f"{name}{text}")
        if reason:
            return f"{name!r} {reason}"
    return None


def _kind(value: Any) -> str:
    names = {list: "a list", str: "text", int: "a number", float: "a number", bool: "true or false"}
    return "null" if value is None else names.get(type(value), type(value).__name__)
