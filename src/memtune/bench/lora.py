"""`memtune bench lora`: low-rank experts beside peft LoRA, and experts of a lot beside single ones.

The same mathematics first: one expert for all facts, and an adapter of peft, on the same layers, with the same rank,
rate, start and batch. Then what experts of their own are worth: facts a second until nearly all are recalled.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from memtune.bench import engine, gradient
from memtune.checked import replace
from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.core.gradient.low_rank import LowRank
from memtune.core.gradient.sites import Site, find_sites
from memtune.core.gradient.training import Example, Settings, train
from memtune.core.kinds.lora import Lora
from memtune.evaluate.compare.training import Training, answer_places, beside, size_of, spelled
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.stats import Rate, Spread, figure
from memtune.evaluate.temporary import learned

_RATES = (3e-3, 1e-2, 3e-2)
"""Of peft on the same layers; on all layers those of `memtune bench learn`."""
_STEPS = 30
_SAME_RATE = 3e-3


@dataclass
class Same:
    """One expert for all facts, and peft's adapter, step by step."""

    memtune: list[float]
    peft: list[float]

    @property
    def apart(self) -> float:
        """The largest difference of a loss, as a share of it."""
        return max(abs(a - b) / b for a, b in zip(self.memtune, self.peft, strict=True))


@dataclass
class Together:
    """Experts of one lot, and the same experts one after the other."""

    experts: int
    together: Spread
    alone: Spread

    @property
    def times(self) -> float:
        return self.alone.median / self.together.median


@dataclass
class LoraResult:
    facts: int
    time_limit: float
    settings: dict[str, Any]
    same: Same | None = None
    seconds: Spread | None = None
    """From the file to the durable commit, proof included."""
    recall: Rate | None = None
    not_learned: list[str] = field(default_factory=list)
    bytes_per_fact: float = 0.0
    peers: list[gradient.Peer] = field(default_factory=list)
    lots: Together | None = None

    def speed_up(self, peer: gradient.Peer) -> float | None:
        """How many times faster than a peer; None unless both reached the recall that is asked for."""
        if peer.best.reached_seconds is None or self.seconds is None or self.recall is None:
            return None
        return peer.best.reached_seconds / self.seconds.median if (self.recall.value or 0) >= gradient.RECALL else None

    def sheets(self) -> list[Sheet]:
        sheets = [self._speeds()] if self.seconds else []
        if self.same:
            columns = [
                "the same mathematics",
                "loss before",
                f"after {len(self.same.peft)} steps",
                "largest difference",
            ]
            rows = [
                ["memtune, one expert for all", figure(self.same.memtune[0]), figure(self.same.memtune[-1]), ""],
                ["peft", figure(self.same.peft[0]), figure(self.same.peft[-1]), f"{100 * self.same.apart:.2g} %"],
            ]
            sheets.append(Sheet("Same layers, rank, rate, start and batch", columns, rows))
        if self.lots:
            lots = self.lots
            columns = ["experts", "together, s", "one by one, s", "times"]
            rows = [[str(lots.experts), str(lots.together), str(lots.alone), figure(lots.times)]]
            sheets.append(Sheet("Experts of one lot", columns, rows))
        return sheets

    def _speeds(self) -> Sheet:
        assert self.seconds is not None
        columns = ["method", "s", "facts/s", "recall (free decoding)", "bytes/fact", "memtune is faster by"]
        rate = figure(self.facts / self.seconds.median)
        rows = [["memtune lora", str(self.seconds), rate, str(self.recall), f"{self.bytes_per_fact:,.0f}", ""]]
        for peer in self.peers:
            best, times = peer.best, self.speed_up(peer)
            name, size = f"{peer.method}, rate {best.rate:g}", f"{peer.bytes_per_fact:,.0f}"
            if best.reached_seconds is None:
                rows.append([name, f"not reached in {self.time_limit:g} s", "", str(best.recall), size, ""])
                continue
            quick = [figure(best.reached_seconds), figure(self.facts / best.reached_seconds)]
            rows.append([name, *quick, str(best.recall), size, figure(times) if times else ""])
        return Sheet(f"Learning {self.facts:,} facts", columns, rows)


def measure(
    backbone: Backbone,
    facts: Sequence[Fact],
    config: Config,
    *,
    with_peers: bool = True,
    grid: gradient.Grid | None = None,
    time_limit: float = 60.0,
    repeats: int = 3,
    steps: int = _STEPS,
    seed: int = 0,
    say: Say = silent,
) -> LoraResult:
    result = LoraResult(len(facts), time_limit, vars(config.lora))
    _learn(backbone, facts, config, repeats, result, say)
    say("experts of one lot, and one by one")
    result.lots = together(backbone, facts, config, repeats)
    if with_peers:
        sites = find_sites(backbone, config.lora.blocks, config.lora.targets)
        result.same = same(backbone, facts, config, sites, steps)
        result.peers = [_peer_on(sites, backbone, facts, config, time_limit, seed, say)]
        wide = grid or gradient.Grid()
        result.peers += gradient.measure(
            backbone, facts, dataclasses.replace(wide, full_rates=()), time_limit, seed, say
        )
    return result


