"""What several benchmarks do with the engine: passing memories, requests, replies of a fixed length."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace as change
from pathlib import Path
from typing import TypeVar

import torch

from memtune.answering import Answering, Question
from memtune.bench import data
from memtune.config import Config, DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.experts import Expert, Kind
from memtune.core.facts import Fact
from memtune.core.generate import Decoder, Reply, Request
from memtune.core.reports import Answer, LearnReport
from memtune.errors import MemtuneError
from memtune.model import MemoryModel

BATCH = 32
_SLACK = 8
"""Tokens that a reply may have beyond the longest answer before it is cut off."""

T = TypeVar("T")


def cold(backbone: Backbone) -> Backbone:
    """The same model without anything that an earlier run has prepared on it."""
    return Backbone(backbone.model, backbone.tokenizer, name=backbone.name)


@dataclass(frozen=True)
class Learned:
    """A memory that was just learned."""

    model: MemoryModel
    report: LearnReport
    folder: Path


@contextmanager
def learned(
    backbone: Backbone,
    facts: Sequence[Fact],
    config: Config,
    kind: str | None = None,
    *,
    measure_reading: bool = False,
) -> Iterator[Learned]:
    """A memory of these facts, gone at the end. Facts that could not be learned are in its report."""
    with tempfile.TemporaryDirectory(prefix="memtune-bench-") as name:
        folder = Path(name) / "memory"
        source = data.write(facts, Path(name) / "facts.jsonl")
        with MemoryModel(backbone, folder, config=config) as model:
            yield Learned(model, model.learn(source, kind=kind, measure_reading=measure_reading), folder)


def longest_answer(backbone: Backbone, facts: Sequence[Fact]) -> int:
    """Tokens of the longest answer."""
    return max(answer_lengths(backbone, facts), default=0)


def answer_lengths(backbone: Backbone, facts: Sequence[Fact]) -> list[int]:
    if not facts:
        return []
    tail = backbone.template.question("?").tail
    return [len(ids or ()) for ids in backbone.writer.tokens([f.answer for f in facts], tail)]


def decoding(backbone: Backbone, facts: Sequence[Fact], base: DecodeConfig | None = None) -> DecodeConfig:
    """Settings with room for every answer, and no more."""
    longest = longest_answer(backbone, facts) + _SLACK
    return change(base or DecodeConfig(), max_new_tokens=longest, batch_size=BATCH)


def routed(answering: Answering, question: Question, *, raw: bool = False) -> Request:
    """The question with the experts of the facts that the router confirms."""
    experts: dict[str, list[Expert]] = {}
    for proposal in answering.route(question).confirmed:
        for name, expert in answering.experts(proposal.owner).items():
            if proposal.recite or name != "imprint":
                experts.setdefault(name, []).append(expert)
    return Request(answering.prompt(question, raw=raw), experts)


def handed(answering: Answering, question: Question, ids: Sequence[str], *, raw: bool = False) -> Request:
    """The question with the experts of these facts, whatever the router would say."""
    assert answering.folder is not None
    found = answering.folder.find(ids)
    experts: dict[str, list[Expert]] = {}
    for fact_id in ids:
        for name, expert in answering.experts((found[fact_id].segment, found[fact_id].row)).items():
            experts.setdefault(name, []).append(expert)
    return Request(answering.prompt(question, raw=raw), experts)


def plain(request: Request) -> Request:
    """The same prompt without experts."""
    return Request(request.prompt)


@contextmanager
def endless(backbone: Backbone) -> Iterator[None]:
    """While inside, no token ends a reply: all run to the same length."""
    ends, backbone.end_ids = backbone.end_ids, frozenset()
    try:
        yield
    finally:
        backbone.end_ids = ends


def replies(
    backbone: Backbone,
    kinds: Sequence[Kind],
    requests: Sequence[Request],
    config: DecodeConfig,
    *,
    keep_logits: bool = False,
) -> list[Reply]:
    """Replies in batches that keep the given order."""
    return [
        reply
        for part in in_batches(requests)
        for reply in Decoder(backbone, kinds, part, config, keep_logits=keep_logits).finish()
    ]


def same_as_plain(answering: Answering, requests: Sequence[Request], config: DecodeConfig) -> list[bool]:
    """For each request, whether its tokens and logits are the plain model's, bit for bit, in the same batch."""
    backbone, kinds, same = answering.backbone, list(answering.kinds.values()), list[bool]()
    for part in in_batches(requests):  # few logits are held at a time
        on = replies(backbone, kinds, part, config, keep_logits=True)
        off = replies(backbone, [], [plain(r) for r in part], config, keep_logits=True)
        same += [_equal(a, b) for a, b in zip(on, off, strict=True)]
    return same


def _equal(a: Reply, b: Reply) -> bool:
    return a.tokens == b.tokens and torch.equal(torch.stack(a.logits), torch.stack(b.logits))


def in_batches(items: Sequence[T], size: int = BATCH) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def ask(
    model: MemoryModel,
    questions: Sequence[Question],
    config: DecodeConfig,
    *,
    raw: bool = False,
    memory: bool = True,
) -> list[Answer]:
    """Answers as a user gets them, routing included."""
    return model.memory.ask(questions, config, raw=raw, memory=memory)


def ask_for(
    model: MemoryModel,
    facts: Sequence[Fact],
    put: Callable[[str], Question] = str,
    decode: DecodeConfig | None = None,
    *,
    raw: bool = False,
) -> list[Answer]:
    """An answer to each fact's question, in the order of the facts. Facts of similar answer length share a batch, so
    that few rows wait for a long one."""
    found: dict[int, Answer] = {}
    for part in in_batches(by_answer_length(model.backbone, facts)):
        asked = [facts[i] for i in part]
        config = decoding(model.backbone, asked, decode or model.config.decode)
        found |= zip(part, ask(model, [put(f.question) for f in asked], config, raw=raw), strict=True)
    return [found[i] for i in range(len(facts))]


def by_answer_length(backbone: Backbone, facts: Sequence[Fact]) -> list[int]:
    """The places of the facts, the shortest answer first."""
    lengths = answer_lengths(backbone, facts)
    return sorted(range(len(facts)), key=lengths.__getitem__)


def require_learned(report: LearnReport, enough: Callable[[LearnReport], bool]) -> None:
    if not enough(report):
        first = report.failed[0].reason if report.failed else "no reason was given"
        raise MemtuneError(f"only {report.learned} of {report.facts} facts could be learned: {first}")
