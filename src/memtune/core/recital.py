"""Reciting: rows of a batch that each follow a path of tokens, with something added to the stream at every place.

Shapes: A places of a path, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from memtune.core.backbone import Backbone
from memtune.core.experts import Expert


@dataclass(frozen=True)
class Path:
    """Tokens to be said, and what is added at each place, by depth: 0 is what the unembedding reads, n the stream
    before the last n blocks."""

    tokens: tuple[int, ...]
    added: dict[int, Tensor]

    @classmethod
    def joined(cls, parts: Sequence[Path]) -> Path:
        """One path behind the other; where a part adds nothing at a depth, nothing is added."""
        depths = {depth for part in parts for depth in part.added}
        size = next(iter(parts[0].added.values())).shape[1]

        def column(part: Path, depth: int) -> Tensor:
            return part.added[depth] if depth in part.added else torch.zeros(len(part.tokens), size)

        device = next(iter(parts[0].added.values())).device
        return cls(
            tuple(token for part in parts for token in part.tokens),
            {depth: torch.cat([column(part, depth).to(device).float() for part in parts]) for depth in depths},
        )


def move_last(held: dict[int, Any], row: int, last: int) -> None:
    """What is held of a row goes; what is held of the last one is that row's from now on."""
    held.pop(row, None)
    if last in held:
        held[row] = held.pop(last)


Planner = Callable[[Sequence[Expert], str, bool], Path]
"""From experts, the text they follow and whether the reply ends with them, to the path."""


class Recital:
    """An action: armed rows follow their paths and are released when a path ends or is left."""

    def __init__(self, backbone: Backbone, plan: Planner) -> None:
        self.backbone, self._plan = backbone, plan
        self._paths: dict[int, Path] = {}
        self._place: dict[int, int] = {}
        self._closing: dict[int, bool] = {}
        self._finished: set[int] = set()
        self._tables: dict[int, tuple[list[int], Tensor, Tensor, Tensor]] = {}

    def arm(self, row: int, experts: Sequence[Expert], tail: str, *, end: bool) -> None:
        self._paths[row] = self._plan(experts, tail, end)
        self._place[row] = 0
        self._closing[row] = end
        self._tables.clear()

    def absorb(self, other: Recital, at: int) -> None:
        self._paths |= {row + at: path for row, path in other._paths.items()}
        self._place |= {row + at: place for row, place in other._place.items()}
        self._closing |= {row + at: end for row, end in other._closing.items()}
        self._tables.clear()

    def leave(self, row: int, last: int) -> None:
        if row in self._place or last in self._place:
            self._tables.clear()
        tracked: tuple[dict[int, Any], ...] = (self._paths, self._place, self._closing)
        for held in tracked:
            move_last(held, row, last)

    def reciting(self, row: int) -> bool:
        return row in self._place

    def finished(self, row: int) -> bool:
        """The row has said all of a path that ends its reply, and nothing since."""
        return row in self._finished

    @contextmanager
    def acting(self) -> Iterator[None]:
        with ExitStack() as stack:
            for depth in {depth for row in self._place for depth in self._paths[row].added}:
                site = self.backbone.site(depth)
                stack.enter_context(self.backbone.hooked(site, self._adder(depth)))
            yield

    def _adder(self, depth: int) -> Callable[[Tensor], Tensor]:
        if depth not in self._tables:
            self._tables[depth] = self._table(depth)
        rows, index, first, steps = self._tables[depth]
        delta = steps[first + torch.tensor([self._place[row] for row in rows])]

        def add(x: Tensor) -> Tensor:
            x[index, -1] += delta  # in place: a copy would have other strides, and so another kernel
            return x

        return add

    def _table(self, depth: int) -> tuple[list[int], Tensor, Tensor, Tensor]:
        """The armed rows, as numbers and as an index, where each one's path starts, and all paths' steps."""
        rows = [row for row in self._place if depth in self._paths[row].added]
        paths = [self._paths[row].added[depth] for row in rows]
        first = torch.tensor([0, *(len(path) for path in paths[:-1])]).cumsum(0)
        steps = torch.cat(paths).to(self.backbone.dtype)
        return rows, torch.tensor(rows, device=self.backbone.device), first, steps

    def advance(self, tokens: Sequence[int]) -> None:
        self._finished.clear()
        for row, place in list(self._place.items()):
            path = self._paths[row].tokens
            if tokens[row] == path[place] and place + 1 < len(path):
                self._place[row] = place + 1
                continue
            del self._place[row]
            self._tables.clear()
            if tokens[row] == path[place] and self._closing[row]:
                self._finished.add(row)
