"""How the router of a memory stands: its keys, its threshold, and what other thresholds would do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from memtune.router.calibrate import FEWEST, GRID, Calibration
from memtune.router.curves import Curve, Marks, svg
from memtune.router.router import Router

ORIGINS = ("given", "made", "must_not")
"""Of keys, in the order of their tags."""
_SHOWN = tuple(round(0.1 * step, 1) for step in range(1, 10))


@dataclass(frozen=True)
class Row:
    """What one threshold does."""

    threshold: float
    right: float
    wrong: float
    fired: float
    chosen: bool


@dataclass(frozen=True)
class RouterReport:
    encoder: str
    index: str
    """The method at work."""
    index_note: str
    """Why, where it does not search as it was asked to."""
    keys: Mapping[str, int]
    threshold: float
    bound: str
    """The setting that kept a calibrated threshold from being lower or higher, if one did."""
    calibration: Calibration | None

    @classmethod
    def of(cls, router: Router, calibration: Calibration | None) -> RouterReport:
        method, note = router.index_at_work()
        keys = dict(zip(ORIGINS, router.matcher.keys.tag_counts(), strict=True))
        return cls(router.matcher.encoder.name, method, note, keys, router.threshold, _bound(router), calibration)

    @property
    def calibrated(self) -> bool:
        """Whether the threshold follows from near misses of this memory; else it is the default."""
        return self.calibration is not None and self.calibration.near_misses >= FEWEST

    def to_json(self) -> dict[str, Any]:
        measured = self.calibration
        return {
            "encoder": self.encoder,
            "index": self.index,
            "index_note": self.index_note,
            "keys": dict(self.keys),
            "threshold": self.threshold,
            "set_by": "calibration" if self.calibrated else "default",
            "bound": self.bound if self.calibrated else "",
            "calibration": {**measured.to_json(), "thresholds": GRID} if measured else None,
        }

    # ---- for people ---------------------------------------------------------------------------------------------

    def lines(self) -> list[str]:
        origins = ", ".join(f"{number:,} {origin.replace('_', ' ')}" for origin, number in self.keys.items())
        return [
            f"encoder    {self.encoder}",
            f"index      {self.index}{self.index_note and f' ({self.index_note})'}",
            f"keys       {sum(self.keys.values()):,}: {origins}",
            f"threshold  {self.threshold:.3f}, {self._how()}",
        ]

    def _how(self) -> str:
        measured = self.calibration
        if measured is None:
            return "the default: not calibrated yet"
        on = f"{measured.near_misses:,} near misses and {measured.wordings:,} wordings"
        if not self.calibrated:
            return f"the default: {on} could be made, and {FEWEST} near misses are needed"
        bound = f"; {self.bound} keeps it from going further" if self.bound else ""
        return f"calibrated on {on} for {100 * measured.rate:.3g} % of false firing at most{bound}"

    @property
    def hint(self) -> str:
        """How to get a calibrated threshold, where there is none."""
        if not sum(self.keys.values()):
            return "the memory is empty: learn facts first"
        if self.calibration is None:
            return "`memtune router calibrate` measures on the memory's own facts; so does the next `memtune learn`"
        if not self.calibrated:
            return "learn more facts: some forty make a calibration; `memtune learn` measures again by itself"
        return ""

    def rows(self) -> list[Row]:
        """Some thresholds and the chosen one, which lies between two that were measured."""
        shown = sorted({*_SHOWN, self.threshold})
        return [self._row(at) for at in shown]

    def _row(self, at: float) -> Row:
        right, wrong, fired = (curve.at(at) for curve in self.curves())
        return Row(at, right, wrong, fired, chosen=at == self.threshold)

    def curves(self) -> tuple[Curve, Curve, Curve]:
        """Right, wrong and near misses fired, by threshold."""
        measured = self.calibration
        if measured is None or not measured.right:
            nothing = np.empty(0)
            return Curve("right", nothing, nothing), Curve("wrong", nothing, nothing), Curve("fired", nothing, nothing)
        grid = np.array(GRID)
        return (
            Curve("right", grid, np.array(measured.right)),
            Curve("wrong", grid, np.array(measured.wrong)),
            Curve("near misses fired", grid, np.array(measured.fired)),
        )

    def svg(self) -> str:
        """The curve as a picture that needs nothing else."""
        right, wrong, fired = self.curves()
        measured = self.calibration
        on = f"{measured.near_misses:,} near misses and {measured.wordings:,} wordings" if measured else "nothing"
        return svg(
            right,
            (wrong, fired),
            Marks(
                self.threshold,
                "calibrated" if self.calibrated else "default",
                measured.rate if measured else 0.0,
                f"Measured on {on}, made of the memory's own facts",
            ),
        )


def _bound(router: Router) -> str:
    bounds = ("lowest_threshold", "highest_threshold")
    return next((f"router.{name}" for name in bounds if getattr(router.config, name) == router.threshold), "")
