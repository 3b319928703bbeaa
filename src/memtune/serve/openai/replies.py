"""Answers of memtune as OpenAI's objects."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from memtune.core.reports import Answer, Scored

_LEAST_LOGPROB = -9999.0
"""What OpenAI says of a token that could not be said at all; JSON knows no infinity."""


@dataclass(frozen=True)
class Head:
    """What all parts of one reply say of themselves."""

    id: str
    object: str
    created: int
    model: str
    seed: int | None = None
    """The seed that the server took, if the request named none."""

    @classmethod
    def new(cls, prefix: str, kind: str, model: str, seed: int | None) -> Head:
        return cls(f"{prefix}-{uuid.uuid4().hex}", kind, int(time.time()), model, seed)

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "object": self.object, "created": self.created, "model": self.model}


def told(answer: Answer, head: Head) -> dict[str, Any]:
    """The object `memtune` of an answer: where it comes from."""
    return {
        "memory": None if answer.version is None else head.model.partition("@")[0],
        "version": answer.version,
        "fired": answer.fired,
        "abstained": answer.abstained,
        "clarifies": list(answer.clarifies),
        "facts": [
            {"id": f.id, "score": round(f.score, 4), "source": f.source, "kind": f.kind, "field": f.field}
            for f in answer.facts
        ],
        "skills": [{"name": s.name, "score": round(s.score, 4)} for s in answer.skills],
        "seed": head.seed,
    }


def fingerprint(answer: Answer, head: Head) -> str:
    """The same fingerprint, seed and request give the same reply."""
    name = head.model.partition("@")[0]
    return name if answer.version is None else f"{name}@v{answer.version}"


def usage(answers: Sequence[Answer], choices: int = 1) -> dict[str, int]:
    """Tokens of the prompts, each counted once for all its choices, and of what was said."""
    read = sum(answer.prompt_tokens for answer in answers[::choices])
    said = sum(len(answer.tokens) for answer in answers)
    return {"prompt_tokens": read, "completion_tokens": said, "total_tokens": read + said}


# ---- how likely tokens were -----------------------------------------------------------------------------------------


def scored(answer: Answer) -> tuple[Scored, ...]:
    """Of the tokens that were said; the one that ended the reply is none of them."""
    return answer.scores[: len(answer.tokens)]


def chat_logprobs(scores: Sequence[Scored]) -> dict[str, Any]:
    return {"content": [_scored(s.text, s.logprob) | {"top_logprobs": _top(s)} for s in scores], "refusal": None}


def _top(score: Scored) -> list[dict[str, Any]]:
    return [_scored(text, logprob) for text, logprob in score.top]


def _scored(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": _finite(logprob), "bytes": list(text.encode("utf-8", "replace"))}


def text_logprobs(scores: Sequence[Scored], offset: int = 0) -> dict[str, Any]:
    """`offset`: characters of the reply that were said before these tokens."""
    offsets = []
    for score in scores:
        offsets.append(offset)
        offset += len(score.text)
    return {
        "tokens": [s.text for s in scores],
        "token_logprobs": [_finite(s.logprob) for s in scores],
        "top_logprobs": [{text: _finite(logprob) for text, logprob in s.top} for s in scores],
        "text_offset": offsets,
    }


def _finite(logprob: float) -> float:
    return max(logprob, _LEAST_LOGPROB)
