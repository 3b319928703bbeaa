"""Whether two queries give the same on the same tables, in a database that lives for the comparison only."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from contextlib import closing

_STEPS = 2_000_000
"""Instructions of the database after which a query is given up."""
_ORDERED = re.compile(r"\border\s+by\b", re.IGNORECASE)
_READS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)


def same_result(schema: str, said: str, right: str) -> bool | None:
    """`schema`: SQL that makes the tables and fills them. None where the right query finds nothing, or cannot be run:
    then the result tells nothing."""
    with closing(sqlite3.connect(":memory:")) as tables:
        tables.set_progress_handler(lambda: 1, _STEPS)
        tables.set_authorizer(_within)
        try:
            tables.executescript(schema)
        except (sqlite3.Error, ValueError):
            return None
        tables.set_authorizer(_only_reading)
        wanted = _rows(tables, right)
        if not wanted:
            return None
        found = _rows(tables, said)
    if found is None:
        return False
    return found == wanted if _ORDERED.search(right) else Counter(found) == Counter(wanted)


def _rows(tables: sqlite3.Connection, query: str) -> list[tuple[object, ...]] | None:
    try:
        return tables.execute(query).fetchall()
    except (sqlite3.Error, sqlite3.Warning, ValueError):
        return None


def _within(action: int, _first: str | None, second: str | None, *_: object) -> int:
    """No file is made or opened, no code loaded: a schema comes from a file of examples, which is believed nothing."""
    loads_code = action == sqlite3.SQLITE_FUNCTION and str(second).lower() == "load_extension"
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH or loads_code else sqlite3.SQLITE_OK


def _only_reading(action: int, first: str | None, second: str | None, *_: object) -> int:
    return _within(action, first, second) if action in _READS else sqlite3.SQLITE_DENY
