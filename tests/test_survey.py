"""The survey of an input against a slow model: a dict from wording to answer, filled line by line."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from memtune.core.facts import Fact, wording_hash
from memtune.store import Manifest
from memtune.survey import survey, trim

WORDINGS = st.sampled_from(["q1", "q2", "q3", "q4"])
ROWS = st.lists(st.tuples(WORDINGS, st.lists(WORDINGS, max_size=2), st.sampled_from(["a", "b"])), max_size=7)


class Folder:
    """As much of a memory folder as the survey asks for."""

    manifest = Manifest()

    def __init__(self, facts: list[Fact]) -> None:
        self.facts = facts

    def by_wording(self, hashes: list[int]) -> dict[int, tuple[str, str]]:
        held = {wording_hash(w): (f.id, f.answer) for f in self.facts for w in f.wordings}
        return {h: held[h] for h in hashes if h in held}

    def find(self, ids: list[str]) -> dict[str, Any]:
        return {f.id: None for f in self.facts if f.id in ids}


class Source(list[Fact]):
    pass


def facts_of(rows: list[tuple[str, list[str], str]], name: str) -> list[Fact]:
    return [Fact(f"{name}{i}", q, a, tuple(more)) for i, (q, more, a) in enumerate(rows)]


def after(old: list[Fact], new: list[Fact], on_conflict: str) -> list[Fact]:
    """The memory after learning, as the survey decides."""
    found = survey(Folder(old), Source(new), on_conflict, 2)  # type: ignore[arg-type]
    gone = {i for at, ids in found.superseded.items() if at not in found.left_out for i in ids}
    return [f for f in old if f.id not in gone] + [
        trim(f, found.trimmed.get(at, ())) for at, f in enumerate(new) if at not in found.left_out
    ]


def consistent(facts: list[Fact]) -> bool:
    """No wording leads to two answers, no question stands twice."""
    answers: dict[str, set[str]] = {}
    for fact in facts:
        for wording in fact.wordings:
            answers.setdefault(wording, set()).add(fact.answer)
    return all(len(said) == 1 for said in answers.values()) and len({f.id for f in facts}) == len(facts)


@example([("q1", ["q2"], "a")], [("q2", [], "b"), ("q1", [], "b"), ("q2", [], "a")])
@given(ROWS, ROWS)
def test_what_is_kept_never_contradicts_itself(first: list[Any], second: list[Any]) -> None:
    for on_conflict in ("keep-first", "keep-last"):
        old = after([], facts_of(first, "old"), on_conflict)
        assert consistent(old)
        assert consistent(after(old, facts_of(second, "new"), on_conflict))


@given(ROWS)
def test_the_last_row_stands_under_keep_last_and_the_first_under_keep_first(rows: list[Any]) -> None:
    facts = facts_of(rows, "f")
    for on_conflict, fact in (("keep-last", facts[-1:]), ("keep-first", facts[:1])):
        kept = after([], facts, on_conflict)
        for f in fact:
            assert {k.answer for k in kept if f.question in k.wordings} == {f.answer}


@given(ROWS)
def test_learning_the_same_again_changes_nothing(rows: list[Any]) -> None:
    for on_conflict in ("keep-first", "keep-last"):
        once = after([], facts_of(rows, "a"), on_conflict)
        questions = {f.question: f.answer for f in once}
        twice = after(once, facts_of(rows, "b"), on_conflict)
        assert {q: a for f in twice for q, a in [(f.question, f.answer)] if q in questions} == questions
