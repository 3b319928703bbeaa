"""How much of what the right fact in the context would give a memory gives, beyond guessing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from memtune.evaluate.stats import Rate

LEAST = 0.6
"""Where the backbone does worse with the facts before its eyes, the form tells nothing about the memory."""
_RESAMPLES = 2000


@dataclass(frozen=True)
class Share:
    """(memory - chance) / (oracle - chance), with the 95 % interval of a bootstrap over cases, paired."""

    value: float
    low: float
    high: float

    @classmethod
    def of(
        cls,
        memory: Sequence[bool],
        oracle: Sequence[bool],
        chance: Sequence[float],
        seed: int = 0,
        *,
        least: float = LEAST,
    ) -> Share | None:
        """None where the oracle reaches less than it must, or what guessing may have given."""
        if _too_weak(oracle, chance, least):
            return None
        got, told, luck = (np.asarray(values, dtype=np.float64) for values in (memory, oracle, chance))
        drawn = np.random.default_rng(seed).integers(len(told), size=(_RESAMPLES, len(told)))
        above = got[drawn].mean(1) - luck[drawn].mean(1)
        room = told[drawn].mean(1) - luck[drawn].mean(1)
        shares = above[room > 0] / room[room > 0]
        low, high = np.quantile(shares, [0.025, 0.975]).tolist()
        return cls(float((got.mean() - luck.mean()) / (told.mean() - luck.mean())), low, high)

    def __str__(self) -> str:
        return f"{100 * self.value:.0f} % [{100 * self.low:.0f}, {100 * self.high:.0f}]"


def _too_weak(oracle: Sequence[bool], chance: Sequence[float], least: float = LEAST) -> str:
    """Why an oracle is no measure for others; empty where it is one."""
    rate = Rate.of(oracle)
    if rate.value is None or rate.interval is None:
        return "nothing asked"
    if rate.value < least:
        return f"below {100 * least:.0f} %"
    return "" if rate.interval[0] > sum(chance) / len(chance) else "may be guessing"


def oracle_cell(oracle: Sequence[bool], chance: Sequence[float]) -> str:
    """The oracle's figure, and whether others are measured by it."""
    why, figure = _too_weak(oracle, chance), Rate.of(oracle).brief
    return f"{why}: not shown ({figure})" if why else figure
