"""The application: routes and what stands before them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from memtune import __version__
from memtune.serve.house import House
from memtune.serve.http import errors
from memtune.serve.openai import chat


def make_app(house: House) -> FastAPI:
    """The server of a house. The house is started with it and closed with it."""

    @asynccontextmanager
    async def living(_app: FastAPI) -> AsyncIterator[None]:
        house.start()
        try:
            yield
        finally:
            house.close()

    app = FastAPI(title="memtune", version=__version__, lifespan=living)
    app.state.house = house
    errors.install(app)
    for routes in (chat,):
        app.include_router(routes.router)
    return app
