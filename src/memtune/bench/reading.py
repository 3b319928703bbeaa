"""What learning is compared with: one plain forward pass over the same tokens in the same batches."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import torch

from memtune.bench.engine import in_batches
from memtune.config import LearnConfig
from memtune.core.backbone import Backbone
from memtune.core.experts import batches_by_length
from memtune.core.facts import Fact
from memtune.core.learn import time_reading

Rows = list[list[int]]


def batches_as_learned(backbone: Backbone, facts: Sequence[Fact], config: LearnConfig) -> list[Rows]:
    """The batches of tokens that `learn` reads, lot by lot, each sorted by length."""
    return [rows for lot in in_batches(facts, config.lot_size) for rows in _of_lot(backbone, lot, config)]


def _of_lot(backbone: Backbone, facts: Sequence[Fact], config: LearnConfig) -> Iterator[Rows]:
    prompts = backbone.template.questions([f.question for f in facts])
    answers = backbone.writer.tokens([f.answer for f in facts], prompts[0].tail)
    ended = backbone.end_id is not None
    rows = [
        [
            *p.ids,
            *(a if ended else a[:-1]),
        ]  # the last token of an answer, the end where there is one, is not read
        for p, a in zip(prompts, answers, strict=True)
        if a is not None and len(p.ids) + len(a) + ended <= backbone.context
    ]
    for chosen in batches_by_length([len(row) + 1 for row in rows], config.batch_tokens):
        yield [rows[i] for i in chosen]


def whole_pass(backbone: Backbone, batches: Sequence[Rows]) -> float:
    """Seconds of the model's own forward pass, logits of every position included."""
    return sum(time_reading(backbone, rows) for rows in batches)


@torch.inference_mode()
def blocks_only(backbone: Backbone, batches: Sequence[Rows]) -> float:
    """Seconds of the same pass without the unembedding: the least that reading these tokens can cost."""
    seconds = 0.0
    for rows in batches:
        start = time.perf_counter()
        backbone.read(rows)[:, -1].sum().item()
        seconds += time.perf_counter() - start
    return seconds
