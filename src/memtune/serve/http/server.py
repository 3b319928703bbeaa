"""The process that serves: a socket, time-outs, and an end that lets streams finish."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from memtune.errors import MemtuneError, UsageError
from memtune.serve.house import House
from memtune.serve.http.app import make_app

_KEEP_ALIVE_SECONDS = 30
_LONGEST_HEAD = 32_768
"""Bytes of the headers of a request."""
_FORCED = 130


def bind(host: str, port: int) -> socket.socket:
    """A socket of this address; it is bound before anything is loaded."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError):
        raise UsageError(f"there is no address '{host}' on this machine", hint="try --host 127.0.0.1") from None
    found = socket.socket(family, kind, proto)
    try:
        if os.name != "nt":  # there it would let two servers share a port
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(2048)
    except OSError as fault:
        found.close()
        raise MemtuneError(f"{host}:{port} cannot be used: {fault.strerror}", hint="try another --port") from None
    return found


class Server(uvicorn.Server):
    """Ends when it is told to, after its streams or after `serve.grace_seconds`. Told twice, it ends at once."""

    def __init__(self, house: House, socket_: socket.socket, on_ready: Callable[[], None] | None = None) -> None:
        self.socket = socket_
        self.fault: Exception | None = None
        self.interrupted = False
        app = make_app(house, warm=True, on_ready=on_ready, on_fault=self._fail)
        self._state = app.state
        serve = house.config.serve
        protocol = _protocol(serve.body_seconds, serve.connections)
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=serve.grace_seconds,
                h11_max_incomplete_event_size=_LONGEST_HEAD,
            )
        )

    def work(self) -> None:
        """Serve until the end."""
        self.run(sockets=[self.socket])
        if self.force_exit:
            sys.stderr.flush()
            os._exit(_FORCED)  # threads that still answer are not waited for
        if self.fault is not None:
            raise self.fault
        if self.interrupted:
            raise KeyboardInterrupt

    def _fail(self, fault: Exception) -> None:
        self.fault = fault
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True
        self._state.ending = True
        self.interrupted = self.interrupted or sig == signal.SIGINT

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the server in order; afterwards they mean what they meant before."""
        before = {which: signal.signal(which, self.handle_exit) for which in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for which, handler in before.items():
                signal.signal(which, handler)


def _protocol(seconds: float, connections: int) -> type[H11Protocol]:
    class Watched(_Watched):
        patience, most = seconds, connections

    return Watched


class _Watched(H11Protocol):
    """HTTP that does not wait for ever: neither for a request's headers nor for a client that reads no answer."""

    patience: float = 30.0
    most: int = 1024

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= self.most:
            transport.abort()
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._reads_head():
            self._wait()
        else:
            self._stop()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._reads_head():
            self._wait()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _reads_head(self) -> bool:
        """Whether part of a request has come, but not yet all of its headers."""
        return self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])

    def _wait(self) -> None:
        """From now on a while, unless a while has begun already."""
        if self._clock is None:
            self._clock = self.loop.call_later(self.patience, self._cut)

    def _stop(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _cut(self) -> None:
        self._clock = None
        self.transport.abort()
