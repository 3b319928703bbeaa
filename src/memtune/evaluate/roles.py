"""Every row gets the role that it has, not the one that it claims: recall, wording or held-out.

A row is `recall` when what it asks is a learned wording, as it stands, but for case and spacing, or nearly. It is
`wording` when it is about a learned fact in other words. It is `held-out` when neither its question nor its answer was
learned; a short answer alone ("yes", "in Paris") is shared by chance and says nothing. A file with rows that claim to
be held out and are not is refused. Rows that cannot be judged are left out, counted by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from memtune.core.facts import Fact
from memtune.errors import InputError
from memtune.evaluate.cases import Role
from memtune.evaluate.output import Sheet
from memtune.evaluate.overlap import KINDS, Hit, Texts, plain, tells
from memtune.evaluate.rows import Origin, Row, name_of, read_rows
from memtune.router.names import things

UNCLAIMED, LOCALITY = "no role named", "locality prompt"
_SHOWN, _NAMED = 5, 10

NOT_LEARNED = "its fact is not in the memory"
OTHER_ANSWER = "the memory holds another answer"
OTHER_FACT = "a learned wording of another fact"
UNNAMED = "something of it was learned, but which fact it asks for is not said"
FIRES_RIGHTLY = "must not fire, but asks for what was learned"
SAME_THING = "must not fire, but is about a thing that was learned"
TWICE = "asked before"
SILENT = "its fact is archived or not in force"
SET_ASIDE = "its fact was set aside to tune on"


@dataclass(frozen=True)
class Finding:
    """A row of which something was learned."""

    where: str
    asked: str
    claimed: str
    became: str
    """The role that it was given instead, or why it was left out."""
    question: Hit | None = None
    answer: Hit | None = None

    @property
    def hit(self) -> Hit:
        """What says most: the same words before near ones, the question before the answer."""
        found = [hit for hit in (self.question, self.answer) if hit is not None]
        return min(found, key=lambda hit: KINDS.index(hit.kind))

    def to_json(self) -> dict[str, object]:
        hits = {"question": self.question, "answer": self.answer}
        return {
            "where": self.where,
            "asked": self.asked,
            "claimed": self.claimed,
            "became": self.became,
            **{by: None if h is None else {"kind": h.kind, "id": h.id, "share": h.share} for by, h in hits.items()},
        }

    def __str__(self) -> str:
        by = "question" if self.hit is self.question else "answer"
        return f"{self.where} ({by}, {self.hit.kind}: {self.hit.id})"


@dataclass(frozen=True)
class Contamination:
    """What of the rows was learned, by the role that they claimed."""

    learned: int
    """Facts, or rows, that were compared with."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """By claimed role."""
    found: tuple[Finding, ...] = ()
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Places of rows that are not reported on, by reason."""

    def without(self, reason: str, places: Sequence[str]) -> Contamination:
        """The same, with these rows left out as well."""
        return replace(self, left_out={**self.left_out, reason: tuple(places)}) if places else self

    def count(self, claimed: str, by: str, kind: str) -> int:
        hits = [f.question if by == "question" else f.answer for f in self.found if f.claimed == claimed]
        return sum(hit is not None and hit.kind == kind for hit in hits)

    def contained(self, claimed: str) -> int:
        return sum(f.claimed == claimed for f in self.found)

    def to_json(self) -> dict[str, object]:
        return {
            "learned": self.learned,
            "roles": {
                claimed: {"rows": n, "contained": self.contained(claimed)}
                | {by: {kind: self.count(claimed, by, kind) for kind in KINDS} for by in ("question", "answer")}
                for claimed, n in self.rows.items()
            },
            "found": [f.to_json() for f in self.found],
            "left_out": {reason: list(places) for reason, places in self.left_out.items()},
        }

    def sheets(self) -> list[Sheet]:
        columns = ["claimed role", "rows", "learned", *(f"{by}: {k}" for by in ("question", "answer") for k in KINDS)]
        rows = [
            [claimed, f"{n:,}", f"{self.contained(claimed):,}"]
            + [f"{self.count(claimed, by, kind):,}" for by in ("question", "answer") for kind in KINDS]
            for claimed, n in self.rows.items()
        ]
        note = "\n".join([*self._learned_rows(), *self._left_out_rows()])
        return [Sheet(f"what of the rows was learned, beside {self.learned:,} facts", columns, rows, note)]

    def _learned_rows(self) -> list[str]:
        lines = [f"{found.claimed}, {found.became}: {found}" for found in self.found[:_NAMED]]
        return [*lines, f"and {len(self.found) - _NAMED:,} more"] if len(self.found) > _NAMED else lines

    def _left_out_rows(self) -> list[str]:
        lines = []
        for reason, places in self.left_out.items():
            named = ", ".join(places[:_SHOWN]) + " …" * (len(places) > _SHOWN)
            lines.append(f"left out, {len(places):,}: {reason} ({named})")
        return lines


