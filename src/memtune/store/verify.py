"""Checking a memory folder: every checksum, and that manifests, shards, catalogue and audit log say the same."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtune.core.facts import wording_hash
from memtune.errors import FolderError
from memtune.store import audit, sidecar
from memtune.store.catalogue import WritableCatalogue
from memtune.store.durable import WITH_SKILLS, checksum_of, plain_errors, unseal
from memtune.store.manifest import Manifest, Point, Segment
from memtune.store.records import ROOM as FACTS
from memtune.store.records import TOMBSTONE, Records
from memtune.store.refs import Refs
from memtune.store.shards import SUFFIX
from memtune.store.skills import Skill
from memtune.store.skills import digests as skill_digests

if TYPE_CHECKING:
    from memtune.store.folder import MemoryFolder


def problems(folder: MemoryFolder) -> list[str]:
    """What does not hold, as text."""
    refs, found = _refs(folder)
    found += [*_header(folder), *audit.problems(folder.path, refs.audit), *_beside(folder)]
    tips, segments, more = _versions(folder, refs)
    found += more
    digests = {digest for segment in segments.values() for digest in segment.shards.values()}
    skills = _skills(folder, refs)
    digests |= skill_digests(skills)
    damaged = {digest: problem for digest in sorted(digests) if (problem := folder.shards.problem(digest))}
    found += damaged.values()
    found += _unreached(folder, digests, found)
    whole = {key: s for key, s in segments.items() if not damaged.keys() & set(s.shards.values())}
    for segment in whole.values():
        found += _experts(folder, segment)
    found += _catalogue(folder, list(whole.values()), digests - damaged.keys())
    for manifest in tips:
        found += _coverage(folder, manifest, damaged)
    return found


def _unreached(folder: MemoryFolder, digests: set[str], found: list[str]) -> Iterator[str]:
    """What no branch and no tag leads to, and `gc` has not removed yet, is whole all the same."""
    for file in sorted(folder.shards.path.glob(f"*{SUFFIX}")):
        if file.stem not in digests and (problem := folder.shards.problem(file.stem)):
            yield problem
    for number, file in sorted(folder.manifests.files()):
        if number >= 0 and not any(str(file) in problem for problem in found):
            try:
                data = file.read_bytes()
                unseal(file, data, newest=WITH_SKILLS)
                if folder.manifests.file(Point(number, checksum_of(data))) != file:
                    yield f"{file} is damaged: it is not the manifest that was committed"
            except (OSError, FolderError) as error:
                yield str(error)


def _refs(folder: MemoryFolder) -> tuple[Refs, list[str]]:
    try:
        return Refs.read(folder.path), []
    except FolderError as error:
        return folder.refs, [error.message]


def _header(folder: MemoryFolder) -> Iterator[str]:
    file = folder.path / "memory.json"
    try:
        with plain_errors(folder.path):
            unseal(file, file.read_bytes())
    except FolderError as error:
        yield error.message


def _beside(folder: MemoryFolder) -> Iterator[str]:
    """What was measured on the memory, and the questions that it could not answer."""
    for name in sidecar.NAMES:
        try:
            sidecar.read(folder.path, name)
        except FolderError as error:
            yield error.message
    try:
        lines = (folder.path / sidecar.INBOX).read_bytes().splitlines()
    except OSError:
        return
    for number, line in enumerate(lines, 1):
        try:
            whole = isinstance(json.loads(line), dict)
        except ValueError:
            whole = False
        if not whole:
            yield f"{folder.path / sidecar.INBOX}: line {number} cannot be read"


def _versions(folder: MemoryFolder, refs: Refs) -> tuple[list[Manifest], dict[tuple[int, str], Segment], list[str]]:
    """What the branches and tags hold, every segment that some version holds, and what is wrong with manifests."""
    found: list[str] = []
    segments: dict[tuple[int, str], Segment] = {}
    try:
        for point, segment in folder.manifests.mentioned(*refs.points):
            found += _rows(point, segment)
            if FACTS in segment.shards:
                segments[segment.id, segment.shards[FACTS]] = segment
    except FolderError as error:
        found.append(error.message)
    tips, known = [], None
    for point in sorted(refs.points):
        try:
            known = folder.manifests.read(point, known)
        except FolderError as error:
            found += [] if error.message in found else [error.message]
            continue
        found += _sums(known)
        segments |= {(s.id, s.shards[FACTS]): s for s in known.held.values() if FACTS in s.shards}
        tips.append(known)
    return tips, segments, found


def _rows(point: Point, segment: Segment) -> Iterator[str]:
    if FACTS not in segment.shards:
        yield f"version {point.version}: segment {segment.id} has no facts"
    if not segment.facts:
        yield f"version {point.version}: the experts of segment {segment.id} belong to no fact"


def _sums(manifest: Manifest) -> Iterator[str]:
    if manifest.facts != sum(segment.facts for segment in manifest.held.values()):
        yield f"version {manifest.version}: it does not hold as many facts as it says"


def _experts(folder: MemoryFolder, segment: Segment) -> Iterator[str]:
    """Each fact of the segment has one expert of each kind, and each expert a fact."""
    facts = len(Records(folder.shards.file(segment.shards[FACTS])))
    if facts != segment.count:
        yield f"segment {segment.id}: {facts} facts instead of {segment.count}"
    for room, digest in segment.shards.items():
        for name, experts in stacked(folder.shards.file(digest)):
            if experts != segment.count:
                yield f"segment {segment.id}: {experts} experts in '{room}' ({name}) for {segment.count} facts"


def stacked(file: Path) -> list[tuple[str, int]]:
    """For each stack of experts in a shard, how many there are: its table of starts has one entry more."""
    with file.open("rb") as opened:
        (size,) = struct.unpack("<Q", opened.read(8))
        layout: dict[str, Any] = json.loads(opened.read(size))
    stacks = ((name, about) for name, about in layout.items() if name.endswith(".starts"))
    return [(name.removesuffix(".starts"), int(about["shape"][0]) - 1) for name, about in stacks]


def _skills(folder: MemoryFolder, refs: Refs) -> list[Skill]:
    """Every skill that some version holds; manifests that cannot be read are named elsewhere."""
    try:
        return [skill for _, skill in folder.manifests.mentioned_skills(*refs.points)]
    except FolderError:
        return []


def _catalogue(folder: MemoryFolder, segments: list[Segment], digests: set[str]) -> Iterator[str]:
    """The catalogue must lead to every fact, and know every shard."""
    try:
        if isinstance(folder.catalogue, WritableCatalogue):
            return  # made from the shards just now, for readers that have none
        for (line,) in folder.catalogue.rows("PRAGMA integrity_check"):
            if line != "ok":
                yield f"{folder.path / 'catalogue.sqlite'} is damaged: {line}"
        facts = folder.catalogue.rows('SELECT key, id, source, "group" FROM facts ORDER BY key')
        hashes = folder.catalogue.rows("SELECT key, hash FROM phrasings ORDER BY key")
        known_shards = dict(folder.catalogue.rows("SELECT sha256, bytes FROM shards"))
    except FolderError as error:
        yield error.message
        return
    rows = {number: list(group) for number, group in groupby(facts, lambda row: row[0] >> 32)}
    known = {number: set(group) for number, group in groupby(hashes, lambda row: row[0] >> 32)}
    for segment in segments:
        yield from _segment(folder, segment, rows.get(segment.id, []), known.get(segment.id, set()))
    for digest in sorted(digests):
        if known_shards.get(digest) != folder.shards.file(digest).stat().st_size:
            yield f"the catalogue does not know the shard {digest[:12]}"


def _segment(
    folder: MemoryFolder, segment: Segment, rows: list[tuple[Any, ...]], known: set[tuple[Any, ...]]
) -> Iterator[str]:
    low = segment.id << 32
    facts = list(Records(folder.shards.file(segment.shards[FACTS])))
    purged = {low + row for row, fact in enumerate(facts) if fact == TOMBSTONE}  # what leads there leads nowhere
    named = [(low + row, fact.id, fact.source, fact.group) for row, fact in enumerate(facts)]
    if [row for row in rows if row[0] not in purged] != [row for row in named if row[0] not in purged]:
        yield f"segment {segment.id}: the catalogue and the shard name different facts"
    known, expected = {pair for pair in known if pair[0] not in purged}, set()
    for row, fact in enumerate(facts):
        if low + row in purged:
            continue
        for text in fact.wordings:
            hash_ = wording_hash(text)
            pair = (low + row, hash_ - (1 << 64) if hash_ >= 1 << 63 else hash_)
            expected.add(pair)
            if pair not in known:
                yield f"fact '{fact.id}': the catalogue does not know its wording '{text}'"
    if known - expected:
        yield f"segment {segment.id}: the catalogue knows wordings that it does not have"


def _coverage(folder: MemoryFolder, manifest: Manifest, damaged: dict[str, str]) -> Iterator[str]:
    """Every fact of a version belongs to one segment only, and so to one expert of each kind."""
    seen: dict[str, int] = {}
    with_experts = without = 0
    for segment in manifest.segments:
        if damaged.keys() & set(segment.shards.values()) or FACTS not in segment.shards:
            continue
        files = map(folder.shards.file, segment.shards.values())
        if any(stacked(file) for file in files):
            with_experts += segment.facts
        else:
            without += segment.facts
        facts = Records(folder.shards.file(segment.shards[FACTS]))
        for row in segment.live:
            id_ = facts[row].id if row < len(facts) else ""
            if id_ in seen:
                yield f"fact '{id_}' is in segment {seen[id_]} and in segment {segment.id}"
            seen[id_] = segment.id
    if with_experts and without:
        yield f"version {manifest.version}: {without} facts belong to no expert"
