"""The server's own records in one SQLite file: keys, files and jobs. Facts live in their memories, not here."""

from __future__ import annotations

import sqlite3
import threading
import weakref
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
        self._opened: weakref.WeakSet[_Held] = weakref.WeakSet()
        self._lock = threading.Lock()

    @property
    def _connection(self) -> sqlite3.Connection:
        held: _Held | None = getattr(self._local, "held", None)
        if held is None:
            held = self._local.held = _Held(self.path)
            with self._lock:
                self._opened.add(held)
        return held.connection

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
            connection.execute("commit")
        except BaseException:
            if connection.in_transaction:  # on a full disk SQLite may have gone back by itself
                connection.execute("rollback")
            raise

    def rows(self, query: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        return self._connection.execute(query, values).fetchall()

    def row(self, query: str, values: Sequence[object] = ()) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self._connection.execute(query, values).fetchone()
        return found

    def close(self) -> None:
        with self._lock:
            for held in self._opened:
                held.connection.close()
            self._opened.clear()
            self._local = threading.local()


class _Held:
    """The connection of a thread, which is closed when the thread ends: a server's threads come and go."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(
            path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
        )  # fmt: skip
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("pragma journal_mode=wal")
        self.connection.execute("pragma synchronous=full")

    def __del__(self) -> None:
        if hasattr(self, "connection"):  # a file that cannot be opened has none
            self.connection.close()


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """What SQLite says of a file that cannot be used, as an error of memtune."""
    try:
        yield
    except sqlite3.DatabaseError as fault:
        hint = "put back a copy, or move it away to begin without keys and jobs; the memories beside it are whole"
        raise FolderError(f"{path} cannot be used: {fault}", hint=hint) from fault