@dataclass(frozen=True)
class Assigned:
    """A row with the role that it has, and the fact that it asks for."""

    row: Row
    role: Role
    fact: Fact | None = None
    nearly: bool = False
    """Its wording is nearly a learned one: neither recall of the learned wording nor other words."""


@dataclass(frozen=True)
class Assignment:
    assigned: tuple[Assigned, ...] = ()
    contamination: Contamination = field(default_factory=lambda: Contamination(0))


def assign(
    facts: Sequence[Fact], rows: Sequence[Row], name: str = "rows", *, silent: Sequence[Fact] = ()
) -> Assignment:
    """A role for each row; raises InputError, with the rows named, if some claim to be held out and are not. `silent`:
    facts that were learned and answer nothing now; rows about them have no role."""
    judge = _Judge(facts, silent)
    verdicts = [judge.row(row) for row in rows]
    found = tuple(v.finding for v in verdicts if v.finding is not None)
    _refuse_false_claims(found, sum(row.role == "held-out" for row in rows), name)
    left_out: dict[str, list[str]] = {}
    for row, verdict in zip(rows, verdicts, strict=True):
        if verdict.assigned is None:
            left_out.setdefault(verdict.reason, []).append(row.where)
    report = Contamination(
        learned=len(facts),
        rows=dict(Counter(map(_claim, rows))),
        found=found,
        left_out={reason: tuple(places) for reason, places in left_out.items()},
    )
    return Assignment(tuple(v.assigned for v in verdicts if v.assigned is not None), report)


def contained(train: Origin, gold: Origin) -> Contamination:
    """Which gold rows stand in the training rows, by question or by answer (a query is an answer too)."""
    learned, asked = read_rows(train), read_rows(gold)
    known = _Known(
        [(row.where, text) for row in learned for text in (row.asked, row.own) if text],
        [(row.where, text) for row in learned for text in row.said],
    )
    findings = []
    for row in asked:
        question, answer = known.of(row)
        if question or answer:
            findings.append(Finding(row.where, row.asked, "held-out", "contained", question, answer))
    return Contamination(len(learned), {"held-out": len(asked)}, tuple(findings))


def require_held_out(train: Origin, gold: Origin) -> None:
    """Raises InputError, with the rows named, if some of the gold rows stand in the training rows."""
    report = contained(train, gold)
    _refuse_false_claims(report.found, report.rows["held-out"], name_of(gold))


def _refuse_false_claims(found: Sequence[Finding], claims: int, name: str) -> None:
    false = [f for f in found if f.claimed == "held-out"]
    if not false:
        return
    shown = "; ".join(map(str, false[:_SHOWN]))
    more = f"; and {len(false) - _SHOWN} more" if len(false) > _SHOWN else ""
    raise InputError(
        f"{name}: {len(false)} of {claims} rows called held-out were learned: {shown}{more}",
        hint="take them out, or leave out their 'role': they are then counted as what they are",
    )


def _claim(row: Row) -> str:
    return LOCALITY if row.locality else row.role or UNCLAIMED


class _Known:
    """Wordings and answers that were learned."""

    def __init__(self, wordings: Iterable[tuple[str, str]], answers: Iterable[tuple[str, str]]) -> None:
        self.wordings = Texts(wordings)
        self.answers = Texts((owner, text) for owner, text in answers if tells(text))

    def of(self, row: Row) -> tuple[Hit | None, Hit | None]:
        """Where the row's question and its answers stand among them."""
        asked = (self.wordings.find(text) for text in (row.asked, row.own) if text)
        said = (self.answers.find(text) for text in row.said if tells(text))
        return _best(asked), _best(said)


def _best(hits: Iterable[Hit | None]) -> Hit | None:
    return min((hit for hit in hits if hit is not None), key=lambda hit: KINDS.index(hit.kind), default=None)


