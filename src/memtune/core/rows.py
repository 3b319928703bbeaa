"""One request while it is decoded: what it has said, what of that is settled, and when it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from memtune.config import DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.constraint import Constraint
from memtune.core.experts import Expert
from memtune.core.prompts import Prompt
from memtune.core.reports import Scored
from memtune.core.sampling import Sampler, row_seed
from memtune.errors import InputError

GapFinder = Callable[[str], Mapping[str, Sequence[Expert]]]
"""From what a reply has said so far to the experts, by kind, that its open gap asks for."""
_WINDOW = 8
"""Tokens that are spelled again with the next ones: a character may be made of several."""


@dataclass(frozen=True)
class Request:
    """One prompt, the experts, by kind, that act on it, and who to ask when a gap opens in the reply."""

    prompt: Prompt
    experts: Mapping[str, Sequence[Expert]] = field(default_factory=dict)
    find_gap: GapFinder | None = None
    end: bool = True
    """Whether the reply ends with the last recited fact; otherwise the backbone goes on."""
    draw: int = 0
    """How many requests with this prompt came before: the same question twice is two draws."""
    constraint: Constraint | None = None
    """What the reply may say, where it follows a form."""


@dataclass
class Reply:
    """What a row has said so far."""

    tokens: list[int] = field(default_factory=list)
    text: str = ""
    finish: str = ""
    logits: list[Tensor] = field(default_factory=list)
    """Logits of every step, where they were asked for."""
    scores: list[Scored] = field(default_factory=list)
    """How likely every token was, where that was asked for."""


class Row:
    """A request on its way."""

    def __init__(self, backbone: Backbone, request: Request, config: DecodeConfig) -> None:
        self.backbone, self.request, self.config = backbone, request, config
        self.reply = Reply()
        self.fault: Exception | None = None
        """Why it broke off, if it did."""
        self.limit = min(room_for(backbone, request.prompt), config.max_new_tokens)
        self._sampler = Sampler(config, row_seed(config.seed, request.prompt.ids, request.draw))
        self._spelled = 0
        """Tokens whose text stands in `_said` and cannot change."""
        self._known = 0
        """From here on tokens are read once more with those behind `_spelled`: a whole character begins here."""
        self._length = 0
        """Of the text between the two."""
        self._said = ""
        self._shown = ""

    @contextmanager
    def by_itself(self) -> Iterator[None]:
        """What goes wrong inside ends this reply, and no other of the batch."""
        try:
            yield
        except Exception as fault:
            self.fault, self.reply.finish = fault, "fault"

    def choose(self, logits_V: Tensor, best: int, *, greedy: bool) -> int:
        """The next token, under what the form of the reply permits."""
        constraint = self.request.constraint
        if constraint is not None:
            logits_V = constraint.allow(logits_V)
            best = int(logits_V.argmax())
        token = self._sampler.next(logits_V, best, greedy)
        if self.config.logprobs and token not in self.backbone.end_ids:
            self._score(logits_V, token)
        if constraint is not None:
            constraint.said(token)
        return token

    def _score(self, logits_V: Tensor, token: int) -> None:
        chances = torch.log_softmax(logits_V.float(), -1)
        most = chances.topk(min(self.config.top_logprobs, len(chances)))
        top = tuple(
            (self.backbone.spelling(int(t)), float(value))
            for t, value in zip(most.indices.tolist(), most.values.tolist(), strict=True)
            if value > -torch.inf
        )
        self.reply.scores.append(Scored(self.backbone.spelling(token), float(chances[token]), top))

    def reason_to_stop(self, *, released: bool) -> str:
        """`released`: a recital that ends the reply has just said its last token."""
        constraint = self.request.constraint
        if released or (constraint is not None and constraint.ended):
            return "stop"
        if self.config.stop and any(stop in self.text() for stop in self.config.stop):
            return "stop"
        return "length" if len(self.reply.tokens) >= self.limit else ""

    def end(self) -> None:
        """The reply is said: its text is spelled whole and cut at a stop string."""
        whole = self.backbone.writer.text_after(self.request.prompt.tail, self.reply.tokens)
        ends = [whole.index(stop) for stop in self.config.stop if stop in whole]
        self.reply.text = whole[: min(ends)] if ends else whole

    def text(self) -> str:
        """What the row has said, as it reads after its prompt. Only the last tokens are spelled anew."""
        tokens, writer, tail = self.reply.tokens, self.backbone.writer, self.request.prompt.tail
        if len(tokens) <= 2 * _WINDOW:
            return writer.text_after(tail, tokens)
        while len(tokens) - self._spelled > 2 * _WINDOW:
            self._settle()
        return self._said + self._behind(len(tokens))

    def _settle(self) -> None:
        """Spell some more tokens for good, as far as a whole character ends there."""
        for place in range(self._spelled + _WINDOW, self._spelled + 2 * _WINDOW):
            more = self._behind(place)
            if not more.endswith("\ufffd"):
                break
        before = self.reply.tokens[self._spelled : place]
        self._said, self._known, self._spelled = self._said + more, self._spelled, place
        self._length = len(self.backbone.writer.text_after(self.request.prompt.tail, before))

    def _behind(self, end: int) -> str:
        """What the tokens say that are not spelled for good, read with some before them."""
        tokens = self.reply.tokens[self._known : end]
        return self.backbone.writer.text_after(self.request.prompt.tail, tokens)[self._length :]

    def news(self) -> str:
        """What it has said since this was last asked and cannot change any more."""
        final = bool(self.reply.finish)
        said = settled(self.reply.text if final else self.text(), self.config.stop, final=final).lstrip()
        if not said.startswith(self._shown) or len(said) <= len(self._shown):
            return ""
        new, self._shown = said[len(self._shown) :], said
        return new


def room_for(backbone: Backbone, prompt: Prompt) -> int:
    """How many tokens a reply may have at most."""
    room = backbone.context - len(prompt.ids)
    if room < 1:
        raise InputError(
            f"the prompt has {len(prompt.ids)} tokens, more than the model's context of {backbone.context}",
            hint="shorten the system prompt or the conversation",
        )
    return room


def settled(text: str, stops: Sequence[str], *, final: bool) -> str:
    """What of a text cannot change any more: not half a character, not what may become a stop string."""
    if final:
        return text.rstrip()
    held = max((n for stop in stops for n in range(1, len(stop) + 1) if text.endswith(stop[:n])), default=0)
    text = text[: len(text) - held].rstrip("\ufffd")
    return text.rstrip()
