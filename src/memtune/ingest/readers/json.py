"""One JSON list of objects, or, as many people name such files, one object a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from memtune.errors import InputError
from memtune.ingest.files import MAX_ROW_CHARS, head, open_text
from memtune.ingest.reader import Reader
from memtune.ingest.readers import jsonl
from memtune.ingest.rows import Item

CHUNK = 1 << 20
_SPACE = re.compile(r"[ \t\r\n]*")


def read(path: Path) -> Iterator[Item]:
    return _read_list(path) if _is_list(head(path)) else jsonl.read(path)


def _is_list(start: bytes) -> bool:
    return start.lstrip().startswith(b"[")


def _read_list(path: Path) -> Iterator[Item]:
    with open_text(path) as stream:
        text = _Window(stream, path)
        text.take("[")
        if text.ahead() != "]":
            yield text.item()
            while text.ahead() == ",":
                text.take(",")
                yield text.item()
        text.take("]")
        if text.ahead():
            raise text.broken("there is more after the end of the list")


class _Window:
    """The part of the text that is being parsed; the rest is not in memory."""

    def __init__(self, stream: IO[str], path: Path) -> None:
        self.line = 1
        self._column = 1
        self._text = ""
        self._at = 0
        self._stream = stream
        self._path = path

    def ahead(self) -> str:
        """The next character that is no space; nothing at the end of the file."""
        self._move(self._end_of_space())
        while self._at == len(self._text) and self._read_on():
            self._move(self._end_of_space())
        return self._text[self._at : self._at + 1]

    def take(self, character: str) -> None:
        if self.ahead() != character:
            raise self.broken(f"expected '{character}'")
        self._move(self._at + 1)

    def item(self) -> Item:
        self.ahead()
        return f"line {self.line}", self._value()

    def _value(self) -> Any:
        """The JSON value that begins here. What looks broken may only be cut off, so more is read first."""
        while True:
            try:
                value, end = jsonl.DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                length = error.pos - self._at
                if not self._read_on():
                    self._move(self._at + length)
                    raise self.broken(error.msg) from None
            except (ValueError, RecursionError) as error:
                raise self.broken(str(error)) from None
            else:
                length = end - self._at
                if end < len(self._text) or not self._read_on():
                    self._move(self._at + length)
                    return value

    def broken(self, reason: str) -> InputError:
        return InputError(f"{self._path}: broken JSON on line {self.line}, column {self._column}: {reason}")

    def _end_of_space(self) -> int:
        found = _SPACE.match(self._text, self._at)
        return found.end() if found else self._at

    def _move(self, end: int) -> None:
        lines = self._text.count("\n", self._at, end)
        self.line += lines
        self._column = end - self._text.rfind("\n", self._at, end) if lines else self._column + end - self._at
        self._at = end

    def _read_on(self) -> bool:
        """Drops what was parsed and adds the next piece; false at the end, or when a value is endless."""
        rest = self._text[self._at :]
        piece = self._stream.read(CHUNK) if len(rest) < MAX_ROW_CHARS else ""
        self._text, self._at = rest + piece, 0
        return bool(piece)


READER = Reader(extensions=(".json",), read=read, recognises=_is_list)
