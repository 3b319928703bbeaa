"""Training jobs, with the reference's names for everything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

from memtune.errors import UsageError
from memtune.serve.house import House
from memtune.serve.jobs import Job, Plan, settle
from memtune.serve.keys import Key
from memtune.serve.lamini import data
from memtune.serve.lamini.data import Reply
from memtune.serve.lamini.names import goal

TRAIN_TYPES = ("memory_tuning", "mome_mini")
_PAUSED_SHOWN_AS = "QUEUED"
"""The reference has no name for a job that somebody paused; like a queued one it waits."""


def train(
    house: House,
    key: Key,
    *,
    model_name: Any,
    dataset_id: Any = None,
    upload_file_path: Any = None,
    rows: Any = None,
    finetune_args: Mapping[str, Any] | None = None,
    gpu_config: Mapping[str, Any] | None = None,
    is_public: bool | None = None,
    custom_model_name: Any = None,
    train_type: Any = None,
) -> Reply:
    """Queue a job. Nothing is kept of one that is refused."""
    told = [*data.public_told(is_public), *_train_type_told(train_type)]
    settled = settle(house.config.learn.kind, finetune_args, gpu_config)
    wanted = goal(house, key, model_name, custom_model_name)
    told += [*wanted.warnings, *settled.without_effect]
    house.jobs.require_allowed(wanted.memory, key)
    dataset = _dataset(house, key, dataset_id, upload_file_path, rows)
    plan = Plan(
        memory=wanted.memory,
        path=wanted.path,
        model=wanted.model,
        files=(dataset,),
        settings=settled.settings,
        slots=settled.slots,
        new=wanted.new,
        told={
            "protocol": "lamini",
            "model_name": model_name,
            "custom_model_name": custom_model_name,
            "is_public": is_public,
            "train_type": train_type or TRAIN_TYPES[0],
            "finetune_args": dict(finetune_args or {}),
            "gpu_config": dict(gpu_config or {}),
            "warnings": told,
        },
    )
    job = house.jobs.add(plan, key)
    body = {"job_id": job.id, "status": _status(job), "model_name": job.plan.memory, "dataset_id": dataset}
    return Reply(body, warnings_of(job))


def jobs(house: House, key: Key) -> list[dict[str, Any]]:
    return [shown(job, house) for job in house.jobs.of(key)]


def job(house: House, key: Key, job_id: int) -> dict[str, Any]:
    return shown(house.jobs.find(job_id, key), house)


def cancel(house: House, key: Key, job_id: int) -> dict[str, Any]:
    return _changed(house.jobs.cancel(job_id, key))


def cancel_all(house: House, key: Key) -> dict[str, Any]:
    """The caller's own jobs; those of others stay, also for an admin."""
    mine = [job for job in house.jobs.of(key) if job.key == key.id and not job.over]
    for one in mine:
        with suppress(UsageError):  # it has ended just now
            house.jobs.cancel(one.id, key)
    return {"status": "CANCELLED", "job_ids": [one.id for one in mine]}


def resume(house: House, key: Key, job_id: int) -> dict[str, Any]:
    return _changed(house.jobs.resume(job_id, key))


def evaluate(house: House, key: Key, job_id: int) -> dict[str, Any]:
    """Rows of the job's data, answered by the model alone and with what was learned."""
    job = house.jobs.find(job_id, key)
    return {"job_id": job.id, "status": _status(job), **_evaluation(house, job)}


def shown(job: Job, house: House) -> dict[str, Any]:
    """A job as the reference shows it, and a little more."""
    told = job.plan.told
    return {
        "job_id": job.id,
        "status": _status(job),
        "start_time": _when(job.started),
        "created_time": _when(job.created),
        "end_time": _when(job.ended),
        "model_name": job.plan.memory,
        "base_model_name": job.named_model,
        "custom_model_name": told.get("custom_model_name"),
        "is_public": bool(told.get("is_public")),
        "history": json.dumps(_history(job, house)),
        "resume_count": job.resumed,
        "resume_limit": house.jobs.RESUME_LIMIT,
        "dataset_id": next(iter(job.plan.files), None),
        "finetune_args": told.get("finetune_args", {}),
        "warnings": list(warnings_of(job)),
        "error": job.error,
        "version": job.version,
    }


def warnings_of(job: Job) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*job.plan.told.get("warnings", ()), *job.warnings]))


def _history(job: Job, house: House) -> list[dict[str, Any]]:
    rate = job.plan.told.get("finetune_args", {}).get("learning_rate")
    return [
        {
            "loss": step.loss,
            "learning_rate": rate,
            "epoch": round(step.facts / step.total, 4) if step.total else 0.0,
            "iter_time": step.seconds,
            "flops": None,
            "remaining_time": step.left_seconds,
            "step": step.step,
        }
        for step in house.jobs.history(job.id)
    ]


def _evaluation(house: House, job: Job) -> dict[str, Any]:
    return {"eval_results": house.jobs.evaluation(job.id)}


def _dataset(house: House, key: Key, dataset_id: Any, upload_file_path: Any, rows: Any) -> str:
    if rows is not None:
        if dataset_id is not None or not isinstance(rows, list):
            raise UsageError("a job takes either a dataset_id or a list of data")
        return str(data.keep(rows, house, key).body["dataset_id"])
    upload = data.find(dataset_id, house, key)
    if upload_file_path not in (None, data.location(upload)):
        raise UsageError("upload_file_path is not where this data set is", hint="ask /v1/existing-data for it")
    return upload.id


def _train_type_told(train_type: Any) -> tuple[str, ...]:
    if train_type not in (None, *TRAIN_TYPES):
        raise UsageError(
            f"there is no train_type '{train_type}' here", hint=f"{' and '.join(TRAIN_TYPES)} mean the same"
        )
    return ("train_type mome_mini is trained as memory_tuning",) if train_type == TRAIN_TYPES[1] else ()


def _changed(job: Job) -> dict[str, Any]:
    return {"job_id": job.id, "status": _status(job)}


def _status(job: Job) -> str:
    return _PAUSED_SHOWN_AS if job.status == "PAUSED" else job.status


def _when(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc).isoformat()
