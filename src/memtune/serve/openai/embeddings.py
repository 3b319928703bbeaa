"""POST /v1/embeddings."""

from __future__ import annotations

import asyncio
import base64
import struct
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field, field_validator

from memtune.serve.facts.documented import faults
from memtune.serve.house import House
from memtune.serve.http.guard import Asker, TheHouse
from memtune.serve.keys import Key
from memtune.serve.openai.fields import Name, Strict, texts, unsupported
from memtune.serve.openai.shapes import Embeddings
from memtune.serve.openai.wanted import require_texts

router = APIRouter(prefix="/v1", tags=["openai"])
Text = Annotated[str, Field(min_length=1)]


class EmbeddingRequest(Strict):
    """Texts whose vectors are wanted."""

    model: Name = Field(description="A memory by name, whose own encoder is used, or `base`.", examples=["acme"])
    input: Text | Annotated[list[Text], Field(min_length=1)] = Field(
        description="A text, or a list of texts. Tokens are not taken.", examples=["What does the Zorblat cost?"]
    )
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="Numbers, or base64 of 32-bit floats, little end first."
    )
    user: str | None = Field(None, max_length=512, description="Accepted; it changes nothing.")
    dimensions: Any = unsupported("vectors have as many dimensions as the model; they cannot be shortened")

    @field_validator("input", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        return texts(value)


@router.post("/embeddings", summary="Vectors of texts", response_model=Embeddings, responses=faults())
async def embeddings(body: EmbeddingRequest, house: TheHouse, key: Asker) -> dict[str, Any]:
    """One vector for each text, in their order."""
    inputs = [body.input] if isinstance(body.input, str) else list(body.input)
    require_texts(len(inputs), house, "input")
    vectors = await house.desk.embed(body.model, inputs, key)
    read = await asyncio.to_thread(_tokens, house, key, body.model, inputs)
    told = _base64 if body.encoding_format == "base64" else list
    return {
        "object": "list",
        "model": body.model,
        "data": [{"object": "embedding", "index": i, "embedding": told(v)} for i, v in enumerate(vectors)],
        "usage": {"prompt_tokens": read, "total_tokens": read},
    }


def _tokens(house: House, key: Key, model: str, inputs: list[str]) -> int:
    tokenizer = house.shelf.find(model, key).model.backbone.tokenizer
    return sum(len(ids) for ids in tokenizer(inputs)["input_ids"])


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
