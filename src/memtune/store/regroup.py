"""Regrouping: what was written fact by fact comes to stand together, row by row as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from memtune.errors import FolderDamaged
from memtune.store import rows
from memtune.store.manifest import Segment, Segments
from memtune.store.records import ROOM as FACTS

if TYPE_CHECKING:
    from memtune.store.folder import MemoryFolder
    from memtune.store.writer import Writer


@dataclass(frozen=True)
class Regrouped:
    """What was regrouped."""

    version: int
    before: int
    """Segments that were small."""
    after: int
    facts: int
    made: tuple[int, ...] = ()
    """The numbers of the new segments."""

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("version", "before", "after", "facts")}


def regroup(folder: MemoryFolder, writer: Writer, most: int) -> Regrouped:
    """One version that holds the same facts and experts in fewer segments."""
    groups = _groups(folder.manifest.segments, most)
    old = [segment for group in groups for segment in group]
    if not groups:
        return Regrouped(folder.version, 0, 0, 0)
    held = Segments((s.id, s) for s in folder.manifest.segments)
    for segment in old:
        del held[segment.id]
    made = [_join(folder, writer, group) for group in groups]
    held.update((segment.id, segment) for segment in made)
    writer.hold(held, (set(), set()))
    version = writer.commit(f"regroup {len(old)} segments into {len(made)}", act="regroup")
    facts = sum(segment.facts for segment in made)
    return Regrouped(version, len(old), len(made), facts, tuple(segment.id for segment in made))


def _groups(segments: Sequence[Segment], most: int) -> list[list[Segment]]:
    """Small segments with the same rooms, in their order, as many together as may be."""
    waiting: dict[tuple[str, ...], list[list[Segment]]] = {}
    for segment in segments:
        if 2 * segment.facts > most:
            continue
        groups = waiting.setdefault(tuple(sorted(segment.shards)), [[]])
        if sum(s.facts for s in groups[-1]) + segment.facts > most:
            groups.append([])
        groups[-1].append(segment)
    return [group for groups in waiting.values() for group in groups if len(group) > 1]


def _join(folder: MemoryFolder, writer: Writer, group: Sequence[Segment]) -> Segment:
    """The rows that are held, in their order, as one segment."""
    facts = [folder.records(segment)[row] for segment in group for row in segment.live]
    kept = [(segment, row) for segment in group for row in segment.live]
    rooms = {
        room: rows.joined([(folder.shard(segment, room), segment.live) for segment in group], room)
        for room in group[0].shards
        if room != FACTS
    }
    made = writer.prepare(facts, rooms)
    _prove(folder, made, group)
    archived = frozenset(place for place, (segment, row) in enumerate(kept) if row in segment.archived)
    return replace(made, archived=archived)


def _prove(folder: MemoryFolder, made: Segment, group: Sequence[Segment]) -> None:
    """What was written is read again: every row is the one that it was, bit for bit."""
    first = 0
    for segment in group:
        live = segment.live
        own = range(first, first + len(live))
        same = [folder.records(segment).line(r) for r in live] == [folder.records(made).line(p) for p in own]
        for room in made.shards.keys() - {FACTS}:
            before = rows.picked_rows(folder.shard(segment, room), live, room)
            after = rows.picked_rows(folder.shard(made, room), own, room)
            same = same and before.keys() == after.keys() and all(_equal(t, after[n]) for n, t in before.items())
        if not same:
            raise FolderDamaged(f"segment {segment.id} could not be regrouped: a row came out as another one")
        first += len(live)


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    plain = (a.contiguous().view(torch.uint8), b.contiguous().view(torch.uint8)) if a.numel() and b.numel() else (a, b)
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(*plain)