def _learn(
    backbone: Backbone, facts: Sequence[Fact], config: Config, repeats: int, result: LoraResult, say: Say
) -> None:
    seconds = []
    config = dataclasses.replace(config, learn=replace(config.learn, kind="lora"))
    for number in range(repeats):
        with learned(engine.cold(backbone), facts, config) as made:
            seconds.append(made.report.seconds)
            say(f"round {number + 1}: lora: {seconds[-1]:.1f} s")
            if number + 1 == repeats:
                answers = engine.ask_for(made.model, facts)
                result.recall = Rate.of(a.text == f.answer for f, a in zip(facts, answers, strict=True))
                result.not_learned = [f.id for f in made.report.failed]
                result.bytes_per_fact = made.report.bytes_per_fact
    result.seconds = Spread.of(seconds)


# ---- experts of a lot -----------------------------------------------------------------------------------------------


def examples_of(backbone: Backbone, facts: Sequence[Fact]) -> list[Example]:
    """An expert for each fact."""
    rows = spelled(backbone, facts)
    return [Example(i, row[: len(row) - len(a)], a) for i, (row, a) in enumerate(rows)]


def together(backbone: Backbone, facts: Sequence[Fact], config: Config, repeats: int, most: int = 64) -> Together:
    kind, examples = Lora(config), examples_of(backbone, facts)[:most]

    def at_once() -> float:
        return _timed(kind, backbone, [examples])

    def one_by_one() -> float:
        return _timed(kind, backbone, [[dataclasses.replace(e, owner=0)] for e in examples])

    _timed(kind, backbone, [examples[:1]])  # the first pass of a process is slower
    times = [(at_once(), one_by_one()) for _ in range(repeats)]
    return Together(len(examples), Spread.of(t for t, _ in times), Spread.of(t for _, t in times))


def _timed(kind: Lora, backbone: Backbone, lots: Sequence[Sequence[Example]]) -> float:
    begin = time.perf_counter()
    for lot in lots:
        train(backbone, kind.fresh(backbone, len(lot)), lot, kind.settings())
    return time.perf_counter() - begin


# ---- peft -----------------------------------------------------------------------------------------------------------


def same(backbone: Backbone, facts: Sequence[Fact], config: Config, sites: Sequence[Site], steps: int) -> Same:
    """One expert on all facts and positions, and peft's adapter from the same start, all facts in each step."""
    given = config.lora
    expert = LowRank.fresh(backbone, sites, 1, rank=given.r_value, alpha=given.alpha, seed=given.seed, everywhere=True)
    start = [leaf.value[0].clone() for leaf in expert.leaves[::2]]
    examples = [dataclasses.replace(e, owner=0) for e in examples_of(backbone, facts)]
    mine = train(backbone, expert, examples, Settings(_SAME_RATE, steps, batch_size=len(examples)))
    own = beside(backbone)
    weights = _adapted(own, sites, config, start)
    return Same(mine.losses[0], _peft_losses(own, facts, weights, steps))


def _peft_losses(own: Backbone, facts: Sequence[Fact], weights: Sequence[Tensor], steps: int) -> list[float]:
    pairs = spelled(own, facts)
    rows, answers = [row for row, _ in pairs], [answer for _, answer in pairs]
    ids, targets = own.pad_right(rows), torch.tensor([t for a in answers for t in a], device=own.device)
    adam, losses = torch.optim.Adam(weights, lr=_SAME_RATE), []
    for _ in range(steps):
        h = own.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        loss = torch.nn.functional.cross_entropy(own.logits(answer_places(h, rows, answers)).float(), targets)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(float(loss.detach()))
    return losses


def _adapted(own: Backbone, sites: Sequence[Site], config: Config, start: Sequence[Tensor] = ()) -> list[Tensor]:
    """peft's adapter on the modules at these sites; with `start` as what its first factors begin with."""
    from peft import LoraConfig, get_peft_model

    blocks = next(name for name, module in own.model.named_modules() if module is own.blocks)
    targets = [f"{blocks}.{site.name}" for site in sites]
    shape = LoraConfig(
        r=config.lora.r_value, lora_alpha=int(config.lora.alpha), lora_dropout=0.0, target_modules=targets,
        task_type="CAUSAL_LM",
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(config.lora.seed)
        get_peft_model(own.model, shape)
    for target, a in zip(targets, start, strict=bool(start)):
        own.model.get_submodule(target).lora_A["default"].weight.data.copy_(a)
    return [p for p in own.model.parameters() if p.requires_grad]


def _peer_on(
    sites: Sequence[Site], backbone: Backbone, facts: Sequence[Fact], config: Config, time_limit: float, seed: int,
    say: Say,
) -> gradient.Peer:  # fmt: skip
    """peft's adapter on the same layers with the same rank, one for all facts, at its best rate."""
    name = f"peft LoRA r={config.lora.r_value}, same layers"
    runs, size = list[gradient.Run](), 0
    for rate in _RATES:
        own = beside(backbone)
        weights = _adapted(own, sites, config)
        size = size_of(weights)
        run = Training(own, facts, weights, rate, gradient.Grid().batch, seed).run(time_limit)
        runs.append(gradient.Run(rate, **vars(run), peak_bytes=None, above_start_bytes=None))
        say(f"{name}, rate {rate:g}: recall {run.recall} after {run.seconds:.0f} s")
    return gradient.Peer(name, gradient.best_of(runs), runs, size / len(facts))
