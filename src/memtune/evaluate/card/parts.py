"""Pieces of the page that are not pictures: tables, figures with captions, answers with their differences marked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from memtune.evaluate.card.facts import Pieces, Slip, word_differences
from memtune.evaluate.card.markup import Markup, joined, tag
from memtune.evaluate.card.tables import Key
from memtune.evaluate.output import Sheet
from memtune.evaluate.stats import percent

_BOUNDS = re.compile(r" [\[(](?=[-+−\d])")


def section(slug: str, title: str, *inner: object) -> Markup:
    return tag(
        "section", joined(tag("h2", title, id=f"{slug}-heading"), *inner), id=slug, aria_labelledby=f"{slug}-heading"
    )


def table(sheet: Sheet, *, strong: str = "") -> Markup:
    """In a box that scrolls by itself where it is wider than the screen. `strong`: the row to point at."""
    head = tag("tr", *(tag("th", name, scope="col") for name in sheet.columns))
    rows = [_row(row, sheet.columns, strong) for row in sheet.rows]
    caption = tag("caption", tag("b", sheet.title), *([" ", tag("span", sheet.note)] if sheet.note else []))
    dense = "dense" if len(sheet.columns) > 6 else None
    drawn = tag("table", caption, tag("thead", head), tag("tbody", joined(*rows)), class_=dense)
    return tag("div", drawn, class_="wide", role="region", tabindex="0", aria_label=sheet.title)


def _row(row: Sequence[str], columns: Sequence[str], strong: str) -> Markup:
    first = tag("th", _isolated(row[0]), scope="row", class_="short" if len(row[0]) < 12 else None)
    cells = (tag("td", _cell(cell), class_=_kind(cell)) for cell in row[1 : len(columns)])
    return tag("tr", first, *cells, class_="strong" if strong and row[0] == strong else None)


def _cell(text: str) -> Markup:
    """An interval or a range stands below its figure: tables stay narrow."""
    below = _BOUNDS.search(text) if _kind(text) == "figure" else None
    if below is None:
        return tag("bdi", text)
    return joined(tag("bdi", text[: below.start()]), tag("span", text[below.start() :].strip(), class_="interval"))


def _kind(cell: str) -> str | None:
    """Prose and what is longer than a word wraps; figures do not."""
    if cell[:1].isdigit() or cell[:1] in ("+", "−", "<"):
        return "figure" if len(cell) < 44 else "prose"
    return "prose" if len(cell) > 30 or max(map(len, cell.split()), default=0) > 20 else "word"


def _isolated(text: str) -> Markup:
    """Text of others, whatever its direction, which leaves what is around it as it is."""
    return tag("bdi", text)


def picture(drawn: Markup | None, title: str, *caption: object) -> Markup | None:
    if drawn is None:
        return None
    return tag("figure", tag("h3", title), drawn, tag("figcaption", *caption) if caption else "")


def grid(*figures: Markup | None) -> Markup:
    return tag("div", joined(*figures), class_="grid")


def legend(entries: Sequence[tuple[str, str]]) -> Markup:
    """Class of the mark, what it stands for."""
    items = [
        tag("li", tag("i", class_=f"key {kind}", aria_hidden="true"), " ", _isolated(said)) for kind, said in entries
    ]
    return tag("ul", *items, class_="legend")


def key_figures(keys: Sequence[Key]) -> Markup | None:
    """The figures at the top."""
    return tag("dl", *(_key(key) for key in keys), class_="keys") if keys else None


def _key(key: Key) -> Markup:
    low, high = key.rate.interval or (0.0, 0.0)
    about = f"[{percent(low)}, {percent(high)}], n = {key.rate.n:,}"
    value = tag("dd", tag("b", f"{percent(key.rate.value or 0.0)} %"), " ", tag("span", about))
    return tag("div", tag("dt", key.name), value)


def definitions(lines: Sequence[tuple[str, str]], class_: str) -> Markup | None:
    pairs = (tag("div", tag("dt", name), tag("dd", _isolated(said))) for name, said in lines)
    return tag("dl", *pairs, class_=class_) if lines else None


def answer(number: int, slip: Slip) -> Markup:
    """What was asked, what is right, what was said."""
    about = tag("p", f"{number} · {slip.form}", *([" · ", _isolated(slip.group)] if slip.group else []), class_="about")
    right: object = slip.right or tag("em", "not to answer")
    said: object = slip.said if slip.said.strip() else tag("em", "nothing")
    if slip.right and slip.given and slip.said.strip():
        ours, theirs = word_differences(slip.right, slip.said)
        right, said = _marked(ours, "ins"), _marked(theirs, "del")
    both = tag("dl", _side("right", right), _side("said", said))
    return tag("article", about, tag("p", slip.question, dir="auto", class_="question"), both)


def _side(name: str, inner: object) -> Markup:
    return tag("div", tag("dt", name), tag("dd", inner, dir="auto"))


def _marked(pieces: Pieces, name: str) -> Markup:
    return Markup(" ".join(tag(name, text) if differs else tag("span", text) for text, differs in pieces))
