"""The router's keys as columns: one entry a wording, some fifty bytes each, the vector apart.

A key's number is its place. It never changes and is never given to another key: a removed key is only marked. The
places of removed keys are won back when the memory is opened again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from memtune.core.facts import wording_hash
from memtune.router.columns import Column, Ragged, Sorted
from memtune.router.postings import Postings
from memtune.router.route import Owner

FORMS = ("open", "closed", "other")
GIVEN, MADE, NEVER = range(3)
"""Where a wording comes from: the user, or augmentation; or it is an example that must not fire."""
_ROW = 0xFFFFFFFF


class Keys:
    """All wordings that lead to facts, how often each word occurs among them, and which share words."""

    def __init__(self) -> None:
        self._owners, self._forms, self._tags = Column(np.int64), Column(np.uint8), Column(np.uint8)
        self._alive = Column(np.bool_)
        self._words = Ragged(np.uint32)
        self._by_hash = Sorted(np.uint64)
        self._spans: dict[int, list[tuple[int, int]]] = {}
        """From which key to which each segment reaches."""
        self._gone = 0
        self.postings = Postings(self._words, self._alive)

    def __len__(self) -> int:
        return len(self._owners) - self._gone

    @property
    def numbers(self) -> int:
        """How many numbers were ever given; the next key gets this one."""
        return len(self._owners)

    def add(self, segment: int, keys: Mapping[str, Tensor], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Take those keys of a segment in that `kept` marks. Returns their numbers."""
        first = self.numbers
        all_lengths = keys["lengths"].numpy()
        lengths = all_lengths[kept]
        words = keys["words"].numpy().view(np.uint32)[np.repeat(kept, all_lengths)]
        self._owners.append((np.int64(segment) << 32) | keys["rows"].numpy()[kept].astype(np.int64))
        self._forms.append(keys["forms"].numpy()[kept])
        self._tags.append(keys["tags"].numpy()[kept] if "tags" in keys else np.full(len(lengths), GIVEN))
        self._alive.append(np.ones(len(lengths), np.bool_))
        self._words.append(words, lengths)
        self.postings.add(first, words, lengths)
        numbers = np.arange(first, self.numbers)
        self._by_hash.add(keys["hashes"].numpy().view(np.uint64)[kept], numbers)
        self._spans.setdefault(segment, []).append((first, self.numbers))
        return numbers

    def remove(self, keys: NDArray[np.int64]) -> None:
        """Take keys out for good. Those that are gone already are passed over."""
        keys = np.unique(keys[self._alive.values[keys]])
        self._alive.values[keys] = False
        self._gone += len(keys)
        self.postings.remove(self._words.gather(keys))

    def alive(self, keys: NDArray[np.int64]) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = self._alive.values[keys]
        return found

    def of(self, owners: Sequence[Owner]) -> NDArray[np.int64]:
        """The keys that lead to any of these facts, ascending."""
        rows: dict[int, list[int]] = {}
        for segment, row in owners:
            rows.setdefault(segment, []).append(segment << 32 | row)
        found = [key for segment, packed in rows.items() for key in self._among(segment, packed)]
        return np.sort(np.concatenate([np.empty(0, np.int64), *found]))

    def _among(self, segment: int, packed: list[int]) -> list[NDArray[np.int64]]:
        """A segment's keys that lead to these packed owners."""
        spans = self._spans.get(segment, [])
        return [
            low + np.flatnonzero(np.isin(self._owners.values[low:high], packed) & self._alive.values[low:high])
            for low, high in spans
        ]

    def owners(self, segment: int) -> list[Owner]:
        """The facts of a segment that some key leads to."""
        spans = self._spans.get(segment, [])
        held = [self._owners.values[low:high][self._alive.values[low:high]] for low, high in spans]
        return [(segment, int(o) & _ROW) for o in np.unique(np.concatenate([np.empty(0, np.int64), *held]))]

    def any_of(self, segment: int) -> bool:
        """Whether a key leads to any fact of a segment."""
        return any(self._alive.values[low:high].any() for low, high in self._spans.get(segment, []))

    def owner(self, key: int) -> Owner:
        packed = int(self._owners.values[key])
        return packed >> 32, packed & _ROW

    def words(self, key: int) -> set[int]:
        return set(self._words[key].tolist())

    def words_of(self, keys: NDArray[np.int64]) -> NDArray[np.uint32]:
        """The words of these keys behind one another."""
        found: NDArray[np.uint32] = self._words.gather(keys)
        return found

    def word_counts(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._words.lengths(keys)

    def holding(self, word: int, most: int) -> NDArray[np.int64]:
        """Some keys that hold a word."""
        return self.postings.holding(word, most)

    def frequencies(self, words: NDArray[np.uint32]) -> NDArray[np.int64]:
        """How many wordings hold each word."""
        return self.postings.frequencies(words)

    def rarity(self, words: NDArray[np.uint32]) -> NDArray[np.float32]:
        """What each word weighs: the more, the fewer wordings hold it."""
        found: NDArray[np.float32] = np.log(1.0 + (len(self) + 1) / (1.0 + self.frequencies(words))).astype(np.float32)
        return found

    def form(self, key: int) -> str:
        return FORMS[self._forms.values[key]]

    def forms_of(self, keys: NDArray[np.int64]) -> NDArray[np.uint8]:
        found: NDArray[np.uint8] = self._forms.values[keys]
        return found

    def tag_counts(self) -> list[int]:
        """How many keys there are of each tag."""
        return [int(n) for n in np.bincount(self._tags.values[self._alive.values], minlength=NEVER + 1)]

    def tag(self, key: int) -> int:
        return int(self._tags.values[key])

    def wording(self, text: str) -> list[int]:
        """The keys that are this wording, the oldest first."""
        found = self._by_hash.find(wording_hash(text))
        return [int(key) for key in found[self._alive.values[found]]]

    def exact(self, wording: str) -> Owner | None:
        """The fact that was learned in this wording."""
        leading = (key for key in self.wording(wording) if self.tag(key) != NEVER)
        return next((self.owner(key) for key in leading), None)

    def frequency(self, word: int) -> int:
        """How many wordings hold this word."""
        return self.postings.frequency(word)
