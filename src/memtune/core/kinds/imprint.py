"""Imprint: exact recital in closed form.

A fact's expert holds one value row for each token of its answer; its key is the place in the answer, so that what
stands before the question never changes what is recalled. At depth 0 the rows act on the stream that the unembedding
reads, where a row is a multiple of the token's column in the backbone's dictionary (core/dictionary.py): only the
tokens and one push are stored. At depth n they enter before the last n blocks and are stored whole.

The expert is armed at the last prompt token, follows its answer as long as the model says it, and is released after it.

Shapes: F reciting rows, A places, P places of a batch, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.dictionary import dictionary
from memtune.core.experts import Batch, Expert, Tensors, least_lead
from memtune.core.prompts import Prompt
from memtune.core.recital import Path, Recital
from memtune.errors import UsageError

_SAFETY = 4.0
"""A proven margin is at least this many times the drift between prefill and decoding."""
_LEAST_GAIN = 0.05
JOINER = "\n"
"""What is said between two recited facts."""


class Imprint:
    name = "imprint"
    recites = True

    def __init__(self, config: Config) -> None:
        self.config = config.imprint
        self.loss: float | None = None
        self.margin: float | None = None

    def require(self, backbone: Backbone) -> None:
        if self.config.depth > len(backbone.blocks):
            raise UsageError(f"imprint.depth is {self.config.depth}, but the model has {len(backbone.blocks)} blocks")

    # ---- learning -----------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def write(self, batch: Batch) -> list[dict[str, Tensor]]:
        scores = batch.backbone.scores(batch.h_PD).float()
        own = scores.gather(1, batch.targets_P[:, None])[:, 0]
        behind = batch.worst_per_fact(scores.amax(1) - own)
        push = (self.config.margin + behind).cpu()
        tokens = [torch.tensor(answer, dtype=torch.int32) for answer in batch.answers]
        if not self._can_end(batch.backbone):
            tokens = [t[: _length_without_end(batch.backbone, t.tolist())] for t in tokens]
        written = [{"tokens": t, "push": push[i : i + 1].float()} for i, t in enumerate(tokens)]
        if self.config.depth:
            for tensors, rows in zip(written, self._deep_rows(batch, written), strict=True):
                tensors |= {"rows": rows, "depth": torch.tensor([self.config.depth])}
        return written

    @torch.inference_mode()
    def prove(self, batch: Batch, written: Sequence[Tensors]) -> dict[int, str]:
        lead = self._leads(batch, written)
        worst = batch.worst_per_fact(-lead)
        short = worst > -_SAFETY * batch.backbone.drift
        self.margin = least_lead(worst, short)
        reasons = {}
        for i in short.nonzero()[:, 0].tolist():
            places = (batch.owner_P == i).nonzero()[:, 0]
            place = int(lead[places].argmin())
            token = batch.backbone.tokenizer.decode([batch.answers[i][place]])
            reasons[i] = f"answer token {place + 1} ({token!r}) cannot be made the most likely one with a safe margin"
        return reasons

    def _leads(self, batch: Batch, written: Sequence[Tensors]) -> Tensor:
        """By how much each answer token leads when the stored tensors act; the worst there is where that is unknown."""
        if self.config.depth:
            h = self._replay(batch, torch.cat([t["rows"] for t in written]))
        else:
            push = torch.cat([t["push"] for t in written]).to(batch.h_PD.device)
            h = batch.h_PD + self._shallow(batch.backbone, batch.targets_P, push[batch.owner_P]).to(batch.h_PD.dtype)
        lead = _lead(batch.backbone.logits(h), batch.targets_P)
        if not self._can_end(batch.backbone):
            lead[batch.targets_P == batch.backbone.end_id] = torch.inf
        return torch.nan_to_num(lead, nan=-torch.inf)

    def _can_end(self, backbone: Backbone) -> bool:
        """Whether the end token can win at all; a row of zeros cannot. Without it a reply ends by release."""
        if backbone.end_id is None:
            return False
        column = dictionary(backbone, self.config.ridge).columns(torch.tensor([backbone.end_id]))
        return bool(column.isfinite().all())

    def _shallow(self, backbone: Backbone, tokens: Tensor, push: Tensor) -> Tensor:
        return dictionary(backbone, self.config.ridge).columns(tokens) * push[:, None].to(backbone.device)

    # ---- deeper sites -------------------------------------------------------------------------------------------

    def _deep_rows(self, batch: Batch, written: Sequence[Tensors]) -> list[Tensor]:
        """Rows before the last blocks, corrected by replaying the pass until every answer token leads."""
        backbone, push = batch.backbone, torch.cat([t["push"] for t in written]).to(batch.h_PD.device)
        gain_D = self._stream_gain(batch)
        rows = torch.nan_to_num(self._shallow(backbone, batch.targets_P, push[batch.owner_P])) * gain_D
        for _ in range(self.config.rounds):
            scores = backbone.scores(self._replay(batch, rows))
            short = _lead(scores, batch.targets_P) < self.config.margin / 2
            if not short.any():
                break
            rows[short] += gain_D * self._step(backbone, scores[short], batch.targets_P[short])
        lengths = [len(a) for a in batch.answers]
        return list(rows.to(torch.bfloat16).cpu().split(lengths))

    def _step(self, backbone: Backbone, scores: Tensor, targets: Tensor) -> Tensor:
        """The smallest change of the unembedding's input that lifts each target over its strongest rival."""
        rival = scores.scatter(1, targets[:, None], -torch.inf).argmax(1)
        weight = backbone.unembedding.weight
        away = (weight[targets] - weight[rival]).float()
        need = (self.config.margin - _lead(scores, targets)) / backbone.logit_scale
        size = need / away.pow(2).sum(1).clamp_min(1e-9)
        step: Tensor = size[:, None] * away
        return step

    def _replay(self, batch: Batch, rows_PD: Tensor) -> Tensor:
        """The pass over the batch again with rows added where the site is: h_PD."""
        token_rows = [[*p.ids, *a[:-1]] for p, a in zip(batch.prompts, batch.answers, strict=True)]
        at = [len(p.ids) - 1 for p in batch.prompts]
        row = batch.owner_P
        place = torch.cat([torch.arange(start, start + len(a)) for start, a in zip(at, batch.answers, strict=True)])

        def add(x: Tensor) -> Tensor:
            x[row, place.to(x.device)] += rows_PD.to(x.device, x.dtype)
            return x

        with batch.backbone.hooked(batch.backbone.site(self.config.depth), add):
            h = batch.backbone.read(token_rows)
        return h[row, place.to(h.device)]

    def _stream_gain(self, batch: Batch) -> Tensor:
        """How far the residual stream must move for the unembedding's input to move by one, in each dimension: what
        is added at the site arrives at the final norm beside what the last blocks add."""
        seen: list[Tensor] = []
        rows = [[*p.ids, *a[:-1]] for p, a in zip(batch.prompts, batch.answers, strict=True)]
        with batch.backbone.watched(batch.backbone.blocks[-1], seen.append):
            h = batch.backbone.read(rows).float().flatten(0, 1)
        y = seen[0].float().flatten(0, 1)
        size = y.pow(2).mean(1, keepdim=True).sqrt()
        gain = (h * y / size).sum(0) / (y / size).pow(2).sum(0)
        return size.mean() / torch.where(gain.abs() < _LEAST_GAIN, torch.full_like(gain, _LEAST_GAIN), gain)

    # ---- answering ----------------------------------------------------------------------------------------------

    def act(
        self, backbone: Backbone, prompts: Sequence[Prompt], experts: Sequence[Sequence[Expert]], ends: Sequence[bool]
    ) -> Recital:
        recital = Recital(backbone, partial(self._plan, backbone))
        for row, (prompt, chosen, end) in enumerate(zip(prompts, experts, ends, strict=True)):
            if chosen:
                recital.arm(row, chosen, prompt.tail, end=end)
        return recital

    def _plan(self, backbone: Backbone, experts: Sequence[Expert], tail: str, end: bool) -> Path:
        """The answers one after the other; the end token counts only behind the last."""
        parts = []
        for n, expert in enumerate(experts):
            last = n == len(experts) - 1
            parts.append(self._answer_path(backbone, expert, JOINER if n else tail, end=end and last))
            if not last:
                joiner = tuple(backbone.tokenizer(JOINER, add_special_tokens=False)["input_ids"])
                parts.append(Path(joiner, {0: self._pushed(backbone, joiner, expert)}))
        return Path.joined(parts)

    def _answer_path(self, backbone: Backbone, expert: Expert, tail: str, *, end: bool) -> Path:
        """An answer as it is spelled after this tail. Rows of a deeper site hold for the learned spelling only."""
        learned = tuple(expert.tensors["tokens"].tolist())
        length = _length_without_end(backbone, learned)
        spelled = backbone.writer.tokens([expert.answer], tail)[0] or learned[:length]
        tokens = (*spelled, *learned[length:]) if end else tuple(spelled)
        rows = expert.tensors.get("rows")
        if rows is not None and spelled == learned[:length]:
            depth = int(expert.tensors["depth"])
            return Path(tokens, {depth: rows[: len(tokens)].to(backbone.device)})
        return Path(tokens, {0: self._pushed(backbone, tokens, expert)})

    def _pushed(self, backbone: Backbone, tokens: Sequence[int], expert: Expert) -> Tensor:
        pushed = self._shallow(backbone, torch.tensor(tokens), expert.tensors["push"].expand(len(tokens)))
        return torch.nan_to_num(pushed)  # a token of another spelling that cannot be singled out is left to the model


def _lead(logits_PV: Tensor, targets_P: Tensor) -> Tensor:
    """By how much each target leads the strongest other token."""
    own = logits_PV.gather(1, targets_P[:, None])
    return (own[:, 0] - logits_PV.scatter(1, targets_P[:, None], -torch.inf).amax(1)).float()


def _length_without_end(backbone: Backbone, ids: Sequence[int]) -> int:
    return len(ids) - (backbone.end_id is not None and bool(ids) and ids[-1] == backbone.end_id)
