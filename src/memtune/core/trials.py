"""Facts tried in forms of asking: what the backbone says when it has a fact before its eyes, where it looks while it
says so, and how near it comes to that with less of the fact.

Shapes: B rows, S positions, P places of a reply, k likeliest tokens, L blocks, K key-value heads, N rows of a fact.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from memtune.config import DecodeConfig, DistilConfig
from memtune.core import asking
from memtune.core.attention import Scale
from memtune.core.beside import Entries, gathered
from memtune.core.experts import Batch, Expert, Kind
from memtune.core.generate import Request, decode
from memtune.core.prompts import Prompt

Held = Mapping[int, Entries]
"""Entries by the place of their fact in the batch."""
_AT_ONCE = 64
_LIKELIEST = 32


@dataclass(frozen=True)
class Trial:
    """One form of asking for one fact of a batch, and the reply that the teacher gave, or was given."""

    owner: int
    prompt: Prompt
    reply: tuple[int, ...]
    stored: bool = False
    """Whether the reply is the stored answer itself."""

    @property
    def ids(self) -> list[int]:
        return [*self.prompt.ids, *self.reply]


@dataclass(frozen=True)
class Said:
    """What the likeliest next tokens were at every place of a reply, and the logarithms of their probabilities."""

    tokens_Pk: Tensor
    logs_Pk: Tensor
    of_reply: float
    """Mean logarithm of the probabilities of the reply's own tokens."""


