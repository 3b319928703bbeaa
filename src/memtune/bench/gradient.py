"""The same facts by gradient descent: low-rank adapters on all linear layers, and the whole model.

Favourable to the peers: loss on the answers only, batches of similar length, the best of a grid of rates, and
nothing but training on the clock. After an epoch in which nearly all facts were right under teacher forcing, and
at the end, every fact is decoded freely; 99 % of them exact ends the run.
"""

from __future__ import annotations

import copy
import importlib.util
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from memtune.bench.engine import answer_lengths, in_batches
from memtune.bench.machine import Peak
from memtune.config import DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.core.generate import Request, decode
from memtune.errors import ExtraMissing
from memtune.evaluate.output import Say
from memtune.evaluate.stats import Rate

RECALL = 0.99
_WORTH_DECODING = 0.95
_WARM_UP_STEPS = 10


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


@dataclass(frozen=True)
class Peer:
    method: str
    best: Run
    runs: list[Run]
    bytes_per_fact: float


def require() -> None:
    """Raise where the peers are not installed."""
    if importlib.util.find_spec("peft") is None:
        raise ExtraMissing("peft", "peers")


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
    method: str, rates: Sequence[float], prepare: Callable[[Any, Grid], list[Tensor]], backbone: Backbone,
    facts: Sequence[Fact], grid: Grid, time_limit: float, seed: int, say: Say,
) -> Peer:  # fmt: skip
    runs: list[Run] = []
    size = 0
    for rate in rates:
        peak = Peak()
        own = Backbone(copy.deepcopy(backbone.model), backbone.tokenizer, name=backbone.name)
        weights = prepare(own.model, grid)
        size = sum(w.numel() * w.element_size() for w in weights)
        run = _Training(own, facts, weights, rate, grid.batch, seed).run(time_limit)
        runs.append(Run(**run, peak_bytes=peak.bytes, above_start_bytes=peak.above))
        say(f"{method}, rate {rate:g}: recall {runs[-1].recall} after {runs[-1].seconds:.0f} s")
    return Peer(method, best_of(runs), runs, size / len(facts))


def best_of(runs: Sequence[Run]) -> Run:
    """The rate that got there first; where none did, the one with the highest recall."""
    return min(runs, key=lambda r: (r.reached_seconds or float("inf"), -r.recall.hits))


def _with_lora(model: Any, grid: Grid) -> list[Tensor]:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    shape = LoraConfig(
        r=grid.rank, lora_alpha=2 * grid.rank, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    get_peft_model(model, shape)
    return [p for p in model.parameters() if p.requires_grad]


def _all_free(model: Any, _: Grid) -> list[Tensor]:
    return [p.requires_grad_(True) for p in model.parameters()]


class _Training:
    """AdamW on the answers, with free decoding where it may have got there."""

    def __init__(
        self,
        backbone: Backbone,
        facts: Sequence[Fact],
        weights: list[Tensor],
        rate: float,
        batch: int,
        seed: int,
    ) -> None:
        self.backbone, self.facts, self.rate = backbone, facts, rate
        self.weights, self._random = weights, random.Random(seed)
        self.optimiser = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)
        self.batches = list(self._batches(batch))
        self.steps = 0

    def run(self, time_limit: float) -> dict[str, Any]:
        spent, right, recall, reached = 0.0, 0.0, Rate(0, len(self.facts)), None
        while spent < time_limit and right == right and reached is None:
            begin = time.perf_counter()
            right = self._epoch(begin + time_limit - spent)
            spent += time.perf_counter() - begin
            if right >= _WORTH_DECODING:
                recall = self._recall()
                reached = spent if (recall.value or 0.0) >= RECALL else None
        if reached is None:
            recall = self._recall()
            reached = spent if (recall.value or 0.0) >= RECALL else None
        epochs = self.steps / len(self.batches)
        return dict(rate=self.rate, seconds=spent, epochs=epochs, recall=recall, reached_seconds=reached)

    def _batches(self, size: int) -> Iterator[tuple[list[list[int]], list[list[int]]]]:
        """Rows of tokens and the answers they end with, similar lengths together."""
        prompts = self.backbone.template.questions([f.question for f in self.facts])
        answers = self.backbone.writer.tokens([f.answer for f in self.facts], prompts[0].tail)
        end = [] if self.backbone.end_id is None else [self.backbone.end_id]
        spelled = [([*p.ids, *a, *end], [*a, *end]) for p, a in zip(prompts, answers, strict=True) if a]
        spelled = [s for s in spelled if len(s[0]) <= self.backbone.context]
        for part in in_batches(sorted(spelled, key=lambda s: len(s[0])), size):
            yield [row for row, _ in part], [answer for _, answer in part]

    def _epoch(self, deadline: float) -> float:
        """Once over the facts; the share that was right under teacher forcing, NaN when it has diverged."""
        right = seen = 0
        for rows, answers in self._random.sample(self.batches, len(self.batches)):
            loss, exact = self._step(rows, answers)
            if loss != loss:
                return float("nan")
            right, seen = right + exact, seen + len(rows)
            if time.perf_counter() > deadline:
                break
        return right / seen

    def _step(self, rows: list[list[int]], answers: list[list[int]]) -> tuple[float, int]:
        h = self.backbone.model.base_model(input_ids=self.backbone.pad_right(rows), use_cache=False).last_hidden_state
        places = torch.cat(
            [h[i, len(r) - len(a) - 1 : len(r) - 1] for i, (r, a) in enumerate(zip(rows, answers, strict=True))]
        )
        logits = self.backbone.logits(places).float()
        targets = torch.tensor([t for a in answers for t in a], device=logits.device)
        loss = torch.nn.functional.cross_entropy(logits, targets)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.steps += 1
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * min(1.0, self.steps / _WARM_UP_STEPS)
        self.optimiser.step()
        hit = (logits.argmax(-1) == targets).split([len(a) for a in answers])
        return float(loss.detach()), sum(bool(h.all()) for h in hit)

    def _recall(self) -> Rate:
        """All facts, decoded freely in the same engine."""
        config = DecodeConfig(max_new_tokens=max(answer_lengths(self.backbone, self.facts)) + 8)
        prompts = self.backbone.template.questions([f.question for f in self.facts])
        replies = decode(self.backbone, [], [Request(p) for p in prompts], config)
        return Rate.of(r.text.strip() == f.answer for r, f in zip(replies, self.facts, strict=True))
