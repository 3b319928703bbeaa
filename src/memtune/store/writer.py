"""The one writer of a memory folder."""

from __future__ import annotations

import dataclasses
import getpass
import re
import socket
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from memtune.core.facts import Fact
from memtune.errors import FolderError, UsageError
from memtune.store import audit, records, shards
from memtune.store.catalogue import WritableCatalogue, writable
from memtune.store.durable import TEMPORARY, now, plain_errors, remove_file
from memtune.store.manifest import MOST_ROWS, NOTHING, Commit, Counts, FactRef, Manifest, Point, Segment, Segments
from memtune.store.refs import Refs
from memtune.store.skills import Skill, Skills

if TYPE_CHECKING:
    import torch

    from memtune.store.folder import MemoryFolder


class Writer:
    """Collects changes into the next version. One that fails undoes everything since the last commit."""

    def __init__(self, folder: MemoryFolder, catalogue: WritableCatalogue, *, sweep: bool = False) -> None:
        self._folder = folder
        self._clean = False
        self._failed = False
        self._catalogue = catalogue
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
        self._pending = Segments(self._folder.manifest.held)
        self._skills = Skills(self._folder.manifest.skills)
        self._written: set[str] = set()
        self._describing = False
        self._came: set[str] = set()
        self._went: set[str] = set()
        self._changed = False
        self._last_segment = self._folder.refs.segments

    # changes

    def add_segment(self, facts: Sequence[Fact], rooms: Mapping[str, Mapping[str, torch.Tensor]]) -> int:
        """What one lot or one update learned. Shards are written now and count from the next commit on."""
        if not facts:
            raise UsageError("a segment needs at least one fact")
        self._check_new(facts)
        segment = self.prepare(facts, rooms)
        self._pending[segment.id] = segment
        self._came |= {fact.id for fact in facts}
        return segment.id

    def prepare(self, facts: Sequence[Fact], rooms: Mapping[str, Mapping[str, torch.Tensor]]) -> Segment:
        """A new segment, written. It counts once `hold` has named it."""
        for room in rooms:
            _check_room(room)
        if len(facts) > MOST_ROWS:
            raise UsageError(f"a segment holds {MOST_ROWS:,} facts at most", hint="learn them in smaller lots")
        lines = [records.to_line(fact) for fact in facts]
        with self._change():
            held = {records.ROOM: self._write(records.encode(lines))}
            held |= {room: self._write(shards.encode(tensors)) for room, tensors in rooms.items()}
            return Segment(self._number(facts), len(facts), held)

    def adopt(self, segment: Segment, source: shards.Shards) -> Segment:
        """A segment of another folder, under a number of this one: its shards are shared or copied, not made again.

        It counts once `hold` has named it.
        """
        with self._change():
            self._take(segment.shards.values(), source)
            facts = list(source.records(segment.shards[records.ROOM]))
            return dataclasses.replace(segment, id=self._number(facts))

    def hold(self, held: Segments, counts: tuple[set[str], set[str]], skills: Skills | None = None) -> None:
        """Let the next version hold just these segments, and these skills where they are given. `counts`: the ids that
        come and those that go."""
        with self._change():
            self._pending = Segments(held)
            self._skills = Skills(self._skills if skills is None else skills)
            self._came, self._went = counts

    def hold_skill(self, name: str, rooms: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
        """Let the next version hold a skill, in the place of one with this name."""
        for room in rooms:
            _check_room(room)
        with self._change():
            written = {room: self._write(shards.encode(tensors)) for room, tensors in rooms.items()}
            self._skills[name] = Skill(name, written)

    def adopt_skill(self, skill: Skill, source: shards.Shards) -> None:
        """Bring the shards of another folder's skill here. It counts once `hold` has named it."""
        with self._change():
            self._take(skill.shards.values(), source)

    def drop_skill(self, name: str) -> None:
        """Forget a skill: the next version does not hold it."""
        with self._change():
            del self._skills[name]

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
            only_here = self._came - self._went
            self._came -= found.keys()
            self._went |= found.keys() - only_here

    # commits

    def commit(
        self, message: str, *, act: str = "learn", author: str | None = None, parents: Sequence[Point] = ()
    ) -> int:
        """Make the changes a version, durably; without changes, the version stays. `parents`: further ones."""
        if not self._changed:
            return self._folder.version
        with self._change():
            if self._written:
                self._folder.shards.sync()
            held = Segments((number, segment) for number, segment in self._pending.items() if segment.facts)
            commit = self._describe(writable(message), act, author, parents, held)
            self._describing = True
            made = self._folder.manifests.write(commit, held, self._skills, self._folder.manifest)
            refs = self._folder.refs.moved(commit.branch, made.point)
            refs = dataclasses.replace(refs, latest=commit.version, segments=self._last_segment)
            counted = {name: n for name, n in dataclasses.asdict(commit.counts).items() if n}
            entry = {"version": commit.version, "manifest": made.checksum, "message": commit.message, **counted}
            self._flip(refs, act, commit.author, {"branch": commit.branch, **entry}, made)
        self._reset()
        return commit.version

    def record(self, act: str, details: Mapping[str, Any], refs: Refs | None = None) -> None:
        """An act that makes no version: into the audit log, and perhaps other references."""
        if self._changed:
            raise UsageError("commit the changes first")
        with self._change():
            signed = writable(self._folder.author or user())
            self._flip(refs or self._folder.refs, act, signed, details)
        self._reset()

    def forget_index(self, segments: Collection[int], digests: Collection[str]) -> None:
        """Take segments and shards that no version holds out of the catalogue, with the next record."""
        with self._change():
            self._catalogue.remove_segments(segments)
            self._catalogue.remove_shards(digests)
        self._changed = False

    def rewrite(
        self, act: str, details: Mapping[str, Any], change: Callable[[Segment], Segment], but: Collection[str] = ()
    ) -> None:
        """Say of every version that it was made of other segments, and of no skill of the names in `but`: numbers,
        authors and messages stay.

        The new manifests are written beside the old ones, then the references are replaced at once. The next writer
        removes the old ones with what only they held, and makes the catalogue anew: until then it names facts in rows
        that no version holds, which leads nowhere.
        """
        if self._changed and not self._written:
            raise UsageError("commit the changes first")
        self.sweep_later()
        manifests, refs = self._folder.manifests, self._folder.refs
        with self._change():
            self._describing = True
            if self._written:
                self._folder.shards.sync()
            known, made = Manifest(), {NOTHING: Manifest()}
            for point, commit in sorted(manifests.ancestors(*refs.points)):
                known = manifests.read(point, known)
                held = Segments((number, change(segment)) for number, segment in known.held.items())
                held = Segments((number, segment) for number, segment in held.items() if segment.facts)
                again = dataclasses.replace(
                    commit,
                    parents=tuple(made[parent].point for parent in commit.parents),
                    facts=sum(segment.facts for segment in held.values()),
                )
                before = made[commit.parents[0]] if commit.parents else Manifest()
                skills = Skills((name, skill) for name, skill in known.skills.items() if name not in but)
                made[point] = manifests.write(again, held, skills, before)
            branches = {name: made[point].point for name, point in refs.branches.items()}
            tags = {name: made[point].point for name, point in refs.tags.items()}
            moved = dataclasses.replace(refs, branches=branches, tags=tags)
            self._flip(moved, act, writable(self._folder.author or user()), details)
        self._reset()

    def sweep_later(self) -> None:
        """Ask the next writer to look for files that were to be removed."""
        self._clean = False

    def put(self, data: bytes) -> str:
        """Write a shard that a rewritten segment will name; its digest."""
        with self._change():  # it belongs to versions that are there, not to the next one
            return self._write(data, self._folder.refs.latest)

    def close(self) -> bool:
        """Undo what was not committed; False when the next writer must sweep."""
        try:
            with plain_errors(self._folder.path):
                self._undo()
        finally:
            self._catalogue.close()
        return self._clean

    # how

    @property
    def _next(self) -> int:
        return self._folder.refs.latest + 1

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

    def _describe(self, message: str, act: str, author: str | None, parents: Sequence[Point], held: Segments) -> Commit:
        before = self._folder.manifest.point
        counts = Counts(
            added=len(self._came - self._went),
            changed=len(self._came & self._went),
            removed=len(self._went - self._came),
        )
        return Commit(
            version=self._next,
            parents=tuple(point for point in (before, *parents) if point.version),
            time=now(),
            author=writable(author or self._folder.author or user()),
            message=message,
            act=act,
            branch=self._folder.branch or "",
            counts=counts,
            facts=sum(segment.facts for segment in held.values()),
        )

    def _locate(self, ids: Sequence[str]) -> dict[str, FactRef]:
        found = self._catalogue.find(ids, self._pending)
        for id_ in ids:
            if id_ not in found:
                raise self._folder.unknown(id_)
        return found

    def _check_new(self, facts: Sequence[Fact]) -> None:
        ids = [fact.id for fact in facts]
        held = self._catalogue.find(ids, self._pending)
        twice = [*held, *(id_ for id_, times in Counter(ids).items() if times > 1)]
        if twice:
            raise UsageError(f"the memory would hold fact '{min(twice)}' twice", hint="drop the one it holds first")

    def _number(self, facts: Sequence[Fact]) -> int:
        """The number of a new segment, whose facts are now in the catalogue."""
        self._last_segment += 1
        self._catalogue.add_segment(self._last_segment, facts, self._next)
        return self._last_segment

    def _take(self, digests: Iterable[str], source: shards.Shards) -> None:
        for digest in digests:
            self._written.add(digest)
            size = self._folder.shards.take(digest, source)
            self._catalogue.add_shard(digest, size, self._next)

    def _write(self, data: bytes, version: int | None = None) -> str:
        digest = shards.digest_of(data)
        self._written.add(digest)
        self._folder.shards.put(digest, data)
        self._catalogue.add_shard(digest, len(data), self._next if version is None else version)
        return digest

    def _flip(
        self, refs: Refs, act: str, author: str, details: Mapping[str, Any], made: Manifest | None = None
    ) -> None:
        """The audit log, the index, and then the moment from which readers see the new version."""
        entry = {"time": now(), "who": author, "act": act, **details}
        anchor = audit.append(self._folder.path, self._folder.refs.audit, [entry])
        try:
            self._catalogue.commit()
            refs = dataclasses.replace(refs, audit=anchor)
            refs.write(self._folder.path)
        except BaseException:
            self._failed, self._clean = True, False
            raise
        self._folder.stand_at(refs, made)

    def _undo(self) -> None:
        """Back to the last commit. If it was the commit that failed, files stay until the next writer sweeps."""
        self._catalogue.rollback()
        self._folder.refresh()
        if not self._failed:
            for digest in self._written:
                if not self._catalogue.has_shard(digest):
                    self._folder.shards.file(digest).unlink(missing_ok=True)
            for number, file in self._folder.manifests.files() if self._describing else ():
                if not 0 < number <= self._folder.refs.latest:
                    file.unlink(missing_ok=True)
        self._reset()

    def _sweep(self) -> None:
        """Remove what a writer that died left: files and rows that belong to no version."""
        latest = self._folder.refs.latest
        self._catalogue.begin()
        self._catalogue.remove_after(latest)
        self._catalogue.commit()
        self._catalogue.settle()
        for file in self._folder.shards.path.iterdir():
            if file.suffix == TEMPORARY or not self._catalogue.has_shard(file.stem):
                remove_file(file, "sweep")
        for number, file in self._folder.manifests.files():
            if not 0 < number <= latest:
                remove_file(file, "sweep")


def user() -> str:
    """Who writes, when nobody is named."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError, ImportError):
        name = "unknown"
    return f"{name}@{socket.gethostname()}"


def _check_room(room: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", room):
        raise UsageError(f"'{room}' cannot name a room", hint="letters, digits and . _ - only")
    if room == records.ROOM:
        raise UsageError(f"the room '{room}' is kept by the memory itself")
