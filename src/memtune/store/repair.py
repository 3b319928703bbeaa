"""Making again what can be made again: the catalogue from manifests and shards, the references from the audit log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from memtune.errors import FolderDamaged
from memtune.store import audit
from memtune.store.catalogue import NAME, WritableCatalogue
from memtune.store.durable import remove_file, step, sync_folder
from memtune.store.manifest import Point, Segment
from memtune.store.manifests import Manifests
from memtune.store.records import ROOM as FACTS
from memtune.store.refs import MAIN, Refs
from memtune.store.shards import SUFFIX

if TYPE_CHECKING:
    from memtune.store.folder import MemoryFolder


def all_segments(manifests: Manifests, refs: Refs) -> dict[int, tuple[int, Segment]]:
    """Every segment that some version holds, with the first version that does."""
    found: dict[int, tuple[int, Segment]] = {}
    for point, segment in manifests.mentioned(*refs.points):  # newest first
        found[segment.id] = (point.version, segment)
    return found


def rebuild_catalogue(folder: MemoryFolder) -> int:
    """Make the catalogue anew; the writer's lock is held. How many segments are in it."""
    path, fresh = folder.path, f"{NAME}.new"
    _remove(path, fresh)
    catalogue = WritableCatalogue.create(path, fresh)
    try:
        segments = all_segments(folder.manifests, folder.refs)
        catalogue.begin()
        for number, (version, segment) in sorted(segments.items()):
            catalogue.add_segment(number, folder.shards.records(segment.shards[FACTS]), version)
            for digest in segment.shards.values():
                catalogue.add_shard(digest, folder.shards.file(digest).stat().st_size, version)
        mentioned = folder.manifests.mentioned_skills(*folder.refs.points)
        came = {digest: point.version for point, skill in mentioned for digest in skill.shards.values()}
        for digest, version in came.items():
            catalogue.add_shard(digest, folder.shards.file(digest).stat().st_size, version)
        catalogue.commit()
        catalogue.settle()
    finally:
        catalogue.close()
    folder.reopen_catalogue()
    step("repair: replace")
    for suffix in ("-wal", "-shm"):
        (path / f"{NAME}{suffix}").unlink(missing_ok=True)
    (path / fresh).replace(path / NAME)
    _remove(path, fresh)
    sync_folder(path)
    return len(segments)


def finish_rewriting(folder: MemoryFolder) -> None:
    """Remove what a rewriting of history has replaced, if there was one; the writer's lock is held."""
    numbers = Counter(number for number, _ in folder.manifests.files())
    if max(numbers.values(), default=0) > 1:
        remove_unreachable(folder)


def remove_unreachable(folder: MemoryFolder) -> None:
    """Nothing stays in the folder but what branches and tags lead to, in the catalogue either. May be done again."""
    points = folder.refs.points
    manifests = {folder.manifests.file(point) for point, _ in folder.manifests.ancestors(*points)}
    digests = folder.manifests.digests(*points)
    rebuild_catalogue(folder)
    for file in list(folder.shards.path.iterdir()):
        if file.name != f"{file.stem}{SUFFIX}" or file.stem not in digests:
            remove_file(file, "purge")
    folder.shards.sync()
    for _, file in list(folder.manifests.files()):  # last: as long as there are two of a version, there is work to do
        if file not in manifests:
            remove_file(file, "purge")
    sync_folder(folder.manifests.path)


def rebuild_refs(path: Path) -> Refs:
    """The references as the audit log tells them; the writer's lock is held."""
    anchor, entries = audit.recover(path)
    manifests, refs, latest = Manifests(path / "manifests"), Refs(audit=anchor), 0
    for entry in entries:
        for act, name, version, checksum in _moves(entry):
            point = _still(manifests, Point(version, checksum))
            latest = max(latest, version)
            if act == "delete":
                refs = refs.without(name)
            else:
                refs = refs.tagged(name, point) if act == "tag" else refs.moved(name, point)
    highest = max(all_segments(manifests, refs), default=0)
    made = Refs(latest, highest, refs.branches, refs.tags, anchor)
    if MAIN not in made.branches:
        raise FolderDamaged(f"{path / audit.NAME} names no version of the branch '{MAIN}'")
    made.write(path)
    return made


def _still(manifests: Manifests, point: Point) -> Point:
    """The same version under the checksum that it has now, where history was rewritten since."""
    if point.version == 0 or manifests.file(point).is_file():
        return point
    found = manifests.points(point.version)
    return found[0] if len(found) == 1 else point


def _moves(entry: dict[str, object]) -> Iterator[tuple[str, str, int, str]]:
    """What an entry did to branches and tags."""
    name = entry.get("tag") or entry.get("branch")
    if isinstance(name, str) and ("manifest" in entry or entry["act"] == "delete"):
        kind = str(entry["act"]) if entry["act"] in ("tag", "delete") else "branch"
        yield kind, name, int(str(entry.get("version", 0))), str(entry.get("manifest", ""))


def _remove(path: Path, name: str) -> None:
    for suffix in ("", "-wal", "-shm"):
        (path / f"{name}{suffix}").unlink(missing_ok=True)
