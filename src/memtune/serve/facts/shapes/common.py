"""What the bodies of requests and answers have in common."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

MOST_TEXTS = 64
"""Wordings that one request may give a fact."""


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("nul", "holds a NUL character")
    return text


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(data, allow_nan=False)
    except (ValueError, RecursionError):
        raise PydanticCustomError("json", "holds what JSON has no sign for, such as an infinite number") from None
    return data


Text = Annotated[str, Field(min_length=1, max_length=20_000), AfterValidator(_without_nul)]
Data = Annotated[dict[str, Any], AfterValidator(_plain)]
Short = Annotated[str, Field(min_length=1, max_length=512)]
Named = Annotated[str, Field(min_length=1, max_length=96)]
Kinds = Literal["imprint", "kv", "imprint+kv", "kv+imprint"]
"""Kinds of experts that are written without gradients, fast enough to be waited for."""
State = Literal["candidate", "active", "archived", "expired"]


def example(**fields: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [fields]})


class Asked(BaseModel):
    """A request's body. A field that nobody knows is refused, never dropped in silence."""

    model_config = ConfigDict(extra="forbid")
