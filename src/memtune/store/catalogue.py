"""The catalogue: an SQLite index over every fact of the folder, on the writer's machine.

Its rows are never changed: which of them a version holds is said by that version's manifest, and the facts
themselves stand in the shards. So a reader is never confused by what a writer adds, an old version stays
searchable, and the whole catalogue can be made again from manifests and shards.
"""

from __future__ import annotations

import difflib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from memtune.core.facts import Fact, normalise, wording_hash
from memtune.store.durable import FORMAT, checksum_of, plain_errors
from memtune.store.manifest import FactRef, Manifest, Segment

SCHEMA = """
CREATE TABLE versions (version INTEGER PRIMARY KEY, parent INTEGER, time TEXT NOT NULL, author TEXT NOT NULL,
  message TEXT NOT NULL, facts INTEGER NOT NULL, added INTEGER NOT NULL, dropped INTEGER NOT NULL,
  checksum TEXT NOT NULL);
CREATE TABLE heads (name TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE segments (id INTEGER PRIMARY KEY AUTOINCREMENT, version INTEGER NOT NULL,
  count INTEGER NOT NULL);
CREATE TABLE shards (sha256 TEXT PRIMARY KEY, bytes INTEGER NOT NULL, version INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE facts (key INTEGER PRIMARY KEY, id TEXT NOT NULL, source TEXT, "group" TEXT);
CREATE INDEX facts_by_id ON facts (id);
CREATE INDEX facts_by_source ON facts (source) WHERE source IS NOT NULL;
CREATE INDEX facts_by_group ON facts ("group") WHERE "group" IS NOT NULL;
CREATE TABLE phrasings (hash INTEGER, key INTEGER, PRIMARY KEY (hash, key)) WITHOUT ROWID;
"""
COLUMNS = {"id": "id", "source": "source", "group": '"group"'}
"""Fields of a fact that are indexed, and their columns."""
HEAD = "main"
SLICE = 512
"""Values in one query."""
NEAR = 1000
"""Ids that are looked at for near ones."""


