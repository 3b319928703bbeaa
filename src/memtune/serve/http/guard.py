"""Who is asking: the key of a request, and whether it may do what it asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from memtune.serve.house import House
from memtune.serve.http.errors import Refused
from memtune.serve.keys import LOCAL, Key, Scope


def house(request: Request) -> House:
    found: House = request.app.state.house
    return found


def caller(scope: Scope) -> Callable[[Request], Key]:
    """The dependency of a route that needs this scope."""

    def known(request: Request) -> Key:
        keys = house(request).keys
        if not keys.any():
            return LOCAL
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        key = keys.find(secret.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise Refused(401, "this key is not known here", code="invalid_api_key")
        if not key.may(scope):
            raise Refused(403, f"this key may not {scope}", hint=f"ask for one with the scope {scope}")
        return key

    return known


TheHouse = Annotated[House, Depends(house)]
Asker = Annotated[Key, Depends(caller("ask"))]
Teacher = Annotated[Key, Depends(caller("teach"))]
Admin = Annotated[Key, Depends(caller("admin"))]
