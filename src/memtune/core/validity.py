"""From when and until when a fact holds."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from memtune.errors import InputError

_DATE = 10
"""Characters of a date without a time."""


class Validity(NamedTuple):
    """From the first second since 1970 that counts to the first that does not any more."""

    begin: float = -math.inf
    end: float = math.inf

    @classmethod
    def of(cls, valid_from: str | None, valid_until: str | None) -> Validity:
        begin = -math.inf if valid_from is None else moment(valid_from).timestamp()
        return cls(begin, math.inf if valid_until is None else _end(valid_until).timestamp())

    def holds(self, at: float) -> bool:
        return self.begin <= at < self.end


def moment(text: str) -> datetime:
    """A date or a time as ISO 8601 writes it; without a zone, UTC is meant."""
    try:
        found = datetime.fromisoformat(f"{text[:-1]}+00:00" if text[-1:] in ("Z", "z") else text)
    except ValueError:
        hint = "write 2026-12-31 or 2026-12-31T18:00+01:00"
        raise InputError(f"'{text}' is neither a date nor a time as ISO 8601 writes it", hint=hint) from None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _end(text: str) -> datetime:
    """A fact that is valid until a day is valid on that day."""
    found = moment(text)
    try:
        return found + timedelta(days=1) if len(text.strip()) == _DATE else found
    except OverflowError:
        return found
