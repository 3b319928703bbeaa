"""One JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from memtune.ingest.files import numbered_lines, open_text
from memtune.ingest.reader import Reader
from memtune.ingest.rows import Item, Problem, foreign_byte


def read(path: Path) -> Iterator[Item]:
    with open_text(path) as stream:
        for number, line in numbered_lines(stream, path):
            if not line.isspace():
                yield f"line {number}", _parse(line)


def _parse(line: str) -> Any:
    reason = foreign_byte(line)
    if reason:
        return Problem(reason)
    try:
        return DECODER.decode(line.rstrip())
    except json.JSONDecodeError as error:
        return Problem(f"broken JSON at column {error.colno}: {error.msg}")
    except (ValueError, RecursionError) as error:
        return Problem(f"broken JSON: {error}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"field {next(name for name in names if names.count(name) > 1)!r} stands twice")
    return fields


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
"""Strict: fields that stand twice, NaN and Infinity are refused, not guessed at."""

READER = Reader(
    extensions=(".jsonl", ".ndjson"),
    read=read,
    recognises=lambda start: start.lstrip().startswith(b"{"),
)
