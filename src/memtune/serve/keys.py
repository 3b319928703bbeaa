"""Who may do what: keys with scopes, kept hashed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from memtune.serve.database import Database

Scope = Literal["ask", "teach", "admin"]
SCOPES: tuple[Scope, ...] = ("ask", "teach", "admin")


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

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes

    def may_use(self, memory: str) -> bool:
        return self.memories is None or memory in self.memories


LOCAL = Key("local", "local", frozenset(SCOPES))
"""Whoever asks over the loopback device of a server that has no keys."""


class Keys:
    """The keys of a server."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def any(self) -> bool:
        """Whether there are keys at all. Without any, only the loopback device is served."""
        return False

    def find(self, secret: str) -> Key | None:
        """The key that a caller shows, compared in constant time."""
        return None

    def add(
        self,
        name: str,
        scopes: Collection[Scope],
        *,
        memories: Collection[str] | None = None,
        hidden: Collection[str] = (),
        per_minute: int = 0,
    ) -> tuple[str, Key]:
        """A new key; its secret is told once, here."""
        raise NotImplementedError
