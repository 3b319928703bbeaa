"""What a request of the OpenAI API may say: fields that several routes share, and those that are refused by name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
Stop = Annotated[str, Field(min_length=1, max_length=200)]
_MOST_STOPS = 4
_NEUTRAL = "enum"
_SEED = 1 << 63


class Strict(BaseModel):
    """A body, or a part of one. A field that nobody knows is refused, never dropped."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _nothing_unsupported(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[info.field_name or ""]
        more = field.json_schema_extra
        if isinstance(more, dict) and not any(_same(value, one) for one in more.get(_NEUTRAL, [value])):  # type: ignore[union-attr]
            raise wrong(field.description or "this is not supported")
        return value


def unsupported(why: str, *neutral: Any) -> Any:
    """A field that cannot be honoured: only values that change nothing are accepted."""
    return Field(None, description=why, json_schema_extra={_NEUTRAL: [None, *neutral]})


def wrong(why: str) -> PydanticCustomError:
    """A value that is refused, in one line."""
    return PydanticCustomError("refused", "{why}", {"why": why})


def texts(value: Any) -> Any:
    """A text or a list of texts, none of them empty; lists of tokens are refused by name."""
    found = value if isinstance(value, list) else [value]
    if isinstance(value, list) and any(isinstance(one, (int, list)) for one in found):
        raise wrong("texts are taken here, not lists of tokens")
    if not found or not all(isinstance(one, str) and one for one in found):
        raise wrong("it must be a text, or a list of texts, and none may be empty")
    return value


def _same(value: Any, other: Any) -> bool:
    return value == other and isinstance(value, bool) == isinstance(other, bool)


NO_TOOLS = "tools and functions are not called here"
ONLY_TEXT = "only text is read and written here"

Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(
        max_length=16, description="Up to 16 pairs. They are accepted and change nothing.", examples=[{"shop": "north"}]
    ),
]


class StreamOptions(Strict):
    include_usage: bool | None = Field(None, description="Send a last chunk with the tokens that were used.")
    include_obfuscation: Any = unsupported("streams are not padded here", False)


class Settings(Strict):
    """How memtune answers, beyond what OpenAI's fields say. The client passes it as `extra_body`."""

    unknown: Literal["base", "abstain", "clarify"] | None = Field(
        None,
        description="What is not in the memory: answered by the plain model, not at all, or by asking back where "
        "several facts fit alike.",
    )
    after_fact: Literal["end", "continue"] | None = Field(
        None, description="After the last recited fact: end the reply, or let the plain model go on."
    )
    fact_sampling: Literal["greedy", "free"] | None = Field(
        None, description="Inside a recited fact: always the likeliest token, or sampled like everything else."
    )
    reroute: bool | None = Field(None, description="Recite a fact into a field that opens in the reply.")
    abstention: str | None = Field(None, max_length=1000, description="What is said instead of an answer.")
    raw: bool | None = Field(
        None,
        description="Of /v1/completions: whether the prompt is a text to be gone on with, or a question. A memory is "
        "asked by default, the plain model goes on.",
    )

    def decode(self) -> dict[str, Any]:
        return {name: value for name, value in self if value is not None and name != "raw"}


class Sampled(Strict):
    """What /v1/chat/completions and /v1/completions have in common."""

    model: Name = Field(
        description="A memory (`acme`), one of its versions (`acme@v12`), an alias, or `base`, the model alone.",
        examples=["acme"],
    )
    stream: bool | None = Field(None, description="Send the reply piece by piece, as server-sent events.")
    stream_options: StreamOptions | None = None
    n: int | None = Field(None, ge=1, le=128, description="How many replies; each is drawn for itself.")
    temperature: float | None = Field(
        None, ge=0, le=2, description="0: always the likeliest token. Not given: as the server is set, which is 0."
    )
    top_p: float | None = Field(None, ge=0, le=1, description="The likeliest tokens that reach this share together.")
    seed: int | None = Field(
        None,
        ge=-_SEED,
        lt=_SEED,
        description="The same seed and the same request give the same reply. Not given: the server takes one and tells "
        "it in `memtune.seed`.",
    )
    stop: Stop | Annotated[list[Stop], Field(max_length=_MOST_STOPS)] | None = Field(
        None, description="Where the reply ends: one text, or up to 4.", examples=["\n"]
    )
    max_tokens: int | None = Field(None, ge=1, le=1_000_000, description="Tokens of a reply, at most.")
    user: str | None = Field(None, max_length=512, description="Accepted; it changes nothing.")
    metadata: Metadata | None = None
    memtune: Settings | None = None
    frequency_penalty: Any = unsupported("penalties are not applied here; only 0 is accepted", 0)
    presence_penalty: Any = unsupported("penalties are not applied here; only 0 is accepted", 0)
    logit_bias: Any = unsupported("single tokens cannot be made more or less likely here", {})

    @field_validator("stop", mode="before")
    @classmethod
    def _few_stops(cls, value: Any) -> Any:
        if isinstance(value, list) and len(value) > _MOST_STOPS:
            raise wrong(f"at most {_MOST_STOPS} stop texts, not {len(value)}")
        return value if value is None or value == [] else texts(value)

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def usage_wanted(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)
