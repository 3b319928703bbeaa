"""What a card says. Each part may be missing; its section is then left out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from memtune.evaluate.card.facts import Group, Slip, groups, slips
from memtune.evaluate.ladder import Ladder
from memtune.evaluate.output import Sheet
from memtune.evaluate.paired import Comparison
from memtune.router.report import RouterReport

FORMAT = 1
"""Of card.json."""

CONTROLS = ("lookup", "oracle", "random")
"""Rungs that are there to be compared with: what they reach as well is not called knowledge."""


@dataclass(frozen=True)
class MemoryNote:
    """Which memory, and on what."""

    name: str
    facts: int
    version: int | str = ""
    backbone: str = ""
    """Name and content hash."""
    more: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ByFact:
    """One number for each fact, to be seen beside what became of it: a margin, a loss, the length of the answer."""

    name: str
    values: Sequence[tuple[str, float]]
    """Id of the fact, number."""


@dataclass(frozen=True)
class FactsMap:
    """Facts as points in two dimensions (`project` makes them of vectors)."""

    ids: Sequence[str]
    points: Any
    """An array of n × 2."""
    groups: Sequence[str | None] = ()


@dataclass(frozen=True)
class Card:
    title: str
    date: str = ""
    """As it is to be read; nothing here looks at a clock."""
    memory: MemoryNote | None = None
    ladder: Ladder | None = None
    against: str = "memory"
    """The rung that the card is about."""
    unjudged: Collection[str] = ()
    """Forms that have no right answer, where what was said is only compared: no figure here calls a reply to them
    right or wrong."""
    comparisons: Sequence[Comparison] = ()
    measure: str = "exact"
    """Of the comparisons."""
    router: RouterReport | None = None
    by_fact: Sequence[ByFact] = ()
    facts_map: FactsMap | None = None
    contamination: Sheet | None = None
    sheets: Sequence[Sheet] = ()
    """Further tables."""
    notes: Sequence[str] = ()
    command: str = ""
    """With which it can be repeated."""
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def asked(self) -> Ladder | None:
        """The ladder, where it holds anything."""
        return self.ladder if self.ladder is not None and any(self.ladder.judged.values()) else None

    @property
    def subject(self) -> bool:
        """Whether the rung that the card is about was asked."""
        return self.asked is not None and bool(self.asked.judged.get(self.against))

    def groups(self) -> list[Group]:
        return groups(self.asked, self.against) if self.asked and self.subject else []

    def slips(self, most: int | None = None) -> list[Slip]:
        found = slips(self.asked, self.against) if self.asked and self.subject else []
        return [slip for slip in found if slip.form not in self.unjudged][:most]

    def to_json(self) -> dict[str, object]:
        return {
            "format": FORMAT,
            "title": self.title,
            "date": self.date,
            "memory": self.memory,
            "about": self.against,
            "ladder": self._figures(),
            "comparisons": {"measure": self.measure, "found": self.comparisons} if self.comparisons else None,
            "groups": self.groups(),
            "router": self.router,
            "by_fact": self.by_fact,
            "facts_map": _map(self.facts_map) if self.facts_map else None,
            "wrong": self.slips(),
            "contamination": self.contamination,
            "sheets": self.sheets,
            "notes": self.notes,
            "command": self.command,
            "settings": self.settings,
        }

    def _figures(self) -> dict[str, object] | None:
        if self.asked is None:
            return None
        found = self.asked.to_json()
        rungs = {
            rung: {form: self._figures_of(rung, form) for form in self.asked.forms if self.asked.of(rung, form)}
            for rung in self.asked.judged
        }
        return {**found, "rungs": rungs}

    def _figures_of(self, rung: str, form: str) -> dict[str, object]:
        assert self.asked is not None
        found = self.asked.figures(rung, form).to_json()
        return found | dict.fromkeys(_JUDGES) if form in self.unjudged else found


_JUDGES = ("exact", "low", "high", "normalised", "f1", "hallucinated")


def _map(found: FactsMap) -> dict[str, object]:
    places = [[round(float(x), 4), round(float(y), 4)] for x, y in found.points]
    return {"ids": found.ids, "points": places, "groups": found.groups}
