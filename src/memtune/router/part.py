"""A router for somebody who may not see all facts of a memory.

A part has word lists, names and ways of asking of its own, made of the facts that may be seen and of no others. So what
is hidden cannot be proposed, fit alike, stand for another answer, teach a way of asking or make a word common: it is as
if it had never been learned. Only vectors are not kept twice: the nearest are looked for in the index of the whole
memory, which passes over what is hidden before it counts how many it has found.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from memtune.router.columns import Column
from memtune.router.features import Floats
from memtune.router.matcher import Matcher
from memtune.router.methods import Living
from memtune.router.router import Router, Taken

Hidden = Callable[[int], Collection[int] | None]
"""The rows of a segment that may not be seen; None where nobody can say yet."""


class PartMatcher(Matcher):
    """Some keys of another matcher, under numbers of their own."""

    def __init__(self, whole: Matcher) -> None:
        super().__init__(whole.config, whole.index_config, whole.encoder, whole._confirmer)
        self._whole = whole
        self._in_whole = Column(np.int64)
        """The number of each key in the whole; ascending, as both count in the order of taking in."""
        self._seen: tuple[int, Living] | None = None
        """The places in the index that may be looked at, and the state of the index that they hold for."""

    def take(
        self, segment: int, keys: Mapping[str, Tensor], kept: NDArray[np.bool_], in_whole: NDArray[np.int64]
    ) -> None:
        """Keys of a segment with their numbers in the whole."""
        self._take_in(segment, keys, kept)
        self._in_whole.append(in_whole)
        self._seen = None

    def remove(self, numbers: NDArray[np.int64]) -> None:
        self.keys.remove(numbers)
        self._seen = None

    def _nearest(self, vector: Floats, most: int) -> NDArray[np.int64]:
        index = self._whole.index
        if self._seen is None or self._seen[0] != index.state:
            alive = self.keys.alive(np.arange(self.keys.numbers))
            self._seen = index.state, index.only(self._in_whole.values[alive])
        _, found = index.search(vector[None], most, self._seen[1])
        numbers: NDArray[np.int64] = np.searchsorted(self._in_whole.values, found[0][found[0] >= 0])
        return numbers


class Part(Router):
    """Routes as a router would that never held the hidden facts, by the threshold of the whole."""

    matcher: PartMatcher

    def __init__(self, whole: Router, hidden: Hidden) -> None:
        super().__init__(whole.config, matcher=PartMatcher(whole.matcher))
        self._whole, self._hidden = whole, hidden
        self._next = 0
        """The first number of the whole that was not looked at yet."""
        self.lock = whole.lock  # one index, one lock
        self.gates = whole.gates  # a skill is nothing that is hidden
        with self.lock:
            whole.parts.add(self)
            self.catch_up()

    def catch_up(self) -> None:
        """Take in what the whole has taken in since. What goes there goes here at once."""
        with self.lock:
            last = self._whole.matcher.keys.numbers
            if self._next == last:
                return
            for taken in [taken for first, taken in self._whole.taken.items() if first >= self._next]:
                hidden = self._hidden(taken.segment)
                if hidden is None:  # until somebody can say, nothing of it is seen
                    return
                self._take(taken, hidden)
                self._next = taken.first + len(taken.numbers)
            self._next = last

    def follow(self) -> None:
        """Decide as the whole is now set to."""
        self.threshold, self.fact_of = self._whole.threshold, self._whole.fact_of

    def _take(self, taken: Taken, hidden: Collection[int]) -> None:
        numbers, kept = taken.numbers, taken.kept.copy()
        kept[kept] = self._whole.matcher.keys.alive(numbers)
        kept &= ~np.isin(taken.keys["rows"].numpy(), list(hidden))
        self.matcher.take(taken.segment, taken.keys, kept, numbers[kept[taken.kept]])

    def leads_to(self, segment: int) -> bool:
        """Whether any fact of a segment may be seen."""
        with self.lock:
            return self.matcher.keys.any_of(segment)
