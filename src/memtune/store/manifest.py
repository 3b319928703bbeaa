"""What one version of a memory consists of, and the immutable file that says so.

A manifest names only what differs from its parent; every so often one names everything (a checkpoint). So ten
thousand single updates write some megabytes, and reading a version opens a bounded number of small files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from memtune.errors import FolderDamaged, UsageError
from memtune.store.durable import FORMAT, WITH_SKILLS, seal
from memtune.store.skills import Skill, Skills, changes
from memtune.store.skills import digests as skill_digests

MOST_ROWS = 1 << 22
"""Of one segment: a few bytes of a manifest that means harm must not become all rows that there are numbers for."""
CHAIN = 256
"""Manifests that name differences only, one behind the other, at most."""


class FactRef(NamedTuple):
    """Where a fact lives. A segment's number is never given away a second time."""

    segment: int
    row: int


class Point(NamedTuple):
    """A version and the checksum of its manifest."""

    version: int
    checksum: str


NOTHING = Point(0, "")
"""Version 0, the empty memory, has no manifest."""


@dataclass(frozen=True)
class Segment:
    """What one lot, or one single update, added: `count` facts in rows 0 to count - 1, one shard per room."""

    id: int
    count: int
    shards: Mapping[str, str]
    """From the room's name to the SHA-256 of its shard."""
    dropped: frozenset[int] = frozenset()
    """Rows that this version does not hold any more."""
    archived: frozenset[int] = frozenset()
    """Rows that it holds, but that answer nothing."""

    @property
    def silent(self) -> frozenset[int]:
        """Rows to which no question leads."""
        return self.dropped | self.archived

    @property
    def live(self) -> list[int]:
        return [row for row in range(self.count) if row not in self.dropped]

    @property
    def facts(self) -> int:
        """How many facts of it this version holds."""
        return self.count - len(self.dropped)

    def holds(self, row: int) -> bool:
        return 0 <= row < self.count and row not in self.dropped

    def to_json(self) -> dict[str, Any]:
        said = {"id": self.id, "count": self.count, "shards": dict(self.shards), "dropped": _runs(self.dropped)}
        aside = self.archived - self.dropped
        return said | ({"archived": _runs(aside)} if aside else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Segment:
        count = data["count"]
        if not isinstance(count, int) or not 0 < count <= MOST_ROWS:
            raise ValueError(f"a segment of {count} rows")
        rows = (frozenset(_rows(data.get(name, ()), count)) for name in ("dropped", "archived"))
        return cls(data["id"], count, data["shards"], *rows)


class Segments(dict[int, Segment]):
    """Segments by number."""

    def holds(self, ref: FactRef) -> bool:
        segment = self.get(ref.segment)
        return segment is not None and segment.holds(ref.row)


@dataclass(frozen=True)
class Counts:
    """What a version changed in its parent, in facts."""

    added: int = 0
    changed: int = 0
    removed: int = 0


@dataclass(frozen=True)
class Commit:
    """What is known of a version without its facts."""

    version: int = 0
    parents: tuple[Point, ...] = ()
    time: str = ""
    author: str = ""
    message: str = ""
    act: str = ""
    """What made it: learn, update, phrase, forget, merge, rollback, …"""
    branch: str = ""
    """The branch that it was made on."""
    counts: Counts = Counts()
    facts: int = 0
    """All facts that it holds."""

    @property
    def parent(self) -> int | None:
        return self.parents[0].version if self.parents else None

    def to_json(self) -> dict[str, Any]:
        said = {name: getattr(self, name) for name in ("version", "time", "author", "message", "act", "branch")}
        return said | {"parents": [list(p) for p in self.parents], "counts": asdict(self.counts), "facts": self.facts}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Commit:
        said = {name: document[name] for name in ("version", "time", "author", "message", "act", "branch", "facts")}
        return cls(**said, parents=tuple(Point(*p) for p in document["parents"]), counts=Counts(**document["counts"]))


@dataclass(frozen=True)
class Manifest:
    """One version with its segments and its skills."""

    commit: Commit = Commit()
    checksum: str = ""
    held: Segments = field(default_factory=Segments)
    skills: Skills = field(default_factory=Skills)
    chain: int = 0
    """Manifests before this one up to the last that names everything."""

    @property
    def version(self) -> int:
        return self.commit.version

    @property
    def point(self) -> Point:
        return Point(self.version, self.checksum)

    @property
    def facts(self) -> int:
        return self.commit.facts

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """In the order in which they were added."""
        return tuple(self.held[number] for number in sorted(self.held))

    def segment(self, id: int) -> Segment:  # noqa: A002
        try:
            return self.held[id]
        except KeyError:
            raise UsageError(f"version {self.version} has no segment {id}") from None

    def holds(self, ref: FactRef) -> bool:
        return self.held.holds(ref)

    def archives(self, ref: FactRef) -> bool:
        return ref.row in self.segment(ref.segment).archived

    @cached_property
    def digests(self) -> set[str]:
        of_facts = {digest for segment in self.held.values() for digest in segment.shards.values()}
        return of_facts | skill_digests(self.skills.values())


def encode(commit: Commit, held: Segments, skills: Skills, parent: Manifest) -> tuple[bytes, int]:
    """The file of a version, and how many manifests it leans on."""
    chain = parent.chain + 1 if parent.version and parent.chain < CHAIN else 0
    base, known = (parent.held, parent.skills) if chain else (Segments(), Skills())
    changed = [held[number].to_json() for number in sorted(held) if held[number] != base.get(number)]
    removed = sorted(base.keys() - held.keys())
    body = {"chain": chain, "segments": changed, "removed": removed} | _skills(known, skills)
    return seal({"format": WITH_SKILLS if "skills" in body else FORMAT} | commit.to_json() | body), chain


def _skills(known: Skills, skills: Skills) -> dict[str, Any]:
    """What a manifest says of skills: nothing where nothing about them differs."""
    differs = changes(known, skills)
    if not any(differs.values()):
        return {}
    named = [skills[name].to_json() for name in (*differs["added"], *differs["changed"])]
    return {"skills": {"held": named, "removed": list(differs["removed"])}}


def apply(path: Path, document: Mapping[str, Any], held: Segments, skills: Skills) -> None:
    """Turn the segments and the skills of a version's parent into its own."""
    try:
        held.update((segment["id"], Segment.from_json(segment)) for segment in document["segments"])
        for number in document["removed"]:
            del held[number]
        told = document.get("skills") or {"held": (), "removed": ()}
        skills.update((skill["name"], Skill.from_json(skill)) for skill in told["held"])
        for name in told["removed"]:
            del skills[name]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        raise FolderDamaged(f"{path} is damaged: it is no manifest") from None


def _runs(rows: Iterable[int]) -> list[int | list[int]]:
    """Sorted rows with neighbours as [first, last]: 0, 3, 4, 5 is written 0, [3, 5]."""
    runs: list[list[int]] = []
    for row in sorted(rows):
        if runs and row == runs[-1][1] + 1:
            runs[-1][1] = row
        else:
            runs.append([row, row])
    return [first if first == last else [first, last] for first, last in runs]


def _rows(runs: Iterable[int | list[int]], count: int) -> Iterator[int]:
    for run in runs:
        first, last = (run, run) if isinstance(run, int) else run
        if not 0 <= first <= last < count:
            raise ValueError(f"rows {first} to {last} of {count}")
        yield from range(first, last + 1)
