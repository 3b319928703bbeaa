"""Distil: of a fact's key-value rows those that the backbone looks at when it is asked, in a few bits each.

The teacher is the backbone with the fact before its eyes (kind `kv`). It is asked for the fact in generated forms
(core/asking.py), and it is noted how much attention each row is paid, head by head. A small part of them carries nearly
all of it: these are kept. Then the backbone with what was kept is compared with the teacher, token for token, in all
forms; where it is too far from it, twice as many rows are kept, and so on up to all.

Shapes: M entries, L blocks, K key-value heads, N rows of a fact, d head width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from memtune.checked import replace
from memtune.config import Config
from memtune.core import packing
from memtune.core.backbone import Backbone
from memtune.core.beside import Entries, SideBySide
from memtune.core.experts import Batch, Expert, Tensors
from memtune.core.kinds.kv import KeyValue, require_rows
from memtune.core.prompts import Prompt
from memtune.core.trials import Said, Trials

_FIGURES = "figures"
"""What was measured while it was learned: divergence from the teacher in nats a token, and by how much the fact in its
context raises the mean logarithm of its answer's probability for the teacher."""


class Distil:
    name = "distil"
    recites = False

    def __init__(self, config: Config) -> None:
        self.config = config.distil
        self.teacher = KeyValue(replace(config, kv=replace(config.kv, dtype="backbone")))

    def require(self, backbone: Backbone) -> None:
        require_rows(self.name, backbone)

    # ---- learning -----------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def write(self, batch: Batch) -> list[dict[str, Tensor]]:
        rows = [tensors["rows"] for tensors in self.teacher.write(batch)]
        experts = [Expert(f.id, f.answer, {"rows": r}) for f, r in zip(batch.facts, rows, strict=True)]
        trials = Trials(batch, self.teacher, experts, self.config)
        weights = [r.new_zeros(r.shape[1], r.shape[3], r.shape[0], dtype=torch.float32) for r in rows]
        taught = trials.watch({i: self.teacher.entries(e) for i, e in enumerate(experts)}, weights)
        worth = [_worth(w, r) for w, r in zip(weights, rows, strict=True)]
        written = self._smallest(trials, taught, rows, worth)
        gains = self._gains(trials, taught)
        for i, (tensors, apart) in written.items():
            tensors[_FIGURES] = torch.tensor([[apart, gains.get(i, math.inf)]])
        return [written[i][0] for i in range(len(rows))]

    def _smallest(
        self, trials: Trials, taught: dict[int, Said], rows: Sequence[Tensor], worth: Sequence[Tensor]
    ) -> dict[int, tuple[dict[str, Tensor], float]]:
        """The fewest rows with which the backbone says what the teacher says."""
        written: dict[int, tuple[dict[str, Tensor], float]] = {}
        share, left = self.config.share, list(range(len(rows)))
        while left:
            kept = {i: _kept(rows[i], worth[i], share) for i in left}
            apart = trials.apart(taught, {i: self._entries(trials.backbone, tensors) for i, tensors in kept.items()})
            written |= {i: (kept[i], apart.get(i, math.inf)) for i in left}  # no form may have fitted into the context
            left = [i for i in left if written[i][1] > self.config.tolerance] if share < 1 else []
            share = min(1.0, 2 * share)
        return written

    def _gains(self, trials: Trials, taught: dict[int, Said]) -> dict[int, float]:
        plain = trials.untold()
        told = {trial.owner: taught[n].of_reply for n, trial in enumerate(trials.trials) if trial.stored}
        return {owner: told[owner] - plain[owner] for owner in told}

    def prove(self, batch: Batch, written: Sequence[Tensors]) -> dict[int, str]:
        """A backbone that makes nothing of the fact in its context has nothing to teach; and what cannot be kept as it
        was is not kept. Whether an answer is recalled, free decoding tells (`learn` does that)."""
        reasons = {}
        for i, tensors in enumerate(written):
            apart, gain = tensors[_FIGURES][0].tolist()
            if gain < self.config.least_gain:
                reasons[i] = "the model does not use the fact when it stands in its context"
            elif not apart <= self.config.tolerance:
                far = f"{apart:.2g} nats a token apart"
                reasons[i] = f"in few bits it does not say what the model says with the fact in its context ({far})"
        return reasons

    # ---- answering ----------------------------------------------------------------------------------------------

    def act(
        self, backbone: Backbone, prompts: Sequence[Prompt], experts: Sequence[Sequence[Expert]], ends: Sequence[bool]
    ) -> SideBySide:
        return SideBySide(backbone, prompts, experts, lambda expert: self._entries(backbone, expert.tensors))

    def _entries(self, backbone: Backbone, tensors: Tensors) -> Entries:
        both = packing.unpack(tensors["codes"], tensors["scales"], backbone.attention.head_width)
        heads = max(backbone.attention.heads)
        place = tensors["places"].long()
        return Entries(both[:, 0], both[:, 1], place // heads, place % heads)


def _worth(weights_LKN: Tensor, rows: Tensor) -> Tensor:
    """What an entry adds to its head at most: the attention that it is paid, times the length of its value."""
    sizes_NLK: Tensor = rows[:, :, 1].float().norm(dim=-1)
    return weights_LKN.sqrt() * sizes_NLK.permute(1, 2, 0).cpu()


def _kept(rows: Tensor, worth_LKN: Tensor, share: float) -> dict[str, Tensor]:
    """The worthiest entries of a fact, packed, in the order of their blocks and heads."""
    most = max(1, round(share * worth_LKN.numel()))
    chosen = worth_LKN.flatten().topk(most).indices.sort().values
    _, heads, length = worth_LKN.shape
    block, head, row = chosen // (heads * length), chosen // length % heads, chosen % length
    codes, scales = packing.pack(rows[row, block, :, head])
    return {"codes": codes, "scales": scales, "places": (block * heads + head).to(torch.int16)}
