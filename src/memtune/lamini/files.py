"""Files of inputs and outputs, as `upload_file` takes them."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from memtune.lamini.error import UserError


def rows_of(path: str | os.PathLike[str], input_key: str, output_key: str) -> Iterator[dict[str, Any]]:
    """The rows of a JSONL or CSV file; an output may be missing, an input not."""
    where = Path(path)
    if where.suffix in (".jsonl", ".jsonlines"):
        found = _jsonl(where)
    elif where.suffix == ".csv":
        found = _csv(where)
    else:
        raise UserError(f"{where.name}: only .jsonl, .jsonlines and .csv files can be uploaded")
    for number, row in enumerate(found, 1):
        if not isinstance(row, dict) or input_key not in row:
            raise ValueError(f"{where.name}: row {number} has no '{input_key}'; name its field with input_key")
        output = row.get(output_key)
        yield {"input": row[input_key], "output": "" if output is None else output}


def _jsonl(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, 1):
            if not line.isspace():
                try:
                    yield json.loads(line)
                except ValueError as fault:
                    raise UserError(f"{path.name}: line {number} is broken JSON: {fault}") from None


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        yield from csv.DictReader(stream)
