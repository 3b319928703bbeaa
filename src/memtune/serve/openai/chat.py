"""POST /v1/chat/completions."""

from __future__ import annotations

import time
import uuid
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from memtune.core.reports import Answer
from memtune.serve.desk import Asking
from memtune.serve.http.guard import Asker, TheHouse

router = APIRouter(prefix="/v1", tags=["openai"])


class ChatMessage(BaseModel):
    role: str
    content: str


class ChatRequest(BaseModel):
    model: str
    messages: list[ChatMessage]


@router.post("/chat/completions")
async def chat_completions(body: ChatRequest, house: TheHouse, key: Asker) -> dict[str, Any]:
    answer = await house.desk.ask(Asking(body.model, [m.model_dump() for m in body.messages]), key)
    message = {"role": "assistant", "content": answer.text}
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": body.model,
        "choices": [{"index": 0, "message": message, "finish_reason": answer.finish, "logprobs": None}],
        "usage": usage(answer),
        "memtune": answer.to_json(),
    }


def usage(answer: Answer) -> dict[str, int]:
    said = len(answer.tokens)
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": said,
        "total_tokens": answer.prompt_tokens + said,
    }
