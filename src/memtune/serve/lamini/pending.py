"""Completions that are asked for now and looked at later."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping
from typing import Any

from memtune.core.reports import Answer
from memtune.serve.desk import Busy, Piece
from memtune.serve.house import House
from memtune.serve.keys import Key
from memtune.serve.lamini.completions import Wanted
from memtune.serve.lamini.faults import UnknownResult
from memtune.serve.together import side_by_side

_KEEP_SECONDS = 3600
_MOST_KEPT = 4096
_RETRY_SECONDS = 5


class Request:
    """Prompts on their way to answers."""

    def __init__(self, wanted: Wanted, key: Key) -> None:
        self.wanted, self.key = wanted, key
        self.said = ["" for _ in wanted.prompts]
        self.answers: list[Answer | None] = [None for _ in wanted.prompts]
        self.ended: float | None = None
        self.task: asyncio.Task[None] | None = None

    async def run(self, house: House) -> None:
        askings = self.wanted.askings()

        async def stream(number: int) -> None:
            while self.answers[number] is None:
                try:
                    async for item in house.desk.stream(askings[number], self.key):
                        if isinstance(item, Piece):
                            self.said[number] += item.text
                        else:
                            self.answers[number] = item
                except Busy as busy:
                    await asyncio.sleep(busy.seconds)  # nobody stands in line for this: it may wait its turn

        try:
            await side_by_side(range(len(askings)), stream, house)
        finally:
            self.ended = time.monotonic()

    def result(self) -> dict[str, Any]:
        """Nothing while nothing was said; then all that was said so far. What ended is told in the order of the
        prompts, since clients count how many have ended and take so many from the beginning."""
        if self.task is not None and self.task.done():
            self.task.result()  # raises what went wrong
        if not any(self.said) and not any(self.answers):
            return {}
        finish: list[str | None] = []
        for answer in self.answers:
            ended = answer is not None and None not in finish
            finish.append(answer.finish if answer is not None and ended else None)
        return {"outputs": [self._output(number) for number in range(len(self.said))], "finish_reason": finish}

    def _output(self, number: int) -> Any:
        answer = self.answers[number]
        if answer is not None:
            return self.wanted.output(answer)
        return self.said[number] if self.wanted.schema is None else None


class Pending:
    """The requests of a server. They live in memory: after a restart they have to be sent again."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._requests: dict[str, Request] = {}

    async def submit(self, body: Mapping[str, Any], key: Key) -> str:
        wanted = Wanted.of(body, self.house)
        await asyncio.to_thread(self.house.shelf.find, wanted.model, key)  # an unknown model is told at once
        self._forget_old()
        self._require_place(len(wanted.prompts))
        request, name = Request(wanted, key), uuid.uuid4().hex
        request.task = asyncio.create_task(request.run(self.house))
        request.task.add_done_callback(_seen)
        self._requests[name] = request
        return name

    def result(self, name: str, key: Key) -> dict[str, Any]:
        request = self._requests.get(name)
        if request is None or request.key.id != key.id:
            raise UnknownResult("there is no such request here", hint="results are kept for an hour")
        return request.result()

    def _forget_old(self) -> None:
        limit = time.monotonic() - _KEEP_SECONDS
        ended = [name for name, one in self._requests.items() if one.ended is not None]
        too_many = max(0, len(self._requests) - _MOST_KEPT + 1)
        for number, name in enumerate(ended):
            if number < too_many or (self._requests[name].ended or 0.0) < limit:
                del self._requests[name]

    def _require_place(self, more: int) -> None:
        waiting = sum(len(one.wanted.prompts) for one in self._requests.values() if one.ended is None)
        if waiting and waiting + more > self.house.config.serve.queue:
            raise Busy(_RETRY_SECONDS)


def _seen(task: asyncio.Task[None]) -> None:
    """What went wrong is told to whoever asks for the result, not to the log of the loop."""
    if not task.cancelled():
        task.exception()
