"""/v1/fine_tuning/jobs: facts of an uploaded file are learned into a memory."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field, field_validator

from memtune.serve.facts.documented import faults
from memtune.serve.files import UnknownFile
from memtune.serve.house import House
from memtune.serve.http.guard import Teacher, TheHouse
from memtune.serve.jobs import Job, Plan
from memtune.serve.keys import LOCAL, Key
from memtune.serve.openai import results
from memtune.serve.openai.fields import Metadata, Name, Strict, unsupported, wrong
from memtune.serve.openai.pages import After, Limit, page
from memtune.serve.openai.shapes import CheckpointPage, EventPage, JobPage
from memtune.serve.openai.shapes import Job as JobShape
from memtune.serve.openai.wanted import refused
from memtune.serve.shelf import BASE, UnknownModel
from memtune.store import MemoryFolder

router = APIRouter(prefix="/v1/fine_tuning", tags=["openai"])
Auto = Literal["auto"]
_NO_EPOCHS = "n_epochs has no effect: an expert is trained until its answers are likely enough, or for lora.max_steps"


class Hyperparameters(Strict):
    """Settings of gradient training. Kinds that are learned without it have no use for them, and the job says so."""

    n_epochs: Auto | Annotated[int, Field(ge=1, le=50)] | None = None
    batch_size: Auto | Annotated[int, Field(ge=1, le=256, description="Sets `lora.batch_size`.")] | None = None
    learning_rate_multiplier: (
        Auto | Annotated[float, Field(gt=0, le=100, description="Multiplies `lora.learning_rate`.")] | None
    ) = None

    def given(self) -> dict[str, float]:
        """What is set, and not left to the server."""
        return {name: value for name, value in self if value not in (None, "auto")}


class Supervised(Strict):
    hyperparameters: Hyperparameters | None = None


class Method(Strict):
    """How to learn."""

    type: Literal["supervised"]
    supervised: Supervised | None = None
    dpo: Any = unsupported("facts are learned from answers, not from preferences")
    reinforcement: Any = unsupported("facts are learned from answers, not from rewards")

    @field_validator("type", mode="before")
    @classmethod
    def _only_supervised(cls, value: Any) -> Any:
        if value != "supervised":
            raise wrong("facts are learned from answers: only supervised is possible")
        return value


class Learning(Strict):
    """How memtune learns, beyond what OpenAI's fields say."""

    kind: str | None = Field(
        None, max_length=64, description="A kind of expert, or several joined by `+`.", examples=["imprint"]
    )
    on_conflict: Literal["error", "keep-first", "keep-last"] | None = Field(
        None, description="What becomes of a question with two answers; without it the job fails and names it."
    )


class TuningRequest(Strict):
    """A file that is to be learned."""

    model: Name = Field(
        description="`base` or an alias: a new memory is made on it. A memory: it learns more.", examples=["base"]
    )
    training_file: Annotated[str, Field(min_length=1, max_length=200)] = Field(examples=["file-abc"])
    suffix: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="The name of the new memory; without it the server makes one. Not for a memory that is there.",
        examples=["acme"],
    )
    seed: int | None = Field(None, ge=0, lt=1 << 31, description="Of what is drawn in gradient training.")
    method: Method | None = None
    hyperparameters: Hyperparameters | None = Field(None, description="The older place of `method.supervised`'s.")
    metadata: Metadata | None = None
    memtune: Learning | None = None
    validation_file: Any = unsupported("what is learned is proved by asking it again; a validation file is not used")
    integrations: Any = unsupported("jobs report to nobody else", [])

    @property
    def hyper(self) -> Hyperparameters:
        inner = self.method.supervised.hyperparameters if self.method and self.method.supervised else None
        return inner or self.hyperparameters or Hyperparameters()


# ---- routes ---------------------------------------------------------------------------------------------------------


@router.post("/jobs", summary="Learn a file", response_model=JobShape, responses=faults(409))
def create_job(body: TuningRequest, house: TheHouse, key: Teacher) -> dict[str, Any]:
    """A job that learns a file's facts. It goes on behind the answers; what a lot has learned is known at once."""
    try:
        house.files.find(body.training_file, key)
    except UnknownFile as fault:
        raise refused("training_file", fault.message, fault.hint) from None
    return results.shown(house.jobs.add(_plan(body, house, key), key), house)


@router.get("/jobs", summary="List jobs", response_model=JobPage, responses=faults())
def list_jobs(house: TheHouse, key: Teacher, after: After = None, limit: Limit = 20) -> dict[str, Any]:
    """The key's own jobs, newest first; an admin sees all."""
    return page(house.jobs.of(key), after, limit, lambda job: results.shown(job, house), results.named)


@router.get("/jobs/{job_id}", summary="Look a job up", response_model=JobShape, responses=faults())
def get_job(job_id: str, house: TheHouse, key: Teacher) -> dict[str, Any]:
    """How far it is, or what became of it."""
    return results.shown(results.find(job_id, house, key), house)


@router.post("/jobs/{job_id}/cancel", summary="Cancel a job", response_model=JobShape, responses=faults())
def cancel_job(job_id: str, house: TheHouse, key: Teacher) -> dict[str, Any]:
    """End it after the lot that it is at. What it has learned stays."""
    return _turned(house.jobs.cancel, job_id, house, key)


