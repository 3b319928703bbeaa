"""Gradient descent on facts: loss on the answers only, batches of similar length, free decoding as the judge.

After an epoch in which nearly all facts were right under teacher forcing, and at the end, every fact is decoded
freely; 99 % of them exact ends the run, once those that must be exact are. Decoding is never on the clock.
"""

from __future__ import annotations

import copy
import importlib.util
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from memtune.config import DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.core.generate import Request, decode
from memtune.errors import ExtraMissing, InputError
from memtune.evaluate.stats import Rate

RECALL = 0.99
_WORTH_DECODING = 0.95
_WARM_UP_STEPS = 10
_SLACK = 8
"""Tokens that a reply may have beyond the longest answer."""

Batch = tuple[list[list[int]], list[list[int]]]
"""Rows of tokens, and the answers that they end with."""


@dataclass(frozen=True)
class Outcome:
    """One run at one rate."""

    seconds: float
    """Of training, decoding not counted."""
    epochs: float
    recall: Rate
    reached_seconds: float | None
    """When the recall was reached; None when it was not."""
    diverged: bool = False
    """The loss left all bounds: the weights are worth nothing, and nothing was decoded."""


def require_peft() -> None:
    """Raise where the package for low-rank adapters is not installed."""
    if importlib.util.find_spec("peft") is None:
        raise ExtraMissing("peft", "peers")


def copy_of(backbone: Backbone) -> Backbone:
    """The same model with weights of its own."""
    return Backbone(copy.deepcopy(backbone.model), backbone.tokenizer, name=backbone.name).with_template(
        backbone.template.chat_template
    )


def beside(backbone: Backbone) -> Backbone:
    """Modules of its own around the same weights, which must stay as they are: for what is only added to a model."""
    held = itertools.chain(backbone.model.parameters(), backbone.model.buffers())
    model = copy.deepcopy(backbone.model, {id(tensor): tensor for tensor in held})
    return Backbone(model, backbone.tokenizer, name=backbone.name).with_template(backbone.template.chat_template)


def add_lora(model: Any, rank: int, seed: int) -> list[Tensor]:
    """Low-rank adapters on all linear layers but the unembedding; their weights. What they begin with is drawn by the
    seed, and the caller's own generator goes on where it stood."""
    from peft import LoraConfig, get_peft_model

    shape = LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        get_peft_model(model, shape)
    return [p for p in model.parameters() if p.requires_grad]


def free_all(model: Any) -> list[Tensor]:
    """Every weight of the model, free to move."""
    return [p.requires_grad_(True) for p in model.parameters()]


def size_of(weights: Sequence[Tensor]) -> int:
    return sum(w.numel() * w.element_size() for w in weights)


def spelled(backbone: Backbone, facts: Sequence[Fact]) -> list[tuple[list[int], list[int]]]:
    """For each fact that the context has room for: the whole row of tokens, and the answer that it ends with."""
    prompts = backbone.template.questions([f.question for f in facts])
    answers = backbone.writer.tokens([f.answer for f in facts], prompts[0].tail)
    end = [] if backbone.end_id is None else [backbone.end_id]
    rows = [([*p.ids, *a, *end], [*a, *end]) for p, a in zip(prompts, answers, strict=True) if a]
    return [row for row in rows if len(row[0]) <= backbone.context]


def decoded(backbone: Backbone, facts: Sequence[Fact]) -> Rate:
    """How many facts free decoding gives exactly."""
    prompts = backbone.template.questions([f.question for f in facts])
    lengths = [len(a or ()) for a in backbone.writer.tokens([f.answer for f in facts], prompts[0].tail)]
    replies = decode(backbone, [], [Request(p) for p in prompts], DecodeConfig(max_new_tokens=max(lengths) + _SLACK))
    return Rate.of(r.text.strip() == f.answer for r, f in zip(replies, facts, strict=True))


