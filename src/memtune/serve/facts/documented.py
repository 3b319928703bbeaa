"""What the OpenAPI document says of errors: the same shape at every status, and what each status means here."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class FaultBody(BaseModel):
    """What went wrong."""

    model_config = ConfigDict(extra="allow")

    message: str = Field(description="One line: what is wrong, and what to do about it.")
    type: str = Field(description="The kind of error, as OpenAI's clients know it.", examples=["invalid_request_error"])
    param: str | None = Field(None, description="The part of the request that is at fault, where it is one.")
    code: str | int | None = Field(None, description="A short name for programs, where there is one.")


class Fault(BaseModel):
    """An error. Every error of this part of the server has this shape."""

    error: FaultBody

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "error": {
                        "message": "no fact 'price-2' in this memory; did you mean price-1?",
                        "type": "invalid_request_error",
                        "param": None,
                        "code": None,
                    }
                }
            ]
        }
    )


MEANS = {
    400: "The request cannot be understood, or asks for something that makes no sense.",
    401: "No key, or one that is not known here.",
    403: "The key may not do this.",
    404: "There is no such memory, fact or version, or it is closed to this key.",
    408: "The request did not come whole in time.",
    409: "It contradicts what the memory holds, or another writer is at work: see `Retry-After`.",
    412: "The memory has moved on from the version that `If-Match` names.",
    413: "Too much for one request.",
    429: "Too many requests: see `Retry-After`.",
    500: "A fault of the server. The line names the request, under which the log tells more.",
    503: "The memory or its model cannot be had at present.",
    507: "The disk of the server is full.",
}
ALWAYS = (400, 401, 403, 404, 408, 413, 429, 500, 503)
CHANGING = (409, 412, 507)


def faults(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route."""
    return {status: {"model": Fault, "description": MEANS[status]} for status in sorted({*ALWAYS, *statuses})} | {
        "4XX": {"model": Fault, "description": "Any other fault of the request."}
    }
