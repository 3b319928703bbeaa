"""Who is asking: the key of a request, and whether it may do what it asks for."""

from __future__ import annotations

import asyncio
import ipaddress
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from memtune.serve.house import House
from memtune.serve.http.errors import Refused
from memtune.serve.keys import LOCAL, Key, Scope
from memtune.serve.limits import Buckets

_documented = HTTPBearer(auto_error=False, description="A key, as `memtune keys add` tells it.", scheme_name="key")
"""Only for the OpenAPI document: what is read is the header itself."""


def house(request: Request) -> House:
    found: House = request.app.state.house
    return found


def caller(scope: Scope) -> Callable[..., Awaitable[Key]]:
    """The dependency of a route that needs this scope."""

    async def known(request: Request, _: Annotated[object, Depends(_documented)] = None) -> Key:
        key = await identify(request)
        if not key.may(scope):
            raise Refused(403, f"this key may not {scope}", hint=f"ask for one with the scope {scope}")
        return key

    return known


async def identify(request: Request) -> Key:
    """Whose request it is. It counts against the key's limit, once."""
    known: Key | None = getattr(request.state, "key", None)
    if known is not None:
        return known
    keys = house(request).keys
    if keys.any():
        key = keys.find(_shown(request))
        if key is None:
            raise Refused(401, "this key is not known here", code="invalid_api_key", headers=_BEARER)
        if keys.is_stale(key):
            await _note_use(request, key)
    else:
        _require_local(request)
        key = LOCAL
    request.state.key = key
    _take_turn(request, key)
    return key


_BEARER = {"WWW-Authenticate": "Bearer"}


def _shown(request: Request) -> str:
    header = request.headers.get("authorization", "")
    scheme, _, secret = header.partition(" ")
    if not header:
        raise Refused(401, "this server wants a key", hint="send it as Authorization: Bearer mt-…", headers=_BEARER)
    return secret.strip() if scheme.lower() == "bearer" else ""


async def _note_use(request: Request, key: Key) -> None:
    """Write down that it was used. A database that is busy is no reason to refuse a request."""
    with suppress(sqlite3.OperationalError):
        await asyncio.to_thread(house(request).keys.note_use, key)


def _take_turn(request: Request, key: Key) -> None:
    buckets: Buckets = request.app.state.buckets
    wait = buckets.take(key.id, key.per_minute or house(request).config.serve.per_minute)
    if wait:
        seconds = max(1, -int(-wait // 1))
        raise Refused(
            429,
            f"too many requests with this key; try again in {seconds} s",
            code="rate_limit_exceeded",
            headers={"Retry-After": str(seconds)},
        )


def _require_local(request: Request) -> None:
    """Without keys, only this machine is served, and no web page that a browser on this machine has open."""
    if not _is_near(request):
        raise Refused(
            401, "this server has no keys and serves only its own machine", hint="`memtune keys add` makes one"
        )
    name = _name_of(request.headers.get("host", ""))
    if "." in name and not _is_loopback(name) and not name.endswith(".localhost"):
        raise Refused(403, "without keys the server answers only to addresses of its own machine")
    origin = request.headers.get("origin")
    if origin and origin not in house(request).config.serve.cors and not _same(origin, request):
        raise Refused(403, "requests of other web pages are not answered here", hint="serve.cors names those that may")


def _is_near(request: Request) -> bool:
    """Over the loopback device, or not over a network at all."""
    host = request.client.host if request.client else ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True  # a socket of this machine, or a caller in this process


def _name_of(host: str) -> str:
    return host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0].lower()


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _same(origin: str, request: Request) -> bool:
    return origin.partition("://")[2] == request.headers.get("host")


TheHouse = Annotated[House, Depends(house)]
Asker = Annotated[Key, Depends(caller("ask"))]
Teacher = Annotated[Key, Depends(caller("teach"))]
Admin = Annotated[Key, Depends(caller("admin"))]
