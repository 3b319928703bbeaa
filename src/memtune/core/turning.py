"""Keys turned to another position: a fact's rows moved to where the last turn of a conversation begins.

A rotary model knows how far apart two tokens are by an angle between query and key. Rows that were read just before
position zero would lie a whole system text away from the question; turned, they lie as near as without it. How a model
turns is taken from its own module and tried on its own keys before it is trusted.

Shapes: M keys, d head width, r of it turned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from memtune.core.backbone import Backbone

_TRIED_AT = 37
_TOLERANCE = 0.02
"""Of a key's length, by which a turned key may differ from the model's own."""
_STEP = 8
"""Positions are rounded down to this many: each has a table of its own."""


@dataclass
class Turning:
    """The rotation of one model."""

    rotary: Any
    """The model's module: cosines and sines for positions."""
    interleaved: bool
    """Whether pairs are neighbours or lie half the width apart."""
    _tables: dict[int, tuple[Tensor, Tensor]]

    @classmethod
    def of(cls, backbone: Backbone) -> Turning | None:
        """The model's own; None where it turns no keys, or in a way that is not known here."""
        if backbone.model not in _KNOWN:
            _KNOWN[backbone.model] = cls._find(backbone)
        return _KNOWN[backbone.model]

    @classmethod
    @torch.inference_mode()
    def _find(cls, backbone: Backbone) -> Turning | None:
        found = [m for m in backbone.model.modules() if isinstance(getattr(m, "inv_freq", None), Tensor)]
        if backbone.attention.missing or len(found) != 1:
            return None
        for interleaved in (False, True):
            turning = cls(found[0], interleaved, {})
            try:
                if turning._agrees(backbone):
                    return turning
            except (TypeError, ValueError, RuntimeError):  # a module that is called in another way
                return None
        return None

    def _agrees(self, backbone: Backbone) -> bool:
        """Whether the model's keys at one position, turned, are those at another."""
        here, there = (self._keys(backbone, position) for position in (0, _TRIED_AT))
        turned = self._turn(here, *self._table(_TRIED_AT, here))
        return bool((turned - there).norm(dim=-1).max() <= _TOLERANCE * there.norm(dim=-1).max())

    @staticmethod
    def _keys(backbone: Backbone, position: int) -> Tensor:
        """The keys of one token alone, of all blocks: it sees itself only, so nothing but its position differs."""
        ids = torch.tensor([[backbone.vocabulary // 3]], device=backbone.device)
        with backbone.lock, backbone.attention.recording() as recorder:
            backbone.model.base_model(input_ids=ids, position_ids=torch.full_like(ids, position), use_cache=False)
        return torch.cat([recorder.keys[block][0, :, 0].float() for block in sorted(recorder.keys)])

    def near(self, keys_Md: Tensor, by: int) -> Tensor:
        """The keys so many positions further on, rounded down."""
        by -= by % _STEP
        if by <= 0:
            return keys_Md
        if by not in self._tables:
            self._tables[by] = self._table(by, keys_Md)
        return self._turn(keys_Md.float(), *self._tables[by]).to(keys_Md.dtype)

    def _table(self, by: int, like: Tensor) -> tuple[Tensor, Tensor]:
        where = torch.tensor([[by]], device=self.rotary.inv_freq.device)
        cosine, sine = self.rotary(torch.zeros(1, 1, 1, device=where.device), where)
        scale = torch.hypot(cosine[0, 0, 0], sine[0, 0, 0])  # some models stretch what they turn
        return (cosine[0, 0] / scale).to(like.device).float(), (sine[0, 0] / scale).to(like.device).float()

    def _turn(self, keys_Md: Tensor, cosine_r: Tensor, sine_r: Tensor) -> Tensor:
        turned, kept = keys_Md[..., : len(cosine_r)], keys_Md[..., len(cosine_r) :]
        return torch.cat([turned * cosine_r + self._across(turned) * sine_r, kept], dim=-1)

    def _across(self, x: Tensor) -> Tensor:
        if self.interleaved:
            return torch.stack([-x[..., 1::2], x[..., ::2]], dim=-1).flatten(-2)
        half = x.shape[-1] // 2
        return torch.cat([-x[..., half:], x[..., :half]], dim=-1)


_KNOWN: WeakKeyDictionary[Any, Turning | None] = WeakKeyDictionary()
