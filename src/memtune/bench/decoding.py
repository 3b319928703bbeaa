"""`memtune bench decode`: tokens per second with and without experts, a distinct one in every row."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as change
from typing import Any

import torch

from memtune.bench import engine
from memtune.config import Config, DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.experts import Expert
from memtune.core.facts import Fact
from memtune.core.generate import Decoder, Request
from memtune.errors import UsageError
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.stats import Spread
from memtune.evaluate.temporary import learned

_PROMPTS = 16


@dataclass
class Arm:
    """One way of decoding, at one batch size."""

    name: str
    batch: int
    tokens_per_second: Spread
    to_base: Spread
    """Base seconds over its own, run by run: 1 is as fast as the base model."""
    steps_to_base: Spread | None
    """The same without the prompt's pass; None where steps cannot be told apart."""


@dataclass
class DecodeResult:
    prompts: int
    tokens: int
    """Decoded for each prompt, in every arm."""
    repeats: int
    arms: list[Arm] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def sheets(self) -> list[Sheet]:
        rows = [
            [
                arm.name,
                str(arm.batch),
                str(arm.tokens_per_second),
                str(arm.to_base),
                str(arm.steps_to_base or ""),
            ]
            for arm in self.arms
        ]
        title = f"Decoding {self.tokens} tokens after each of {self.prompts} prompts, {self.repeats} times"
        columns = ["arm", "batch", "tokens/s", "of base speed", "without the prompt's pass"]
        note = "The experts act at every step. " + " ".join(self.skipped)
        return [Sheet(title, columns, rows, note)]


def measure(
    backbone: Backbone,
    facts: Sequence[Fact],
    config: Config,
    *,
    kinds: Sequence[str] = ("imprint", "kv", "imprint+kv"),
    batches: Sequence[int] = (1, 16),
    max_tokens: int = 64,
    repeats: int = 7,
    say: Say = silent,
) -> DecodeResult:
    """The facts with the longest answers, cut to the length that all of them have."""
    chosen, tokens = _longest(backbone, facts, max(*batches, _PROMPTS), max_tokens)
    missing = backbone.attention.missing
    able = [k for k in kinds if missing is None or "kv" not in k]
    skipped = [] if len(able) == len(kinds) else [f"kv is left out: {missing}."]
    result = DecodeResult(len(chosen), tokens, repeats, skipped=skipped)
    requests = {kind: _requests(backbone, chosen, config, kind) for kind in able}
    for batch in batches:
        say(f"batch {batch}")
        result.arms += _compare(backbone, requests, batch, tokens, repeats)
    return result


def _longest(backbone: Backbone, facts: Sequence[Fact], n: int, max_tokens: int) -> tuple[list[Fact], int]:
    """n facts, and the number of tokens for which each of them is being recited."""
    lengths = engine.answer_lengths(backbone, facts)
    order = sorted(range(len(facts)), key=lambda i: -lengths[i])[:n]
    if len(order) < n:
        raise UsageError(
            f"{len(facts)} facts are too few for {n} distinct experts",
            hint="give more facts, or a larger --n",
        )
    return [facts[i] for i in order], min(max_tokens, lengths[order[-1]])


@dataclass
class _Kind:
    kinds: list[Any]
    requests: list[Request]


def _requests(backbone: Backbone, facts: Sequence[Fact], config: Config, kind: str) -> _Kind:
    with learned(backbone, facts, config, kind) as made:
        engine.require_learned(made.report, lambda report: kind == "kv" or report.learned == len(facts))
        answering = made.model.memory.answering
        found = [engine.handed(answering, f.question, [f.id]) for f in facts]
        requests = [Request(r.prompt, _kept(r.experts), end=False) for r in found]
        return _Kind(list(answering.kinds.values()), requests)


def _kept(experts: Mapping[str, Sequence[Expert]]) -> dict[str, list[Expert]]:
    """Copies that outlive the memory's folder."""
    return {
        name: [change(e, tensors={k: t.clone() for k, t in e.tensors.items()}) for e in chosen]
        for name, chosen in experts.items()
    }


def _compare(backbone: Backbone, kinds: dict[str, _Kind], batch: int, tokens: int, repeats: int) -> list[Arm]:
    prompts = [engine.plain(r) for r in next(iter(kinds.values())).requests]
    decode = DecodeConfig(max_new_tokens=tokens)
    runs: dict[str, Callable[[], tuple[float, float]]] = {
        "base": lambda: _time(backbone, [], prompts, decode, batch),
        **{f"with {name}": _timer(backbone, kind, decode, batch) for name, kind in kinds.items()},
        "transformers generate": lambda: (_time_generate(backbone, prompts, tokens, batch), float("nan")),
    }
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        names = list(runs)[turn % len(runs) :] + list(runs)[: turn % len(runs)]
        for name in names:
            took = runs[name]()
            if turn:  # the first turn warms up
                seconds[name].append(took)
    return [_arm(name, batch, took, seconds["base"], tokens * len(prompts)) for name, took in seconds.items()]


def _timer(backbone: Backbone, kind: _Kind, config: DecodeConfig, batch: int) -> Callable[[], tuple[float, float]]:
    return lambda: _time(backbone, kind.kinds, kind.requests, config, batch)


def _time(
    backbone: Backbone, kinds: Sequence[Any], requests: Sequence[Request], config: DecodeConfig, batch: int
) -> tuple[float, float]:
    """Seconds of everything, arming included, and of the steps after the first."""
    whole = steps = 0.0
    with engine.endless(backbone):
        for part in engine.in_batches(requests, batch):
            start = time.perf_counter()
            decoder = Decoder(backbone, kinds, part, config)
            run = decoder.run()
            next(run)
            first = time.perf_counter()
            for _ in run:
                pass
            end = time.perf_counter()
            whole, steps = whole + end - start, steps + end - first
            assert all(len(reply.tokens) == config.max_new_tokens for reply in decoder.replies)
    return whole, steps


@torch.inference_mode()
def _time_generate(backbone: Backbone, requests: Sequence[Request], tokens: int, batch: int) -> float:
    seconds = 0.0
    for part in engine.in_batches(requests, batch):
        start = time.perf_counter()
        width = max(len(r.prompt.ids) for r in part)
        ids = torch.full((len(part), width), backbone.pad_id)
        mask = torch.zeros_like(ids)
        for i, request in enumerate(part):
            own = torch.tensor(request.prompt.ids)
            ids[i, width - len(own) :], mask[i, width - len(own) :] = own, 1
        out = backbone.model.generate(
            ids.to(backbone.device), attention_mask=mask.to(backbone.device), do_sample=False,
            max_new_tokens=tokens, min_new_tokens=tokens, pad_token_id=backbone.pad_id,
        )  # fmt: skip
        seconds += time.perf_counter() - start
        assert out.shape[1] == width + tokens
    return seconds


def _arm(name: str, batch: int, took: list[tuple[float, float]], base: list[tuple[float, float]], tokens: int) -> Arm:
    steps = [b[1] / t[1] for b, t in zip(base, took, strict=True) if t[1]]
    return Arm(
        name=name,
        batch=batch,
        tokens_per_second=Spread.of(tokens / whole for whole, _ in took),
        to_base=Spread.of(b[0] / t[0] for b, t in zip(base, took, strict=True)),
        steps_to_base=Spread.of(steps) if steps and steps[0] == steps[0] else None,
    )
