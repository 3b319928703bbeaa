"""For those who run the server: whether it lives, whether it is ready, what it has done."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from memtune.serve.http.errors import Refused, without_paths
from memtune.serve.http.guard import house, identify
from memtune.serve.metrics import CONTENT_TYPE, Metrics

router = APIRouter(tags=["operation"])


class Health(BaseModel):
    """That something holds."""

    status: str = Field(examples=["ok"])


@router.get("/healthz", summary="Whether the server is alive")
async def healthz() -> Health:
    """The process answers. Says nothing of its model. Needs no key."""
    return Health(status="ok")


@router.get("/readyz", summary="Whether questions can be asked")
async def readyz(request: Request) -> Health:
    """The model is loaded and the engine runs: 503 while the server starts and while it ends. Needs no key."""
    state = request.app.state
    if state.fault is not None:
        raise Refused(503, without_paths(request, str(state.fault)), code="unavailable")
    if state.ending:
        raise Refused(503, "the server is about to end", code="ending")
    if not state.ready:
        raise Refused(503, "the server is still starting", code="starting", headers={"Retry-After": "1"})
    if not house(request).desk.ready:
        raise Refused(503, "the engine does not run", code="unavailable")
    return Health(status="ready")


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Figures in the text format of Prometheus."}},
)
async def metrics(request: Request) -> Response:
    """Requests, tokens, times, what waits. Needs a key with the scope admin, unless there are no keys or
    `serve.open_metrics` is set."""
    if not house(request).config.serve.open_metrics:
        key = await identify(request)
        if not key.may("admin"):
            raise Refused(403, "this key may not read the metrics", hint="ask for one with the scope admin")
    figures: Metrics = request.app.state.metrics
    return Response(figures.text(), media_type=CONTENT_TYPE)
