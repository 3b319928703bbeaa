"""/v1/memories: which there are, what they hold, how they come and go."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Response

from memtune.errors import MemtuneError
from memtune.history import History
from memtune.memory import Memory as StoredMemory
from memtune.serve.facts import shapes
from memtune.serve.facts.documented import CHANGING, faults
from memtune.serve.facts.doors import Door, ForAsker, ForTeacher, Look, ToRule, opened
from memtune.serve.house import House
from memtune.serve.http.errors import Refused
from memtune.serve.http.guard import Asker, Teacher, TheHouse
from memtune.serve.keys import Key
from memtune.serve.shelf import BASE
from memtune.store import MemoryFolder
from memtune.store.lock import WriterLock

router = APIRouter(tags=["memories"])


@router.get("/memories", responses=faults(), summary="List memories", response_model_exclude_none=True)
async def list_memories(house: TheHouse, key: Asker) -> shapes.Memories:
    """The memories that the key may use, by name. Scope: `ask`."""

    def found() -> list[shapes.MemoryBrief]:
        return [_brief(house, key, name) for name in house.shelf.memories(key)]

    return shapes.Memories(memories=await anyio.to_thread.run_sync(found))


@router.post("/memories", status_code=201, responses=faults(404, 409), summary="Make a memory")
async def make_memory(body: shapes.NewMemory, house: TheHouse, key: Teacher, response: Response) -> shapes.Memory:
    """An empty memory on one of the server's models. Scope: `teach`."""
    if not key.may_use(body.name):
        raise Refused(403, f"this key may not use a memory of the name '{body.name}'")
    if body.model is not None and body.model not in (BASE, house.shelf.model, *house.shelf.aliases):
        raise Refused(404, f"there is no model '{body.model}' here", hint="GET /v1/models lists them")
    door = Door(house, key, body.name, response)
    await door.alone(lambda: _make(house, body))
    return await door.read(_described)


@router.get("/memories/{name}", responses=faults(), summary="Describe a memory")
async def describe_memory(door: ForAsker) -> shapes.Memory:
    """What it holds at its newest version, or at the one that is named. Scope: `ask`."""
    return await door.read(_described)


@router.delete("/memories/{name}", responses=faults(*CHANGING), summary="Delete a memory")
async def delete_memory(door: ToRule) -> shapes.Deleted:
    """The memory and its whole history, for good. One that was named when the server was started lies outside of the
    data folder and is not deleted. Scope: `admin`."""
    door.require_all()
    if door.at:
        raise Refused(400, "a version of a memory cannot be deleted", hint="name the memory alone")
    path, shelf = door.path(), door.house.shelf
    if door.memory in shelf.named:
        raise Refused(409, f"'{door.memory}' was named when the server was started", hint="delete its folder there")
    await door.alone(lambda: _delete(door, path))
    return shapes.Deleted(name=door.memory)


@router.post("/memories/{name}/verify", responses=faults(), summary="Verify a memory")
async def verify_memory(door: ForTeacher) -> shapes.Verified:
    """Look at every checksum and invariant of its folder. Scope: `teach`."""

    def verified(look: Look) -> shapes.Verified:
        problems = [door.without_paths(problem) for problem in look.folder.verify()]
        return shapes.Verified(version=look.version, sound=not problems, problems=problems)

    return await door.read(verified)


def _make(house: House, body: shapes.NewMemory) -> None:
    path = house.shelf.path(body.name)
    if body.name in house.shelf.memories():
        raise Refused(409, f"there is a memory '{body.name}' already", hint="choose another name, or delete it")
    StoredMemory.create(house.shelf.backbone(body.model), path, house.config).close()


def _delete(door: Door, path: Path) -> None:
    """It goes as a whole: first its name, then what it holds."""
    with MemoryFolder.open(path) as folder:
        door.require_expected(folder.version)
    with WriterLock.held(path) as lock:
        lock.finished = True
        aside = Path(tempfile.mkdtemp(prefix=".deleted-", dir=path.parent))
        path.rename(aside / path.name)
        door.house.shelf.drop(door.memory)  # now, when nobody can open it any more
    shutil.rmtree(aside, ignore_errors=True)


def _brief(house: House, key: Key, name: str) -> shapes.MemoryBrief:
    try:
        with opened(house, key, name) as look:
            facts = look.folder.count() - sum(look.folder.count({"group": group}) for group in key.hidden)
            backbone = _model_name(look.folder.header.backbone)
            return shapes.MemoryBrief(name=name, version=look.version, facts=facts, backbone=backbone)
    except MemtuneError as fault:
        said = fault.message.replace(str(house.shelf.path(name)), name)
        return shapes.MemoryBrief(name=name, fault=said)


def _described(look: Look) -> shapes.Memory:
    folder, history = look.folder, History(look.folder)
    groups = {g or "": n for g, n in folder.catalogue.groups(folder.manifest).items() if g not in look.hidden}
    return shapes.Memory(
        name=look.name,
        version=look.version,
        facts=sum(groups.values()),
        groups=dict(sorted(groups.items(), key=lambda item: (-item[1], item[0]))),
        skills=sorted(folder.manifest.skills),
        backbone=_model_name(folder.header.backbone),
        created=folder.header.created,
        bytes=_bytes_of(folder),
        branches=history.names("branch"),
        tags=history.names("tag"),
        candidates=history.candidates(),
    )


def _bytes_of(folder: MemoryFolder) -> int:
    found = 0
    for file in folder.path.rglob("*"):
        try:
            found += file.stat().st_size if file.is_file() else 0
        except FileNotFoundError:  # a temporary one, of a writer
            continue
    return found


def _model_name(backbone: Any) -> str:
    """What the model is called; of one in a folder only the folder's own name."""
    name = str(backbone["name"])
    return Path(name).name if Path(name).is_absolute() else name
