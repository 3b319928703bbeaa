"""Bringing a memory of an earlier format to the present one.

Format 1 kept whole manifests and its newest version in SQLite. A new folder is made beside the old one from its shards;
only then do they change places, and the old one goes when the new one was found to be in order. Format 2 without an
encoder in its settings has keys of an earlier router: they are made anew within the folder, as one act.

    DIR             the memory, all the time but for two renames
    DIR.migrating   the new one while it is made
    DIR.before      the old one until the new one is in order
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from memtune.config import RouterConfig
from memtune.core.facts import Fact
from memtune.errors import FolderDamaged, FolderTooOld, NotFound, UsageError
from memtune.router.encoders import make_encoder
from memtune.router.entries import Entry, make_keys
from memtune.store import FORMAT, Commit, Counts, Header, Manifest, MemoryFolder, Segment, audit, shards
from memtune.store.durable import now, plain_errors, step, sync_folder, unseal
from memtune.store.layout import exists, lay_out, read_header, write_header
from memtune.store.lock import WriterLock
from memtune.store.manifest import Segments
from memtune.store.manifests import Manifests
from memtune.store.records import ROOM as FACTS
from memtune.store.refs import MAIN, Refs, named
from memtune.store.repair import rebuild_catalogue
from memtune.store.skills import Skills
from memtune.store.writer import user

ENCODER = "lexical"
"""What memories that name none were made with."""
_ROUTER = "router"
_NEW, _OLD = ".migrating", ".before"
_PARTS = ("catalogue.sqlite", "manifests", "shards", "writer.lock")


@dataclass(frozen=True)
class Migrated:
    """What was done; the formats are the same where nothing was to be done."""

    before: int
    after: int
    versions: int = 0
    facts: int = 0
    keys: bool = False
    """Whether the router's keys were made anew."""

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


def migrate(path: str | Path) -> Migrated:
    """Bring the memory to the present format. One that was broken off is gone on with."""
    path = named(path)
    fresh, old = path.with_name(path.name + _NEW), path.with_name(path.name + _OLD)
    with plain_errors(path.parent):
        _take_up(path, fresh, old)
        if not exists(path):
            raise NotFound(f"{path} holds no memory")
        header = read_header(path)
        if header.format < FORMAT:
            return _convert(path, fresh, old, header)
        with MemoryFolder.open(path) as folder:
            if ENCODER_SETTING in header.settings:
                return Migrated(FORMAT, FORMAT, folder.refs.latest, folder.count())
            return _remake_keys(folder)


ENCODER_SETTING = "encoder"


def require_present(folder: MemoryFolder) -> None:
    """A memory whose keys are those of an earlier router cannot be asked."""
    if ENCODER_SETTING not in folder.header.settings:
        raise FolderTooOld(
            f"{folder.path} was made by an earlier version of memtune: its router's keys are of an older kind",
            hint=f"`memtune migrate --memory {folder.path}` makes them anew",
        )


# ---- format 1 -------------------------------------------------------------------------------------------------------


def _take_up(path: Path, fresh: Path, old: Path) -> None:
    """What an earlier migration left: it is brought to its end, or its beginning is thrown away."""
    if old.exists() and not exists(path) and exists(old) and read_header(old).format < FORMAT:
        (fresh if _is_whole(fresh) else old).replace(path)
        sync_folder(path.resolve().parent)
    if old.exists() and _is_of(old, path) and _is_whole(path):
        shutil.rmtree(old)
    if fresh.exists():
        if any(fresh.iterdir()) and not (fresh / "shards").is_dir() and not (fresh / "writer.lock").exists():
            raise UsageError(f"{fresh} is in the way", hint="move it elsewhere")
        shutil.rmtree(fresh)


def _is_of(old: Path, path: Path) -> bool:
    """Whether a migration of this memory set `old` aside, and not somebody who gave a folder that name."""
    if not old.is_dir() or not exists(path):
        return False
    if exists(old):
        header = read_header(old)
        return header.format < FORMAT and header.created == read_header(path).created
    return all(file.name.startswith(_PARTS) for file in old.iterdir())  # what is left of a removal that broke off


def _is_whole(path: Path) -> bool:
    if not exists(path) or read_header(path).format < FORMAT:
        return False
    with MemoryFolder.open(path) as folder:
        return folder.verify() == []


def _convert(path: Path, fresh: Path, old: Path, header: Header) -> Migrated:
    step("migrate: begin")
    if old.exists():
        raise UsageError(f"{old} is in the way", hint="move it elsewhere")
    with WriterLock.held(path) as lock:
        versions = _build(path, fresh, header)
        if not _is_whole(fresh):
            raise FolderDamaged(f"{path} could not be brought to format {FORMAT}; it is as it was")
        lock.finished = True
    step("migrate: old aside")
    path.replace(old)
    step("migrate: new in place")
    fresh.replace(path)
    sync_folder(path.resolve().parent)
    step("migrate: remove old")
    shutil.rmtree(old)
    with MemoryFolder.open(path) as folder:
        return Migrated(header.format, FORMAT, versions, folder.count(), keys=True)


