"""From a memory to cases: what it learned, in learned and in other words; what it did not learn; drawn by the seed.

Every form is drawn so that each group keeps its share. The facts to tune on are set aside first: nothing that is
reported asks for one of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from memtune.core.facts import Fact
from memtune.errors import InputError
from memtune.evaluate.cases import LEARNED, NEAR_MISS, OTHER_WORDS, UNKNOWN, Case
from memtune.evaluate.made import MADE_WORDINGS, Learned, made_wording, near_miss
from memtune.evaluate.overlap import plain
from memtune.evaluate.roles import Assigned, Assignment, Contamination, assign
from memtune.evaluate.rows import Origin, Row, name_of, read_rows
from memtune.evaluate.scores import plain as as_scored

NEARLY_LEARNED = "nearly learned wording"
"""The form of rows whose wording is all but a learned one: no figure for other words holds them."""
_TUNING = 64
"""Facts set aside to tune on, at most, and at most a fifth of all."""
_FORM_ORDER = (LEARNED, NEARLY_LEARNED, OTHER_WORDS, MADE_WORDINGS, NEAR_MISS, UNKNOWN)

T = TypeVar("T")


@dataclass(frozen=True)
class Gathered:
    """What to ask, what to tune on, and how clean that is."""

    cases: tuple[Case, ...]
    tuning: tuple[Case, ...] = ()
    """Learned facts in learned wordings, none of which a case asks for."""
    contamination: Contamination = field(default_factory=lambda: Contamination(0))
    remarks: tuple[str, ...] = ()
    """What a reader of the figures should know, one line each."""

    def of(self, form: str) -> list[Case]:
        return [case for case in self.cases if case.form == form]

    @property
    def tuned_on(self) -> frozenset[str]:
        """Ids of the facts to tune on."""
        return frozenset(fact for case in self.tuning for fact in case.facts)


def gather(facts: Iterable[Fact], data: Origin | None = None, *, max_n: int | None = None, seed: int = 0) -> Gathered:
    """Cases from the facts of a memory and, if there is one, a file of rows; at most `max_n` of each form."""
    learned = Learned(facts)
    if not learned.facts:
        raise InputError("the memory holds no facts: there is nothing to evaluate", hint="learn some first")
    assignment = _assigned(learned.facts, data)
    asked, tuning = _set_aside(learned.facts, assignment, seed)
    kept = {fact.id for fact in asked}
    from_rows = [_case(a) for a in assignment.assigned if a.fact is None or a.fact.id in kept]
    cases, remarks = _drawn(asked, learned, from_rows, max_n, seed)
    if not tuning:
        remarks = [*remarks, "too few facts to set some aside: what a rung could tune is left at its first choice"]
    return Gathered(tuple(cases), tuple(recall_cases(tuning)), assignment.contamination, tuple(remarks))


def recall_cases(facts: Sequence[Fact], seed: int = 0) -> list[Case]:
    """Each fact in one of its learned wordings."""
    return [Case(f"recall {f.id}", _wording(f, seed), (f.answer,), LEARNED, "recall", (f.id,), f.group) for f in facts]


def stratified(items: Sequence[T], n: int | None, group: Callable[[T], Hashable], seed: int) -> list[T]:
    """n of them, in their order, of each group as many as its share asks for; which ones, the seed says."""
    if n is None or n >= len(items):
        return list(items)
    draw = Random(f"stratified {seed}")
    places: dict[Hashable, list[int]] = defaultdict(list)
    for place, item in enumerate(items):
        places[group(item)].append(place)
    quota = {name: n * len(held) / len(items) for name, held in places.items()}
    taken = {name: int(share) for name, share in quota.items()}
    names = list(places)
    draw.shuffle(names)  # groups whose shares lack as much take turns by chance
    names.sort(key=lambda name: taken[name] - quota[name])
    for name in names[: n - sum(taken.values())]:
        taken[name] += 1
    chosen = sorted(place for name, held in places.items() for place in draw.sample(held, taken[name]))
    return [items[place] for place in chosen]


def _assigned(facts: Sequence[Fact], data: Origin | None) -> Assignment:
    """The rows of the file, if there is one, with the roles that they have."""
    if data is None:
        return Assignment(contamination=Contamination(len(facts)))
    found = assign(facts, read_rows(data), name_of(data))
    if not found.assigned:
        raise InputError(f"{name_of(data)}: no row is left to report on", hint=_why(found.contamination))
    return found


def _set_aside(facts: Sequence[Fact], assignment: Assignment, seed: int) -> tuple[list[Fact], list[Fact]]:
    """Facts to report on and facts to tune on; rather those that no row of the file asks for."""
    n = min(_TUNING, len(facts) // 5)
    wanted = {a.fact.id for a in assignment.assigned if a.fact is not None}
    free = [fact for fact in facts if fact.id not in wanted]
    pool = free if len(free) >= n else list(facts)
    tuning = stratified(pool, n, lambda fact: fact.group, seed)
    aside = {fact.id for fact in tuning}
    return [fact for fact in facts if fact.id not in aside], tuning


def _drawn(
    facts: Sequence[Fact], learned: Learned, from_rows: Sequence[Case], max_n: int | None, seed: int
) -> tuple[list[Case], list[str]]:
    """Every form, drawn by group; forms that the file lacks are made from the facts."""
    forms: dict[str, list[Case]] = {form: [] for form in _FORM_ORDER}
    for case in from_rows:
        forms.setdefault(case.form, []).append(case)
    forms[LEARNED] = _each_once([*forms[LEARNED], *recall_cases(facts, seed)])
    remarks = []
    if not any(case.role == "wording" for case in from_rows):
        forms[MADE_WORDINGS] = _enough(facts, max_n, seed, lambda fact: made_wording(fact, learned, seed))
        remarks.append("other wordings are made from the learned ones: they show robustness rather than generality")
    if not forms[NEAR_MISS]:
        forms[NEAR_MISS] = _enough(facts, max_n, seed, lambda fact: near_miss(fact, learned, seed))
        remarks.append(_near_misses_made(forms[NEAR_MISS]))
    drawn = {form: stratified(cases, max_n, lambda case: case.group, seed) for form, cases in forms.items()}
    remarks += [remark for form, cases in drawn.items() for remark in _remarks(form, cases, max_n)]
    return [case for cases in drawn.values() for case in cases], remarks


def _enough(facts: Sequence[Fact], n: int | None, seed: int, make: Callable[[Fact], Case | None]) -> list[Case]:
    """As many made cases as are wanted, from a drawn sample of the facts; where one gives none, another steps in."""
    sample = stratified(facts, n, lambda fact: fact.group, seed)
    drawn = {fact.id for fact in sample}
    others = [fact for fact in facts if fact.id not in drawn]
    Random(f"others {seed}").shuffle(others)
    return _each_once((case for fact in (*sample, *others) if (case := make(fact)) is not None), n)


def _each_once(cases: Iterable[Case], n: int | None = None) -> list[Case]:
    """Of cases that ask the same, the first; no more than n are looked for."""
    unique: dict[str, Case] = {}
    for case in cases:
        unique.setdefault(plain(case.text), case)
        if len(unique) == n:
            break
    return list(unique.values())


def _near_misses_made(cases: Sequence[Case]) -> str:
    if not cases:
        return "no near misses: no question names a thing whose name could be exchanged; give some with --data"
    ways = Counter(str(case.extra.get("made")) for case in cases)
    return f"near misses are made from learned questions, by {', '.join(sorted(ways))}"


def _remarks(form: str, cases: Sequence[Case], max_n: int | None) -> list[str]:
    """What makes the figures of a form weaker than they look."""
    found = []
    if cases and max_n is not None and len(cases) < max_n and form != NEARLY_LEARNED:
        found.append(f"{form}: {len(cases):,} cases, where {max_n:,} were asked for")
    right = {as_scored(case.answers[0]) for case in cases if case.answers}
    if len(cases) > 1 and len(right) == 1 and all(case.answers for case in cases):
        found.append(f"{form}: one class only, every answer is '{cases[0].answers[0]:.40}': to say it always is right")
    return found


def _wording(fact: Fact, seed: int) -> str:
    """One of the learned wordings; often there is one."""
    wordings = fact.wordings
    return wordings[0] if len(wordings) == 1 else Random(f"wording {seed} {fact.id}").choice(wordings)


def _case(assigned: Assigned) -> Case:
    row, fact = assigned.row, assigned.fact
    place = f"{row.where}{' locality' if row.locality else ''}"
    return Case(
        id=place,
        question=row.asked,
        answers=() if row.never else row.answers or ((fact.answer,) if fact else ()),
        form=_form(assigned),
        role=assigned.role,
        facts=(fact.id,) if fact else (),
        group=row.group or (fact.group if fact else None),
        options=row.options,
        extra={"where": row.where, **row.extra},
    )


def _form(assigned: Assigned) -> str:
    """The form that the row names, unless it is no generality that it would be counted as."""
    row: Row = assigned.row
    if assigned.role == "recall":
        return NEARLY_LEARNED if assigned.nearly else LEARNED
    if row.form:
        return row.form
    if assigned.role == "wording":
        return OTHER_WORDS
    return UNKNOWN if row.role == "held-out" or row.answers else NEAR_MISS


def _why(found: Contamination) -> str | None:
    reasons = [f"{len(places):,}: {reason}" for reason, places in found.left_out.items()]
    return "; ".join(reasons) or None
