"""Routers over a few wordings, without a model and without a memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from torch import Tensor

from memtune.config import RouterConfig
from memtune.router.encoders import Encoder, make_encoder
from memtune.router.entries import Entry, Wording, make_keys
from memtune.router.keys import GIVEN
from memtune.router.router import Router


@lru_cache(maxsize=1)
def lexical() -> Encoder:
    return make_encoder("lexical")


def keys_of(*wordings: str, tags: Sequence[int] = (), answers: Sequence[str] = ()) -> dict[str, Tensor]:
    """One fact a wording. Without `answers` each has one of its own."""
    entries = [
        Entry([Wording(text, tags[row] if tags else GIVEN)], answers[row] if answers else f"answer {row}", text)
        for row, text in enumerate(wordings)
    ]
    return make_keys(entries, lexical(), RouterConfig().vectors)


def router_over(wordings: Sequence[str], *, answers: Sequence[str] = (), config: RouterConfig | None = None) -> Router:
    """A router whose segment 1 has these wordings in its rows, one each."""
    router = Router(config or RouterConfig(), encoder=lexical())
    router.add(1, keys_of(*wordings, answers=answers))
    return router
