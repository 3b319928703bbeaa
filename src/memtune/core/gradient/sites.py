"""The linear layers of a model where low-rank factors can stand, found by structure, and what adds to their output.

Shapes: B rows, F rows with experts, S positions, I inputs, O outputs, r rank.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from memtune.core.backbone import Backbone

Targets = Literal["attention", "mlp", "all"]

_MIXES_POSITIONS = re.compile(r"attn|attention|mixer|mamba")


@dataclass(frozen=True)
class Site:
    """One linear layer inside a block."""

    name: str
    """The block's number and the path inside it, as `3.self_attn.q_proj`."""
    module: nn.Module
    inputs: int
    outputs: int

    @property
    def block(self) -> int:
        return int(self.name.split(".", 1)[0])

    @property
    def mixes_positions(self) -> bool:
        """Whether it belongs to attention, or to what a model has in its place."""
        return bool(_MIXES_POSITIONS.search(self.name))


def find_sites(backbone: Backbone, blocks: int, targets: Targets) -> list[Site]:
    """The linear layers of the last `blocks` blocks (0: of all). Mixtures of experts are left out: their weights are
    many layers in one tensor, or a list of layers that see some of the tokens only."""
    total = len(backbone.blocks)
    first = max(0, total - blocks) if blocks else 0
    found = []
    for number in range(first, total):
        modules = dict(backbone.blocks[number].named_modules())
        lists = tuple(f"{path}." for path, module in modules.items() if isinstance(module, nn.ModuleList))
        for path, module in modules.items():
            size = _size_of(module)
            if size is not None and not path.startswith(lists):
                found.append(Site(f"{number}.{path}", module, *size))
    wanted = {"attention": (True,), "mlp": (False,), "all": (True, False)}[targets]
    return [site for site in found if site.mixes_positions in wanted]


def site_named(backbone: Backbone, name: str) -> Site:
    number, path = name.split(".", 1)
    module = backbone.blocks[int(number)].get_submodule(path)
    size = _size_of(module)
    assert size is not None, f"{name} is not a linear layer"
    return Site(name, module, *size)


def _size_of(module: nn.Module) -> tuple[int, int] | None:
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if isinstance(module, Conv1D):
        return int(module.weight.shape[0]), int(module.weight.shape[1])
    return None


@dataclass(frozen=True)
class Delta:
    """What is added at one site: to each of these rows its own product of factors."""

    module: nn.Module
    rows_F: Tensor
    a_FrI: Tensor
    b_FOr: Tensor
    scale: float = 1.0


@contextmanager
def adding(deltas: Sequence[Delta], batch: int, first_B: Tensor | None = None) -> Iterator[None]:
    """While inside, the sites give more for these rows, from a position of each row's own on; negative ones count from
    the end, None is from the beginning. The other rows of the batch stay as the plain kernel made them."""
    with ExitStack() as stack:
        for delta in deltas:
            handle = delta.module.register_forward_hook(_Adder(delta, batch, first_B))
            stack.callback(handle.remove)
        yield


class _Adder:
    def __init__(self, delta: Delta, batch: int, first_B: Tensor | None) -> None:
        self.delta, self.batch = delta, batch
        self.first_F = None if first_B is None else first_B[delta.rows_F]
        self.whole = len(delta.rows_F) == batch
        """Whether every row of the batch has factors."""

    def __call__(self, module: nn.Module, args: tuple[Any, ...], out: Tensor) -> Tensor:
        x = args[0].reshape(self.batch, -1, args[0].shape[-1])  # some blocks lay the rows of a batch one behind another
        given = out.view(self.batch, -1, out.shape[-1])
        begin, seeing_FS = self._places(x.shape[1])
        part = x[:, begin:] if self.whole else x[self.delta.rows_F, begin:]
        thin = torch.bmm(part.to(self.delta.a_FrI.dtype), self.delta.a_FrI.transpose(1, 2))
        if seeing_FS is not None:
            thin = thin * seeing_FS[:, :, None]
        if self.delta.scale != 1.0:
            thin = thin * self.delta.scale
        more = torch.bmm(thin, self.delta.b_FOr.transpose(1, 2)).to(out.dtype)
        if not torch.is_grad_enabled():
            given[self.delta.rows_F, begin:] += more  # in place: a copy may have other strides, and so another kernel
            return out
        if self.whole:
            return (given + nn.functional.pad(more, (0, 0, begin, 0))).view(out.shape)
        places = torch.arange(begin, x.shape[1], device=x.device)
        return given.index_put((self.delta.rows_F[:, None], places[None]), more, accumulate=True).view(out.shape)

    def _places(self, length: int) -> tuple[int, Tensor | None]:
        """Where the earliest row begins, and from there on which places of each row are its own; None: all."""
        if self.first_F is None:
            return 0, None
        first_F = torch.where(self.first_F < 0, self.first_F + length, self.first_F).clamp(0, length)
        begin, last = int(first_F.min()), int(first_F.max())
        if begin == last:
            return begin, None
        return begin, torch.arange(begin, length, device=first_F.device) >= first_F[:, None]
