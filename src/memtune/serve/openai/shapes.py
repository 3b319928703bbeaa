"""What the OpenAI routes give back, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    model_config = ConfigDict(extra="allow")


EVENTS: dict[str, Any] = {
    "description": "The reply; with `stream` its events: each line `data: ` and a chunk, the last `data: [DONE]`.",
    "content": {"text/event-stream": {"schema": {"description": "Events, each with its `data`."}}},
}


# ---- replies --------------------------------------------------------------------------------------------------------


class UsedFact(Shape):
    """A fact that the reply used."""

    id: str = Field(examples=["price-1"])
    score: float = Field(description="How sure the router was.", examples=[0.998])
    source: str | None = Field(description="Where the fact comes from.", examples=["prices.csv"])
    kind: str = Field(
        description="The kinds of experts that acted; `field` where it was written into a form.", examples=["imprint"]
    )
    field: str | None = Field(None, description="The field of the form that it was written into.", examples=["price"])


class UsedSkill(Shape):
    """A skill under which the reply was written."""

    name: str
    score: float


class Told(Shape):
    """Where a reply comes from."""

    memory: str | None = Field(description="The memory that was asked; none for the model alone.", examples=["acme"])
    version: int | None = Field(description="Its version.", examples=[12])
    fired: bool = Field(description="Whether a fact was used.")
    abstained: bool
    clarifies: list[str] = Field(description="Ids of facts that fit alike, where the reply asks which one is meant.")
    facts: list[UsedFact]
    skills: list[UsedSkill]
    seed: int | None = Field(description="The seed that the server took, if the request named none and one was needed.")


class Usage(Shape):
    """Tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class SaidMessage(Shape):
    role: Literal["assistant"]
    content: str = Field(examples=["40 dollars"])
    refusal: None = None


class ChatChoice(Shape):
    index: int
    message: SaidMessage
    logprobs: dict[str, Any] | None
    finish_reason: Literal["stop", "length"]
    memtune: Told | None = Field(None, description="Of this reply, where there are several.")


class ChatCompletion(Shape):
    """A reply to a chat."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    system_fingerprint: str = Field(description="The memory and its version.", examples=["acme@v12"])
    memtune: Told


class TextChoice(Shape):
    index: int
    text: str
    logprobs: dict[str, Any] | None
    finish_reason: Literal["stop", "length"]
    memtune: Told | None = Field(None, description="Of this reply, where there are several.")


class TextCompletion(Shape):
    """Replies to prompts."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage
    system_fingerprint: str
    memtune: Told


class Embedding(Shape):
    object: Literal["embedding"]
    index: int
    embedding: list[float] | str = Field(description="Numbers, or base64 of 32-bit floats, little end first.")


class Embeddings(Shape):
    """Vectors of texts."""

    object: Literal["list"]
    model: str
    data: list[Embedding]
    usage: dict[str, int]


# ---- models, files, jobs --------------------------------------------------------------------------------------------


class ModelTold(Shape):
    """What a model name stands for."""

    kind: Literal["memory", "alias", "base"]
    version: int | None = None
    facts: int | None = Field(None, description="How many it holds; not told to a key from which some are hidden.")
    skills: list[str] = []
    fault: str | None = Field(None, description="Why the memory cannot be asked, where that is so.")


class Model(Shape):
    id: str = Field(examples=["acme"])
    object: Literal["model"]
    created: int
    owned_by: Literal["memtune"]
    memtune: ModelTold


class Models(Shape):
    object: Literal["list"]
    data: list[Model]


class File(Shape):
    """An upload."""

    id: str = Field(examples=["file-abc"])
    object: Literal["file"]
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: Literal["processed"]


class Page(Shape):
    object: Literal["list"]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Files(Page):
    data: list[File]


class Deleted(Shape):
    id: str
    object: Literal["file"]
    deleted: bool


class JobFault(Shape):
    code: str
    message: str
    param: str | None


class JobTold(Shape):
    """What memtune says of a job beyond OpenAI's fields."""

    status: str = Field(description="The status by the server's own name.", examples=["TRAINING MODEL"])
    memory: str
    version: int | None = Field(description="The version of the memory that the job made.")
    kind: str
    settings: list[str]
    without_effect: list[str] = Field(description="Each hyperparameter that changes nothing, and why.")
    warnings: list[str]
    resumed: int
    learned: int | None
    failed: list[dict[str, Any]] = Field(description="Facts that could not be learned, and why.")


class Job(Shape):
    """A fine-tuning job: facts that are learned into a memory."""

    id: str = Field(examples=["ftjob-1"])
    object: Literal["fine_tuning.job"]
    created_at: int
    finished_at: int | None
    estimated_finish: int | None
    model: str
    fine_tuned_model: str | None
    organization_id: str
    status: Literal["validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled"]
    training_file: str
    validation_file: None
    result_files: list[str]
    trained_tokens: int | None
    error: JobFault | None
    hyperparameters: dict[str, Any]
    method: dict[str, Any]
    seed: int
    integrations: list[Any]
    metadata: dict[str, str] | None
    memtune: JobTold


class JobPage(Page):
    data: list[Job]


class JobEvent(Shape):
    id: str
    object: Literal["fine_tuning.job.event"]
    created_at: int
    level: Literal["info", "warn", "error"]
    message: str
    type: Literal["message", "metrics"]
    data: dict[str, Any] | None


class EventPage(Page):
    data: list[JobEvent]


class Checkpoint(Shape):
    """A version of the memory that the job made."""

    id: str
    object: Literal["fine_tuning.job.checkpoint"]
    created_at: int
    fine_tuned_model_checkpoint: str = Field(examples=["acme@v12"])
    fine_tuning_job_id: str
    metrics: dict[str, float | None]
    step_number: int


class CheckpointPage(Page):
    data: list[Checkpoint]
