"""The reference's routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from memtune.serve.facts.documented import faults as openai_faults
from memtune.serve.http.guard import Asker, Teacher, TheHouse
from memtune.serve.lamini import completions, data, models, training
from memtune.serve.lamini.completions import LONGEST_NAME
from memtune.serve.lamini.data import Reply
from memtune.serve.lamini.documented import faults
from memtune.serve.lamini.pending import Pending
from memtune.serve.openai import chat
from memtune.serve.openai.shapes import EVENTS, ChatCompletion

_LONGEST_WARNING = 2000
router = APIRouter(tags=["lamini"])
router.add_api_route(
    "/inf/chat/completions",
    chat.chat_completions,
    methods=["POST"],
    name="lamini_chat_completions",
    summary="Answer a chat, as /v1/chat/completions does",
    response_model=ChatCompletion,
    responses=openai_faults() | {200: EVENTS},
)
JobId = Annotated[int, Path(ge=1, le=2**53, description="The number of a job.", examples=[1])]


Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
Text = Annotated[str, Field(min_length=1)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ExistingData(_Body):
    """A data set that was uploaded."""

    dataset_id: Name = Field(description="As the upload gave it.", examples=["file-abc"])
    upload_base_path: str | None = Field(None, examples=["local"])


class Training(_Body):
    """A job: learn a data set into a new memory on a model, or into a memory."""

    model_name: Name = Field(description="`base` or an alias: a new memory; a memory: that one.", examples=["base"])
    dataset_id: str | None = Field(None, description="What is learned.", examples=["file-abc"])
    upload_file_path: str | None = Field(None, description="Where the data set is, as /v1/existing-data says.")
    data: Annotated[list[dict[str, Any]], Field(fail_fast=True)] | None = Field(
        None, description="A small data set, instead of the id of one."
    )
    finetune_args: dict[str, Any] | None = Field(None, examples=[{"max_steps": 50, "learning_rate": 0.0003}])
    gpu_config: dict[str, Any] | None = Field(None, examples=[{"gpus": 1, "nodes": 1}])
    is_public: bool | None = Field(None, description="Without effect, and told so.")
    custom_model_name: str | None = Field(
        None, max_length=LONGEST_NAME, description="The new memory's name.", examples=["acme"]
    )
    train_type: str | None = Field(None, description="memory_tuning or mome_mini.", examples=["memory_tuning"])


class Completion(_Body):
    """Prompts that a model answers."""

    model_name: Name = Field(description="A memory, one of its versions, an alias or `base`.", examples=["acme"])
    prompt: Text | Annotated[list[Text], Field(fail_fast=True)] = Field(examples=["What does the Zorblat cost?"])
    output_type: Any = Field(None, description="The form of the reply.", examples=[{"price": "int"}])
    max_tokens: int | None = Field(None, ge=1, description="Tokens of a reply, at most.")
    max_new_tokens: int | None = Field(None, ge=1, description="The same; where both are named, this one holds.")
    reservation_id: None = Field(None, description="What the client sends along; nothing is reserved here.")


class Embedding(_Body):
    """Texts that are to be made into vectors."""

    prompt: Text | Annotated[list[Text], Field(fail_fast=True)] = Field(examples=["What does the Zorblat cost?"])
    model_name: Name | None = Field(None, description="Whose encoder; without it, the server's own.")


class Download(_Body):
    """A model that is to be there."""

    hf_model_name: Name = Field(examples=["base"])
    model_type: str = Field("transformer", examples=["transformer"])


async def pending(request: Request, house: TheHouse) -> Pending:
    """The requests of this server, which are made with the first of them. In the loop, so that there is only one."""
    state = request.app.state
    if not hasattr(state, "lamini_pending"):
        state.lamini_pending = Pending(house)
    found: Pending = state.lamini_pending
    return found


ThePending = Annotated[Pending, Depends(pending)]


# ---- data and jobs --------------------------------------------------------------------------------------------------


@router.get("/v1/get-upload-base-path", responses=faults())
def get_upload_base_path(_key: Teacher) -> dict[str, str]:
    """Where data is to be sent: to this server."""
    return {"upload_base_path": data.BASE_PATH}


@router.post(
    "/v1/local-data",
    responses=faults(),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["data"],
                        "additionalProperties": False,
                        "properties": {
                            "upload_base_path": {"type": "string", "enum": [data.BASE_PATH]},
                            "data": {"type": "array", "minItems": 1, "items": {"type": "object"}},
                            "is_public": {"type": "boolean"},
                        },
                    },
                    "example": {
                        "upload_base_path": data.BASE_PATH,
                        "data": [{"input": "What does the Zorblat cost?", "output": "40 dollars"}],
                    },
                }
            },
        }
    },
)
async def local_data(request: Request, response: Response, house: TheHouse, key: Teacher) -> Any:
    """Keep rows of inputs and outputs as a data set. They are written to disk as they come."""
    return _told(await data.receive(_chunks(request), house, key), response)


@router.post("/v1/existing-data", responses=faults(499))
def existing_data(body: ExistingData, response: Response, house: TheHouse, key: Teacher) -> Any:
    """Where a data set is. The location is a name, not a path."""
    return _told(data.existing(body.dataset_id, house, key, body.upload_base_path), response)


@router.post("/v1/train", responses=faults(497, 499, 594))
def train(body: Training, response: Response, house: TheHouse, key: Teacher) -> Any:
    """Queue a job that learns a data set. What has no effect is told in `X-Warning` and in the job."""
    given = body.model_dump()
    return _told(training.train(house, key, rows=given.pop("data"), **given), response)


@router.get("/v1/train/jobs", responses=faults())
def jobs(house: TheHouse, key: Teacher) -> list[dict[str, Any]]:
    """The caller's jobs, newest first; an admin sees all."""
    return training.jobs(house, key)


