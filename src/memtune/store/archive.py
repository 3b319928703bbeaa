"""A memory in one file: a zip whose members are stored as they are, with a sealed list of their checksums in front.

The same memory gives the same bytes. Unpacking believes nothing: names are known ones, nothing is compressed (so that
a small file cannot become a large folder), every checksum is held against the list, and the folder appears under its
name only when all of it is there and in order.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from memtune.errors import FolderDamaged, FolderError, NotFound, UsageError
from memtune.store import copying
from memtune.store.durable import FORMAT, plain_errors, seal, step, sync_file, sync_folder, unseal
from memtune.store.folder import MemoryFolder
from memtune.store.lock import WriterLock
from memtune.store.repair import rebuild_catalogue

LIST = "MEMORY.json"
PART, IMPORTING = ".part", ".importing"
"""Behind the name of what is being written: of the file, and of the folder, where one that is left over is removed."""
MOST_MEMBERS = 1_000_000
MOST_LIST = 256 << 20
"""Bytes of the list of members at most."""
_BLOCK = 1 << 20
_WHEN = (1980, 1, 1, 0, 0, 0)
_NAME = re.compile(
    r"memory\.json|refs\.json|audit\.jsonl|calibration\.json|README\.md"
    r"|manifests/\d+-[0-9a-f]{16}\.json|shards/[0-9a-f]{64}\.safetensors"
)


def pack(folder: MemoryFolder, file: Path) -> int:
    """Write the memory, with the history that leads to it, into one file, whole or not at all. Its bytes."""
    if file.is_dir():
        raise UsageError(f"{file} is a folder", hint="name a file to write to, such as prices.memory")
    part = file.with_name(file.name + PART)
    with plain_errors(file.parent):
        try:
            with part.open("wb") as opened:
                _write(copying.members(folder), opened)
                opened.flush()
                sync_file(opened.fileno())
            step("export: name")
            part.replace(file)
            sync_folder(file.resolve().parent)
        finally:
            part.unlink(missing_ok=True)
        return file.stat().st_size


def _write(members: dict[str, copying.Content], opened: IO[bytes]) -> None:
    listed = {name: {"bytes": content.size, "sha256": content.digest} for name, content in sorted(members.items())}
    with zipfile.ZipFile(opened, "w", zipfile.ZIP_STORED, allowZip64=True) as packed:
        packed.writestr(_entry(LIST), seal({"format": FORMAT, "memory": listed}))
        for name in listed:
            step("export: member")
            with packed.open(_entry(name), "w", force_zip64=True) as out:
                for block in members[name].blocks():
                    out.write(block)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _WHEN)
    entry.external_attr = 0o100644 << 16
    entry.create_system = 3
    return entry


def unpack(file: Path, target: Path, *, max_bytes: int) -> None:
    """Make a memory of the file in a folder that is new or empty."""
    if not file.is_file():
        raise NotFound(f"no such file: {file}")
    copying.require_new(target)
    part = target.with_name(target.name + IMPORTING)
    with plain_errors(target), _opened(file) as packed:
        shutil.rmtree(part, ignore_errors=True)
        try:
            listed = _checked_list(file, packed, max_bytes)
            for name, said in listed.items():
                _extract(file, packed, name, said, part / name)
            finish(part)
            step("import: name")
            if target.is_dir():
                target.rmdir()
            part.replace(target)
            sync_folder(target.resolve().parent)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def finish(folder: Path) -> None:
    """A memory that has just come here: everything in it is checked, and it gets a catalogue."""
    for name in ("shards", "manifests"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with WriterLock.held(folder) as lock, MemoryFolder.open(folder) as memory:
        memory.refs.write(folder)
        rebuild_catalogue(memory)
        if problems := memory.verify():
            raise FolderDamaged(problems[0])
        lock.finished = True


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as packed:
            yield packed
    except (zipfile.BadZipFile, NotImplementedError, EOFError, UnicodeDecodeError) as error:
        raise FolderDamaged(f"{file} is no memory, or is damaged: {error}") from None


def _checked_list(file: Path, packed: zipfile.ZipFile, max_bytes: int) -> dict[str, dict[str, Any]]:
    """What is in the archive, once every name and size was found to be harmless."""
    entries = packed.infolist()
    if len(entries) > MOST_MEMBERS:
        raise FolderError(f"{file} is refused: it has {len(entries):,} members, more than {MOST_MEMBERS:,}")
    for entry in entries:
        if problem := _problem(entry):
            raise FolderError(f"{file} is refused: '{entry.filename:.80}' {problem}")
    names = [entry.filename for entry in entries]
    if len(names) != len(set(names)):
        twice = Counter(names).most_common(1)[0][0]
        raise FolderError(f"{file} is refused: '{twice}' is in it twice")
    total = sum(entry.file_size for entry in entries)
    if total > file.stat().st_size:
        raise FolderError(f"{file} is refused: its members overlap, or claim to be larger than they are")
    if total > max_bytes:
        hint = "--max-bytes N allows for more"
        raise FolderError(f"{file} is refused: it unpacks to {total:,} bytes, more than {max_bytes:,}", hint=hint)
    if names[:1] != [LIST] or entries[0].file_size > MOST_LIST:
        raise FolderDamaged(f"{file} is no memory: it has no {LIST} in front")
    listed = unseal(file, packed.read(LIST)).get("memory")
    if not isinstance(listed, dict) or sorted(listed) != sorted(names[1:]):
        raise FolderDamaged(f"{file} is damaged: its members are not those of its {LIST}")
    return listed


def _problem(entry: zipfile.ZipInfo) -> str | None:
    """Why a member is not unpacked, if it is not."""
    kind = entry.external_attr >> 28
    if kind not in (0, 8):
        return "is a link or no ordinary file"
    if entry.filename != LIST and not _NAME.fullmatch(entry.filename):
        return "is no name of a file of a memory"
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        return "is compressed, which memories never are"
    return "is encrypted" if entry.flag_bits & 1 else None


def _extract(file: Path, packed: zipfile.ZipFile, name: str, said: Any, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    digest, left = hashlib.sha256(), packed.getinfo(name).file_size
    step("import: member")
    with packed.open(name) as member, out.open("xb") as opened:
        while block := member.read(min(_BLOCK, left + 1)):
            left -= len(block)
            if left < 0:
                raise FolderError(f"{file} is refused: '{name}' is larger than it says")
            digest.update(block)
            opened.write(block)
        opened.flush()
        sync_file(opened.fileno())
    if not isinstance(said, dict) or said.get("sha256") != digest.hexdigest():
        raise FolderDamaged(f"{file} is damaged: the checksum of '{name}' does not hold")
