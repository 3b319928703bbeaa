"""Decoding a batch of prompts, each row with experts of its own or with none.

The prompt is read once by the plain backbone; experts act from its last token on. A batch keeps its rows until all have
ended, so that a row's tokens never depend on when another one stops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from memtune.config import DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.experts import Action, Expert, Kind
from memtune.core.prompts import Prompt
from memtune.core.sampling import Sampler, row_seed
from memtune.errors import InputError

GapFinder = Callable[[str], Mapping[str, Sequence[Expert]]]
"""From what a reply has said so far to the experts, by kind, that its open gap asks for."""


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


@dataclass
class Reply:
    """What a row has said so far."""

    tokens: list[int] = field(default_factory=list)
    text: str = ""
    finish: str = ""
    logits: list[Tensor] = field(default_factory=list)
    """Logits of every step, where they were asked for."""


class Decoder:
    """Decodes one batch. `run` yields after every step; `replies` hold what was said."""

    def __init__(
        self,
        backbone: Backbone,
        kinds: Sequence[Kind],
        requests: Sequence[Request],
        config: DecodeConfig,
        *,
        keep_logits: bool = False,
    ) -> None:
        self.backbone, self.config, self.requests = backbone, config, requests
        self.replies = [Reply() for _ in requests]
        ends = [r.end and config.after_fact == "end" for r in requests]
        prompts = [r.prompt for r in requests]
        self._actions: dict[str, Action] = {
            kind.name: kind.act(backbone, prompts, [r.experts.get(kind.name, ()) for r in requests], ends)
            for kind in kinds
        }
        self._sampler = Sampler(config, [row_seed(config.seed, r.prompt.ids, r.draw) for r in requests])
        self._keep_logits = keep_logits
        self._limits = [self._limit(p) for p in prompts]

    def _limit(self, prompt: Prompt) -> int:
        room = self.backbone.context - len(prompt.ids)
        if room < 1:
            raise InputError(
                f"the prompt has {len(prompt.ids)} tokens, more than the model's context of {self.backbone.context}",
                hint="shorten the system prompt or the conversation",
            )
        return min(room, self.config.max_new_tokens)

    def finish(self) -> list[Reply]:
        for _ in self.run():
            pass
        return self.replies

    @torch.inference_mode()
    def run(self) -> Iterator[None]:
        """Decode until every row has ended; yields after each step."""
        ids, mask = self._prompts()
        cache: Any = None
        while not all(reply.finish for reply in self.replies):
            with self.backbone.lock, ExitStack() as stack:
                for action in self._actions.values():
                    stack.enter_context(action.acting())
                logits, cache = self.backbone.step(ids, mask, cache)
            tokens = self.choose(logits)
            self._record(logits, tokens)
            ids = torch.tensor(tokens, device=ids.device)[:, None]
            mask = torch.cat([mask, mask.new_ones(len(tokens), 1)], dim=1)
            yield

    def choose(self, logits: Tensor) -> list[int]:
        """The next token of every row; a decoder that is told what to say chooses otherwise."""
        return self._sampler.next(logits, self._greedy())

    def _prompts(self) -> tuple[Tensor, Tensor]:
        """Prompts padded on the left, so that all end together."""
        return self.backbone.pad_left([r.prompt.ids for r in self.requests])

    def _greedy(self) -> list[bool]:
        if self.config.fact_sampling == "free":
            return [False] * len(self.replies)
        return [self._reciting(row) for row in range(len(self.replies))]

    def _reciting(self, row: int) -> bool:
        return any(action.reciting(row) for action in self._actions.values())

    def _record(self, logits: Tensor, tokens: list[int]) -> None:
        for action in self._actions.values():
            action.advance(tokens)
        for row, reply in enumerate(self.replies):
            if reply.finish:
                continue
            if self._keep_logits:
                reply.logits.append(logits[row].clone())
            self.say(row, reply, tokens[row])

    def say(self, row: int, reply: Reply, token: int) -> None:
        """What a row makes of its next token: it is said, or ends the reply."""
        if token in self.backbone.end_ids:
            reply.finish = "stop"
        else:
            reply.tokens.append(token)
            reply.finish = self._reason_to_stop(row, reply)
        if reply.finish:
            reply.text = self._cut(self.text(row))
        elif self.requests[row].find_gap and not self._reciting(row) and self._may_open_gap(token):
            self._arm_gap(row)

    def _reason_to_stop(self, row: int, reply: Reply) -> str:
        if any(action.finished(row) for action in self._actions.values()):
            return "stop"  # a model without an end token: the recital itself is the reply
        if self.config.stop and any(stop in self.text(row) for stop in self.config.stop):
            return "stop"
        return "length" if len(reply.tokens) >= self._limits[row] else ""

    def text(self, row: int) -> str:
        """What the row has said, as it reads after its prompt."""
        return self.backbone.writer.text_after(self.requests[row].prompt.tail, self.replies[row].tokens)

    def _cut(self, text: str) -> str:
        ends = [text.index(stop) for stop in self.config.stop if stop in text]
        return text[: min(ends)] if ends else text

    def _may_open_gap(self, token: int) -> bool:
        return any(mark in self.backbone.spelling(token) for mark in '":')

    def _arm_gap(self, row: int) -> None:
        find_gap, said = self.requests[row].find_gap, self.text(row)
        for name, experts in (find_gap(said) if find_gap else {}).items():
            self._actions[name].arm(row, experts, said, end=False)


def decode(
    backbone: Backbone, kinds: Sequence[Kind], requests: Sequence[Request], config: DecodeConfig, **given: Any
) -> list[Reply]:
    """Whole replies, in batches of `config.batch_size`, prompts of similar length side by side."""
    replies: list[Reply] = [Reply()] * len(requests)
    order = sorted(range(len(requests)), key=lambda i: len(requests[i].prompt.ids))
    for start in range(0, len(order), max(1, config.batch_size)):
        part = order[start : start + max(1, config.batch_size)]
        decoder = Decoder(backbone, kinds, [requests[i] for i in part], config, **given)
        for i, reply in zip(part, decoder.finish(), strict=True):
            replies[i] = reply
    return replies


def pieces(decoder: Decoder) -> Iterator[str]:
    """What the first row says, as soon as it cannot change any more."""
    config, reply, shown = decoder.config, decoder.replies[0], ""
    for _ in decoder.run():
        said = _settled(reply.text if reply.finish else decoder.text(0), config, final=bool(reply.finish)).lstrip()
        if said.startswith(shown) and len(said) > len(shown):
            yield said[len(shown) :]
            shown = said


def _settled(text: str, config: DecodeConfig, *, final: bool) -> str:
    """What of a text cannot change any more: not half a character, not what may become a stop string."""
    if final:
        return text.rstrip()
    held = max((n for stop in config.stop for n in range(1, len(stop) + 1) if text.endswith(stop[:n])), default=0)
    text = text[: len(text) - held].rstrip("\ufffd")
    return text.rstrip()