@router.post("/v1/train/jobs/cancel", responses=faults())
def cancel_all(house: TheHouse, key: Teacher) -> dict[str, Any]:
    """Cancel all of the caller's jobs that are not over."""
    return training.cancel_all(house, key)


@router.get("/v1/train/jobs/{job_id}", responses=faults())
def job(job_id: JobId, house: TheHouse, key: Teacher) -> dict[str, Any]:
    """One job: its status, and its history as a JSON text."""
    return training.job(house, key, job_id)


@router.post("/v1/train/jobs/{job_id}/cancel", responses=faults())
def cancel(job_id: JobId, house: TheHouse, key: Teacher) -> dict[str, Any]:
    """Cancel a job. What it has learned so far stays."""
    return training.cancel(house, key, job_id)


@router.post("/v1/train/jobs/{job_id}/resume", responses=faults())
def resume(job_id: JobId, house: TheHouse, key: Teacher) -> dict[str, Any]:
    """Take up a job that was cancelled or has failed. What it has learned is not learned again."""
    return training.resume(house, key, job_id)


@router.get("/v1/train/jobs/{job_id}/eval", responses=faults())
def evaluate(job_id: JobId, house: TheHouse, key: Teacher) -> dict[str, Any]:
    """Rows of a job's data, answered by the model alone and with what was learned."""
    return training.evaluate(house, key, job_id)


# ---- completions that are looked at later, vectors ------------------------------------------------------------------


@router.post("/v3/streaming_completions", responses=faults(501, 594))
async def streaming_completions(body: Completion, pending: ThePending, key: Asker) -> dict[str, str]:
    """Ask prompts whose replies are looked at while they come. The reply to this is their id."""
    return {"id": await pending.submit(body.model_dump(exclude_none=True), key)}


@router.get("/v3/streaming_completions/{id}/result", responses=faults(501, 594))
async def streaming_result(id: str, pending: ThePending, key: Asker) -> dict[str, Any]:  # noqa: A002
    """What was said so far: nothing at first, then texts, each with a finish reason when it is whole."""
    return pending.result(id, key)


_BATCH: dict[str, Any] = {"responses": faults(501, 594)}
router.add_api_route("/v1/batch_completions", streaming_completions, methods=["POST"], name="batch", **_BATCH)
router.add_api_route("/v1/batch_completions/{id}/result", streaming_result, methods=["GET"], name="result", **_BATCH)


@router.post("/v1/embedding", responses=faults(594))
async def embedding(body: Embedding, house: TheHouse, key: Asker) -> dict[str, Any]:
    """A vector for a text, or one for each of a list."""
    return await completions.embed(body.model_dump(), house, key)


# ---- models ---------------------------------------------------------------------------------------------------------


@router.get("/v1alpha/downloaded_models/", responses=faults())
def downloaded_models(house: TheHouse, key: Asker) -> list[dict[str, Any]]:
    """The models that can be asked and trained."""
    return models.listed(house, key)


@router.post("/v1alpha/downloaded_models/", responses=faults(594))
def download_model(body: Download, house: TheHouse, key: Asker) -> dict[str, Any]:
    """Whether a model is there. None is downloaded."""
    return models.downloaded(house, key, body.hf_model_name, body.model_type)


@router.get("/v1/version", responses=faults())
def version(_key: Asker, lamini_version: Annotated[str | None, Header()] = None) -> dict[str, Any]:
    """The routes of this protocol, and versions."""
    return models.version(lamini_version)


# ---- warnings -------------------------------------------------------------------------------------------------------


def _told(reply: Reply, response: Response) -> Any:
    """The reply, with what the caller should know in the header that the reference's client prints."""
    if reply.warnings:
        line = " ".join("; ".join(reply.warnings).split())
        response.headers["X-Warning"] = line[:_LONGEST_WARNING].encode("ascii", "replace").decode()
    return reply.body


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        yield chunk
