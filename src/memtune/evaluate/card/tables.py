"""What the page and the Markdown both show: tables and lines of words, with n and an interval for every share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from memtune.evaluate import paired
from memtune.evaluate.card.card import CONTROLS, Card
from memtune.evaluate.card.facts import Group
from memtune.evaluate.cases import LEARNED, NEAR_MISS, OTHER_WORDS, UNKNOWN
from memtune.evaluate.ladder import Judged, Ladder
from memtune.evaluate.output import Sheet
from memtune.evaluate.stats import Mean, Rate, figure

MOST_SLIPS = 50

FORMS = {
    LEARNED: "Facts that were learned, asked for in the words they were learned in.",
    OTHER_WORDS: "Facts that were learned, asked for in words that are not among their phrasings.",
    NEAR_MISS: "Questions next to a learned one that nothing stored answers: right is not to answer from the memory.",
    UNKNOWN: "Questions about facts that were never learned.",
}

READING = (
    "Every reply was decoded freely and compared with the right answer: exact is letter for letter; normalised ignores "
    "case, punctuation and articles; F1 counts shared words. Where nothing can be known, not answering is right.",
    "Intervals hold 95 %: Wilson's for shares, bootstrap for F1. Wrong of given: wrong answers among those that were "
    "given at all. Prompt tokens and milliseconds (of the batch, shared among its questions): median and, in brackets, "
    "from the 5th to the 95th of a hundred.",
)
CONTROL_NOTE = (
    "lookup prints the stored string, oracle has the right fact in its prompt, random is a backbone without knowledge. "
    "They are controls: what lookup or random reach as well is not called knowledge."
)

UNJUDGED = "Nothing here is right or wrong: the further tables say how far replies are as without what was learned."
_JUDGES = {"exact", "normalised", "F1", "wrong of given"}
"""Columns that call a reply right or wrong."""


@dataclass(frozen=True)
class Key:
    """One of the figures at the top."""

    name: str
    rate: Rate


def keys(card: Card) -> list[Key]:
    """What the card is about, in a few figures."""
    ladder = card.asked
    if ladder is None or not card.subject:
        return []
    judged = [j for j in ladder.judged[card.against] if j.case.form not in card.unjudged]
    wanted = [
        Key("exact, learned wording", ladder.figures(card.against, LEARNED).exact),
        Key("exact, other wordings", ladder.figures(card.against, OTHER_WORDS).exact),
        Key("near misses that fired", ladder.figures(card.against, NEAR_MISS).fired),
        Key("wrong of all answers given", Rate.of(j.score.wrong for j in judged if j.score.given)),
    ]
    return [key for key in wanted if key.rate.n]


def figures(ladder: Ladder, form: str, unjudged: bool = False) -> Sheet:
    """Everything that was measured on one form; where it is not judged, without what would call a reply right."""
    asked = [(rung, ladder.of(rung, form)) for rung in ladder.judged]
    rows = [[rung, *_cells(ladder, rung, form, judged)] for rung, judged in asked if judged]
    names = "rung,n,exact,normalised,F1,abstained,wrong of given,fired,prompt tokens,tokens/s,ms".split(",")
    if unjudged:
        rows = [["–" if name in _JUDGES else cell for name, cell in zip(names, row, strict=True)] for row in rows]
    return Sheet(form, names, rows, UNJUDGED if unjudged else FORMS.get(form, ""))


def _cells(ladder: Ladder, rung: str, form: str, judged: Sequence[Judged]) -> list[str]:
    found = ladder.figures(rung, form)
    mean = Mean.of(j.score.f1 for j in judged)
    return [
        f"{len(judged):,}", found.exact.brief, found.normalised.brief, mean.brief if mean else "none asked",
        found.abstained.brief, str(found.hallucinated) if found.hallucinated.n else "none given",
        found.fired.brief if found.fired.n else "–",
        _typical([float(j.said.prompt_tokens) for j in judged]), f"{found.tokens_per_second:,.0f}",
        _typical([1000 * j.said.seconds for j in judged]),
    ]  # fmt: skip


def _typical(values: Sequence[float]) -> str:
    whole = all(value == round(value) for value in values)
    low, median, high = (f"{v:,.0f}" if whole else figure(v) for v in np.quantile(values, [0.05, 0.5, 0.95]).tolist())
    return median if low == high else f"{median} ({low}–{high})"


def rungs(card: Card) -> Sheet | None:
    """What each rung is, and how long it took."""
    ladder = card.asked
    if ladder is None:
        return None
    rows = []
    for rung, judged in ladder.judged.items():
        role = "subject" if rung == card.against else "control" if rung in CONTROLS else ""
        seconds = figure(ladder.seconds[rung]) if rung in ladder.seconds else ""
        rows.append([rung, role, f"{len(judged):,}", seconds, ladder.about.get(rung, "")])
    return Sheet("The rungs", ["rung", "role", "asked", "seconds", "what it is"], rows)


def groups(found: Sequence[Group]) -> Sheet:
    rows = [[g.name, f"{g.recalled.n:,}", g.recalled.brief] for g in found]
    return Sheet("Exact recall by group", ["group", "n", "exact"], rows)


def comparisons(card: Card) -> Sheet | None:
    return paired.sheet(card.comparisons, card.against, card.measure) if card.comparisons else None


def router(card: Card) -> Sheet | None:
    """Some thresholds and the chosen one."""
    measured = card.router.calibration if card.router else None
    if card.router is None or measured is None or not measured.right:
        return None
    rows = [
        [f"{row.threshold:.3f}{' (chosen)' if row.chosen else ''}",
         _of(row.right, measured.wordings), _of(row.wrong, measured.wordings), _of(row.fired, measured.near_misses)]
        for row in card.router.rows()
    ]  # fmt: skip
    names = [
        "threshold",
        f"right of {measured.wordings:,} wordings",
        "wrong of the same",
        f"fired of {measured.near_misses:,} near misses",
    ]
    return Sheet("What each threshold would do", names, rows)


def _of(share: float, n: int) -> str:
    return Rate(round(share * n), n).brief


def about(card: Card) -> list[tuple[str, str]]:
    """The memory in a few lines."""
    memory = card.memory
    if memory is None:
        return []
    lines = [
        ("memory", memory.name),
        ("version", str(memory.version)),
        ("facts", f"{memory.facts:,}"),
        ("backbone", memory.backbone),
        *memory.more.items(),
    ]
    return [(name, said) for name, said in lines if said]
