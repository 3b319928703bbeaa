"""What is kept of the facts and skills that were asked for: read from the shards of one version, once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memtune.core.experts import Expert, pick
from memtune.core.facts import Fact
from memtune.core.validity import Validity
from memtune.errors import UnknownFact
from memtune.router.part import Part
from memtune.router.route import Owner
from memtune.router.router import Router
from memtune.store import Manifest, MemoryFolder, Segment
from memtune.store.records import ROOM
from memtune.store.skills import Skill

_RESIDENT = 4096
"""Facts that are kept at most; those that were not asked for longest go."""
_VIEWS = 8
"""Different sets of hidden groups for which a router is kept at most. Each has word lists of its own."""
_HAS_GROUP = b'"group"'
"""Stands in the line of every fact that has a group."""


@dataclass(frozen=True)
class Resident:
    """What is kept of a fact."""

    id: str
    question: str
    answer: str
    source: str | None
    validity: Validity
    experts: dict[str, Expert]


class Residents:
    """Facts and skills of the version that questions are answered at, with their experts of these kinds."""

    def __init__(self, folder: MemoryFolder | None, kinds: Collection[str]) -> None:
        self._folder, self._kinds = folder, kinds
        self._lock = threading.RLock()
        self.standing = folder.manifest if folder is not None else None
        """The version that the router knows. The folder may be a moment ahead of it while another thread commits."""
        self._facts: OrderedDict[Owner, Resident] = OrderedDict()
        self._skills: dict[str, tuple[Skill, dict[str, Expert]]] = {}
        self._groups: dict[str, dict[str, NDArray[np.int64]]] = {}
        """For each shard of facts that was looked through, the rows of each group."""

    @property
    def version(self) -> int | None:
        return self.standing.version if self.standing is not None else None

    def stand_at(self, manifest: Manifest) -> None:
        """Go on from another version. What of it was forgotten is told by `forget`; until now another thread may have
        read it once more."""
        with self._lock:
            self.standing = manifest
            for number, row in list(self._facts):
                if number not in manifest.held or row in manifest.held[number].silent:
                    del self._facts[number, row]
        self._skills = {name: held for name, held in self._skills.items() if manifest.skills.get(name) == held[0]}
        if self._groups:
            held_now = {segment.shards[ROOM] for segment in manifest.held.values()}
            self._groups = {shard: rows for shard, rows in self._groups.items() if shard in held_now}

    # ---- groups -------------------------------------------------------------------------------------------------

    def segments(self) -> Collection[Segment]:
        """All segments of the version."""
        return self.standing.held.values() if self.standing is not None else ()

    def groups(self) -> frozenset[str]:
        """The groups that facts of this version are in."""
        return frozenset(name for segment in self.segments() for name in self._rows_by_group(segment))

    def rows_of(self, number: int, groups: Collection[str]) -> Collection[int] | None:
        """The rows of a segment whose facts are in these groups; None where the version has no such segment."""
        segment = self.standing.held.get(number) if self.standing is not None else None
        if segment is None:
            return None
        rows = self._rows_by_group(segment)
        return [row for name in groups if name in rows for row in rows[name].tolist()]

    def _rows_by_group(self, segment: Segment) -> dict[str, NDArray[np.int64]]:
        """Read once from each shard, which never changes."""
        shard = segment.shards[ROOM]
        if shard not in self._groups:
            assert self._folder is not None
            records, found = self._folder.records(segment), dict[str, list[int]]()
            for row in range(len(records)):
                group = records[row].group if _HAS_GROUP in records.line(row) else None
                if group is not None:
                    found.setdefault(group, []).append(row)
            self._groups[shard] = {name: np.array(rows) for name, rows in found.items()}
        return self._groups[shard]

    # ---- facts and skills ---------------------------------------------------------------------------------------

    def fact(self, owner: Owner) -> Resident:
        with self._lock:
            if owner not in self._facts:
                self._facts[owner] = self._read(owner)
                while len(self._facts) > _RESIDENT:
                    self._facts.popitem(last=False)
            self._facts.move_to_end(owner)
            return self._facts[owner]

    def record(self, owner: Owner) -> Fact:
        """A fact as it is stored, without its experts."""
        assert self._folder is not None
        segment, row = self._segment(owner)
        return self._folder.records(segment)[row]

    def has_skill(self, name: str) -> bool:
        return self.standing is not None and name in self.standing.skills

    def skill(self, name: str) -> dict[str, Expert]:
        """A skill's experts by kind."""
        assert self._folder is not None
        assert self.standing is not None
        skill = self.standing.skills[name]
        if name not in self._skills or self._skills[name][0] != skill:
            kinds = [kind for kind in skill.kinds if kind in self._kinds]
            experts = {kind: Expert(name, "", dict(self._folder.skill_shard(skill, kind))) for kind in kinds}
            self._skills[name] = (skill, experts)
        return self._skills[name][1]

    def forget(self, owners: Sequence[Owner]) -> None:
        """Nothing of these facts stays in this process."""
        with self._lock:
            for owner in owners:
                self._facts.pop(owner, None)

    def _read(self, owner: Owner) -> Resident:
        assert self._folder is not None
        segment, row = self._segment(owner)
        fact = self._folder.records(segment)[row]
        experts = {
            name: Expert(fact.id, fact.answer, pick(self._folder.shard(segment, name), row))
            for name in self._kinds
            if name in segment.shards
        }
        return Resident(fact.id, fact.question, fact.answer, fact.source, fact.validity, experts)

    def _segment(self, owner: Owner) -> tuple[Segment, int]:
        number, row = owner
        segment = self.standing.held.get(number) if self.standing is not None else None
        if segment is None or not segment.holds(row):
            raise UnknownFact("the fact has just been forgotten")
        return segment, row


class Views:
    """The router as it is for those who may not see all groups of facts: made when it is first needed, then kept up."""

    def __init__(self, router: Router, residents: Residents, knows: Callable[[Segment], bool]) -> None:
        """`knows`: whether facts of a segment can be used without being recited."""
        self._router, self._residents, self._knows = router, residents, knows
        self._made: OrderedDict[frozenset[str], Part] = OrderedDict()
        self._at: Manifest | None = None
        """The version that they were brought to."""
        self._groups: frozenset[str] = frozenset()

    def of(self, hidden: frozenset[str]) -> Router:
        """Without the facts of these groups. Where there are none, it is the router itself."""
        standing = self._residents.standing
        if self._at is not standing:
            self._groups = self._residents.groups()
            for part in self._made.values():
                self._bring_up(part)
            self._at = standing
        hidden &= self._groups
        if not hidden:
            return self._router
        if hidden not in self._made:
            part = Part(self._router, lambda number: self._residents.rows_of(number, hidden))
            self._bring_up(part)
            self._made[hidden] = part
            while len(self._made) > _VIEWS:
                self._made.popitem(last=False)
        self._made.move_to_end(hidden)
        self._made[hidden].follow()
        return self._made[hidden]

    def _bring_up(self, part: Part) -> None:
        part.catch_up()
        part.knowing = any(self._knows(segment) and part.leads_to(segment.id) for segment in self._residents.segments())
