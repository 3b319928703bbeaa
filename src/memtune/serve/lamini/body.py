"""The body of an upload, read piece by piece: its rows are never all in memory."""

from __future__ import annotations

import codecs
import json
from collections.abc import AsyncIterator
from typing import Any

from memtune.errors import InputError
from memtune.ingest.readers.jsonl import DECODER

_PIECE = 1 << 16
_SPACE = " \t\n\r"
_MOST_MEMBERS = 16


class Body:
    """A JSON object with one long list in it. The list is given row by row; `members` holds the rest, as it comes."""

    def __init__(self, chunks: AsyncIterator[bytes], rows_in: str, longest: int) -> None:
        self.members: dict[str, Any] = {}
        self._chunks, self._rows_in, self._longest = chunks, rows_in, longest
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._text, self._at = "", 0

    async def rows(self) -> AsyncIterator[Any]:
        await self._expect("{")
        if await self._peek() == "}":
            self._at += 1
        else:
            ended = False
            while not ended:
                name = await self._value()
                await self._expect(":")
                if name == self._rows_in:
                    async for row in self._list():
                        yield row
                else:
                    self.members[str(name)] = await self._value()
                    if len(self.members) > _MOST_MEMBERS:
                        raise InputError(f"an upload has no more than {_MOST_MEMBERS} fields beside its rows")
                ended = await self._expect(",}") == "}"
        if await self._peek():
            raise _broken("something follows the object")

    async def _list(self) -> AsyncIterator[Any]:
        await self._expect("[")
        if await self._peek() == "]":
            self._at += 1
            return
        ended = False
        while not ended:
            yield await self._value()
            ended = await self._expect(",]") == "]"

    async def _value(self) -> Any:
        """The next value, whole. One at the very end of what has come may go on in the next piece."""
        while True:
            await self._peek()
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except RecursionError:
                raise _broken("it is nested too deeply") from None
            except ValueError as fault:
                if await self._more():
                    continue
                raise _broken(fault.msg if isinstance(fault, json.JSONDecodeError) else str(fault)) from None
            if end < len(self._text) or not await self._more():
                self._at = end
                return value

    async def _expect(self, any_of: str) -> str:
        found = await self._peek()
        if not found or found not in any_of:
            raise _broken(f"'{any_of[0]}' was expected" + (f", not '{found}'" if found else ", not its end"))
        self._at += 1
        return found

    async def _peek(self) -> str:
        """The next character that is no space; nothing at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not await self._more():
                return ""

    async def _more(self) -> bool:
        """Take in as much again as is waiting: a long row is not tried anew with each piece that comes of it."""
        waiting = self._text[self._at :]
        if len(waiting) > self._longest:
            raise InputError(f"a row is longer than {self._longest} characters")
        pieces, wanted = [waiting], max(len(waiting), _PIECE)
        while wanted > 0:
            chunk = await anext(self._chunks, None)
            try:
                piece = self._decode(chunk or b"", chunk is None)
            except UnicodeDecodeError:
                raise _broken("it is not UTF-8") from None
            pieces.append(piece)
            wanted -= len(piece)
            if chunk is None:
                break
        self._text, self._at = "".join(pieces), 0
        return len(self._text) > len(waiting)


def _broken(why: str) -> InputError:
    return InputError(f"the body is broken JSON: {why}")
