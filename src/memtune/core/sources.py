"""Where facts come from: anything that can be checked as a whole and then read once more, in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from memtune.core.facts import Fact


class FactSource(Protocol):
    skipped: list[str]
    """Bad rows that were left out, each with its place and reason."""

    @property
    def count(self) -> int:
        """Facts that reading will give, known after `check`."""

    def check(self) -> None:
        """Read everything once; raise InputError before anything is learned."""

    def __iter__(self) -> Iterator[Fact]: ...
