"""What all rungs share: the model with its memory, the learned facts, a tuning split, and how replies are decoded."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TypeVar, cast

from memtune.config import DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.core.reports import Answer
from memtune.evaluate.cases import Case, Said
from memtune.evaluate.scores import says_unknown
from memtune.model import MemoryModel
from memtune.questions import Question

_SLACK = 16
"""Tokens that a reply may have beyond the longest right answer."""
_BATCH = 32

T = TypeVar("T")


@dataclasses.dataclass
class Workbench:
    """`tuning`: cases of learned facts on which a rung may choose its prompt; none of them is ever reported."""

    model: MemoryModel
    facts: Sequence[Fact]
    tuning: Sequence[Case] = ()
    seed: int = 0
    longest_reply: int | None = None
    """Tokens that replies may have, where not the longest right answer decides."""
    _once: dict[str, object] = dataclasses.field(default_factory=dict, init=False, repr=False)

    def once(self, name: str, work: Callable[[], T]) -> T:
        """What rungs share and one of them has to work out, such as a tuned prompt."""
        if name not in self._once:
            self._once[name] = work()
        return cast(T, self._once[name])

    @property
    def backbone(self) -> Backbone:
        return self.model.backbone

    @cached_property
    def by_id(self) -> dict[str, Fact]:
        return {fact.id: fact for fact in self.facts}

    def decoding(self, cases: Sequence[Case]) -> DecodeConfig:
        """Greedy, with room for the longest right answer."""
        answers = [answer for case in cases for answer in case.answers] or [fact.answer for fact in self.facts[:64]]
        spelled = self.backbone.tokenizer(answers or ["."], add_special_tokens=False)["input_ids"]
        longest = self.longest_reply or max(map(len, spelled)) + _SLACK
        return dataclasses.replace(self.model.config.decode, max_new_tokens=longest, batch_size=_BATCH)

    def longest(self, cases: Sequence[Case]) -> int:
        """Tokens that a reply to any of these cases may have, when they are asked together."""
        return self.decoding(cases).max_new_tokens

    @contextmanager
    def replies_of(self, tokens: int) -> Iterator[None]:
        """While inside, no reply is longer than this."""
        before, self.longest_reply = self.longest_reply, tokens
        try:
            yield
        finally:
            self.longest_reply = before

    def tokens(self, question: Question, raw: bool) -> int:
        """How many the model would read."""
        if raw:
            return len(self.backbone.template.raw(str(question)).ids)
        chat = [{"role": "user", "content": question}] if isinstance(question, str) else question
        return len(self.backbone.template.render(chat).ids)

    def fitted(
        self, case: Case, put: Callable[[Sequence[T]], Question], parts: Sequence[T], reply: int
    ) -> tuple[Question, Sequence[T]]:
        """The case put with these parts, the last of them left out until the model's context holds it and a reply of
        so many tokens: the longest of all that are decoded together (`longest`)."""
        room = self.backbone.context - reply
        for n in range(len(parts), 0, -1):
            question = put(parts[:n])
            if self.tokens(question, case.raw) <= room:
                return question, parts[:n]
        return put([]), []

    def ask(
        self, cases: Sequence[Case], put: Callable[[Case], Question], *, memory: bool, **decode: object
    ) -> list[Said]:
        """Replies to each case, put in some way; long and short prompts apart, as batches want it."""
        config = dataclasses.replace(self.decoding(cases), **decode)  # type: ignore[arg-type]
        found: dict[int, Said] = {}
        for raw in (False, True):
            places = [i for i, case in enumerate(cases) if case.raw == raw]
            places.sort(key=lambda i: len(cases[i].text))
            for start in range(0, len(places), _BATCH):
                part = places[start : start + _BATCH]
                found |= zip(part, self._batch([put(cases[i]) for i in part], config, memory, raw), strict=True)
        return [found[i] for i in range(len(cases))]

    def _batch(self, questions: list[Question], config: DecodeConfig, memory: bool, raw: bool) -> list[Said]:
        decode = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
        begin = time.perf_counter()
        answers = self.model.ask(cast(list[str], questions), memory=memory, raw=raw, **decode)
        each = (time.perf_counter() - begin) / len(questions)
        return [_said(answer, each, routed=memory) for answer in answers]


def _said(answer: Answer, seconds: float, *, routed: bool) -> Said:
    return Said(
        text=answer.text,
        abstained=answer.abstained or bool(answer.clarifies) or says_unknown(answer.text),
        facts=tuple(used.id for used in answer.facts),
        fired=answer.fired if routed else None,
        prompt_tokens=answer.prompt_tokens,
        new_tokens=len(answer.tokens),
        seconds=seconds,
    )
