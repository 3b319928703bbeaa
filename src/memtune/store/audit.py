"""Who did what: one line an act, each with the checksum of the line before it.

The references name the last valid line. What a crash leaves behind it was never committed and is cut off by the next
writer; a line that was changed, taken out, added or moved breaks the chain.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from memtune.errors import FolderDamaged
from memtune.store.durable import FORMAT, checksum_of, seal, step, sync_file
from memtune.store.refs import Anchor

NAME = "audit.jsonl"

Entry = Mapping[str, Any]


def append(folder: Path, after: Anchor, entries: Sequence[Entry]) -> Anchor:
    """Write entries behind the last valid one, durably; they count from the next references on."""
    lines, last = [], after.hash
    for number, entry in enumerate(entries, after.entries + 1):
        lines.append(seal({"format": FORMAT, "n": number, **entry, "before": last}))
        last = checksum_of(lines[-1])
    data = b"".join(lines)
    step("audit: write")
    with (folder / NAME).open("r+b") as file:
        file.truncate(after.bytes)
        file.seek(after.bytes)
        file.write(data)
        file.flush()
        step("audit: sync")
        sync_file(file.fileno())
    step("audit: written")
    return Anchor(after.entries + len(lines), after.bytes + len(data), last)


def create(folder: Path) -> None:
    with (folder / NAME).open("wb") as file:
        sync_file(file.fileno())


def read(folder: Path, upto: Anchor, *, act: str | None = None) -> Iterator[dict[str, Any]]:
    """The entries, oldest first; `act` leaves out others without looking into them."""
    sign = f'"act": "{act}"'.encode() if act else b""
    for line in _lines(folder, upto):
        if sign in line:
            entry = _parse(folder, line)
            if act is None or entry.get("act") == act:
                yield entry


def problems(folder: Path, upto: Anchor) -> Iterator[str]:
    """Where the chain is broken."""
    file, before, number, length = folder / NAME, "", 0, 0
    try:
        lines = _lines(folder, upto)
    except FolderDamaged as error:
        yield error.message
        return
    for number, line in enumerate(lines, 1):
        length += len(line)
        try:
            entry = _parse(folder, line)
        except FolderDamaged:
            yield f"{file} is damaged: entry {number} cannot be read"
            return
        if seal({name: value for name, value in entry.items() if name != "checksum"}) != line:
            yield f"{file}: entry {number} was changed"
            return
        if entry.get("n") != number or entry.get("before") != before:
            yield f"{file}: entry {number} is missing, was changed or stands in another place"
            return
        before = checksum_of(line)
    if (number, length, before) != (upto.entries, upto.bytes, upto.hash):
        yield f"{file}: its last entry is not the one that was written last"


def recover(folder: Path) -> tuple[Anchor, list[dict[str, Any]]]:
    """The longest valid chain in the file, for making the references anew."""
    anchor, entries = Anchor(), []
    for line in (folder / NAME).read_bytes().splitlines(keepends=True):
        try:
            entry = _parse(folder, line)
        except FolderDamaged:
            break
        whole = seal({name: value for name, value in entry.items() if name != "checksum"}) == line
        if not whole or entry.get("n") != anchor.entries + 1 or entry.get("before") != anchor.hash:
            break
        entries.append(entry)
        anchor = Anchor(anchor.entries + 1, anchor.bytes + len(line), checksum_of(line))
    return anchor, entries


def _lines(folder: Path, upto: Anchor) -> list[bytes]:
    try:
        with (folder / NAME).open("rb") as file:
            if os.fstat(file.fileno()).st_size < upto.bytes:
                raise FolderDamaged(f"{folder / NAME} is damaged: its end is missing")
            return file.read(upto.bytes).splitlines(keepends=True)
    except FileNotFoundError:
        raise FolderDamaged(f"{folder / NAME} is missing") from None


def _parse(folder: Path, line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        raise FolderDamaged(f"{folder / NAME} is damaged: an entry cannot be read", hint="`memtune verify` says which")
    return entry
