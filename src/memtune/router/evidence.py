"""What is known of the keys beside their words: names, spellings, vectors, and what their facts answer."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from memtune.router.columns import Column, Ragged, Rows
from memtune.router.vectors import picked


@dataclass(frozen=True)
class Block:
    """The vectors of one segment, mapped from its shard: the keys' own and those of question with answer."""

    keys: Tensor
    facts: Tensor


class Evidence:
    """Columns that run beside those of `Keys`, by the same numbers."""

    def __init__(self) -> None:
        self.names, self.spellings = Ragged(np.bool_), Ragged(np.uint64)
        self._facts, self._blocks, self._places = Column(np.int64), Column(np.int32), Column(np.int32)
        self._rows = Column(np.int32)
        self._gists, self._answers = Ragged(np.uint32), Column(np.uint64)
        self._wanted, self._shapes = Column(np.uint8), Rows(np.float16, 3)
        self._tensors: list[Block] = []

    def add(self, keys: Mapping[str, Tensor], kept: NDArray[np.bool_]) -> None:
        """Those keys of a segment that `kept` marks."""
        lengths = keys["lengths"].numpy()
        of_kept = np.repeat(kept, lengths)
        self.names.append(keys["names"].numpy()[of_kept], lengths[kept])
        self.spellings.append(keys["spellings"].numpy().view(np.uint64)[of_kept], lengths[kept])
        rows, first_fact = keys["rows"].numpy()[kept], len(self._answers)
        self._facts.append(first_fact + rows.astype(np.int64))
        self._rows.append(rows)
        self._places.append(np.flatnonzero(kept))
        self._blocks.append(np.full(len(rows), len(self._tensors)))
        self._tensors.append(Block(keys["vectors"], keys["told"]))
        self._gists.append(keys["gists"].numpy().view(np.uint32), keys["gist_lengths"].numpy())
        self._wanted.append(keys["wanted"].numpy()[kept])
        self._shapes.append(keys["shapes"].numpy())
        self._answers.append(keys["answers"].numpy().view(np.uint64))

    def gists(self, keys: NDArray[np.int64]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """The words of the answers that these keys lead to, behind one another, and how many belong to each."""
        facts = self._facts.values[keys]
        return self._gists.gather(facts), self._gists.lengths(facts)

    def answers(self, keys: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Hashes of the answers: facts that answer the same are no rivals."""
        found: NDArray[np.uint64] = self._answers.values[self._facts.values[keys]]
        return found

    def wanted(self, keys: NDArray[np.int64]) -> NDArray[np.uint8]:
        """What sort of thing each wording asks for, of words.KINDS_ASKED."""
        found: NDArray[np.uint8] = self._wanted.values[keys]
        return found

    def shapes(self, keys: NDArray[np.int64]) -> NDArray[np.float32]:
        """What the answers look like."""
        found: NDArray[np.float32] = self._shapes.gather(self._facts.values[keys]).astype(np.float32)
        return found

    def vectors(self, keys: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._gathered(keys, self._places.values[keys], told=False)

    def told(self, keys: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of question with answer."""
        return self._gathered(keys, self._rows.values[keys], told=True)

    def _gathered(self, keys: NDArray[np.int64], places: NDArray[np.int32], *, told: bool) -> NDArray[np.float32]:
        """From the blocks that hold them, each block once; most often there is only one."""
        blocks = self._blocks.values[keys]
        if not len(blocks):
            return np.empty((0, 0), np.float32)
        if (blocks == blocks[0]).all():
            return self._from(int(blocks[0]), places, told)
        order = np.argsort(blocks, kind="stable")
        bounds = np.flatnonzero(np.concatenate([[True], np.diff(blocks[order]) != 0, [True]])).tolist()
        parts = [
            self._from(int(blocks[order[low]]), places[order[low:high]], told)
            for low, high in itertools.pairwise(bounds)
        ]
        found = np.empty((len(keys), parts[0].shape[1]), np.float32)
        found[order] = np.concatenate(parts)
        return found

    def _from(self, block: int, places: NDArray[np.int32], told: bool) -> NDArray[np.float32]:
        held = self._tensors[block]
        return picked(held.facts if told else held.keys, places)