class Training:
    """AdamW on the answers, with free decoding where it may have got there."""

    def __init__(
        self, backbone: Backbone, facts: Sequence[Fact], weights: list[Tensor], rate: float, batch: int, seed: int,
        must: Sequence[Fact] = (),
    ) -> None:  # fmt: skip
        """`must`: those of the facts without which it has not got there, whatever share of all is recalled."""
        self.backbone, self.facts, self.rate, self.must = backbone, facts, rate, must
        self.weights, self._random = weights, random.Random(seed)
        self.optimiser = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)
        self.batches = list(self._batches(batch))
        self.losses: list[float] = []
        """One for each step so far."""
        self._next = self._endless()

    def run(self, time_limit: float) -> Outcome:
        """Train until the facts are recalled, or the time is over."""
        spent, right = 0.0, 0.0
        while spent < time_limit:
            begin = time.perf_counter()
            right = self._epoch(begin + time_limit - spent)
            spent += time.perf_counter() - begin
            if right != right:
                return Outcome(spent, self.epochs, Rate(0, len(self.facts)), None, diverged=True)
            if right >= _WORTH_DECODING and self._all_that_must():
                recall = self.recall()
                if (recall.value or 0.0) >= RECALL:
                    return Outcome(spent, self.epochs, recall, spent)
        recall = self.recall()
        there = (recall.value or 0.0) >= RECALL and self._all_that_must()
        return Outcome(spent, self.epochs, recall, spent if there else None)

    def advance(self, steps: int) -> None:
        """So many more steps, fewer where the loss has left all bounds."""
        for rows, answers in itertools.islice(self._next, steps):
            loss, _ = self._step(rows, answers)
            if loss != loss:
                return

    def recall(self) -> Rate:
        """All facts, decoded freely in the same engine."""
        return decoded(self.backbone, self.facts)

    def _all_that_must(self) -> bool:
        if not self.must:
            return True
        found = decoded(self.backbone, self.must)
        return found.hits == found.n

    @property
    def epochs(self) -> float:
        return len(self.losses) / len(self.batches)

    def _batches(self, size: int) -> Iterator[Batch]:
        """Similar lengths together."""
        rows = sorted(spelled(self.backbone, self.facts), key=lambda s: len(s[0]))
        if not rows:
            raise InputError("none of these facts can be spelled within the model's context")
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            yield [row for row, _ in part], [answer for _, answer in part]

    def _endless(self) -> Iterator[Batch]:
        while True:
            yield from self._random.sample(self.batches, len(self.batches))

    def _epoch(self, deadline: float) -> float:
        """Once over the facts; the share that was right under teacher forcing, NaN when it has diverged."""
        right = seen = 0
        for rows, answers in itertools.islice(self._next, len(self.batches)):
            loss, exact = self._step(rows, answers)
            if loss != loss:
                return float("nan")
            right, seen = right + exact, seen + len(rows)
            if time.perf_counter() > deadline:
                break
        return right / seen

    def _step(self, rows: list[list[int]], answers: list[list[int]]) -> tuple[float, int]:
        h = self.backbone.model.base_model(input_ids=self.backbone.pad_right(rows), use_cache=False).last_hidden_state
        logits = self.backbone.logits(answer_places(h, rows, answers)).float()
        targets = torch.tensor([t for a in answers for t in a], device=logits.device)
        loss = torch.nn.functional.cross_entropy(logits, targets)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.losses.append(float(loss.detach()))
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * min(1.0, len(self.losses) / _WARM_UP_STEPS)
        self.optimiser.step()
        hit = (logits.argmax(-1) == targets).split([len(a) for a in answers])
        return self.losses[-1], sum(bool(h.all()) for h in hit)


def answer_places(h: Tensor, rows: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]) -> Tensor:
    """Of h_BSD the places from which each token of the answers is said, row after row."""
    return torch.cat(
        [h[i, len(r) - len(a) - 1 : len(r) - 1] for i, (r, a) in enumerate(zip(rows, answers, strict=True))]
    )
