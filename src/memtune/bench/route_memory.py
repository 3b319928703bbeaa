"""A memory that can only be routed: the router's keys without experts, since no answer is decoded."""

from __future__ import annotations

import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from memtune.config import Config
from memtune.core.facts import Fact
from memtune.router.calibrate import Known, calibrate
from memtune.router.entries import Entry, make_keys
from memtune.router.router import Router

_SEGMENT = 0
STAGES = ("propose", "confirm")
"""Methods of the router that are timed one by one, where it has them."""


@dataclass(frozen=True)
class Routed:
    """Places of the facts that fired, and of the one that stands first, fired or not."""

    fired: frozenset[int]
    first: int | None


@dataclass(frozen=True)
class Timing:
    """Milliseconds a query."""

    median: float
    p99: float
    n: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Timing:
        ordered = sorted(seconds)
        return cls(1000 * statistics.median(ordered), 1000 * ordered[(99 * (len(ordered) - 1)) // 100], len(ordered))


class RoutedMemory:
    """Facts that are found as a memory of them would find them."""

    def __init__(self, facts: Sequence[Fact], config: Config) -> None:
        self.router = Router(config.router, config.index)
        matcher = self.router.matcher
        self.router.add(_SEGMENT, make_keys([Entry.of(fact) for fact in facts], matcher.encoder, config.router.vectors))
        self.calibration = calibrate(self.router, _drawn(facts, config.router.calibrate), config.router, len(facts))
        self.router.threshold = self.calibration.threshold
        self._seconds: dict[str, list[float]] = defaultdict(list)
        for stage in STAGES:
            if hasattr(matcher, stage):
                setattr(matcher, stage, self._timed(stage, getattr(matcher, stage)))
        self._route = self._timed("route", self.router.route)

    def ask(self, text: str) -> Routed:
        route = self._route(text)
        best = (*route.confirmed, *route.proposals)[:1]
        return Routed(frozenset(p.owner[1] for p in route.confirmed), best[0].owner[1] if best else None)

    def take_times(self) -> dict[str, list[float]]:
        """Seconds since the last call, of the whole and of each stage that was passed."""
        taken = dict(self._seconds)
        self._seconds.clear()
        return taken

    def _timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return call(*given, **named)
            finally:
                self._seconds[name].append(time.perf_counter() - start)

        return timed


def _drawn(facts: Sequence[Fact], number: int) -> list[Known]:
    """Facts to calibrate on, as a memory draws them."""
    places = sorted(random.Random("facts to calibrate on").sample(range(len(facts)), min(number, len(facts))))
    return [Known((_SEGMENT, place), facts[place].question, facts[place].phrasings) for place in places]
