"""Several answers to one request, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from memtune.serve.house import House

Item = TypeVar("Item")
Made = TypeVar("Made")


async def side_by_side(items: Sequence[Item], work: Callable[[Item], Awaitable[Made]], house: House) -> list[Made]:
    """All of them, as many at one time as decode side by side. When one fails, the others are given up."""
    free = asyncio.Semaphore(house.config.serve.rows)

    async def one(item: Item) -> Made:
        async with free:
            return await work(item)

    tasks = [asyncio.ensure_future(one(item)) for item in items]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
