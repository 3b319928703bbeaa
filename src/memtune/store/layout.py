"""What a memory folder is laid out as: its header, and how one comes to be or goes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memtune.errors import FolderDamaged, UsageError
from memtune.store import audit, refs, sidecar
from memtune.store.catalogue import NAME as CATALOGUE
from memtune.store.catalogue import WritableCatalogue
from memtune.store.durable import FORMAT, TEMPORARY, now, seal, sync_folder, unseal, write_file

_OURS = {"shards", "manifests", "writer.lock", "memory.json" + TEMPORARY, audit.NAME, refs.NAME, refs.NAME + TEMPORARY}


@dataclass(frozen=True)
class Header:
    """What holds for every version."""

    backbone: Mapping[str, Any]
    settings: Mapping[str, Any]
    created: str
    format: int = FORMAT


def exists(path: Path) -> bool:
    return (path / "memory.json").is_file()


def read_header(path: Path) -> Header:
    """What holds for every version, whatever its format is, as long as it is not a later one."""
    file = path / "memory.json"
    document = unseal(file, file.read_bytes())
    try:
        return Header(**document)
    except TypeError:
        raise FolderDamaged(f"{file} is damaged: it describes no memory") from None


def write_header(path: Path, header: Header) -> None:
    said = {"format": FORMAT, "created": header.created, "backbone": header.backbone, "settings": header.settings}
    write_file(path / "memory.json", seal(said, indent=1), "header")


def clear(path: Path) -> None:
    """memory.json goes first: without it, what is left of a clearing that broke off is no memory."""
    (path / "memory.json").unlink(missing_ok=True)
    for leftover in [*path.glob(f"{CATALOGUE}*"), *path.glob(f"{audit.NAME}*"), *path.glob(f"{refs.NAME}*")]:
        leftover.unlink()
    for name in sidecar.NAMES:
        (path / name).unlink(missing_ok=True)
    for name in ("shards", "manifests"):
        shutil.rmtree(path / name, ignore_errors=True)
    with suppress(OSError):  # where a file that is open cannot be removed, or somebody has put another one there
        (path / "writer.lock").unlink()
        path.rmdir()


def make_room(path: Path) -> None:
    """The folder itself. One in which an earlier creation broke off is begun again."""
    if exists(path):
        raise UsageError(f"{path} already holds a memory", hint="open it, or choose another folder")
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file, not a folder")
    path.mkdir(parents=True, exist_ok=True)
    unknown = {f.name for f in path.iterdir() if not f.name.startswith(CATALOGUE)} - _OURS
    if unknown or any(f for name in ("shards", "manifests") if (path / name).is_dir() for f in (path / name).iterdir()):
        raise UsageError(f"{path} is not empty and holds no memory", hint="choose a new or an empty folder")


def lay_out(path: Path, described: Mapping[str, Any]) -> None:
    """memory.json comes last: before it, there is no memory."""
    if exists(path):
        raise UsageError(f"{path} already holds a memory", hint="another process has just made it")
    for leftover in path.glob(f"{CATALOGUE}*"):
        leftover.unlink()
    for name in ("shards", "manifests"):
        (path / name).mkdir(exist_ok=True)
    WritableCatalogue.create(path).close()
    audit.create(path)
    refs.Refs().write(path)
    write_header(path, Header(**described, created=now()))
    sync_folder(path)
    with suppress(OSError):  # the folder's own name, in a parent that may not be ours to open
        sync_folder(path.resolve().parent)
