"""Rows of a file in any format that facts are read from, whatever the columns of a table are named."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from memtune.errors import InputError
from memtune.ingest.reader import Columns
from memtune.ingest.readers import csv, parquet, reader_for
from memtune.ingest.rows import Item


def read_items(path: Path, known: Collection[str]) -> Iterator[Item]:
    """Every row with its place. `known`: names of columns that mean something; a table must have one of them."""

    def require(path: Path, names: Sequence[str]) -> None:
        if not any(name in known for name in names):
            hint = f"the first line names the columns, such as asked or question; there is {', '.join(names[:8])}"
            raise InputError(f"{path}: none of its columns is known", hint=hint)

    reader, columns = reader_for(path), Columns(known, require)
    if reader is csv.READER:
        return csv.read(path, columns)
    return parquet.read(path, columns) if reader is parquet.READER else reader.read(path)
