"""Rows of a file in any format that facts are read from, whatever the columns of a table are named."""

from __future__ import annotations

import csv as tables
import datetime
import decimal
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from memtune.errors import ExtraMissing, InputError
from memtune.ingest import files
from memtune.ingest.readers import csv, parquet, reader_for
from memtune.ingest.rows import Item, Problem

_BATCH_ROWS = 1024


def read_items(path: Path, known: Collection[str]) -> Iterator[Item]:
    """Every row with its place. `known`: names of columns that mean something; a table must have one of them."""
    reader = reader_for(path)
    if reader is csv.READER:
        return _text_table(path, known)
    return _parquet(path, known) if reader is parquet.READER else reader.read(path)


def _text_table(path: Path, known: Collection[str]) -> Iterator[Item]:
    tables.field_size_limit(files.MAX_ROW_CHARS)  # the limit of the standard library is less than a long answer
    with files.open_text(path, newline="") as stream:
        lines = (line for _, line in files.numbered_lines(stream, path))
        records = _records(tables.reader(lines, delimiter=_delimiter(path, known), strict=True))
        _, names = next(records, ("", []))
        if isinstance(names, Problem):
            raise InputError(f"{path}: line 1: {names.reason}")
        names = [_name(cell, known) for cell in names]
        _require(path, names, known)
        for where, cells in records:
            yield where, cells if isinstance(cells, Problem) else _row(names, cells)


def _records(reader: Any) -> Iterator[tuple[str, list[str] | Problem]]:
    """Lines that hold something, cut into cells; after one that cannot be cut, the next."""
    while True:
        where = f"line {reader.line_num + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except tables.Error as error:
            yield where, Problem(str(error))
            continue
        if cells:
            yield where, cells


def _row(names: Sequence[str], cells: Sequence[str]) -> dict[str, Any] | Problem:
    """An empty cell is a field that the row does not have."""
    if len(cells) != len(names):
        return Problem(f"{len(cells)} columns where the first line names {len(names)}")
    return {name: cell for name, cell in zip(names, cells, strict=True) if name and cell.strip()}


def _delimiter(path: Path, known: Collection[str]) -> str:
    """What parts the first line into most of the names that are known."""
    lines = files.head(path).decode(errors="replace").replace("\0", "").splitlines()[:1]

    def hits(delimiter: str) -> int:
        return sum(_name(cell, known) in known for cell in next(tables.reader(lines, delimiter=delimiter), []))

    return max(csv.DELIMITERS, key=hits)


def _name(cell: str, known: Collection[str]) -> str:
    """Names are often written with capitals; only known ones are adapted."""
    name = cell.strip()
    return name.lower() if name.lower() in known else name


def _require(path: Path, names: Sequence[str], known: Collection[str]) -> None:
    if not any(name in known for name in names):
        hint = f"the first line names the columns, such as asked or question; there is {', '.join(names[:8])}"
        raise InputError(f"{path}: none of its columns is known", hint=hint)
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice:
        raise InputError(f"{path}: two columns are named '{twice}'")


def _parquet(path: Path, known: Collection[str]) -> Iterator[Item]:
    try:
        import pyarrow
        from pyarrow import parquet as stored
    except ImportError:
        raise ExtraMissing("pyarrow", "parquet") from None
    number = 0
    try:
        with files.readable(path), stored.ParquetFile(path) as file:
            _require(path, file.schema_arrow.names, known)
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", {name: _plain(value) for name, value in row.items()}
    except pyarrow.ArrowException as error:
        raise InputError(f"{path}: not a sound Parquet file: {str(error).splitlines()[0]}") from None


def _plain(value: Any) -> Any:
    """Dates and decimal numbers as the text that they are written as."""
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value) if isinstance(value, decimal.Decimal) else value