@dataclass(frozen=True)
class _Verdict:
    assigned: Assigned | None = None
    finding: Finding | None = None
    reason: str = ""
    """Why nothing was assigned."""


class _Judge:
    def __init__(self, facts: Sequence[Fact], silent: Sequence[Fact] = ()) -> None:
        self._facts = {fact.id: fact for fact in facts}
        self._silent = {fact.id for fact in silent}
        self._silent_wordings = Texts((fact.id, text) for fact in silent for text in fact.wordings)
        self._known = _Known(
            [(fact.id, text) for fact in facts for text in fact.wordings],
            [(fact.id, text) for fact in facts for text in _said(fact)],
        )
        self._things = {t.core.casefold() for fact in facts for text in fact.wordings for t in things(text)}
        self._asked: set[tuple[str, bool]] = set()

    def row(self, row: Row) -> _Verdict:
        claim = self._held_out(row) if row.role == "held-out" else None
        if claim is not None and claim.finding is not None:
            return claim
        seen = (plain(row.asked), row.never)
        if seen in self._asked:
            return _Verdict(reason=TWICE)
        self._asked.add(seen)
        verdict = claim or (self._must_not_fire(row) if row.never else self._about_a_fact(row))
        about_none = verdict.reason == NOT_LEARNED or (verdict.assigned and verdict.assigned.fact is None)
        return _Verdict(reason=SILENT) if about_none and self._is_silent(row) else verdict

    def _is_silent(self, row: Row) -> bool:
        """Whether the row asks for what was learned and answers nothing now."""
        texts = (text for text in (row.asked, row.own) if text)
        return row.fact in self._silent or any(self._silent_wordings.find(text) for text in texts)

    def _held_out(self, row: Row) -> _Verdict:
        question, answer = self._known.of(row)
        if question or answer:
            became = "refused" if row.role else UNNAMED
            return _Verdict(finding=Finding(row.where, row.asked, _claim(row), became, question, answer), reason=became)
        return _Verdict(Assigned(row, "held-out"))

    def _must_not_fire(self, row: Row) -> _Verdict:
        question = self._known.wordings.find(row.asked)
        if question:
            finding = Finding(row.where, row.asked, _claim(row), FIRES_RIGHTLY, question)
            return _Verdict(finding=finding, reason=FIRES_RIGHTLY)
        if row.locality and any(t.core.casefold() in self._things for t in things(row.asked)):
            return _Verdict(reason=SAME_THING)
        return _Verdict(Assigned(row, "held-out"))

    def _about_a_fact(self, row: Row) -> _Verdict:
        fact, hit = self._fact_of(row)
        if fact is None:
            return _Verdict(reason=NOT_LEARNED) if row.role or row.fact else self._held_out(row)
        if hit is not None and hit.id != fact.id:
            return _Verdict(finding=Finding(row.where, row.asked, _claim(row), OTHER_FACT, hit), reason=OTHER_FACT)
        if not row.form and row.answers and plain(fact.answer) not in map(plain, row.answers):
            return _Verdict(reason=OTHER_ANSWER)
        if hit is None:
            return _Verdict(Assigned(row, "wording", fact))
        finding = None if row.role == "recall" else Finding(row.where, row.asked, _claim(row), "recall", hit)
        return _Verdict(Assigned(row, "recall", fact, nearly=hit.kind == "near"), finding)

    def _fact_of(self, row: Row) -> tuple[Fact | None, Hit | None]:
        """The learned fact that a row is about, and the learned wording that it uses, if it does."""
        wordings = self._known.wordings
        hit = wordings.same(row.asked)
        if row.fact is not None:
            fact = self._facts.get(row.fact)
        elif row.own is not None:
            named = wordings.same(row.own)
            fact = self._facts[named.id] if named else None
        else:
            hit = hit or wordings.near(row.asked)
            fact = self._facts[hit.id] if hit else None
        if fact is not None and hit is None:
            hit = wordings.near(row.asked, of=(fact.id,))
        return fact, hit


def _said(fact: Fact) -> list[str]:
    """A fact's answer, others that are equally right, and the query that finds it."""
    listed = fact.extra.get("answers")
    others = listed if isinstance(listed, (list, tuple)) else ()
    texts = (fact.answer, *others, fact.extra.get("sql"), fact.extra.get("query"))
    return list(dict.fromkeys(text for text in texts if isinstance(text, str) and text.strip()))
