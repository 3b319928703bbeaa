"""Results: tables for people on standard output, everything as JSON in a file, progress on standard error."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from memtune.errors import UsageError

Say = Callable[[str], None]


@dataclass(frozen=True)
class Sheet:
    """One table."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


class Result(Protocol):
    """What a benchmark found: a dataclass."""

    def sheets(self) -> list[Sheet]: ...


def silent(_: str) -> None:
    """For callers that want no progress."""


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def require_room(out: Path | None) -> None:
    """Say before an hour of measuring that its result could not be written."""
    if out is not None and (out.is_dir() or not out.absolute().parent.is_dir()):
        raise UsageError(f"--out {out}: its folder does not exist, or it is a folder itself")


def show_sheets(sheets: Sequence[Sheet]) -> None:
    """Print the tables."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    for sheet in sheets:
        console.print(_drawn(sheet))
        if sheet.note:
            console.print(sheet.note, style="dim")


def publish(name: str, result: Result, context: Mapping[str, Any], out: Path | None) -> None:
    """Print the tables and write the JSON."""
    show_sheets(result.sheets())
    if out is not None:
        document = {"benchmark": name, **plain(dict(context)), "result": plain(result)}
        out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        say(f"written to {out}")


def _drawn(sheet: Sheet) -> Any:
    from rich.table import Table

    table = Table(title=sheet.title, title_justify="left")
    for number, column in enumerate(sheet.columns):
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    for row in sheet.rows:
        table.add_row(*row)
    return table


def plain(value: Any) -> Any:
    """Dataclasses, tuples and paths as what JSON knows; figures that know better say it themselves."""
    if hasattr(value, "to_json"):
        return plain(value.to_json())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value
