"""The router's keys as columns: one entry a wording, some fifty bytes each, the sketch apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memtune.core.facts import wording_hash
from memtune.router.asked import form
from memtune.router.route import Owner
from memtune.router.words import hashed_words, sketches

FORMS = ("open", "closed", "other")
_CELLS = 1 << 20


def make_keys(wordings: Sequence[tuple[int, str]], width: int) -> dict[str, Tensor]:
    """The router's tensors for a segment, from (row, wording) pairs."""
    texts = [text for _, text in wordings]
    words = [hashed_words(text) for text in texts]
    hashes = np.array([wording_hash(text) for text in texts], dtype=np.uint64)
    return {
        "rows": torch.tensor([row for row, _ in wordings], dtype=torch.int32),
        "hashes": torch.from_numpy(hashes.view(np.int64)),
        "words": torch.from_numpy(np.concatenate([*words, np.empty(0, np.uint32)]).view(np.int32)),
        "lengths": torch.tensor([len(w) for w in words], dtype=torch.int32),
        "forms": torch.tensor([FORMS.index(form(text)) for text in texts], dtype=torch.uint8),
        "sketches": torch.from_numpy(sketches(texts, width)).to(torch.float16),
    }


class Keys:
    """All wordings that lead to facts, and how often each word occurs among them."""

    def __init__(self) -> None:
        self._owners: NDArray[np.int64] = np.empty(0, np.int64)
        self._hashes: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._forms: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._words: NDArray[np.uint32] = np.empty(0, np.uint32)
        self._starts: NDArray[np.int64] = np.zeros(1, np.int64)
        self._by_hash: NDArray[np.int64] | None = None
        self._counts: NDArray[np.int32] = np.zeros(_CELLS, np.int32)

    def __len__(self) -> int:
        return len(self._owners)

    def add(self, segment: int, keys: Mapping[str, Tensor], kept: NDArray[np.bool_]) -> None:
        """Take those keys of a segment in that `kept` marks."""
        lengths = keys["lengths"].numpy()
        words = keys["words"].numpy().view(np.uint32)[np.repeat(kept, lengths)]
        owners = (np.int64(segment) << 32) | keys["rows"].numpy()[kept].astype(np.int64)
        self._owners = np.concatenate([self._owners, owners])
        self._hashes = np.concatenate([self._hashes, keys["hashes"].numpy().view(np.uint64)[kept]])
        self._forms = np.concatenate([self._forms, keys["forms"].numpy()[kept]])
        self._words = np.concatenate([self._words, words])
        self._starts = np.concatenate([self._starts, self._starts[-1] + lengths[kept].cumsum(dtype=np.int64)])
        np.add.at(self._counts, words % _CELLS, 1)
        self._by_hash = None

    def of(self, owners: Sequence[Owner]) -> NDArray[np.int64]:
        """The keys that lead to any of these facts."""
        packed = np.array([segment << 32 | row for segment, row in owners], np.int64)
        return np.flatnonzero(np.isin(self._owners, packed))

    def owners(self, segment: int) -> list[Owner]:
        """The facts of a segment that some key leads to."""
        packed = np.unique(self._owners[self._owners >> 32 == segment])
        return [(segment, int(row) & 0xFFFFFFFF) for row in packed]

    def remove(self, keys: NDArray[np.int64]) -> None:
        """Take keys out; those behind them move up."""
        lengths = np.diff(self._starts)
        gone = np.zeros(len(self), bool)
        gone[keys] = True
        of_gone = np.repeat(gone, lengths)
        np.subtract.at(self._counts, self._words[of_gone] % _CELLS, 1)
        self._words, self._starts = self._words[~of_gone], np.r_[0, lengths[~gone].cumsum()]
        self._owners, self._hashes, self._forms = self._owners[~gone], self._hashes[~gone], self._forms[~gone]
        self._by_hash = None

    def owner(self, key: int) -> Owner:
        packed = int(self._owners[key])
        return packed >> 32, packed & 0xFFFFFFFF

    def words(self, key: int) -> set[int]:
        return set(self._words[self._starts[key] : self._starts[key + 1]].tolist())

    def form(self, key: int) -> str:
        return FORMS[self._forms[key]]

    def exact(self, wording: str) -> Owner | None:
        """The fact that was learned in this wording."""
        if self._by_hash is None:
            self._by_hash = np.argsort(self._hashes, kind="stable")
        wanted: Any = np.uint64(wording_hash(wording))
        at = int(np.searchsorted(self._hashes, wanted, sorter=self._by_hash))
        if at == len(self) or self._hashes[self._by_hash[at]] != wanted:
            return None
        return self.owner(int(self._by_hash[at]))

    def frequency(self, word: int) -> int:
        """How many wordings hold this word."""
        return int(self._counts[word % _CELLS])
