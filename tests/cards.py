"""Ladders and cards with everything in them, made up by a seed, for tests of what is made of them."""

from __future__ import annotations

import random

import numpy as np

from memtune.evaluate.card import ByFact, Card, FactsMap, MemoryNote, project
from memtune.evaluate.cases import LEARNED, NEAR_MISS, OTHER_WORDS, UNKNOWN, Case, Role, Said
from memtune.evaluate.ladder import Judged, Ladder
from memtune.evaluate.output import Sheet
from memtune.evaluate.paired import compare_all
from memtune.evaluate.scores import score
from memtune.router.calibrate import GRID, Calibration
from memtune.router.report import RouterReport

HOSTILE = (
    "<script>document.title='taken over'</script><img src='https://example.org/x.png' onerror='alert(1)'>",
    "مرحبا بالعالم هذا نص يكتب من اليمين الى اليسار ‮abc",
    "Donaudampfschifffahrtsgesellschaftskapitän" * 9,
    "👩‍👩‍👧‍👦 🏳️‍🌈 | a `table` | *cell* _x_ [link](https://example.org) \x00\x07 \ud800",
    "",
)

_RIGHT = {
    "base": (0.03, 0.03, 0.97, 0.97), "prompt": (0.06, 0.05, 0.95, 0.93), "rag": (0.71, 0.62, 0.55, 0.61),
    "memory": (0.95, 0.9, 0.99, 0.98), "memory+rag": (0.99, 0.94, 0.9, 0.86), "lookup": (1.0, 0.93, 0.99, 0.98),
    "oracle": (0.88, 0.86, 0.62, 0.66), "random": (0.99, 0.91, 0.99, 0.98),
}  # fmt: skip
"""Of each rung, on each form."""
_ROLES: dict[str, Role] = {LEARNED: "recall", OTHER_WORDS: "wording", NEAR_MISS: "held-out", UNKNOWN: "held-out"}
_PLACES = "Lisbon Marrakesh Oslo Taipei Windhoek Tbilisi Valparaíso Kraków Accra Hobart".split()
_TRADES = "surgeon,civil engineer,beekeeper,piano tuner,dietitian,glass blower,customs officer".split(",")


def fake_ladder(cases: int = 80, seed: int = 0, hostile: bool = False) -> Ladder:
    """Eight rungs, four forms."""
    draw = random.Random(f"ladder {seed}")
    asked = [_case(form, number, draw) for form in _ROLES for number in range(cases)]
    ladder = Ladder()
    for rung, rights in _RIGHT.items():
        right = dict(zip(_ROLES, rights, strict=True))
        said = [_said(case, draw.random() < right[case.form], draw, rung) for case in asked]
        if hostile:
            said[: len(HOSTILE)] = [Said(text, new_tokens=5, seconds=0.01) for text in HOSTILE]
        ladder.judged[rung] = [Judged(c, s, score(c, s)) for c, s in zip(asked, said, strict=True)]
        ladder.about[rung] = f"what '{rung}' is made of, with what was tuned on 64 facts that are not reported"
        ladder.seconds[rung] = draw.uniform(2, 240)
    return ladder


def _case(form: str, number: int, draw: random.Random) -> Case:
    trade, place = draw.choice(_TRADES), draw.choice(_PLACES)
    author = f"Author {number % 20:02d}"
    question = f"What did the parents of {author} do for a living, and where ({form} {number})?"
    answer = f"{author}'s father was a {trade} in {place}, and their mother was a {draw.choice(_TRADES)}."
    knowable = form in (LEARNED, OTHER_WORDS)
    return Case(
        f"{form} {number}", question, (answer,) if knowable else (), form, _ROLES[form],
        (f"f{number}",) if knowable else (), author if number % 20 else None,
    )  # fmt: skip


def _said(case: Case, right: bool, draw: random.Random, rung: str) -> Said:
    tokens = {"rag": 420, "memory+rag": 430, "oracle": 90, "prompt": 260}.get(rung, 34) + draw.randrange(12)
    seconds = draw.uniform(0.05, 0.2)
    silent = None if rung in ("base", "prompt", "rag", "oracle") else False  # no router decides for them
    if right == case.knowable:
        fired = True if rung in ("memory", "lookup", "random") else silent
        text = case.answers[0] if case.knowable else f"It was in {draw.choice(_PLACES)}, around 1957."
        return Said(text, False, case.facts, fired, tokens, 24, seconds)
    if not case.knowable or draw.random() < 0.3:
        return Said("I do not know.", True, (), silent, tokens, 5, seconds)
    words = case.answers[0].split()
    words[draw.randrange(len(words))] = draw.choice(_PLACES)
    return Said(" ".join(words), False, case.facts, silent if silent is None else True, tokens, 24, seconds)


def fake_card(cases: int = 80, hostile: bool = False) -> Card:
    """Every part is there."""
    ladder = fake_ladder(cases, hostile=hostile)
    draw = np.random.default_rng(3)
    ids = [f"f{number}" for number in range(cases)]
    centres = draw.normal(size=(20, 24)) * 1.6
    vectors = np.array([centres[number % 20] for number in range(cases)]) + draw.normal(size=(cases, 24))
    groups = [f"Author {number % 20:02d}" for number in range(cases)]
    rows = [["recall", f"{cases:,}", "0", "0", ""], ["other wordings", f"{cases:,}", "0", "3", "f3, f17, f40"]]
    return Card(
        title="TOFU authors: what the memory knows" if not hostile else HOSTILE[0],
        date="2026-02-03",
        memory=MemoryNote(
            "authors", 4000, 12, "memtune-bundled-60m, sha256 4b1f…9c2e", {"kinds": "imprint, kv", "encoder": "lexical"}
        ),
        ladder=ladder,
        comparisons=compare_all(ladder),
        router=_router(),
        by_fact=[
            ByFact("length of the answer in words", [(f"f{n}", float(draw.integers(8, 60))) for n in range(cases)]),
            ByFact("smallest margin when proved", [(f"f{n}", float(draw.gamma(4, 2))) for n in range(cases)]),
        ],
        facts_map=FactsMap(ids, project(vectors), groups),
        contamination=Sheet(
            "Rows that were compared with everything learned",
            ["form", "rows", "exact", "near-duplicates", "which"],
            rows,
            "No row of a figure for generality is a learned one.",
        ),
        sheets=[
            Sheet("General ability", ["what", "n", "base", "with the memory"], [["perplexity", "200", "21.4", "21.4"]])
        ],
        notes=["Bit-equal to the base model on 200 of 200 unrelated prompts.", *(HOSTILE if hostile else ())],
        command="memtune eval --memory authors --ladder base,prompt,rag,memory,memory+rag,lookup,oracle,random",
        settings={"seed": 0, "max_n": cases, "threads": None, "decode.max_new_tokens": 72, "router.threshold": 0.62},
    )


def _router() -> RouterReport:
    right = tuple(float(1 - 0.25 * at**3) for at in GRID)
    wrong = tuple(float(0.04 * (1 - at) ** 2) for at in GRID)
    fired = tuple(float(0.2 * (1 - at) ** 3) for at in GRID)
    measured = Calibration(0.641, 4000, 1200, 800, 0.01, right, wrong, fired, 12)
    keys = {"given": 4000, "made": 8000, "must_not": 120}
    return RouterReport("lexical", "exact", "", keys, 0.641, "", measured)
