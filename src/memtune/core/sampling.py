"""The next token of a row: the most likely one, or drawn with the row's own random numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from memtune.config import DecodeConfig


def row_seed(seed: int, prompt: Sequence[int], draw: int) -> int:
    """A row's own seed: of what it is asked, not of where it stands among others."""
    said = hashlib.blake2b(f"{seed} {draw} ".encode(), digest_size=8)
    said.update(",".join(map(str, prompt)).encode())
    return int.from_bytes(said.digest(), "little") >> 1


class Sampler:
    """Draws depend on the row's seed alone, never on what else is in the batch."""

    def __init__(self, config: DecodeConfig, seed: int) -> None:
        self.config = config
        self._generator = torch.Generator().manual_seed(seed) if config.temperature else None

    def next(self, logits_V: Tensor, best: int, greedy: bool) -> int:
        if self._generator is None or greedy:
            return best
        chances = torch.softmax(logits_V.float().cpu() / self.config.temperature, -1)
        if self.config.top_p < 1.0:
            chances = keep_nucleus(chances, self.config.top_p)
        return int(torch.multinomial(chances, 1, generator=self._generator))


def keep_nucleus(chances_V: Tensor, top_p: float) -> Tensor:
    """The likeliest tokens that together reach `top_p`; at least one."""
    ordered, index = chances_V.sort(descending=True)
    beyond = ordered.cumsum(0) - ordered >= max(top_p, 1e-6)
    return torch.zeros_like(chances_V).scatter(0, index, ordered.masked_fill(beyond, 0.0))
