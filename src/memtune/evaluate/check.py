"""`memtune data check`: become one with the data before anything is learned."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from memtune.config import LearnConfig
from memtune.core.facts import Fact, normalise
from memtune.evaluate.gather import recall_cases, stratified
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.overlap import Spelled, Texts
from memtune.evaluate.scores import plain
from memtune.evaluate.stats import Rate
from memtune.evaluate.workbench import Workbench
from memtune.ingest import open_facts
from memtune.model import MemoryModel
from memtune.router.names import has_name
from memtune.survey import survey

Origin = str | os.PathLike[str] | Iterable[Mapping[str, Any] | Fact]

_SHOWN = 5
_LOOKED_AT = 2000
"""Questions that are compared with all others."""
_HELD_OUT, _TUNING, _FEWEST = 500, 64, 20
"""Of the suggested split: at most so many, and no split of fewer facts."""
_ASKED_BY_MANY = 3
"""Questions that share a word, from which on it does not tell which fact is meant."""


@dataclass(frozen=True)
class Lengths:
    """Of all questions, or all answers."""

    unit: str
    median: float
    high: int
    """All but one of twenty are at most so long."""
    longest: int
    longest_id: str

    @classmethod
    def of(cls, ids: Sequence[str], lengths: Sequence[int], unit: str) -> Lengths:
        ordered = sorted(lengths)
        longest = max(range(len(lengths)), key=lengths.__getitem__)
        high = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        return cls(unit, median(ordered), high, lengths[longest], ids[longest])


@dataclass(frozen=True)
class Found:
    """How often something was found, and examples, each with the fact's id."""

    n: int = 0
    of: int = 0
    """How many were looked at."""
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Split:
    """Facts to learn, to tune on (learned too, never reported), and to leave out, so that the unknown can be asked."""

    learn: int
    tuning: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataReport:
    """What a file of facts is like."""

    name: str
    facts: int
    bad_rows: tuple[str, ...]
    duplicates: int
    conflicts: Found
    questions: Lengths
    answers: Lengths
    too_long: Found
    """Answers of more tokens than can be learned; looked at where a model is given."""
    nameless: Found
    """Questions that do not say what they are about."""
    alike: Found
    """Questions that are nearly the same as another with another answer."""
    groups: Mapping[str, int]
    ungrouped: int
    phrased: int
    """Facts with further wordings."""
    commonest: tuple[str, int]
    """The answer that most facts have, and how many."""
    known: Rate | None
    """Answers that the plain model gives when it is asked; None where no model is given."""
    known_examples: tuple[str, ...] = ()
    split: Split = field(default_factory=lambda: Split(0))

    @property
    def hints(self) -> list[str]:
        """What to do about it, the worst first."""
        return [hint for hint in _hints(self) if hint]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "known": None if self.known is None else self.known.to_json(), "hints": self.hints}

    def lines(self) -> list[str]:
        found = [
            f"{self.name}: {self.facts:,} facts; {self.duplicates:,} duplicates, {self.conflicts.n:,} conflicts, "
            f"{len(self.bad_rows):,} bad rows",
            _spoken("questions", self.questions),
            _spoken("answers", self.answers),
            f"groups: {len(self.groups):,}, {self.ungrouped:,} facts in none",
            f"suggested split: learn {self.split.learn:,} (tune on {len(self.split.tuning):,} of them), "
            f"hold out {len(self.split.held_out):,}",
        ]
        if self.known is not None:
            found.append(f"already known by the plain model: {self.known}")
        return [*found, *(f"hint: {hint}" for hint in self.hints)]

    def sheets(self) -> list[Sheet]:
        return [self._sizes(), self._troubles(), *([self._groups()] if self.groups else [])]

    def _sizes(self) -> Sheet:
        rows = [
            [name, found.unit, f"{found.median:g}", f"{found.high:,}", f"{found.longest:,}", found.longest_id]
            for name, found in (("questions", self.questions), ("answers", self.answers))
        ]
        note = "\n".join(self.hints)
        return Sheet(
            f"{self.name}: {self.facts:,} facts", ["text", "unit", "median", "95 %", "longest", "id"], rows, note
        )

    def _troubles(self) -> Sheet:
        rows = [
            ["bad rows", f"{len(self.bad_rows):,}", "; ".join(self.bad_rows[:_SHOWN])],
            ["duplicates", f"{self.duplicates:,}", ""],
            *(
                [name, f"{found.n:,} of {found.of:,}" if found.of else "not looked at", "; ".join(found.examples)]
                for name, found in (
                    ("conflicts", self.conflicts),
                    ("questions that name nothing", self.nameless),
                    ("nearly the same question, another answer", self.alike),
                    ("answers too long to be learned", self.too_long),
                )
            ),
        ]
        if self.known is not None:
            rows.append(["known by the plain model", str(self.known), "; ".join(self.known_examples)])
        return Sheet("what to look at", ["what", "how many", "examples"], rows)

    def _groups(self) -> Sheet:
        largest = sorted(self.groups.items(), key=lambda item: (-item[1], item[0]))
        rows = [[name, f"{n:,}", f"{100 * n / self.facts:.1f} %"] for name, n in largest[:10]]
        note = f"and {len(largest) - 10:,} more" if len(largest) > 10 else ""
        return Sheet(
            f"groups: {len(largest):,}, {self.ungrouped:,} facts in none", ["group", "facts", "share"], rows, note
        )


