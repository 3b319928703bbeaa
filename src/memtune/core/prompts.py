"""From messages to the tokens a backbone reads, and from an answer to the tokens that follow them."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jinja2.exceptions import TemplateError

from memtune.errors import InputError, UsageError

Message = Mapping[str, str]

PLAIN_SYSTEM, PLAIN_USER, PLAIN_ASSISTANT = "{}\n\n", "Question: {}\nAnswer:", " {}\n\n"
_OPEN_THINKING = re.compile(r"<(think|thinking|reasoning)>\s*\Z")
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Prompt:
    """What the model reads, as tokens, and the text at its end that decides how an answer is joined to it."""

    ids: tuple[int, ...]
    tail: str
    asked_from: int = 0
    """Where, in tokens, what is asked last begins: system text and earlier turns stand before it."""
    before: int = 0
    """By how many tokens that is further on than in a prompt of one question."""


class Template:
    """Renders messages with the model's own chat template, or with a plain one when it has none."""

    def __init__(self, tokenizer: Any, chat_template: str | None) -> None:
        self.tokenizer = tokenizer
        self.chat_template = chat_template

    def render(self, messages: Sequence[Message]) -> Prompt:
        check_messages(messages)
        chat = self.chat_template is not None
        text = self._render_chat(messages) if chat else render_plain(messages)
        ids = tuple(self._encode(text, special=not chat))
        before = text[: max(text.rfind(messages[-1]["content"].strip()), 0)]
        asked_from = self._length(before, special=not chat, most=len(ids) - 1)
        return Prompt(ids, text[-64:], asked_from, max(0, asked_from - self._first))

    def raw(self, text: str) -> Prompt:
        """A raw completion: the text as it stands, after the tokenizer's own opening tokens."""
        if not text:
            raise InputError("the prompt is empty")
        return Prompt(tuple(self._encode(text, special=True)), text[-64:])

    def question(self, question: str) -> Prompt:
        return self.render([{"role": "user", "content": question}])

    def questions(self, questions: Sequence[str]) -> list[Prompt]:
        """Many single questions at once: one call of the tokenizer for all."""
        asked = [[{"role": "user", "content": q}] for q in questions]
        chat = self.chat_template is not None
        texts = [self._render_chat(m) if chat else render_plain(m) for m in asked]
        rows = self.tokenizer(texts, add_special_tokens=not chat)["input_ids"]
        return [
            Prompt(tuple(self._without_end(row)), text[-64:], self._first)
            for row, text in zip(rows, texts, strict=True)
        ]

    @cached_property
    def _first(self) -> int:
        """Where what is asked begins in a prompt of one question."""
        if self.chat_template is not None:
            return len(self.opening())
        return self._length(PLAIN_USER.split("{}")[0], special=True, most=1 << 30)

    def opening(self) -> list[int]:
        """The tokens that stand before what a user says first; none where there is no chat template."""
        if self.chat_template is None:
            return []
        mark = "\x00"
        return self._encode(self._render_chat([{"role": "user", "content": mark}]).split(mark)[0], special=False)

    def _render_chat(self, messages: Sequence[Message]) -> str:
        try:
            text: str = self.tokenizer.apply_chat_template(
                [dict(m) for m in messages],
                chat_template=self.chat_template,
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=False,
            )
        except TemplateError as error:
            raise UsageError(f"the model's chat template refuses these messages: {error}") from error
        opened = _OPEN_THINKING.search(text)
        # A template that opens a thinking part would make the answer a thought: close it first.
        return f"{text.rstrip()}\n\n</{opened.group(1)}>\n\n" if opened else text

    def _length(self, text: str, *, special: bool, most: int) -> int:
        """How many tokens of a prompt this beginning of it takes."""
        return min(len(self._encode(text, special=special)), most) if text else 0

    def _encode(self, text: str, *, special: bool) -> list[int]:
        return self._without_end(self.tokenizer(text, add_special_tokens=special)["input_ids"])

    def _without_end(self, ids: list[int]) -> list[int]:
        """Some tokenizers close every text with their end token; a prompt must stay open."""
        end = self.tokenizer.eos_token_id
        return ids[:-1] if len(ids) > 1 and ids[-1] == end and ids[0] != end else ids


