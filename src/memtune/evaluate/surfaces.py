"""The surroundings in which a learned question is asked: neutral text of the benchmark's own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from memtune.core.backbone import Backbone
from memtune.core.prompts import PLAIN_USER
from memtune.questions import Question

_HOUSE_RULES = (
    "You are the assistant of a small office.", "Answer in the language in which you are asked.",
    "Keep a friendly tone and do not make jokes about people.", "Short replies are better than long ones.",
    "When a request is unclear, ask what is meant.", "Do not give medical or legal advice.",
    "The office is open on weekdays from nine to five.", "Letters are sent out in the afternoon.",
    "Visitors ring the bell and wait in the hall.",
    "Plants are watered on Mondays, the kitchen is cleaned on Fridays.",
    "Write numbers as digits and dates in full.", "Do not use capital letters for emphasis.",
    "If somebody is upset, stay calm and helpful.", "Never pretend to be a person.",
    "Lists are fine where there are more than three items.",
    "The printer on the second floor is the faster one.", "Meetings begin on time and end with a summary.",
    "Suggestions are always welcome and are read every week.",
)  # fmt: skip
_SMALL_TALK = (
    ("Good morning! Are you there?", "Good morning! Yes, I am here."),
    ("I have a few things to ask today.", "Gladly, go ahead."),
    ("First, it is rather cold in here, is it not?", "That sounds unpleasant. I hope it gets warmer soon."),
    ("Thanks. Let us begin then.", "All right, let us begin."),
)


@dataclass(frozen=True)
class Surface:
    """How the question is put, and how the reply is decoded."""

    name: str
    put: Callable[[str], Question]
    raw: bool = False
    decode: dict[str, Any] = field(default_factory=dict)


def surfaces(backbone: Backbone) -> list[Surface]:
    """The learned wording first; the others differ from it in one respect each."""
    short, long = system_text(backbone, 100), system_text(backbone, 500)
    return [
        Surface("learned wording", _alone),
        Surface("after a system prompt of 100 tokens", _after_system(short)),
        Surface("after a system prompt of 500 tokens", _after_system(long)),
        Surface("as a raw completion", PLAIN_USER.format, raw=True),
        Surface("as the fifth turn of a chat", _fifth_turn),
        Surface("at temperature 1.0", _alone, decode={"temperature": 1.0, "top_p": 1.0}),
        Surface("at temperature 1.0, top_p 0.95", _alone, decode={"temperature": 1.0, "top_p": 0.95}),
    ]


def system_text(backbone: Backbone, tokens: int) -> str:
    """Prose of at most this many tokens, and at least all but a word of them."""
    words: list[str] = []
    for rule in itertools.cycle(_HOUSE_RULES):
        grown = [*words, *rule.split()]
        if _length(backbone, grown) > tokens:
            break
        words = grown
    for word in rule.split():
        if _length(backbone, [*words, word]) > tokens:
            break
        words.append(word)
    return " ".join(words)


def _length(backbone: Backbone, words: Sequence[str]) -> int:
    return len(backbone.tokenizer(" ".join(words), add_special_tokens=False)["input_ids"])


def _alone(question: str) -> Question:
    return question


def _after_system(text: str) -> Callable[[str], Question]:
    return lambda question: [{"role": "system", "content": text}, {"role": "user", "content": question}]


def _fifth_turn(question: str) -> Question:
    earlier = [
        {"role": role, "content": text}
        for said in _SMALL_TALK
        for role, text in zip(("user", "assistant"), said, strict=True)
    ]
    return [*earlier, {"role": "user", "content": question}]


def surroundings(backbone: Backbone) -> list[Surface]:
    """What may stand around a question without changing what is asked: system text, a client's own template, a chat."""
    alone = [Surface("system prompt of 0 tokens", _alone)]
    after = [
        Surface(f"system prompt of {tokens} tokens", _after_system(system_text(backbone, tokens)))
        for tokens in (100, 500)
    ]
    formatted = [Surface(f"formatted as {name} by the client", text.format) for name, text in _FORMATTED.items()]
    return [*alone, *after, *formatted, Surface("fifth turn of a chat", _fifth_turn)]


_FORMATTED = {
    "ChatML": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
    "Llama 2": "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n{} [/INST]",
    "Llama 3": "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "question and answer": PLAIN_USER,
}
"""Chat text inside a prompt, as clients send it that fill in a template themselves."""