class Catalogue:
    """Reading. A statement never outlives its call, so that readers do not hold up the writer."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self._folder = folder
        self._connection = connection

    @classmethod
    def open(cls, folder: Path) -> Catalogue:
        with plain_errors(folder):
            connection = _connect_to_read(folder / "catalogue.sqlite")
            connection.execute("PRAGMA query_only = 1")
        return cls(folder, connection)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with plain_errors(self._folder):
            return self._connection.execute(sql, values).fetchall()

    def close(self) -> None:
        self._connection.close()

    def head(self) -> int:
        return int(self.rows("SELECT version FROM heads WHERE name = ?", (HEAD,))[0][0])

    def checksum(self, version: int) -> str:
        return str(self.rows("SELECT checksum FROM versions WHERE version = ?", (version,))[0][0])

    def versions(self) -> list[int]:
        return [version for (version,) in self.rows("SELECT version FROM versions ORDER BY version")]

    def latest(self) -> int:
        """The highest number that a version has."""
        return int(self.rows("SELECT ifnull(max(version), 0) FROM versions")[0][0])

    def has_shard(self, digest: str) -> bool:
        return bool(self.rows("SELECT 1 FROM shards WHERE sha256 = ?", (digest,)))

    def find(self, ids: Iterable[str], version: Manifest) -> dict[str, FactRef]:
        found = self._matches("SELECT id, key FROM facts WHERE id IN", map(writable, ids))
        return {id_: ref for id_, ref in found if version.holds(ref)}

    def with_wordings(self, hashes: Iterable[int], version: Manifest) -> Iterator[tuple[int, FactRef]]:
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

    def candidates(self, where: Mapping[str, str], version: Manifest) -> Iterator[FactRef] | None:
        """By one indexed condition, the facts that can meet them all, in order; None when none is indexed."""
        indexed = [name for name in ("id", "question", "source", "group") if name in where]
        return self._indexed(indexed[0], where[indexed[0]], version) if indexed else None

    def _indexed(self, name: str, value: str, version: Manifest) -> Iterator[FactRef]:
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

    def near_ids(self, id: str, version: Manifest) -> list[str]:  # noqa: A002
        id = writable(id)  # noqa: A001
        around = [
            *self.rows(f"SELECT id, key FROM facts WHERE id >= ? ORDER BY id LIMIT {NEAR}", (id,)),
            *self.rows(f"SELECT id, key FROM facts WHERE id < ? ORDER BY id DESC LIMIT {NEAR}", (id,)),
        ]
        return difflib.get_close_matches(id, [near for near, key in around if version.holds(_ref(key))])


class WritableCatalogue(Catalogue):
    """Writing: one transaction from `begin` to `commit` or `rollback`."""

    @classmethod
    def create(cls, folder: Path) -> None:
        """An empty catalogue, durable and closed."""
        connection = sqlite3.connect(folder / "catalogue.sqlite", isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(f"BEGIN; PRAGMA user_version = {FORMAT}; {SCHEMA}")
            connection.execute("INSERT INTO heads VALUES (?, 0)", (HEAD,))
            connection.execute("COMMIT")
        finally:
            connection.close()

    @classmethod
    def open(cls, folder: Path) -> WritableCatalogue:
        with plain_errors(folder):
            connection = _connect(folder / "catalogue.sqlite", "mode=rw")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA cache_size = -32768")
            connection.execute("PRAGMA wal_autocheckpoint = 4000")
            connection.execute("PRAGMA journal_size_limit = 67108864")
        return cls(folder, connection)

    def begin(self) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def settle(self) -> None:
        """Bring the log into the database and empty it: nothing of a commit that failed can come back."""
        if self.rows("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]:
            raise sqlite3.OperationalError("the catalogue is busy")

    def add_shard(self, digest: str, size: int, version: int) -> None:
        self._connection.execute("INSERT OR IGNORE INTO shards VALUES (?, ?, ?)", (digest, size, version))

    def add_segment(self, facts: Sequence[Fact], version: int) -> int:
        """The number of a new segment, whose facts are now in the catalogue."""
        write = self._connection
        segment = write.execute("INSERT INTO segments (version, count) VALUES (?, ?)", (version, len(facts))).lastrowid
        assert segment is not None
        keyed = [(_key(FactRef(segment, row)), fact) for row, fact in enumerate(facts)]
        write.executemany("INSERT INTO facts VALUES (?, ?, ?, ?)", ((k, f.id, f.source, f.group) for k, f in keyed))
        self.add_wordings(keyed)
        return segment

    def add_wordings(self, facts: Iterable[tuple[int, Fact]]) -> None:
        rows = {(_signed(wording_hash(text)), key) for key, fact in facts for text in texts(fact)}
        self._connection.executemany("INSERT OR IGNORE INTO phrasings VALUES (?, ?)", sorted(rows))

    def add_version(self, manifest: Manifest, sealed: bytes, added: int, dropped: int) -> None:
        said = (manifest.version, manifest.parent, manifest.time, manifest.author, manifest.message)
        row = (*said, manifest.facts, added, dropped, checksum_of(sealed))
        self._connection.execute(f"INSERT INTO versions VALUES ({','.join('?' * len(row))})", row)
        self._connection.execute("UPDATE heads SET version = ? WHERE name = ?", (manifest.version, HEAD))


def keyed(segment: Segment, row: int, fact: Fact) -> tuple[int, Fact]:
    return _key(FactRef(segment.id, row)), fact


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
            connection.execute("SELECT version FROM heads").fetchall()
            return connection
        except sqlite3.OperationalError as error:
            connection.close()
            if "readonly" not in str(error) and "unable to open" not in str(error):
                raise
    return _connect(path, "mode=ro&immutable=1")


def _key(ref: FactRef) -> int:
    """One number that sorts facts in the order in which they came."""
    return ref.segment << 32 | ref.row


def _ref(key: int) -> FactRef:
    return FactRef(key >> 32, key & 0xFFFFFFFF)


def _signed(hash_: int) -> int:
    """SQLite's integers are signed."""
    return hash_ - (1 << 64) if hash_ >= 1 << 63 else hash_