def render_plain(messages: Sequence[Message]) -> str:
    forms = {"system": PLAIN_SYSTEM, "user": PLAIN_USER, "assistant": PLAIN_ASSISTANT}
    return "".join(forms[m["role"]].format(m["content"]) for m in messages)


def check_messages(messages: Sequence[Message]) -> None:
    if not messages:
        raise UsageError("a chat needs at least one message")
    for message in messages:
        role, content = message.get("role"), message.get("content")
        if role not in _ROLES or not isinstance(content, str):
            raise UsageError(
                f"a message needs a role ({', '.join(_ROLES)}) and a text as content, not {dict(message)!r:.80}"
            )
    if messages[-1]["role"] != "user":
        raise UsageError("the last message of a chat must be the user's")


class AnswerWriter:
    """Turns answers into the tokens that spell them exactly after a given text."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._anchors: dict[str, tuple[int, ...]] = {}
        self._leads: dict[tuple[int, ...], str] = {}
        self._special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
        self._splitting: Any = None
        """The tokenizer once more, which reads the names of special tokens as text."""

    def tokens(self, answers: Sequence[str], tail: str) -> list[tuple[int, ...] | None]:
        """The tokens of each answer after `tail`; None where the tokenizer cannot spell it exactly."""
        glue = glue_after(tail)
        anchor = self._anchor(tail)
        found = self._spelled(anchor, [glue + a for a in answers], self._encode([glue + a for a in answers]))
        missing = [i for i, ids in enumerate(found) if ids is None]
        if missing:
            # Tokenizers that add or merge spaces at the start: take the tokens from inside a longer text.
            wanted = [glue + answers[i] for i in missing]
            for i, ids in zip(missing, self._spelled(anchor, wanted, self._inside(anchor, wanted)), strict=True):
                found[i] = ids
        return found

    def text_after(self, tail: str, ids: Sequence[int]) -> str:
        """What these tokens say when they follow `tail`."""
        anchor = self._anchor(tail)
        whole: str = self._decode([[*anchor, *ids]])[0]
        return whole[len(self._lead(anchor)) :]

    def _lead(self, anchor: tuple[int, ...]) -> str:
        """What an anchor says."""
        if anchor not in self._leads:
            self._leads[anchor] = self._decode([list(anchor)])[0]
        return self._leads[anchor]

    def _anchor(self, tail: str) -> tuple[int, ...]:
        last = tail[-1:] if tail[-1:].strip() else "\n"
        if last not in self._anchors:
            self._anchors[last] = tuple(self.tokenizer(f"a{last}", add_special_tokens=False)["input_ids"])
        return self._anchors[last]

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The names of special tokens are text like any other. A tokenizer is told so by a switch of its own, which
        would hold for the prompts of other threads too: so another one is told."""
        joined = "\n".join(texts)
        if not any(name in joined for name in self._special):
            return list(self.tokenizer(list(texts), add_special_tokens=False)["input_ids"])
        if self._splitting is None:
            splitting = copy.deepcopy(self.tokenizer)
            splitting("a", split_special_tokens=True)
            self._splitting = splitting
        return list(self._splitting(list(texts), add_special_tokens=False, split_special_tokens=True)["input_ids"])

    def _inside(self, anchor: tuple[int, ...], texts: Sequence[str]) -> list[list[int]]:
        lead = self._lead(anchor)
        rows = self._encode([lead + text for text in texts])
        return [row[len(anchor) :] if tuple(row[: len(anchor)]) == anchor else [] for row in rows]

    def _decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        return list(
            self.tokenizer.batch_decode(
                [list(r) for r in rows], skip_special_tokens=False, clean_up_tokenization_spaces=False
            )
        )

    def _spelled(
        self, anchor: tuple[int, ...], texts: Sequence[str], rows: Sequence[Sequence[int]]
    ) -> list[tuple[int, ...] | None]:
        lead = self._lead(anchor)
        said = self._decode([[*anchor, *row] for row in rows])
        return [
            tuple(row) if row and text == whole[len(lead) :] else None
            for text, row, whole in zip(texts, rows, said, strict=True)
        ]


def glue_after(tail: str) -> str:
    """What stands between a prompt and its answer: nothing after a space, a line break or an opening mark."""
    return "" if not tail or tail[-1].isspace() or tail[-1] in "\"'([{<>|`" else " "
