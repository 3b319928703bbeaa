"""POST /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field, field_validator, model_validator

from memtune.core.reports import Answer, Scored
from memtune.serve.desk import Asking
from memtune.serve.facts.documented import Fault, faults
from memtune.serve.house import House
from memtune.serve.http.guard import Asker, TheHouse
from memtune.serve.openai.chunks import Chunk, Chunks
from memtune.serve.openai.fields import NO_TOOLS, ONLY_TEXT, Sampled, Strict, unsupported, wrong
from memtune.serve.openai.replies import Head, chat_logprobs, fingerprint, scored, told, usage
from memtune.serve.openai.running import all_answers, streamed
from memtune.serve.openai.shapes import EVENTS, ChatCompletion
from memtune.serve.openai.wanted import decoding, require_choices

router = APIRouter(prefix="/v1", tags=["openai"])
_ROLES = ("system", "developer", "user", "assistant")
_NO_PACKAGE = {"model": Fault, "description": "The server lacks the package that binds a reply to a form."}
_NO_TOOL_TEXT = "nothing but the text of a message is read"


class TextPart(Strict):
    """A piece of a message."""

    type: Literal["text"]
    text: str


class ChatMessage(Strict):
    """Something that was said."""

    role: Literal["system", "developer", "user", "assistant"] = Field(description="`developer` is read as `system`.")
    content: str | Annotated[list[TextPart], Field(min_length=1, max_length=256)] = Field(
        description="A text, or parts of one.", examples=["What does the Zorblat cost?"]
    )
    name: Any = unsupported("speakers of one role are not told apart; say the name in the text")
    refusal: Any = unsupported(_NO_TOOL_TEXT)
    annotations: Any = unsupported(_NO_TOOL_TEXT, [])
    audio: Any = unsupported(ONLY_TEXT)
    tool_calls: Any = unsupported(NO_TOOLS, [])
    function_call: Any = unsupported(NO_TOOLS)

    @field_validator("role", mode="before")
    @classmethod
    def _a_role(cls, value: Any) -> Any:
        if value in ("tool", "function"):
            raise wrong(NO_TOOLS)
        if value not in _ROLES:
            raise wrong(f"the role of a message is one of {', '.join(_ROLES)}")
        return value

    @field_validator("content", mode="before")
    @classmethod
    def _only_text(cls, value: Any) -> Any:
        if not isinstance(value, (str, list)):
            raise wrong("content must be a text, or a list of parts of one")
        for part in value if isinstance(value, list) else ():
            kind = part.get("type") if isinstance(part, Mapping) else None
            if isinstance(kind, str) and kind != "text":
                raise wrong(f"{ONLY_TEXT}, no part of type '{kind[:40]}'")
        return value

    def said(self) -> dict[str, str]:
        text = self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class JsonSchema(Strict):
    """The form of a reply."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", examples=["price"])
    schema_: dict[str, Any] = Field(
        alias="schema",
        description="A JSON schema. The reply follows it, whether `strict` is given or not.",
        examples=[{"type": "object", "properties": {"price": {"type": "string"}}, "required": ["price"]}],
    )
    description: str | None = Field(None, max_length=2000, description="Accepted; it changes nothing.")
    strict: bool | None = None


class TextFormat(Strict):
    type: Literal["text"]


class ObjectFormat(Strict):
    type: Literal["json_object"]


class SchemaFormat(Strict):
    type: Literal["json_schema"]
    json_schema: JsonSchema


