"""What several benchmarks do with the engine: passing memories, requests, replies of a fixed length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace as change

from memtune.answering import Answering
from memtune.config import DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.experts import Expert
from memtune.core.facts import Fact
from memtune.core.generate import Request
from memtune.core.reports import Answer, LearnReport
from memtune.errors import MemtuneError
from memtune.evaluate.replay import BATCH, in_batches, plain, replies, routed, same_as_plain
from memtune.model import MemoryModel
from memtune.questions import Question

__all__ = [
    "BATCH", "answer_lengths", "ask", "ask_for", "by_answer_length", "cold", "decoding", "endless", "handed",
    "in_batches", "longest_answer", "plain", "replies", "require_learned", "routed", "same_as_plain",
]  # fmt: skip
_SLACK = 8
"""Tokens that a reply may have beyond the longest answer before it is cut off."""


def cold(backbone: Backbone) -> Backbone:
    """The same model without anything that an earlier run has prepared on it."""
    return Backbone(backbone.model, backbone.tokenizer, name=backbone.name)


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


def handed(answering: Answering, question: Question, ids: Sequence[str], *, raw: bool = False) -> Request:
    """The question with the experts of these facts, whatever the router would say."""
    assert answering.folder is not None
    found = answering.folder.find(ids)
    experts: dict[str, list[Expert]] = {}
    for fact_id in ids:
        for name, expert in answering.experts((found[fact_id].segment, found[fact_id].row)).items():
            experts.setdefault(name, []).append(expert)
    return Request(answering.prompt(question, raw=raw), experts)


@contextmanager
def endless(backbone: Backbone) -> Iterator[None]:
    """While inside, no token ends a reply: all run to the same length."""
    ends, backbone.end_ids = backbone.end_ids, frozenset()
    try:
        yield
    finally:
        backbone.end_ids = ends


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
