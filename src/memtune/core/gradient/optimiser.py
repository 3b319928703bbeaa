"""Adam on stacked tensors, an expert a row, each moved as if it were alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_FIRST, _SECOND, _TINY = 0.9, 0.999, 1e-8


class Adam:
    def __init__(self, values: Sequence[Tensor], rates: Sequence[float], clip: float) -> None:
        """`rates`: how many times the learning rate each tensor moves by; 0: not at all."""
        self.values, self.rates, self.clip = list(values), list(rates), clip
        self._mean = [torch.zeros_like(v) if rate else None for v, rate in zip(values, rates, strict=True)]
        self._square = [torch.zeros_like(v) if rate else None for v, rate in zip(values, rates, strict=True)]
        self._steps = 0

    @torch.no_grad()
    def step(self, grads: Sequence[Tensor | None], rate: float, alive_E: Tensor) -> None:
        """Move every expert that is alive by its gradient. All have made the same number of steps."""
        self._steps += 1
        first, second = 1 - _FIRST**self._steps, 1 - _SECOND**self._steps
        smaller_E = self._clipping(grads)
        for value, grad, mean, square, own in zip(
            self.values, grads, self._mean, self._square, self.rates, strict=True
        ):
            if grad is None or mean is None or square is None:
                continue
            if smaller_E is not None:
                grad = grad * _along(smaller_E, grad)
            mean.lerp_(grad, 1 - _FIRST)
            square.mul_(_SECOND).addcmul_(grad, grad, value=1 - _SECOND)
            move = mean / (square / second).sqrt_().add_(_TINY)
            if not bool(alive_E.all()):
                move *= _along(alive_E.to(move.dtype), move)
            value.sub_(move, alpha=rate * own / first)

    def _clipping(self, grads: Sequence[Tensor | None]) -> Tensor | None:
        """By how much each expert's gradient is made smaller."""
        if not self.clip:
            return None
        squares = [g.flatten(1).square().sum(1) for g in grads if g is not None]
        return (self.clip / (torch.stack(squares).sum(0).sqrt() + 1e-6)).clamp_max(1.0)

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all other experts."""
        index = torch.tensor(rows, dtype=torch.long, device=self.values[0].device)
        self.values = [v.detach()[index] for v in self.values]
        self._mean = [None if m is None else m[index] for m in self._mean]
        self._square = [None if s is None else s[index] for s in self._square]


def _along(value_E: Tensor, like: Tensor) -> Tensor:
    return value_E.reshape(-1, *[1] * (like.dim() - 1))
