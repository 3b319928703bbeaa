"""Training rows out of shards: whole documents packed side by side, prose cut where the row ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .mix import Shard
from .text.document import Part

LOOK_AHEAD = 24  # documents among which the packer chooses


class RowReader:
    """Reads one shard from the front, again and again. `state` is all it needs to continue."""

    def __init__(self, shard: Shard, pad: int) -> None:
        self.shard, self.pad = shard, pad
        self.is_prose = bool(len(shard.parts)) and shard.parts[0] == Part.PROSE
        self.shortest = 1 if self.is_prose else int(np.diff(shard.starts).min())
        self.state: dict[str, Any] = {"next": 0, "waiting": []}

    def row(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        return self._prose_row(length) if self.is_prose else self._packed_row(length)

    def _prose_row(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        if self.state["next"] + length > len(self.shard.tokens):
            self.state["next"] = 0
        span = slice(self.state["next"], self.state["next"] + length)
        self.state["next"] += length - 1  # the last token of a row is only predicted; it starts the next one
        return self.shard.tokens[span].astype(np.int64), self.shard.parts[span].copy()

    def _packed_row(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        ids, parts = np.full(length, self.pad, np.int64), np.zeros(length, np.uint8)
        used = 0
        while (index := self._take_fitting(length - used, length)) is not None:
            span = slice(self.shard.starts[index], self.shard.starts[index + 1])
            size = span.stop - span.start
            ids[used : used + size], parts[used : used + size] = self.shard.tokens[span], self.shard.parts[span]
            used += size
        return ids, parts

    def _take_fitting(self, room: int, longest: int) -> int | None:
        """The oldest waiting document if it fits, else the longest that does."""
        if longest < self.shortest:
            raise ValueError(f"no document of this source fits a row of {longest} tokens")
        waiting = self.state["waiting"]
        while len(waiting) < LOOK_AHEAD:
            index = self.state["next"] % (len(self.shard.starts) - 1)
            self.state["next"] = index + 1
            if self._size(index) <= longest:
                waiting.append(index)
        fitting = [i for i in waiting if self._size(i) <= room]
        if not fitting:
            return None
        chosen = waiting[0] if waiting[0] in fitting else max(fitting, key=self._size)
        waiting.remove(chosen)
        return int(chosen)

    def _size(self, index: int) -> int:
        return int(self.shard.starts[index + 1] - self.shard.starts[index])


class Batches:
    """Batches by step. Which source a row comes from depends on seed and step alone; readers hold the rest."""

    def __init__(self, readers: dict[str, RowReader], seed: int) -> None:
        self.readers, self.seed = readers, seed

    def batch(self, step: int, mix: Mapping[str, float], rows: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng((self.seed, step))
        shares = np.array(list(mix.values())) / sum(mix.values())
        names = rng.choice(list(mix), size=rows, p=shares)
        pairs = [self.readers[name].row(length + 1) for name in names]
        return np.stack([ids for ids, _ in pairs]), np.stack([parts for _, parts in pairs])

    def state(self) -> dict[str, Any]:
        return {name: reader.state for name, reader in self.readers.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken; sources that it does not know begin at their front."""
        for name, reader in self.readers.items():
            if name in state:
                reader.state = {"next": state[name]["next"], "waiting": list(state[name]["waiting"])}
