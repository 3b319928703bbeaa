"""Answers on their way: several side by side, whole or as a stream of events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, cast

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Send

from memtune.core.reports import Answer
from memtune.errors import MemtuneError
from memtune.serve.desk import Asking, Busy, Piece
from memtune.serve.house import House
from memtune.serve.http.errors import Refused, said, status_of, without_paths
from memtune.serve.keys import Key
from memtune.serve.logs import log
from memtune.serve.openai.chunks import Chunks
from memtune.serve.together import side_by_side

Part = tuple[int, Piece | Answer]
"""Which of the askings, and what is said next or the whole answer."""


async def _end(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel what is still at work, and wait until it has cleared up."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def all_answers(house: House, askings: Sequence[Asking], key: Key) -> list[Answer]:
    """The answers in the order of the askings. The first that fails ends the others."""
    return await side_by_side(askings, lambda asking: house.desk.ask(asking, key), house)


async def parts(house: House, askings: Sequence[Asking], key: Key) -> AsyncIterator[Part]:
    """What is said to each of the askings, as it is said; as many at one time as decode side by side."""
    if len(askings) == 1:  # as nearly always: nothing has to be brought together
        async with aclosing(cast(Any, house.desk.stream(askings[0], key))) as only:
            async for part in only:
                yield 0, part
        return
    free = asyncio.Semaphore(house.config.serve.rows)
    heard: asyncio.Queue[Part | BaseException | None] = asyncio.Queue(maxsize=2 * len(askings))

    async def read(number: int, asking: Asking) -> None:
        try:
            async with free, aclosing(cast(Any, house.desk.stream(asking, key))) as stream:
                async for part in stream:
                    await heard.put((number, part))
            await heard.put(None)
        except Exception as fault:
            await heard.put(fault)

    tasks = [asyncio.ensure_future(read(number, asking)) for number, asking in enumerate(askings)]
    try:
        left = len(tasks)
        while left:
            part = await heard.get()
            if isinstance(part, BaseException):
                raise part
            if part is None:
                left -= 1
            else:
                yield part
    finally:
        await _end(tasks)


# ---- server-sent events ---------------------------------------------------------------------------------------------


class Events(StreamingResponse):
    """A stream of events that is closed with its connection, also while a client does not read."""

    media_type = "text/event-stream"

    async def stream_response(self, send: Send) -> None:
        async with aclosing(cast(Any, self.body_iterator)):
            await super().stream_response(send)


async def streamed(
    request: Request,
    house: House,
    askings: Sequence[Asking],
    key: Key,
    chunks: Chunks,
) -> Events:
    """The response that tells what is said as events.

    What goes wrong before the first word is an error like any other; afterwards it is an event of the stream.
    """
    heard = parts(house, askings, key)
    first = await anext(heard)

    async def events() -> AsyncIterator[str]:
        answers: dict[int, Answer] = {}
        text = ""
        try:
            async with aclosing(cast(Any, heard)):
                for chunk in chunks.opening():
                    yield event(chunk)
                part: Part | None = first
                while part is not None:
                    number, saying = part
                    if isinstance(saying, Answer):
                        answers[number] = saying
                    text += "".join(map(event, chunks.of(number, saying)))
                    if len(answers) < len(askings):  # what is said last goes with what ends the stream
                        yield text
                        text = ""
                    part = await anext(heard, None)
            text += "".join(map(event, chunks.closing([answers[number] for number in sorted(answers)])))
        except Exception as fault:
            yield text + event(_fault(request, fault))
            return
        yield text + "data: [DONE]\n\n"

    return Events(events())


def event(body: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"


def _fault(request: Request, fault: Exception) -> Any:
    """What went wrong in the middle of a stream, in the shape of an error."""
    if isinstance(fault, MemtuneError):
        hint = without_paths(request, fault.hint) if fault.hint else None
        return said(request, status_of(fault), without_paths(request, fault.message), hint)
    if isinstance(fault, Refused):
        return said(request, fault.status, fault.message, fault.hint, code=fault.code)
    if isinstance(fault, Busy):
        return said(request, 429, str(fault))
    known = getattr(request.state, "request_id", "")
    log.error("fault", extra={"request": known, "route": request.url.path}, exc_info=fault)
    return said(request, 500, "something went wrong here", f"the server's log says what, under request {known}")