class ChatRequest(Sampled):
    """A chat that is to be gone on with."""

    messages: list[ChatMessage] = Field(min_length=1, description="The chat so far; the last message is the user's.")
    max_completion_tokens: int | None = Field(None, ge=1, le=1_000_000, description="Tokens of a reply, at most.")
    logprobs: bool | None = Field(None, description="Tell how likely each token was.")
    top_logprobs: int | None = Field(None, ge=0, le=20, description="And so many of the likeliest at its place.")
    response_format: TextFormat | ObjectFormat | SchemaFormat | None = Field(
        None, discriminator="type", description="`json_object` and `json_schema` bind the reply to valid JSON."
    )
    safety_identifier: str | None = Field(None, max_length=512, description="Accepted; it changes nothing.")
    prompt_cache_key: str | None = Field(
        None, max_length=512, description="Accepted; beginnings of prompts are kept without it."
    )
    tools: Any = unsupported(NO_TOOLS, [])
    tool_choice: Any = unsupported(NO_TOOLS, "none", "auto")
    parallel_tool_calls: Any = unsupported(NO_TOOLS, False, True)
    functions: Any = unsupported(NO_TOOLS, [])
    function_call: Any = unsupported(NO_TOOLS, "none", "auto")
    audio: Any = unsupported(ONLY_TEXT)
    modalities: Any = unsupported(ONLY_TEXT, ["text"])
    moderation: Any = unsupported("nothing is moderated here")
    prediction: Any = unsupported("a predicted reply is not used here")
    prompt_cache_options: Any = unsupported("beginnings of prompts are kept as the server is set")
    prompt_cache_retention: Any = unsupported("beginnings of prompts are kept as the server is set", "in_memory")
    reasoning_effort: Any = unsupported("no thoughts are written before a reply", "none")
    service_tier: Any = unsupported("there is one tier of service", "auto", "default")
    store: Any = unsupported("replies are not stored here", False)
    verbosity: Any = unsupported("how wordy a reply is cannot be set; max_completion_tokens bounds it", "medium")
    web_search_options: Any = unsupported("nothing is looked up on the web")

    @model_validator(mode="after")
    def _fits_together(self) -> ChatRequest:
        if self.top_logprobs and not self.logprobs:
            raise wrong("top_logprobs needs logprobs to be true")
        if self.max_tokens and self.max_completion_tokens and self.max_tokens != self.max_completion_tokens:
            raise wrong("max_tokens and max_completion_tokens say different things; give one of them")
        if self.stream_options and not self.stream:
            raise wrong("stream_options needs stream to be true")
        if self.memtune and self.memtune.raw:
            raise wrong("memtune.raw is for /v1/completions; a chat is always asked")
        return self

    @property
    def schema_wanted(self) -> Mapping[str, Any] | None:
        if isinstance(self.response_format, SchemaFormat):
            return self.response_format.json_schema.schema_
        return {"type": "object"} if isinstance(self.response_format, ObjectFormat) else None

    def askings(self, house: House) -> tuple[list[Asking], int | None]:
        """A question for each of the replies that are wanted, and the seed that was taken for them."""
        require_choices(self.n or 1, house)
        decode, seed = decoding(self, self.max_completion_tokens or self.max_tokens)
        if self.logprobs:
            decode |= {"logprobs": True, "top_logprobs": self.top_logprobs or 0}
        chat, schema = [message.said() for message in self.messages], self.schema_wanted
        return [Asking(self.model, chat, decode=decode, schema=schema, draw=i) for i in range(self.n or 1)], seed


@router.post(
    "/chat/completions",
    summary="Answer a chat",
    response_model=ChatCompletion,
    responses=faults() | {200: EVENTS, 501: _NO_PACKAGE},
)
async def chat_completions(body: ChatRequest, request: Request, house: TheHouse, key: Asker) -> Response:
    """The next message of a chat, whole or, with `stream`, piece by piece.

    The object `memtune` of the reply says which facts it used, with their sources and scores.
    """
    askings, seed = body.askings(house)
    head = Head.new("chatcmpl", "chat.completion.chunk" if body.stream else "chat.completion", body.model, seed)
    if body.stream:
        logprobs, used = bool(body.logprobs), body.usage_wanted
        chunks = _Chunks(head, choices=len(askings), logprobs=logprobs, usage=used)
        return await streamed(request, house, askings, key, chunks)
    answers = await all_answers(house, askings, key)
    return JSONResponse(_whole(head, body, answers))


def _whole(head: Head, body: ChatRequest, answers: list[Answer]) -> dict[str, Any]:
    choices = [_choice(i, answer, bool(body.logprobs)) for i, answer in enumerate(answers)]
    if len(answers) > 1:
        choices = [choice | {"memtune": told(a, head)} for choice, a in zip(choices, answers, strict=True)]
    return head.to_json() | {
        "choices": choices,
        "usage": usage(answers, len(answers)),
        "system_fingerprint": fingerprint(answers[0], head),
        "service_tier": "default",
        "memtune": told(answers[0], head),
    }


def _choice(index: int, answer: Answer, logprobs: bool) -> dict[str, Any]:
    return {
        "index": index,
        "message": {"role": "assistant", "content": answer.text, "refusal": None},
        "logprobs": chat_logprobs(scored(answer)) if logprobs else None,
        "finish_reason": answer.finish,
    }


class _Chunks(Chunks):
    """A chat's: the role comes first."""

    def opening(self) -> list[Chunk]:
        said = {"role": "assistant", "content": "", "refusal": None}
        return [self.chunk(_delta(index, said)) for index in range(self.choices)]

    def choice(self, index: int, text: str, scores: Sequence[Scored]) -> Chunk:
        return _delta(index, {"content": text}) | {"logprobs": chat_logprobs(scores) if self.logprobs else None}

    def end(self, index: int, finish: str) -> Chunk:
        return _delta(index, {}) | {"finish_reason": finish}


def _delta(index: int, delta: Chunk) -> Chunk:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
