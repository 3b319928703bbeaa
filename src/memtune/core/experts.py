"""What every kind of expert must offer, and how the experts of a lot are stacked.

A kind is one file in `core/kinds/`. It turns a batch of facts that the backbone has read into thin tensors, one small
dict a fact (`write`), shows that they work (`prove`), and makes of the experts that a batch of prompts needs one
`Action` that decoding consults at every step (`act`). Nothing else in memtune knows what the tensors mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.core.prompts import Prompt

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Expert:
    """One fact's tensors of one kind, ready to act."""

    id: str
    answer: str
    tensors: Tensors


@dataclass
class Batch:
    """Facts that the backbone has just read: their prompts, answers as tokens (the end token included where the model
    has one) and the stream at every place where an answer token is predicted. P counts those places."""

    backbone: Backbone
    facts: list[Fact]
    prompts: list[Prompt]
    answers: list[tuple[int, ...]]
    h_PD: Tensor

    @cached_property
    def targets_P(self) -> Tensor:
        return torch.tensor([t for answer in self.answers for t in answer], device=self.h_PD.device)

    @cached_property
    def owner_P(self) -> Tensor:
        """Which fact of the batch each place belongs to."""
        lengths = torch.tensor([len(a) for a in self.answers])
        return torch.repeat_interleave(torch.arange(len(self.facts)), lengths).to(self.h_PD.device)

    def worst_per_fact(self, value_P: Tensor) -> Tensor:
        """The largest value among each fact's places."""
        start = torch.full((len(self.facts),), -torch.inf, device=value_P.device, dtype=value_P.dtype)
        return start.scatter_reduce(0, self.owner_P, value_P, "amax")


class Action(Protocol):
    """The experts of one batch of prompts at work."""

    def acting(self) -> AbstractContextManager[None]:
        """While inside, the next pass of the backbone is under these experts."""

    def advance(self, tokens: Sequence[int]) -> None:
        """What every row of the batch said in that pass."""

    def arm(self, row: int, experts: Sequence[Expert], tail: str, *, end: bool) -> None:
        """Start these experts in a row that is being decoded, after `tail`. `end`: the reply ends with them."""

    def absorb(self, other: Any, at: int) -> None:
        """The rows of another action of this kind, from this one on."""

    def leave(self, row: int, last: int) -> None:
        """A row goes; the last one takes its place."""

    def reciting(self, row: int) -> bool:
        """Whether the row is inside an answer that is being recited."""

    def finished(self, row: int) -> bool:
        """Whether the row has just said the last token of a recital that ends its reply."""


class Kind(Protocol):
    name: str
    recites: bool
    """Whether an expert of this kind says its answer word for word."""

    def __init__(self, config: Config) -> None: ...

    def require(self, backbone: Backbone) -> None:
        """Raise KindUnsupported where experts of this kind cannot live."""

    def write(self, batch: Batch) -> list[dict[str, Tensor]]:
        """The tensors of each fact."""

    def prove(self, batch: Batch, written: Sequence[Tensors]) -> dict[int, str]:
        """Facts whose stored tensors do not give the answer exactly when the batch is replayed, with the reason."""

    def act(
        self,
        backbone: Backbone,
        prompts: Sequence[Prompt],
        experts: Sequence[Sequence[Expert]],
        ends: Sequence[bool],
    ) -> Action:
        """The experts that each prompt of a batch needs, ready to act. `ends`: the reply ends with its last answer."""


@runtime_checkable
class Telling(Protocol):
    """A kind that tells how the batch went that it has proved last."""

    loss: float | None
    margin: float | None
    """The least lead of an answer token among the facts that were proved."""


@runtime_checkable
class Early(Protocol):
    """A kind whose experts may act on what stands before the question as well."""

    def acts_early(self, expert: Expert) -> bool:
        """Whether this one does: then no beginning of its prompt is the plain backbone's."""


def least_lead(worst: Tensor, short: Tensor) -> float | None:
    """The least lead among facts that do not fall short. `worst`: of each fact, the largest negative lead."""
    proved = worst[~short]
    lead = -float(proved.max()) if len(proved) else math.inf
    return lead if math.isfinite(lead) else None


def stack(written: Sequence[Tensors]) -> dict[str, Tensor]:
    """The tensors of many facts, one behind the other, with where each fact's part starts."""
    stacked: dict[str, Tensor] = {}
    for name in written[0] if written else ():
        parts = [tensors[name] for tensors in written]
        stacked[name] = torch.cat(parts).contiguous()
        lengths = torch.tensor([0] + [len(p) for p in parts], dtype=torch.int64)
        stacked[f"{name}.starts"] = lengths.cumsum(0)
    return stacked


def pick(stacked: Tensors, row: int) -> dict[str, Tensor]:
    """One fact's tensors out of a stack."""
    names = [name for name in stacked if not name.endswith(".starts")]
    return {name: stacked[name][slice(*stacked[f"{name}.starts"][row : row + 2].tolist())] for name in names}


def batches_by_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Indices in batches of similar length, each of at most `batch_tokens` padded tokens (or one row)."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batch and (len(batch) + 1) * lengths[index] > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def bytes_of(rooms: Iterable[Tensors]) -> int:
    return sum(t.numel() * t.element_size() for tensors in rooms for t in tensors.values())
