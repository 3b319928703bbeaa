"""A memory folder: facts, experts and history for one backbone.

    memory.json                     format, backbone identity, settings
    refs.json                       which version each branch and tag stands for; replaced as a whole
    manifests/<version>-<sum>.json  immutable; which shards and rows a version consists of
    shards/<sha256>.safetensors     immutable tensors and facts
    audit.jsonl                     who did what, each line chained to the one before
    catalogue.sqlite                the writer's index over all facts; can be made again from the rest
    writer.lock                     held by the one writer

A commit writes shards, then the manifest, the audit log and the catalogue, syncs them, and then replaces the
references: a reader sees the old version or the new one, and needs no database for it. What a crash leaves behind
belongs to no version and is swept up by the next writer.
"""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtune.config import KIND_NAMES, LearnConfig
from memtune.core.facts import Fact, wording_hash
from memtune.errors import FolderDamaged, FolderLocked, FolderTooOld, NotFound, UnknownFact, UsageError
from memtune.store import layout, refs, verify
from memtune.store.catalogue import COLUMNS, Catalogue, WritableCatalogue, same_question, texts
from memtune.store.catalogue import NAME as CATALOGUE
from memtune.store.durable import FORMAT, plain_errors
from memtune.store.layout import Header, clear, lay_out, make_room, read_header
from memtune.store.lock import WriterLock
from memtune.store.manifest import NOTHING, FactRef, Manifest, Point, Segment
from memtune.store.manifests import Manifests
from memtune.store.records import ROOM as FACTS
from memtune.store.records import Records
from memtune.store.refs import MAIN, Refs
from memtune.store.repair import finish_rewriting, rebuild_catalogue
from memtune.store.shards import Shards
from memtune.store.skills import Skill
from memtune.store.writer import Writer

if TYPE_CHECKING:
    import torch


