"""`memtune recipe`: the way from a file of facts to a memory that one can answer for, one step after the other.

Look at the data. See what the model can do without a memory. Learn one fact, then ten, then all. Look at what was not
learned: other words, near misses, other topics. Each step says what was found; the last one, what to do next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from memtune.config import CASES, Config
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.core.reports import LearnReport
from memtune.errors import InputError
from memtune.evaluate.cases import LEARNED, NEAR_MISS
from memtune.evaluate.check import DataReport, Origin, check_data
from memtune.evaluate.gather import stratified
from memtune.evaluate.made import MADE_WORDINGS
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.run import SUBJECT, Evaluation, evaluate
from memtune.evaluate.temporary import learned
from memtune.ingest import open_facts
from memtune.model import MemoryModel

BEFORE = ("base", "prompt", "rag")
AFTER = ("base", "rag", "memory", "lookup", "oracle")
_FEW = 10
_EXACT, _WORDINGS, _NEAR = 0.999, 0.9, 0.01
_KNOWN = 0.2


@dataclass(frozen=True)
class Step:
    """One step of the way: what was done, and what came out."""

    title: str
    lines: Sequence[str] = ()
    sheets: Sequence[Sheet] = ()


@dataclass
class Recipe:
    """What the steps found, for the card and for programs."""

    data: DataReport | None = None
    learned: dict[str, LearnReport] = field(default_factory=dict)
    before: Evaluation | None = None
    after: Evaluation | None = None
    advice: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        return {
            "data": self.data,
            "before": self.before,
            "learned": self.learned,
            "after": self.after,
            "advice": self.advice,
        }


def follow(
    model: MemoryModel, facts: Origin, found: Recipe, *, max_n: int = CASES, seed: int = 0, say: Say = silent
) -> Iterator[Step]:
    """Go through all steps with a new memory; `found` fills up on the way."""
    config, backbone = model.config, model.backbone
    found.data = check_data(facts, learn=config.learn, model=MemoryModel(backbone, config=config), seed=seed, say=say)
    yield Step("1. Look at the data", sheets=found.data.sheets())
    rows = list(open_facts(facts, config.learn, skip_bad=True))
    if not rows:
        raise InputError("no fact can be read from it", hint="memtune data check says what is wrong with each row")
    drawn = stratified(rows, max_n, lambda fact: fact.group, seed)
    found.before = _without_memory(backbone, drawn, config, max_n, seed, say)
    yield Step("2. What the model can do without a memory", [_best_before(found.before)], found.before.ladder.sheets())
    few = stratified(rows, _FEW, lambda fact: fact.group, seed)
    parts = {"one fact": few[:1], f"{len(few)} facts": few} if len(rows) > _FEW else {"one fact": few[:1]}
    for number, (name, part) in enumerate(parts.items(), 3):
        found.learned[name] = _tried(backbone, part, config)
        yield Step(f"{number}. Learn {name}", _told(found.learned[name]))
    found.learned["all"] = model.learn(facts, skip_bad=True)
    last = len(parts) + 3
    yield Step(f"{last}. Learn all: {len(rows):,}", _told(found.learned["all"]))
    found.after = evaluate(model, ladder=AFTER, max_n=max_n, seed=seed, say=say)
    yield Step(f"{last + 1}. What holds, and what holds beyond the learned wording", sheets=found.after.sheets())
    found.advice = list(_advice(found))
    yield Step(f"{last + 2}. What to do next", found.advice)


def _without_memory(
    backbone: Backbone, facts: Sequence[Fact], config: Config, max_n: int, seed: int, say: Say
) -> Evaluation:
    """The rungs that need none. The facts stand in a folder so that they are drawn as those of a memory are."""
    with learned(backbone, facts, config) as made:
        if not made.model.version:
            raise InputError("none of the facts could be learned on this model", hint=_reason(made.report))
        return evaluate(made.model, ladder=BEFORE, unrelated=0, max_n=max_n, seed=seed, say=say)


def _tried(backbone: Backbone, facts: Sequence[Fact], config: Config) -> LearnReport:
    """A memory of these alone, gone afterwards; every fact is decoded."""
    with learned(backbone, facts, config.with_settings(["learn.proof=full"])) as made:
        return made.report


def _reason(report: LearnReport) -> str:
    return report.failed[0].reason if report.failed else "memtune learn says why"


def _told(report: LearnReport) -> list[str]:
    lines = [f"learned {report.learned:,} of {report.facts:,} in {report.seconds:.2f} s"]
    return [*lines, *(f"not learned: {failed.id}: {failed.reason}" for failed in report.failed[:_FEW])]


def _best_before(before: Evaluation) -> str:
    found = {rung: before.ladder.figures(rung, LEARNED) for rung in before.ladder.judged}
    best = max(found, key=lambda rung: found[rung].normalised.hits)
    return f"Best without a memory: {best}, {found[best].normalised} right on learned wordings."


def _advice(found: Recipe) -> Iterator[str]:
    """What follows from the figures, the most pressing first."""
    assert found.after is not None
    assert found.data is not None
    ladder, report = found.after.ladder, found.learned["all"]
    if report.failed:
        yield f"{len(report.failed):,} facts were not learned: look at their reasons, and mend or leave them out."
    if (_rate(ladder.figures(SUBJECT, LEARNED).exact.value)) < _EXACT:
        yield "Learned wordings are not all recalled: `memtune verify`, then `memtune learn --proof full`."
    for form in ladder.forms:
        if form in (LEARNED, NEAR_MISS):
            continue
        if _rate(ladder.figures(SUBJECT, form).exact.value) < _WORDINGS:
            more = " (these are made from the learned ones: expect less of real ones)" if form == MADE_WORDINGS else ""
            yield (
                f"{form}: {ladder.figures(SUBJECT, form).exact} recalled{more}. Give a few things of each sort other "
                "wordings (`phrasings`, `memtune facts phrase`): they serve all that are asked in the same way."
            )
    near = ladder.figures(SUBJECT, NEAR_MISS).fired if NEAR_MISS in ladder.forms else None
    if near is not None and near.n and _rate(near.value) > _NEAR:
        yield f"Near misses fire: {near}. `memtune router report`; give examples with `memtune facts phrase --not`."
    if found.data.known is not None and _rate(found.data.known.value) > _KNOWN:
        yield f"The model already knows {found.data.known} of a sample: such facts need no memory."
    yield from (f"In the data: {hint}" for hint in found.data.hints)
    yield "Ask real questions: `memtune eval --data FILE` with questions of your users, which the memory never saw."
    if ladder.judged.get("lookup"):
        yield "What `lookup` reaches too is recall. To use facts in other forms, learn them with `--kind imprint+kv`."


def _rate(value: float | None) -> float:
    return 1.0 if value is None else value
