"""Low-rank factors on linear layers: many experts in one stack, each with a and b of its own at every site.

An expert adds scale · (x aᵀ) bᵀ to the output of a linear layer, for its own rows of a batch only.

Shapes: E experts, B rows, I inputs, O outputs, r rank.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from memtune.core.backbone import Backbone
from memtune.core.experts import Tensors
from memtune.core.gradient.sites import Delta, Site, adding, site_named
from memtune.core.gradient.trainable import Leaf

SCALE, EVERYWHERE = "scale", "everywhere"
"""Beside the factors, a stored expert says what its product is multiplied by, and whether it acts on all positions or
from the last token of the prompt on."""


class LowRank:
    """Experts of one lot, stacked."""

    def __init__(
        self, sites: Sequence[Site], a: Sequence[Tensor], b: Sequence[Tensor], scale: float, *, everywhere: bool,
        rate_of_b: float = 1.0,
    ) -> None:  # fmt: skip
        """`everywhere`: the experts act on all positions. `rate_of_b`: how many times faster b learns than a."""
        self.sites, self.scale, self.everywhere = list(sites), scale, everywhere
        self.leaves = [leaf for pair in zip(a, b, strict=True) for leaf in (Leaf(pair[0]), Leaf(pair[1], rate_of_b))]

    @classmethod
    def fresh(
        cls, backbone: Backbone, sites: Sequence[Site], experts: int, *, rank: int, alpha: float, seed: int,
        everywhere: bool, rate_of_b: float = 1.0,
    ) -> LowRank:  # fmt: skip
        """Experts that do nothing yet, begun as is usual: a drawn evenly, b zero. All begin alike, so that what becomes
        of one does not depend on its neighbours."""
        draw = torch.Generator().manual_seed(seed)
        a = []
        for site in sites:
            start = (torch.rand(rank, site.inputs, generator=draw) * 2 - 1) / math.sqrt(site.inputs)
            a.append(start.repeat(experts, 1, 1).to(backbone.device))
        b = [torch.zeros(experts, site.outputs, rank, device=backbone.device) for site in sites]
        return cls(sites, a, b, alpha / rank, everywhere=everywhere, rate_of_b=rate_of_b)

    @classmethod
    def stored(cls, backbone: Backbone, experts: Sequence[Tensors], *, rate_of_b: float = 1.0) -> LowRank:
        """Experts of one shape out of what was stored, to be trained on or measured."""
        sites = [site_named(backbone, name) for name in site_names(experts[0])]

        def stacked(part: str) -> list[Tensor]:
            return [torch.stack([e[f"{s.name}.{part}"].float() for e in experts]).to(backbone.device) for s in sites]

        scale, everywhere = float(experts[0][SCALE]), bool(experts[0][EVERYWHERE])
        return cls(sites, stacked("a"), stacked("b"), scale, everywhere=everywhere, rate_of_b=rate_of_b)

    @property
    def frozen_below(self) -> int | None:
        """The first block that the experts change, where they leave the prompt alone."""
        return None if self.everywhere else min(site.block for site in self.sites)

    @contextmanager
    def acting(self, owner_B: Tensor, first_B: Tensor) -> Iterator[None]:
        """While inside, each row of the batch is under its owner (−1: none), from `first_B` on or everywhere."""
        rows_F = (owner_B >= 0).nonzero()[:, 0]
        owner_F = owner_B[rows_F]
        in_order = torch.arange(len(self.leaves[0].value), device=owner_B.device)
        each_once = torch.equal(owner_F, in_order)

        def factors(leaf: Leaf) -> Tensor:
            return leaf.value if each_once else leaf.value[owner_F]

        deltas = [
            Delta(site.module, rows_F, factors(a), factors(b), self.scale)
            for site, a, b in zip(self.sites, self.leaves[::2], self.leaves[1::2], strict=True)
        ]
        with adding(deltas, len(owner_B), None if self.everywhere else first_B):
            yield

    def tensors(self) -> list[dict[str, Tensor]]:
        """Each expert as it is stored."""
        stored: list[dict[str, Tensor]] = []
        columns = {
            f"{site.name}.{part}": leaf.value.detach().to(torch.bfloat16).cpu()
            for site, pair in zip(self.sites, zip(self.leaves[::2], self.leaves[1::2], strict=True), strict=True)
            for part, leaf in zip("ab", pair, strict=True)
        }
        for e in range(len(self.leaves[0].value)):
            own = {name: column[e].clone() for name, column in columns.items()}
            stored.append(own | {SCALE: torch.tensor([self.scale]), EVERYWHERE: torch.tensor([self.everywhere])})
        return stored


def site_names(expert: Tensors) -> list[str]:
    """The sites of a stored expert."""
    return [name[: -len(".a")] for name in expert if name.endswith(".a")]


def acts_everywhere(expert: Tensors) -> bool:
    return bool(expert[EVERYWHERE])


def gather(backbone: Backbone, by_row: Sequence[Sequence[Tensors]]) -> list[Delta]:
    """The deltas of stored experts for a batch: where a row has several, theirs are added up. Experts of one row may
    have other sites and ranks than those of the next."""
    names = dict.fromkeys(name for experts in by_row for expert in experts for name in site_names(expert))
    return [_gather_site(backbone, site_named(backbone, name), by_row) for name in names]


def _gather_site(backbone: Backbone, site: Site, by_row: Sequence[Sequence[Tensors]]) -> Delta:
    here = [[e for e in experts if f"{site.name}.a" in e] for experts in by_row]
    rows = [row for row, experts in enumerate(here) if experts]
    a_side = [torch.cat([e[f"{site.name}.a"] for e in here[row]]).float() for row in rows]
    b_side = [torch.cat([e[f"{site.name}.b"] * e[SCALE].float() for e in here[row]], dim=1) for row in rows]
    rank = max(len(a) for a in a_side)
    a_FrI = torch.zeros(len(rows), rank, site.inputs)
    b_FOr = torch.zeros(len(rows), site.outputs, rank)
    for i, (a, b) in enumerate(zip(a_side, b_side, strict=True)):
        a_FrI[i, : len(a)], b_FOr[i, :, : len(a)] = a, b
    device, dtype = backbone.device, backbone.dtype
    return Delta(site.module, torch.tensor(rows, device=device), a_FrI.to(device, dtype), b_FOr.to(device, dtype))
