"""What the bodies of requests and answers have in common."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_TEXTS = 64
"""Wordings that one request may give a fact."""

Text = Annotated[str, Field(min_length=1, max_length=20_000)]
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
