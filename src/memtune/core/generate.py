"""Decoding a batch of prompts, each row with experts of its own or with none.

The prompt is read once by the plain backbone; experts act from its last token on. A batch that is run to its end keeps
its rows until all have ended, so that a row's tokens never depend on when another one stops. A batch that goes on for
ever, as a server's, takes in the rows of others (`absorb`) and lets rows go that have ended (`leave`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from memtune.config import DecodeConfig
from memtune.core import cache as caches
from memtune.core.backbone import Backbone
from memtune.core.experts import Action, Kind
from memtune.core.rows import GapFinder, Reply, Request, Row

__all__ = ["Decoder", "GapFinder", "Read", "Reply", "Request", "decode", "pieces"]


@dataclass(frozen=True)
class Read:
    """The beginning of a prompt, as the backbone has read it: tokens, and keys and values by block."""

    ids: tuple[int, ...]
    rows: tuple[tuple[Tensor, Tensor], ...]

    @classmethod
    @torch.inference_mode()
    def of(cls, backbone: Backbone, ids: Sequence[int], before: Read | None = None) -> Read | None:
        """Read these tokens, after what of them is read already; None where what is read cannot be shared."""
        skipped = len(before.ids) if before is not None else 0
        cache = caches.holding([(k, v) for k, v in before.rows]) if before is not None else None
        new, _ = backbone.pad_left([ids[skipped:]])
        with backbone.lock:
            _, cache = backbone.step(new, new.new_ones(1, len(ids)), cache)
        caches.make_roomy(cache)
        if not caches.is_plain(cache):
            return None
        return cls(tuple(ids), tuple((layer.keys.clone(), layer.values.clone()) for layer in cache.layers))


class Decoder:
    """Decodes one batch. `run` yields after every step; `replies` hold what was said."""

    def __init__(
        self,
        backbone: Backbone,
        kinds: Sequence[Kind],
        requests: Sequence[Request],
        config: DecodeConfig | Sequence[DecodeConfig],
        *,
        keep_logits: bool = False,
        read: Read | None = None,
    ) -> None:
        """`read`: what all the prompts begin with, if that is read already."""
        configs = [config] * len(requests) if isinstance(config, DecodeConfig) else config
        self.backbone = backbone
        self.rows = [Row(backbone, request, own) for request, own in zip(requests, configs, strict=True)]
        prompts = [request.prompt for request in requests]
        ends = [row.request.end and row.config.after_fact == "end" for row in self.rows]
        self._actions: dict[str, Action] = {
            kind.name: kind.act(backbone, prompts, [r.experts.get(kind.name, ()) for r in requests], ends)
            for kind in kinds
        }
        self._keep_logits = keep_logits
        self._cache: Any = None
        skipped = len(read.ids) if read is not None else 0
        self._ids, self._mask = backbone.pad_left([prompt.ids[skipped:] for prompt in prompts])
        if read is not None:
            many = (len(prompts), -1, -1, -1)
            self._cache = caches.holding([(k.expand(many), v.expand(many)) for k, v in read.rows])
            self._mask = torch.cat([self._mask.new_ones(len(prompts), skipped), self._mask], dim=1)

    @property
    def replies(self) -> list[Reply]:
        return [row.reply for row in self.rows]

    def finish(self) -> list[Reply]:
        for _ in self.run():
            pass
        return self.replies

    def run(self) -> Iterator[None]:
        """Decode until every row has ended; yields after each step."""
        while not all(row.reply.finish for row in self.rows):
            self.step()
            self._raise_fault()
            yield

    def _raise_fault(self) -> None:
        for row in self.rows:
            if row.fault is not None:
                raise row.fault

    @torch.inference_mode()
    def step(self) -> None:
        """One token for every row."""
        caches.make_roomy(self._cache)  # only now: what was just read may be absorbed before its next token
        with self.backbone.lock, ExitStack() as stack:
            for action in self._actions.values():
                stack.enter_context(action.acting())
            logits, self._cache = self.backbone.step(self._ids, self._mask, self._cache)
        tokens = self.choose(logits)
        self._record(logits, tokens)
        self._ids = torch.tensor(tokens, device=self._ids.device)[:, None]
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), 1)], dim=1)

    # ---- rows that come and go ----------------------------------------------------------------------------------

    @property
    def can_change(self) -> bool:
        """Whether rows may join and leave: not where the model keeps what it has read in a way of its own."""
        return caches.can_change(self._cache)

    @property
    def can_rest(self) -> bool:
        """Whether the batch may be left without rows and take in others later, in the room that it has."""
        return caches.is_plain(self._cache)

    @torch.inference_mode()
    def absorb(self, other: Decoder) -> None:
        """Rows of another batch, which has said a token at least, go on behind these."""
        at = len(self.rows)
        caches.absorb(self._cache, other._cache)
        for name, action in self._actions.items():
            action.absorb(other._actions[name], at)
        width = max(self._mask.shape[1] if at else 0, other._mask.shape[1])
        own = _padded(self._mask, width) if at else self._mask.new_ones(0, width)
        self._mask = torch.cat([own, _padded(other._mask, width)])
        self._ids = torch.cat([self._ids, other._ids])
        self.rows += other.rows

    @torch.inference_mode()
    def leave(self, row: int) -> None:
        """A row goes; the last one takes its place."""
        caches.leave(self._cache, row)
        for action in self._actions.values():
            action.leave(row, len(self.rows) - 1)
        for held in (self._mask, self._ids):
            held[row] = held[-1]
        self._mask, self._ids = self._mask[:-1], self._ids[:-1]
        last = self.rows.pop()
        if row < len(self.rows):
            self.rows[row] = last

    @torch.inference_mode()
    def trim(self) -> None:
        """Forget the columns that no row needs any more."""
        needed = self._mask.any(0).nonzero()
        empty = int(needed[0]) if len(needed) else 0
        if empty:
            caches.trim(self._cache, empty)
            self._mask = self._mask[:, empty:].contiguous()

    # ---- what is said -------------------------------------------------------------------------------------------

    def choose(self, logits: Tensor) -> list[int]:
        """The next token of every row; a decoder that is told what to say chooses otherwise."""
        best = logits.argmax(-1).tolist()
        return [self._choose(n, row, logits[n], best[n]) for n, row in enumerate(self.rows)]

    def _choose(self, n: int, row: Row, logits_V: Tensor, best: int) -> int:
        """A row that has ended goes on beside the others; what it says is nobody's."""
        token = best
        if not row.reply.finish:
            with row.by_itself():
                greedy = row.config.fact_sampling == "greedy" and self._reciting(n)
                token = row.choose(logits_V, best, greedy=greedy)
        return token

    def _reciting(self, row: int) -> bool:
        return any(action.reciting(row) for action in self._actions.values())

    def _record(self, logits: Tensor, tokens: list[int]) -> None:
        for action in self._actions.values():
            action.advance(tokens)
        for n, row in enumerate(self.rows):
            if row.reply.finish:
                continue
            if self._keep_logits:
                row.reply.logits.append(logits[n].clone())
            with row.by_itself():
                self.say(n, row.reply, tokens[n])

    def say(self, row: int, reply: Reply, token: int) -> None:
        """What a row makes of its next token: it is said, or ends the reply."""
        if token in self.backbone.end_ids:
            reply.finish = "stop"
        else:
            reply.tokens.append(token)
            released = any(action.finished(row) for action in self._actions.values())  # no end token says so
            reply.finish = self.rows[row].reason_to_stop(released=released)
        if reply.finish:
            self.rows[row].end()
        elif self.rows[row].request.find_gap and not self._reciting(row) and self._may_open_gap(token):
            self._arm_gap(row)

    def _may_open_gap(self, token: int) -> bool:
        return any(mark in self.backbone.spelling(token) for mark in '":')

    def _arm_gap(self, row: int) -> None:
        find_gap, said = self.rows[row].request.find_gap, self.rows[row].text()
        for name, experts in (find_gap(said) if find_gap else {}).items():
            self._actions[name].arm(row, experts, said, end=False)


def _padded(mask: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(mask, (width - mask.shape[1], 0))


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
    row = decoder.rows[0]
    for _ in decoder.run():
        if new := row.news():
            yield new
