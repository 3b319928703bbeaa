"""Localised fine-tuning: one late block, trained plainly and in batches until the facts are right."""

from __future__ import annotations

from torch import Tensor

from memtune.core.backbone import Backbone
from memtune.evaluate.compare.trained import Trained


class LateBlock(Trained):
    name = "locft"
    rates = (3e-4, 1e-3, 3e-3)

    def free(self, own: Backbone) -> list[Tensor]:
        return [p.requires_grad_(True) for p in own.blocks[self._place].parameters()]

    def describe(self) -> str:
        return f"block {self._place + 1} of {len(self._setting.backbone.blocks)} alone"

    @property
    def _place(self) -> int:
        """The last but one: late, and what it adds can still be read by a block."""
        return max(0, len(self._setting.backbone.blocks) - 2)
