"""Parquet files, with the extra `parquet`."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from memtune.errors import ExtraMissing, InputError
from memtune.ingest.files import readable
from memtune.ingest.reader import FACT_COLUMNS, Columns, Reader
from memtune.ingest.rows import Item, without_gaps

BATCH_ROWS = 1024


def read(path: Path, columns: Columns = FACT_COLUMNS) -> Iterator[Item]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ExtraMissing("pyarrow", "parquet") from None
    number = 0
    try:
        with readable(path), parquet.ParquetFile(path) as file:
            columns.require(path, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    fields = without_gaps(row)
                    yield f"row {number}", {name: _plain(value) for name, value in fields.items()}
    except pyarrow.ArrowException as error:
        raise InputError(f"{path}: not a sound Parquet file: {str(error).splitlines()[0]}") from None


def _plain(value: Any) -> Any:
    """Dates and decimal numbers as the text that JSON needs."""
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value) if isinstance(value, decimal.Decimal) else value


READER = Reader(extensions=(".parquet",), read=read, recognises=lambda start: start.startswith(b"PAR1"))
