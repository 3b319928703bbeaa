"""A reply as the chunks of a stream: what is said, how each choice ended, what was used."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any

from memtune.core.reports import Answer, Scored
from memtune.serve.desk import Piece
from memtune.serve.openai.replies import Head, fingerprint, scored, told, usage

Chunk = dict[str, Any]


class Chunks(ABC):
    """`choices`: replies to one prompt, whose tokens are counted once."""

    def __init__(self, head: Head, *, choices: int, logprobs: bool, usage: bool) -> None:
        self.head, self.choices, self.logprobs, self.usage = head, choices, logprobs, usage
        self.scored: Counter[int] = Counter()
        """By choice, the tokens whose scores were told."""
        self.said: Counter[int] = Counter()
        """And the characters that were said."""

    @abstractmethod
    def choice(self, index: int, text: str, scores: Sequence[Scored]) -> Chunk:
        """Something that was said, with its scores if they are wanted."""

    @abstractmethod
    def end(self, index: int, finish: str) -> Chunk:
        """The end of a choice."""

    def opening(self) -> list[Chunk]:
        """What stands before everything that is said."""
        return []

    def of(self, index: int, said: Piece | Answer) -> list[Chunk]:
        if isinstance(said, Piece):
            return [self._said(index, said.text, said.scores)]
        left = scored(said)[self.scored[index] :]
        ended = self.chunk(self.end(index, said.finish)) | {
            "system_fingerprint": fingerprint(said, self.head),
            "memtune": told(said, self.head),
        }
        return [self._said(index, "", left), ended] if left else [ended]

    def closing(self, answers: Sequence[Answer]) -> list[Chunk]:
        if not self.usage:
            return []
        used = {"choices": [], "usage": usage(answers, self.choices), "memtune": told(answers[0], self.head)}
        return [self.head.to_json() | used]

    def _said(self, index: int, text: str, scores: Sequence[Scored]) -> Chunk:
        chunk = self.chunk(self.choice(index, text, scores))
        self.scored[index] += len(scores)
        self.said[index] += len(text)
        return chunk

    def chunk(self, choice: Chunk) -> Chunk:
        return self.head.to_json() | {"choices": [choice]} | ({"usage": None} if self.usage else {})
