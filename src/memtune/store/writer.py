"""The one writer of a memory folder."""

from __future__ import annotations

import dataclasses
import getpass
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from memtune.core.facts import Fact
from memtune.errors import FolderError, UsageError
from memtune.store import records, shards
from memtune.store.catalogue import WritableCatalogue, keyed, writable
from memtune.store.durable import TEMPORARY, plain_errors, sync_folder, write_file
from memtune.store.manifest import FactRef, Manifest, Segment

if TYPE_CHECKING:
    import torch

    from memtune.store.folder import MemoryFolder


class Writer:
    """Collects changes into the next version. One that fails undoes everything since the last commit."""

    def __init__(self, folder: MemoryFolder, *, sweep: bool = False) -> None:
        self._folder = folder
        self._catalogue = WritableCatalogue.open(folder.path)
        self._clean = False
        self._failed = False
        self._reset()
        try:
            with plain_errors(folder.path):
                if sweep:
                    self._sweep()
        except BaseException:
            self._catalogue.close()
            raise
        self._clean = True

    def _reset(self) -> None:
        self._pending = dict(self._folder.manifest.by_id)
        self._written: set[str] = set()
        self._added = 0
        self._dropped = 0
        self._changed = False
        self._next = self._catalogue.latest() + 1

    # changes

    def add_segment(self, facts: Sequence[Fact], rooms: Mapping[str, Mapping[str, torch.Tensor]]) -> int:
        """What one lot or one update learned. Shards are written now and count from the next commit on."""
        if not facts:
            raise UsageError("a segment needs at least one fact")
        for room in rooms:
            _check_room(room)
        lines = [records.to_line(fact) for fact in facts]
        self._check_new(facts)
        with self._change():
            held = {records.ROOM: self._write(records.encode(lines))}
            held |= {room: self._write(shards.encode(tensors)) for room, tensors in rooms.items()}
            segment = self._catalogue.add_segment(facts, self._next)
            self._pending[segment] = Segment(segment, len(facts), held)
            self._added += len(facts)
        return segment

    def drop(self, ids: Sequence[str]) -> None:
        """Forget facts: the next version does not hold them."""
        found = self._locate(ids)
        if not found:
            return
        with self._change():
            rows: dict[int, set[int]] = {}
            for segment, row in found.values():
                rows.setdefault(segment, set()).add(row)
            for number, dropped in rows.items():
                segment_ = self._pending[number]
                self._pending[number] = dataclasses.replace(segment_, dropped=segment_.dropped | dropped)
            self._dropped += len(found)

    def rephrase(self, id: str, phrasings: Sequence[str]) -> Fact:  # noqa: A002
        """Give a fact other further wordings; its question, answer and place stay."""
        ref = self._locate([id])[id]
        with self._change():
            segment = self._pending[ref.segment]
            held = self._folder.shards.records(segment.shards[records.ROOM])
            fact = dataclasses.replace(held[ref.row], phrasings=tuple(phrasings))
            lines = [held.line(row) if row != ref.row else records.to_line(fact) for row in range(len(held))]
            self._put(segment, records.ROOM, records.encode(lines))
            self._catalogue.add_wordings([keyed(segment, ref.row, fact)])
        return fact

    def replace_shard(self, segment: int, room: str, tensors: Mapping[str, torch.Tensor]) -> None:
        """Other tensors for a room of a segment, or a room that it did not have."""
        _check_room(room)
        changed = self._version().segment(segment)
        with self._change():
            self._put(changed, room, shards.encode(tensors))

    def commit(self, message: str, *, author: str | None = None) -> int:
        """Make the changes a version, durably; without changes, the version stays."""
        if not self._changed:
            return self._folder.version
        with self._change():
            if self._written:
                self._folder.shards.sync()
            manifest = self._version(writable(message), writable(author or _user()))
            sealed = manifest.encode()
            file = self._folder.manifest_file(manifest.version)
            write_file(file, sealed)
            sync_folder(file.parent)
            self._catalogue.add_version(manifest, sealed, self._added, self._dropped)
            self._flip()
            self._folder.manifest = manifest
        self._reset()
        return manifest.version

    def close(self) -> bool:
        """Undo what was not committed; False when the next writer must sweep."""
        try:
            with plain_errors(self._folder.path):
                self._undo()
        finally:
            self._catalogue.close()
        return self._clean

    # how

    @contextmanager
    def _change(self) -> Iterator[None]:
        if self._failed:
            raise FolderError("this writer failed to commit", hint="open a new one; the memory is at its last version")
        try:
            with plain_errors(self._folder.path):
                self._catalogue.begin()
                self._changed = True
                yield
        except BaseException:
            self._undo()
            raise

    def _version(self, message: str = "", author: str = "") -> Manifest:
        """The next version as it stands now."""
        time = datetime.now(timezone.utc).isoformat(timespec="seconds")
        kept = tuple(segment for _, segment in sorted(self._pending.items()) if segment.facts)
        return Manifest(self._next, self._folder.version, time, author, message, kept)

    def _locate(self, ids: Sequence[str]) -> dict[str, FactRef]:
        found = self._catalogue.find(ids, self._version())
        for id_ in ids:
            if id_ not in found:
                raise self._folder.unknown(id_)
        return found

    def _check_new(self, facts: Sequence[Fact]) -> None:
        ids = [fact.id for fact in facts]
        held = self._catalogue.find(ids, self._version())
        twice = [*held, *(id_ for id_, times in Counter(ids).items() if times > 1)]
        if twice:
            raise UsageError(f"the memory would hold fact '{min(twice)}' twice", hint="drop the one it holds first")

    def _put(self, segment: Segment, room: str, data: bytes) -> None:
        held = {**segment.shards, room: self._write(data)}
        self._pending[segment.id] = dataclasses.replace(segment, shards=held)

    def _write(self, data: bytes) -> str:
        digest = self._folder.shards.put(data)
        self._written.add(digest)
        self._catalogue.add_shard(digest, len(data), self._next)
        return digest

    def _flip(self) -> None:
        """The moment from which readers see the new version."""
        try:
            self._catalogue.commit()
        except sqlite3.Error:
            self._failed, self._clean = True, False
            raise

    def _undo(self) -> None:
        """Back to the last commit. If it was the commit that failed, files stay until it is settled."""
        self._catalogue.rollback()
        if not self._failed:
            for digest in self._written:
                if not self._catalogue.has_shard(digest):
                    self._folder.shards.file(digest).unlink(missing_ok=True)
        self._folder.refresh()
        self._reset()

    def _sweep(self) -> None:
        """Remove what a writer that died left: files that belong to no version."""
        self._catalogue.settle()
        versions = set(self._catalogue.versions())
        for file in self._folder.shards.path.iterdir():
            if file.suffix == TEMPORARY or not self._catalogue.has_shard(file.stem):
                file.unlink()
        for file in (self._folder.path / "manifests").iterdir():
            if file.suffix == TEMPORARY or _number(file) not in versions:
                file.unlink()


def _number(file: Path) -> int:
    return int(file.stem) if file.stem.isdecimal() else -1


def _check_room(room: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", room):
        raise UsageError(f"'{room}' cannot name a room", hint="letters, digits and . _ - only")
    if room == records.ROOM:
        raise UsageError(f"the room '{room}' is kept by the memory itself")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"
