"""How often each fact was used, so that what is asked for most is consolidated first. Opt-in; nothing is written else.

One line an answer, appended in one write, so that several processes may count at once.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from memtune.store.durable import plain_errors, write_file

FILE = "asked.jsonl"
_LARGE = 1_000_000
"""Bytes from which lines are added up."""


def note(folder: Path, ids: Iterable[str]) -> None:
    """These facts were used once more. Counting never makes an answer fail."""
    line = json.dumps(dict(Counter(ids))) + "\n"
    try:
        descriptor = os.open(folder / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
    except OSError:
        return


def counts(folder: Path) -> Counter[str]:
    """By fact; a line that was cut short counts for nothing."""
    found: Counter[str] = Counter()
    try:
        lines = (folder / FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return found
    for line in lines:
        try:
            said = json.loads(line)
            found.update({str(fact): int(count) for fact, count in said.items()})
        except (ValueError, AttributeError, TypeError):
            continue
    return found


def tidy(folder: Path, *, but: Collection[str] = ()) -> None:
    """Add the lines up where they have become many, or where facts are to be left out."""
    file = folder / FILE
    if file.exists() and (but or file.stat().st_size > _LARGE):
        kept = {fact: count for fact, count in counts(folder).items() if fact not in set(but)}
        with plain_errors(folder):
            write_file(file, (json.dumps(kept) + "\n").encode(), "asked")
