"""`memtune eval`: from a memory to figures that can be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memtune.config import CASES, LADDER, UNRELATED
from memtune.core.facts import Fact
from memtune.evaluate import paired
from memtune.evaluate.ability import AbilityResult, ability
from memtune.evaluate.cases import LEARNED, NEAR_MISS
from memtune.evaluate.gather import Gathered, gather
from memtune.evaluate.identity import IdentityResult, identical, other_prompts
from memtune.evaluate.ladder import Ladder, climb
from memtune.evaluate.made import MOST_MADE
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.paired import Comparison, compare_all
from memtune.evaluate.rows import Origin
from memtune.evaluate.rungs import named
from memtune.evaluate.workbench import Workbench
from memtune.model import MemoryModel

SUBJECT = "memory"


@dataclass
class Evaluation:
    """Everything that was found about one version of a memory."""

    ladder: Ladder
    gathered: Gathered
    facts: Sequence[Fact]
    version: int
    seed: int
    comparisons: list[Comparison] = field(default_factory=list)
    ability: AbilityResult | None = None
    identity: IdentityResult | None = None

    def to_json(self) -> dict[str, object]:
        return {
            **self.ladder.to_json(),
            "contamination": self.gathered.contamination,
            "comparisons": self.comparisons,
            "ability": self.ability,
            "identity": self.identity,
            "remarks": self.gathered.remarks,
            "version": self.version,
            "seed": self.seed,
        }

    def sheets(self) -> list[Sheet]:
        found = [*self.ladder.sheets(), *self.further_sheets()]
        found += self.gathered.contamination.sheets() if self.gathered.contamination.rows else []
        return [*found, paired.sheet(self.comparisons, SUBJECT)] if self.comparisons else found

    def further_sheets(self) -> list[Sheet]:
        return [
            *(self.ability.sheets() if self.ability is not None else []),
            *(self.identity.sheets() if self.identity is not None else []),
        ]

    def summary(self) -> str:
        """One line, for the note that stays with the version."""
        if SUBJECT not in self.ladder.judged:
            return f"evaluated without the memory, seed {self.seed}"
        parts = [
            f"{form}: {self._brief(form)}" for form in self.ladder.forms if self.ladder.of(SUBJECT, form)
        ]  # fmt: skip
        return f"evaluated, seed {self.seed}: {'; '.join(parts)}"

    def _brief(self, form: str) -> str:
        found = self.ladder.figures(SUBJECT, form)
        return f"fired {found.fired.brief}" if form == NEAR_MISS else f"exact {found.exact.brief}"

    def data(self) -> dict[str, Any]:
        """What the note holds for programs: the memory's own figures."""
        forms = self.ladder.to_json()["rungs"]
        assert isinstance(forms, dict)
        found = forms.get(SUBJECT, {})
        return {"seed": self.seed, "memory": {form: figures.to_json() for form, figures in found.items()}}


def evaluate(
    model: MemoryModel,
    *,
    ladder: Sequence[str] = LADDER,
    data: Origin | None = None,
    texts: Sequence[Path] = (),
    choices: Sequence[Path] = (),
    unrelated: int = UNRELATED,
    max_n: int | None = CASES,
    seed: int = 0,
    say: Say = silent,
) -> Evaluation:
    """Every rung on what the memory learned, in learned and other words, and on what it did not learn.

    `data` has questions of one's own (evaluate/rows.py says what its rows may hold). `texts` are for bits per byte,
    `choices` for multiple choice, `unrelated` prompts are compared with the plain model bit for bit.
    """
    names = named(ladder)
    facts, silent = _by_service(model)
    gathered = gather(facts, data, silent=silent, keys_made=_keys_made(model), max_n=max_n, seed=seed)
    for remark in gathered.remarks:
        say(remark)
    bench = Workbench(model, facts, gathered.tuning, seed)
    found = Evaluation(climb(bench, gathered.cases, names, say), gathered, facts, model.version, seed)
    if SUBJECT in names and len(names) > 1:
        say("comparing")
        found.comparisons = compare_all(found.ladder, SUBJECT, seed=seed)
    if texts or choices:
        say("general ability")
        found.ability = ability(model, texts, choices, max_n=max_n, seed=seed)
    if unrelated:
        say("bit-equality with the plain model")
        asked = {case.facts[0] for case in gathered.of(LEARNED) if case.facts}
        found.identity = identical(model, [f for f in facts if f.id in asked], other_prompts(unrelated, seed))
    return found


def _by_service(model: MemoryModel) -> tuple[list[Fact], list[Fact]]:
    """Facts that may answer now, and those that are archived or out of their time: to be silent on these is right."""
    served = list(model.served_facts())
    ids = {fact.id for fact in served}
    return served, [fact for fact in model.facts() if fact.id not in ids]


def _keys_made(model: MemoryModel) -> int:
    """How many wordings of a fact the router may hold that it made itself: all it can make, where it made any."""
    return MOST_MADE if model.router_report().keys["made"] else 0
