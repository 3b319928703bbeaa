"""What clients upload: kept in the data folder under names that the server makes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memtune.serve.database import Database
from memtune.serve.keys import Key


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

    async def take(self, chunks: AsyncIterator[bytes], *, name: str, purpose: str, key: Key) -> Upload:
        """Stream an upload to disk."""
        raise NotImplementedError

    def take_rows(self, rows: Iterable[Mapping[str, Any]], *, name: str, purpose: str, key: Key) -> Upload:
        """Rows as a JSONL file, as if it had been uploaded."""
        raise NotImplementedError

    def find(self, id: str, key: Key) -> Upload:  # noqa: A002
        """Raises UnknownFile (NotFound) for what is not there or not the key's."""
        raise NotImplementedError

    def path(self, upload: Upload) -> Path:
        raise NotImplementedError

    def of(self, key: Key, purpose: str | None = None) -> list[Upload]:
        raise NotImplementedError

    def delete(self, id: str, key: Key) -> None:  # noqa: A002
        raise NotImplementedError
