"""Whether a reply is the answer of an example."""

from __future__ import annotations

import re

_WORDS = frozenset(
    (
        "select from where and or not in is null like between exists as on using join inner left right full outer "
        "cross natural group order by having limit offset asc desc distinct all union intersect except case when then "
        "else end insert into values update set delete create table count sum avg min max cast with over partition"
    ).split()
)
"""Words of SQL that mean the same in any case."""
_PIECES = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|`[^`]*`|\w+|<>|!=|<=|>=|\|\||[^\w\s]")
_QUERY = re.compile(r"\s*(select|with|insert|update|delete)\b", re.IGNORECASE)


def alike(said: str, right: str) -> bool:
    """The same text; of queries the same but for spacing, the case of words that SQL knows, and the closing mark."""
    if _QUERY.match(right):
        return _pieces(said) == _pieces(right)
    return " ".join(said.split()) == " ".join(right.split())


def _pieces(query: str) -> list[str]:
    pieces = _PIECES.findall(query)
    while pieces and pieces[-1] == ";":
        pieces.pop()
    return [piece.lower() if piece.lower() in _WORDS else piece for piece in pieces]
