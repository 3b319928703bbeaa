"""Fields that open while a reply is said, such as `"price": "`, and the facts that go into them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from memtune.structured import Filling, Form, places

_OPEN = re.compile(r"""(?P<mark>["'])(?P<name>[^"'\n]{2,40})(?P=mark)\s*:\s*(?P<quote>["']?)\Z""")


def open_field(said: str) -> str | None:
    """The name of the field that is open at the end of what was said."""
    found = _OPEN.search(said)
    return found.group("name") if found else None


def fits(answer: str, said: str) -> bool:
    """Whether an answer may be said in the open field as it is stored: quotes are open, and nothing needs an escape."""
    found = _OPEN.search(said)
    quote = found.group("quote") if found else ""
    return bool(quote) and json.dumps(answer, ensure_ascii=False)[1:-1] == answer and quote not in answer


def names_key(message: str, name: str) -> bool:
    """Whether a message names this field itself, in quotes."""
    return re.search(rf"[\"'`“‘]{re.escape(name)}[\"'`”’]", message) is not None


# ---- fields of a reply that follows a form --------------------------------------------------------------------------

_MOST_LOOKED_AT = 64
"""Fields of a form that facts are looked for before the reply begins."""


@dataclass(frozen=True)
class Told:
    """A fact that a field may be filled with."""

    id: str
    question: str
    filling: Filling


class FieldFacts:
    """Which fact goes into a field that opens: the one that the field names, else one that the message asks for."""

    def __init__(self, form: Form, asked: Sequence[Told], named: Callable[[str], Told | None]) -> None:
        """`asked`: facts whose answers the message asks for; `named`: the fact that a field names."""
        self._form, self._asked, self._find_named = form, asked, named
        self._seen: dict[str, Told | None] = {}
        self._said: set[str] = set()

    def __call__(self, name: str) -> list[Filling]:
        found = self._named(name) or self._placed.get(name)
        if found is None or found.id in self._said:
            return []
        return [Filling(found.filling.answer, partial(self._say, found))]

    def _say(self, told: Told, name: str) -> None:
        """Each fact is said in one field: the items of a list do not all have the same price."""
        self._said.add(told.id)
        told.filling.taken(name)

    @property
    def any_named(self) -> bool:
        """Whether a field of the form names a fact."""
        return any(self._named(field.name) for field in self._form.fields[:_MOST_LOOKED_AT])

    def _named(self, name: str) -> Told | None:
        if name not in self._seen:
            found = self._find_named(spoken(name)) if name else None
            # Where the message is the fact's own question, each of its words seems to name the fact.
            self._seen[name] = None if found and any(found.id == told.id for told in self._asked) else found
        return self._seen[name]

    @cached_property
    def _placed(self) -> dict[str, Told]:
        """Where the facts go that the message asks for and no field names."""
        if not self._asked:
            return {}
        led = {field.name: self._named(field.name) for field in self._form.fields[:_MOST_LOOKED_AT]}
        named = {told.id for told in led.values() if told is not None}
        left = [told for told in self._asked if told.id not in named]
        free = [field for field in self._form.fields if led.get(field.name) is None]
        placed = places([(told.question, told.filling.answer) for told in left], free)
        return {name: left[index] for name, index in placed.items()}


def spoken(name: str) -> str:
    """The name of a field as words: `unit_price` and `unitPrice` are the unit price."""
    return " ".join(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").replace("-", " ").split()).lower()
