"""What a model name stands for when somebody trains it."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memtune.errors import UsageError
from memtune.serve.house import House
from memtune.serve.keys import LOCAL, Forbidden, Key
from memtune.serve.lamini.faults import Duplicate
from memtune.serve.shelf import BASE, UnknownModel
from memtune.store import MemoryFolder

_LONGEST = 96


@dataclass(frozen=True)
class Goal:
    """The memory that learns."""

    memory: str
    path: Path
    model: str
    """As `load_backbone` takes it."""
    warnings: tuple[str, ...] = ()
    new: bool = False
    """Whether it is to be made."""


def goal(house: House, key: Key, model_name: Any, custom_model_name: Any = None) -> Goal:
    """A model alone gets a new memory, named as asked for; a memory learns what is new beside what it holds."""
    if not isinstance(model_name, str) or not model_name:
        raise UsageError("model_name must be the name of a model")
    if not isinstance(custom_model_name, str | None):
        raise UsageError("custom_model_name must be a text")
    shelf = house.shelf
    memory, _, at = model_name.partition("@")
    if memory in shelf.memories(key):
        if at:
            raise UsageError(f"'{model_name}' is one version, which does not change", hint=f"train '{memory}'")
        told = "custom_model_name has no effect: a memory keeps its name" if custom_model_name else None
        return Goal(memory, shelf.path(memory), _model_of(house, shelf.path(memory)), (told,) if told else ())
    if model_name not in (BASE, shelf.model, *shelf.aliases):
        raise UnknownModel(model_name, shelf.models(key))
    name = _new_name(house, key, custom_model_name)
    told = f"the model answers to '{name}'" if custom_model_name not in (None, name) else None
    model = shelf.aliases.get(model_name, shelf.model)
    return Goal(name, shelf.path(name), model, (told,) if told else (), new=True)


def _new_name(house: House, key: Key, custom: str | None) -> str:
    """A name that is free. Whether one is taken is told only to those who may use it."""
    name = f"tuned-{uuid.uuid4().hex[:12]}" if custom is None else _plain(custom)
    if not key.may_use(name):
        raise Forbidden(f"this key may not make a model '{name}'", hint="give a custom_model_name that it may use")
    house.shelf.path(name)
    if name in house.shelf.memories() or name in _waited_for(house):
        raise Duplicate(f"there is a model '{name}' already", hint="train it by model_name, or choose another name")
    return name


def _plain(custom: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", custom).strip("-._")[:_LONGEST]
    if not name:
        raise UsageError("custom_model_name holds no letter or digit")
    return name


def _waited_for(house: House) -> set[str]:
    """Memories that jobs are going to make."""
    return {job.plan.memory for job in house.jobs.of(LOCAL) if not job.over}


def _model_of(house: House, path: Path) -> str:
    """The model that a memory was made on, by the name that loads it."""
    with MemoryFolder.open(path) as folder:
        stored = folder.header.backbone["name"]
    named = (model for alias, model in house.shelf.aliases.items() if stored in (alias, model))
    return next(named, house.shelf.model)
