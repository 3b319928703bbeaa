"""Prompts answered, as text or in a given form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from memtune.core.reports import Answer
from memtune.errors import InputError, UsageError
from memtune.serve.desk import Asking
from memtune.serve.house import House
from memtune.serve.keys import Key
from memtune.serve.shelf import BASE
from memtune.serve.together import side_by_side
from memtune.structured import schema_of, typed

_FIELDS = ("model_name", "prompt", "output_type", "max_tokens", "max_new_tokens")
_WITHOUT_EFFECT = ("reservation_id", "cache_id")
"""What the reference's client sends along as null."""
LONGEST_NAME = 200
"""Letters of a model's name."""


@dataclass(frozen=True)
class Wanted:
    """A request for completions, checked."""

    model: str
    prompts: tuple[str, ...]
    listed: bool
    """Whether the prompts came as a list: then so does the reply."""
    schema: Mapping[str, Any] | None = None
    decode: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(body: Mapping[str, Any], house: House) -> Wanted:
        _require_known(body)
        model, prompt = body.get("model_name"), body.get("prompt")
        if not isinstance(model, str) or not 0 < len(model) <= LONGEST_NAME:
            raise UsageError("model_name must be the name of a model")
        prompts = texts(prompt, "prompt", house)
        output_type = body.get("output_type")
        schema = None if output_type is None else schema_of(output_type)
        return Wanted(model, prompts, isinstance(prompt, list), schema, _decode(body))

    def askings(self) -> list[Asking]:
        return [Asking(self.model, prompt, decode=self.decode, schema=self.schema) for prompt in self.prompts]

    def shaped(self, answer: Answer) -> Any:
        """A reply in the form that was asked for: an object of its own, or a text and which facts are in it."""
        if self.schema is None:
            return {"output": answer.text, "memtune": answer.to_json()}
        return self.output(answer)

    def output(self, answer: Answer) -> Any:
        if self.schema is None:
            return answer.text
        try:
            return typed(answer.text, self.schema)
        except (InputError, ValueError):
            if answer.finish != "length":
                raise
            raise UsageError("the reply was not finished", hint="allow more with max_new_tokens") from None


async def complete(body: Mapping[str, Any], house: House, key: Key) -> Any:
    """What POST /v1/completions gives back when the request names a `model_name`."""
    wanted = Wanted.of(body, house)
    answers = await side_by_side(wanted.askings(), lambda asking: house.desk.ask(asking, key), house)
    made = [wanted.shaped(answer) for answer in answers]
    return made if wanted.listed else made[0]


async def embed(body: Mapping[str, Any], house: House, key: Key) -> dict[str, Any]:
    """Vectors of texts. Without a model's name, the model alone makes them."""
    for name in body:
        if name not in ("model_name", "prompt"):
            raise UsageError(f"nobody knows what '{name}' is for")
    prompt, model = body.get("prompt"), body.get("model_name")
    if not isinstance(model, str | None):
        raise UsageError("model_name must be the name of a model")
    vectors = await house.desk.embed(model or BASE, list(texts(prompt, "prompt", house)), key)
    return {"embedding": vectors if isinstance(prompt, list) else vectors[0]}


def texts(prompt: Any, name: str, house: House) -> tuple[str, ...]:
    most = house.config.serve.max_texts
    found = prompt if isinstance(prompt, list) else [prompt]
    if not found or not all(isinstance(text, str) and text.strip() for text in found):
        raise UsageError(f"{name} must be a text, or a list of texts")
    if len(found) > most:
        raise UsageError(f"{len(found)} texts in one request are too many", hint=f"at most {most}")
    return tuple(found)


def _decode(body: Mapping[str, Any]) -> dict[str, Any]:
    """The bound on the reply: max_new_tokens, else max_tokens."""
    given = {}
    for name in ("max_tokens", "max_new_tokens"):
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f"{name} must be a whole number above 0")
        given["max_new_tokens"] = value
    return given


def _require_known(body: Mapping[str, Any]) -> None:
    for name, value in body.items():
        if name in _FIELDS or (name in _WITHOUT_EFFECT and value is None):
            continue
        raise UsageError(f"'{name}' is not among what completions take", hint=f"they take {', '.join(_FIELDS)}")
