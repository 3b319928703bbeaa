"""POST /v1/completions, which OpenAI's and Lamini's clients share: told apart by `model` against `model_name`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from memtune.core.reports import Answer, Scored
from memtune.serve.desk import Asking
from memtune.serve.facts.documented import Fault, faults
from memtune.serve.house import House
from memtune.serve.http.guard import Asker, TheHouse
from memtune.serve.keys import Key
from memtune.serve.lamini.completions import complete
from memtune.serve.lamini.documented import LaminiFault
from memtune.serve.lamini.documented import faults as faults_of_lamini
from memtune.serve.lamini.routes import Completion as Lamini
from memtune.serve.openai.chunks import Chunk, Chunks
from memtune.serve.openai.fields import Sampled, texts, unsupported, wrong
from memtune.serve.openai.replies import Head, fingerprint, scored, text_logprobs, told, usage
from memtune.serve.openai.running import all_answers, streamed
from memtune.serve.openai.shapes import EVENTS, TextCompletion
from memtune.serve.openai.wanted import decoding, require_choices, require_texts

router = APIRouter(prefix="/v1", tags=["openai"])
Prompt = Annotated[str, Field(min_length=1)]


class CompletionRequest(Sampled):
    """Texts that are to be gone on with, or questions to a memory."""

    prompt: Prompt | Annotated[list[Prompt], Field(min_length=1)] = Field(
        description="A text, or a list of texts. Tokens are not taken.", examples=["What does the Zorblat cost?"]
    )
    logprobs: int | None = Field(
        None, ge=0, le=5, description="Tell how likely each token was, and so many of the likeliest at its place."
    )
    best_of: int | None = Field(None, ge=1, le=128, description="Only as many as `n`: all replies are given back.")
    echo: Any = unsupported("a reply is given without its prompt; only false is accepted", False)
    suffix: Any = unsupported("text is gone on with, not filled in; a suffix is not taken", "")

    @field_validator("prompt", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        return texts(value)

    @model_validator(mode="after")
    def _fits_together(self) -> CompletionRequest:
        if self.best_of is not None and self.best_of != (self.n or 1):
            raise wrong("best_of must be the same as n: all replies are given back")
        if self.stream_options and not self.stream:
            raise wrong("stream_options needs stream to be true")
        return self

    @property
    def prompts(self) -> list[str]:
        return [self.prompt] if isinstance(self.prompt, str) else list(self.prompt)

    def askings(self, house: House, *, raw: bool) -> tuple[list[Asking], int | None]:
        """The prompts, each `n` times, and the seed that was taken for them."""
        choices = self.n or 1
        require_choices(choices, house)
        require_texts(choices * len(self.prompts), house, "prompt")
        decode, seed = decoding(self, self.max_tokens)
        if self.logprobs is not None:
            decode |= {"logprobs": True, "top_logprobs": self.logprobs}
        before: Counter[str] = Counter()
        askings = []
        for prompt in (p for p in self.prompts for _ in range(choices)):
            askings.append(Asking(self.model, prompt, raw=raw, decode=decode, draw=before[prompt]))
            before[prompt] += 1
        return askings, seed


async def text_completions(body: CompletionRequest, request: Request, house: House, key: Key) -> Response:
    """OpenAI's completions."""
    askings, seed = body.askings(house, raw=await _raw(body, house, key))
    head = Head.new("cmpl", "text_completion", body.model, seed)
    if body.stream:
        logprobs, used = body.logprobs is not None, body.usage_wanted
        chunks = _Chunks(head, choices=body.n or 1, logprobs=logprobs, usage=used)
        return await streamed(request, house, askings, key, chunks)
    answers = await all_answers(house, askings, key)
    choices = [_choice(i, a.text, a, body.logprobs is not None) for i, a in enumerate(answers)]
    if len(answers) > 1:
        choices = [choice | {"memtune": told(a, head)} for choice, a in zip(choices, answers, strict=True)]
    return JSONResponse(
        head.to_json()
        | {
            "choices": choices,
            "usage": usage(answers, body.n or 1),
            "system_fingerprint": fingerprint(answers[0], head),
            "memtune": told(answers[0], head),
        }
    )


async def _raw(body: CompletionRequest, house: House, key: Key) -> bool:
    """A memory is asked, as its facts were proved; the model alone goes on with the text."""
    if body.memtune and body.memtune.raw is not None:
        return body.memtune.raw
    seat = await asyncio.to_thread(house.shelf.find, body.model, key)
    return seat.memory is None


def _choice(index: int, text: str, answer: Answer, logprobs: bool) -> dict[str, Any]:
    scores = text_logprobs(scored(answer)) if logprobs else None
    return {"index": index, "text": text, "logprobs": scores, "finish_reason": answer.finish}


class _Chunks(Chunks):
    """Those of completions, whose logprobs say where in the reply their tokens begin."""

    def choice(self, index: int, text: str, scores: Sequence[Scored]) -> Chunk:
        shown = text_logprobs(scores, self.said[index]) if self.logprobs else None
        return {"index": index, "text": text, "logprobs": shown, "finish_reason": None}

    def end(self, index: int, finish: str) -> Chunk:
        return {"index": index, "text": "", "logprobs": None, "finish_reason": finish}


# ---- the route ------------------------------------------------------------------------------------------------------


def _inlined(model: type[BaseModel]) -> Any:
    """The JSON schema of a body without references, which a hand-written part of the document cannot resolve."""
    whole = model.model_json_schema()
    parts = whole.pop("$defs", {})

    def resolved(schema: Any) -> Any:
        if isinstance(schema, list):
            return [resolved(one) for one in schema]
        if not isinstance(schema, dict):
            return schema
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        own = {key: resolved(value) for key, value in schema.items() if key not in ("$ref", "discriminator")}
        return resolved(parts[name]) | own if name else own

    return resolved(whole)


_FAULTS: dict[int | str, dict[str, Any]] = {
    status: {**said, "model": Fault | LaminiFault} for status, said in (faults_of_lamini(501, 594) | faults()).items()
}
_TOLD_APART = [_inlined(CompletionRequest), _inlined(Lamini)]
_DOCUMENTED = {"requestBody": {"content": {"application/json": {"schema": {"oneOf": _TOLD_APART}}}}}


@router.post(
    "/completions",
    summary="Complete texts",
    response_model=TextCompletion | Any,
    responses=_FAULTS | {200: EVENTS},
    openapi_extra=_DOCUMENTED,
)
async def completions(
    body: Annotated[dict[str, Any], Body()], request: Request, house: TheHouse, key: Asker
) -> Response:
    """OpenAI's completions where the request names a `model`, Lamini's where it names a `model_name`.

    Of the model alone a prompt is a text that is gone on with; a memory is asked it, as its facts were learned.
    """
    if "model" in body or "model_name" not in body:
        return await text_completions(_read(body), request, house, key)
    request.state.protocol = "lamini"
    return JSONResponse(await complete(body, house, key))


def _read(body: Mapping[str, Any]) -> CompletionRequest:
    try:
        return CompletionRequest.model_validate(body)
    except ValidationError as fault:
        found = [{**error, "loc": ("body", *error["loc"])} for error in fault.errors(include_url=False)]
        raise RequestValidationError(found, body=body) from None
