"""Where questions are taken: from a model's name and a question to the answer, whole or in pieces."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from memtune.answering import Answering
from memtune.config import Config, DecodeConfig
from memtune.core.reports import Answer
from memtune.core.rows import Reply
from memtune.errors import FolderError, InputError, NotFound
from memtune.model import decoding
from memtune.questions import Prepared, Question
from memtune.router.encoders import make_encoder
from memtune.serve import tally
from memtune.serve.engine import Busy, Engine, Event, Load, Piece, Ticket
from memtune.serve.keys import Key
from memtune.serve.shelf import Seat, Shelf, UnknownModel

__all__ = ["Asking", "Busy", "Desk", "Piece"]
_PREPARERS = 2
"""Threads that route questions while the engine decodes."""


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


class Desk:
    """Questions are routed in threads of their own and decoded by the engine of their backbone."""

    def __init__(self, shelf: Shelf, config: Config) -> None:
        self.shelf, self.config = shelf, config
        self._engines: dict[int, Engine] = {}
        self._starting, self._counting = threading.Lock(), threading.Lock()
        self._on_the_way = 0
        """Requests that are being routed, or wait for that."""
        self._posting: _Post | None = None
        self._preparers = ThreadPoolExecutor(_PREPARERS, thread_name_prefix="memtune-prepare")

    # ---- asking -------------------------------------------------------------------------------------------------

    async def ask(self, asking: Asking, key: Key) -> Answer:
        """The whole answer. Who does not wait for it any longer frees its place."""
        async for said in self._events(asking, key, streams=False):
            if isinstance(said, Answer):
                return said
        raise InputError("no answer came")

    def stream(self, asking: Asking, key: Key) -> AsyncIterator[Piece | Answer]:
        """Pieces as they are said; the last item is the whole answer."""
        return self._events(asking, key, streams=True)

    async def _events(self, asking: Asking, key: Key, *, streams: bool) -> AsyncIterator[Piece | Answer]:
        loop = asyncio.get_running_loop()
        mail = _Mailbox(self._post(loop))
        with self._coming():
            routed = await loop.run_in_executor(self._preparers, self._prepare, asking, key)
        engine, answering, prepared, config = routed
        if prepared.request is None:
            answer = await self._report(answering, prepared, None)
            if streams:
                yield _begun(Piece(answer.text))
            yield answer
            return
        ticket = Ticket(prepared.request, config, mail.put, streams)
        engine.submit(ticket)
        try:
            while True:
                event = await mail.get()
                if isinstance(event, Exception):
                    raise event
                if isinstance(event, Piece):
                    yield _begun(event)
                    continue
                yield await self._report(answering, prepared, event)
                return
        finally:
            ticket.cancel()

    async def _report(self, answering: Answering, prepared: Prepared, reply: Reply | None) -> Answer:
        if not answering.notes_use:
            return _counted(answering.report(prepared, reply))
        loop = asyncio.get_running_loop()
        return _counted(await loop.run_in_executor(self._preparers, answering.report, prepared, reply))

    def ask_now(self, asking: Asking, key: Key) -> Answer:
        """The same for one who may wait: a thread without an event loop."""
        with self._coming():
            engine, answering, prepared, config = self._prepare(asking, key)
        if prepared.request is None:
            return answering.report(prepared, None)
        mail: queue.SimpleQueue[Event] = queue.SimpleQueue()
        ticket = Ticket(prepared.request, config, mail.put)
        engine.submit(ticket)
        try:
            event = mail.get()
        finally:
            ticket.cancel()
        if isinstance(event, Exception):
            raise event
        assert not isinstance(event, Piece)
        return answering.report(prepared, event)

    @contextmanager
    def _coming(self) -> Iterator[None]:
        """One more is on the way; Busy where too many are."""
        with self._counting:
            self._on_the_way += 1
        try:
            if self._on_the_way > self.config.serve.queue:
                raise Busy(1.0)
            yield
        finally:
            with self._counting:
                self._on_the_way -= 1

    def _prepare(self, asking: Asking, key: Key) -> tuple[Engine, Answering, Prepared, DecodeConfig]:
        """Find the model, route the question and gather its experts."""
        seat = self.shelf.find(asking.model, key)
        config = decoding(self.config.decode, asking.decode)
        try:
            engine = self._engine(seat)
            engine.require_room(arriving=1)
            answering = seat.answering()
            prepared = answering.prepare(
                asking.question,
                config,
                memory=seat.memory is not None,
                raw=asking.raw,
                draw=asking.draw,
                schema=asking.schema,
                hidden=key.hidden,
            )
        except (FolderError, FileNotFoundError, NotFound):
            if seat.memory is not None and seat.memory not in self.shelf.memories(key):  # it has just been deleted
                raise UnknownModel(asking.model, self.shelf.models(key)) from None
            raise
        return engine, answering, prepared, config

    def _post(self, loop: asyncio.AbstractEventLoop) -> _Post:
        """Shared by all who wait in this loop."""
        if self._posting is None or self._posting.loop is not loop:
            self._posting = _Post(loop)
        return self._posting

    # ---- engines ------------------------------------------------------------------------------------------------

    def _engine(self, seat: Seat) -> Engine:
        """The engine of the seat's backbone, started when it is first needed."""
        backbone = seat.model.backbone
        with self._starting:
            if id(backbone.model) not in self._engines:
                kinds = list(seat.answering().kinds.values())
                self._engines[id(backbone.model)] = Engine(backbone, kinds, self.config.serve, lambda: self._on_the_way)
            return self._engines[id(backbone.model)]

    def warm_up(self) -> None:
        """Load the server's own model, so that the first question does not wait for it."""
        self._engine(self.shelf.find("base"))

    @property
    def ready(self) -> bool:
        engines = list(self._engines.values())
        return bool(engines) and all(engine.alive for engine in engines)

    def load(self) -> list[Load]:
        """How busy each engine is."""
        return [engine.load for engine in list(self._engines.values())]

    # ---- embeddings ---------------------------------------------------------------------------------------------

    async def embed(self, model: str, texts: Sequence[str], key: Key) -> list[list[float]]:
        """A vector of length one for each text, by the encoder that the model's memory finds facts with."""
        with self._coming():
            return await asyncio.get_running_loop().run_in_executor(self._preparers, self.embed_now, model, texts, key)

    def embed_now(self, model: str, texts: Sequence[str], key: Key) -> list[list[float]]:
        seat = self.shelf.find(model, key)
        router = seat.answering().router
        encoder = router.matcher.encoder if router is not None else make_encoder(self.config.router.encoder)
        found: list[list[float]] = encoder.encode(list(texts)).tolist()
        return found

    def close(self) -> None:
        self._preparers.shutdown(wait=True, cancel_futures=True)
        for engine in self._engines.values():
            engine.stop()


def _begun(piece: Piece) -> Piece:
    tally.first_token()
    return piece


def _counted(answer: Answer) -> Answer:
    tally.answered(answer)
    return answer


class _Post:
    """Wakes those who wait in a loop: one call from the engine's thread for all that came together."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._filled: deque[asyncio.Event] = deque()
        self._called = False

    def note(self, came: asyncio.Event) -> None:
        self._filled.append(came)
        if not self._called:
            self._called = True
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._called = False  # before looking: what comes from now on calls again
        while self._filled:
            self._filled.popleft().set()


class _Mailbox:
    """From the engine's thread to a coroutine; what comes while the loop is busy comes together."""

    def __init__(self, post: _Post) -> None:
        self._post = post
        self._held: deque[Event] = deque()
        self._came = asyncio.Event()

    def put(self, event: Event) -> None:
        self._held.append(event)
        self._post.note(self._came)

    async def get(self) -> Event:
        while not self._held:
            self._came.clear()
            await self._came.wait()
        return self._held.popleft()
