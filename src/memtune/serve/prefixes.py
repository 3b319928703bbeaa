"""Beginnings of prompts that several requests share, such as a system text: read once."""

from __future__ import annotations

from collections import OrderedDict

from memtune.core.backbone import Backbone
from memtune.core.generate import Read
from memtune.core.prompts import Prompt

_NOTED = 4096
"""Beginnings that are remembered as seen, without what was read of them."""


class Prefixes:
    """What stands before the last turn, kept from its second appearance on; what was not used longest goes.

    No fact acts there, so what is read of it is the plain backbone's and serves every memory.
    """

    def __init__(self, backbone: Backbone, most_tokens: int, shortest: int) -> None:
        self.backbone, self.most, self.shortest = backbone, most_tokens, shortest
        self.hits = self.misses = 0
        self._held: OrderedDict[tuple[int, ...], Read] = OrderedDict()
        self._seen: OrderedDict[int, None] = OrderedDict()

    def known(self, prompt: Prompt) -> int:
        """How many tokens of this prompt are read already."""
        found = self._longest(prompt.ids[: prompt.asked_from]) if self._is_worth_it(prompt) else None
        return len(found.ids) if found is not None else 0

    def of(self, prompt: Prompt) -> Read | None:
        """The longest beginning of this prompt that is read already."""
        if not self._is_worth_it(prompt):
            return None
        ids = prompt.ids[: prompt.asked_from]
        found = self._longest(ids)
        if found is None or len(found.ids) < len(ids):
            found = self._read(ids, found) or found
        self.hits, self.misses = self.hits + (found is not None), self.misses + (found is None)
        return found

    def _is_worth_it(self, prompt: Prompt) -> bool:
        return prompt.asked_from >= self.shortest and self.most > 0

    def _longest(self, ids: tuple[int, ...]) -> Read | None:
        fitting = [held for held in self._held if held == ids[: len(held)]]
        if not fitting:
            return None
        longest = max(fitting, key=len)
        self._held.move_to_end(longest)
        return self._held[longest]

    def _read(self, ids: tuple[int, ...], before: Read | None) -> Read | None:
        """Read a beginning for later requests, if it was seen before: most histories of a chat come once."""
        mark = hash(ids)
        if mark not in self._seen:
            self._seen[mark] = None
            while len(self._seen) > _NOTED:
                self._seen.popitem(last=False)
            return None
        if len(ids) > self.most:
            return None
        read = Read.of(self.backbone, ids, before)
        if read is None:
            self.most = 0  # this model keeps what it has read in another way
            return None
        self._held[ids] = read
        while sum(map(len, self._held)) > self.most:
            self._held.popitem(last=False)
        return read
