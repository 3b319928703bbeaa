"""Taking facts out of history: other shards in every version that held them, under the same numbers.

The row of a fact stays, with a tombstone in it, an expert of no length and no keys, so that no other row moves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from memtune.core.facts import Fact
from memtune.errors import FolderDamaged
from memtune.store import records, rows, shards
from memtune.store.manifest import FactRef, Manifest, Segment

if TYPE_CHECKING:
    from memtune.store.folder import MemoryFolder
    from memtune.store.writer import Writer


@dataclass(frozen=True)
class Held:
    """A fact in some version's segment."""

    ref: FactRef
    fact: Fact


def held_anywhere(folder: MemoryFolder, ids: Collection[str]) -> list[Held]:
    """Every row of these ids that any version holds whose manifest is in the folder, and the fact that stands in it.

    The shards themselves are read: the catalogue is only an index.
    """
    mentioned = folder.manifests.mentioned
    segments = {(s.id, s.shards[records.ROOM]): s for _, s in mentioned(*folder.refs.points, folder.manifest.point)}
    found = {held.ref: held for segment in segments.values() for held in _in_segment(folder, segment, ids)}
    for manifest in versions(folder, reached=False):
        for segment in manifest.segments:
            if (segment.id, segment.shards[records.ROOM]) not in segments:
                with suppress(FolderDamaged):
                    found |= {held.ref: held for held in _in_segment(folder, segment, ids)}
    return [found[ref] for ref in sorted(found)]


def _in_segment(folder: MemoryFolder, segment: Segment, ids: Collection[str]) -> list[Held]:
    facts = enumerate(folder.records(segment))
    return [Held(FactRef(segment.id, row), f) for row, f in facts if f.id in ids and f != records.TOMBSTONE]


def versions(folder: MemoryFolder, *, reached: bool = True) -> Iterator[Manifest]:
    """Every version whose manifest is in the folder, oldest first; or those alone that nothing leads to any more.

    Of these, a collection that broke off may have left one in part: that is none.
    """
    leading = {point for point, _ in folder.manifests.ancestors(*folder.refs.points, folder.manifest.point)}
    known = folder.manifest
    for point in folder.manifests.all_points():
        if reached or point not in leading:
            with suppress(*() if point in leading else (FolderDamaged,)):
                known = folder.manifests.read(point, known)
                yield known


def purge(folder: MemoryFolder, writer: Writer, ids: Collection[str]) -> None:
    """Let no version hold a row of these ids, nor any shard of a version."""
    held = held_anywhere(folder, ids)
    gone: dict[int, set[int]] = {}
    for one in held:
        gone.setdefault(one.ref.segment, set()).add(one.ref.row)
    made: dict[tuple[int, str, str], str] = {}

    def without(segment: Segment) -> Segment:
        rows_ = gone.get(segment.id)
        if not rows_:
            return segment
        dropped = segment.dropped | rows_
        if len(dropped) == segment.count:  # this version loses the segment as a whole
            return replace(segment, dropped=dropped)
        own = {room: _rewritten(folder, writer, made, segment.id, room, d, rows_) for room, d in segment.shards.items()}
        return replace(segment, shards=own, dropped=dropped, archived=segment.archived - rows_)

    prepared = {s.id: s for _, s in folder.manifests.mentioned(*folder.refs.points) if s.id in gone}
    for segment in prepared.values():
        without(segment)  # shards are written before manifests are
    writer.rewrite("purge", {"ids": sorted(ids)}, without)


def _rewritten(
    folder: MemoryFolder, writer: Writer, made: dict[tuple[int, str, str], str], segment: int, room: str, digest: str,
    gone: Collection[int],
) -> str:  # fmt: skip
    """The digest of the shard without these rows; each is made once."""
    key = (segment, room, digest)
    if key not in made:
        made[key] = writer.put(_emptied(folder, room, digest, gone))
    return made[key]


def _emptied(folder: MemoryFolder, room: str, digest: str, gone: Collection[int]) -> bytes:
    if room == records.ROOM:
        held = folder.shards.records(digest)
        blank = records.to_line(records.TOMBSTONE)
        return records.encode([blank if row in gone else held.line(row) for row in range(len(held))])
    return shards.encode(rows.emptied(folder.shards.tensors(digest), gone, room))
