"""`memtune bench route`: the right fact, a wrong one, or none, set by set, beside similarity with a threshold."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from memtune.bench.nearest import NearestResult
from memtune.bench.route_data import COUNTERFACT, NEAR_MISSES, TOFU, Sets
from memtune.bench.route_memory import Routed, RoutedMemory, Timing
from memtune.bench.route_rivals import RIVALS, Make, Rival, as_rival, measure_rival
from memtune.bench.route_sets import NONE, RIGHT, WRONG, Group, Query, RouteSet, outcome
from memtune.config import Config
from memtune.errors import ExtraMissing
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.stats import Rate

_NOTHING = "–"
_UNCONTESTED = ", uncontested"
_QUESTIONS = (TOFU, COUNTERFACT, NEAR_MISSES)


@dataclass(frozen=True)
class Failure:
    """A query that fired what it should not, or did not fire what it should."""

    id: str
    text: str
    wanted: str | None
    fired: list[str]


@dataclass(frozen=True)
class Asked:
    """One group of queries. Where no fact may fire, whatever fires is wrong."""

    memory: str
    group: str
    silent: bool
    right: Rate
    wrong: Rate
    none: Rate
    failures: list[Failure]

    def row(self) -> list[str]:
        if self.silent:
            return [self.memory, self.group, f"{self.wrong.n:,}", _NOTHING, self.wrong.brief, _NOTHING]
        return [self.memory, self.group, f"{self.right.n:,}", self.right.brief, self.wrong.brief, self.none.brief]


@dataclass
class RouteResult:
    facts: dict[str, int]
    half: str | None
    near_misses: dict[str, int]
    """How many were kept, and removed for which reason."""
    left_out: dict[str, int]
    asked: list[Asked] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Of the first memory's queries, one by one: the whole, and each stage."""
    rivals: list[Rival] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    nearest: NearestResult | None = None
    """Search among more keys than these memories have, where that was asked for."""

    @property
    def times(self) -> dict[str, Timing]:
        return {stage: Timing.of(seconds) for stage, seconds in self.seconds.items()}

    def to_json(self) -> dict[str, object]:
        """Times as their median and 99th percentile."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "seconds"}
        return own | {"milliseconds": self.times}

    def sheets(self) -> list[Sheet]:
        sheets = [self._outcomes()]
        if self.rivals:
            sheets.append(self._beside())
        return sheets + (self.nearest.sheets() if self.nearest else [])

    def _outcomes(self) -> Sheet:
        facts = ", ".join(f"{name} {n:,}" for name, n in self.facts.items())
        title = f"The right fact, a wrong one, or none; keys without experts, facts: {facts}"
        columns = ["memory", "asked", "n", "right fact", "wrong fact, or fired", "none"]
        return Sheet(title, columns, [a.row() for a in self.asked], "\n".join(self._notes()))

    def _notes(self) -> list[str]:
        notes = [
            f"{name}: median {t.median:.2f} ms, 99th percentile {t.p99:.2f} ms, over {t.n:,}"
            for name, t in self.times.items()
        ]
        if self.half:
            notes.append(f"Only queries and near misses of half {self.half}, by a hash of their id.")
        if self.near_misses:
            removed = ", ".join(f"{n:,} {reason}" for reason, n in self.near_misses.items())
            notes.append(f"Near misses: {removed}.")
        if any(a.group.endswith(_UNCONTESTED) for a in self.asked):
            notes.append("Contested: the subject has another learned answer to what may be the same question.")
        return [*notes, *(f"{name}: {n:,}." for name, n in self.left_out.items() if n)]

    def _beside(self) -> Sheet:
        names = [group.group for group in self.rivals[0].groups]
        columns = ["router", "near misses fired", *(f"{n}: {w}" for n in names for w in ("first", "right", "wrong"))]
        rows = [
            [r.name, r.near_misses.brief]
            + [rate.brief for group in r.groups for rate in (group.first, group.right, group.wrong)]
            for r in self.rivals
        ]
        note = (
            "first: the right fact is the nearest, whatever the threshold. Rivals have the threshold at which they fire"
            " on 0.5 % of the near misses of one half; what fired is counted on the other."
        )
        return Sheet("Beside similarity and a threshold", columns, rows, "\n".join([note, *self.skipped]))


def measure(
    sets: Sets, config: Config, *, half: str | None = None, rivals: Sequence[tuple[str, Make]] = RIVALS,
    say: Say = silent,
) -> RouteResult:  # fmt: skip
    """Every set in a router of its own; rivals on the first set."""
    verdicts = Counter(v.reason or "kept" for v in sets.verdicts)
    result = RouteResult(
        {s.name: len(s.facts) for s in sets.all()}, half, dict(verdicts.most_common()), dict(sets.dropped)
    )
    for asked in sets.all():
        say(f"{asked.name}: keys of {len(asked.facts):,} facts")
        memory, routed = RoutedMemory(asked.facts, config), dict[str, list[Routed]]()
        for group in asked.groups:
            routed[group.name] = [memory.ask(query.text) for query in group.queries]
            for counted in _counted(asked, group, routed[group.name]):
                result.asked.append(counted)
                say(" · ".join(counted.row()[1:]))
            if asked is sets.learned:
                _keep_times(result, group.name, memory.take_times())
        if asked is sets.learned:
            _compare(result, asked, routed, rivals, say)
    return result


def _keep_times(result: RouteResult, group: str, taken: dict[str, list[float]]) -> None:
    """Questions and near misses together; ordinary text, which is longer, by itself and as a whole."""
    for stage, seconds in taken.items():
        if group in _QUESTIONS:
            result.seconds.setdefault(stage, []).extend(seconds)
        elif stage == "route":
            result.seconds.setdefault(f"{stage}, {group}", []).extend(seconds)


def _compare(
    result: RouteResult, asked: RouteSet, routed: dict[str, list[Routed]], rivals: Sequence[tuple[str, Make]], say: Say
) -> None:
    """The router and its rivals on the questions and near misses of one set."""
    questions = [group for group in asked.groups if not group.silent]
    misses = asked.group(NEAR_MISSES).queries if NEAR_MISSES in routed else []
    if not questions or not rivals:
        return
    result.rivals.append(as_rival(asked, questions, routed, misses))
    for name, make in rivals:
        say(f"beside it: {name}")
        try:
            result.rivals.append(measure_rival(name, make, asked, questions, misses))
        except ExtraMissing as missing:
            result.skipped.append(f"{name} was left out: {missing.message}; {missing.hint}")
            say(result.skipped[-1])


def _counted(asked: RouteSet, group: Group, routed: Sequence[Routed]) -> list[Asked]:
    """The group, and its queries apart whose facts nothing else that was learned contradicts, where some are not."""
    pairs = list(zip(group.queries, routed, strict=True))
    counted = [_count(asked, group.name, group.silent, pairs)]
    uncontested = [(query, found) for query, found in pairs if not query.contested]
    if len(uncontested) < len(pairs):
        apart = _count(asked, f"{group.name}{_UNCONTESTED}", group.silent, uncontested)
        counted.append(dataclasses.replace(apart, failures=[]))
    return counted


def _count(asked: RouteSet, name: str, silent: bool, pairs: Sequence[tuple[Query, Routed]]) -> Asked:
    outcomes = [outcome(query, found.fired, asked.facts) for query, found in pairs]
    rates = {name: Rate.of(o == name for o in outcomes) for name in (RIGHT, WRONG, NONE)}
    expected = NONE if silent else RIGHT
    failures = [
        _failure(query, found, asked) for (query, found), o in zip(pairs, outcomes, strict=True) if o != expected
    ]
    return Asked(asked.name, name, silent, rates[RIGHT], rates[WRONG], rates[NONE], failures)


def _failure(query: Query, routed: Routed, asked: RouteSet) -> Failure:
    wanted = None if query.wanted is None else asked.facts[query.wanted].id
    return Failure(query.id, query.text, wanted, [asked.facts[place].id for place in sorted(routed.fired)])
