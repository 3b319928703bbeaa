"""Growing arrays: adding to a million entries costs what is added, not a million."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_FEW = 16
_BLOCK = 1 << 16


class Column:
    """One array that grows at its end. Entries are never moved to another place, so places are names for them."""

    def __init__(self, dtype: DTypeLike) -> None:
        self._held: NDArray[Any] = np.empty(_FEW, dtype)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    @property
    def values(self) -> NDArray[Any]:
        """All entries, without a copy; what is written there is kept."""
        return self._held[: self._length]

    def append(self, values: Any) -> None:
        given = np.asarray(values, self._held.dtype)
        wanted = self._length + len(given)
        if wanted > len(self._held):
            grown = np.empty(max(wanted, 2 * len(self._held)), self._held.dtype)
            grown[: self._length] = self.values
            self._held = grown
        self._held[self._length : wanted] = given
        self._length = wanted


class Rows:
    """Rows of one width, in blocks: a million long ones are too many to copy at once when room runs out."""

    def __init__(self, dtype: DTypeLike, width: int) -> None:
        self.dtype, self.width = np.dtype(dtype), width
        self._blocks: list[NDArray[Any]] = []
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, rows: NDArray[Any]) -> None:
        while len(rows):
            used = self._length % _BLOCK
            if not used:
                self._blocks.append(np.empty((_BLOCK, self.width), self.dtype))
            taken = rows[: _BLOCK - used]
            self._blocks[-1][used : used + len(taken)] = taken
            self._length += len(taken)
            rows = rows[len(taken) :]

    def gather(self, places: NDArray[Any]) -> NDArray[Any]:
        """The rows at these places, as a copy."""
        found = np.empty((len(places), self.width), self.dtype)
        blocks, inside = np.divmod(places, _BLOCK)
        for block in np.unique(blocks):
            here = blocks == block
            found[here] = self._blocks[block][inside[here]]
        return found


class Ragged:
    """One short array an entry, all of them behind one another in one column."""

    def __init__(self, dtype: DTypeLike) -> None:
        self._values = Column(dtype)
        self._ends = Column(np.int64)
        self._ends.append([0])

    def __len__(self) -> int:
        return len(self._ends) - 1

    def append(self, values: NDArray[Any], lengths: NDArray[Any]) -> None:
        last = self._ends.values[-1]
        self._values.append(values)
        self._ends.append(last + np.cumsum(lengths, dtype=np.int64))

    def __getitem__(self, place: int) -> NDArray[Any]:
        found: NDArray[Any] = self._values.values[self._ends.values[place] : self._ends.values[place + 1]]
        return found

    def lengths(self, places: NDArray[Any]) -> NDArray[np.int64]:
        ends = self._ends.values
        found: NDArray[np.int64] = ends[places.astype(np.int64) + 1] - ends[places]
        return found

    def gather(self, places: NDArray[Any]) -> NDArray[Any]:
        """The arrays of these entries behind one another."""
        lengths = self.lengths(places)
        begins = np.cumsum(lengths)
        begins -= lengths
        skipped = np.repeat(self._ends.values[places] - begins, lengths)
        found: NDArray[Any] = self._values.values[skipped + np.arange(len(skipped))]
        return found


Run = tuple[NDArray[Any], NDArray[np.uint32]]
"""Sorted codes, and the numbers that stand under them; numbers ascend under each code."""


class Sorted:
    """Numbers under codes, found by bisection. New ones make short runs, merged as they pile up: a handful remain."""

    def __init__(self, dtype: DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._runs: list[Run] = []
        self._waiting: list[tuple[NDArray[Any], NDArray[Any]]] = []

    def __len__(self) -> int:
        return sum(len(codes) for codes, _ in (*self._runs, *self._waiting))

    def add(self, codes: NDArray[Any], numbers: NDArray[Any]) -> None:
        """Numbers must be higher than all that came before. They are sorted in when something is next looked for."""
        if len(codes):
            self._waiting.append((codes, numbers))

    @property
    def runs(self) -> Sequence[Run]:
        if self._waiting:
            codes = np.concatenate([codes for codes, _ in self._waiting]).astype(self._dtype, copy=False)
            numbers = np.concatenate([numbers for _, numbers in self._waiting]).astype(np.uint32)
            self._waiting.clear()
            new = _sorted(codes, numbers)
            while self._runs and len(self._runs[-1][0]) <= 2 * len(new[0]):
                codes, numbers = self._runs.pop()
                new = _sorted(np.concatenate([codes, new[0]]), np.concatenate([numbers, new[1]]))
            self._runs.append(new)
        return self._runs

    def find(self, code: Any) -> NDArray[np.uint32]:
        """The numbers under a code, ascending."""
        wanted = np.array([code], self._dtype)
        found = [run[1][low[0] : high[0]] for run, low, high in self.spans(wanted)]
        return np.concatenate([*found, np.empty(0, np.uint32)])

    def spans(self, codes: NDArray[Any]) -> list[tuple[Run, NDArray[np.int64], NDArray[np.int64]]]:
        """For each run, where the numbers of each of these codes begin and end."""
        return [(run, np.searchsorted(run[0], codes, "left"), np.searchsorted(run[0], codes, "right"))
                for run in self.runs]  # fmt: skip


def _sorted(codes: NDArray[Any], numbers: NDArray[np.uint32]) -> Run:
    """Both by code, then number. Short codes and numbers fit into one word, which is sorted ten times as quickly."""
    if codes.dtype == np.uint32:
        packed = codes.astype(np.uint64) << np.uint64(32) | numbers
        packed.sort()
        return (packed >> np.uint64(32)).astype(np.uint32), packed.astype(np.uint32)
    order = np.argsort(codes, kind="stable")
    return codes[order], numbers[order]