def check_data(
    facts: Origin,
    *,
    learn: LearnConfig | None = None,
    model: MemoryModel | None = None,
    sample: int = 64,
    seed: int = 0,
    say: Say = silent,
) -> DataReport:
    """Look at facts before they are learned. With a model, lengths are in tokens and `sample` facts are asked of it."""
    learn = learn or LearnConfig()
    source = open_facts(facts, learn, skip_bad=True)
    source.check()
    say("duplicates and conflicts")
    found = survey(None, source, "keep-first", learn.lot_size)
    kept = [fact for place, fact in enumerate(source) if place not in found.left_out]
    say(f"{len(kept):,} facts")
    questions, answers = _lengths(kept, model)
    known, examples = _known(kept, model, sample, seed)
    groups = Counter(fact.group for fact in kept if fact.group is not None)
    return DataReport(
        name=os.fspath(facts) if isinstance(facts, (str, os.PathLike)) else "rows",
        facts=len(kept),
        bad_rows=tuple(source.skipped),
        duplicates=found.duplicates,
        conflicts=Found(
            len(found.conflicts),
            found.count,
            tuple(f"'{c.question:.60}': {c.settled}" for c in found.conflicts[:_SHOWN]),
        ),
        questions=Lengths.of([fact.id for fact in kept], questions, _unit(model)),
        answers=Lengths.of([fact.id for fact in kept], answers, _unit(model)),
        too_long=_too_long(kept, answers, learn.max_answer_tokens) if model else Found(),
        nameless=_nameless(kept),
        alike=_alike(kept, seed),
        groups=dict(groups),
        ungrouped=len(kept) - sum(groups.values()),
        phrased=sum(len(fact.wordings) > 1 for fact in kept),
        commonest=Counter(fact.answer for fact in kept).most_common(1)[0],
        known=known,
        known_examples=examples,
        split=_split(kept, seed),
    )


def _unit(model: MemoryModel | None) -> str:
    return "tokens" if model else "characters"


def _lengths(facts: Sequence[Fact], model: MemoryModel | None) -> tuple[list[int], list[int]]:
    """Of every question and every answer."""
    columns = [fact.question for fact in facts], [fact.answer for fact in facts]
    if model is None:
        return [len(text) for text in columns[0]], [len(text) for text in columns[1]]
    spell = model.backbone.tokenizer
    asked, said = (spell(column, add_special_tokens=False)["input_ids"] for column in columns)
    return [len(tokens) for tokens in asked], [len(tokens) for tokens in said]


def _too_long(facts: Sequence[Fact], tokens: Sequence[int], most: int) -> Found:
    over = [f"{fact.id}: {n:,}" for fact, n in zip(facts, tokens, strict=True) if n > most]
    return Found(len(over), len(facts), tuple(over[:_SHOWN]))


