"""The verbs of history on the public face: `MemoryModel.log` is `memtune log`."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from memtune.history import History
from memtune.store.accounts import Version
from memtune.store.collect import Collected
from memtune.store.difference import Difference
from memtune.store.merge import Merged
from memtune.store.stats import Stats
from memtune.transfer import Moved, export, push

Named = str | int
"""A version: 12, "v12", a branch or a tag."""


class Versions:
    """What a memory was, and what becomes of it. None of this needs the model."""

    @abstractmethod
    def _history(self) -> AbstractContextManager[History]:
        """The history of the memory that is open, or of one opened for this call."""

    def log(self, *, limit: int | None = None) -> list[Version]:
        """The versions that this one comes from, newest first."""
        with self._history() as history:
            return list(history.log(limit=limit))

    def show(self, version: Named | None = None) -> tuple[Version, Difference]:
        """A version, and what it changed."""
        with self._history() as history:
            return history.show(version)

    def diff(self, a: Named, b: Named | None = None) -> Difference:
        """Facts that b holds and a does not, those that differ, and those that are gone."""
        with self._history() as history:
            return history.diff(a, b)

    def rollback(self, version: Named) -> int:
        """Hold again what a version held, as a new version; its number."""
        with self._history() as history:
            return history.rollback(version)

    def archive(self, *ids: str) -> int:
        """Set facts aside: they stay in the memory and answer nothing."""
        with self._history() as history:
            return history.archive(*ids)

    def restore(self, *ids: str) -> int:
        """Let archived facts answer again."""
        with self._history() as history:
            return history.restore(*ids)

    def branch(self, name: str, at: Named | None = None) -> int:
        """Begin a branch at a version; `DIR@name` opens it."""
        with self._history() as history:
            return history.branch(name, at)

    def tag(self, name: str, at: Named | None = None) -> int:
        """Give a version a name."""
        with self._history() as history:
            return history.tag(name, at)

    def merge(self, other: str | os.PathLike[str], *, on_conflict: str = "error") -> Merged:
        """Join a branch or another memory on the same backbone; nothing is learned again."""
        with self._history() as history:
            return history.merge(os.fspath(other), on_conflict=on_conflict)

    def promote(self, version: Named | None = None) -> int:
        """Serve a candidate."""
        with self._history() as history:
            return history.promote(version)

    def note(self, version: Named | None, text: str, data: Mapping[str, Any] | None = None) -> int:
        """Say something about a version without changing it."""
        with self._history() as history:
            return history.note(version, text, data)

    def gc(self, *, dry_run: bool = False) -> Collected:
        """Remove what no branch and no tag leads to."""
        with self._history() as history:
            return history.gc(dry_run=dry_run)

    def export(self, file: str | os.PathLike[str]) -> Moved:
        """The memory with its history as one file."""
        with self._history() as history:
            return export(history.folder, file)

    def push(self, to: str | os.PathLike[str]) -> Moved:
        """Bring a copy up to date: a folder, or `hf://owner/name`."""
        with self._history() as history:
            return push(history.folder, os.fspath(to))

    def stats(self) -> Stats:
        """How facts divide among experts, segments and groups."""
        with self._history() as history:
            return history.stats()
