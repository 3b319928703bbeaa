"""Removing what no branch and no tag leads to any more."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtune.store.durable import plain_errors, remove_file

if TYPE_CHECKING:
    from memtune.store.folder import MemoryFolder
    from memtune.store.writer import Writer


@dataclass(frozen=True)
class Collected:
    """What was removed, or would be."""

    versions: int
    shards: int
    bytes: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def collect(folder: MemoryFolder, writer: Writer, *, dry_run: bool) -> Collected:
    """Versions that neither branches nor tags come from, and the shards that only those hold."""
    kept = {segment.id for _, segment in folder.manifests.mentioned(*folder.refs.points)}
    digests = folder.manifests.digests(*folder.refs.points)
    reachable = {folder.manifests.file(point) for point, _ in folder.manifests.ancestors(*folder.refs.points)}
    manifests = [file for _, file in folder.manifests.files() if file not in reachable]
    shards = [file for file in folder.shards.path.iterdir() if file.stem not in digests]
    size = sum(file.stat().st_size for file in (*manifests, *shards))
    done = Collected(len(manifests), len(shards), size)
    if not dry_run and (manifests or shards):
        writer.forget_index(folder.catalogue.segments() - kept, [file.stem for file in shards])
        writer.record("gc", asdict(done))
        try:
            _remove([*manifests, *shards], folder)
        except BaseException:
            writer.sweep_later()
            raise
    return done


def _remove(files: list[Path], folder: MemoryFolder) -> None:
    with plain_errors(folder.path):
        for file in files:
            remove_file(file, "gc")
        folder.shards.sync()
