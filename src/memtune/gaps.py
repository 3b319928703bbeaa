"""Fields that open while a reply is said, such as `"price": "`."""

from __future__ import annotations

import json
import re

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
