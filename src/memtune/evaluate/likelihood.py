"""How likely given continuations are, under the plain backbone or under a memory.

The continuations are put into the mouth of the ordinary decoder, token by token, in place of what it would have said
itself: experts act exactly as they do in a reply. A reciting expert follows its answer as long as the continuation is
that answer and is released where it leaves it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from dataclasses import replace as change

import torch
from torch import Tensor

from memtune.answering import Answering
from memtune.config import DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.experts import Kind
from memtune.core.generate import Decoder, Reply, Request
from memtune.errors import InputError, UsageError
from memtune.questions import Question

BATCH = 32


@dataclass(frozen=True)
class Likelihood:
    """Of one continuation."""

    total: float
    """Sum of its tokens' natural log-probabilities."""
    tokens: int

    @property
    def mean(self) -> float:
        """Per token: continuations of different length can be compared."""
        return self.total / self.tokens


def score(
    answering: Answering, question: Question, continuations: Sequence[str], *, memory: bool, raw: bool = False
) -> list[Likelihood]:
    """How likely each of these would be the reply to a question."""
    return scores(answering, [(question, continuations)], memory=memory, raw=raw)[0]


def scores(
    answering: Answering,
    asked: Sequence[tuple[Question, Sequence[str]]],
    *,
    memory: bool,
    raw: bool = False,
    batch: int = BATCH,
) -> list[list[Likelihood]]:
    """The same for many questions, each with continuations of its own, side by side."""
    forced = [_forced(answering, question, texts, memory, raw) for question, texts in asked]
    rows = [(i, request, tokens) for i, (request, spelled) in enumerate(forced) for tokens in spelled]
    order = sorted(range(len(rows)), key=lambda n: (len(rows[n][1].prompt.ids) + len(rows[n][2]), n))
    found: dict[int, Likelihood] = {}
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        found |= zip(part, _batch(answering, [rows[n][1:] for n in part], memory), strict=True)
    results: list[list[Likelihood]] = [[] for _ in asked]
    for n, (i, _, _) in enumerate(rows):
        results[i].append(found[n])
    return results


def best(found: Sequence[Likelihood]) -> int:
    """The place of the likeliest, token for token; the first of equals."""
    return max(range(len(found)), key=lambda i: found[i].mean)


def _forced(
    answering: Answering, question: Question, texts: Sequence[str], memory: bool, raw: bool
) -> tuple[Request, list[tuple[int, ...]]]:
    """The question with its experts, and the continuations as tokens."""
    if not texts:
        raise UsageError("there is nothing to score", hint="name at least one continuation")
    request = answering.request(question, memory=memory, raw=raw)
    spelled = []
    for text, tokens in zip(texts, answering.backbone.writer.tokens(texts, request.prompt.tail), strict=True):
        if not tokens:
            raise InputError(f"the tokenizer cannot spell {text!r:.80} exactly")
        if len(request.prompt.ids) + len(tokens) > answering.backbone.context:
            raise InputError(f"{text!r:.80} does not fit behind its prompt into the model's context")
        spelled.append(tokens)
    return change(request, find_gap=None), spelled


def _batch(answering: Answering, rows: Sequence[tuple[Request, tuple[int, ...]]], memory: bool) -> Iterator[Likelihood]:
    kinds = list(answering.kinds.values()) if memory and answering.folder is not None else []
    forced = [tokens for _, tokens in rows]
    decoder = _Forced(answering.backbone, kinds, [request for request, _ in rows], answering.config.decode, forced)
    decoder.finish()
    for total, tokens in zip(decoder.totals, forced, strict=True):
        yield Likelihood(total, len(tokens))


class _Forced(Decoder):
    """A decoder that says what it is told to and notes how likely that was."""

    def __init__(
        self,
        backbone: Backbone,
        kinds: Sequence[Kind],
        requests: Sequence[Request],
        config: DecodeConfig,
        forced: Sequence[tuple[int, ...]],
    ) -> None:
        super().__init__(backbone, kinds, requests, change(config, temperature=0.0))
        self.forced, self.totals = forced, [0.0] * len(forced)

    def choose(self, logits: Tensor) -> list[int]:
        """The tokens that are to be said; what is chosen for a row that has said them all is never looked at."""
        tokens = super().choose(logits)
        place = max(len(reply.tokens) for reply in self.replies)
        chances = torch.log_softmax(logits.float(), -1)
        for row, wanted in enumerate(self.forced):
            if place < len(wanted):
                tokens[row] = wanted[place]
                self.totals[row] += float(chances[row, wanted[place]])
        return tokens

    def say(self, row: int, reply: Reply, token: int) -> None:
        """No end token, release or limit ends a row before its continuation does."""
        reply.tokens.append(token)
        reply.finish = "length" if len(reply.tokens) >= len(self.forced[row]) else ""
