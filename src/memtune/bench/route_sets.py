"""What `memtune bench route` asks: a set is facts that are learned together and queries that know what is right."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from memtune.core.facts import Fact, normalise


@dataclass(frozen=True)
class Query:
    """A text, and the place of the fact that it asks for in its set's facts; None: no fact may fire."""

    id: str
    text: str
    wanted: int | None = None
    contested: bool = False
    """Its fact's subject has another learned answer to what may be the same question."""


@dataclass(frozen=True)
class Group:
    """Queries of one kind, reported together."""

    name: str
    queries: Sequence[Query]

    @property
    def silent(self) -> bool:
        """Whether none of them asks for a fact."""
        return all(query.wanted is None for query in self.queries)


@dataclass
class RouteSet:
    """Facts of one memory and what it is asked."""

    name: str
    facts: Sequence[Fact]
    groups: list[Group] = field(default_factory=list)

    def group(self, name: str) -> Group:
        return next(group for group in self.groups if group.name == name)


RIGHT, WRONG, NONE = "right", "wrong", "none"


def outcome(query: Query, fired: Iterable[int], facts: Sequence[Fact]) -> str:
    """One wrong fact among those that fired is wrong. Another fact with an equal answer is right."""
    fired = set(fired)
    if not fired:
        return NONE
    return RIGHT if query.wanted is not None and fired <= {*equals(query.wanted, fired, facts)} else WRONG


def equals(wanted: int, among: Iterable[int], facts: Sequence[Fact]) -> Iterable[int]:
    """Those whose answer is the wanted one's, but for case, spacing and closing punctuation."""
    answer = normalise(facts[wanted].answer)
    return (place for place in among if place == wanted or normalise(facts[place].answer) == answer)


def half(name: str, salt: str = "") -> str:
    """A or B, by a hash of the name: the same in every run, whatever the seed."""
    return "AB"[hashlib.blake2b(f"{salt}{name}".encode(), digest_size=1).digest()[0] & 1]
