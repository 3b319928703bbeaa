"""Writing so that it stays written: files that are there whole or not at all, sealed JSON, and plain words
for a full disk."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from memtune.errors import FolderDamaged, FolderError, FolderTooNew, NoSpace

FORMAT = 2
"""The format of memory folders that this version of memtune writes, and the newest that it reads."""
WITH_SKILLS = 3
"""The format of a manifest that names skills: a program that knows of none would leave them out of the next version."""

TEMPORARY = ".tmp"
SEAL = b',"checksum":"'

fault: Callable[[str], None] | None = None
"""What the harness of faults puts here is called at every named step of writing: to die, or to fail."""


def step(name: str) -> None:
    """A point at which a process may be killed or a disk may fail."""
    if fault is not None:
        fault(name)


def write_file(path: Path, data: bytes, what: str) -> None:
    """The whole file or none of it. Its name is durable once `sync_folder` has been called on its folder."""
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        step(f"{what}: write")
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            step(f"{what}: sync")
            sync_file(file.fileno())
        step(f"{what}: name")
        temporary.replace(path)
        step(f"{what}: named")
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_file(path: Path, what: str) -> None:
    step(f"{what}: remove")
    path.unlink(missing_ok=True)


def sync_file(descriptor: int) -> None:
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fsync(descriptor)


def sync_folder(path: Path) -> None:
    """Make names that were created, replaced or removed in this folder durable."""
    step("folder: sync")
    if sys.platform == "win32":  # folders cannot be opened there; NTFS journals names by itself
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        sync_file(descriptor)
    finally:
        os.close(descriptor)


def now() -> str:
    """The time, as it is written into everything."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def seal(document: Mapping[str, Any], *, indent: int | None = None) -> bytes:
    """JSON that ends in the SHA-256 of everything before that last field."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=indent)
    body = text[:-1].rstrip().encode()
    return body + SEAL + hashlib.sha256(body).hexdigest().encode() + b'"}\n'


def checksum_of(sealed: bytes) -> str:
    """The checksum that a sealed document carries, "" when it carries none."""
    _, _, tail = sealed.rpartition(SEAL)
    return tail[:64].decode("ascii", "replace") if len(tail) == 67 else ""


def unseal(path: Path, data: bytes, newest: int = FORMAT) -> dict[str, Any]:
    """The document, once its format is known and its checksum holds."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise FolderDamaged(f"{path} is damaged: it is not JSON") from None
    if not isinstance(document, dict) or not isinstance(document.get("format"), int):
        raise FolderDamaged(f"{path} is damaged: it names no format")
    if document["format"] > newest:
        raise FolderTooNew(
            f"{path} was made by a later version of memtune: format {document['format']}, not {newest}",
            hint="pip install --upgrade memtune",
        )
    body = data.rpartition(SEAL)[0]
    if checksum_of(data) != hashlib.sha256(body).hexdigest():
        raise FolderDamaged(f"{path} is damaged: its checksum does not hold")
    del document["checksum"]
    return document


@contextmanager
def plain_errors(folder: Path) -> Iterator[None]:
    """What the disk and SQLite say, as errors of memtune."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_space(folder) from error
        denied = error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)
        hint = "it can be read, but not be written to; copy it to where it can" if denied else None
        raise FolderError(f"{error.filename or folder}: {error.strerror or error}", hint=hint) from error
    except sqlite3.OperationalError as error:
        if "full" in str(error) or ("disk I/O" in str(error) and _nothing_free(folder)):
            raise no_space(folder) from error
        raise FolderError(f"{folder / 'catalogue.sqlite'}: {error}") from error
    except sqlite3.DatabaseError as error:
        hint = f"`memtune repair --memory {folder}` makes it anew"
        raise FolderDamaged(f"{folder / 'catalogue.sqlite'} is damaged: {error}", hint=hint) from error


def no_space(folder: Path) -> NoSpace:
    return NoSpace(
        f"no space left on the disk of {folder}; the memory stands at its last version",
        hint="free some space and run the command again; what was committed is kept",
    )


def _nothing_free(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < 1 << 20
    except OSError:
        return False
