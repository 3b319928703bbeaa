"""Low-rank adapters on all linear layers, by peft: the usual way of teaching a model facts."""

from __future__ import annotations

from torch import Tensor

from memtune.core.backbone import Backbone
from memtune.evaluate.compare.contender import Setting
from memtune.evaluate.compare.trained import Trained
from memtune.evaluate.compare.training import add_lora, beside, require_peft, size_of

_RANK = 32


class Lora(Trained):
    name = "peft-lora"
    rates = (3e-4, 1e-3, 2e-3)

    def __init__(self, setting: Setting) -> None:
        require_peft()
        super().__init__(setting)
        self.rank = _RANK if setting.equal_bytes is None else self._rank_for(setting.equal_bytes)

    def copied(self) -> Backbone:
        return beside(self._setting.backbone)

    def free(self, own: Backbone) -> list[Tensor]:
        return add_lora(own.model, self.rank, self._setting.seed)

    def describe(self) -> str:
        why = (
            ""
            if self._setting.equal_bytes is None
            else f", nearest to the memory's {self._setting.equal_bytes:,} bytes"
        )
        return f"LoRA on all linear layers, rank {self.rank}{why}, alpha twice that, no dropout"

    def _rank_for(self, size: int) -> int:
        """The rank whose weights come nearest to so many bytes; at least 1, and not beyond the model's width."""
        own = self.copied()
        return min(max(1, round(size / size_of(add_lora(own.model, 1, self._setting.seed)))), own.width)
