"""From which share on a fact is confirmed: set on near misses that are made from the memory's own facts.

A near miss is a learned question whose own fact is taken away (what is left are its neighbours), one that asks the same
of a thing that the memory is made not to know, or one that leaves out what it asks for. Right are wordings made of
learned ones, and given phrasings with their own key taken away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtune.config import RouterConfig
from memtune.router.augment import made, slipped, without_noun
from memtune.router.names import things
from memtune.router.route import Owner
from memtune.router.router import Router

GRID = tuple(round(0.02 * step, 2) for step in range(1, 50))
FEWEST = 40
"""Near misses below which the default threshold stands."""
_ALIKE = 0.97
"""A question left over that meets so much of a learned one asks the same: no near miss."""


@dataclass(frozen=True)
class Known:
    """A fact to calibrate on: where it lives, its learned wording, its other given ones."""

    owner: Owner
    question: str
    phrasings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Calibration:
    """What was measured, and the threshold that follows from it."""

    threshold: float
    facts: int
    """In the memory when this was measured."""
    near_misses: int
    wordings: int
    rate: float
    """Of false firing that was asked for."""
    right: tuple[float, ...] = ()
    """Share of the wordings whose fact is confirmed, for each threshold of GRID."""
    wrong: tuple[float, ...] = ()
    """Share of the wordings that a wrong fact answers."""
    fired: tuple[float, ...] = ()
    """Share of the near misses that fire."""
    version: int = 0
    """Of the memory, when this was measured."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Calibration:
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in found.items()}
        return cls(**values)

    def holds_for(self, facts: int, growth: float) -> bool:
        """Whether the memory has not grown too much since."""
        return abs(facts - self.facts) <= growth * max(self.facts, 1)


def calibrate(router: Router, known: Sequence[Known], config: RouterConfig, facts: int, seed: int = 0) -> Calibration:
    """Measure on these facts. `facts`: how many the memory holds."""
    draw = Random(f"calibrate {seed}")
    misses = np.array([share for fact in known for share in _near_misses(router, fact, known, draw)], np.float32)
    outcomes = [found for fact in known for found in _wordings(router, fact, draw)]
    shares = np.array([share for share, _ in outcomes], np.float32)
    hits = np.array([hit for _, hit in outcomes], bool)
    return Calibration(
        threshold=_threshold(misses, config),
        facts=facts,
        near_misses=len(misses),
        wordings=len(outcomes),
        rate=config.false_firing,
        right=_curve(shares[hits], len(outcomes)),
        wrong=_curve(shares[~hits], len(outcomes)),
        fired=_curve(misses, len(misses)),
    )


def _threshold(misses: NDArray[np.float32], config: RouterConfig) -> float:
    """The least that lets no more near misses through than allowed, between bounds: some near misses are none."""
    if len(misses) < FEWEST:
        return config.threshold
    highest = np.sort(misses)[::-1]
    needed = float(highest[min(int(config.false_firing * len(highest)), len(highest) - 1)]) + 1e-6
    return float(np.clip(needed, config.lowest_threshold, config.highest_threshold))


def _curve(shares: NDArray[np.float32], of: int) -> tuple[float, ...]:
    return tuple(round(float((shares >= step).sum()) / max(of, 1), 5) for step in GRID)


def _near_misses(router: Router, fact: Known, known: Sequence[Known], draw: Random) -> list[float]:
    """How sure the router would be, wrongly, of a neighbour of this question."""
    own = frozenset(router.keys_of([fact.owner]))
    found = [router.judge(fact.question, without=own)]
    stranger = _with_another_name(fact, draw.choice(known).question)
    if stranger is not None:
        text, name = stranger
        if router.exact(text) is None:
            found.append(router.judge(text, without=frozenset(router.keys_about(name))))
    less = without_noun(fact.question)
    if less is not None and router.exact(less) is None:
        found.append(router.judge(less))
    best = [next((j for j in judged if not j.digits), None) for judged in found]
    return [j.share if j is not None else 0.0 for j in best if j is None or not j.meets(_ALIKE)]


def _with_another_name(fact: Known, other: str) -> tuple[str, str] | None:
    """The question asked of what another question is about."""
    own, others = things(fact.question), things(other)
    if not own or not others or own[0].core.casefold() == others[0].core.casefold():
        return None
    return fact.question.replace(own[0].core, others[0].core), others[0].core


def _wordings(router: Router, fact: Known, draw: Random) -> list[tuple[float, bool]]:
    """For wordings that were not learned: the share of the likeliest fact, and whether that is the right one."""
    asked = [(text, frozenset(router.keys_in(text))) for text in fact.phrasings[:2]]
    variants = [*made(fact.question, seed=draw.randrange(1 << 30)), slipped(fact.question, draw)]
    asked += [(text, frozenset()) for text in draw.sample(variants, 1) if router.exact(text) is None]
    found = []
    for text, without in asked:
        best = next((j for j in router.judge(text, without=without) if not j.digits), None)
        found.append((best.share, best.owner == fact.owner) if best is not None else (0.0, False))
    return found
