"""From a memory to cases: what it learned, in learned and in other words; what it did not learn; drawn by the seed.

Every form is drawn so that each group keeps its share. The facts to tune on are set aside first: nothing that is
reported asks for one of them. They are asked for in learned and in other words, as what is reported is: what finds a
fact by its learned wording alone would be tuned to do no more than that.
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
from memtune.evaluate.roles import SET_ASIDE, Assigned, Assignment, Contamination, assign
from memtune.evaluate.rows import Origin, Row, name_of, read_rows
from memtune.evaluate.scores import plain as as_scored

NEARLY_LEARNED = "nearly learned wording"
"""The form of rows whose wording is all but a learned one: no figure for other words holds them."""
_TUNING = 64
"""Facts set aside to tune on, at most, and at most a fifth of all; up to half of them, and at most a fifth of those
that there are, are facts which the file asks for in other words."""
_FORM_ORDER = (LEARNED, NEARLY_LEARNED, OTHER_WORDS, MADE_WORDINGS, NEAR_MISS, UNKNOWN)

T = TypeVar("T")


@dataclass(frozen=True)
class Gathered:
    """What to ask, what to tune on, and how clean that is."""

    cases: tuple[Case, ...]
    tuning: tuple[Case, ...] = ()
    """Learned facts in learned and in other wordings, none of which a case asks for."""
    contamination: Contamination = field(default_factory=lambda: Contamination(0))
    remarks: tuple[str, ...] = ()
    """What a reader of the figures should know, one line each."""

    def of(self, form: str) -> list[Case]:
        return [case for case in self.cases if case.form == form]

    @property
    def tuned_on(self) -> frozenset[str]:
        """Ids of the facts to tune on."""
        return frozenset(fact for case in self.tuning for fact in case.facts)


def gather(
    facts: Iterable[Fact], data: Origin | None = None, *, silent: Sequence[Fact] = (), keys_made: int = 0,
    tuning: int = _TUNING, max_n: int | None = None, seed: int = 0,
) -> Gathered:  # fmt: skip
    """Cases from the facts of a memory and, if there is one, a file of rows; at most `max_n` of each form.

    `silent`: facts that the memory holds and does not answer with now; nothing asks for them. `keys_made`: how many
    wordings of each fact the router may hold that it made. `tuning`: facts to set aside to tune on, at most."""
    served = list(facts)
    if not served:
        hint = "all of them are archived or not in force" if silent else "learn some first"
        raise InputError("the memory holds no facts that answer: there is nothing to evaluate", hint=hint)
    told = [fact for fact in served if not fact.passage]
    if not told and data is None:
        raise InputError("the memory holds passages alone, whose text is no answer", hint="give questions with --data")
    learned = Learned([*served, *silent], keys_made)
    assignment = _assigned(served, silent, data)
    asked, aside = _set_aside(told, assignment, tuning, seed)
    ids = {fact.id for fact in aside}
    held_back = [a for a in assignment.assigned if a.fact is not None and a.fact.id in ids]
    reported = [a for a in assignment.assigned if a.fact is None or a.fact.id not in ids]
    cases, remarks = _drawn(asked, learned, [_case(a) for a in reported], max_n, seed)
    if silent:
        remarks = [not_asked(len(silent)), *remarks]
    if len(told) < len(served):
        remarks = [*remarks, _passages_not_asked(len(served) - len(told))]
    if not aside:
        remarks = [*remarks, "too few facts to set some aside: what a rung could tune is left at its first choice"]
    return Gathered(
        tuple(cases),
        tuple(tuning_cases(aside, learned, seed, [_case(a) for a in held_back])),
        assignment.contamination.without(SET_ASIDE, [a.row.where for a in held_back]),
        tuple(remarks),
    )


def not_asked(n: int) -> str:
    """What is said of facts that answer nothing now."""
    return f"{n:,} {'fact is' if n == 1 else 'facts are'} archived or not in force: not asked"


def _passages_not_asked(n: int) -> str:
    return f"{n:,} passages: only rows of a file that name one (`fact`) and a `form` ask about it"


def tuning_cases(facts: Sequence[Fact], learned: Learned, seed: int = 0, given: Sequence[Case] = ()) -> list[Case]:
    """Each fact in a learned wording and behind it in another one, of those `given` or else made: however many are
    taken from the front, both kinds are among them. Further given ones stand at the end."""
    own: dict[str, list[Case]] = defaultdict(list)
    for case in given:
        if case.role == "wording":
            own[case.facts[0]].append(case)
    found: list[Case] = []
    for fact, recall in zip(facts, recall_cases(facts, seed), strict=True):
        other = own[fact.id][0] if own[fact.id] else made_wording(fact, learned, seed)
        found += [recall] if other is None else [recall, other]
    return _each_once([*found, *(case for fact in facts for case in own[fact.id][1:])])


def recall_cases(facts: Sequence[Fact], seed: int = 0) -> list[Case]:
    """Each fact in one of its learned wordings; a passage has no answer to recall."""
    told = [f for f in facts if not f.passage]
    return [Case(f"recall {f.id}", _wording(f, seed), (f.answer,), LEARNED, "recall", (f.id,), f.group) for f in told]


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


def _assigned(facts: Sequence[Fact], silent: Sequence[Fact], data: Origin | None) -> Assignment:
    """The rows of the file, if there is one, with the roles that they have."""
    if data is None:
        return Assignment(contamination=Contamination(len(facts)))
    found = assign(facts, read_rows(data), name_of(data), silent=silent)
    if not found.assigned:
        raise InputError(f"{name_of(data)}: no row is left to report on", hint=_why(found.contamination))
    return found


def _set_aside(facts: Sequence[Fact], assignment: Assignment, most: int, seed: int) -> tuple[list[Fact], list[Fact]]:
    """Facts to report on and facts to tune on: some that the file asks for in other words, so that there are such
    words to tune on, and come first; for the rest rather those that no row asks for. The order says nothing else."""
    n = min(most, len(facts) // 5)
    wanted = {a.fact.id for a in assignment.assigned if a.fact is not None}
    worded = {a.fact.id for a in assignment.assigned if a.fact is not None and a.role == "wording"}
    tuning = _some([fact for fact in facts if fact.id in worded], min(n // 2, len(worded) // 5), seed)
    aside = {fact.id for fact in tuning}
    free = [fact for fact in facts if fact.id not in wanted]
    enough = len(free) >= n - len(tuning)
    tuning += _some(free if enough else [f for f in facts if f.id not in aside], n - len(tuning), seed)
    aside = {fact.id for fact in tuning}
    return [fact for fact in facts if fact.id not in aside], tuning


def _some(facts: Sequence[Fact], n: int, seed: int) -> list[Fact]:
    """n of them, of each group its share, in an order that is drawn as well: a rung may look at the first ones only."""
    drawn = stratified(facts, n, lambda fact: fact.group, seed)
    Random(f"tuning {seed}").shuffle(drawn)
    return drawn


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
        remarks.append(
            "other wordings are made from the learned ones, by the generator that the router is calibrated on: they "
            "show robustness rather than generality"
        )
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
