"""What the backbone has read of a batch whose rows come and go.

The library's own cache copies all keys and values at every token and cannot take in or lose rows. Here keys and values
have room to grow, every row ends at the same column, and a row's place is taken by the last one when it leaves.

Shapes: B rows, K key-value heads, T tokens, d head width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer, LinearAttentionLayer

_SPARE = 64
"""Columns of room beyond what is needed at once."""


class Roomy(DynamicLayer):
    """Keys and values of one block: new ones are written into their place, where the library copies everything."""

    keys: Tensor
    values: Tensor

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lazy_initialization(keys, values)
        self._rows, self._begin, self._end = len(keys), 0, keys.shape[2]
        self._k, self._v = _room(keys, len(keys), self._end, _SPARE), _room(values, len(values), self._end, _SPARE)
        self._show()

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        more = key_states.shape[2]
        if self._end + more > self._k.shape[2]:
            self._make_room(more)
        self._k[: self._rows, :, self._end : self._end + more] = key_states
        self._v[: self._rows, :, self._end : self._end + more] = value_states
        self._end += more
        self._show()
        return self.keys, self.values

    def get_seq_length(self) -> int:
        return self._length

    @property
    def _length(self) -> int:
        return self._end - self._begin

    def absorb(self, other: DynamicLayer) -> None:
        """Rows of another batch stand behind these, ending at the same column."""
        assert other.keys is not None
        assert other.values is not None
        coming, long = other.keys.shape[0], other.keys.shape[2]
        if not self._rows:  # nothing stands here: begin in front
            self._begin = self._end = min(long, self._k.shape[2])
            self._show()
        rows, length = self._rows + coming, max(self._length, long)
        if rows > self._k.shape[0] or long > self._end:
            self._lay_out(max(rows, 2 * self._k.shape[0] if rows > self._k.shape[0] else rows), length=length)
        begin = self._end - long
        for mine, theirs in ((self._k, other.keys), (self._v, other.values)):
            mine[: self._rows, :, self._end - length : self._begin] = 0  # of rows that have left
            mine[self._rows : rows, :, self._end - length : begin] = 0
            mine[self._rows : rows, :, begin : self._end] = theirs
        self._rows, self._begin = rows, self._end - length
        self._show()

    def leave(self, row: int) -> None:
        self._rows -= 1
        if row < self._rows:
            seen = slice(self._begin, self._end)
            for room in (self._k, self._v):
                room[row, :, seen] = room[self._rows, :, seen]
        self._show()

    def trim(self, columns: int) -> None:
        """Forget the first columns, which no row needs."""
        self._begin += columns
        self._show()

    def _make_room(self, more: int) -> None:
        """Move what is held to the front, where rows that have left made room for it; else into a larger room."""
        length = self._length
        if 2 * (length + more) > self._k.shape[2]:
            self._lay_out(self._k.shape[0], spare=more + max(_SPARE, 2 * length))
            return
        for room in (self._k, self._v):
            room[: self._rows, :, :length] = room[: self._rows, :, self._begin : self._end]
        self._begin, self._end = 0, length

    def _lay_out(self, slots: int, *, length: int = 0, spare: int = _SPARE) -> None:
        """Move to a larger room; what is held ends at column `length` or, if it is longer, at its own."""
        end, held = max(length, self._length), (self.keys, self.values)
        self._k, self._v = (_room(x, max(slots, self._rows), end, spare) for x in held)
        self._begin, self._end = end - self._length, end
        self._show()

    def _show(self) -> None:
        seen = slice(self._begin, self._end)
        self.keys, self.values = self._k[: self._rows, :, seen], self._v[: self._rows, :, seen]


def _room(held: Tensor, slots: int, end: int, spare: int) -> Tensor:
    """Zeros with what is held in front, ending at this column. Zeros, since hidden places are weighed with nothing:
    nothing times a number that is none would be none."""
    rows, heads, length, width = held.shape
    room = held.new_zeros(slots, heads, end + spare, width)
    room[:rows, :, end - length : end] = held
    return room


def holding(rows: Sequence[tuple[Tensor, Tensor]]) -> DynamicCache:
    """A cache of these keys and values, block by block."""
    cache = DynamicCache()
    cache.layers = [Roomy(keys, values) for keys, values in rows]
    return cache


def make_roomy(cache: Any) -> None:
    """Give the plain layers of a cache room to grow."""
    for n, layer in enumerate(getattr(cache, "layers", [])):
        if type(layer) is DynamicLayer and layer.keys is not None and layer.values is not None:
            cache.layers[n] = Roomy(layer.keys, layer.values)


def can_change(cache: Any) -> bool:
    """Whether rows of this cache may come and go."""
    layers: list[Any] = getattr(cache, "layers", [])
    return bool(layers) and all(type(layer) in _WAYS or _is_unchanged(layer) for layer in layers)


def _is_unchanged(layer: Any) -> bool:
    """Whether it is the library's own, which can be given room."""
    return type(layer) is DynamicLayer and layer.keys is not None


