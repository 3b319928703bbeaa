"""From the fields of a request to settings of decoding, and the bounds that the server sets."""

from __future__ import annotations

import secrets
from typing import Any

from memtune.serve.house import House
from memtune.serve.http.errors import Refused
from memtune.serve.openai.fields import Sampled

_SEEDS = 1 << 63
_TAKEN_SEEDS = 1 << 31
_LEAST_TOP_P = 1e-6
"""Of top_p = 0, which leaves the likeliest token alone."""


def decoding(body: Sampled, max_tokens: int | None) -> tuple[dict[str, Any], int | None]:
    """Fields of `DecodeConfig`, and the seed that was taken because none was named."""
    decode = body.memtune.decode() if body.memtune else {}
    given = {"temperature": body.temperature, "top_p": body.top_p, "max_new_tokens": max_tokens}
    decode |= {name: value for name, value in given.items() if value is not None}
    if body.top_p is not None:
        decode["top_p"] = max(body.top_p, _LEAST_TOP_P)
    if body.stops:
        decode["stop"] = body.stops
    if body.seed is not None:
        return decode | {"seed": body.seed % _SEEDS}, None
    if not body.temperature:
        return decode, None
    taken = secrets.randbelow(_TAKEN_SEEDS)
    return decode | {"seed": taken}, taken


def require_choices(choices: int, house: House) -> None:
    if choices > (most := house.config.serve.max_choices):
        raise refused("n", f"{choices} replies to one request are too many", f"at most {most}")


def require_texts(texts: int, house: House, name: str) -> None:
    if texts > (most := house.config.serve.max_texts):
        raise refused(name, f"{texts} texts in one request are too many", f"at most {most}")


def refused(
    param: str, message: str, hint: str | None = None, *, status: int = 400, code: str | None = None
) -> Refused:
    """A refusal that names the field."""
    return Refused(status, message, hint=hint, code=code, param=param)
