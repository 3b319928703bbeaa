"""Every failure as one clear line in the shape that the caller's protocol knows."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from memtune.errors import FolderLocked, InputError, MemtuneError, UnknownFact, UnknownVersion, UsageError
from memtune.serve.desk import Busy
from memtune.serve.shelf import UnknownModel

_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (UnknownModel, 404),
    (UnknownFact, 404),
    (UnknownVersion, 404),
    (UsageError, 400),
    (InputError, 400),
    (FolderLocked, 409),
)
"""The first that fits; other faults of memtune are 500."""


class Refused(Exception):
    """A request that is refused with this status."""

    def __init__(self, status: int, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.hint, self.code = status, message, hint, code
        self.headers: dict[str, str] = {}


def install(app: FastAPI) -> None:
    app.add_exception_handler(MemtuneError, _memtune)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(Busy, _busy)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _plain)


def said(request: Request, status: int, message: str, hint: str | None = None, code: str | None = None) -> Any:
    """The body of an error in the caller's own shape."""
    whole = f"{message}; {hint}" if hint else message
    if getattr(request.state, "protocol", "openai") == "lamini":
        return {"detail": whole}
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": whole, "type": kind, "param": None, "code": code}}


def _answer(request: Request, status: int, message: str, hint: str | None = None, **more: Any) -> JSONResponse:
    headers = more.pop("headers", None)
    return JSONResponse(said(request, status, message, hint, **more), status, headers=headers)


def status_of(fault: Exception) -> int:
    return next((status for kind, status in _STATUS if isinstance(fault, kind)), 500)


async def _memtune(request: Request, fault: Any) -> JSONResponse:
    code = "model_not_found" if isinstance(fault, UnknownModel) else None
    return _answer(request, status_of(fault), fault.message, fault.hint, code=code)


async def _refused(request: Request, fault: Any) -> JSONResponse:
    return _answer(request, fault.status, fault.message, fault.hint, code=fault.code, headers=fault.headers)


async def _busy(request: Request, fault: Any) -> JSONResponse:
    return _answer(request, 429, str(fault), headers={"Retry-After": str(max(1, round(fault.seconds)))})


async def _invalid(request: Request, fault: Any) -> JSONResponse:
    first = fault.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    return _answer(request, 400, f"{where}: {first['msg']}" if where else str(first["msg"]))


async def _plain(request: Request, fault: Any) -> JSONResponse:
    return _answer(request, fault.status_code, str(fault.detail))
