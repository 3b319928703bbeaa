"""GET /v1/models: what may be asked, by name."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter

from memtune.errors import MemtuneError, UnknownVersion
from memtune.serve.facts.documented import faults
from memtune.serve.house import House
from memtune.serve.http.guard import Asker, TheHouse
from memtune.serve.keys import Key
from memtune.serve.openai.shapes import Model, Models
from memtune.serve.shelf import BASE, UnknownModel
from memtune.store import MemoryFolder

router = APIRouter(prefix="/v1", tags=["openai"])
_NEAR = 100


@router.get("/models", summary="List the models", response_model=Models, responses=faults())
def list_models(house: TheHouse, key: Asker) -> dict[str, Any]:
    """`base`, the aliases and the memories that the key may use. Versions are not listed; `NAME@vN` names one."""
    return {"object": "list", "data": [_card(name, house, key) for name in house.shelf.models(key)]}


@router.get("/models/{model:path}", summary="Look a model up", response_model=Model, responses=faults())
def get_model(model: str, house: TheHouse, key: Asker) -> dict[str, Any]:
    """A model by name: a memory, one of its versions (`acme@v12`), an alias, or `base`."""
    return _card(model, house, key, strict=True)


def _card(name: str, house: House, key: Key, *, strict: bool = False) -> dict[str, Any]:
    shelf = house.shelf
    memory, _, at = name.partition("@")
    if not at and name in (BASE, shelf.model, *shelf.aliases):
        return _model(name, 0, {"kind": "alias" if name in shelf.aliases else "base"})
    if memory not in shelf.memories(key) or (at and not at.isprintable()):
        raise UnknownModel(name, shelf.models(key))
    try:
        return _memory(name, house, key)
    except UnknownVersion:
        raise UnknownModel(name, [f"{memory}@{v}" for v in _versions(memory, house)]) from None
    except MemtuneError as fault:
        if strict:
            raise
        return _model(name, 0, {"kind": "memory", "fault": fault.message})


def _memory(name: str, house: House, key: Key) -> dict[str, Any]:
    memory, _, at = name.partition("@")
    path = house.shelf.path(memory)
    with MemoryFolder.open(path.with_name(f"{path.name}@{at}") if at else path) as folder:
        told = {
            "kind": "memory",
            "version": folder.version,
            "facts": None if key.hidden else folder.manifest.facts,  # how many are hidden is hidden too
            "skills": sorted(folder.manifest.skills),
        }
        made = folder.manifest.commit.time or folder.header.created
        return _model(name, _seconds(made), told)


def _versions(memory: str, house: House) -> list[str]:
    """Some of the newest: of many thousands, to find the nearest would take seconds."""
    with MemoryFolder.open(house.shelf.path(memory)) as folder:
        return [f"v{version}" for version in range(max(1, folder.version - _NEAR), folder.version + 1)]


def _model(name: str, created: int, told: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": created, "owned_by": "memtune", "memtune": told}


def _seconds(time: str) -> int:
    """A moment as seconds since 1970."""
    try:
        return int(datetime.fromisoformat(time).timestamp())
    except ValueError:
        return 0
