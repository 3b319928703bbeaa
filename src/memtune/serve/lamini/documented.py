"""What the OpenAPI document says of errors: the reference's shape, and what each status means."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class LaminiFault(BaseModel):
    """An error of this protocol."""

    detail: str = Field(description="One line: what is wrong, and what to do about it.")


_MEANS = {
    400: "The request makes no sense (UserError).",
    401: "No key, or one that is not known here (AuthenticationError).",
    403: "The key may not do this.",
    404: "There is no such job or request, or it is another key's.",
    408: "The request did not come whole in time.",
    413: "Too much for one request.",
    429: "Too many requests: see `Retry-After` (RateLimitError).",
    500: "A fault of the server.",
    501: "The server lacks a package for this.",
    503: "The server cannot do this at present (UnavailableResourceError).",
    507: "The server's disk is full.",
    497: "The name is taken (DuplicateResourceError).",
    499: "There is no such data set, or it is another key's (ProjectNotFoundError).",
    594: "There is no such model, or it is closed to this key (ModelNotFoundError).",
}
_ALWAYS = (400, 401, 403, 404, 408, 413, 429, 500, 503, 507)


def faults(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route."""
    named: dict[int | str, dict[str, Any]] = {
        status: {"model": LaminiFault, "description": _MEANS[status]} for status in sorted({*_ALWAYS, *statuses})
    }
    return {**named, "4XX": {"model": LaminiFault, "description": "Any other fault of the request."}}
