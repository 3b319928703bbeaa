"""A fact's answer as the value of a field: as it stands in strings, its number or its yes in fields of other types."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from memtune.structured.schema import Field

_NUMBER = re.compile(r"(?<![\w.,])[-−+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?!\d|[.,]\d|-\w|[^\W\d]*\d)")
_WORD = re.compile(r"[^\W_]+")
_YES, _NO = ("yes", "true"), ("no", "false")
_STEM = 5
"""Letters that two words share when they are held for forms of one."""


def spellings(answer: str, kinds: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The JSON texts by which an answer can be said in a field of these kinds, the most faithful first. A field of
    which nothing is known takes a string."""
    for kind in kinds or ({"type": "string"},):
        listed = kind.get("enum", [kind["const"]] if "const" in kind else None)
        if isinstance(listed, list):
            yield from _chosen(answer, listed)
        elif kind.get("type") == "string":
            yield json.dumps(answer, ensure_ascii=False)
        elif kind.get("type") in ("integer", "number"):
            yield from _number(answer, whole=kind["type"] == "integer")
        elif kind.get("type") == "boolean":
            yield from _truth(answer)


def _number(answer: str, *, whole: bool) -> Iterator[str]:
    """The only number of an answer. Of two, nobody knows which is meant."""
    found = _NUMBER.findall(answer)
    if len(found) != 1 or len(re.findall(r"\d", answer)) != len(re.findall(r"\d", found[0])):
        return
    sign = "-" if found[0][0] in "-−" else ""
    before, _, behind = found[0].lstrip("+-−").replace(",", "").partition(".")
    before = before.lstrip("0") or "0"
    if not whole:
        yield f"{sign}{before}.{behind}" if behind else f"{sign}{before}"
    elif not behind.strip("0"):
        yield f"{sign}{before}"


def _truth(answer: str) -> Iterator[str]:
    first = next(iter(_WORD.findall(answer.casefold())), "")
    if first in (*_YES, *_NO):
        yield "true" if first in _YES else "false"


def _chosen(answer: str, listed: Sequence[Any]) -> Iterator[str]:
    """The value that the answer is, or the only one that it names."""
    said = " ".join(_WORD.findall(answer.casefold()))
    named = {json.dumps(value, ensure_ascii=False): _plain(value) for value in listed if value is not None}
    same = [text for text, plain in named.items() if plain == said]
    inside = [text for text, plain in named.items() if plain and f" {plain} " in f" {said} "]
    if len(same) == 1 or (not same and len(inside) == 1):
        yield (same or inside)[0]


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return " ".join(_WORD.findall(text.casefold()))


def places(facts: Sequence[tuple[str, str]], fields: Sequence[Field]) -> dict[str, int]:
    """Which fact goes into which field, where the message asks for these facts: questions (or messages) and answers.

    A field whose name the question says comes first, the one that it says first: things are asked for before it is
    said of what. What is left over goes by the order, if it is one fact or if there are as many fields as facts. In
    both cases a field that takes only the answer's kind is before one that takes any text.
    """
    found: dict[str, int] = {}
    for index, (question, answer) in enumerate(facts):
        fitting = [f for f in fields if f.name not in found and any(spellings(answer, f.kinds))]
        named = [f for f in fitting if _first_named(f.name, question) < len(question)]
        if named:
            found[min(named, key=lambda f: (_takes_any_text(f), _first_named(f.name, question))).name] = index
    free = [f for f in fields if f.name not in found]
    left = [index for index in range(len(facts)) if index not in found.values()]
    if len(left) == 1 or len(left) == len(free):
        for index in left:
            fitting = [f for f in free if f.name not in found and any(spellings(facts[index][1], f.kinds))]
            if fitting:
                found[min(fitting, key=_takes_any_text).name] = index
    return found


def _takes_any_text(field: Field) -> bool:
    return any(kind.get("type") == "string" and "enum" not in kind for kind in field.kinds)


def _first_named(name: str, question: str) -> int:
    """Where a question says a word of the name; its length, if nowhere."""
    words = _WORD.findall(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold())
    said = (f for f in _WORD.finditer(question.casefold()) if any(_alike(word, f.group()) for word in words))
    return next((f.start() for f in said), len(question))


def _alike(one: str, other: str) -> bool:
    return one == other or (len(one) >= _STEM and len(other) >= _STEM and one[:_STEM] == other[:_STEM])
