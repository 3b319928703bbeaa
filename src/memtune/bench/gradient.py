"""The same facts by gradient descent: low-rank adapters on all linear layers, and the whole model.

Favourable to the peers: loss on the answers only, batches of similar length, the best of a grid of rates, and
nothing but training on the clock. How they are trained, and when they have got there, is the race's
(`evaluate/compare/training.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from memtune.bench.machine import Peak
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.evaluate.compare.trained import standing
from memtune.evaluate.compare.training import RECALL, Training, add_lora, copy_of, free_all, size_of
from memtune.evaluate.compare.training import require_peft as require
from memtune.evaluate.output import Say
from memtune.evaluate.stats import Rate

__all__ = ["RECALL", "Grid", "Peer", "Run", "best_of", "measure", "require"]


@dataclass(frozen=True)
class Grid:
    """What is tried. Times are for one rate each."""

    lora_rates: tuple[float, ...] = (3e-4, 1e-3, 2e-3)
    full_rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3)
    rank: int = 32
    batch: int = 32


@dataclass(frozen=True)
class Run:
    """One rate."""

    rate: float
    seconds: float
    """Of training, decoding not counted."""
    epochs: float
    recall: Rate
    reached_seconds: float | None
    """When the recall was reached; None when it was not."""
    peak_bytes: int | None
    above_start_bytes: int | None
    diverged: bool = False


@dataclass(frozen=True)
class Peer:
    method: str
    best: Run
    runs: list[Run]
    bytes_per_fact: float


def measure(
    backbone: Backbone, facts: Sequence[Fact], grid: Grid, time_limit: float, seed: int, say: Say
) -> list[Peer]:
    """Both methods, each with the best rate of its grid; one whose grid is empty is left out."""
    found = []
    if grid.lora_rates:
        require()
        name = f"peft LoRA r={grid.rank}"
        found.append(_peer(name, grid.lora_rates, _with_lora, backbone, facts, grid, time_limit, seed, say))
    if grid.full_rates:
        name = "full fine-tuning"
        found.append(_peer(name, grid.full_rates, _all_free, backbone, facts, grid, time_limit, seed, say))
    return found


def _peer(
    method: str, rates: Sequence[float], prepare: Callable[[Any, Grid, int], list[Tensor]], backbone: Backbone,
    facts: Sequence[Fact], grid: Grid, time_limit: float, seed: int, say: Say,
) -> Peer:  # fmt: skip
    runs: list[Run] = []
    size = 0
    for rate in rates:
        peak = Peak()
        own = copy_of(backbone)
        weights = prepare(own.model, grid, seed)
        size = size_of(weights)
        run = Training(own, facts, weights, rate, grid.batch, seed).run(time_limit)
        runs.append(Run(rate, **vars(run), peak_bytes=peak.bytes, above_start_bytes=peak.above))
        say(f"{method}, rate {rate:g}: recall {runs[-1].recall} after {runs[-1].seconds:.0f} s")
    return Peer(method, best_of(runs), runs, size / len(facts))


def best_of(runs: Sequence[Run]) -> Run:
    """The rate that got there first; where none did, the one with the highest recall."""
    return min(runs, key=standing)


def _with_lora(model: Any, grid: Grid, seed: int) -> list[Tensor]:
    return add_lora(model, grid.rank, seed)


def _all_free(model: Any, _: Grid, __: int) -> list[Tensor]:
    return free_all(model)
