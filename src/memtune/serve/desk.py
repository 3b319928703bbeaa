"""Where questions are taken: from a model's name and a question to the answer, whole or in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from memtune.answering import Question
from memtune.core.reports import Answer
from memtune.serve.keys import Key
from memtune.serve.shelf import Shelf


@dataclass(frozen=True)
class Asking:
    """A question to a model by name."""

    model: str
    question: Question
    raw: bool = False
    """The question is a text to be gone on with, not something that is asked."""
    decode: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `DecodeConfig`."""
    schema: Mapping[str, Any] | None = None
    """A JSON schema that the reply follows."""
    draw: int = 0
    """Which of several replies to the same question this is."""


@dataclass(frozen=True)
class Piece:
    """What is said next."""

    text: str


class Busy(Exception):
    """The queue is full. Come back after so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the server is busy; try again in {seconds:.0f} s")
        self.seconds = seconds


class Desk:
    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self._one = asyncio.Lock()

    async def ask(self, asking: Asking, key: Key) -> Answer:
        seat = await asyncio.to_thread(self.shelf.find, asking.model, key)

        def answered() -> Answer:
            return seat.model.ask(asking.question, memory=seat.memory is not None, raw=asking.raw, **asking.decode)  # type: ignore[call-overload,no-any-return]

        async with self._one:
            return await asyncio.to_thread(answered)

    async def stream(self, asking: Asking, key: Key) -> AsyncIterator[Piece | Answer]:
        answer = await self.ask(asking, key)
        yield Piece(answer.text)
        yield answer
