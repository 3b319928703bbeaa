"""What a measurement of use shows: shares, rates, which facts were found, costs."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from memtune.evaluate.output import Sheet
from memtune.evaluate.stats import Rate, percent
from memtune.evaluate.use.figures import LEAST, oracle_cell
from memtune.evaluate.use.forms import NEEDED

if TYPE_CHECKING:
    from memtune.evaluate.use.measure import Use

NEEDED_FORMS = tuple(f"{count} fact{'s' * (count > 1)} an answer" for count in NEEDED)
_ENOUGH, _TARGET = 0.8, 0.9
"""Shares of the oracle that are counted in the summary."""


def sheets(use: Use) -> list[Sheet]:
    recited = [sheet for memory, found in use.recitation.items() for sheet in found.sheets(memory)]
    needed = [_needed(use)] if any(form in NEEDED_FORMS for form in use.arms) else []
    summary = [_summary(use)] if any(use.shares(name) for name in use.memories) else []
    return [*summary, _scores(use), _rates(use), _found(use), _costs(use), *needed, *recited]


def _summary(use: Use) -> Sheet:
    """Each way of answering in one row."""
    rows = []
    for name in (name for name in use.rungs if name != "oracle"):
        shares, mean = use.shares(name), use.mean_share(name)
        if mean is not None:
            counted = [str(sum(share.value >= least for share in shares)) for least in (_ENOUGH, _TARGET)]
            beyond = use.mean_share(name, unlike_lookup=True)
            beyond_cell = "–" if beyond is None else f"{100 * beyond:.0f} %"
            rows.append([name, f"{100 * mean:.0f} %", beyond_cell, str(len(shares)), *counted, _bytes(use, name)])
    counted = [f"at {100 * least:.0f} % or more" for least in (_ENOUGH, _TARGET)]
    columns = ["rung", "mean share", "where lookup fails", "forms", *counted]
    note = (
        f"Over the forms in which the oracle reaches {100 * LEAST:.0f} %, none counted above 100 %. Handed over: the"
        " experts of exactly the right facts, without a router; it tells whether they know, the memory itself whether"
        " they are found as well."
    )
    return Sheet("Use beyond recall, in short", [*columns, "bytes a fact"], rows, note)


def _scores(use: Use) -> Sheet:
    """What the memories are judged by, with what the other rungs reach on the same scale."""
    names = [name for name in use.rungs if name != "oracle"]
    rows = []
    for form, arms in use.arms.items():
        oracle = oracle_cell(arms["oracle"].outcomes, use.chance[form]) if "oracle" in arms else "not asked"
        guessing = f"{100 * statistics.fmean(use.chance[form]):.0f} %"
        cells = [str(use.share(form, name) or "–") for name in names]
        rows.append([form, f"{len(use.chance[form]):,}", guessing, oracle, *cells])
    note = (
        "(rung - guessing) / (oracle - guessing), where the oracle, which has the facts in its context, is right"
        " often enough to measure by. What lookup also reaches is not use."
    )
    columns = ["form", "n", "guessing", "oracle", *names]
    return Sheet(f"Use beyond recall: {use.facts:,} invented facts", columns, rows, note)


def _rates(use: Use) -> Sheet:
    rows = [[form, *(arms[r].right.brief if r in arms else "–" for r in use.rungs)] for form, arms in use.arms.items()]
    return Sheet("Right replies", ["form", *use.rungs], rows)


def _found(use: Use) -> Sheet:
    """Where a memory is wrong although its experts know, this is why."""
    looking = [r for r in use.rungs if any(arms[r].found is not None for arms in use.arms.values() if r in arms)]
    rows = []
    for form, arms in use.arms.items():
        found = [arms[r].found if r in arms else None for r in looking]
        rows.append([form, *(rate.brief if rate is not None else "–" for rate in found)])
    note = "Replies in which all the facts that the question needs acted, or stood in the prompt."
    return Sheet("The needed facts were used", ["form", *looking], rows, note)


def _costs(use: Use) -> Sheet:
    rows = []
    for name in use.rungs:
        arms = [arms[name] for arms in use.arms.values() if name in arms]
        times = [arm.first_token_ms for arm in arms if arm.first_token_ms is not None]
        ratios = [ratio for arm in arms for ratio in arm.against_base]
        fired = Rate(sum(arm.fired.hits for arm in arms), sum(arm.fired.n for arm in arms))
        rows.append([
            name, f"{statistics.fmean(arm.prompt_tokens for arm in arms):.0f}",
            f"{statistics.median(times):.1f}" if times else "–", f"{statistics.median(ratios):.2f}" if ratios else "–",
            fired.brief if fired.n else "–", _bytes(use, name),
        ])  # fmt: skip
    columns = ["rung", "prompt tokens", "ms to the first token", "against base", "a fact was used", "bytes a fact"]
    note = (
        "Over all forms. Times are medians, one question at a time, the rungs taking turns at every question; bytes are"
        " those of experts."
    )
    return Sheet("What it takes", columns, rows, note)


def _needed(use: Use) -> Sheet:
    forms = [form for form in use.arms if form in NEEDED_FORMS]
    rows = [
        [name, *(f"{arm.right.brief}; {percent(arm.held or 0.0)} % of values" for form in forms
                 if (arm := use.arms[form].get(name)))]
        for name in use.rungs
    ]  # fmt: skip
    note = (
        "Right: all values are in the reply. In one prompt a memory recites at most router.max_facts facts, and uses at"
        " most router.max_used."
    )
    return Sheet("One, three and ten facts an answer", ["rung", *forms], rows, note)


def _bytes(use: Use, name: str) -> str:
    return f"{use.bytes_per_fact[name]:,.0f}" if name in use.bytes_per_fact else "–"
