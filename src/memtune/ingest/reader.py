"""What a file format must offer, and what readers of tables share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from memtune.core.facts import ANSWER_FIELDS, FIELDS, PASSAGE_FIELDS, QUESTION_FIELDS
from memtune.errors import InputError
from memtune.ingest.rows import Item

MEANINGFUL_COLUMNS = frozenset({*FIELDS, *QUESTION_FIELDS, *ANSWER_FIELDS, *PASSAGE_FIELDS})


@dataclass(frozen=True)
class Reader:
    """A file format of facts."""

    extensions: tuple[str, ...]
    read: Callable[[Path], Iterator[Item]]
    """Streams the rows of a file. What is wrong with a row is yielded, with the file raised as InputError."""
    recognises: Callable[[bytes], bool]
    """Whether a file that begins like this, and has an unknown extension, is in this format."""


def require_fact_columns(path: Path, names: Sequence[str]) -> None:
    """Raises unless a table has a column of questions and one of answers, or one of passages."""
    if PASSAGE_FIELDS[0] in names:
        return
    for choices in (QUESTION_FIELDS, ANSWER_FIELDS):
        if not _any_of(choices, names):
            raise InputError(
                f"{path}: no column '{choices[0]}'",
                hint=f"its columns are named: {', '.join(names)[:200]}",
            )


def has_fact_columns(names: Sequence[str]) -> bool:
    return _any_of(QUESTION_FIELDS, names) and _any_of(ANSWER_FIELDS, names)


def _any_of(choices: Sequence[str], names: Sequence[str]) -> bool:
    return not set(choices).isdisjoint(names)


@dataclass(frozen=True)
class Columns:
    """What a table must hold to be read."""

    known: Collection[str]
    """Names that mean something: found in any spelling of capitals, and by them the sign between columns."""
    require: Callable[[Path, Sequence[str]], None]
    """Raises where the columns will not do."""


FACT_COLUMNS = Columns(MEANINGFUL_COLUMNS, require_fact_columns)
