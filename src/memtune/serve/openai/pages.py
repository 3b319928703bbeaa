"""Lists in pages, as OpenAI's clients turn them: `after` names the last one that was seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import Query

After = Annotated[str | None, Query(max_length=200, description="The id of the last one of the page before.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]


def page(
    items: Sequence[Any],
    after: str | None,
    limit: int,
    shown: Callable[[Any], dict[str, Any]],
    id_of: Callable[[Any], str],
) -> dict[str, Any]:
    """What follows `after`; nothing where that is not among the items."""
    if after is not None:
        ids = [id_of(item) for item in items]
        items = items[ids.index(after) + 1 :] if after in ids else []
    data = [shown(item) for item in items[:limit]]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(items) > limit,
    }