class Trials:
    """All trials of a batch of facts."""

    def __init__(self, batch: Batch, teacher: Kind, experts: Sequence[Expert], config: DistilConfig) -> None:
        self.batch, self.config, self.backbone = batch, config, batch.backbone
        self._teacher, self._experts = teacher, experts
        self.trials = [*self._asked(), *self._told()]

    # ---- what is asked ------------------------------------------------------------------------------------------

    def _asked(self) -> Iterator[Trial]:
        """Every form of asking, with what the teacher says to it."""
        facts, draw = self.batch.facts, random.Random(0)
        own = self._own_words()
        asked = [
            (i, text) for i, fact in enumerate(facts) for text in (*asking.forms(fact, facts, draw), *own.get(i, ()))
        ]
        owners, prompts = self._fitting(asked)
        replies = self._decoded(owners, prompts, self.config.reply_tokens)
        for owner, prompt, reply in zip(owners, prompts, replies, strict=True):
            yield Trial(owner, prompt, tuple(reply))

    def _fitting(self, asked: Sequence[tuple[int, str]]) -> tuple[list[int], list[Prompt]]:
        """The prompts that leave room in the model's context for a reply, and whose they are."""
        prompts = [(i, self.backbone.template.question(text)) for i, text in asked]
        fitting = [(i, p) for i, p in prompts if len(p.ids) + self.config.reply_tokens <= self.backbone.context]
        return [i for i, _ in fitting], [p for _, p in fitting]

    def _told(self) -> Iterator[Trial]:
        """The question with the stored answer, whole, whatever the teacher would say; a passage has none."""
        for i, fact in enumerate(self.batch.facts):
            if not fact.passage:
                yield Trial(i, self.batch.prompts[i], self.batch.answers[i], stored=True)

    def _own_words(self) -> Mapping[int, list[str]]:
        """Forms that the teacher makes itself."""
        if not self.config.own_forms:
            return {}
        facts, prompts = self._fitting(
            [(i, asking.REWORD.format(question=f.question)) for i, f in enumerate(self.batch.facts) if not f.passage]
        )
        replies = self._decoded(facts, prompts, self.config.reply_tokens)
        said = [self.backbone.writer.text_after(p.tail, r).strip() for p, r in zip(prompts, replies, strict=True)]
        return {i: [text] for i, text in zip(facts, said, strict=True) if text}

    def _decoded(self, owners: Sequence[int], prompts: Sequence[Prompt], most: int) -> list[list[int]]:
        requests = [
            Request(prompt, {self._teacher.name: [self._experts[owner]]})
            for owner, prompt in zip(owners, prompts, strict=True)
        ]
        config = DecodeConfig(max_new_tokens=most, batch_size=_AT_ONCE, reroute=False)
        return [reply.tokens for reply in decode(self.backbone, [self._teacher], requests, config)]

    # ---- reading ------------------------------------------------------------------------------------------------

    def watch(self, held: Held, tables: Sequence[Tensor]) -> dict[int, Said]:
        """What is said in each trial with these entries beside it. How much attention each row is paid is added to its
        fact's table, w_LKN, in squares."""
        return {
            n: self._said(self.trials[n], logs) for n, logs in self._logs(held, list(range(len(self.trials))), tables)
        }

    def apart(self, teacher: Mapping[int, Said], held: Held) -> dict[int, float]:
        """How far these entries are from the teacher: for each fact the mean divergence of a place, in nats."""
        found: dict[int, list[float]] = {}
        numbers = [n for n in teacher if self.trials[n].owner in held]
        for n, logs in self._logs(held, numbers):
            found.setdefault(self.trials[n].owner, []).append(_divergence(teacher[n], logs))
        return {owner: sum(each) / len(each) for owner, each in found.items()}

    def untold(self) -> dict[int, float]:
        """How likely the plain backbone finds each stored answer: the mean logarithm of a token's probability."""
        numbers = [n for n, trial in enumerate(self.trials) if trial.stored]
        return {self.trials[n].owner: self._said(self.trials[n], logs).of_reply for n, logs in self._logs({}, numbers)}

    @torch.inference_mode()
    def _logs(
        self, held: Held, numbers: Sequence[int], tables: Sequence[Tensor] | None = None
    ) -> Iterator[tuple[int, Tensor]]:
        """For each trial the logarithms of what may come at every place of its reply, and behind it."""
        numbers = sorted(numbers, key=lambda n: (len(self.trials[n].ids), n))
        for start in range(0, len(numbers), _AT_ONCE):
            part = numbers[start : start + _AT_ONCE]
            trials = [self.trials[n] for n in part]
            h_BSD = self._stream(trials, held, tables)
            for n, trial, h_SD in zip(part, trials, h_BSD, strict=True):
                h_PD = h_SD[-len(trial.reply) - 1 :]
                yield n, torch.log_softmax(self.backbone.logits(h_PD).float(), -1)

    def _stream(self, trials: Sequence[Trial], held: Held, tables: Sequence[Tensor] | None) -> Tensor:
        """One pass over rows padded on the left, each with its fact's entries beside it."""
        rows = [i for i, trial in enumerate(trials) if trial.owner in held and len(held[trial.owner].block_M)]
        reach = [len(trials[i].ids) - trials[i].prompt.asked_from for i in rows]
        facts = gathered(self.backbone, rows, [[held[trials[i].owner]] for i in rows], reach) if rows else None
        ids, mask = self.backbone.pad_left([trial.ids for trial in trials])
        attention = self.backbone.attention
        with self.backbone.lock, attention.seeing(facts):
            if tables is None:
                return self.backbone.read_masked(ids, mask)
            with attention.weighing() as scale:
                h_BSD = self.backbone.read_masked(ids, mask)
        _put_down(scale, [tables[trials[i].owner] for i in rows])
        return h_BSD

    def _said(self, trial: Trial, logs_PV: Tensor) -> Said:
        top = logs_PV.topk(min(_LIKELIEST, logs_PV.shape[1]), dim=-1)
        reply = torch.tensor(trial.reply, device=logs_PV.device)
        own = logs_PV[: len(reply)].gather(1, reply[:, None]) if len(reply) else logs_PV.new_zeros(1)
        return Said(top.indices, top.values, float(own.mean()))


def _put_down(scale: Scale, tables: Sequence[Tensor]) -> None:
    for block, squares_FKN in scale.squares.items():
        for table, squares_KN in zip(tables, squares_FKN.cpu(), strict=True):
            table[block] += squares_KN[:, : table.shape[2]]


def _divergence(teacher: Said, logs_PV: Tensor) -> float:
    """Kullback and Leibler's, over the teacher's likeliest tokens and all others as one more."""
    own = logs_PV.gather(1, teacher.tokens_Pk)
    chances = teacher.logs_Pk.exp()
    rest = (1 - chances.sum(1)).clamp_min(1e-6)
    rest_own = (1 - own.exp().sum(1)).clamp_min(1e-6)
    found = (chances * (teacher.logs_Pk - own)).sum(1) + rest * (rest.log() - rest_own.log())
    return float(found.clamp_min(0).mean())
