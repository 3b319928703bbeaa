"""All facts of a memory learned anew on another model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from memtune.core.facts import Fact
from memtune.core.kinds import KINDS
from memtune.core.reports import LearnReport
from memtune.store import MemoryFolder

Learn = Callable[[list[Fact], str], LearnReport]
"""Learns facts with these kinds of experts."""


@dataclass
class Rebased:
    """What differs between a memory and the one that was made of its facts on another model."""

    model: str
    """The model that the facts were learned on before."""
    facts: int = 0
    learned: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)
    """Id and reason of each fact that the other model could not learn."""
    skills: list[str] = field(default_factory=list)
    """Names of skills, which another model has to be taught from their examples."""
    version: int = 0
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


def rebase(folder: MemoryFolder, learn: Learn) -> Rebased:
    """Learn the facts of the folder elsewhere, those of the same kinds together. What is archived stays archived."""
    done = Rebased(str(folder.header.backbone.get("name")), skills=sorted(folder.manifest.skills))
    for kinds, facts in _by_kinds(folder):
        report = learn(facts, kinds)
        done.facts += len(facts)
        done.learned += report.learned
        done.failed += [{"id": failed.id, "reason": failed.reason} for failed in report.failed]
        done.version, done.seconds = report.version or done.version, done.seconds + report.seconds
    return done


def _by_kinds(folder: MemoryFolder) -> Iterator[tuple[str, list[Fact]]]:
    kinds = {s.id: "+".join(name for name in KINDS if name in s.shards) for s in folder.segments}
    places = {fact.id: kinds[ref.segment] for ref, fact in folder.rows()}
    for wanted in dict.fromkeys(places.values()):
        yield wanted, [fact for fact in folder.exported() if places[fact.id] == wanted]
