"""Facts that are gone through twice: once to check every row before anything is learned, once to learn."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from memtune.config import LearnConfig
from memtune.core.facts import Fact
from memtune.errors import BadRows, InputError
from memtune.ingest import files
from memtune.ingest.ids import IdsSeen, content
from memtune.ingest.readers import reader_for
from memtune.ingest.rows import Item, Problem, has_own_id, to_fact, without_gaps

MANY_PROBLEMS = 1000
"""Bad rows after which the first pass stops, unless they are to be skipped."""

Rows = Iterable[Mapping[str, Any] | Fact]


def open_facts(
    origin: str | os.PathLike[str] | Rows | FileItems, learn: LearnConfig, *, skip_bad: bool = False
) -> CheckedFacts:
    """Facts from a file or from rows in memory. Nothing is read before `check`."""
    if isinstance(origin, FileItems):  # one that reads its rows in its own way
        return CheckedFacts(origin, learn.max_answer_chars, skip_bad)
    if isinstance(origin, (str, os.PathLike)):
        return CheckedFacts(FileItems(Path(origin)), learn.max_answer_chars, skip_bad)
    return CheckedFacts(RowItems(origin), learn.max_answer_chars, skip_bad)


class FileItems:
    """The rows of a file, read anew each time."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._fingerprint: tuple[int, int] | None = None

    def __iter__(self) -> Iterator[Item]:
        files.require_file(self._path)
        self._refuse_changes()
        yield from reader_for(self._path).read(self._path)
        self._refuse_changes()

    def _refuse_changes(self) -> None:
        now = files.fingerprint(self._path)
        if now != (self._fingerprint or now):
            raise InputError(f"{self.name} was changed while it was read", hint="learn it again")
        self._fingerprint = now


class RowItems:
    """Rows in memory; an iterator is drained once."""

    name = "rows"

    def __init__(self, rows: Rows) -> None:
        self._rows = [rows] if isinstance(rows, (Mapping, Fact)) else list(rows)

    def __iter__(self) -> Iterator[Item]:
        for number, row in enumerate(self._rows, 1):
            yield f"row {number}", without_gaps(row) if isinstance(row, Mapping) else row


class CheckedFacts:
    """Every fact of the origin, in its order; duplicates are kept."""

    def __init__(self, items: FileItems | RowItems, max_answer_chars: int, skip_bad: bool) -> None:
        self.skipped: list[str] = []
        self._items = items
        self._max_answer_chars = max_answer_chars
        self._skip_bad = skip_bad
        self._bad: set[int] = set()
        self._passages: set[str | None] = set()
        """The kinds of experts that passages name; None: whatever all others get."""
        self._count: int | None = None

    @property
    def count(self) -> int:
        self.check()
        return self._count or 0

    def check(self) -> None:
        """The first pass: refuses the whole origin if a row is bad, or notes the bad rows to skip them."""
        if self._count is not None:
            return
        problems, good = self._first_pass()
        if problems and not (self._skip_bad and good):
            raise self._bad_rows(problems)
        if not good:
            raise InputError(f"{self._items.name}: there are no facts in it")
        self.skipped = [problems[place] for place in sorted(problems)]
        self._bad = set(problems)
        self._count = good

    def require_knowing(self, kind: str, reciting: Callable[[str], Sequence[str]]) -> None:
        """Refuse passages that are to be learned by kinds that recite. `kind`: what a row gets that names none itself;
        `reciting`: which of several kinds joined by + recite."""
        self.check()
        for kinds in sorted({own or kind for own in self._passages}):
            if found := reciting(kinds):
                raise InputError(
                    f"{self._items.name}: a passage is known, not recited: kind {found[0]} cannot learn it",
                    hint="use kind kv",
                )

    def __iter__(self) -> Iterator[Fact]:
        self.check()
        for place, (_, found) in enumerate(self._items):
            if place not in self._bad:
                yield self._fact(found)

    def _first_pass(self) -> tuple[dict[int, str], int]:
        """The problems by the place of their row, and the number of good rows."""
        problems: dict[int, str] = {}
        ids = IdsSeen()
        rows = 0
        for place, (where, found) in enumerate(self._items):
            rows += 1
            fact = to_fact(found, self._max_answer_chars)
            if isinstance(fact, Problem):
                problems[place] = f"{where}: {fact.reason}"
                if len(problems) == MANY_PROBLEMS and not self._skip_bad:
                    break
                continue
            if fact.passage:
                self._passages.add(fact.expert)
            if has_own_id(found):
                ids.add(place, fact)
        problems |= self._id_clashes(ids.suspects())
        return problems, rows - len(problems)

    def _id_clashes(self, suspects: set[int]) -> dict[int, str]:
        """Reads again what the hashes say, to name both places of each id that was used twice."""
        clashes: dict[int, str] = {}
        first: dict[str, tuple[str, object]] = {}
        for place, (where, found) in enumerate(self._items if suspects else ()):
            if place in suspects:
                fact = self._fact(found)
                used_at, used_for = first.setdefault(fact.id, (where, content(fact)))
                if used_for != content(fact):
                    clashes[place] = f"{where}: id '{fact.id}' was used on {used_at}"
        return clashes

    def _fact(self, found: Any) -> Fact:
        fact = to_fact(found, self._max_answer_chars)
        if isinstance(fact, Problem):
            raise InputError(f"{self._items.name} was changed while it was read", hint="learn it again")
        return fact

    def _bad_rows(self, problems: dict[int, str]) -> BadRows:
        hint = "not one row can be used" if self._skip_bad else None
        name = self._items.name
        if len(problems) >= MANY_PROBLEMS and not self._skip_bad:
            name += f" (not read beyond {MANY_PROBLEMS} bad rows)"
        return BadRows(name, [problems[place] for place in sorted(problems)], hint=hint)
