"""A fact: what is asked, what is answered, where it comes from."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from memtune.errors import InputError

FIELDS = ("id", "question", "phrasings", "answer", "source", "group")


@dataclass(frozen=True)
class Fact:
    """`question` is the learned wording, `phrasings` further ones. `answer` is recalled word for word."""

    id: str
    question: str
    answer: str
    phrasings: tuple[str, ...] = ()
    source: str | None = None
    group: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("id", "question", "answer"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise InputError(f"a fact needs a {name} that is not empty")

    @property
    def wordings(self) -> tuple[str, ...]:
        """All wordings that lead to this fact, the learned one first, each once."""
        return tuple({normalise(text): text for text in reversed((self.question, *self.phrasings))}.values())[::-1]

    def to_row(self) -> dict[str, Any]:
        """The row that `from_row` reads back: export is the inverse of import."""
        row: dict[str, Any] = {"id": self.id, "question": self.question, "answer": self.answer}
        if self.phrasings:
            row["phrasings"] = list(self.phrasings)
        if self.source is not None:
            row["source"] = self.source
        if self.group is not None:
            row["group"] = self.group
        return row | dict(self.extra)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Fact:
        """A fact from a JSON-like row; raises InputError with the reason when it is none."""
        question = _text(row, "question", "prompt")
        answer = _text(row, "answer", "completion", "output")
        phrasings = row.get("phrasings") or ()
        if not isinstance(phrasings, (list, tuple)) or not all(isinstance(p, str) and p.strip() for p in phrasings):
            raise InputError("'phrasings' must be a list of texts that are not empty")
        given = row.get("id")
        taken = {*FIELDS, "prompt", "completion", "output"}
        return cls(
            id=str(given).strip() if given is not None else fact_id(question, answer),
            question=question,
            answer=answer,
            phrasings=tuple(phrasings),
            source=_optional(row, "source"),
            group=_optional(row, "group"),
            extra={k: v for k, v in row.items() if k not in taken},
        )


def _text(row: Mapping[str, Any], *names: str) -> str:
    """The first of these fields, with the spaces around it taken off."""
    for name in names:
        if row.get(name) is not None:
            value = row[name]
            if isinstance(value, bool) or not isinstance(value, (str, int, float)):
                raise InputError(f"'{name}' must be text, not {type(value).__name__}")
            text = str(value).strip()
            if not text:
                raise InputError(f"'{name}' is empty")
            return text
    raise InputError(f"no '{names[0]}'")


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
