"""Where in a JSON text one stands: what was said of it is read byte by byte."""

from __future__ import annotations

import copy
import json
from typing import Literal

State = Literal["value", "key", "name", "string", "bare", "after"]
"""What is awaited or being said: a value, a key; inside a key, a string, a number or a word; or behind a value."""


class Scanner:
    """The place at the end of a text that is the beginning of a JSON value."""

    def __init__(self) -> None:
        self.state: State = "value"
        self.values = 1
        """Values that were begun or are awaited: the number of the present one."""
        self.length = 0
        """Bytes of the string, number or word that is being said."""
        self.escaping = False
        self._inside: list[str] = []
        self._names: list[str] = [""]
        self._name = bytearray()

    def copy(self) -> Scanner:
        other = copy.copy(self)
        other._inside, other._names, other._name = self._inside.copy(), self._names.copy(), self._name.copy()
        return other

    def after(self, said: bytes) -> Scanner:
        """The place behind these bytes."""
        other = self.copy()
        other.feed(said)
        return other

    @property
    def field(self) -> str | None:
        """The name of the field of which nothing has been said yet, save an opening quote. Items have none."""
        begins = self.state == "value" or (self.state == "string" and not self.length and not self.escaping)
        return self._names[-1] if begins and not self.in_array else None

    @property
    def in_array(self) -> bool:
        return bool(self._inside) and self._inside[-1] == "["

    @property
    def in_string(self) -> bool:
        return self.state in ("string", "name")

    @property
    def depth(self) -> int:
        return len(self._inside)

    def feed(self, said: bytes) -> None:
        for byte in said:
            if self.in_string:
                self._spell(byte)
            else:
                self._mark(chr(byte))

    def _spell(self, byte: int) -> None:
        """Inside a string."""
        if not self.escaping and byte == ord('"'):
            if self.state == "name":
                self._names[-1] = _read(bytes(self._name))
            self.state = "after"
            return
        self.escaping = not self.escaping and byte == ord("\\")
        self.length += 1
        if self.state == "name":
            self._name.append(byte)

    def _mark(self, char: str) -> None:
        """Outside of strings."""
        if char in "{[":
            self._inside.append(char)
            self._names.append(self._names[-1])
            self._await("key" if char == "{" else "value")
        elif char in "}]":
            if self._inside:
                self._inside.pop()
                self._names.pop()
            self.state = "after"
        elif char == '"':
            self.state, self.length = ("name" if self.state == "key" else "string"), 0
            self._name.clear()
        elif char in ":,":
            self._await("key" if char == "," and not self.in_array else "value")
        elif not char.isspace():
            self.length = self.length + 1 if self.state == "bare" else 1
            self.state = "bare"

    def _await(self, state: State) -> None:
        self.state, self.length = state, 0
        self.values += state == "value"


def _read(name: bytes) -> str:
    try:
        return str(json.loads(b'"' + name + b'"'))
    except ValueError:
        return ""
