"""Facts: their wordings, their ids, and the rows that they come from and go to."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtune.core.facts import Fact, fact_id, normalise, wording_hash
from memtune.errors import InputError

TEXTS = st.text(min_size=1).map(str.strip).filter(bool)
ENCODABLE = st.text(st.characters(exclude_categories=("Cs",)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Who wrote Dune?", "who  wrote\tDUNE"),
        ("Who wrote Dune?", " Who wrote Dune ?! "),
        ("Straße", "STRASSE"),
        ("caf\u00e9", "cafe\u0301"),
        ("\uff21\uff22", "ab"),
        ("price:", "price"),
    ],
)
def test_wordings_that_are_the_same(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)
    assert wording_hash(one) == wording_hash(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Who wrote Dune?", "Who wrote Dune Messiah?"),
        ("price of A-1", "price of A1"),
        ("1.5", "15"),
        ("e", "\u00e9"),
    ],
)
def test_wordings_that_differ(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)
    assert wording_hash(one) != wording_hash(other)


@given(ENCODABLE)
def test_normalising_again_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)
    assert 0 <= wording_hash(text) < 1 << 64


def test_a_hash_is_the_same_in_every_process() -> None:
    """It is kept in memories."""
    assert wording_hash("Who wrote Dune?") == 17281559244235460280
    assert fact_id("Who wrote Dune?", "Frank Herbert") == "f946504930b32"


def test_wordings_come_once_and_the_learned_one_first() -> None:
    fact = Fact(id="x", question="A b?", answer="C", phrasings=("D", "a  B", "d!", "E"))
    assert fact.wordings == ("A b?", "D", "E")


@pytest.mark.parametrize("name", ["id", "question", "answer"])
@pytest.mark.parametrize("value", ["", " \n", None, 3])
def test_a_fact_needs_its_parts(name: str, value: Any) -> None:
    parts = {"id": "x", "question": "Q", "answer": "A", name: value}
    with pytest.raises(InputError, match=f"'{name}' is missing or empty"):
        Fact(**parts)


def test_facts_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Fact(id="x", question="Q", answer="A").answer = "B"  # type: ignore[misc]


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Q", "answer": "A"},
        {"prompt": "Q", "completion": "A"},
        {"prompt": " Q\n", "output": "\tA "},
        {"question": "Q", "prompt": None, "answer": None, "output": "A"},
    ],
)
def test_names_of_fields(row: dict[str, Any]) -> None:
    assert Fact.from_row(row) == Fact(id=fact_id("Q", "A"), question="Q", answer="A")


def test_numbers_are_answers_too() -> None:
    assert Fact.from_row({"question": "How many?", "answer": 42}).answer == "42"
    assert Fact.from_row({"question": "How much?", "answer": 2, "id": 7, "group": 1}).group == "1"
    with pytest.raises(InputError, match="write the number as text"):
        Fact.from_row({"question": "How much?", "answer": 2.50})


def test_of_several_right_answers_the_first_is_learned() -> None:
    for name in ("answer", "completion"):
        fact = Fact.from_row({"question": "Who?", name: ["Ann", "Anne"]})
        assert (fact.answer, fact.extra) == ("Ann", {"answers": ["Ann", "Anne"]})
        assert Fact.from_row(fact.to_row()) == fact
    assert Fact.from_row({"question": "Who?", "answer": ["Ann"]}).extra == {}


def test_a_prompt_beside_the_question_is_kept() -> None:
    fact = Fact.from_row({"prompt": "P", "question": "Q", "answer": "A", "output": "B"})
    assert (fact.question, fact.answer, fact.extra) == ("Q", "A", {"prompt": "P", "output": "B"})


def test_the_learned_wording_comes_first() -> None:
    fact = Fact.from_row({"question": "Q", "answer": "A", "phrasings": ["p1", "q?", "P1!"]})
    assert fact.wordings == ("Q", "p1")


def test_spaces_inside_an_answer_are_kept() -> None:
    assert Fact.from_row({"question": "Q", "answer": "a\n  b\t c \n"}).answer == "a\n  b\t c"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"answer": "A"}, "no 'question'"),
        ({"question": "Q"}, "no 'answer'"),
        ({"question": " ", "answer": "A"}, "'question' is empty"),
        ({"prompt": "Q", "output": ""}, "'output' is empty"),
        ({"question": "Q", "answer": True}, "'answer' must be text, not bool"),
        ({"question": "Q", "answer": {}}, "'answer' must be text, not dict"),
        ({"question": "Q", "answer": "A", "phrasings": "P"}, "'phrasings' must be a list"),
        ({"question": "Q", "answer": "A", "phrasings": {"P": 1}}, "'phrasings' must be a list"),
        ({"question": "Q", "answer": "A", "phrasings": [1]}, "'phrasings' must be a list"),
        ({"question": "Q", "answer": "A", "id": ""}, "'id' is missing or empty"),
    ],
)
def test_rows_that_are_no_facts(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        Fact.from_row(row)


@given(TEXTS, TEXTS)
def test_ids_come_from_the_normalised_question_and_the_exact_answer(question: str, answer: str) -> None:
    made = Fact.from_row({"question": question, "answer": answer})
    assert made.id == fact_id(f" {question.upper().lower()}" if question.isascii() else question, answer)
    assert made.id != fact_id(question, answer + "x")
    assert fact_id("Q1", "A") != fact_id("Q2", "A")


@given(
    st.builds(
        Fact,
        id=TEXTS,
        question=TEXTS,
        answer=TEXTS,
        phrasings=st.lists(TEXTS).map(tuple),
        source=st.none() | st.text(),
        group=st.none() | st.text(),
        extra=st.dictionaries(st.sampled_from(["year", "page", "tags"]), st.integers() | st.lists(st.text())),
    )
)
def test_a_row_and_back(fact: Fact) -> None:
    assert Fact.from_row(fact.to_row()) == fact
