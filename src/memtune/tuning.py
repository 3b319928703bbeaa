"""The router's threshold for one memory: read with it, measured anew when it has grown."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate

from memtune.config import RouterConfig
from memtune.errors import FolderDamaged
from memtune.router.calibrate import Calibration, Known, calibrate
from memtune.router.router import Router
from memtune.store import FactRef, MemoryFolder, sidecar

_FILE = sidecar.CALIBRATION
_SHARE = 4
"""One fact in so many is looked at, until `router.calibrate` is reached: the cost stays in proportion to learning."""
_LEAST = 48


class Tuning:
    def __init__(self, folder: MemoryFolder, router: Router, config: RouterConfig) -> None:
        self._folder, self._router, self._config = folder, router, config
        self.calibration: Calibration | None = None
        self.load()

    def load(self) -> None:
        """Take over what was measured last, here or in another process."""
        found = sidecar.read(self._folder.path, _FILE)
        try:
            self.calibration = Calibration.from_json(found) if found else None
        except TypeError:
            raise FolderDamaged(
                f"{self._folder.path / _FILE} is damaged: it does not say what was measured",
                hint="delete it; the next learning measures again",
            ) from None
        self._router.threshold = self.calibration.threshold if self.calibration else self._config.threshold

    def settle(self, *, again: bool = False) -> Calibration | None:
        """Measure, where the memory has grown since it was measured last or `again` asks for it."""
        facts = self._folder.count()
        held = self.calibration
        if not self._config.calibrate or (held and not again and held.holds_for(facts, self._config.growth)):
            return held
        known = list(self._drawn())
        if known:
            measured = calibrate(self._router, known, self._config, facts)
            self.calibration = replace(measured, version=self._folder.version)
            self._router.threshold = self.calibration.threshold
            sidecar.write(self._folder.path, _FILE, self.calibration.to_json())
        return self.calibration

    def _drawn(self) -> Iterator[Known]:
        """Some of the facts that answer, the same ones for the same memory."""
        live = [(s.id, [row for row in s.live if row not in s.archived]) for s in self._folder.segments]
        ends = list(accumulate(len(rows) for _, rows in live))
        facts = ends[-1] if ends else 0
        number = min(facts, self._config.calibrate, max(facts // _SHARE, _LEAST))
        chosen, place = sorted(random.Random("facts to calibrate on").sample(range(facts), number)), 0
        for at in chosen:
            while at >= ends[place]:
                place += 1
            segment, rows = live[place]
            row = rows[at - (ends[place - 1] if place else 0)]
            fact = self._folder.at(*FactRef(segment, row))
            yield Known((segment, row), fact.question, fact.phrasings)
