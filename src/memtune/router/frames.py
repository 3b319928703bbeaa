"""Frames: what a wording asks, once the names are taken out, as one number a wording.

"How much does the Kelvor cost?" leaves *much, cost*, asked for a number. Frames are compared whole: a word more, or a
name that only one of two wordings has, and they are others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint64]
Bools = NDArray[np.bool_]
NOTHING = np.uint64(0)
"""The code of a wording that has no names, or nothing else."""
_MIX, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(31)
_WORD = np.uint64(32)


@dataclass(frozen=True)
class Wordings:
    """Words of several wordings behind one another, which of them are written like names, and what they ask for."""

    words: NDArray[np.uint32]
    names: Bools
    lengths: NDArray[np.int64]
    wanted: Codes
    """Sort of thing wanted and form of the question, as one number."""

    @classmethod
    def of(cls, words: Any, names: Any, lengths: Any, wanted: Any, forms: Any) -> Wordings:
        sorts = np.asarray(wanted).astype(np.uint64) << np.uint64(8) | np.asarray(forms).astype(np.uint64)
        return cls(words, names, np.asarray(lengths, np.int64), sorts)

    def chosen(self, places: NDArray[np.int64]) -> Wordings:
        """Those at these places, in this order."""
        lengths = self.lengths[places]
        skipped = np.repeat(self.starts[places] - (np.cumsum(lengths) - lengths), lengths)
        flat = skipped + np.arange(len(skipped))
        return Wordings(self.words[flat], self.names[flat], lengths, self.wanted[places])

    def without(self, names: Bools) -> Codes:
        """A code for what each asks besides these names, whatever the order of its words."""
        rest = self._sums(np.where(names, NOTHING, self.mixed))
        return np.where(self._any(names) & self._any(~names), rest ^ (self.wanted * _MIX), NOTHING)

    def about(self) -> Codes:
        """A code for all names in each."""
        return self._sums(np.where(self.names, self.mixed, NOTHING))

    def numbered(self) -> Codes:
        """Every word together with the number of its wording."""
        return np.repeat(np.arange(len(self.lengths), dtype=np.uint64), self.lengths) << _WORD | self.words

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        found: NDArray[np.int64] = np.cumsum(self.lengths) - self.lengths
        return found

    @cached_property
    def mixed(self) -> Codes:
        """A number for each word; their sums are codes."""
        mixed = self.words.astype(np.uint64) * _MIX
        return mixed ^ (mixed >> _SHIFT)

    def _sums(self, values: Codes) -> Codes:
        return self.reduced(np.add, values)

    def _any(self, marks: Bools) -> Bools:
        return self.reduced(np.logical_or, marks)

    def reduced(self, ufunc: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
        """Over the words of each; those without words give nothing."""
        found = np.zeros((*values.shape[:-1], len(self.lengths)), values.dtype)
        filled = np.flatnonzero(self.lengths)
        if len(filled):
            found[..., filled] = ufunc.reduceat(values, self.starts[filled], axis=-1)
        return found


def frames_of_pairs(one: Wordings, other: Wordings) -> tuple[Codes, Codes]:
    """The frames of each wording and the one beside it: what is left of both without the names that they share."""
    own, theirs = one.numbered(), other.numbered()
    named = np.concatenate([own[one.names], theirs[other.names]])
    shared = np.intersect1d(np.intersect1d(own, theirs), named)
    return one.without(np.isin(own, shared)), other.without(np.isin(theirs, shared))


def frames_beside(one: Wordings, others: Wordings) -> tuple[Codes, Codes]:
    """The same for a single wording and many others: its frame beside each of them, and theirs."""
    shared = one.words[:, None] == others.words[None, :]
    shared &= one.names[:, None] | others.names[None, :]
    beside = others.reduced(np.logical_or, shared)
    rest = np.where(beside, NOTHING, one.mixed[:, None]).sum(0)
    framed = beside.any(0) & ~beside.all(0)
    own = np.where(framed, rest ^ (one.wanted * _MIX), NOTHING)
    return own, others.without(shared.any(0))


def both(one: Codes, other: Codes) -> Codes:
    """A code for two frames in either order."""
    low, high = np.minimum(one, other), np.maximum(one, other)
    mixed = (low * _MIX) ^ (high + (high >> _SHIFT))
    return np.where((one == NOTHING) | (other == NOTHING), NOTHING, mixed)
