"""All rungs over all cases: one table, one JSON, the same cases for everybody."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from memtune.evaluate import rungs
from memtune.evaluate.cases import LEARNED, Case, Said
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.scores import Figures, Score, score
from memtune.evaluate.stats import Spread
from memtune.evaluate.timing import time_to_first_token
from memtune.evaluate.workbench import Workbench

_ORDER = ("exact", "normalised", "F1", "abstained", "wrong of given", "fired", "prompt tokens", "tokens/s", "ms")


@dataclass(frozen=True)
class Judged:
    """One case on one rung."""

    case: Case
    said: Said
    score: Score


@dataclass
class Ladder:
    """What every rung reached, by form."""

    judged: dict[str, list[Judged]] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    first_token: dict[str, Spread] = field(default_factory=dict)
    """Seconds until the first token of a reply, by rung: a learned wording asked alone."""

    @property
    def forms(self) -> list[str]:
        return list(dict.fromkeys(j.case.form for judged in self.judged.values() for j in judged))

    def of(self, rung: str, form: str) -> list[Judged]:
        return [j for j in self.judged[rung] if j.case.form == form]

    def figures(self, rung: str, form: str) -> Figures:
        found = self.of(rung, form)
        return Figures.of([j.score for j in found], [j.said for j in found])

    def to_json(self) -> dict[str, object]:
        return {
            "rungs": {
                rung: {form: self.figures(rung, form) for form in self.forms if self.of(rung, form)}
                for rung in self.judged
            },
            "about": self.about,
            "first_token_seconds": self.first_token,
            "seconds": {rung: round(seconds, 2) for rung, seconds in self.seconds.items()},
        }

    def sheets(self) -> list[Sheet]:
        return [*(self._sheet(form) for form in self.forms), self._rungs()]

    def _sheet(self, form: str) -> Sheet:
        n = len(self.of(next(iter(self.judged)), form))
        rows = [[rung, *_cells(self.figures(rung, form))] for rung in self.judged]
        return Sheet(f"{form}, n = {n:,}", ["rung", *_ORDER], rows)

    def _rungs(self) -> Sheet:
        rows = [
            [rung, f"{1000 * self.first_token[rung].median:.1f}" if rung in self.first_token else "–",
             f"{self.seconds[rung]:.1f}", self.about[rung]]
            for rung in self.judged
        ]  # fmt: skip
        return Sheet("What the rungs are", ["rung", "first token ms", "seconds in all", "about"], rows)


def _cells(found: Figures) -> list[str]:
    return [
        found.exact.brief, found.normalised.brief, f"{100 * found.f1:.1f}", found.abstained.brief,
        found.hallucinated.brief, found.fired.brief if found.fired.n else "–", f"{found.prompt_tokens:.0f}",
        f"{found.tokens_per_second:,.0f}", f"{found.milliseconds:.1f}",
    ]  # fmt: skip


def climb(bench: Workbench, cases: Sequence[Case], names: Iterable[str], say: Say = silent) -> Ladder:
    """Ask every rung everything."""
    ladder = Ladder()
    for name in names:
        say(f"rung {name}")
        begin = time.perf_counter()
        rung = rungs.make(name, bench)
        said = rung.answer(cases)
        ladder.judged[name] = [Judged(c, s, score(c, s)) for c, s in zip(cases, said, strict=True)]
        ladder.about[name] = rung.describe()
        ladder.seconds[name] = time.perf_counter() - begin
        first = time_to_first_token(bench, rung, [case for case in cases if case.form == LEARNED])
        if first is not None:
            ladder.first_token[name] = first
    return ladder
