"""What a wording asks, as one number a wording, so that ways of asking are compared whole.

Its *frame* is what is left without its names: "Who founded Orbane?" leaves *founded*, asked for a person. The
*contrast* of two wordings that share a name is what each has and the other has not: "How much does the Kelvor lamp
cost?" beside "What is the price of the Kelvor lamp?" leaves *much, cost* and *price*. A word more, and they are others.
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
        return np.where(self.reduced(np.logical_or, names), self.rest(names), NOTHING)

    def rest(self, left_out: Bools) -> Codes:
        """A code for all other words of each, and for the sort of thing it wants."""
        sums = self.reduced(np.add, np.where(left_out, NOTHING, self.mixed))
        return np.where(self.reduced(np.logical_or, ~left_out), sums ^ (self.wanted * _MIX), NOTHING)

    def about(self) -> Codes:
        """A code for all names in each."""
        return self.reduced(np.add, np.where(self.names, self.mixed, NOTHING))

    def whole(self) -> Codes:
        """A code for all words of each: the sum of those of the words."""
        return self.reduced(np.add, self.mixed)

    def numbered(self) -> Codes:
        """Every word together with the number of its wording."""
        return np.repeat(np.arange(len(self.lengths), dtype=np.uint64), self.lengths) << _WORD | self.words

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        found: NDArray[np.int64] = np.cumsum(self.lengths) - self.lengths
        return found

    @cached_property
    def mixed(self) -> Codes:
        return mixed(self.words)

    def reduced(self, ufunc: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
        """Over the words of each; those without words give nothing."""
        found = np.zeros((*values.shape[:-1], len(self.lengths)), values.dtype)
        filled = np.flatnonzero(self.lengths)
        if len(filled):
            found[..., filled] = ufunc.reduceat(values, self.starts[filled], axis=-1)
        return found


def mixed(words: NDArray[np.uint32]) -> Codes:
    """A number for each word; their sums are codes."""
    found = words.astype(np.uint64) * _MIX
    return found ^ (found >> _SHIFT)


def contrasts(one: Wordings, other: Wordings) -> Codes:
    """For each wording and the one beside it, a code of what each has and the other has not, if they share a name."""
    own, theirs = one.numbered(), other.numbered()
    shared = np.intersect1d(own, theirs)
    named = np.concatenate([own[one.names], theirs[other.names]])
    akin = np.zeros(len(one.lengths), np.bool_)
    akin[(np.intersect1d(shared, named) >> _WORD).astype(np.int64)] = True
    pairs = both(one.rest(np.isin(own, shared)), other.rest(np.isin(theirs, shared)))
    return np.where(akin, pairs, NOTHING)


def frames_like(one: Wordings, other: Wordings) -> Codes:
    """The frame of each wording, where the names of the one beside it are names in it too."""
    own, theirs = one.numbered(), other.numbered()
    return one.without(one.names | np.isin(own, theirs[other.names]))


@dataclass(frozen=True)
class Beside:
    """One wording beside many others."""

    one: Wordings
    others: Wordings

    @cached_property
    def same(self) -> Bools:
        found: Bools = self.one.words[:, None] == self.others.words[None, :]
        return found

    @cached_property
    def named(self) -> Bools:
        """Which of its words are names that each of the others has."""
        named = self.same & (self.one.names[:, None] | self.others.names[None, :])
        found: Bools = self.others.reduced(np.logical_or, named)
        return found

    def contrasts(self) -> Codes:
        """As `contrasts` does for pairs."""
        shared = self.others.reduced(np.logical_or, self.same)
        there: Bools = np.logical_or.reduce(self.same, axis=0)
        own = np.where(shared.all(0), NOTHING, self._own(shared))
        return np.where(self.named.any(0), both(own, self.others.rest(there)), NOTHING)

    def frames(self) -> Codes:
        """Its own frame, if the names that it shares with each of the others are its names."""
        return np.where(self.named.any(0) & ~self.named.all(0), self._own(self.named), NOTHING)

    def _own(self, left_out: Bools) -> Codes:
        found: Codes = np.where(left_out, NOTHING, self.one.mixed[:, None]).sum(0) ^ (self.one.wanted * _MIX)
        return found


def both(one: Codes, other: Codes) -> Codes:
    """A code for two codes in either order."""
    low, high = np.minimum(one, other), np.maximum(one, other)
    joined = (low * _MIX) ^ (high + (high >> _SHIFT))
    return np.where((one == NOTHING) | (other == NOTHING), NOTHING, joined)
