"""A job as OpenAI's objects: its state, its events, the versions it made, and its figures as a file."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from memtune.errors import MemtuneError
from memtune.history import History
from memtune.serve.files import Upload
from memtune.serve.house import House
from memtune.serve.jobs import Job, Step, UnknownJob
from memtune.serve.jobs.worker import configured
from memtune.serve.keys import Key
from memtune.store import MemoryFolder
from memtune.store.accounts import Version

STATUS = {
    "CREATED": "validating_files",
    "QUEUED": "queued",
    "LOADING DATA": "validating_files",
    "TRAINING MODEL": "running",
    "EVALUATING MODEL": "running",
    "SAVING MODEL": "running",
    "COMPLETED": "succeeded",
    "PARTIALLY COMPLETED": "succeeded",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
    "PAUSED": "paused",
}
_FILE = re.compile(r"file-results-([1-9][0-9]{0,15})")
_JOB = re.compile(r"ftjob-([1-9][0-9]{0,15})")
_FIGURES = ("step", "facts", "total", "loss", "margin", "seconds")
_LEVELS = {"warning": "warn", "warn": "warn", "error": "error"}


# ---- the job --------------------------------------------------------------------------------------------------------


def named(job: Job) -> str:
    return f"ftjob-{job.id}"


def find(job_id: str, house: House, key: Key) -> Job:
    found = _JOB.fullmatch(job_id)
    if not found:
        raise UnknownJob(f"there is no job '{job_id[:100]}' here", hint="GET /v1/fine_tuning/jobs lists them")
    return house.jobs.find(int(found.group(1)), key)


def shown(job: Job, house: House) -> dict[str, Any]:
    """The job as `fine_tuning.job`. What another protocol's job does not say is as if it had not been set."""
    told = job.plan.told
    hyper = told.get("hyperparameters") or {}
    return {
        "id": named(job),
        "object": "fine_tuning.job",
        "created_at": int(job.created),
        "finished_at": int(job.ended) if job.over and job.ended else None,
        "estimated_finish": _expected(job, house),
        "model": job.named_model,
        "fine_tuned_model": job.plan.memory if job.ended_well else None,
        "organization_id": "memtune",
        "status": STATUS[job.status],
        "training_file": job.plan.files[0] if job.plan.files else "",
        "validation_file": None,
        "result_files": [f"file-results-{job.id}"] if job.ended_well else [],
        "trained_tokens": None,
        "error": {"code": "job_failed", "message": job.error, "param": None} if job.error else None,
        "hyperparameters": hyper,
        "method": {"type": "supervised", "supervised": {"hyperparameters": hyper}},
        "seed": told.get("seed") or 0,
        "integrations": [],
        "metadata": told.get("metadata"),
        "memtune": {
            "status": job.status,
            "memory": job.plan.memory,
            "version": job.version,
            "kind": configured(house.config, job).learn.kind,
            "settings": list(job.plan.settings),
            "without_effect": _without_effect(job),
            "warnings": list(job.warnings),
            "resumed": job.resumed,
            "learned": job.report.get("learned"),
            "failed": list(job.report.get("failed") or []),
        },
    }


def _without_effect(job: Job) -> list[str]:
    told = job.plan.told.get("without_effect")
    return [str(one) for one in told] if isinstance(told, (list, tuple)) else []


def _expected(job: Job, house: House) -> int | None:
    """When a job that runs will be done."""
    if STATUS[job.status] != "running":
        return None
    steps = house.jobs.history(job.id)
    return int(time.time() + steps[-1].left_seconds) if steps else None


# ---- events ---------------------------------------------------------------------------------------------------------


def events(job: Job, house: House) -> list[dict[str, Any]]:
    """Newest first; at the very beginning, what was asked for and changes nothing."""
    first = [
        _event(f"ftevent-{job.id}-note-{i}", job.created, "warn", said, None)
        for i, said in enumerate(_without_effect(job), 1)
    ]
    later = [
        _event(f"ftevent-{e['id']}", e["created"], _LEVELS.get(e["level"], "info"), e["message"], e["data"] or None)
        for e in house.jobs.events(job.id)
    ]
    return [*first, *later][::-1]


def _event(id: str, created: float, level: str, message: str, data: Any) -> dict[str, Any]:  # noqa: A002
    return {
        "id": id,
        "object": "fine_tuning.job.event",
        "created_at": int(created),
        "level": level,
        "message": message,
        "type": "metrics" if data and "loss" in data else "message",
        "data": data,
    }


# ---- versions -------------------------------------------------------------------------------------------------------


def checkpoints(job: Job, house: House) -> list[dict[str, Any]]:
    """The versions of the memory that the job made, newest first."""
    steps = house.jobs.history(job.id)
    made = _versions(job)
    return [_checkpoint(job, version, number, steps) for number, version in enumerate(made, 1)][::-1]


def _versions(job: Job) -> list[Version]:
    """Oldest first: those that the job has signed. What is older than the job was signed by one of another server."""
    found: list[Version] = []
    if not MemoryFolder.exists(job.plan.path):
        return found
    with suppress(MemtuneError), History.open(job.plan.path) as history:
        for version in history.log():
            if moment(version.commit.time) < int(job.created):
                break
            if version.commit.author == job.author and version.commit.act == "learn":
                found.append(version)
    return found[::-1]


def _checkpoint(job: Job, version: Version, number: int, steps: Sequence[Step]) -> dict[str, Any]:
    step = steps[number - 1] if number <= len(steps) else None
    return {
        "id": f"ftckpt-{job.id}-{version.commit.version}",
        "object": "fine_tuning.job.checkpoint",
        "created_at": int(moment(version.commit.time)),
        "fine_tuned_model_checkpoint": f"{job.plan.memory}@v{version.commit.version}",
        "fine_tuning_job_id": named(job),
        "metrics": {"step": float(number), "train_loss": step.loss if step else None},
        "step_number": number,
    }


def moment(time: str) -> float:
    """Seconds since 1970."""
    return datetime.fromisoformat(time).timestamp() if time else 0.0


# ---- its figures as a file ------------------------------------------------------------------------------------------


def job_of(file_id: str, house: House, key: Key) -> Job | None:
    """The job whose results this file is, if it is one."""
    found = _FILE.fullmatch(file_id)
    if not found:
        return None
    job = house.jobs.find(int(found.group(1)), key)
    return job if job.ended_well else None


def content(job: Job, house: House) -> bytes:
    text = io.StringIO()
    sheet = csv.writer(text, lineterminator="\n")
    sheet.writerow(_FIGURES)
    for step in house.jobs.history(job.id):
        figures: Mapping[str, Any] = vars(step)
        sheet.writerow(["" if figures[name] is None else figures[name] for name in _FIGURES])
    return text.getvalue().encode()


def as_file(job: Job, house: House) -> Upload:
    size = len(content(job, house))
    return Upload(f"file-results-{job.id}", f"results-{job.id}.csv", size, "fine-tune-results", job.ended or 0, job.key)
