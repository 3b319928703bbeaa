"""/v1/files: what is uploaded to be learned, and what jobs leave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response
from starlette.datastructures import FormData, UploadFile

from memtune.serve.facts.documented import faults
from memtune.serve.files import TooLarge, Upload
from memtune.serve.house import House
from memtune.serve.http.guard import Teacher, TheHouse
from memtune.serve.keys import Key
from memtune.serve.openai import results
from memtune.serve.openai.pages import After, page
from memtune.serve.openai.shapes import Deleted, File, Files
from memtune.serve.openai.wanted import refused
from memtune.store.durable import plain_errors

router = APIRouter(prefix="/v1", tags=["openai"])
PURPOSES = ("fine-tune", "user_data")
_PIECE = 1 << 20
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "additionalProperties": False,
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "Rows of questions and answers, or chats, as JSONL, JSON, CSV or Parquet.",
                        },
                        "purpose": {
                            "enum": list(PURPOSES),
                            "description": "`fine-tune` for what a job learns; `user_data` is only kept.",
                        },
                    },
                }
            }
        },
    }
}


@router.post("/files", summary="Upload a file", response_model=File, responses=faults(), openapi_extra=_FORM)
async def upload_file(request: Request, house: TheHouse, key: Teacher) -> dict[str, Any]:
    """Keep a file for a later job. It is read when the job starts: bad rows are named then."""
    with plain_errors(house.files.folder):  # where it is put aside while it comes
        async with request.form(max_files=1, max_fields=8) as form:
            return _shown(await _kept(form, house, key))


async def _kept(form: FormData, house: House, key: Key) -> Upload:
    for name in form:
        if name not in ("file", "purpose"):
            raise refused(name, f"{name}: files are kept until they are deleted; they take only file and purpose")
    sent, purpose = form.get("file"), form.get("purpose")
    if not isinstance(sent, UploadFile):
        raise refused("file", "file: no file was sent", "send it as multipart/form-data")
    if purpose not in PURPOSES:
        raise refused("purpose", f"purpose: it must be {' or '.join(PURPOSES)}")
    try:
        return await house.files.take(_pieces(sent), name=sent.filename or "file", purpose=str(purpose), key=key)
    except TooLarge as fault:
        raise refused("file", fault.message, fault.hint, status=413) from None


async def _pieces(sent: UploadFile) -> AsyncIterator[bytes]:
    while piece := await sent.read(_PIECE):
        yield piece


@router.get("/files", summary="List files", response_model=Files, responses=faults())
def list_files(
    house: TheHouse,
    key: Teacher,
    purpose: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Literal["asc", "desc"] = "desc",
    after: After = None,
) -> dict[str, Any]:
    """The key's own uploads; an admin sees all."""
    found = house.files.of(key, purpose)
    return page(found if order == "desc" else found[::-1], after, limit, _shown, lambda upload: upload.id)


@router.get("/files/{file_id}", summary="Look a file up", response_model=File, responses=faults())
def get_file(file_id: str, house: TheHouse, key: Teacher) -> dict[str, Any]:
    """An upload, or the results of a job."""
    if job := results.job_of(file_id, house, key):
        return _shown(results.as_file(job, house))
    return _shown(house.files.find(file_id, key))


@router.get(
    "/files/{file_id}/content",
    summary="Download a file",
    response_class=Response,
    responses=faults() | {200: {"description": "The file.", "content": {"application/octet-stream": {}}}},
)
def get_content(file_id: str, house: TheHouse, key: Teacher) -> Response:
    """What was uploaded, as it came; of a job's results a CSV with a line for each lot."""
    if job := results.job_of(file_id, house, key):
        return Response(results.content(job, house), media_type="application/octet-stream")
    upload = house.files.find(file_id, key)
    return FileResponse(house.files.path(upload), media_type="application/octet-stream", filename=upload.name)


@router.delete("/files/{file_id}", summary="Delete a file", response_model=Deleted, responses=faults())
def delete_file(file_id: str, house: TheHouse, key: Teacher) -> dict[str, Any]:
    """What was learned from it stays learned."""
    if results.job_of(file_id, house, key):
        raise refused("file_id", "the results of a job go with the job")
    house.files.delete(file_id, key)
    return {"id": file_id, "object": "file", "deleted": True}


def _shown(upload: Upload) -> dict[str, Any]:
    return {
        "id": upload.id,
        "object": "file",
        "bytes": upload.bytes,
        "created_at": int(upload.created),
        "filename": upload.name,
        "purpose": upload.purpose,
        "status": "processed",
    }
