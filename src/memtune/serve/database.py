"""The server's own records in one SQLite file: keys, files and jobs. Facts live in their memories, not here."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from memtune.errors import FolderError

_WAIT_SECONDS = 30


class Database:
    """One file, a connection for each thread. What `changing` encloses is durable when it ends, or did not happen."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    @property
    def _connection(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = sqlite3.connect(self.path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
            found.row_factory = sqlite3.Row
            found.execute("pragma journal_mode=wal")
            found.execute("pragma synchronous=full")
            self._local.connection = found
            with self._lock:
                self._opened.append(found)
        return found

    def require(self, *tables: str) -> None:
        """Make these tables where they are not there yet: each a `create table if not exists …`."""
        with self.changing() as connection:
            for table in tables:
                connection.execute(table)

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        connection.execute("begin immediate")
        try:
            yield connection
        except BaseException:
            connection.execute("rollback")
            raise
        connection.execute("commit")

    def rows(self, query: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        return self._connection.execute(query, values).fetchall()

    def row(self, query: str, values: Sequence[object] = ()) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self._connection.execute(query, values).fetchone()
        return found

    def close(self) -> None:
        with self._lock:
            for connection in self._opened:
                connection.close()
            self._opened.clear()
            self._local = threading.local()


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """What SQLite says of a file that cannot be used, as an error of memtune."""
    try:
        yield
    except sqlite3.DatabaseError as fault:
        hint = "put back a copy, or move it away to begin without keys and jobs; the memories beside it are whole"
        raise FolderError(f"{path} cannot be used: {fault}", hint=hint) from fault
