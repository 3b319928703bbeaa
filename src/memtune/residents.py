"""What is kept of the facts and skills that were asked for: read from the shards of one version, once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from memtune.core.experts import Expert, pick
from memtune.core.facts import Fact
from memtune.core.validity import Validity
from memtune.errors import UnknownFact
from memtune.router.route import Owner
from memtune.store import Manifest, MemoryFolder, Segment
from memtune.store.skills import Skill

_RESIDENT = 4096
"""Facts that are kept at most; those that were not asked for longest go."""


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
        self._standing = folder.manifest if folder is not None else None
        """The version that the router knows. The folder may be a moment ahead of it while another thread commits."""
        self._facts: OrderedDict[Owner, Resident] = OrderedDict()
        self._skills: dict[str, tuple[Skill, dict[str, Expert]]] = {}

    @property
    def version(self) -> int | None:
        return self._standing.version if self._standing is not None else None

    def stand_at(self, manifest: Manifest) -> None:
        """Go on from another version. What of it was forgotten is told by `forget`; until now another thread may have
        read it once more."""
        with self._lock:
            self._standing = manifest
            for number, row in list(self._facts):
                if number not in manifest.held or row in manifest.held[number].silent:
                    del self._facts[number, row]
        self._skills = {name: held for name, held in self._skills.items() if manifest.skills.get(name) == held[0]}

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
        return self._standing is not None and name in self._standing.skills

    def skill(self, name: str) -> dict[str, Expert]:
        """A skill's experts by kind."""
        assert self._folder is not None
        assert self._standing is not None
        skill = self._standing.skills[name]
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
        segment = self._standing.held.get(number) if self._standing is not None else None
        if segment is None or not segment.holds(row):
            raise UnknownFact("the fact has just been forgotten")
        return segment, row
