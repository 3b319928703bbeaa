"""What lies between two versions, in facts. Costs as much as they differ, not as much as they hold."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from memtune.core.facts import Fact
from memtune.store.manifest import FactRef, Manifest, Segment
from memtune.store.records import ROOM as FACTS
from memtune.store.skills import changes

if TYPE_CHECKING:
    from memtune.store.folder import MemoryFolder

_SIGNS = {"added": "+", "changed": "~", "removed": "-"}


@dataclass(frozen=True)
class Located:
    """A fact and where it lives."""

    ref: FactRef
    fact: Fact


@dataclass(frozen=True)
class Difference:
    """Facts by id. A fact whose answer, wording or source differs is changed."""

    added: dict[str, Fact]
    changed: dict[str, tuple[Fact, Fact]]
    removed: dict[str, Fact]
    archived: tuple[str, ...] = ()
    """Facts that both hold, and that only the new one has set aside."""
    restored: tuple[str, ...] = ()
    skills: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The names of skills that were added, changed and removed."""

    def __bool__(self) -> bool:
        facts = self.added or self.changed or self.removed or self.archived or self.restored
        return bool(facts) or any(self.skills.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "added": [fact.to_row() for fact in self.added.values()],
            "changed": [{"id": i, "from": a.to_row(), "to": b.to_row()} for i, (a, b) in self.changed.items()],
            "removed": [fact.to_row() for fact in self.removed.values()],
            **{name: list(ids) for name in ("archived", "restored") if (ids := getattr(self, name))},
            **({"skills": {how: [*names] for how, names in self.skills.items()}} if any(self.skills.values()) else {}),
        }

    def lines(self) -> list[str]:
        """For people: + added, ~ changed, - removed, with answers."""
        return [
            *(f"+ {i}  {_flat(f.question)}  {_flat(f.answer)}" for i, f in self.added.items()),
            *(f"~ {i}  {_flat(b.question)}  {_told(a, b)}" for i, (a, b) in self.changed.items()),
            *(f"- {i}  {_flat(f.question)}  {_flat(f.answer)}" for i, f in self.removed.items()),
            *(f"~ {i}  archived" for i in self.archived),
            *(f"~ {i}  restored" for i in self.restored),
            *(f"{_SIGNS[how]} skill {name}" for how, names in self.skills.items() for name in names),
        ]


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Facts hold no cycles; looking for some among a hundred thousand new objects takes longer than reading them."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def difference(folder: MemoryFolder, old: Manifest, new: Manifest) -> Difference:
    with _without_collecting():
        gone, come = located(folder, old, new), located(folder, new, old)
    both = {i: (gone[i].fact, come[i].fact) for i in come if i in gone}
    return Difference(
        added={i: found.fact for i, found in come.items() if i not in gone},
        changed={i: (a, b) for i, (a, b) in both.items() if a != b},
        removed={i: found.fact for i, found in gone.items() if i not in come},
        archived=aside(folder, new, old, come, gone),
        restored=aside(folder, old, new, gone, come),
        skills=changes(old.skills, new.skills),
    )


def aside(
    folder: MemoryFolder, version: Manifest, other: Manifest, come: Mapping[str, Located], gone: Mapping[str, Located]
) -> tuple[str, ...]:
    """Facts that are archived in this version and not in the other, which holds them as well.

    `come`, `gone`: what is `located` in the one and not in the other; a fact that was regrouped is in both.
    """
    found = []
    for segment in version.segments:
        same = other.held.get(segment.id)
        if same is not None and segment.archived != same.archived:
            facts = folder.shards.records(segment.shards[FACTS])
            found += [facts[row].id for row in sorted(segment.archived - same.silent - segment.dropped)]
    moved = (id_ for id_ in come if id_ in gone)
    return (*found, *(i for i in moved if version.archives(come[i].ref) and not other.archives(gone[i].ref)))


def located(folder: MemoryFolder, held: Manifest, but_not: Manifest) -> dict[str, Located]:
    """The facts in rows that one version holds and another does not."""
    found: dict[str, Located] = {}
    for segment in held.segments:
        other = but_not.held.get(segment.id)
        if other is not None and other.dropped == segment.dropped:
            continue
        facts = folder.shards.records(segment.shards[FACTS])
        for row in _only(segment, other):
            fact = facts[row]
            found[fact.id] = Located(FactRef(segment.id, row), fact)
    return found


def _only(segment: Segment, other: Segment | None) -> list[int]:
    return segment.live if other is None else sorted(other.dropped - segment.dropped)


def _flat(text: str) -> str:
    return " ".join(text.split())


def _told(old: Fact, new: Fact) -> str:
    if old.answer != new.answer:
        return f"{_flat(old.answer)} → {_flat(new.answer)}"
    return f"{_flat(new.answer)} (other wordings, source or fields)"
