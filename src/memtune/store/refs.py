"""The one file of a memory that changes: which version each branch and tag stands for. Replacing it is the commit."""

from __future__ import annotations

import difflib
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from memtune.errors import FolderDamaged, UnknownVersion, UsageError
from memtune.store.durable import FORMAT, seal, sync_folder, unseal, write_file
from memtune.store.manifest import NOTHING, Point

MAIN = "main"
"""The branch that a memory without `@` stands for."""
NAME = "refs.json"
_NUMBER = re.compile(r"v?(\d+)")
_NEAR = 3


@dataclass(frozen=True)
class Anchor:
    """How far the audit log is valid: what lies behind was never committed."""

    entries: int = 0
    bytes: int = 0
    hash: str = ""


@dataclass(frozen=True)
class Refs:
    """Everything of a memory that is not immutable."""

    latest: int = 0
    """The highest number that a version has."""
    segments: int = 0
    """The highest number that a segment ever had."""
    branches: Mapping[str, Point] = field(default_factory=lambda: {MAIN: NOTHING})
    tags: Mapping[str, Point] = field(default_factory=dict)
    audit: Anchor = Anchor()
    host: str = field(default_factory=socket.gethostname)
    """Where the catalogue is: on another machine its index is made anew from the shards."""

    def at(self, branch: str) -> Point:
        try:
            return self.branches[branch]
        except KeyError:
            raise self.unknown(branch) from None

    def moved(self, branch: str, point: Point) -> Refs:
        return replace(self, branches={**self.branches, branch: point})

    def tagged(self, tag: str, point: Point) -> Refs:
        return replace(self, tags={**self.tags, tag: point})

    def without(self, name: str) -> Refs:
        kept = [{n: p for n, p in names.items() if n != name} for names in (self.branches, self.tags)]
        return replace(self, branches=kept[0], tags=kept[1])

    @property
    def points(self) -> set[Point]:
        """All that branches and tags stand for."""
        return {*self.branches.values(), *self.tags.values()}

    def unknown(self, name: str) -> UnknownVersion:
        number = _NUMBER.fullmatch(name)
        near = difflib.get_close_matches(name, [*self.branches, *self.tags], _NEAR)
        if number and self.latest:
            near = [f"v{n}" for n in sorted(range(1, self.latest + 1), key=lambda n: abs(n - int(number[1])))[:_NEAR]]
        known = ", ".join([*self.branches, *self.tags])
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {known}; `memtune log` lists the versions"
        return UnknownVersion(f"the memory has no version, branch or tag '{name}'", hint=hint)

    def require_free(self, name: str) -> None:
        """A new name must be one, mean no version by its number, and stand for nothing else."""
        if _NUMBER.fullmatch(name) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise UsageError(
                f"'{name}' cannot name a branch or tag", hint="letters, digits and . _ - only; v1, 2, … are versions"
            )
        if name in self.branches or name in self.tags:
            raise UsageError(f"there is a branch or tag '{name}' already", hint="choose another name, or delete it")

    def encode(self) -> bytes:
        names = {
            "branches": {name: list(point) for name, point in self.branches.items()},
            "tags": {name: list(point) for name, point in self.tags.items()},
        }
        counted = {"latest": self.latest, "segments": self.segments, "audit": vars(self.audit), "host": self.host}
        return seal({"format": FORMAT} | counted | names)

    def write(self, folder: Path) -> None:
        """The moment from which readers see what was committed."""
        write_file(folder / NAME, replace(self, host=socket.gethostname()).encode(), "refs")
        sync_folder(folder)

    @classmethod
    def read(cls, folder: Path) -> Refs:
        file = folder / NAME
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            raise _missing(file) from None
        document = unseal(file, data)
        try:
            return cls(
                document["latest"],
                document["segments"],
                {name: Point(*point) for name, point in document["branches"].items()},
                {name: Point(*point) for name, point in document["tags"].items()},
                Anchor(**document["audit"]),
                document["host"],
            )
        except (KeyError, TypeError, AttributeError):
            raise FolderDamaged(f"{file} is damaged: it names no versions") from None


def signature(folder: Path) -> tuple[int, int, int]:
    """Another one means that the references were replaced; asking costs some microseconds."""
    try:
        found = os.stat(folder / NAME)  # noqa: PTH116
    except FileNotFoundError:
        raise _missing(folder / NAME) from None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _missing(file: Path) -> FolderDamaged:
    return FolderDamaged(f"{file} is missing", hint=f"`memtune repair --memory {file.parent}` makes it again")


def number(name: str) -> int | None:
    """12 for `v12` and `12`."""
    found = _NUMBER.fullmatch(name)
    return int(found[1]) if found else None


def named(path: str | Path) -> Path:
    """The same place by a path that ends in a name: `.` and `..` do not."""
    path = Path(path)
    return path if path.name not in ("", "..") else path.resolve()


def parse_address(path: str | Path) -> tuple[Path, str | None]:
    """`DIR@v12` → the folder and `v12`; a folder that really has such a name is meant itself."""
    path = named(path)
    folder, at, name = path.name.rpartition("@")
    if not at or not folder or path.exists():
        return path, None
    return path.with_name(folder), name
