"""The application: routes and what stands before them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware

from memtune import __version__
from memtune.serve import facts
from memtune.serve.house import House
from memtune.serve.http import errors, operations
from memtune.serve.http.body import BodyGuard
from memtune.serve.http.front import Front
from memtune.serve.lamini import routes as lamini
from memtune.serve.limits import Buckets
from memtune.serve.metrics import Metrics
from memtune.serve.openai import routes as openai


def routers() -> list[APIRouter]:
    """All routes, room by room."""
    return [operations.router, *openai.routers, lamini.router, facts.router]


def make_app(
    house: House, *, warm: bool = False, on_ready: Callable[[], None] | None = None,
    on_fault: Callable[[Exception], None] | None = None,
) -> FastAPI:  # fmt: skip
    """The server of a house. The house is started with it and closed with it.

    `warm`: it listens while the model and the memories that were named are loaded, and is not ready until then.
    """

    async def get_ready() -> None:
        try:
            await asyncio.to_thread(_begin, house, warm)
        except Exception as fault:
            app.state.fault = fault
            if on_fault is not None:
                on_fault(fault)
            return
        app.state.ready = True
        if on_ready is not None:
            on_ready()

    @asynccontextmanager
    async def living(_app: FastAPI) -> AsyncIterator[None]:
        getting_ready = asyncio.create_task(get_ready())
        if not warm:
            await getting_ready
            if app.state.fault is not None:
                raise app.state.fault
        try:
            yield
        finally:
            app.state.ending = True
            await asyncio.wait([getting_ready])
            await asyncio.to_thread(house.close)

    app = FastAPI(title="memtune", version=__version__, lifespan=living, docs_url=None, redoc_url=None)
    app.state.house, app.state.buckets, app.state.metrics = house, Buckets(), Metrics(house)
    app.state.ready, app.state.ending, app.state.fault = False, False, None
    errors.install(app)
    _stand_before(app, house)
    for router in routers():
        app.include_router(router)
    return app


def _stand_before(app: FastAPI, house: House) -> None:
    """What every request passes, from the inside out."""
    serve = house.config.serve
    app.add_middleware(BodyGuard, config=serve)
    if serve.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(serve.cors),
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=["authorization", "content-type", "x-request-id", "if-match"],
            expose_headers=["x-request-id", "x-warning", "retry-after", "etag"],
        )
    app.add_middleware(Front, metrics=app.state.metrics, log_texts=serve.log_texts)


def _begin(house: House, warm: bool) -> None:
    """Start the house, and open the memories that were named: what is wrong with them is said now."""
    house.start()
    for name in house.shelf.named if warm else ():
        house.shelf.find(name)
