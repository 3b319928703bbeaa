"""What has become of each fact, and where it came from."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from memtune.core.facts import STATES, Fact
from memtune.errors import UsageError
from memtune.history import candidate_of
from memtune.store import FactRef, MemoryFolder
from memtune.store.catalogue import WritableCatalogue
from memtune.store.difference import difference
from memtune.store.refs import MAIN


@dataclass(frozen=True)
class Life:
    """A fact with its state, and the version that it was learned with."""

    fact: Fact
    state: str
    learned: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {**self.fact.to_row(), "state": self.state, "learned": dict(self.learned)}

    def lines(self) -> list[str]:
        row = [f"{name}: {value}" for name, value in self.fact.to_row().items()]
        said = self.learned
        by = f"v{said['version']}, {said['time']}, by {said['author']} ({said['act']})" if said else "not known"
        return [*row, f"state: {self.state}", f"learned: {by}"]


def state_of(folder: MemoryFolder, ref: FactRef, fact: Fact, at: float) -> str:
    """`candidate` is also what still waits for its time."""
    if folder.is_archived(ref):
        return "archived"
    begin, end = fact.validity
    return "expired" if at >= end else "candidate" if at < begin else "active"


def in_state(
    folder: MemoryFolder, state: str, where: Mapping[str, str] | None = None, *, at: float | None = None
) -> Iterator[Fact]:
    """The facts in one state. Candidates are also those that wait on a branch to be promoted."""
    if state not in STATES:
        raise UsageError(f"'{state}' is no state", hint=f"facts are {', '.join(STATES)}")
    now = time.time() if at is None else at
    for ref, fact in folder.rows(where):
        if state_of(folder, ref, fact, now) == state:
            yield fact
    if state == "candidate" and not where:
        yield from _waiting(folder)


def _waiting(folder: MemoryFolder) -> Iterator[Fact]:
    """What a bulk commit learned beside this branch and that is not served yet."""
    point = folder.refs.branches.get(candidate_of(folder.branch or MAIN)) if folder.branch else None
    if point is not None:
        found = difference(folder, folder.manifest, folder.manifests.read(point, folder.manifest))
        yield from found.added.values()
        yield from (new for _, new in found.changed.values())


def life_of(folder: MemoryFolder, fact_id: str, *, at: float | None = None) -> Life:
    """One fact, its state, and who learned it when."""
    fact = folder.fact(fact_id)
    ref = folder.find([fact_id])[fact_id]
    now = time.time() if at is None else at
    return Life(fact, state_of(folder, ref, fact, now), _learned(folder, fact, ref))


def _learned(folder: MemoryFolder, fact: Fact, ref: FactRef) -> dict[str, Any]:
    """The version with which this answer came. Regrouping and new wordings give a fact another row, not another one."""
    if isinstance(folder.catalogue, WritableCatalogue):  # an index in memory knows only the rows of this version
        return _said(folder, _first_mention(folder, ref.segment))
    first = ref.segment
    for place in reversed([place for place in folder.catalogue.places(fact.id) if place <= ref]):
        before = _once(folder, place)
        if before is None or before.id != fact.id or before.answer != fact.answer:
            break
        first = place.segment
    return _said(folder, folder.catalogue.first_version(first))


def _once(folder: MemoryFolder, place: FactRef) -> Fact | None:
    """What stands in a row of some version, if that is still known."""
    if place.segment in folder.manifest.held:
        return folder.records(place.segment)[place.row]
    for _, segment in folder.manifests.mentioned(*folder.refs.points):
        if segment.id == place.segment:
            return folder.records(segment)[place.row]
    return None


def _first_mention(folder: MemoryFolder, segment: int) -> int | None:
    found = None
    for point, mentioned in folder.manifests.mentioned(folder.manifest.point):  # newest first
        found = point.version if mentioned.id == segment else found
    return found


def _said(folder: MemoryFolder, version: int | None) -> dict[str, Any]:
    """Of that version; nothing where history does not go back so far."""
    for point in folder.manifests.points(version) if version else ():
        commit = folder.manifests.commit(point)
        return {name: getattr(commit, name) for name in ("version", "time", "author", "act")}
    return {}
