"""A fact: what is asked, what is answered, where it comes from."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from memtune.core.validity import Validity
from memtune.errors import InputError

FIELDS = (
    *("id", "question", "phrasings", "never", "answer", "source", "group"),
    *("valid_from", "valid_until", "state"),
)
STATES = ("candidate", "active", "archived", "expired")
"""What may become of a fact: it waits, answers, was set aside, or its time is over."""
QUESTION_FIELDS = ("question", "prompt")
ANSWER_FIELDS = ("answer", "completion", "output")


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
        if self.state is not None and self.state not in STATES:
            raise InputError(f"'state' must be one of {', '.join(STATES)}, not '{self.state}'")

    @property
    def wordings(self) -> tuple[str, ...]:
        """All wordings that lead to this fact, the learned one first, each once."""
        unique: dict[str, str] = {}
        for text in (self.question, *self.phrasings):
            unique.setdefault(normalise(text), text)
        return tuple(unique.values())

    @property
    def validity(self) -> Validity:
        return Validity.of(self.valid_from, self.valid_until)

    def to_row(self) -> dict[str, Any]:
        """The row that `from_row` reads back: export is the inverse of import."""
        row: dict[str, Any] = {"id": self.id, "question": self.question, "answer": self.answer}
        if self.phrasings:
            row["phrasings"] = list(self.phrasings)
        if self.never:
            row["never"] = list(self.never)
        for name in ("source", "group", "valid_from", "valid_until", "state"):
            if getattr(self, name) is not None:
                row[name] = getattr(self, name)
        return row | dict(self.extra)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Fact:
        """A fact from a JSON-like row; raises InputError with the reason when it is none."""
        asked, answered = _present(row, *QUESTION_FIELDS), _present(row, *ANSWER_FIELDS)
        right = _several(row[answered])
        question, answer = _text(asked, row[asked]), _text(answered, right[0])
        phrasings, never = _texts(row, "phrasings"), _texts(row, "never")
        given = row.get("id")
        empty = {name for name in (*QUESTION_FIELDS, *ANSWER_FIELDS) if row.get(name) is None}
        taken = {*FIELDS, asked, answered, *empty}
        others = {"answers": list(right)} if len(right) > 1 else {}
        return cls(
            id=str(given).strip() if given is not None else fact_id(question, answer),
            question=question,
            answer=answer,
            phrasings=phrasings,
            never=never,
            source=_optional(row, "source"),
            group=_optional(row, "group"),
            valid_from=_optional(row, "valid_from"),
            valid_until=_optional(row, "valid_until"),
            state=_optional(row, "state"),
            extra=others | {k: v for k, v in row.items() if k not in taken},
        )


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
