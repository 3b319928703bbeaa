"""Clients that stream answers of a server, in a process of their own: `python -m memtune.bench.serve_load`.

Takes one plan as JSON on standard input and gives what was seen as JSON on standard output. It shares the processor
with the server that it measures, so it does little while an answer comes: answers are read after they are complete.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_SAID = re.compile(rb'"content": ?"[^"]')
_LONGEST_MARK = 16
"""Bytes of it that may have come with an earlier part."""
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_PATIENCE = 150.0
"""Seconds that the last answers may take after the time is over."""
_SHOWN = 5


@dataclass
class Reply:
    """One answer, as its client saw it."""

    asked: Mapping[str, Any]
    sent: float
    first: float | None
    done: float
    problem: str = ""
    """Why there is no answer."""
    wrong: str = ""
    """How it differs from what was expected."""
    tokens: int = 0


class Connection(asyncio.Protocol):
    """Sends one request after the other over the same connection."""

    def __init__(self) -> None:
        self.held = bytearray()
        self.first: float | None = None
        self._transport: asyncio.Transport | None = None
        self._whole: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.held += data
        if self.first is None and _SAID.search(self.held, max(0, len(self.held) - len(data) - _LONGEST_MARK)):
            self.first = time.perf_counter()
        if self._whole is not None and not self._whole.done() and is_whole(self.held):
            self._whole.set_result(bytes(self.held))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._whole is not None and not self._whole.done():
            self._whole.set_exception(exc or ConnectionError("the connection was closed before the answer's end"))

    @property
    def open(self) -> bool:
        return self._transport is not None

    async def ask(self, request: bytes) -> bytes:
        assert self._transport is not None
        self.held.clear()
        self.first = None
        self._whole = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._whole

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def is_whole(held: bytearray) -> bool:
    """Whether a reply has come to its end."""
    if held.endswith(b"\r\n0\r\n\r\n"):
        return True
    head = held.find(b"\r\n\r\n")
    length = _LENGTH.search(held, 0, head + 2) if head >= 0 else None
    return length is not None and len(held) - head - 4 >= int(length[1])


# ---- reading answers ------------------------------------------------------------------------------------------------


def events_of(reply: bytes) -> Iterator[Any]:
    """The events of a stream; the borders of its chunks lie anywhere."""
    head, _, body = reply.partition(b"\r\n\r\n")
    if b"chunked" in head.lower():
        body = b"".join(_chunks(body))
    for line in body.splitlines():
        if line.startswith(b"data:") and line != b"data: [DONE]":
            yield json.loads(line[5:])


def _chunks(body: bytes) -> Iterator[bytes]:
    place = 0
    while place < len(body):
        end = body.index(b"\r\n", place)
        size = int(body[place:end], 16)
        yield body[end + 2 : end + 2 + size]
        place = end + 2 + size + 2


def read(raw: bytes, reply: Reply) -> None:
    """What was said, how many tokens that were, and whether it is what was expected."""
    status = raw.split(b" ", 2)[1].decode("ascii", "replace")
    if status != "200":
        reply.problem = f"status {status}: {raw.partition(bytes(2 * [13, 10]))[2][:200].decode('utf-8', 'replace')}"
        return
    said, finish, used, told = [], None, None, None
    for event in events_of(raw):
        if "error" in event:
            reply.problem = f"broken off: {json.dumps(event['error'])[:200]}"
            return
        for choice in event.get("choices", ()):
            said.append(choice.get("delta", {}).get("content") or "")
            finish = choice.get("finish_reason") or finish
        used, told = event.get("usage") or used, event.get("memtune") or told
    if finish is None or used is None:
        reply.problem = "the stream ended before it said how"
        return
    reply.tokens = used["completion_tokens"] + (finish == "stop")
    reply.wrong = unlike(reply.asked, "".join(said), told)


def unlike(asked: Mapping[str, Any], said: str, told: Mapping[str, Any] | None) -> str:
    """How an answer differs from what was expected of it; empty if it does not."""
    for name in ("memory", "version", "fired"):
        if name in asked and (told is None or told[name] != asked[name]):
            return f"{name} {told and told[name]!r} in place of {asked[name]!r}"
    if asked.get("text") not in (None, said):
        return f"{said!r} in place of {asked['text']!r}"
    return ""


# ---- asking ---------------------------------------------------------------------------------------------------------


@dataclass
class Plan:
    """Who asks what, and for how long."""

    port: int
    clients: int
    seconds: float
    asked: Sequence[Mapping[str, Any]]
    """Each with the `body` of its request, and what is expected of the answer: `text`, `memory`, `version`, `fired`."""
    own: bool = False
    """Each client asks the same again and again, each client something else."""
    seed: int = 0
    warm: float = 0.2
    """The share of the time that is not counted."""
    host: str = "127.0.0.1"
    replies: list[Reply] = field(default_factory=list)

    def questions_of(self, client: int) -> Iterator[Mapping[str, Any]]:
        if self.own:
            while True:
                yield self.asked[client % len(self.asked)]
        drawn = random.Random(f"{self.seed} {client}")
        while True:
            yield drawn.choice(self.asked)

    def request(self, asked: Mapping[str, Any]) -> bytes:
        body = json.dumps(asked["body"]).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {self.host}:{self.port}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        return head.encode() + body


async def run(plan: Plan) -> dict[str, Any]:
    """Let all clients ask until the time is over; who has asked by then waits for the answer."""
    begin = time.perf_counter()
    tasks = [asyncio.ensure_future(_client(plan, number, begin + plan.seconds)) for number in range(plan.clients)]
    _, late = await asyncio.wait(tasks, timeout=plan.seconds + _PATIENCE)
    for task in late:
        task.cancel()
    for task in tasks:
        if task not in late:
            task.result()
    return summed(plan, begin, len(late))


async def _client(plan: Plan, number: int, until: float) -> None:
    connection: Connection | None = None
    for asked in plan.questions_of(number):
        if time.perf_counter() >= until:
            break
        sent, raw, problem = time.perf_counter(), b"", ""
        try:
            if connection is None or not connection.open:
                connection = await _connect(plan)
            raw = await connection.ask(plan.request(asked))
        except OSError as fault:
            problem = f"{type(fault).__name__}: {fault}"
            await asyncio.sleep(0.1)
        done = time.perf_counter()
        first = (connection.first or done) if connection and raw else None
        reply = Reply(asked, sent, first, done, problem)
        plan.replies.append(reply)
        if raw:
            read(raw, reply)
    if connection is not None:
        connection.close()


async def _connect(plan: Plan) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, plan.host, plan.port)
    return connection


# ---- figures --------------------------------------------------------------------------------------------------------


def summed(plan: Plan, begin: float, late: int) -> dict[str, Any]:
    """What all clients saw. An answer that lies partly within the time that counts, counts with that part."""
    since, until = begin + plan.warm * plan.seconds, begin + plan.seconds
    good = [reply for reply in plan.replies if not reply.problem]
    shares = [max(0.0, min(r.done, until) - max(r.sent, since)) / (r.done - r.sent) for r in good]
    firsts = sorted(r.first - r.sent for r in good if r.first is not None and since <= r.sent)
    firsts = firsts or sorted(r.first - r.sent for r in good if r.first is not None)
    problems = [r.problem for r in plan.replies if r.problem] + ["no answer in time"] * late
    wrong = [r.wrong for r in good if r.wrong]
    return {
        "requests": len(plan.replies) + late,
        "failed": len(problems),
        "wrong": len(wrong),
        "problems": (problems + wrong)[:_SHOWN],
        "tokens": sum(r.tokens for r in good),
        "tokens_per_second": sum(r.tokens * s for r, s in zip(good, shares, strict=True)) / (until - since),
        "requests_per_second": sum(shares) / (until - since),
        "first_p50": part(firsts, 0.5),
        "first_p95": part(firsts, 0.95),
    }


def part(ordered: Sequence[float], share: float) -> float | None:
    """The value below which this share lies."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def main() -> None:
    plan = Plan(**json.load(sys.stdin))
    json.dump(asyncio.run(run(plan)), sys.stdout)


if __name__ == "__main__":
    main()