def _nameless(facts: Sequence[Fact]) -> Found:
    """Questions without a name, and without a word that few other questions have."""
    bare = [(fact, Spelled.of(fact.question).telling) for fact in facts]
    holders = Counter(word for _, telling in bare for word in telling)
    found = [
        f"{fact.id}: '{fact.question:.60}'"
        for fact, telling in bare
        if not has_name(fact.question)
        and (len(telling) < 2 or all(holders[word] >= _ASKED_BY_MANY for word in telling))
    ]
    return Found(len(found), len(facts), tuple(found[:_SHOWN]))


def _alike(facts: Sequence[Fact], seed: int) -> Found:
    """Questions of a sample that are all but another fact's question, whose answer is not theirs."""
    texts = Texts((fact.id, text) for fact in facts for text in fact.wordings)
    answers = {fact.id: normalise(fact.answer) for fact in facts}
    sample = stratified(facts, _LOOKED_AT, lambda fact: fact.group, seed)
    pairs = []
    for fact in sample:
        hit = texts.near(fact.question, without=(fact.id,))
        if hit is not None and answers[hit.id] != answers[fact.id]:
            pairs.append(f"{fact.id} and {hit.id}: '{fact.question:.60}'")
    return Found(len(pairs), len(sample), tuple(pairs[:_SHOWN]))


def _known(
    facts: Sequence[Fact], model: MemoryModel | None, sample: int, seed: int
) -> tuple[Rate | None, tuple[str, ...]]:
    """Whether the plain model's reply to a question holds the answer, word for word but for case and marks."""
    if model is None or not sample:
        return None, ()
    cases = recall_cases(stratified(facts, sample, lambda fact: fact.group, seed), seed)
    replies = Workbench(model, facts, seed=seed).ask(cases, lambda case: case.question, memory=False)
    right = [
        f" {plain(case.answers[0])} " in f" {plain(said.text)} " for case, said in zip(cases, replies, strict=True)
    ]
    examples = [f"{case.facts[0]}: '{case.text:.60}'" for case, hit in zip(cases, right, strict=True) if hit]
    return Rate.of(right), tuple(examples[:_SHOWN])


def _split(facts: Sequence[Fact], seed: int) -> Split:
    """A tenth is held out, a tenth of the rest is for tuning, each with every group's share; none of few facts."""
    if len(facts) < _FEWEST:
        return Split(len(facts))
    held_out = stratified(facts, min(_HELD_OUT, len(facts) // 10), lambda fact: fact.group, seed)
    gone = {fact.id for fact in held_out}
    rest = [fact for fact in facts if fact.id not in gone]
    tuning = stratified(rest, min(_TUNING, len(rest) // 10), lambda fact: fact.group, seed)
    return Split(len(rest), tuple(fact.id for fact in tuning), tuple(fact.id for fact in held_out))


def _spoken(name: str, found: Lengths) -> str:
    return f"{name}: {found.median:g} {found.unit} in the middle, {found.longest:,} at most ({found.longest_id})"


def _hints(found: DataReport) -> Iterable[str]:
    if found.bad_rows:
        yield f"{_many(len(found.bad_rows), 'row')} cannot be used: mend them, or learn with --skip-bad"
    if found.conflicts.n:
        yield (
            f"{_many(found.conflicts.n, 'question')} with more than one answer: say in it what sets them apart, or "
            "learn with --on-conflict keep-first or keep-last"
        )
    if found.nameless.n:
        yield f"{_many(found.nameless.n, 'question')} that name nothing: say in each what it is about"
    if found.alike.n:
        yield (
            f"{_many(found.alike.n, 'question')} nearly the same as another with another answer: only the exact "
            "wording tells them apart, so make the difference plain"
        )
    if found.too_long.n:
        yield f"{_many(found.too_long.n, 'answer')} too long to be learned: cut it into several facts"
    answer, n = found.commonest
    if found.facts > 1 and 2 * n > found.facts:
        yield f"{n:,} of {found.facts:,} answers are '{answer:.40}': to say it always would be right as often"
    if found.known is not None and found.known.value and found.known.value > 0.1:
        yield "the plain model knows part of the answers: measure what it adds against it, not from nothing"
    if found.ungrouped == found.facts:
        yield "no fact has a group: name one for each, and figures are shown by topic"
    if not found.phrased:
        yield "no fact has further phrasings: a few for what is asked most are the cheapest way to be found"
    if found.facts < _FEWEST:
        yield f"fewer than {_FEWEST} facts: too few to hold some out"


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"
