"""What a job is: what it is to do, how far it is, what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memtune.errors import UsageError

WAITING = ("CREATED", "QUEUED")
LOADING, TRAINING, EVALUATING, SAVING = "LOADING DATA", "TRAINING MODEL", "EVALUATING MODEL", "SAVING MODEL"
RUNNING = (LOADING, TRAINING, EVALUATING, SAVING)
ENDED_BADLY = ("FAILED", "CANCELLED")
ENDED_WELL = ("COMPLETED", "PARTIALLY COMPLETED")
RESUMABLE = ("PAUSED", "FAILED", "CANCELLED")


class NameTaken(UsageError):
    """Another job is about to make a memory of this name."""


@dataclass(frozen=True)
class Plan:
    """What a job is to do: learn these files into a memory."""

    memory: str
    """The memory's name; it is made if it is not there."""
    path: Path
    """Where it is or will be."""
    model: str
    """The model that the memory is made on, as `load_backbone` takes it."""
    files: Sequence[str]
    """Ids of uploads."""
    kind: str = ""
    """A kind of expert or several joined by `+`; empty: as the server is set."""
    settings: Sequence[str] = ()
    """`group.name=value`. What they say of `learn.kind` goes before `kind`."""
    slots: int = 1
    new: bool = False
    """The memory is the job's to make: no other job may have the same in mind."""
    told: Mapping[str, Any] = field(default_factory=dict)
    """What the protocol wants back as it was given: custom_model_name, is_public, suffix, metadata, seed …"""


@dataclass(frozen=True)
class Step:
    """One lot of a job: what the history shows."""

    step: int
    facts: int
    """Facts done so far."""
    total: int
    loss: float
    """Share of the facts of this lot that are not yet recalled; of gradient kinds the mean loss, if it is known."""
    margin: float | None
    seconds: float
    left_seconds: float


@dataclass(frozen=True)
class Job:
    id: int
    """Whole numbers from 1, as the reference's clients expect; `ftjob-N` for OpenAI's."""
    status: str
    """CREATED QUEUED "LOADING DATA" "TRAINING MODEL" "EVALUATING MODEL" "SAVING MODEL" COMPLETED "PARTIALLY COMPLETED"
    FAILED CANCELLED PAUSED."""
    plan: Plan
    key: str
    created: float
    started: float | None = None
    ended: float | None = None
    version: int | None = None
    """The memory's version that it made."""
    error: str | None = None
    warnings: Sequence[str] = ()
    resumed: int = 0
    report: Mapping[str, Any] = field(default_factory=dict)
    """`LearnReport.to_json()` when it is done."""

    @property
    def named_model(self) -> str:
        """What was trained, as the client of either protocol named it; never the folder that the server loads."""
        return str(self.plan.told.get("model") or self.plan.told.get("model_name") or self.plan.memory)

    @property
    def author(self) -> str:
        """As whom it signs the versions that it makes."""
        return f"job-{self.id}"

    @property
    def ended_well(self) -> bool:
        return self.status in ENDED_WELL

    @property
    def over(self) -> bool:
        return self.ended_well or self.status in ENDED_BADLY
