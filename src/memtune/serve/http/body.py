"""The body of a request is bounded in bytes, seconds and depth before any route sees it, and read only with a key."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memtune.config import ServeConfig
from memtune.serve.http import errors
from memtune.serve.http.errors import Refused
from memtune.serve.http.guard import identify
from memtune.serve.http.protocol import protocol_of

_UPLOADS = ("/v1/files", "/v1/local-data")
"""Their bodies go on as they come: the routes stream them to disk."""
_ASKING = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/embedding",
    "/inf/chat/completions",
)
"""What is broken off when the client is gone. Changes of a memory are finished."""
_WITH_BODIES = ("POST", "PUT", "PATCH")
"""All routes of these methods want a key. To parse what strangers send would cost seconds and hundreds of megabytes."""
_DEEPEST = 64
_MOST_VALUES = 100_000
"""In all lists and objects together: a few megabytes hold millions, and to find each of them wrong takes gigabytes."""
_MOST_BRACKETS = 2 * _MOST_VALUES
"""Also in texts, where they may stand; what has more is not even parsed."""
_BODIES = 16
"""Bodies of the largest size that may be under way together."""
_DROPPED_SECONDS = 5.0
"""How long the rest of a body that is too large is read and dropped, so that its sender comes to read the answer."""


class BodyGuard:
    """Plain ASGI. What is no upload is read whole, checked, and handed on."""

    def __init__(self, app: ASGIApp, config: ServeConfig) -> None:
        self.app, self.config = app, config
        self._held = 0
        """Bytes of bodies that are still coming."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["method"] in _WITH_BODIES and not await _is_known(scope, receive, send):
            return
        elif scope["path"] in _UPLOADS and scope["method"] == "POST":
            await self._upload(scope, receive, send)
        else:
            await self._plain(scope, receive, send)

    async def _plain(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await self._read(scope, receive)
            if body and b"json" in (_header(scope, b"content-type").lower() or b"json"):
                self._check(scope, body)
        except Refused as fault:
            await _refuse(fault, scope, receive, send)
        except _Gone:
            return
        else:
            there = _WhileThere(receive, send, body)
            await there.run(self.app(scope, there.receive, there.send), break_off=scope["path"] in _ASKING)

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        limit = self.config.max_body
        declared = _declared(scope)
        if declared is not None and declared > limit:
            if b"100-continue" not in _header(scope, b"expect").lower():
                await _drop(receive)
            raise _too_large(limit)
        body, ends = bytearray(), time.monotonic() + self.config.body_seconds
        more = True
        try:
            while more:
                message = await _next(receive, ends)
                more = message.get("more_body", False)
                self._hold(message.get("body", b""), body)
                if len(body) > limit:
                    if more:
                        await _drop(receive)
                    raise _too_large(limit)
        finally:
            self._held -= len(body)
        return bytes(body)

    def _hold(self, piece: bytes, body: bytearray) -> None:
        """Take a piece in, as long as the bodies that are under way do not fill the memory together."""
        body += piece
        self._held += len(piece)
        if self._held > _BODIES * self.config.max_body:
            raise Refused(503, "too many large requests at one time", code="busy", headers={"Retry-After": "5"})

    def _check(self, scope: Scope, body: bytes) -> None:
        """Raise for JSON that is broken, too deep or holds too many messages."""
        found = parsed(body)
        scope.setdefault("state", {})["protocol"] = protocol_of(scope, found)
        messages = found.get("messages") if isinstance(found, dict) else None
        if isinstance(messages, list) and len(messages) > self.config.max_messages:
            raise Refused(
                400,
                f"a chat of {len(messages)} messages is too long",
                hint=f"{self.config.max_messages} are the most",
                param="messages",
            )

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Bytes are counted as they pass. A sender may take its time, but may not fall silent."""
        passing = _Passing(receive, send, self.config)
        try:
            declared = _declared(scope)
            if declared is not None and declared > self.config.max_upload:
                raise _too_large(self.config.max_upload)
            await self.app(scope, passing.receive, passing.send)
        except Refused as fault:
            passing.fault = fault
        except _Gone:
            return
        if passing.fault and not passing.answered:
            await _refuse(passing.fault, scope, receive, send)


class _Passing:
    """An upload on its way to a route. Once it is refused, what the route says of it is no longer told."""

    def __init__(self, receive: Receive, send: Send, config: ServeConfig) -> None:
        self._real, self._send, self._config = receive, send, config
        self._taken, self._whole = 0, False
        self.answered = False
        self.fault: Refused | None = None

    async def receive(self) -> Message:
        if self._whole:  # only the client's leaving is waited for, for as long as it takes
            return await self._real()
        try:
            message = await _next(self._real, time.monotonic() + self._config.body_seconds)
            self._taken += len(message.get("body", b""))
            if self._taken > self._config.max_upload:
                raise _too_large(self._config.max_upload)
        except Refused as fault:
            self.fault = fault
            raise
        self._whole = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if self.fault is None or self.answered:
            self.answered = True
            await self._send(message)


class _Gone(Exception):
    """The client has left."""


class _WhileThere:
    """Work for a client: it gets its body once, and learns when the client has left."""

    def __init__(self, receive: Receive, send: Send, body: bytes) -> None:
        self._real, self._send, self._body = receive, send, body
        self._given = self._complete = False
        self._left = asyncio.Event()

    async def receive(self) -> Message:
        if not self._given:
            self._given = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await self._send(message)
        self._complete = message["type"] == "http.response.body" and not message.get("more_body", False)

    async def run(self, work: Awaitable[None], *, break_off: bool) -> None:
        watch = asyncio.create_task(self._watch())
        task = asyncio.ensure_future(work)
        try:
            if break_off:
                await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
                if not task.done() and not self._complete:
                    task.cancel()
                    await asyncio.wait({task})
                    if task.cancelled():
                        return
            await task
        finally:
            watch.cancel()
            if not task.done():  # the server itself is broken off
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _watch(self) -> None:
        while (await self._real())["type"] != "http.disconnect":
            pass
        self._left.set()


def parsed(body: bytes) -> Any:
    """What a body says. Anything that JSON does not know, or that cannot be written as UTF-8, is refused."""
    if body.count(b"[") + body.count(b"{") > _MOST_BRACKETS:
        raise _too_much()
    try:
        found = json.loads(body, parse_constant=_no_number)
        if b"\\u" in body:
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise _too_deep() from None
    except UnicodeError:
        raise Refused(400, "the body is not UTF-8 text") from None
    except ValueError as fault:
        raise Refused(400, f"the body is no JSON: {fault}") from None
    if isinstance(found, (dict, list)):
        _require_modest(found)
    return found


def _require_modest(found: Any) -> None:
    """Raise if lists and objects lie within each other too often, or hold too much. Goes level by level, so that it
    cannot overflow."""
    level, held = [found], 0
    for _ in range(_DEEPEST):
        held += sum(map(len, level))
        if held > _MOST_VALUES:
            raise _too_much()
        inner = (part for whole in level for part in (whole.values() if isinstance(whole, dict) else whole))
        level = [part for part in inner if isinstance(part, (dict, list))]
        if not level:
            return
    raise _too_deep()


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _too_much() -> Refused:
    return Refused(400, f"the body holds more than {_MOST_VALUES:,} values", hint="upload what is a lot")


def _too_deep() -> Refused:
    return Refused(400, f"the body is nested more than {_DEEPEST} deep")


def _too_large(limit: int) -> Refused:
    return Refused(413, f"the body is larger than {limit:,} bytes", code="too_large", headers={"Connection": "close"})


def _header(scope: Scope, wanted: bytes) -> bytes:
    return next((value for name, value in scope["headers"] if name == wanted), b"")


def _declared(scope: Scope) -> int | None:
    """The length that the client announces."""
    value = _header(scope, b"content-length")
    return int(value) if value.isdigit() else None


async def _is_known(scope: Scope, receive: Receive, send: Send) -> bool:
    """Whether the sender shows a key; who does not is told so once the body was dropped."""
    try:
        await identify(Request(scope))
    except Refused as fault:
        with suppress(_Gone):
            if b"100-continue" not in _header(scope, b"expect").lower():
                await _drop(receive)
            await _refuse(fault, scope, receive, send)
        return False
    return True


async def _next(receive: Receive, ends: float) -> Message:
    try:
        message = await asyncio.wait_for(receive(), max(0.001, ends - time.monotonic()))
    except asyncio.TimeoutError:
        raise Refused(408, "the request did not come whole in time", headers={"Connection": "close"}) from None
    if message["type"] == "http.disconnect":
        raise _Gone
    return message


async def _drop(receive: Receive) -> None:
    ends = time.monotonic() + _DROPPED_SECONDS
    try:
        while (await _next(receive, ends)).get("more_body", False):
            pass
    except Refused:
        return


async def _refuse(fault: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    answer = await errors.refused(Request(scope), fault)
    await answer(scope, receive, send)
