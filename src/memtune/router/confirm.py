"""The second look: a small network that reads the features of all proposals of a question, and of none of them.

It was trained by `tools/router` on questions whose fact is known, and on questions whose fact was taken away. Its
probabilities are shares of one: the facts compete with one another and with there being no fact at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from memtune.router.features import NAMES

Floats = NDArray[np.float32]
_CLIP = 5.0
_LEAST = np.float32(-80)
"""Below this `exp` overflows soon, and what is gated is nothing."""


@dataclass(frozen=True)
class Confirmer:
    """Ensemble of small networks, stacked: F features, H hidden, E networks."""

    mean_F: Floats
    spread_F: Floats
    first_EFH: Floats
    first_bias_EH: Floats
    second_EHH: Floats
    second_bias_EH: Floats
    last_EH: Floats
    last_bias_E: Floats

    def __post_init__(self) -> None:
        if len(self.mean_F) != len(NAMES):
            raise ValueError("the confirming model was trained on other features")

    def logits(self, features_CF: Floats) -> Floats:
        """One row a network, one column a proposal: how much likelier it is than no fact."""
        x = np.clip((features_CF - self.mean_F) / self.spread_F, -_CLIP, _CLIP)
        h = _silu(x @ self.first_EFH + self.first_bias_EH[:, None])
        h = _silu(h @ self.second_EHH + self.second_bias_EH[:, None])
        found: Floats = (h @ self.last_EH[:, :, None])[:, :, 0] + self.last_bias_E[:, None]
        return found

    @staticmethod
    def shares(logits: Floats, groups_C: NDArray[np.int64]) -> Floats:
        """Each group's share of probability, where the rest is that none is meant. A group is one fact: its best
        wording speaks for it."""
        best = np.full((len(logits), int(groups_C.max()) + 1), -np.inf, np.float32)
        for network, row in zip(best, logits, strict=True):
            np.maximum.at(network, groups_C, row)
        top = np.maximum(best.max(axis=1, keepdims=True), 0)
        likely = np.exp(best - top)
        shares: Floats = (likely / (likely.sum(axis=1, keepdims=True) + np.exp(-top))).mean(0)
        return shares


def _silu(x: Floats) -> Floats:
    found: Floats = x / (1 + np.exp(-np.maximum(x, _LEAST)))
    return found


@lru_cache(maxsize=4)
def confirmer(family: str) -> Confirmer:
    """The network for a family of encoders: `lexical` or `sentence`."""
    table = load(files("memtune.router").joinpath(f"confirm-{family}.safetensors").read_bytes())
    return Confirmer(**{name: table[name].astype(np.float32) for name in table})
