"""From the engine's thread to those who wait in the event loop: nothing is lost, and one call wakes all."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from memtune.serve.desk import _Mailbox, _Post
from memtune.serve.engine import Piece


def test_all_that_was_sent_from_a_thread_arrives_in_order() -> None:
    async def run() -> list[list[str]]:
        post = _Post(asyncio.get_running_loop())
        boxes = [_Mailbox(post) for _ in range(20)]

        def send() -> None:
            for number in range(300):
                for box in boxes:
                    box.put(Piece(str(number)))

        async def read(box: _Mailbox) -> list[str]:
            return [piece.text for _ in range(300) if isinstance(piece := await box.get(), Piece)]

        threading.Thread(target=send).start()
        return await asyncio.wait_for(asyncio.gather(*map(read, boxes)), 30)

    assert asyncio.run(run()) == [[str(number) for number in range(300)]] * 20


def test_one_call_wakes_all_that_got_something_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        post, call = _Post(loop), loop.call_soon_threadsafe

        def counted(*args: Any) -> Any:
            calls.append(args)
            return call(*args)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        boxes = [_Mailbox(post) for _ in range(64)]
        for _ in range(2):
            for box in boxes:
                box.put(Piece("x"))
            await asyncio.gather(*(box.get() for box in boxes))

    asyncio.run(run())
    assert len(calls) == 2


def test_a_loop_that_is_closed_is_no_fault() -> None:
    loop = asyncio.new_event_loop()
    post = _Post(loop)
    loop.close()
    post.note(asyncio.Event())
