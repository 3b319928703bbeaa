"""Who may do what: keys with scopes, kept hashed.

A key reads `mt-ID-SECRET`. The id finds its row; the secret is 256 random bits, of which only the SHA-256 is kept. A
slow hash, as passwords need it, would protect nothing more: nobody can try out 2^256 secrets, however fast each try is.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import sqlite3
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, get_args

from memtune.errors import NotFound, UsageError
from memtune.serve.database import Database

Scope = Literal["ask", "teach", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

_TABLE = """create table if not exists keys (
    id text primary key, name text not null, hash blob not null, scopes text not null, memories text,
    hidden text not null, per_minute integer not null, created real not null, used real, revoked real
)"""
_SHOWN = re.compile(r"mt-([0-9a-f]{12})-([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,80}")
_NOTED_EVERY = 60
"""Seconds after which it is written down again that a key was used."""


class Forbidden(UsageError):
    """Something that a key may not do."""


@dataclass(frozen=True)
class Key:
    """A caller. The key itself is not kept, only its hash."""

    id: str
    name: str
    scopes: frozenset[Scope]
    memories: frozenset[str] | None = None
    """The memories it may use; None: all."""
    hidden: frozenset[str] = frozenset()
    """Groups of facts that it may not see."""
    per_minute: int = 0
    """Requests a minute; 0: as the server is set."""
    created: float = 0.0
    used: float | None = None
    """When it was last used, to the minute."""
    revoked: float | None = None

    def may(self, scope: Scope) -> bool:
        """Whether it has this scope. An admin has all."""
        return scope in self.scopes or "admin" in self.scopes

    def may_use(self, memory: str) -> bool:
        return self.memories is None or memory in self.memories

    @property
    def sees_all(self) -> bool:
        """Whether it may look at what others upload and learn: an admin from whom no memory and no group is kept."""
        return self.may("admin") and self.memories is None and not self.hidden

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "scopes": [scope for scope in SCOPES if scope in self.scopes],
            "memories": None if self.memories is None else sorted(self.memories),
            "hidden": sorted(self.hidden),
            "per_minute": self.per_minute,
            "created": self.created,
            "used": self.used,
            "revoked": self.revoked,
        }


LOCAL = Key("local", "local", frozenset(SCOPES))
"""Whoever asks over the loopback device of a server that has no keys."""


class Keys:
    """The keys of a server. They are read anew each time, so that a change is noticed at once."""

    def __init__(self, database: Database) -> None:
        self.database = database
        database.require(_TABLE)

    def any(self) -> bool:
        """Whether there have ever been keys. Without any, only the loopback device is served; to revoke the last one
        opens nothing."""
        return self.database.row("select 1 from keys limit 1") is not None

    def find(self, secret: str) -> Key | None:
        """The key that a caller shows, compared in constant time."""
        shown = _SHOWN.fullmatch(secret)
        row = self.database.row("select * from keys where id = ?", [shown[1]]) if shown else None
        known = row["hash"] if row else bytes(32)
        same = hmac.compare_digest(_hash(secret), known)
        return _key(row) if row and same and row["revoked"] is None else None

    def is_stale(self, key: Key) -> bool:
        """Whether it is time to write down that the key was used."""
        return key is not LOCAL and (key.used is None or time.time() - key.used >= _NOTED_EVERY)

    def note_use(self, key: Key) -> None:
        with self.database.changing() as connection:
            connection.execute("update keys set used = ? where id = ?", [time.time(), key.id])

    def add(
        self,
        name: str,
        scopes: Collection[str],
        *,
        memories: Collection[str] | None = None,
        hidden: Collection[str] = (),
        per_minute: int = 0,
    ) -> tuple[str, Key]:
        """A new key; its secret is told once, here."""
        if not _NAME.fullmatch(name) or not name.strip():
            raise UsageError(
                "a key needs a name of 1 to 80 letters", hint="name the person or program that will use it"
            )
        strange = sorted({*scopes} - {*SCOPES})
        if strange or not scopes:
            said = f"there is no scope '{strange[0]}'" if strange else "a key needs a scope"
            raise UsageError(said, hint=f"scopes are {', '.join(SCOPES)}")
        if per_minute < 0:
            raise UsageError(f"a key cannot have {per_minute} requests a minute", hint="0 leaves it to the server")
        id = secrets.token_hex(6)  # noqa: A001
        secret = f"mt-{id}-{secrets.token_urlsafe(32)}"
        allowed = None if memories is None else frozenset(memories)
        known = frozenset(scope for scope in SCOPES if scope in scopes)
        key = Key(id, name, known, allowed, frozenset(hidden), per_minute, time.time())
        self._write(key, secret)
        return secret, key

    def _write(self, key: Key, secret: str) -> None:
        memories = None if key.memories is None else json.dumps(sorted(key.memories))
        lists = [" ".join(sorted(key.scopes)), memories, json.dumps(sorted(key.hidden))]
        with self.database.changing() as connection:
            held = connection.execute("select 1 from keys where name = ? and revoked is null", [key.name]).fetchone()
            if held:
                raise UsageError(f"there is a key '{key.name}' already", hint="revoke it, or take another name")
            connection.execute(
                "insert into keys (id, name, hash, scopes, memories, hidden, per_minute, created)"
                " values (?, ?, ?, ?, ?, ?, ?, ?)",
                [key.id, key.name, _hash(secret), *lists, key.per_minute, key.created],
            )

    def list(self) -> list[Key]:
        """All keys, oldest first, also those that were revoked."""
        return [_key(row) for row in self.database.rows("select * from keys order by created, id")]

    def revoke(self, name: str) -> Key:
        """The key of this name or id is refused from now on."""
        with self.database.changing() as connection:
            row = connection.execute(
                "select * from keys where (id = ? or name = ?) and revoked is null", [name, name]
            ).fetchone()
            if row is None:
                raise NotFound(f"there is no key '{name}'", hint="`memtune keys list` shows them")
            connection.execute("update keys set revoked = ? where id = ?", [time.time(), row["id"]])
            return _key(connection.execute("select * from keys where id = ?", [row["id"]]).fetchone())


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def _key(row: sqlite3.Row) -> Key:
    return Key(
        row["id"],
        row["name"],
        frozenset(row["scopes"].split()),
        None if row["memories"] is None else frozenset(json.loads(row["memories"])),
        frozenset(json.loads(row["hidden"])),
        row["per_minute"],
        row["created"],
        row["used"],
        row["revoked"],
    )
