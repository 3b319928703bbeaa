"""The catalogue: an SQLite index over every fact of the folder, on the writer's machine.

Its rows are never changed, and it may hold more than was committed: which of them a version holds is said by that
version's manifest, and the facts themselves stand in the shards. So a reader is never confused by what a writer adds,
an old version stays searchable, and the whole catalogue can be made again from manifests and shards.
"""

from __future__ import annotations

import difflib
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from memtune.core.facts import Fact, normalise, wording_hash
from memtune.store.durable import FORMAT, plain_errors, step
from memtune.store.manifest import FactRef

SCHEMA = """
CREATE TABLE segments (id INTEGER PRIMARY KEY, version INTEGER NOT NULL, count INTEGER NOT NULL);
CREATE TABLE shards (sha256 TEXT PRIMARY KEY, bytes INTEGER NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE facts (key INTEGER PRIMARY KEY, id TEXT NOT NULL, source TEXT, "group" TEXT);
CREATE INDEX facts_by_id ON facts (id);
CREATE INDEX facts_by_source ON facts (source) WHERE source IS NOT NULL;
CREATE INDEX facts_by_group ON facts ("group") WHERE "group" IS NOT NULL;
CREATE TABLE phrasings (hash INTEGER, key INTEGER, PRIMARY KEY (hash, key)) WITHOUT ROWID;
"""
NAME = "catalogue.sqlite"
COLUMNS = {"id": "id", "source": "source", "group": '"group"'}
"""Fields of a fact that are indexed, and their columns."""
SLICE = 512
"""Values in one query."""
NEAR = 1000
"""Ids that are looked at for near ones."""


class Holder(Protocol):
    """A version, as far as the catalogue needs to know it."""

    def holds(self, ref: FactRef) -> bool: ...


