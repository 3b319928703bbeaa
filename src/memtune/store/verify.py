"""Checking a memory folder: every checksum, and that manifests, shards and catalogue say the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from memtune.core.facts import wording_hash
from memtune.errors import FolderError
from memtune.store.durable import plain_errors, unseal
from memtune.store.manifest import Manifest, Segment
from memtune.store.records import ROOM as FACTS
from memtune.store.records import Records

if TYPE_CHECKING:
    from memtune.store.folder import MemoryFolder


def problems(folder: MemoryFolder) -> list[str]:
    """What does not hold, as text."""
    found = [*_header(folder), *_catalogue(folder)]
    manifests = []
    for version in folder.catalogue.versions():
        try:
            manifests.append(folder.read_manifest(version))
        except FolderError as error:
            found.append(error.message)
    damaged = {}
    for digest in sorted({d for m in manifests for segment in m.segments for d in segment.shards.values()}):
        if problem := folder.shards.problem(digest):
            damaged[digest] = problem
    found += damaged.values()
    for manifest in manifests:
        found += _version(folder, manifest)
    for segment in _distinct(manifests):
        if segment.shards.get(FACTS) not in damaged:
            found += _segment(folder, segment)
    if manifests and manifests[-1].version == folder.version:
        found += _ids(folder, manifests[-1])
    return found


def _header(folder: MemoryFolder) -> Iterator[str]:
    file = folder.path / "memory.json"
    try:
        with plain_errors(folder.path):
            unseal(file, file.read_bytes())
    except FolderError as error:
        yield error.message


def _catalogue(folder: MemoryFolder) -> Iterator[str]:
    try:
        for (line,) in folder.catalogue.rows("PRAGMA integrity_check"):
            if line != "ok":
                yield f"{folder.path / 'catalogue.sqlite'} is damaged: {line}"
        versions = folder.catalogue.versions()
        if folder.current_version() not in [0, *versions]:
            yield f"{folder.path / 'catalogue.sqlite'} is damaged: its head is no version"
    except FolderError as error:
        yield error.message


def _version(folder: MemoryFolder, manifest: Manifest) -> Iterator[str]:
    fields = (
        manifest.version,
        manifest.parent,
        manifest.time,
        manifest.author,
        manifest.message,
        manifest.facts,
    )
    row = "SELECT version, parent, time, author, message, facts FROM versions WHERE version = ?"
    if folder.catalogue.rows(row, (manifest.version,)) != [fields]:
        yield f"version {manifest.version}: the catalogue and the manifest differ"
    for segment in manifest.segments:
        if FACTS not in segment.shards:
            yield f"version {manifest.version}: segment {segment.id} has no facts"
        if not segment.dropped <= set(range(segment.count)):
            yield f"version {manifest.version}: segment {segment.id} drops rows that it does not have"


def _distinct(manifests: list[Manifest]) -> list[Segment]:
    """Every segment once for each state of its facts."""
    held = {(s.id, s.shards.get(FACTS)): s for m in manifests for s in m.segments if FACTS in s.shards}
    return [held[key] for key in sorted(held)]


def _segment(folder: MemoryFolder, segment: Segment) -> Iterator[str]:
    """The catalogue must lead to every fact of the segment."""
    low, high = segment.id << 32, (segment.id + 1) << 32
    between = "WHERE key >= ? AND key < ? ORDER BY key"
    rows = folder.catalogue.rows(f'SELECT key, id, source, "group" FROM facts {between}', (low, high))
    facts = list(Records(folder.shards.file(segment.shards[FACTS])))
    if len(facts) != segment.count:
        yield f"segment {segment.id}: {len(facts)} facts instead of {segment.count}"
    if rows != [(low + row, fact.id, fact.source, fact.group) for row, fact in enumerate(facts)]:
        yield f"segment {segment.id}: the catalogue and the shard name different facts"
    known = set(
        folder.catalogue.rows(f"SELECT key, hash FROM phrasings {between.removesuffix(' ORDER BY key')}", (low, high))
    )
    for row, fact in enumerate(facts):
        for text in fact.wordings:
            hash_ = wording_hash(text)
            if (low + row, hash_ - (1 << 64) if hash_ >= 1 << 63 else hash_) not in known:
                yield f"fact '{fact.id}': the catalogue does not know its wording '{text}'"


def _ids(folder: MemoryFolder, manifest: Manifest) -> Iterator[str]:
    """Every fact belongs to one segment only."""
    seen: dict[str, int] = {}
    for segment in manifest.segments:
        for key, id_ in folder.catalogue.rows(
            "SELECT key, id FROM facts WHERE key >= ? AND key < ?", (segment.id << 32, (segment.id + 1) << 32)
        ):
            if (key & 0xFFFFFFFF) in segment.dropped:
                continue
            if seen.setdefault(id_, segment.id) != segment.id:
                yield f"fact '{id_}' is in segment {seen[id_]} and in segment {segment.id}"
