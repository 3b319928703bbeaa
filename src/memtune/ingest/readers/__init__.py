"""Formats of fact files. A further one is one new file here and one line in READERS."""

from __future__ import annotations

from pathlib import Path

from memtune.errors import InputError
from memtune.ingest import files
from memtune.ingest.reader import Reader
from memtune.ingest.readers import csv, json, jsonl, parquet, text

READERS: tuple[Reader, ...] = (jsonl.READER, json.READER, csv.READER, parquet.READER, text.READER)


def reader_for(path: Path) -> Reader:
    """By the file's extension, `.gz` left aside; where that says nothing, by how the file begins."""
    extension = Path(path.name.removesuffix(".gz")).suffix.lower()
    for reader in READERS:
        if extension in reader.extensions:
            return reader
    start = files.head(path)
    for reader in READERS:
        if reader.recognises(start):
            return reader
    if extension == text.PLAIN:
        return text.READER
    known = ", ".join([extension for reader in READERS for extension in reader.extensions] + [text.PLAIN])
    raise InputError(f"{path} is in no format that memtune reads", hint=f"known formats: {known}")
