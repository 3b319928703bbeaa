"""Requests as the router makes them, decoded beside the same requests without experts and compared bit for bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch

from memtune.answering import Answering
from memtune.config import DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.experts import Expert, Kind
from memtune.core.generate import Decoder, Reply, Request
from memtune.questions import Question

BATCH = 32

T = TypeVar("T")


def routed(answering: Answering, question: Question, *, raw: bool = False) -> Request:
    """The question with the experts of the facts that the router confirms and that hold at this time."""
    experts: dict[str, list[Expert]] = {}
    for proposal in answering.route(question).confirmed:
        for name, expert in answering.experts(proposal.owner).items() if answering.in_force(proposal.owner) else ():
            if proposal.recite or not answering.kinds[name].recites:
                experts.setdefault(name, []).append(expert)
    return Request(answering.prompt(question, raw=raw), experts)


def plain(request: Request) -> Request:
    """The same prompt without experts."""
    return Request(request.prompt)


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
