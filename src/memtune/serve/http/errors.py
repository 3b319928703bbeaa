"""Every failure as one clear line in the shape that the caller's protocol knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from memtune.errors import (
    BackboneError,
    ConflictError,
    ExtraMissing,
    FolderError,
    FolderLocked,
    InputError,
    KindUnsupported,
    MemtuneError,
    NoSpace,
    NotFound,
    UnknownFact,
    UnknownVersion,
    UsageError,
)
from memtune.serve.desk import Busy
from memtune.serve.files import TooLarge
from memtune.serve.http.protocol import protocol_of
from memtune.serve.jobs import NameTaken
from memtune.serve.keys import Forbidden
from memtune.serve.lamini.faults import code_of
from memtune.serve.logs import log
from memtune.serve.shelf import UnknownModel

_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (TooLarge, 413),
    (Forbidden, 403),
    (NameTaken, 409),
    (NotFound, 404),
    (UnknownFact, 404),
    (UnknownVersion, 404),
    (UsageError, 400),
    (ConflictError, 409),
    (InputError, 400),
    (KindUnsupported, 400),
    (FolderLocked, 409),
    (NoSpace, 507),
    (FolderError, 503),
    (BackboneError, 503),
    (ExtraMissing, 501),
)
"""The first that fits; other faults of memtune are 500."""

_LOCKED_SECONDS = 5
_LONGEST = 1000
"""Characters of a line: a fault may quote what the client sent."""

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class Refused(Exception):
    """A request that is refused with this status."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        hint: str | None = None,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.hint, self.code, self.param = status, message, hint, code, param
        self.headers: dict[str, str] = dict(headers or {})


def install(app: FastAPI) -> None:
    app.add_exception_handler(MemtuneError, _memtune)
    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(Busy, _busy)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _plain)


def said(
    request: Request, status: int, message: str, hint: str | None = None, code: str | None = None, **more: Any
) -> Any:
    """The body of an error in the caller's own shape."""
    whole = _short(f"{message}; {hint}" if hint else message)
    if protocol(request) == "lamini":
        return {"detail": whole}
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": whole, "type": kind, "param": more.get("param"), "code": code}}


def protocol(request: Request) -> str:
    """What the request speaks: as its route says, else by its address."""
    known: str | None = getattr(request.state, "protocol", None)
    return known or protocol_of(request.scope)


def status_of(fault: Exception) -> int:
    return next((status for kind, status in _STATUS if isinstance(fault, kind)), 500)


def broken(request: Request, request_id: str) -> JSONResponse:
    """What is told of a fault that should not have happened: where to look for it, and nothing else."""
    return _answer(request, 500, "something went wrong here", f"the server's log says what, under request {request_id}")


def _answer(request: Request, status: int, message: str, hint: str | None = None, **more: Any) -> JSONResponse:
    headers = more.pop("headers", None)
    return JSONResponse(said(request, status, message, hint, **more), status, headers=headers)


async def _memtune(request: Request, fault: Any) -> JSONResponse:
    status = code_of(fault) if protocol(request) == "lamini" else status_of(fault)
    code, headers = None, dict[str, str]()
    if isinstance(fault, UnknownModel) or (isinstance(fault, UnknownVersion) and not _of_facts(request)):
        code = "model_not_found"
    if isinstance(fault, FolderLocked):
        headers["Retry-After"] = str(_LOCKED_SECONDS)
    if status == 503:
        code = "unavailable"
    if status_of(fault) >= 500:  # some of the reference's codes for a caller's fault are above it too
        known = getattr(request.state, "request_id", None)
        log.warning("fault", extra={"request": known}, exc_info=fault)
    hint = without_paths(request, fault.hint) if fault.hint else None
    return _answer(request, status, without_paths(request, fault.message), hint, code=code, headers=headers)


def _of_facts(request: Request) -> bool:
    """Whether a version is something of its own to the caller, and not a part of a model's name."""
    return request.url.path.startswith("/v1/memories")


async def refused(request: Request, fault: Any) -> JSONResponse:
    return _answer(
        request, fault.status, fault.message, fault.hint, code=fault.code, param=fault.param, headers=fault.headers
    )


async def _busy(request: Request, fault: Any) -> JSONResponse:
    seconds = str(max(1, round(fault.seconds)))
    return _answer(request, 429, str(fault), code="busy", headers={"Retry-After": seconds})


async def _invalid(request: Request, fault: Any) -> JSONResponse:
    if protocol_of(request.scope, fault.body) == "lamini":
        request.state.protocol = "lamini"
    first = fault.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path", "header"))
    message = f"{where}: {first['msg']}" if where else str(first["msg"])
    return _answer(request, 400, message, param=where or None)


async def _plain(request: Request, fault: Any) -> JSONResponse:
    """What the framework itself refuses."""
    told = str(fault.detail)
    if fault.status_code in (404, 405) and told == HTTPStatus(fault.status_code).phrase:
        there = f"{request.method} {request.url.path}"
        told = f"there is nothing at {there}" if fault.status_code == 404 else f"{there} is not possible here"
    return _answer(request, fault.status_code, told, headers=fault.headers)


def without_paths(request: Request, text: str) -> str:
    """The same line with memories by their names: where the server keeps them is nobody's business."""
    house = request.app.state.house
    for name, path in house.shelf.named.items():
        text = re.sub(rf"(?<![\w./-]){re.escape(str(path))}(?![\w-])", name, text)  # a name holds no backslash
    for folder in (house.shelf.folder, house.data):
        text = text.replace(f"{folder}/", "")
    return text


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
