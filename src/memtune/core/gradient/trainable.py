"""What the training loop knows of experts: stacked tensors that it moves, and how they act."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass
class Leaf:
    """One stacked tensor, an expert a row. While training, `value` holds the experts of the batch at hand, in the
    order that `owner_B` counts them in; afterwards it holds all of them again."""

    value: Tensor
    rate: float = 1.0
    """How many times the learning rate; 0: not trained, only carried along with its expert."""


class Trainable(Protocol):
    leaves: list[Leaf]

    @property
    def frozen_below(self) -> int | None:
        """The first block that the experts change, if they act from the last token of the prompt on only; None where
        they act on the prompt too. Below it everything is constant and computed once."""

    def acting(self, owner_B: Tensor, first_B: Tensor) -> AbstractContextManager[None]:
        """While inside, each row of the batch is under its owner (−1: none). `first_B`: where, in the tokens at hand,
        the last token of the row's prompt stands."""