def is_plain(cache: Any) -> bool:
    """Whether every block keeps the keys and values of all tokens: then the beginning of a prompt can be shared."""
    return can_change(cache) and all(type(layer) is Roomy or _is_unchanged(layer) for layer in cache.layers)


def absorb(cache: Any, other: Any) -> None:
    """Rows of another cache stand behind those of this one."""
    make_roomy(cache)
    for mine, theirs in zip(cache.layers, other.layers, strict=True):
        _WAYS[type(mine)].absorb(mine, theirs)


def leave(cache: Any, row: int) -> None:
    """A row goes; the last one takes its place."""
    for layer in cache.layers:
        _WAYS[type(layer)].leave(layer, row)


def trim(cache: Any, columns: int) -> None:
    for layer in cache.layers:
        _WAYS[type(layer)].trim(layer, columns)


class _Sliding:
    """Layers that keep the last tokens only."""

    @staticmethod
    def absorb(mine: Any, theirs: Any) -> None:
        total = max(mine.cumulative_length, theirs.cumulative_length)
        kept = min(total, mine.sliding_window - 1)
        for name in ("keys", "values"):
            parts = [_ending(getattr(layer, name), kept) for layer in (mine, theirs)]
            setattr(mine, name, torch.cat(parts))
        mine.cumulative_length = total

    @staticmethod
    def leave(layer: Any, row: int) -> None:
        layer.keys, layer.values = _without(layer.keys, row), _without(layer.values, row)

    @staticmethod
    def trim(layer: Any, columns: int) -> None:
        layer.cumulative_length -= columns
        kept = min(layer.cumulative_length, layer.sliding_window - 1)
        layer.keys, layer.values = _ending(layer.keys, kept), _ending(layer.values, kept)


class _States:
    """Layers that keep a state instead of tokens."""

    @staticmethod
    def absorb(mine: Any, theirs: Any) -> None:
        for name in ("conv_states", "recurrent_states"):
            for n, held in getattr(mine, name).items():
                if held is not None:
                    getattr(mine, name)[n] = torch.cat([held, getattr(theirs, name)[n]])

    @staticmethod
    def leave(layer: Any, row: int) -> None:
        for states in (layer.conv_states, layer.recurrent_states):
            for n, held in states.items():
                if held is not None:
                    states[n] = _without(held, row)

    @staticmethod
    def trim(layer: Any, columns: int) -> None:
        """A state has no columns."""


def _ending(held: Tensor, length: int) -> Tensor:
    """The last columns; zeros in front where there are fewer."""
    short = length - held.shape[2]
    return torch.nn.functional.pad(held, (0, 0, short, 0)) if short > 0 else held[:, :, held.shape[2] - length :]


def _without(held: Tensor, row: int) -> Tensor:
    """The last row takes the place of this one."""
    kept = held[:-1].clone()
    if row < len(kept):
        kept[row] = held[-1]
    return kept


_WAYS: dict[type, Any] = {Roomy: Roomy, DynamicSlidingWindowLayer: _Sliding, LinearAttentionLayer: _States}
