"""`memtune bench recall`: exact recall by free decoding through the router, surface by surface, and its cost."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from dataclasses import replace as change
from typing import Any

import torch

from memtune.bench import engine
from memtune.config import Config, DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.core.generate import Decoder, Request
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.stats import Rate, Spread, figure
from memtune.evaluate.surfaces import Surface, surfaces
from memtune.evaluate.temporary import learned
from memtune.model import MemoryModel

_TIMED = 64
_SHOWN = 200


@dataclass(frozen=True)
class Failure:
    id: str
    said: str
    facts: list[str]
    """What the router had confirmed."""


@dataclass
class OnSurface:
    """One surface."""

    surface: str
    exact: Rate
    skipped: int
    """Questions that do not fit into the model's context there."""
    prompt_tokens: float
    seconds_per_question: float
    to_base: Spread | None
    """Seconds of asking, routing included, over the plain model's for as many tokens after the same prompts."""
    failures: list[Failure]


@dataclass
class FreeSampling:
    """How likely free sampling says a fact word for word, if it is asked to sample there."""

    temperature: float
    probability: float
    n: int


@dataclass
class RecallResult:
    facts: int
    kind: str
    not_learned: dict[str, str]
    learn_seconds: float
    surfaces: list[OnSurface] = field(default_factory=list)
    free: list[FreeSampling] = field(default_factory=list)

    def sheets(self) -> list[Sheet]:
        rows = [
            [s.surface, str(s.exact), str(s.skipped), figure(s.prompt_tokens),
             f"{1000 * s.seconds_per_question:.1f}", str(s.to_base or "")]
            for s in self.surfaces
        ]  # fmt: skip
        title = f"Exact recall by free decoding through the router: {self.facts:,} facts, kind {self.kind}"
        columns = ["surface", "exact", "do not fit", "prompt tokens", "ms/question", "× base"]
        note = f"{len(self.not_learned)} facts could not be learned; they count as failures."
        free = [[f"{f.temperature:g}", f"{f.probability:.4f}", f"{f.n:,}"] for f in self.free]
        about = (
            "Mean over facts of the product of the answer's token probabilities, end token included, along the"
            " greedy path; 0 where that path is not the answer."
        )
        drawn = Sheet("fact_sampling=free", ["temperature", "probability of the exact answer", "n"], free, about)
        return [Sheet(title, columns, rows, note), drawn]


def measure(
    backbone: Backbone,
    facts: Sequence[Fact],
    config: Config,
    *,
    only: Sequence[Surface] | None = None,
    sample: int = 0,
    seed: int = 0,
    temperatures: Sequence[float] = (0.7, 1.0),
    say: Say = silent,
) -> RecallResult:
    """Learn all facts in one memory; ask all in the learned wording, and `sample` of them (0: all) elsewhere."""
    say(f"learning {len(facts):,} facts")
    drawn = random.Random(seed).sample(list(facts), min(sample or len(facts), len(facts)))
    with learned(backbone, facts, config) as made:
        failed = {f.id: f.reason for f in made.report.failed}
        result = RecallResult(len(facts), config.learn.kind, failed, made.report.seconds)
        for n, surface in enumerate(only or surfaces(backbone)):
            result.surfaces.append(_on_surface(made.model, drawn if n else facts, surface))
            say(f"{surface.name}: {result.surfaces[-1].exact}")
        result.free = _free_sampling(made.model, drawn, temperatures)
    return result


def _on_surface(model: MemoryModel, facts: Sequence[Fact], surface: Surface) -> OnSurface:
    decode = change(model.config.decode, **surface.decode)
    prompts = [len(model.memory.answering.prompt(surface.put(f.question), raw=surface.raw).ids) for f in facts]
    lengths = engine.answer_lengths(model.backbone, facts)
    fitting = [i for i in range(len(facts)) if prompts[i] + lengths[i] + 1 <= model.backbone.context]
    asked = [facts[i] for i in fitting]
    start = time.perf_counter()
    answers = engine.ask_for(model, asked, surface.put, decode, raw=surface.raw)
    seconds = time.perf_counter() - start
    failures = [
        Failure(f.id, a.text[:_SHOWN], [u.id for u in a.facts])
        for f, a in zip(asked, answers, strict=True)
        if a.text != f.answer
    ]
    return OnSurface(
        surface=surface.name,
        exact=Rate(len(asked) - len(failures), len(asked)),
        skipped=len(facts) - len(asked),
        prompt_tokens=sum(prompts[i] for i in fitting) / max(1, len(fitting)),
        seconds_per_question=seconds / max(1, len(asked)),
        to_base=_cost(model, asked, surface, decode),
        failures=failures,
    )


def _cost(model: MemoryModel, facts: Sequence[Fact], surface: Surface, decode: DecodeConfig) -> Spread | None:
    """Batch by batch: asking, and the plain model decoding as many steps after the same prompts."""
    some = facts[:_TIMED]
    ordered = [some[i] for i in engine.by_answer_length(model.backbone, some)]
    ratios, parts = [], list(engine.in_batches(ordered))
    for part in [*parts[:1], *parts]:  # the first time round warms up
        start = time.perf_counter()
        answers = engine.ask_for(model, part, surface.put, decode, raw=surface.raw)
        asked = time.perf_counter() - start
        steps = max(len(a.tokens) + (a.finish == "stop") for a in answers)
        as_long = change(decode, max_new_tokens=max(1, steps))
        ratios.append(asked / _base_seconds(model, [surface.put(f.question) for f in part], surface, as_long))
    return Spread.of(ratios[1:]) if ratios else None


def _base_seconds(model: MemoryModel, questions: Sequence[Any], surface: Surface, decode: DecodeConfig) -> float:
    start = time.perf_counter()
    with engine.endless(model.backbone):
        prompts = [model.memory.answering.prompt(q, raw=surface.raw) for q in questions]
        Decoder(model.backbone, [], [Request(p) for p in prompts], decode).finish()
    return time.perf_counter() - start


def _free_sampling(model: MemoryModel, facts: Sequence[Fact], temperatures: Sequence[float]) -> list[FreeSampling]:
    """One greedy pass gives the logits along the answer, and these the probabilities at every temperature."""
    totals, kinds = dict.fromkeys(temperatures, 0.0), list(model.memory.answering.kinds.values())
    for places in engine.in_batches(engine.by_answer_length(model.backbone, facts)):
        part = [facts[i] for i in places]
        requests = [engine.routed(model.memory.answering, f.question) for f in part]
        decode = engine.decoding(model.backbone, part)
        replies = engine.replies(model.backbone, kinds, requests, decode, keep_logits=True)
        for fact, reply in zip(part, replies, strict=True):
            if reply.text.strip() == fact.answer:
                logits = torch.stack(reply.logits).float()
                for temperature in temperatures:
                    chances = torch.log_softmax(logits / temperature, -1).amax(-1)
                    totals[temperature] += float(chances.sum().exp())
    return [FreeSampling(t, total / len(facts), len(facts)) for t, total in totals.items()]
