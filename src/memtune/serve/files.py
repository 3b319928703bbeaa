"""What clients upload: kept in the data folder under names that the server makes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from memtune.errors import NotFound, UsageError
from memtune.serve.database import Database
from memtune.serve.keys import Key
from memtune.store.durable import TEMPORARY, plain_errors, sync_file, sync_folder

_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".md", ".markdown", ".txt")
"""What is kept of a client's name, because it tells how the file is to be read."""
_PACKED = ".gz"
_PIECE = 1 << 20
"""Bytes that are gathered before they are written."""
_LEFTOVER_SECONDS = 86_400
"""A file that belongs to no upload is older than this before it is taken away: one may be on its way."""
_LONGEST_NAME = 255
_ID = re.compile(r"file-[0-9a-f]{24}")
_UNSHOWN = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_TABLE = """create table if not exists files (
    id text primary key, name text not null, bytes integer not null, purpose text not null, created real not null,
    key text not null)"""


class UnknownFile(NotFound):
    """An upload that is not there, or not the key's."""


class TooLarge(UsageError):
    """An upload that is larger than the server takes."""


@dataclass(frozen=True)
class Upload:
    """A file that somebody sent."""

    id: str
    name: str
    """As the client called it; never a path."""
    bytes: int
    purpose: str
    created: float
    key: str
    """Whose it is: the id of a key."""


class Files:
    """Uploads of a server, each kept once, whole or not at all, and seen by the key that sent it and by admins."""

    def __init__(self, database: Database, folder: Path, max_bytes: int) -> None:
        self.database, self.folder, self.max_bytes = database, folder, max_bytes
        folder.mkdir(parents=True, exist_ok=True)
        database.require(_TABLE)

    async def take(self, chunks: AsyncIterator[bytes], *, name: str, purpose: str, key: Key) -> Upload:
        """Stream an upload to disk."""
        incoming = await asyncio.to_thread(self._begin, name, purpose, key)
        try:
            async for chunk in chunks:
                incoming.waiting += chunk
                if len(incoming.waiting) >= _PIECE:
                    await asyncio.to_thread(incoming.write)
            return await asyncio.to_thread(self._keep, incoming)
        finally:
            await asyncio.to_thread(incoming.close)

    def take_rows(self, rows: Iterable[Mapping[str, Any]], *, name: str, purpose: str, key: Key) -> Upload:
        """Rows as a JSONL file, as if it had been uploaded."""
        incoming = self._begin(name, purpose, key)
        try:
            for row in rows:
                incoming.waiting += (json.dumps(row) + "\n").encode()
                if len(incoming.waiting) >= _PIECE:
                    incoming.write()
            return self._keep(incoming)
        finally:
            incoming.close()

    def find(self, id: str, key: Key) -> Upload:  # noqa: A002
        """Raises UnknownFile (NotFound) for what is not there or not the key's."""
        row = self.database.row("select * from files where id = ?", (id,)) if _ID.fullmatch(id) else None
        if row is None or (row["key"] != key.id and not key.sees_all):
            raise UnknownFile(f"there is no file '{_UNSHOWN.sub('', id)[:100]}' here", hint="GET /v1/files lists them")
        return Upload(**dict(row))

    def path(self, upload: Upload) -> Path:
        return self.folder / f"{upload.id}{_suffix(upload.name)}"

    def of(self, key: Key, purpose: str | None = None) -> list[Upload]:
        """The key's own uploads, newest first; an admin sees all."""
        rows = self.database.rows("select * from files order by created desc, rowid desc")
        found = [Upload(**dict(row)) for row in rows if key.sees_all or row["key"] == key.id]
        return [upload for upload in found if purpose is None or upload.purpose == purpose]

    def delete(self, id: str, key: Key) -> None:  # noqa: A002
        upload = self.find(id, key)
        with self.database.changing() as connection:
            connection.execute("delete from files where id = ?", (upload.id,))
        self.path(upload).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Take away what was left by uploads that broke off, and by deletions that did."""
        known = {self.path(Upload(**dict(row))).name for row in self.database.rows("select * from files")}
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):
                if path.name not in known and time.time() - path.stat().st_mtime > _LEFTOVER_SECONDS:
                    path.unlink()

    def _begin(self, name: str, purpose: str, key: Key) -> _Incoming:
        upload = Upload(
            f"file-{secrets.token_hex(12)}", _shown(name), 0, _UNSHOWN.sub("", purpose), time.time(), key.id
        )
        with plain_errors(self.folder):
            return _Incoming(upload, self.path(upload), self.max_bytes)

    def _keep(self, incoming: _Incoming) -> Upload:
        """The file comes first: a row without one would be an upload that cannot be read."""
        upload = incoming.finish()
        with self.database.changing() as connection:
            connection.execute("insert into files values (?, ?, ?, ?, ?, ?)", tuple(vars(upload).values()))
        return upload


class _Incoming:
    """A file that is being written under a name that nobody reads."""

    def __init__(self, upload: Upload, path: Path, max_bytes: int) -> None:
        self.upload, self.path, self.max_bytes = upload, path, max_bytes
        self.temporary = path.with_name(path.name + TEMPORARY)
        self.waiting = bytearray()
        self.size = 0
        self._file: BinaryIO = self.temporary.open("xb")

    def write(self) -> None:
        self.size += len(self.waiting)
        if self.size > self.max_bytes:
            raise TooLarge(f"an upload may have {self.max_bytes:,} bytes at most", hint="send it in several files")
        with plain_errors(self.path.parent):
            self._file.write(self.waiting)
        self.waiting.clear()

    def finish(self) -> Upload:
        self.write()
        with plain_errors(self.path.parent):
            self._file.flush()
            sync_file(self._file.fileno())
            self._file.close()
            self.temporary.replace(self.path)
            sync_folder(self.path.parent)
        return Upload(**{**vars(self.upload), "bytes": self.size})

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()
        self.temporary.unlink(missing_ok=True)


def _shown(name: str) -> str:
    """The last part of what a client calls a file, without what cannot be shown."""
    return _UNSHOWN.sub("", os.path.basename(name.replace("\\", "/")))[-_LONGEST_NAME:] or "upload"  # noqa: PTH119


def _suffix(name: str) -> str:
    packed = _PACKED if name.lower().endswith(_PACKED) else ""
    known = Path(name.lower().removesuffix(packed)).suffix
    return (known if known in _SUFFIXES else "") + packed
