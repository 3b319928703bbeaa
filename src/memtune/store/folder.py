"""A memory folder: facts, experts and history for one backbone.

    memory.json                     format, backbone identity, settings
    catalogue.sqlite                the index over all facts, and the versions; on the writer's machine
    shards/<sha256>.safetensors     immutable tensors and facts
    manifests/<version>.json        immutable; which shards and rows a version consists of
    writer.lock                     held by the one writer

A commit writes shards, then the manifest, syncs both, and then flips one row of the catalogue: a reader sees
the old version or the new one. What a crash leaves behind belongs to no version and is swept up by the next
writer.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtune.core.facts import Fact, wording_hash
from memtune.errors import FolderDamaged, FolderLocked, NotFound, UnknownFact, UsageError
from memtune.store import verify
from memtune.store.catalogue import COLUMNS, Catalogue, WritableCatalogue, same_question, texts
from memtune.store.durable import (
    FORMAT,
    TEMPORARY,
    checksum_of,
    plain_errors,
    seal,
    sync_folder,
    unseal,
    write_file,
)
from memtune.store.lock import WriterLock
from memtune.store.manifest import FactRef, Manifest, Segment
from memtune.store.records import ROOM as FACTS
from memtune.store.records import Records
from memtune.store.shards import Shards
from memtune.store.writer import Writer

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Header:
    """What holds for every version."""

    backbone: Mapping[str, Any]
    settings: Mapping[str, Any]
    created: str
    format: int = FORMAT


class MemoryFolder:
    """A memory at one of its versions. Reading never waits for a writer."""

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.header = header
        self.shards = Shards(path / "shards")
        self.catalogue = Catalogue.open(path)
        self.manifest = Manifest()
        try:
            self.refresh()
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, path: str | Path, *, backbone: Mapping[str, Any], settings: Mapping[str, Any]) -> MemoryFolder:
        """An empty memory in a folder that is new or empty."""
        path = Path(path)
        with plain_errors(path):
            _make_room(path)
            lock = WriterLock(path / "writer.lock")
            lock.acquire()
            try:
                _lay_out(path, json.loads(json.dumps({"backbone": dict(backbone), "settings": dict(settings)})))
            except (OSError, sqlite3.Error):
                if not cls.exists(path):
                    _clear(path)
                raise
            finally:
                lock.release()
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> MemoryFolder:
        """The newest version of a memory."""
        path = Path(path)
        if not cls.exists(path):
            raise NotFound(f"{path} holds no memory", hint=f"memtune learn FACTS --memory {path} makes one")
        with plain_errors(path):
            file = path / "memory.json"
            document = unseal(file, file.read_bytes())
            try:
                header = Header(**document)
            except TypeError:
                raise FolderDamaged(f"{file} is damaged: it describes no memory") from None
            if not (path / "catalogue.sqlite").is_file():
                raise FolderDamaged(f"{path / 'catalogue.sqlite'} is missing")
            return cls(path, header)

    @classmethod
    def discard(cls, path: str | Path) -> None:
        """Take away a memory that never had a version; one that somebody is writing to stays."""
        path = Path(path)
        lock = WriterLock(path / "writer.lock")
        with plain_errors(path), suppress(FolderLocked):
            lock.acquire()
            try:
                with cls.open(path) as memory:
                    empty = memory.version == 0
                if empty:
                    _clear(path)
            finally:
                lock.release()

    @staticmethod
    def exists(path: str | Path) -> bool:
        return (Path(path) / "memory.json").is_file()

    def close(self) -> None:
        self.shards.close()
        self.catalogue.close()

    def __enter__(self) -> MemoryFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # versions

    @property
    def version(self) -> int:
        return self.manifest.version

    @property
    def segments(self) -> tuple[Segment, ...]:
        return self.manifest.segments

    def current_version(self) -> int:
        """The newest version, which may be later than the one this object stands at."""
        return self.catalogue.head()

    def refresh(self) -> bool:
        """Move to the newest version; True if that changed anything."""
        newest = self.current_version()
        if newest == self.version:
            return False
        manifest = self.read_manifest(newest)
        known = {digest for segment in self.segments for digest in segment.shards.values()}
        for segment in manifest.segments:
            for digest in segment.shards.values():
                if digest not in known and not self.shards.file(digest).is_file():
                    raise FolderDamaged(f"{self.shards.file(digest)} is missing")
        self.manifest = manifest
        return True

    def read_manifest(self, version: int) -> Manifest:
        path = self.manifest_file(version)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise FolderDamaged(f"{path} is missing") from None
        manifest = Manifest.decode(path, data)
        if self.catalogue.checksum(version) != checksum_of(data):
            raise FolderDamaged(f"{path} is damaged: it is not the manifest that was committed")
        return manifest

    def manifest_file(self, version: int) -> Path:
        return self.path / "manifests" / f"{version}.json"

    @contextmanager
    def writer(self) -> Iterator[Writer]:
        """The one writer, at the newest version. What it did not commit is undone at the end."""
        lock = WriterLock(self.path / "writer.lock")
        with plain_errors(self.path):
            lock.acquire()
        finished = False
        try:
            self.refresh()
            writer = Writer(self, sweep=lock.abandoned)
            try:
                yield writer
            finally:
                finished = writer.close()
        finally:
            lock.release(finished=finished)

    # shards

    def shard(self, segment: Segment | int, room: str) -> Mapping[str, torch.Tensor]:
        """The tensors that a room of a segment holds, mapped from the file, not read."""
        return self.shards.tensors(self._digest(segment, room))

    def records(self, segment: Segment | int) -> Records:
        """All facts of a segment, those included that this version has dropped."""
        return self.shards.records(self._digest(segment, FACTS))

    def _digest(self, segment: Segment | int, room: str) -> str:
        if isinstance(segment, int):
            segment = self.manifest.segment(segment)
        if room not in segment.shards:
            raise UsageError(f"segment {segment.id} has no room '{room}'", hint=f"it has {', '.join(segment.shards)}")
        return segment.shards[room]

    # facts

    def find(self, ids: Iterable[str]) -> dict[str, FactRef]:
        """Where these facts live; ids that the memory does not hold are left out."""
        return self.catalogue.find(ids, self.manifest)

    def fact(self, id: str) -> Fact:  # noqa: A002
        ref = self.find([id]).get(id)
        if ref is None:
            raise self.unknown(id)
        return self.at(*ref)

    def at(self, segment: int, row: int) -> Fact:
        if not self.manifest.holds(FactRef(segment, row)):
            raise UnknownFact(f"version {self.version} holds no fact in row {row} of segment {segment}")
        return self.records(segment)[row]

    def unknown(self, id: str) -> UnknownFact:  # noqa: A002
        near = self.catalogue.near_ids(id, self.manifest)
        return UnknownFact(
            f"no fact '{id}' in this memory", hint=f"did you mean {' or '.join(near)}?" if near else None
        )

    def facts(self, where: Mapping[str, str] | None = None, *, limit: int | None = None) -> Iterator[Fact]:
        """Facts that have all these values, in the order in which they were added."""
        return islice(self._select(where or {}, self.manifest), limit)

    def _select(self, where: Mapping[str, str], version: Manifest) -> Iterator[Fact]:
        refs = self.catalogue.candidates(where, version)
        if refs is None:
            refs = (FactRef(segment.id, row) for segment in version.segments for row in segment.live)
        for segment, row in refs:
            fact = self.records(version.segment(segment))[row]
            if all(_has(fact, name, value) for name, value in where.items()):
                yield fact

    def count(self, where: Mapping[str, str] | None = None) -> int:
        if not where:
            return self.manifest.facts
        if len(where) == 1 and where.keys() <= COLUMNS.keys():
            return sum(1 for _ in self.catalogue.candidates(where, self.manifest) or ())
        return sum(1 for _ in self.facts(where))

    def by_wording(self, hashes: Sequence[int]) -> dict[int, tuple[str, str]]:
        """For the hashes of wordings that are known: the id and the answer of the fact that they ask for."""
        found: dict[int, tuple[str, str]] = {}
        version = self.manifest
        for hash_, (segment, row) in self.catalogue.with_wordings(hashes, version):
            fact = self.records(version.segment(segment))[row]
            if any(wording_hash(text) == hash_ for text in texts(fact)):
                found.setdefault(hash_, (fact.id, fact.answer))
        return found

    def verify(self) -> list[str]:
        """Every checksum and invariant of every version; what does not hold, as text."""
        return verify.problems(self)


def _has(fact: Fact, name: str, value: str) -> bool:
    if name == "question":
        return same_question(fact, value)
    own = fact.to_row().get(name)
    return own is not None and (own if isinstance(own, str) else json.dumps(own)) == value


_OURS = {"shards", "manifests", "writer.lock", "memory.json" + TEMPORARY}


def _clear(path: Path) -> None:
    """memory.json goes first: without it, what is left of a clearing that broke off is no memory."""
    (path / "memory.json").unlink(missing_ok=True)
    for leftover in path.glob("catalogue.sqlite*"):
        leftover.unlink()
    for name in ("shards", "manifests"):
        shutil.rmtree(path / name, ignore_errors=True)
    with suppress(OSError):  # where a file that is open cannot be removed, or somebody has put another one there
        (path / "writer.lock").unlink()
        path.rmdir()


def _make_room(path: Path) -> None:
    """The folder itself. One in which an earlier creation broke off is begun again."""
    if MemoryFolder.exists(path):
        raise UsageError(f"{path} already holds a memory", hint="open it, or choose another folder")
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file, not a folder")
    path.mkdir(parents=True, exist_ok=True)
    unknown = {f.name for f in path.iterdir() if not f.name.startswith("catalogue.sqlite")} - _OURS
    if unknown or any(f for name in ("shards", "manifests") if (path / name).is_dir() for f in (path / name).iterdir()):
        raise UsageError(f"{path} is not empty and holds no memory", hint="choose a new or an empty folder")


def _lay_out(path: Path, described: Mapping[str, Any]) -> None:
    """memory.json comes last: before it, there is no memory."""
    if MemoryFolder.exists(path):
        raise UsageError(f"{path} already holds a memory", hint="another process has just made it")
    for leftover in path.glob("catalogue.sqlite*"):
        leftover.unlink()
    for name in ("shards", "manifests"):
        (path / name).mkdir(exist_ok=True)
    WritableCatalogue.create(path)
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    write_file(path / "memory.json", seal({"format": FORMAT, "created": created, **described}, indent=1))
    sync_folder(path)
    with suppress(OSError):  # the folder's own name, in a parent that may not be ours to open
        sync_folder(path.resolve().parent)
