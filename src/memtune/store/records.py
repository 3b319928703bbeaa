"""The room "facts" of a segment: its facts as JSON lines and where each begins, in one safetensors file.

Read in place, without torch and without SQLite, so that a reader on another machine needs only this file.
"""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from memtune.core.facts import Fact
from memtune.errors import FolderDamaged, InputError

ROOM = "facts"
TOMBSTONE = Fact("purged", "purged", "purged")
"""What stands in the row of a fact that was purged; no version holds that row."""
_LISTS = ("phrasings", "never")
_decode = json.JSONDecoder().decode


def encode(lines: Sequence[bytes]) -> bytes:
    """A safetensors file with `offsets` (int64, one more than there are lines) and `lines` (uint8)."""
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line))
    table = struct.pack(f"<{len(offsets)}q", *offsets)
    layout = {
        "offsets": {"dtype": "I64", "shape": [len(offsets)], "data_offsets": [0, len(table)]},
        "lines": {
            "dtype": "U8",
            "shape": [offsets[-1]],
            "data_offsets": [len(table), len(table) + offsets[-1]],
        },
    }
    header = json.dumps(layout).encode()
    header += b" " * (-len(header) % 8)
    return b"".join((struct.pack("<Q", len(header)), header, table, *lines))


def to_line(fact: Fact) -> bytes:
    """Unlike an exported row, a record keeps every field exactly as it is, surrounding spaces included."""
    record: dict[str, Any] = {"id": fact.id, "question": fact.question, "answer": fact.answer}
    optional: dict[str, Any] = {
        "phrasings": fact.phrasings,
        "never": fact.never,
        "source": fact.source,
        "group": fact.group,
        "valid_from": fact.valid_from,
        "valid_until": fact.valid_until,
        "extra": dict(fact.extra),
        "passage": fact.passage,
    }
    record |= {name: value for name, value in optional.items() if value or value == ""}
    try:
        return json.dumps(record, ensure_ascii=False).encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise InputError(f"fact {fact.id!r} cannot be stored: {error}") from None


def from_line(line: bytes) -> Fact:
    record = _decode(line.decode())
    return Fact(**record | {name: tuple(record[name]) for name in _LISTS if name in record})


class Records:
    """The facts of one segment, dropped ones included."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            (size,) = struct.unpack_from("<Q", self._map)
            layout = json.loads(self._map[8 : 8 + size])
            self._offsets, self._lines = (8 + size + layout[n]["data_offsets"][0] for n in ("offsets", "lines"))
            self._count = int(layout["offsets"]["shape"][0]) - 1
        except (ValueError, KeyError, TypeError, struct.error):
            raise FolderDamaged(f"{path} is damaged: it holds no facts") from None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, row: int) -> Fact:
        return from_line(self.line(row))

    def __iter__(self) -> Iterator[Fact]:
        return (self[row] for row in range(self._count))

    def line(self, row: int) -> bytes:
        if not 0 <= row < self._count:
            raise IndexError(row)
        start, end = struct.unpack_from("<2q", self._map, self._offsets + 8 * row)
        return self._map[self._lines + start : self._lines + end]