def _build(path: Path, fresh: Path, header: Header) -> int:
    """The new folder, with the same versions, numbers and authors; its header comes last, as always."""
    settings = {name: value for name, value in header.settings.items() if name != "router_width"}
    fresh.mkdir()
    with WriterLock.held(fresh) as lock:
        lay_out(fresh, {"backbone": header.backbone, "settings": {**settings, ENCODER_SETTING: ENCODER}})
        write_header(fresh, replace(read_header(fresh), created=header.created))
        source, target = shards.Shards(path / "shards"), shards.Shards(fresh / "shards")
        manifests, known, made = Manifests(fresh / "manifests"), Manifest(), dict[str, str]()
        documents = _documents(path)
        for document in documents:
            held = Segments((s["id"], _segment(s, source, target, made)) for s in document["segments"])
            known = manifests.write(_commit(document, known, held, source), held, Skills(), known)
        target.sync()
        details = {"branch": MAIN, "version": known.version, "manifest": known.checksum, "from": header.format}
        entry = {"time": now(), "who": user(), "act": "migrate", **details}
        anchor = audit.append(fresh, Refs().audit, [entry] if documents else [])
        highest = max((s["id"] for document in documents for s in document["segments"]), default=0)
        Refs(known.version, highest, {MAIN: known.point}, {}, anchor).write(fresh)
        with MemoryFolder.open(fresh) as folder:
            rebuild_catalogue(folder)
        lock.finished = True
    return len(documents)


def _documents(path: Path) -> list[dict[str, Any]]:
    """The manifests that lead to the newest version, oldest first."""
    connection = sqlite3.connect(f"{(path / 'catalogue.sqlite').resolve().as_uri()}?mode=rw", uri=True)
    try:
        number = (connection.execute("SELECT max(version) FROM heads").fetchone() or [0])[0] or 0
    finally:
        connection.close()
    found = []
    while number:
        file = path / "manifests" / f"{number}.json"
        try:
            document = unseal(file, file.read_bytes())
        except FileNotFoundError:
            raise FolderDamaged(f"{file} is missing") from None
        found.append(document)
        number = document["parent"] or 0
    return found[::-1]


def _segment(said: Mapping[str, Any], source: shards.Shards, target: shards.Shards, made: dict[str, str]) -> Segment:
    own = {}
    for room, digest in said["shards"].items():
        if room == _ROUTER:
            own[room] = _keys_of(said["shards"][FACTS], source, target, made)
        else:
            target.take(digest, source)
            own[room] = digest
    return replace(Segment.from_json({**said, "shards": own}))


def _keys_of(facts: str, source: shards.Shards, target: shards.Shards, made: dict[str, str]) -> str:
    """The shard of new keys for these facts, made once."""
    if facts not in made:
        data = fresh_keys(list(source.records(facts)))
        made[facts] = shards.digest_of(data)
        target.put(made[facts], data)
    return made[facts]


def fresh_keys(facts: list[Fact]) -> bytes:
    """The router's keys of these facts, as the present version makes them."""
    keys = make_keys([Entry.of(fact) for fact in facts], make_encoder(ENCODER), RouterConfig().vectors)
    return shards.encode(keys)


def _commit(document: Mapping[str, Any], parent: Manifest, held: Segments, source: shards.Shards) -> Commit:
    before, after = _answers(parent.held, source), _answers(held, source)
    changed = sum(before[id_] != ref for id_, ref in after.items() if id_ in before)
    return Commit(
        version=document["version"],
        parents=(parent.point,) if parent.version else (),
        time=document["time"],
        author=document["author"],
        message=document["message"],
        act=document["message"].partition(" ")[0] or "learn",
        branch=MAIN,
        counts=Counts(len(after.keys() - before.keys()), changed, len(before.keys() - after.keys())),
        facts=len(after),
    )


def _answers(held: Segments, source: shards.Shards) -> dict[str, tuple[int, int]]:
    """Where each fact lives."""
    return {source.records(s.shards[FACTS])[row].id: (s.id, row) for s in held.values() for row in s.live}


# ---- format 2 without an encoder ------------------------------------------------------------------------------------


def _remake_keys(folder: MemoryFolder) -> Migrated:
    """Every version keeps its number and gets new keys; the header says so last, so that a rest is done again."""
    with folder.writer(anywhere=True) as writer:
        known = {s.shards[FACTS]: s for _, s in folder.manifests.mentioned(*folder.refs.points)}
        made = {facts: writer.put(fresh_keys(list(folder.records(s)))) for facts, s in known.items()}

        def renewed(segment: Segment) -> Segment:
            return replace(segment, shards={**segment.shards, _ROUTER: made[segment.shards[FACTS]]})

        if made:
            writer.rewrite("migrate", {"keys": "made anew"}, renewed)
        settings = {name: value for name, value in folder.header.settings.items() if name != "router_width"}
        folder.header = replace(folder.header, settings={**settings, ENCODER_SETTING: ENCODER})
        write_header(folder.path, folder.header)
        sync_folder(folder.path)
    with folder.writer(anywhere=True):
        pass  # removes what was replaced
    return Migrated(FORMAT, FORMAT, folder.refs.latest, folder.count(), keys=True)
