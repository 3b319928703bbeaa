"""What one request came to, gathered on its way for the log and the metrics."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass, field

from memtune.core.reports import Answer


@dataclass
class Tally:
    """Filled in by whoever answers, read when the request is over. One request may hold several answers."""

    began: float = field(default_factory=time.perf_counter)
    first_token: float | None = None
    """Seconds until the first token of a streamed reply was there."""
    prompt_tokens: int = 0
    tokens: int = 0
    answers: int = 0
    fired: int = 0
    abstained: int = 0


_current: ContextVar[Tally | None] = ContextVar("tally", default=None)


def begin() -> Tally:
    """The tally of the request that this task answers."""
    tally = Tally()
    _current.set(tally)
    return tally


def first_token() -> None:
    """A streamed reply begins to be said."""
    tally = _current.get()
    if tally is not None and tally.first_token is None:
        tally.first_token = time.perf_counter() - tally.began


def answered(answer: Answer) -> None:
    """A reply is complete."""
    tally = _current.get()
    if tally is None:
        return
    tally.prompt_tokens += answer.prompt_tokens
    tally.tokens += len(answer.tokens)
    tally.answers += 1
    tally.fired += answer.fired
    tally.abstained += answer.abstained
