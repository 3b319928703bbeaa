"""Which keys hold a word: an inverted index that grows, and finds the keys that share the rarest words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtune.router.columns import Column, Ragged, Sorted

_REFINED = 2048
"""Candidates, at most, whose commoner words are looked up as well."""

Spans = list[tuple[tuple[NDArray[Any], NDArray[np.uint32]], NDArray[np.int64], NDArray[np.int64]]]


class Postings:
    """Over the words of keys, which `words` and `alive` hold. Removed keys stay in the lists and are passed over."""

    def __init__(self, words: Ragged, alive: Column) -> None:
        self._words, self._alive = words, alive
        self._lists = Sorted(np.uint32)
        self._gone: Counter[int] = Counter()
        """How often each word stands in removed keys."""
        self._counted: dict[int, int] = {}

    def add(self, first: int, words: NDArray[np.uint32], lengths: NDArray[Any]) -> None:
        """The words of new keys, which are numbered from `first` on."""
        self._lists.add(words, np.repeat(np.arange(first, first + len(lengths), dtype=np.uint32), lengths))
        self._counted.clear()

    def remove(self, words: NDArray[np.uint32]) -> None:
        """All words of keys that go."""
        distinct, counts = np.unique(words, return_counts=True)
        self._gone.update(dict(zip(distinct.tolist(), counts.tolist(), strict=True)))
        self._counted.clear()

    def frequency(self, word: int) -> int:
        """How many keys hold this word."""
        if word not in self._counted:
            self.count([word])
        return self._counted[word]

    def count(self, words: Iterable[int]) -> None:
        """Look many words up at once, so that `frequency` has them at hand until keys come or go."""
        codes = np.fromiter(words, np.uint32)
        found = sum((high - low for _, low, high in self._lists.spans(codes)), np.zeros(len(codes), np.int64))
        for word, number in zip(codes.tolist(), found.tolist(), strict=True):
            self._counted[word] = number - self._gone[word]

    def frequencies(self, words: NDArray[np.uint32]) -> NDArray[np.int64]:
        """How many keys hold each of these words."""
        new = {word for word in words.tolist() if word not in self._counted}
        if new:
            self.count(new)
        return np.fromiter((self._counted[word] for word in words.tolist()), np.int64, len(words))

    def holding(self, word: int, most: int) -> NDArray[np.int64]:
        """Some keys that hold a word, the newest left out first."""
        spans = self._lists.spans(np.array([word], np.uint32))
        lists = [run[1][low[0] : min(high[0], low[0] + 2 * most)] for run, low, high in spans]
        found = np.concatenate([np.empty(0, np.uint32), *lists]).astype(np.int64)
        held: NDArray[np.int64] = found[self._alive.values[found]][:most]
        return held

    def search(self, words: Mapping[int, float], k: int, limit: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and numbers of the k best keys: the summed weights of shared words over the root of a key's length.

        Lists are read from the rarest word on, `limit` entries at most. Words whose lists are too long for that bring
        no further keys, but still count for the best of those found."""
        codes = np.fromiter(words, np.uint32, len(words))
        weights = np.fromiter(words.values(), np.float32, len(words))
        spans = self._lists.spans(codes)
        lengths = sum((high - low for _, low, high in spans), np.zeros(len(codes), np.int64))
        order = [int(i) for i in np.argsort(lengths, kind="stable") if lengths[i]]
        read = max(1, int(np.searchsorted(np.cumsum(lengths[order]), limit, "right")))
        keys, scores = _summed(spans, order[:read], weights, limit)
        keep = self._alive.values[keys]
        keys, scores = keys[keep], scores[keep]
        roots = np.sqrt(np.maximum(self._words.lengths(keys), 1)).astype(np.float32)
        if len(order) > read:
            best = _best(scores / roots, max(k, _REFINED))
            best.sort()
            keys, scores, roots = keys[best], scores[best], roots[best]
            for word in order[read:]:
                scores += weights[word] * _holds(spans, word, keys)
        scores /= roots
        best = _best(scores, k)
        best = best[np.lexsort((keys[best], -scores[best]))]
        return scores[best], keys[best].astype(np.int64)


def _summed(
    spans: Spans, read: list[int], weights: NDArray[np.float32], limit: int
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """The keys in these words' lists, ascending, and the summed weights of the lists that hold each."""
    lists = [(numbers[low[w] : high[w]], weights[w]) for w in read for (_, numbers), low, high in spans]
    keys = np.concatenate([np.empty(0, np.uint32), *(found for found, _ in lists)])[:limit]
    each = np.repeat(
        np.array([weight for _, weight in lists], np.float32), np.array([len(found) for found, _ in lists], np.int64)
    )[:limit]
    if not len(keys):
        return keys, each
    order = np.argsort(keys)
    keys, each = keys[order], each[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    return keys[starts], np.add.reduceat(each, starts)


def _holds(spans: Spans, word: int, keys: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which of these keys, ascending, hold a word, without reading its whole list."""
    holds = np.zeros(len(keys), bool)
    for (_, numbers), low, high in spans:
        found = numbers[low[word] : high[word]]
        if len(found):
            at = np.minimum(np.searchsorted(found, keys), len(found) - 1)
            holds |= found[at] == keys
    return holds


def _best(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Where the k highest stand, in no order."""
    if k >= len(scores):
        return np.arange(len(scores))
    return np.argpartition(-scores, k)[:k]
