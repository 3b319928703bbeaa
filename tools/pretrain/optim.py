"""Muon for matrices, AdamW for the embedding and the norms, on float32 masters of a bfloat16 model.

Muon (Jordan et al., 2024) orthogonalises the momentum of each weight matrix; scaled as by Liu et al., 2025, so that
an update has the size of AdamW's. At this size it needs about half the tokens of AdamW for the same loss.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
ADAM_BETAS = (0.9, 0.98)


@torch.no_grad()
def orthogonalised(matrices: Tensor, dtype: torch.dtype = torch.bfloat16, rounds: int = 5) -> Tensor:
    """The nearest (roughly) orthogonal matrix to each matrix of a stack."""
    a, b, c = NEWTON_SCHULZ
    x = matrices.to(dtype)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(rounds):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).float()


class Optimizer:
    """Steps float32 masters and writes them back to the model in its own precision."""

    def __init__(self, model: nn.Module, momentum: float, weight_decay: float) -> None:
        self.parameters = dict(model.named_parameters())
        self.masters = {name: p.detach().float().clone() for name, p in self.parameters.items()}
        self.average = {name: master.clone() for name, master in self.masters.items()}
        self.momentum, self.weight_decay = momentum, weight_decay
        self.first = {name: torch.zeros_like(m) for name, m in self.masters.items()}
        self.second = {name: torch.zeros_like(m) for name, m in self.masters.items() if not self._is_matrix(name)}
        self.stacks = self._matrices_by_shape()

    def _is_matrix(self, name: str) -> bool:
        return self.masters[name].dim() == 2 and "embed" not in name

    def _matrices_by_shape(self) -> list[list[str]]:
        """Matrices of one shape are orthogonalised in one batched product."""
        groups: dict[torch.Size, list[str]] = {}
        for name in filter(self._is_matrix, self.masters):
            groups.setdefault(self.masters[name].shape, []).append(name)
        return list(groups.values())

    def gradients(self, clip: float) -> tuple[dict[str, Tensor], float]:
        grads = {name: p.grad.float() for name, p in self.parameters.items() if p.grad is not None}
        norm = float(torch.stack([g.norm() for g in grads.values()]).norm())
        if norm > clip:
            for grad in grads.values():
                grad.mul_(clip / norm)
        return grads, norm

    @torch.no_grad()
    def step(self, step: int, matrix_rate: float, vector_rate: float, clip: float, average_decay: float) -> float:
        """One update; returns the norm of the gradient before clipping. Steps count from 1."""
        grads, norm = self.gradients(clip)
        for names in self.stacks:
            self._muon(names, grads, matrix_rate)
        for name in self.second:
            self._adam(name, grads[name], step, vector_rate)
        for name, parameter in self.parameters.items():
            parameter.copy_(self.masters[name])
            parameter.grad = None
            self.average[name].lerp_(self.masters[name], 1 - min(average_decay, step / (step + 10)))
        return norm

    def _muon(self, names: list[str], grads: dict[str, Tensor], rate: float) -> None:
        for name in names:
            self.first[name].lerp_(grads[name], 1 - self.momentum)
        stack = torch.stack([grads[n].lerp(self.first[n], self.momentum) for n in names])
        scale = 0.2 * max(stack.shape[-2:]) ** 0.5
        for name, update in zip(names, orthogonalised(stack), strict=True):
            self.masters[name].mul_(1 - rate * self.weight_decay).sub_(update, alpha=rate * scale)

    def _adam(self, name: str, grad: Tensor, step: int, rate: float) -> None:
        first, second, (b1, b2) = self.first[name], self.second[name], ADAM_BETAS
        first.lerp_(grad, 1 - b1)
        second.lerp_(grad * grad, 1 - b2)
        scale = (second / (1 - b2**step)).sqrt_().add_(1e-10)
        self.masters[name].addcdiv_(first, scale, value=-rate / (1 - b1**step))

    def state(self) -> dict[str, Tensor]:
        """All tensors, flat, for one safetensors file."""
        parts = {"master": self.masters, "average": self.average, "first": self.first, "second": self.second}
        return {f"{part}/{name}": t for part, tensors in parts.items() for name, t in tensors.items()}

    @torch.no_grad()
    def restore(self, state: dict[str, Tensor]) -> None:
        own = self.state()
        if set(own) != set(state):
            raise ValueError("the checkpoint belongs to a model of another shape")
        for key, tensor in own.items():
            tensor.copy_(state[key])
        for name, parameter in self.parameters.items():
            parameter.copy_(self.masters[name])