class MemoryFolder:
    """A memory at one of its versions. Reading never waits for a writer."""

    def __init__(self, path: Path, header: Header, at: str | None = None) -> None:
        self.path = path
        self.header = header
        self.author: str | None = None
        """Who signs what is written through this object; the user of this process if nobody is named."""
        self.shards = Shards(path / "shards")
        self.manifests = Manifests(path / "manifests")
        self.manifest = Manifest()
        self._catalogue: Catalogue | None = None
        self._signature = refs.signature(path)
        self.refs = Refs.read(path)
        self.branch: str | None = at if at in self.refs.branches else None if at else MAIN
        """The branch that this object follows; None where it stands still, at a version or a tag."""
        try:
            self._move(self.resolve(at or MAIN))
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, path: str | Path, *, backbone: Mapping[str, Any], settings: Mapping[str, Any]) -> MemoryFolder:
        """An empty memory in a folder that is new or empty."""
        path, at = refs.parse_address(path)
        if at not in (None, MAIN):
            raise NotFound(f"{path} holds no memory, so there is no '{at}' in it", hint=f"make {path} first")
        with plain_errors(path):
            make_room(path)
            with WriterLock.held(path) as lock:
                try:
                    lay_out(path, json.loads(json.dumps({"backbone": dict(backbone), "settings": dict(settings)})))
                except (OSError, sqlite3.Error):
                    if not cls.exists(path):
                        clear(path)
                    raise
                finally:
                    lock.finished = True
        return cls.open(path)

    @classmethod
    def open(cls, path: str | Path) -> MemoryFolder:
        """A memory at its newest version, or at the one that is named: `DIR@v12`, `DIR@branch`, `DIR@tag`."""
        path, at = refs.parse_address(path)
        if not cls.exists(path):
            raise NotFound(f"{path} holds no memory", hint=f"memtune learn FACTS --memory {path} makes one")
        with plain_errors(path):
            header = read_header(path)
            if header.format < FORMAT:
                raise FolderTooOld(
                    f"{path} was made by an earlier version of memtune: format {header.format}, not {FORMAT}",
                    hint=f"`memtune migrate --memory {path}` brings it to the present format",
                )
            return cls(path, header, at)

    @classmethod
    def discard(cls, path: str | Path) -> None:
        """Take away a memory that never had a version; one that somebody is writing to stays."""
        path = refs.parse_address(path)[0]
        with plain_errors(path), suppress(FolderLocked), WriterLock.held(path) as lock:
            with cls.open(path) as memory:
                empty = memory.refs.latest == 0
            if empty:
                clear(path)
            lock.finished = True

    @staticmethod
    def exists(path: str | Path) -> bool:
        return layout.exists(refs.parse_address(path)[0])

    def close(self) -> None:
        self.shards.close()
        if self._catalogue is not None:
            self._catalogue.close()
            self._catalogue = None

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

    def resolve(self, name: str) -> Point:
        """What a branch, a tag or a number stands for."""
        if name in self.refs.branches:
            return self.refs.branches[name]
        if name in self.refs.tags:
            return self.refs.tags[name]
        version = refs.number(name)
        if version is None or version > self.refs.latest:
            raise self.refs.unknown(name)
        if version == 0:
            return NOTHING
        found = self.manifests.points(version)
        if len(found) > 1:  # history is being rewritten: only one of them is still led to
            found = [p for p, _ in self.manifests.ancestors(*self.refs.points) if p.version == version]
        if not found:
            raise self.refs.unknown(name)
        return found[0]

    def current_version(self) -> int:
        """The newest version, which may be later than the one this object stands at."""
        if self.branch is None:
            return self.version
        with plain_errors(self.path):
            return Refs.read(self.path).at(self.branch).version

    def refresh(self) -> bool:
        """Move to the newest version of the branch; True if that changed anything. Costs next to nothing if not."""
        with plain_errors(self.path):
            found = refs.signature(self.path)
            if found == self._signature:
                return False
            newest = Refs.read(self.path)
            before = self.manifest.point
            if self.branch is not None:
                try:
                    self._move(newest.at(self.branch))
                except FolderDamaged:
                    if refs.signature(self.path) == found:  # else it went while this was reading: look again
                        raise
                    return self.refresh()
            self.refs, self._signature = newest, found
            return self.manifest.point != before

    def stand_at(self, refs_: Refs, manifest: Manifest | None) -> None:
        """What the writer of this object has just made."""
        self._signature = refs.signature(self.path)
        self.refs = refs_
        if manifest is not None:
            self.manifest = manifest
            self._index()
        elif self.branch is not None and self.branch in refs_.branches:
            self._move(refs_.branches[self.branch])

    def switch(self, branch: str) -> None:
        """Follow another branch."""
        self._move(self.refs.at(branch))
        self.branch = branch

    def _move(self, point: Point) -> None:
        if point == self.manifest.point:
            return
        manifest = self.manifests.read(point, self.manifest)
        if missing := self.shards.missing(manifest.digests - self.manifest.digests):
            raise FolderDamaged(f"{self.shards.file(missing[0])} is missing")
        self.manifest = manifest
        self._index()

    @contextmanager
    def writer(self, *, anywhere: bool = False) -> Iterator[Writer]:
        """The one writer, at the newest version. What it did not commit is undone at the end.

        `anywhere`: where no version is made, one may also write from an old one.
        """
        if not anywhere:
            self.require_branch()
        with WriterLock.held(self.path) as lock:
            self.refresh()
            if lock.abandoned:
                with plain_errors(self.path):
                    finish_rewriting(self)
            writer = Writer(self, self._writable_catalogue(), sweep=lock.abandoned)
            try:
                yield writer
            finally:
                lock.finished = writer.close()

    def require_branch(self) -> None:
        """Raise where an old version is looked at, which nobody can write to."""
        if self.branch is None:
            raise UsageError(
                f"version {self.version} of {self.path} is read-only",
                hint=f"`memtune branch NAME --at v{self.version}` makes a branch of it that can be written to",
            )

    def _writable_catalogue(self) -> WritableCatalogue:
        """The catalogue, made anew where it is gone or does not know every segment of this version."""
        if (self.path / CATALOGUE).is_file():
            catalogue = WritableCatalogue.open(self.path)
            with plain_errors(self.path):
                if not self.manifest.held.keys() - catalogue.segments():
                    return catalogue
            catalogue.close()
        with plain_errors(self.path):
            rebuild_catalogue(self)
        return WritableCatalogue.open(self.path)

    # the catalogue

    @property
    def catalogue(self) -> Catalogue:
        """The index over all facts: the writer's, or, where that is not on this machine, one in memory."""
        if self._catalogue is None:
            self._catalogue = self._open_catalogue()
            self._index()
        return self._catalogue

    def _open_catalogue(self) -> Catalogue:
        with plain_errors(self.path):
            if (self.path / CATALOGUE).is_file() and self.refs.host == socket.gethostname():
                catalogue = Catalogue.open(self.path)
                if lacking := self.manifest.held.keys() - catalogue.segments():
                    catalogue.close()
                    raise FolderDamaged(
                        f"{self.path / CATALOGUE} lacks {len(lacking)} segments of version {self.version}",
                        hint=f"`memtune repair --memory {self.path}` makes it again",
                    )
                return catalogue
            return WritableCatalogue.in_memory(self.path)

    def _index(self) -> None:
        """Keep an index in memory up with the version, and look into the file that bears the name."""
        if self._catalogue is not None and type(self._catalogue) is Catalogue and self._catalogue.replaced:
            self.reopen_catalogue()
        if isinstance(self._catalogue, WritableCatalogue):
            for number in sorted(self.manifest.held.keys() - self._catalogue.segments()):
                self._catalogue.add_segment(number, self.records(number), self.version)

    def reopen_catalogue(self) -> None:
        """Another file stands in its place."""
        if self._catalogue is not None:
            self._catalogue.close()
        self._catalogue = None

    # shards

    def shard(self, segment: Segment | int, room: str) -> Mapping[str, torch.Tensor]:
        """The tensors that a room of a segment holds, mapped from the file, not read."""
        return self.shards.tensors(self._digest(segment, room))

    def skill_shard(self, skill: Skill, room: str) -> Mapping[str, torch.Tensor]:
        """The tensors that a room of a skill holds, mapped from the file."""
        return self.shards.tensors(skill.shards[room])

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
        return islice((fact for _, fact in self.rows(where)), limit)

    def exported(self, where: Mapping[str, str] | None = None) -> Iterator[Fact]:
        """Facts as rows that learn to the same memory: what is archived says so, and other kinds than the usual one."""
        for ref, fact in self.rows(where):
            shards = self.manifest.segment(ref.segment).shards
            kinds = "+".join(kind for kind in KIND_NAMES if kind in shards)
            state, expert = "archived" if self.is_archived(ref) else None, kinds if kinds != LearnConfig.kind else None
            yield replace(fact, state=state, expert=expert or None)

    def is_archived(self, ref: FactRef) -> bool:
        return self.manifest.archives(ref)

    def rows(
        self, where: Mapping[str, str] | None = None, *, after: FactRef | None = None
    ) -> Iterator[tuple[FactRef, Fact]]:
        """The same facts, each with where it lives; or only those that stand behind a place."""
        where, version, begin = where or {}, self.manifest, after or FactRef(0, -1)
        refs = self.catalogue.candidates(where, version)
        if refs is None:
            behind = (segment for segment in version.segments if segment.id >= begin.segment)
            refs = (FactRef(segment.id, row) for segment in behind for row in segment.live)
        for ref in refs:
            if ref <= begin:
                continue
            fact = self.records(version.segment(ref.segment))[ref.row]
            if all(_has(fact, name, value) for name, value in where.items()):
                yield ref, fact

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