@router.post("/jobs/{job_id}/pause", summary="Pause a job", response_model=JobShape, responses=faults())
def pause_job(job_id: str, house: TheHouse, key: Teacher) -> dict[str, Any]:
    """Halt it after the lot that it is at, until it is resumed."""
    return _turned(house.jobs.pause, job_id, house, key)


@router.post("/jobs/{job_id}/resume", summary="Resume a job", response_model=JobShape, responses=faults())
def resume_job(job_id: str, house: TheHouse, key: Teacher) -> dict[str, Any]:
    """Go on with a job that was paused, cancelled or has failed. What it learned is not learned again."""
    return _turned(house.jobs.resume, job_id, house, key)


@router.get("/jobs/{job_id}/events", summary="What happened in a job", response_model=EventPage, responses=faults())
def list_events(job_id: str, house: TheHouse, key: Teacher, after: After = None, limit: Limit = 20) -> dict[str, Any]:
    """Newest first. Events of type `metrics` carry the figures of a lot."""
    found = results.events(results.find(job_id, house, key), house)
    return page(found, after, limit, dict, lambda event: str(event["id"]))


@router.get(
    "/jobs/{job_id}/checkpoints", summary="Versions that a job made", response_model=CheckpointPage, responses=faults()
)
def list_checkpoints(
    job_id: str, house: TheHouse, key: Teacher, after: After = None, limit: Limit = 10
) -> dict[str, Any]:
    """Newest first. Each is a version of the memory and can be asked by its name, `acme@v12`."""
    found = results.checkpoints(results.find(job_id, house, key), house)
    return page(found, after, limit, dict, lambda checkpoint: str(checkpoint["id"]))


def _turned(verb: Callable[[int, Key], Job], job_id: str, house: House, key: Key) -> dict[str, Any]:
    return results.shown(verb(results.find(job_id, house, key).id, key), house)


# ---- from a request to a plan ---------------------------------------------------------------------------------------


def _plan(body: TuningRequest, house: House, key: Key) -> Plan:
    kind = (body.memtune.kind if body.memtune else None) or ""
    if kind:
        house.config.with_settings([f"learn.kind={kind}"])  # what is no kind is said now
    memory, model = _target(body, house, key)
    settings, without_effect = _settings(body, kind or house.config.learn.kind, house)
    if body.memtune and body.memtune.on_conflict:
        settings = [*settings, f"learn.on_conflict={body.memtune.on_conflict}"]
    told = {
        "protocol": "openai",
        "model": body.model,
        "suffix": body.suffix,
        "seed": body.seed,
        "metadata": body.metadata,
        "hyperparameters": body.hyper.model_dump(exclude_none=True),
        "without_effect": without_effect,
    }
    new = body.model.partition("@")[0] != memory
    return Plan(memory, house.shelf.path(memory), model, [body.training_file], kind, settings, new=new, told=told)


def _target(body: TuningRequest, house: House, key: Key) -> tuple[str, str]:
    """The memory that learns, and the model that it is or will be made on."""
    shelf = house.shelf
    if body.model in (BASE, shelf.model, *shelf.aliases):
        return _new(body.suffix or f"ft-{secrets.token_hex(6)}", house, key), shelf.aliases.get(body.model, shelf.model)
    memory, _, at = body.model.partition("@")
    if memory not in shelf.memories(key):
        raise UnknownModel(body.model, shelf.models(key))
    if at:
        raise refused("model", "an old version cannot learn; it stays what it was", f"name the memory, '{memory}'")
    if body.suffix:
        raise refused("suffix", f"'{memory}' is a memory and keeps its name", "a suffix names a new memory on a model")
    with MemoryFolder.open(shelf.path(memory)) as folder:
        stored = folder.header.backbone["name"]
    return memory, next((model for name, model in shelf.aliases.items() if stored in (name, model)), shelf.model)


def _new(name: str, house: House, key: Key) -> str:
    """A name that no memory has, and none will have that waits to be made."""
    if not key.may_use(name):
        raise refused("suffix", f"this key may not make a memory '{name}'", "give a suffix that it may use", status=403)
    waiting = {job.plan.memory for job in house.jobs.of(LOCAL) if not job.over}
    if name in waiting or MemoryFolder.exists(house.shelf.path(name)):
        hint = f'to teach it more, name it as the model: "model": "{name}"'
        raise refused("suffix", f"there is a memory '{name}' already", hint, status=409)
    return name


def _settings(body: TuningRequest, kind: str, house: House) -> tuple[list[str], list[str]]:
    """Hyperparameters as settings, and one sentence for each that changes nothing."""
    given = body.hyper.given() | ({} if body.seed is None else {"seed": body.seed})
    if "lora" not in kind.split("+"):
        return [], [f"{name} has no effect: {kind} has no such setting" for name in given]
    without_effect = [_NO_EPOCHS] if "n_epochs" in given else []
    if "learning_rate_multiplier" in given:
        given["learning_rate"] = given["learning_rate_multiplier"] * house.config.lora.learning_rate
    steer = ("batch_size", "learning_rate", "seed")
    return [f"lora.{name}={given[name]}" for name in steer if name in given], without_effect
