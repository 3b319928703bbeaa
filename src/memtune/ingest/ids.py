"""Finds ids that are used twice for different facts, at 24 bytes a fact."""

from __future__ import annotations

from array import array

import numpy as np

from memtune.core.facts import Fact


class IdsSeen:
    """Remembers 8 bytes of each id and of what it stands for, and where in the order of facts it stood."""

    def __init__(self) -> None:
        self._places = array("q")
        self._ids = array("q")
        self._contents = array("q")

    def add(self, place: int, fact: Fact) -> None:
        self._places.append(place)
        self._ids.append(hash(fact.id))
        self._contents.append(hash(content(fact)))

    def suspects(self) -> set[int]:
        """Places of all facts whose id seems to stand for more than one content."""
        if not self._ids:
            return set()
        ids, contents = np.asarray(self._ids), np.asarray(self._contents)
        order = np.argsort(ids, kind="stable")
        same_id = ids[order][1:] == ids[order][:-1]
        other_content = contents[order][1:] != contents[order][:-1]
        clashing = ids[order][1:][same_id & other_content]
        return set(np.asarray(self._places)[np.isin(ids, clashing)].tolist())


def content(fact: Fact) -> tuple[object, ...]:
    """What must agree for two facts with one id to be the same fact."""
    extra = repr(sorted(fact.extra.items())) if fact.extra else ""
    return fact.question, fact.answer, fact.phrasings, fact.source, fact.group, extra
