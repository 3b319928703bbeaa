"""What stands before every route: an id for the request, headers, one line in the log, the metrics, the last resort."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from typing import Any

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memtune.serve import tally as tallies
from memtune.serve.http import errors
from memtune.serve.logs import log
from memtune.serve.metrics import Metrics
from memtune.serve.tally import Tally

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_GONE = 499
"""What is noted of a request whose client did not wait for the end of the answer."""
_UNKNOWN = "(unknown)"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_LONGEST_TEXT = 20_000
"""Bytes of a prompt or an answer that are written to the log, where that is asked for."""
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
]
"""What browsers are told; a route may say otherwise for itself."""


class Front:
    """Plain ASGI: a reply that streams passes through piece by piece."""

    def __init__(self, app: ASGIApp, metrics: Metrics, *, log_texts: bool) -> None:
        self.app, self.metrics, self.log_texts = app, metrics, log_texts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        visit = _Visit(scope, receive, send, self.log_texts)
        try:
            await self.app(scope, visit.receive, visit.send)
        except asyncio.CancelledError:
            visit.gone = True
            raise
        except Exception as fault:
            if visit.gone:
                return  # nobody is there to be told, and it is no fault of ours
            log.error("fault", extra={"request": visit.id, "route": visit.route}, exc_info=fault)
            if visit.status is not None:
                raise  # the answer has begun; all that is left is to break it off
            await errors.broken(Request(scope), visit.id)(scope, visit.receive, visit.send)
        finally:
            self._note(visit)

    def _note(self, visit: _Visit) -> None:
        seconds = time.perf_counter() - visit.tally.began
        method = visit.scope["method"] if visit.scope["method"] in _METHODS else "OTHER"
        status = _GONE if visit.gone and not visit.complete else visit.status or _GONE
        self.metrics.note(method, visit.route, status, seconds, visit.tally)
        log.info("request", extra=visit.line(method, status, seconds))


class _Visit:
    """One request while it is answered."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, log_texts: bool) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        self.tally: Tally = tallies.begin()
        self.id = self._id()
        scope.setdefault("state", {})["request_id"] = self.id
        self.status: int | None = None
        self.complete = False
        self.gone = False
        self.texts: tuple[bytearray, bytearray] | None = (bytearray(), bytearray()) if log_texts else None

    def _id(self) -> str:
        """The id that the caller gave, if it is one, or a new one."""
        given = next((value for name, value in self.scope["headers"] if name == b"x-request-id"), b"").decode("latin-1")
        return given if _ID.fullmatch(given) else f"req-{secrets.token_hex(8)}"

    @property
    def route(self) -> str:
        """The template of the address: names of memories and ids do not stand in logs and metrics."""
        nested = self.scope.get("fastapi", {}).get(
            "effective_route_context"
        )  # knows the prefix that a route lies under
        found: str | None = getattr(nested or self.scope.get("route"), "path", None)
        return found or _UNKNOWN

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self.complete:
            self.gone = True
        elif self.texts and message["type"] == "http.request":
            _keep(self.texts[0], message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = {name.lower() for name, _ in message["headers"]}
            own = [*_HEADERS, (b"x-request-id", self.id.encode())]
            message["headers"] = [*message["headers"], *(pair for pair in own if pair[0] not in given)]
        elif message["type"] == "http.response.body":
            if self.texts:
                _keep(self.texts[1], message.get("body", b""))
            self.complete = not message.get("more_body", False)
        await self._send(message)

    def line(self, method: str, status: int, seconds: float) -> dict[str, Any]:
        key = self.scope["state"].get("key")
        line = {
            "request": self.id,
            "key": key.name if key else None,
            "method": method,
            "route": self.route,
            "status": status,
            "ms": round(seconds * 1000, 1),
        }
        if self.tally.answers:
            line |= {"prompt_tokens": self.tally.prompt_tokens, "tokens": self.tally.tokens}
            line |= {"fired": self.tally.fired, "abstained": self.tally.abstained}
        if self.texts:
            line |= dict(zip(("asked", "said"), (t.decode("utf-8", "replace") for t in self.texts), strict=True))
        return line


def _keep(text: bytearray, more: bytes) -> None:
    text += more[: max(0, _LONGEST_TEXT - len(text))]
