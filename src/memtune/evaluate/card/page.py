"""The card as one page: no scripts, no requests, its pictures and its style inside."""

from __future__ import annotations

import importlib.resources

from memtune.evaluate.card import parts, plots, tables
from memtune.evaluate.card.card import Card
from memtune.evaluate.card.facts import outcomes
from memtune.evaluate.card.markup import Markup, joined, tag
from memtune.evaluate.stats import Rate

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Of content: whatever an answer may hold, the browser asks nobody for anything and runs nothing."""

_GROUPS, _GROUPS_EACH = 24, 6
"""Shown, and at least in one picture."""
_BARS = [("subject", "the memory"), ("other", "other ways of answering"), ("control", "controls")]


def page(card: Card) -> str:
    sections = [found for found in (make(card) for make in _SECTIONS) if found is not None]
    body = tag("body", joined(_header(card), _contents(sections), tag("main", joined(*(s for _, _, s in sections)))))
    return f"<!DOCTYPE html>\n{tag('html', joined(_head(card), body), lang='en')}\n"


def _head(card: Card) -> Markup:
    style = importlib.resources.files("memtune.evaluate.card").joinpath("style.css").read_text(encoding="utf-8")
    return tag(
        "head",
        joined(
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"),
            tag("title", card.title),
            tag("style", Markup(style)),
        ),
    )


def _header(card: Card) -> Markup:
    dated = tag("p", card.date, class_="date") if card.date else ""
    lines = parts.definitions(tables.about(card), "memory")
    return tag("header", joined(dated, tag("h1", card.title), lines, parts.key_figures(tables.keys(card))))


_Section = tuple[str, str, Markup]


def _contents(sections: list[_Section]) -> Markup:
    links = [tag("li", tag("a", title, href=f"#{slug}")) for slug, title, _ in sections]
    return tag("nav", tag("ol", *links), aria_label="Contents") if len(links) > 1 else Markup("")


def _made(slug: str, title: str, *inner: object) -> _Section:
    return slug, title, parts.section(slug, title, *inner)


def _text(*said: object) -> Markup:
    return tag("p", *said)


def _ladder(card: Card) -> _Section | None:
    ladder = card.asked
    if ladder is None:
        return None
    figures = []
    for place, form in enumerate(form for form in ladder.forms if form not in card.unjudged):
        drawn = plots.ladder_bars(ladder, form, card.against, f"ladder-{place}")
        most = max(len(ladder.of(rung, form)) for rung in ladder.judged)
        about = f"{tables.FORMS.get(form, '')} n = {most:,} for each rung.".strip()
        figures.append(parts.picture(drawn, form, about))
    lead = _text("Share of exact answers by way of answering and form; whiskers are 95 % intervals.")
    names = [(kind, card.against if kind == "subject" else said) for kind, said in _BARS]
    return _made("ladder", "The ladder", lead, parts.legend(names), parts.grid(*figures), _text(tables.CONTROL_NOTE))


def _figures(card: Card) -> _Section | None:
    ladder, rungs = card.asked, tables.rungs(card)
    if ladder is None or rungs is None:
        return None
    sheets = [tables.figures(ladder, form, form in card.unjudged) for form in ladder.forms]
    found = [parts.table(sheet, strong=card.against) for sheet in sheets]
    return _made("figures", "All figures", *map(_text, tables.READING), *found, parts.table(rungs, strong=card.against))


def _comparisons(card: Card) -> _Section | None:
    sheet = tables.comparisons(card)
    if sheet is None:
        return None
    figures = []
    for place, form in enumerate(dict.fromkeys(c.form for c in card.comparisons)):
        of_form = [c for c in card.comparisons if c.form == form]
        drawn = plots.forest(of_form, f"forest-{place}")
        figures.append(parts.picture(drawn, form, f"n = {max(c.n for c in of_form):,} pairs."))
    lead = _text(f"{card.against} minus each other rung, in points of a hundred: above zero, {card.against} has more.")
    marks = parts.legend([("dot subject", "p < 0.05 after Holm's correction"), ("dot undecided", "not decided")])
    return _made("comparisons", "Comparisons", lead, marks, parts.grid(*figures), parts.table(sheet))


def _groups(card: Card) -> _Section | None:
    found = card.groups()
    if not found:
        return None
    perfect = sum(g.recalled.hits == g.recalled.n for g in found)
    lead = (
        f"Exact recall of learned wordings in {len(found):,} groups, worst first; {perfect:,} have no error. "
        "Groups of few facts have wide intervals."
    )
    shown, rest = found[:_GROUPS], found[_GROUPS:]
    each = max(_GROUPS_EACH, -(-len(shown) // 2))
    figures = []
    for start in range(0, len(shown), each):
        drawn = plots.group_bars(shown[start : start + each], f"groups-{start}")
        figures.append(parts.picture(drawn, f"Groups {start + 1} to {min(start + each, len(shown))}"))
    after = _text(f"{len(rest):,} more groups, none of them worse, are in card.json.") if rest else ""
    return _made("groups", "Recall by group", _text(lead), parts.grid(*figures), after)


def _router(card: Card) -> _Section | None:
    sheet = tables.router(card)
    if card.router is None:
        return None
    drawn = plots.threshold_curve(card, "threshold-curve")
    colours = parts.legend(
        [("line first", "right"), ("line second", "wrong fact"), ("line third dashed", "near misses that fire")]
    )
    figure = parts.picture(drawn, "What each threshold would do", colours, *_measured_on(card))
    lines = tag("pre", "\n".join(card.router.lines()))
    return _made(
        "router", "The router's threshold", lines,
        tag("div", joined(figure, parts.table(sheet) if sheet else ""), class_="pair"),
        _text(card.router.hint) if card.router.hint else "",
    )  # fmt: skip


def _measured_on(card: Card) -> list[str]:
    found = card.router.calibration if card.router else None
    if found is None:
        return []
    return [f"Measured on {found.wordings:,} wordings and {found.near_misses:,} near misses, made of its own facts."]


def _by_fact(card: Card) -> _Section | None:
    recalled = outcomes(card.ladder, card.against) if card.ladder else {}
    figures = []
    for place, found in enumerate(card.by_fact):
        known = [fact for fact, _ in found.values if fact in recalled]
        caption = (
            f"n = {len(known):,} facts, in bins of about the same size; dots with 95 % intervals. "
            f"Ticks at the foot: {sum(not recalled[fact] for fact in known):,} facts that were not recalled."
        )
        drawn = plots.recall_by_value(found, recalled, f"by-fact-{place}")
        figures.append(parts.picture(drawn, f"Recall by {found.name}", caption))
    drawn_figures = [figure for figure in figures if figure is not None]
    return _made("by-fact", "Fact by fact", parts.grid(*drawn_figures)) if drawn_figures else None


def _map(card: Card) -> _Section | None:
    if card.facts_map is None:
        return None
    recalled = outcomes(card.ladder, card.against) if card.ladder else {}
    drawn = plots.facts_map(card.facts_map, recalled, "facts-map")
    if drawn is None:
        return None
    total, named = len(card.facts_map.ids), plots.colours_of(card.facts_map)
    missed = sum(recalled.get(fact) is False for fact in card.facts_map.ids)
    asked = Rate(sum(recalled.get(fact) is True for fact in card.facts_map.ids),
                 sum(fact in recalled for fact in card.facts_map.ids))  # fmt: skip
    entries = [(f"dot c{place}", group) for place, group in enumerate(named)]
    entries += [("dot c-other", "other groups")] if named else [("dot c0", "facts")]
    entries += [("cross", f"not recalled ({missed:,})")] if missed else []
    drawn_of = (
        f"{plots.MOST_POINTS:,} of {total:,} facts, drawn at random"
        if total > plots.MOST_POINTS
        else f"{total:,} facts"
    )
    caption = f"{drawn_of}; near points have vectors alike. Recalled exactly: {asked}."
    figure = parts.picture(drawn, "Facts in two dimensions", parts.legend(entries), caption)
    return _made("map", "Facts map", parts.grid(figure))


def _worst(card: Card) -> _Section | None:
    every = card.slips()
    if not every:
        return None
    shown = every[: tables.MOST_SLIPS]
    lead = _text(
        f"{len(shown):,} of {len(every):,} replies of {card.against} that were not right, in turn from each form, "
        "furthest from it first. Words of the right answer that are missing are ", tag("ins", "underlined"),
        ", words that do not belong are ", tag("del", "struck out"), ".",
    )  # fmt: skip
    found = [parts.answer(number, slip) for number, slip in enumerate(shown, 1)]
    return _made("worst", "The worst answers", lead, tag("div", joined(*found), class_="answers"))


def _contamination(card: Card) -> _Section | None:
    found = card.contamination
    return _made("contamination", "Contamination", parts.table(found)) if found else None


def _further(card: Card) -> _Section | None:
    return _made("further", "Further tables", *map(parts.table, card.sheets)) if card.sheets else None


def _notes(card: Card) -> _Section | None:
    notes = tag("ul", *(tag("li", tag("bdi", note)) for note in card.notes))
    return _made("notes", "Notes", notes) if card.notes else None


def _repeat(card: Card) -> _Section | None:
    if not card.command and not card.settings:
        return None
    command = tag("pre", tag("code", card.command)) if card.command else ""
    settings = parts.definitions([(name, _said(value)) for name, value in card.settings.items()], "settings")
    return _made("repeat", "To repeat this", command, settings or "")


def _said(value: object) -> str:
    return "none" if value is None else str(value)


_SECTIONS = (
    _ladder, _figures, _comparisons, _groups, _router, _by_fact, _map, _worst, _contamination, _further, _notes,
    _repeat,
)  # fmt: skip