class Catalogue:
    """Reading. A statement never outlives its call, so that readers do not hold up the writer."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self._folder = folder
        self._connection = connection
        self._inode = _inode(folder / NAME)

    @classmethod
    def open(cls, folder: Path) -> Catalogue:
        with plain_errors(folder):
            connection = _connect_to_read(folder / NAME)
            connection.execute("PRAGMA query_only = 1")
        return cls(folder, connection)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with plain_errors(self._folder):
            return self._connection.execute(sql, values).fetchall()

    def close(self) -> None:
        self._connection.close()

    def segments(self) -> set[int]:
        """Those whose facts are in it."""
        return {number for (number,) in self.rows("SELECT id FROM segments")}

    @property
    def replaced(self) -> bool:
        """Whether another file has taken the place of this one."""
        return _inode(self._folder / NAME) != self._inode

    def places(self, id: str) -> list[FactRef]:  # noqa: A002
        """Every row, of whatever version, that this id was given, the oldest first."""
        return [_ref(key) for (key,) in self.rows("SELECT key FROM facts WHERE id = ? ORDER BY key", (writable(id),))]

    def first_version(self, segment: int) -> int | None:
        """The version that a segment came with."""
        found = self.rows("SELECT version FROM segments WHERE id = ?", (segment,))
        return int(found[0][0]) if found else None

    def has_shard(self, digest: str) -> bool:
        return bool(self.rows("SELECT 1 FROM shards WHERE sha256 = ?", (digest,)))

    def groups(self, version: Holder) -> dict[str | None, int]:
        """How many facts of a version each group has."""
        found: dict[str | None, int] = {}
        for key, group in self.rows('SELECT key, "group" FROM facts'):
            if version.holds(_ref(key)):
                found[group] = found.get(group, 0) + 1
        return found

    def find(self, ids: Iterable[str], version: Holder) -> dict[str, FactRef]:
        found = self._matches("SELECT id, key FROM facts WHERE id IN", map(writable, ids))
        return {id_: ref for id_, ref in found if version.holds(ref)}

    def with_wordings(self, hashes: Iterable[int], version: Holder) -> Iterator[tuple[int, FactRef]]:
        """Facts that have, or once had, these wordings, segment by segment."""
        signed = (_signed(hash_) for hash_ in hashes)
        for hash_, ref in self._matches("SELECT hash, key FROM phrasings WHERE hash IN", signed):
            if version.holds(ref):
                yield hash_ % (1 << 64), ref

    def _matches(self, query: str, values: Iterable[Any]) -> Iterator[tuple[Any, FactRef]]:
        wanted = list(dict.fromkeys(values))
        for start in range(0, len(wanted), SLICE):
            part = wanted[start : start + SLICE]
            for value, key in self.rows(f"{query} ({','.join('?' * len(part))}) ORDER BY key", part):
                yield value, _ref(key)

    def candidates(self, where: Mapping[str, str], version: Holder) -> Iterator[FactRef] | None:
        """By one indexed condition, the facts that can meet them all, in order; None when none is indexed."""
        indexed = [name for name in ("id", "question", "source", "group") if name in where]
        return self._indexed(indexed[0], where[indexed[0]], version) if indexed else None

    def _indexed(self, name: str, value: str, version: Holder) -> Iterator[FactRef]:
        given: str | int = value
        if name == "question":
            table, column, given = "phrasings", "hash", _signed(wording_hash(value))
        else:
            table, column = "facts", COLUMNS[name]
        query = f"SELECT key FROM {table} WHERE {column} = ? AND key > ? ORDER BY key LIMIT {SLICE}"
        after = -1
        while keys := self.rows(query, (given, after)):
            yield from (ref for (key,) in keys if version.holds(ref := _ref(key)))
            after = keys[-1][0]

    def near_ids(self, id: str, version: Holder) -> list[str]:  # noqa: A002
        id = writable(id)  # noqa: A001
        around = [
            *self.rows(f"SELECT id, key FROM facts WHERE id >= ? ORDER BY id LIMIT {NEAR}", (id,)),
            *self.rows(f"SELECT id, key FROM facts WHERE id < ? ORDER BY id DESC LIMIT {NEAR}", (id,)),
        ]
        return difflib.get_close_matches(id, [near for near, key in around if version.holds(_ref(key))])


class WritableCatalogue(Catalogue):
    """Writing: one transaction from `begin` to `commit` or `rollback`."""

    @classmethod
    def create(cls, folder: Path, name: str = NAME) -> WritableCatalogue:
        """An empty catalogue."""
        catalogue = cls(folder, sqlite3.connect(folder / name, isolation_level=None))
        catalogue._tune()
        catalogue._lay_out()
        return catalogue

    @classmethod
    def in_memory(cls, folder: Path) -> WritableCatalogue:
        """For readers that have no catalogue of their own."""
        catalogue = cls(folder, sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False))
        catalogue._lay_out()
        return catalogue

    @classmethod
    def open(cls, folder: Path) -> WritableCatalogue:
        with plain_errors(folder):
            catalogue = cls(folder, _connect(folder / NAME, "mode=rw"))
            catalogue._tune()
        return catalogue

    def _tune(self) -> None:
        for setting in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "cache_size = -32768",
            "wal_autocheckpoint = 4000",
            "journal_size_limit = 67108864",
        ):
            self._connection.execute(f"PRAGMA {setting}")

    def _lay_out(self) -> None:
        self._connection.executescript(f"BEGIN; PRAGMA user_version = {FORMAT}; {SCHEMA} COMMIT;")

    def begin(self) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        if self._connection.in_transaction:
            step("catalogue: commit")
            self._connection.execute("COMMIT")
            step("catalogue: committed")

    def rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def settle(self) -> None:
        """Bring the log into the database and empty it: nothing of a commit that failed can come back."""
        if self.rows("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]:
            raise sqlite3.OperationalError("the catalogue is busy")

    def add_shard(self, digest: str, size: int, version: int) -> None:
        self._connection.execute("INSERT OR IGNORE INTO shards VALUES (?, ?, ?)", (digest, size, version))

    def add_segment(self, segment: int, facts: Iterable[Fact], version: int) -> None:
        """Put a segment's facts into the catalogue."""
        keyed = [(_key(FactRef(segment, row)), fact) for row, fact in enumerate(facts)]
        write = self._connection
        write.execute("INSERT INTO segments VALUES (?, ?, ?)", (segment, version, len(keyed)))
        write.executemany("INSERT INTO facts VALUES (?, ?, ?, ?)", ((k, f.id, f.source, f.group) for k, f in keyed))
        rows = {(_signed(wording_hash(text)), key) for key, fact in keyed for text in texts(fact)}
        write.executemany("INSERT OR IGNORE INTO phrasings VALUES (?, ?)", sorted(rows))

    def remove_after(self, version: int) -> None:
        """Forget what was prepared for versions that never came to be."""
        self._connection.execute("DELETE FROM shards WHERE version > ?", (version,))
        late = [number for (number,) in self.rows("SELECT id FROM segments WHERE version > ?", (version,))]
        self.remove_segments(late)

    def remove_segments(self, numbers: Collection[int]) -> None:
        if not numbers:
            return
        self._connection.execute("CREATE TEMP TABLE IF NOT EXISTS gone (id INTEGER PRIMARY KEY)")
        self._connection.execute("DELETE FROM gone")
        self._connection.executemany("INSERT INTO gone VALUES (?)", ((number,) for number in numbers))
        for table, segment in (("facts", "key >> 32"), ("phrasings", "key >> 32"), ("segments", "id")):
            self._connection.execute(f"DELETE FROM {table} WHERE {segment} IN (SELECT id FROM gone)")

    def remove_shards(self, digests: Iterable[str]) -> None:
        self._connection.executemany("DELETE FROM shards WHERE sha256 = ?", ((digest,) for digest in digests))


def texts(fact: Fact) -> tuple[str, ...]:
    """Its wordings, without the trouble of leaving out those that mean the same."""
    return (fact.question, *fact.phrasings)


def writable(text: str) -> str:
    """Bytes of the command line that are no UTF-8 become question marks."""
    return text.encode(errors="replace").decode()


def same_question(fact: Fact, question: str) -> bool:
    return normalise(fact.question) == normalise(question)


def _connect(path: Path, how: str) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?{how}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=10)


def _connect_to_read(path: Path) -> sqlite3.Connection:
    """On a disk that cannot be written, SQLite must be told so."""
    for how in ("mode=rw", "mode=ro"):
        try:
            connection = _connect(path, how)
        except sqlite3.OperationalError:
            continue
        try:
            connection.execute("SELECT count(*) FROM segments").fetchall()
            return connection
        except sqlite3.OperationalError as error:
            connection.close()
            if "readonly" not in str(error) and "unable to open" not in str(error):
                raise
    return _connect(path, "mode=ro&immutable=1")


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def _key(ref: FactRef) -> int:
    """One number that sorts facts in the order in which they came."""
    return ref.segment << 32 | ref.row


def _ref(key: int) -> FactRef:
    return FactRef(key >> 32, key & 0xFFFFFFFF)


def _signed(hash_: int) -> int:
    """SQLite's integers are signed."""
    return hash_ - (1 << 64) if hash_ >= 1 << 63 else hash_
