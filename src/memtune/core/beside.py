"""Facts' key-value rows gathered for a batch, and the action that lets them be seen.

Whatever a kind stores, it comes here as entries: one key and one value each, of one fact, for one head of one block.

Shapes: M entries, d head width; F rows with facts, K key-value heads, N entries of a head at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from memtune.core.attention import FactRows
from memtune.core.backbone import Backbone
from memtune.core.experts import Expert
from memtune.core.prompts import Prompt
from memtune.core.recital import move_last
from memtune.core.turning import Turning


@dataclass(frozen=True)
class Entries:
    """Keys and values k_Md and v_Md with the block and the head that each is for."""

    keys: Tensor
    values: Tensor
    block_M: Tensor
    head_M: Tensor


class SideBySide:
    """An action: the facts of each prompt are seen beside it, from the beginning of what is asked last."""

    def __init__(
        self,
        backbone: Backbone,
        prompts: Sequence[Prompt],
        experts: Sequence[Sequence[Expert]],
        entries: Callable[[Expert], Entries],
    ) -> None:
        self.backbone = backbone
        fired = [i for i, chosen in enumerate(experts) if chosen]
        held = [_moved(backbone, prompts[i], [entries(expert) for expert in experts[i]]) for i in fired]
        reach = [len(prompts[i].ids) - prompts[i].asked_from for i in fired]
        self.facts = gathered(backbone, fired, held, reach) if fired else None
        self._place = {row: place for place, row in enumerate(fired)}
        """Of each row with facts, where among them its own stand."""
        self._moved = False

    @contextmanager
    def acting(self) -> Iterator[None]:
        if self._moved:
            self._settle()
        with self.backbone.attention.seeing(self.facts):
            yield

    def absorb(self, other: SideBySide, at: int) -> None:
        self._settle()
        other._settle()
        if other.facts is not None:
            theirs = other.facts.shifted(at)
            start = 0 if self.facts is None else len(self.facts.rows)
            self.facts = theirs if self.facts is None else self.facts.followed_by(theirs)
            self._place |= {row + at: start + place for row, place in other._place.items()}

    def leave(self, row: int, last: int) -> None:
        if row in self._place or last in self._place:
            self._moved = True
        move_last(self._place, row, last)

    def _settle(self) -> None:
        """Keep the facts of the rows that are left, in the order of the rows."""
        if self._moved and self.facts is not None:
            rows = sorted(self._place)
            self.facts = self.facts.only([self._place[row] for row in rows], rows) if rows else None
            self._place = {row: place for place, row in enumerate(rows)}
        self._moved = False

    def advance(self, tokens: Sequence[int]) -> None:
        """The rows act on whatever is said."""

    def arm(self, row: int, experts: Sequence[Expert], tail: str, *, end: bool) -> None:
        """Rows are attended from the question on; a gap that opens later adds nothing to them."""

    def reciting(self, row: int) -> bool:
        return False

    def finished(self, row: int) -> bool:
        return False


def _moved(backbone: Backbone, prompt: Prompt, held: list[Entries]) -> list[Entries]:
    """A prompt's facts, as near to its last turn as they are to one that nothing stands before."""
    turning = Turning.of(backbone) if prompt.before else None
    if turning is None:
        return held
    return [replace(part, keys=turning.near(part.keys, prompt.before)) for part in held]


def gathered(
    backbone: Backbone, rows: Sequence[int], held: Sequence[Sequence[Entries]], reach: Sequence[int]
) -> FactRows:
    """The entries of several facts for each of these batch rows, block by block."""
    device, dtype = backbone.device, backbone.dtype
    flat = [(place, part) for place, parts in enumerate(held) for part in parts]
    owner_M = torch.cat([torch.full((len(part.block_M),), place) for place, part in flat]).to(device)
    block_M, head_M = (torch.cat([getattr(p, n) for _, p in flat]).long().to(device) for n in ("block_M", "head_M"))
    keys, values = (torch.cat([getattr(p, n).to(device, dtype) for _, p in flat]) for n in ("keys", "values"))
    heads = backbone.attention.heads
    place_M = _places((owner_M * len(heads) + block_M) * max(heads) + head_M)
    parts = []
    for block, count in enumerate(heads):
        mine = (block_M == block).nonzero()[:, 0]
        where = (owner_M[mine], head_M[mine], place_M[mine])
        longest = int(where[2].max()) + 1 if len(mine) else 0
        k = torch.zeros(len(rows), count, longest, keys.shape[1], dtype=dtype, device=device)
        v, real = torch.zeros_like(k), torch.zeros(k.shape[:3], dtype=torch.bool, device=device)
        k[where], v[where], real[where] = keys[mine], values[mine], True
        parts.append((k, v, real))
    return FactRows(
        torch.tensor(rows, device=device),
        [k for k, _, _ in parts],
        [v for _, v, _ in parts],
        [real for _, _, real in parts],
        torch.tensor(reach, device=device),
    )


def _places(groups_M: Tensor) -> Tensor:
    """The place of each entry among those of its group."""
    order = groups_M.argsort(stable=True)
    _, counts = groups_M[order].unique_consecutive(return_counts=True)
    starts = counts.cumsum(0) - counts
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device) - starts.repeat_interleave(counts)
    return place
