"""One lot of facts: read, write, prove. Lots share nothing, so they may run anywhere and in any order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from memtune.config import LearnConfig
from memtune.core.backbone import Backbone
from memtune.core.experts import Batch, Kind, Telling, batches_by_length, stack
from memtune.core.facts import Fact
from memtune.core.prompts import Prompt
from memtune.core.reports import Failed


@dataclass
class Lot:
    """What became of a lot: the facts that were learned and their stacked experts, one room a kind."""

    facts: list[Fact] = field(default_factory=list)
    rooms: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    failed: list[Failed] = field(default_factory=list)
    read_seconds: float = 0.0
    """One plain pass over the same tokens in the same batches, where that was measured."""
    loss: float | None = None
    """The mean over its batches, where a kind learns by gradients."""
    margin: float | None = None
    """By how much, at least, the answer tokens of what was proved lead all others, where a kind can tell."""


class Learner:
    def __init__(self, backbone: Backbone, kinds: Sequence[Kind], config: LearnConfig) -> None:
        for kind in kinds:
            kind.require(backbone)
        self.backbone, self.kinds, self.config = backbone, kinds, config

    def learn(self, facts: Sequence[Fact], *, measure_reading: bool = False) -> Lot:
        """Read the lot in batches of similar length, write its experts, prove them, and stack what was proved."""
        lot = Lot()
        prompts, answers = self._spell(facts)
        kept = [i for i, fact in enumerate(facts) if self._fits(fact, prompts[i], answers[i], lot)]
        written: dict[int, dict[str, dict[str, Tensor]]] = {}
        losses, margins = list[float](), list[float]()
        lengths = [len(prompts[i].ids) + len(answers[i] or ()) for i in kept]
        for chosen in batches_by_length(lengths, self.config.batch_tokens):
            part = [kept[c] for c in chosen]
            rows = [[*prompts[i].ids, *(answers[i] or ())[:-1]] for i in part]
            with self.backbone.lock:  # nobody decodes with experts on the shared modules meanwhile
                if measure_reading:
                    lot.read_seconds += time_reading(self.backbone, rows)
                batch = self._read(
                    [facts[i] for i in part], [prompts[i] for i in part], [answers[i] or () for i in part], rows
                )
                self._write(batch, part, written, lot)
            losses += [kind.loss for kind in self.kinds if isinstance(kind, Telling) and kind.loss is not None]
            margins += [kind.margin for kind in self.kinds if isinstance(kind, Telling) and kind.margin is not None]
        lot.loss, lot.margin = (sum(losses) / len(losses) if losses else None), min(margins, default=None)
        proved = sorted(written)
        lot.facts = [facts[i] for i in proved]
        lot.rooms = {kind.name: stack([written[i][kind.name] for i in proved]) for kind in self.kinds} if proved else {}
        return lot

    def _spell(self, facts: Sequence[Fact]) -> tuple[list[Prompt], list[tuple[int, ...] | None]]:
        """Each fact's prompt, and its answer as tokens with the end token where the model has one."""
        prompts = self.backbone.template.questions([f.question for f in facts])
        answers = self.backbone.writer.tokens([f.answer for f in facts], prompts[0].tail) if prompts else []
        end = () if self.backbone.end_id is None else (self.backbone.end_id,)
        return prompts, [None if a is None else (*a, *end) for a in answers]

    def _fits(self, fact: Fact, prompt: Prompt, answer: tuple[int, ...] | None, lot: Lot) -> bool:
        reason = None
        if answer is None:
            reason = "the model's tokenizer cannot spell the answer exactly"
        elif len(answer) > self.config.max_answer_tokens:
            reason = f"the answer has {len(answer)} tokens; learn.max_answer_tokens is {self.config.max_answer_tokens}"
        elif len(prompt.ids) + len(answer) > self.backbone.context:
            reason = (
                f"question and answer have {len(prompt.ids) + len(answer)} tokens, the context {self.backbone.context}"
            )
        elif self.backbone.end_ids & set(answer[:-1]):
            reason = "the answer holds the model's end token"
        if reason:
            lot.failed.append(Failed(fact.id, reason))
        return reason is None

    @torch.inference_mode()
    def _read(
        self, facts: list[Fact], prompts: list[Prompt], answers: list[tuple[int, ...]], rows: list[list[int]]
    ) -> Batch:
        h_BSD = self.backbone.read(rows)
        places = [h_BSD[i, len(p.ids) - 1 : len(row)] for i, (p, row) in enumerate(zip(prompts, rows, strict=True))]
        return Batch(self.backbone, facts, prompts, answers, torch.cat(places))

    def _write(
        self, batch: Batch, indices: list[int], written: dict[int, dict[str, dict[str, Tensor]]], lot: Lot
    ) -> None:
        by_kind = {kind.name: kind.write(batch) for kind in self.kinds}
        reasons: dict[int, str] = {}
        for kind in self.kinds:
            reasons |= kind.prove(batch, by_kind[kind.name])
        for row, index in enumerate(indices):
            if row in reasons:
                lot.failed.append(Failed(batch.facts[row].id, reasons[row]))
            else:
                written[index] = {name: tensors[row] for name, tensors in by_kind.items()}


@torch.inference_mode()
def time_reading(backbone: Backbone, rows: Sequence[Sequence[int]]) -> float:
    """Seconds that one plain forward pass over these rows takes."""
    ids = backbone.pad_right(rows)
    start = time.perf_counter()
    backbone.model(input_ids=ids, use_cache=False).logits[:, -1].sum().item()
    return time.perf_counter() - start
