"""What a memory consists of when it goes elsewhere, and bringing a copy of it up to date.

The catalogue, the lock and the inbox stay at home: the first is an index that is made anew, the last holds questions of
people. Shards and manifests go first, the references last, so that a copy is a whole memory at every moment.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from memtune.errors import FolderError, UsageError
from memtune.store import audit, refs, sidecar
from memtune.store.catalogue import NAME as CATALOGUE
from memtune.store.durable import TEMPORARY, plain_errors, remove_file, sync_folder, write_file
from memtune.store.folder import MemoryFolder
from memtune.store.layout import exists, read_header
from memtune.store.lock import WriterLock
from memtune.store.manifest import Point
from memtune.store.manifests import Manifests
from memtune.store.refs import MAIN, Refs
from memtune.store.shards import Shards

_BLOCK = 1 << 20
HEADER = "memory.json"
CARD = "README.md"
_STRANGERS = {CARD, ".gitattributes", ".git", ".cache", "writer.lock"}
"""What may stand in a folder that a memory is pushed to for the first time."""


@dataclass(frozen=True)
class Content:
    """The bytes of a member: a file, or the beginning of one, or bytes at hand."""

    data: bytes | Path
    upto: int | None = None

    @property
    def size(self) -> int:
        if isinstance(self.data, bytes):
            return len(self.data)
        return self.data.stat().st_size if self.upto is None else self.upto

    @property
    def digest(self) -> str:
        digest = hashlib.sha256()
        for block in self.blocks():
            digest.update(block)
        return digest.hexdigest()

    def blocks(self) -> Iterator[bytes]:
        if isinstance(self.data, bytes):
            yield self.data
            return
        left = self.size
        with self.data.open("rb") as file:
            while left and (block := file.read(min(_BLOCK, left))):
                left -= len(block)
                yield block


def references(folder: MemoryFolder) -> Refs:
    """Of a branch that is the main one, everything; of a version, a tag or another branch, what leads to it, as main.

    The machine's name does not travel.
    """
    if folder.branch == MAIN:
        return replace(folder.refs, host="")
    return replace(folder.refs, branches={MAIN: folder.manifest.point}, tags={}, host="")


def members(folder: MemoryFolder) -> dict[str, Content]:
    """Every file of a copy, by its name in the folder."""
    path, given = folder.path, references(folder)
    found = {
        HEADER: Content(path / HEADER),
        refs.NAME: Content(given.encode()),
        audit.NAME: Content(path / audit.NAME, given.audit.bytes),
    }
    found |= {name: Content(path / name) for name in sidecar.NAMES if (path / name).is_file()}
    for point, _ in folder.manifests.ancestors(*given.points):
        file = folder.manifests.file(point)
        found[f"manifests/{file.name}"] = Content(file)
    for digest in _digests(folder, given):
        folder.shards.check(digest)
        file = folder.shards.file(digest)
        found[f"shards/{file.name}"] = Content(file)
    return found


def require_new(target: Path) -> None:
    if exists(target):
        raise UsageError(f"{target} already holds a memory", hint="choose another folder, or `memtune merge` them")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is not empty", hint="choose a new or an empty folder")


def bring(folder: MemoryFolder, target: Path, *, card: bytes | None = None) -> int:
    """Make `target` a copy of the memory, or bring the copy that it holds up to date; how many versions are new.

    One that holds versions or notes that this memory lacks is left alone.
    """
    given = references(folder)
    new = not exists(target)
    with plain_errors(target):
        if (
            new
            and target.exists()
            and {f.name.removesuffix(TEMPORARY) for f in target.iterdir()} - _STRANGERS - _ours()
        ):
            raise UsageError(f"{target} is not empty and holds no memory", hint="choose a new or an empty folder")
        for name in ("shards", "manifests"):
            (target / name).mkdir(parents=True, exist_ok=True)
        with WriterLock.held(target) as lock:
            versions = _copy(folder, given, target, new, card)
            lock.finished = not lock.abandoned  # what somebody left there, the next writer still has to sweep up
    return versions


def _ours() -> set[str]:
    return {HEADER, "shards", "manifests", audit.NAME, refs.NAME, *sidecar.NAMES}


def _copy(folder: MemoryFolder, given: Refs, target: Path, new: bool, card: bytes | None) -> int:
    there = set() if new else _known(folder, given, target)
    shards, manifests = Shards(target / "shards"), Manifests(target / "manifests")
    for digest in _digests(folder, given):
        shards.take(digest, folder.shards)
    shards.sync()
    points = [point for point, _ in folder.manifests.ancestors(*given.points)]
    for point in points:
        if not manifests.file(point).is_file():
            write_file(manifests.file(point), folder.manifests.file(point).read_bytes(), "manifest")
    sync_folder(manifests.path)
    write_file(target / audit.NAME, b"".join(Content(folder.path / audit.NAME, given.audit.bytes).blocks()), "audit")
    for name in sidecar.NAMES:
        if (folder.path / name).is_file():
            write_file(target / name, (folder.path / name).read_bytes(), name)
    if card is not None:
        write_file(target / CARD, card, "card")
    for file in target.glob(f"{CATALOGUE}*"):  # its index does not know what has come: the next writer makes one
        remove_file(file, "copy")
    write_file(target / refs.NAME, given.encode(), "refs")  # as it is: the machine's name does not travel
    sync_folder(target)
    write_file(target / HEADER, (folder.path / HEADER).read_bytes(), "header")  # last: now it is a memory
    sync_folder(target)
    return len(set(points) - there)


def require_ahead(folder: MemoryFolder, copy: Path) -> int:
    """How many versions the copy lacks. Shards are not looked at."""
    given = references(folder)
    here = {point for point, _ in folder.manifests.ancestors(*given.points)}
    return len(here - _known(folder, given, copy))


def _known(folder: MemoryFolder, given: Refs, target: Path) -> set[Point]:
    """The versions that the copy has, all of which this memory must have as well."""
    header, theirs = read_header(target), Refs.read(target)
    if (header.created, dict(header.backbone)) != (folder.header.created, dict(folder.header.backbone)):
        hint = f"`memtune merge {target}` joins memories of one model"
        raise UsageError(f"{target} holds another memory", hint=hint)
    there = {point for point, _ in Manifests(target / "manifests").ancestors(*theirs.points)}
    here = {point for point, _ in folder.manifests.ancestors(*given.points)}
    begun = theirs.audit.bytes
    with (target / audit.NAME).open("rb") as a, (folder.path / audit.NAME).open("rb") as b:
        same = begun <= given.audit.bytes and a.read(begun) == b.read(begun)
    if there - here or not same:
        newer = ", ".join(f"v{number}" for number in sorted(point.version for point in there - here)[:5])
        what = f"versions that {folder.path} lacks ({newer})" if newer else "acts that it lacks"
        hint = "`memtune merge` joins them; after a purge, remove the copy and make it anew"
        raise FolderError(f"{target} holds {what}; nothing was changed", hint=hint)
    return there


def _digests(folder: MemoryFolder, given: Refs) -> list[str]:
    return sorted(folder.manifests.digests(*given.points))


def same_place(a: Path, b: Path) -> bool:
    return a.exists() and b.exists() and os.path.samefile(a, b)  # noqa: PTH121
