"""A fact: what is asked, what is answered, where it comes from."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from memtune.config import KIND_NAMES
from memtune.core.validity import Validity
from memtune.errors import InputError, UsageError

FIELDS = (
    *("id", "question", "phrasings", "never", "answer", "source", "group"),
    *("valid_from", "valid_until", "state", "expert"),
)
STATES = ("candidate", "active", "archived", "expired")
"""What may become of a fact: it waits, answers, was set aside, or its time is over."""
QUESTION_FIELDS = ("question", "prompt")
ANSWER_FIELDS = ("answer", "completion", "output")
PASSAGE_FIELDS = ("passage", "title", "questions")
"""What a row has that is a text to be known, rather than a question with its answer."""
_LONGEST_TITLE = 80


@dataclass(frozen=True)
class Fact:
    """`question` is the learned wording, `phrasings` further ones. `answer` is recalled word for word."""

    id: str
    question: str
    answer: str
    phrasings: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    """Texts that this fact must not answer, however near they are."""
    source: str | None = None
    group: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    valid_from: str | None = None
    """A date or a time before which it answers nothing; UTC where no zone is named."""
    valid_until: str | None = None
    """The last day, or the time, at which it answers."""
    state: str | None = None
    """Only on its way in and out: `archived` is learned and set aside. What a memory holds says so in its versions."""
    expert: str | None = None
    """Only on its way in: the kinds of experts that it gets, joined by +, where others than the rest. What a memory
    holds says so by its experts."""
    passage: bool = False
    """A text to be known, never recited: the question is its title, the answer the text, the phrasings are questions
    that it answers."""

    def __post_init__(self) -> None:
        for name in ("id", "question", "answer"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise InputError(f"'{name}' is missing or empty")
        if self.answer != self.answer.strip():
            raise InputError("'answer' has spaces around it, which no reply keeps")
        if self.valid_from is not None or self.valid_until is not None:
            begin, end = self.validity
            if begin >= end:
                raise InputError(f"'valid_until' ({self.valid_until}) is not after 'valid_from' ({self.valid_from})")
        if self.expert is not None and not set(self.expert.split("+")) <= set(KIND_NAMES):
            raise InputError(
                f"'expert' must be one of {', '.join(KIND_NAMES)}, or several joined by +, not '{self.expert}'"
            )
        if self.state is not None and self.state not in STATES:
            raise InputError(f"'state' must be one of {', '.join(STATES)}, not '{self.state}'")

    @property
    def wordings(self) -> tuple[str, ...]:
        """All wordings that lead to this fact, the learned one first, each once."""
        unique: dict[str, str] = {}
        for text in (self.question, *self.phrasings):
            unique.setdefault(normalise(text), text)
        return tuple(unique.values())

    def phrased(self, text: str) -> Fact:
        """The fact with a further wording, which it may have been kept from before."""
        same = normalise(text)
        if same in map(normalise, self.wordings):
            return self
        never = tuple(other for other in self.never if normalise(other) != same)
        return replace(self, phrasings=(*self.phrasings, text), never=never)

    def barred_from(self, text: str) -> Fact:
        """The fact with a text that it must not answer."""
        same = normalise(text)
        if same == normalise(self.question):
            raise UsageError(f"'{text}' is the learned wording of '{self.id}'", hint="forget the fact, or reword it")
        if same in map(normalise, self.never):
            return self
        phrasings = tuple(other for other in self.phrasings if normalise(other) != same)
        return replace(self, phrasings=phrasings, never=(*self.never, text))

    @property
    def page(self) -> str:
        """A passage as it is read: the text under its title."""
        return self.answer if self.answer.startswith(self.question) else f"{self.question}\n{self.answer}"

    @property
    def validity(self) -> Validity:
        return Validity.of(self.valid_from, self.valid_until)

    def to_row(self) -> dict[str, Any]:
        """The row that `from_row` reads back: export is the inverse of import."""
        names = ("title", "passage", "questions") if self.passage else ("question", "answer", "phrasings")
        asked, answered, others = names
        row: dict[str, Any] = {"id": self.id, asked: self.question, answered: self.answer}
        if self.phrasings:
            row[others] = list(self.phrasings)
        if self.never:
            row["never"] = list(self.never)
        for name in ("source", "group", "valid_from", "valid_until", "state", "expert"):
            if getattr(self, name) is not None:
                row[name] = getattr(self, name)
        return row | dict(self.extra)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Fact:
        """A fact from a JSON-like row; raises InputError with the reason when it is none."""
        others = [name for name in (*QUESTION_FIELDS, *ANSWER_FIELDS) if row.get(name) is not None]
        if row.get("passage") is not None and not others:
            return cls._from_passage(row)
        asked, answered = _present(row, *QUESTION_FIELDS), _present(row, *ANSWER_FIELDS)
        right = _several(row[answered])
        question, answer = _text(asked, row[asked]), _text(answered, right[0])
        phrasings = _texts(row, "phrasings")
        empty = {name for name in (*QUESTION_FIELDS, *ANSWER_FIELDS) if row.get(name) is None}
        taken = {*FIELDS, asked, answered, *empty}
        several = {"answers": list(right)} if len(right) > 1 else {}
        extra = several | {k: v for k, v in row.items() if k not in taken}
        return cls(
            question=question, answer=answer, phrasings=phrasings, extra=extra, **_further(row, question, answer)
        )

    @classmethod
    def _from_passage(cls, row: Mapping[str, Any]) -> Fact:
        text = _text("passage", row["passage"])
        title = _text("title", row["title"]) if row.get("title") is not None else _first_words(text)
        extra = {k: v for k, v in row.items() if k not in (*FIELDS, *PASSAGE_FIELDS, *QUESTION_FIELDS, *ANSWER_FIELDS)}
        questions = (*_texts(row, "questions"), *_texts(row, "phrasings"))
        return cls(
            question=title, answer=text, phrasings=questions, extra=extra, passage=True, **_further(row, title, text)
        )


def _further(row: Mapping[str, Any], question: str, answer: str) -> dict[str, Any]:
    """What a row says of any fact, be it a question or a passage."""
    given = row.get("id")
    optional = {name: _optional(row, name) for name in FIELDS[5:]}
    fact = str(given).strip() if given is not None else fact_id(question, answer)
    return {"id": fact, "never": _texts(row, "never"), **optional}


def _first_words(text: str) -> str:
    """What a passage without a title is called: how it begins."""
    line = text.split("\n", 1)[0].strip()
    return line if len(line) <= _LONGEST_TITLE else line[:_LONGEST_TITLE].rsplit(" ", 1)[0]


def _present(row: Mapping[str, Any], *names: str) -> str:
    """The first of these fields that the row has."""
    for name in names:
        if row.get(name) is not None:
            return name
    raise InputError(f"no '{names[0]}'")


def _texts(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of texts that the row may have."""
    given = row.get(name) or ()
    if not isinstance(given, (list, tuple)) or not all(isinstance(text, str) and text.strip() for text in given):
        raise InputError(f"'{name}' must be a list of texts that are not empty")
    return tuple(given)


def _several(value: Any) -> Sequence[Any]:
    """The answers that are equally right; most often there is one."""
    return value if isinstance(value, (list, tuple)) and value else [value]


def _text(name: str, value: Any) -> str:
    """A field without the spaces around it."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        hint = "; write the number as text, so that it is kept as it stands" if isinstance(value, float) else ""
        raise InputError(f"'{name}' must be text, not {type(value).__name__}{hint}")
    text = str(value).strip()
    if not text:
        raise InputError(f"'{name}' is empty")
    return text


def _optional(row: Mapping[str, Any], name: str) -> str | None:
    return None if row.get(name) is None else str(row[name])


def fact_id(question: str, answer: str) -> str:
    """The id of a fact that was given none: the same fact always gets the same one."""
    digest = hashlib.sha256(json.dumps([normalise(question), answer]).encode()).hexdigest()
    return f"f{digest[:12]}"


def normalise(text: str) -> str:
    """Two wordings are the same when only case, spacing, Unicode form or closing punctuation differ."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(" ?.!:")


def wording_hash(text: str) -> int:
    """64 bits that stand for a normalised wording in the router's exact index."""
    return int.from_bytes(hashlib.blake2b(normalise(text).encode(), digest_size=8).digest(), "little")
