"""The card as Markdown: the same content without pictures, as GitHub shows it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from memtune.evaluate.card import tables
from memtune.evaluate.card.card import Card
from memtune.evaluate.card.facts import Pieces, Slip, word_differences
from memtune.evaluate.card.markup import clean
from memtune.evaluate.output import Sheet

_MARKS = re.compile(r"([\\`*_\[\]<>#|~@$]|^(?:[-+=]+|\d+[.)])(?=\s|$))")
"""What means something to Markdown: anywhere, or at the beginning of a line."""


def markdown(card: Card) -> str:
    """Every part that there is, with a blank line between them."""
    parts = [
        f"# {_cell(card.title)}",
        *_opening(card),
        *_ladder(card),
        *_comparisons(card),
        *_groups(card),
        *_router(card),
        *_slips(card),
        *(_section("Contamination", _table(card.contamination)) if card.contamination else []),
        *(part for sheet in card.sheets for part in _section(_cell(sheet.title), _table(sheet))),
        *(_section("Notes", "\n".join(f"- {_cell(note)}" for note in card.notes)) if card.notes else []),
        *_repeat(card),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, *parts: str) -> list[str]:
    return [f"## {title}", *parts]


def _opening(card: Card) -> list[str]:
    lines = [*tables.about(card), *([("date", card.date)] if card.date else [])]
    found = [f"- {_cell(name)}: {_cell(said)}" for name, said in lines]
    keys = [f"- {_cell(key.name)}: **{_cell(str(key.rate))}**" for key in tables.keys(card)]
    return ["\n".join(found), *(_section("In short", "\n".join(keys)) if keys else [])]


def _ladder(card: Card) -> list[str]:
    ladder, rungs = card.asked, tables.rungs(card)
    if ladder is None or rungs is None:
        return []
    found = [part for form in ladder.forms for part in _form(tables.figures(ladder, form, form in card.unjudged))]
    return _section("All figures", *map(_cell, tables.READING), _cell(tables.CONTROL_NOTE), _table(rungs), *found)


def _form(sheet: Sheet) -> list[str]:
    return [f"### {_cell(sheet.title)}", _table(sheet)]


def _comparisons(card: Card) -> list[str]:
    sheet = tables.comparisons(card)
    return _section("Comparisons", _table(sheet)) if sheet else []


def _groups(card: Card) -> list[str]:
    found = card.groups()
    return _section("Recall by group", "Worst groups first.", _table(tables.groups(found))) if found else []


def _router(card: Card) -> list[str]:
    sheet = tables.router(card)
    if card.router is None:
        return []
    return _section("Router", "\n".join(f"    {clean(line)}" for line in card.router.lines()), _table(sheet))


def _slips(card: Card) -> list[str]:
    every = card.slips()
    if not every:
        return []
    shown = every[: tables.MOST_SLIPS]
    lead = (
        f"{len(shown):,} of {len(every):,} replies that were not right. "
        "**Missing** words of the right answer, ~~wrong~~ words of the reply."
    )
    rows = [_slip_row(number, slip) for number, slip in enumerate(shown, 1)]
    return _section("Worst answers", lead, _raw_table(["", "form", "question", "right", "said"], rows))


def _slip_row(number: int, slip: Slip) -> list[str]:
    right, said = _cell(slip.right or "(not to answer)"), _cell(slip.said) or "(nothing)"
    if slip.right and slip.given and slip.said.strip():
        ours, theirs = word_differences(slip.right, slip.said)
        right, said = _marked(ours, "**"), _marked(theirs, "~~")
    return [str(number), _cell(slip.form), _cell(slip.question), right, said]


def _marked(pieces: Pieces, mark: str) -> str:
    return " ".join(f"{mark}{_cell(text)}{mark}" if differs else _cell(text) for text, differs in pieces)


def _repeat(card: Card) -> list[str]:
    if not card.command and not card.settings:
        return []
    settings = "\n".join(f"{name} = {value}" for name, value in card.settings.items())
    return _section("To repeat this", *(_code(text) for text in (card.command, settings) if text))


def _code(text: str) -> str:
    """Fenced by more backticks than the text has in a row."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{clean(text)}\n{fence}"


def _table(sheet: Sheet | None) -> str:
    if sheet is None:
        return ""
    drawn = _raw_table([_cell(c) for c in sheet.columns], [[_cell(cell) for cell in row] for row in sheet.rows])
    return f"{_cell(sheet.note)}\n\n{drawn}" if sheet.note else drawn


def _raw_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: object) -> str:
    """On one line, and nothing in it means anything to Markdown."""
    line = " ".join(clean(str(text)).split())
    return _MARKS.sub(r"\\\1", line.replace("&", "&amp;"))
