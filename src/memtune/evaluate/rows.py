"""A file of evaluation rows: what is asked, what is right, which learned fact it is about, what it claims to be.

Known fields, all but what is asked optional:

- what is asked: `asked`, else `paraphrased_question`, else `rephrase_prompt`, else `question` or `prompt`;
- what is right: `answers`, `answer` (a text or a list), `target_new`, `completion`, `output`; without any of these,
  `sql` or `query`. With `never: true`, or none at all, nobody can know it, and to abstain is right;
- the learned fact: `fact`, its id; else the row's own `question` or `prompt`, where another field has what is asked;
- `role` (recall, wording, held-out): a claim, which `roles.py` checks; `group`, `options`;
- `form`: a name for this way of asking. Without it, what is right must be the answer of the learned fact;
- `locality_prompt`: a second thing asked, on which no fact may fire.

Files are read as facts are (`ingest`), but that a table needs no column of answers, and none of these columns more than
another: rows that lack what is asked are refused one by one.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from memtune.errors import BadRows, InputError
from memtune.evaluate.cases import Role
from memtune.evaluate.tabular import read_items
from memtune.ingest import files
from memtune.ingest.rows import Item, Problem, without_gaps

Origin = str | os.PathLike[str] | Iterable[Mapping[str, Any]]

_OTHER_WORDS = ("asked", "paraphrased_question", "rephrase_prompt")
_OWN = ("question", "prompt")
_RIGHT = ("answers", "answer", "target_new", "completion", "output")
_CODE = ("sql", "query")
_LOCALITY = "locality_prompt"
_ROLES: tuple[Role, ...] = get_args(Role)
_TAKEN = frozenset(
    [*_OTHER_WORDS, *_OWN, *_RIGHT, *_CODE, _LOCALITY, "fact", "role", "form", "group", "options", "never", "phrasings"]
)


@dataclass(frozen=True)
class Row:
    """One thing to ask, as its file has it."""

    where: str
    """Its place in the file, as in "line 7"."""
    asked: str
    answers: tuple[str, ...] = ()
    own: str | None = None
    """The wording that the row itself holds to be the learned one."""
    fact: str | None = None
    role: Role | None = None
    form: str | None = None
    group: str | None = None
    options: tuple[str, ...] = ()
    never: bool = False
    """Nobody can know it."""
    code: str | None = None
    """The query that finds the answer: as much part of what was learned as the answer itself."""
    locality: bool = False
    """Something else of the same kind: it may happen to be learned too, without a fault of the file."""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def said(self) -> tuple[str, ...]:
        """All that would give the answer away."""
        return (*self.answers, self.code) if self.code and self.code not in self.answers else self.answers


def read_rows(origin: Origin) -> list[Row]:
    """Every row of a file, or of rows in memory; refused whole, with the places named, if one cannot be used."""
    name, items = _items(origin)
    rows: list[Row] = []
    problems: list[str] = []
    for where, found in _placed(items):
        try:
            rows += _rows(where, found)
        except InputError as error:
            problems.append(f"{where}: {error.message}")
    if problems:
        raise BadRows(name, problems, hint="mend them: an evaluation is not run on a part of its rows")
    if not rows:
        raise InputError(f"{name}: there are no rows in it")
    return rows


def name_of(origin: Origin) -> str:
    return str(origin) if isinstance(origin, (str, os.PathLike)) else "rows"


def _placed(items: Iterable[Item]) -> Iterator[Item]:
    """Each with a place of its own, where several stand on one line."""
    seen: Counter[str] = Counter()
    for where, found in items:
        seen[where] += 1
        yield (where if seen[where] == 1 else f"{where}, row {seen[where]}"), found


def _items(origin: Origin) -> tuple[str, Iterable[Item]]:
    if isinstance(origin, (str, os.PathLike)):
        path = Path(origin)
        files.require_file(path)
        return str(path), read_items(path, _TAKEN)
    return "rows", ((f"row {number}", dict(row)) for number, row in enumerate(origin, 1))


def _rows(where: str, found: Any) -> list[Row]:
    if isinstance(found, Problem):
        raise InputError(found.reason)
    if not isinstance(found, Mapping):
        raise InputError("not an object with fields")
    fields = without_gaps(found)
    row = _row(where, fields)
    locality = _text(fields, _LOCALITY)
    if locality is None:
        return [row]
    return [row, Row(where, locality, group=row.group, never=True, locality=True)]


def _row(where: str, fields: Mapping[str, Any]) -> Row:
    own = _first(fields, _OWN)
    other = _first(fields, _OTHER_WORDS)
    asked = other or own
    if asked is None:
        raise InputError("nothing is asked: no 'asked', 'question' or 'prompt'")
    code = _first(fields, _CODE)
    right = _right(fields)
    never = _flag(fields, "never")
    if never and right:
        raise InputError("'never' says that nobody can know it, and yet there is an answer")
    return Row(
        where=where,
        asked=asked,
        answers=() if never else right or ((code,) if code else ()),
        own=own if other is not None else None,
        fact=_text(fields, "fact"),
        role=_role(fields),
        form=_text(fields, "form"),
        group=_text(fields, "group"),
        options=_texts(fields, "options"),
        never=never,
        code=code,
        extra={name: value for name, value in fields.items() if name not in _TAKEN},
    )


def _right(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """All answers that are equally right, each once."""
    for name in _RIGHT:
        if fields.get(name) is not None:
            listed = _listed(fields[name]) if name == "answers" else fields[name]
            several = _texts(fields, name) if isinstance(listed, (list, tuple)) else (_text(fields, name),)
            return tuple(dict.fromkeys(text for text in several if text))
    return ()


def _role(fields: Mapping[str, Any]) -> Role | None:
    given = _text(fields, "role")
    for role in _ROLES:
        if given == role:
            return role
    if given is not None:
        raise InputError(f"'role' must be one of {', '.join(_ROLES)}, not '{given}'")
    return None


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    given = fields.get(name, False)
    given = {"true": True, "false": False}.get(given.strip().lower(), given) if isinstance(given, str) else given
    if not isinstance(given, bool):
        raise InputError(f"'{name}' must be true or false")
    return given


def _first(fields: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return next((text for name in names if (text := _text(fields, name)) is not None), None)


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    given = fields.get(name)
    if given is None:
        return None
    if not _is_text(given):
        raise InputError(f"'{name}' must be text, not {type(given).__name__}")
    text = str(given).strip()
    if not text:
        raise InputError(f"'{name}' is empty")
    return _sound(name, text)


def _is_text(given: Any) -> bool:
    """A text, or a number, which stands for itself as it is written."""
    return isinstance(given, (str, int, float)) and not isinstance(given, bool)


def _sound(name: str, text: str) -> str:
    """What the readers could not decode is no text that anybody asked."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError(f"'{name}' holds a character that is no text")
    return text


def _texts(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    given = _listed(fields.get(name)) or ()
    if not isinstance(given, (list, tuple)) or not all(_is_text(text) and str(text).strip() for text in given):
        raise InputError(f"'{name}' must be a list of texts that are not empty")
    return tuple(_sound(name, str(text).strip()) for text in given)


def _listed(value: Any) -> Any:
    """A table's cell may hold a list as JSON."""
    try:
        return json.loads(value) if isinstance(value, str) and value.lstrip().startswith("[") else value
    except ValueError:
        return value
