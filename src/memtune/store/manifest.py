"""What one version of a memory consists of: an immutable file that names its segments and their shards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from memtune.errors import FolderDamaged, UsageError
from memtune.store.durable import FORMAT, seal, unseal


class FactRef(NamedTuple):
    """Where a fact lives. A segment's number is never given away a second time."""

    segment: int
    row: int


@dataclass(frozen=True)
class Segment:
    """What one lot, or one single update, added: `count` facts in rows 0 to count - 1, one shard per room."""

    id: int
    count: int
    shards: Mapping[str, str]
    """From the room's name to the SHA-256 of its shard."""
    dropped: frozenset[int] = frozenset()
    """Rows that this version does not hold any more."""

    @property
    def live(self) -> list[int]:
        return [row for row in range(self.count) if row not in self.dropped]

    @property
    def facts(self) -> int:
        """How many facts of it this version holds."""
        return self.count - len(self.dropped)

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "count": self.count,
            "shards": dict(self.shards),
            "dropped": _runs(self.dropped),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Segment:
        return cls(data["id"], data["count"], data["shards"], frozenset(_rows(data["dropped"])))


@dataclass(frozen=True)
class Manifest:
    """One version. Version 0 is the empty memory and has no file."""

    version: int = 0
    parent: int | None = None
    time: str = ""
    author: str = ""
    message: str = ""
    segments: tuple[Segment, ...] = ()

    @cached_property
    def by_id(self) -> dict[int, Segment]:
        return {segment.id: segment for segment in self.segments}

    @cached_property
    def facts(self) -> int:
        return sum(segment.facts for segment in self.segments)

    def segment(self, id: int) -> Segment:  # noqa: A002
        try:
            return self.by_id[id]
        except KeyError:
            raise UsageError(f"version {self.version} has no segment {id}") from None

    def holds(self, ref: FactRef) -> bool:
        segment = self.by_id.get(ref.segment)
        return segment is not None and 0 <= ref.row < segment.count and ref.row not in segment.dropped

    def encode(self) -> bytes:
        head = {"format": FORMAT, "version": self.version, "parent": self.parent, "time": self.time}
        said = {"author": self.author, "message": self.message}
        return seal(head | said | {"segments": [segment.to_json() for segment in self.segments]})

    @classmethod
    def decode(cls, path: Path, data: bytes) -> Manifest:
        document = unseal(path, data)
        try:
            segments = tuple(Segment.from_json(segment) for segment in document["segments"])
            fields = {name: document[name] for name in ("version", "parent", "time", "author", "message")}
        except (KeyError, TypeError):
            raise FolderDamaged(f"{path} is damaged: it is no manifest") from None
        return cls(**fields, segments=segments)


def _runs(rows: Iterable[int]) -> list[int | list[int]]:
    """Sorted rows with neighbours as [first, last]: 0, 3, 4, 5 is written 0, [3, 5]."""
    runs: list[list[int]] = []
    for row in sorted(rows):
        if runs and row == runs[-1][1] + 1:
            runs[-1][1] = row
        else:
            runs.append([row, row])
    return [first if first == last else [first, last] for first, last in runs]


def _rows(runs: Iterable[int | list[int]]) -> Iterable[int]:
    for run in runs:
        if isinstance(run, int):
            yield run
        else:
            yield from range(run[0], run[1] + 1)
