"""Full fine-tuning: every weight of the model moves, and the whole model has to be kept."""

from __future__ import annotations

from torch import Tensor

from memtune.core.backbone import Backbone
from memtune.evaluate.compare.trained import Trained
from memtune.evaluate.compare.training import free_all


class Full(Trained):
    name = "full-ft"
    rates = (1e-4, 3e-4, 1e-3)

    def free(self, own: Backbone) -> list[Tensor]:
        return free_all(own.model)

    def describe(self) -> str:
        return "all weights of the model; the changed model is what is stored"
