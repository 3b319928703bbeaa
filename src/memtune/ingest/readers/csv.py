"""Tables as text: fields between commas, semicolons or tabs, the first line naming the columns."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from memtune.errors import InputError
from memtune.ingest.files import MAX_ROW_CHARS, head, numbered_lines, open_text
from memtune.ingest.reader import FACT_COLUMNS, MEANINGFUL_COLUMNS, Columns, Reader, has_fact_columns
from memtune.ingest.rows import Item, Problem

DELIMITERS = (",", ";", "\t")
_CLEARER = {"unexpected end of data": "a quote is opened here and never closed"}


def read(path: Path, columns: Columns = FACT_COLUMNS) -> Iterator[Item]:
    delimiter = _likeliest(head(path), columns.known)
    csv.field_size_limit(MAX_ROW_CHARS)  # the limit of the standard library is less than a long answer
    with open_text(path, newline="") as stream:
        lines = (line for _, line in numbered_lines(stream, path))
        records = _records(csv.reader(lines, delimiter=delimiter, strict=True))
        names = _names(path, next(records, None), columns)
        for where, cells in records:
            yield where, cells if isinstance(cells, Problem) else _row(names, cells)


def _records(reader: Any) -> Iterator[tuple[str, list[str] | Problem]]:
    while True:
        where = f"line {reader.line_num + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield where, Problem(_CLEARER.get(str(error), str(error)))
            continue
        if cells:
            yield where, cells


def _names(path: Path, first: tuple[str, list[str] | Problem] | None, columns: Columns) -> list[str]:
    if first is None:
        return []
    where, cells = first
    if isinstance(cells, Problem):
        raise InputError(f"{path}: {where}: {cells.reason}")
    names = [_name(cell, columns.known) for cell in cells]
    columns.require(path, names)
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice:
        raise InputError(f"{path}: two columns are named '{twice}'")
    return names


def _name(cell: str, known: Collection[str]) -> str:
    """Column names are often written with capitals; only those that memtune knows are adapted."""
    name = cell.strip()
    return name.lower() if name.lower() in known else name


def _row(names: list[str], cells: list[str]) -> dict[str, Any] | Problem:
    if len(cells) != len(names):
        return Problem(f"{len(cells)} columns where the first line names {len(names)}")
    row: dict[str, Any] = {name: cell for name, cell in zip(names, cells, strict=True) if name and cell}
    for listed in ("phrasings", "questions") if "passage" in row else ("phrasings",):
        if listed in row:
            row[listed] = _wordings(row[listed])
    return row


def _wordings(cell: str) -> list[str]:
    """A JSON list, or one wording a line."""
    try:
        listed = json.loads(cell)
    except ValueError:
        listed = None
    return listed if isinstance(listed, list) else [line for line in cell.splitlines() if line.strip()]


def _likeliest(start: bytes, known: Collection[str]) -> str:
    """The sign that parts the first line into most of the columns that are known."""
    return max(DELIMITERS, key=lambda delimiter: sum(name in known for name in _first_line(start, delimiter, known)))


def _first_line(start: bytes, delimiter: str, known: Collection[str]) -> list[str]:
    lines = start.decode(errors="replace").replace("\0", "").lstrip().splitlines()[:1]
    return [_name(cell, known) for cell in next(csv.reader(lines, delimiter=delimiter), [])]


def _holds_facts(start: bytes) -> bool:
    return any(has_fact_columns(_first_line(start, delimiter, MEANINGFUL_COLUMNS)) for delimiter in DELIMITERS)


READER = Reader(
    extensions=(".csv", ".tsv"),
    read=read,
    recognises=_holds_facts,
)
