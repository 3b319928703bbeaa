"""Wordings that are made: others than the question, of the same numbers, the same ones each time."""

from __future__ import annotations

import re
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtune.core.facts import Fact, normalise
from memtune.router.augment import made, slipped
from memtune.router.entries import Entry
from memtune.router.keys import GIVEN, MADE, NEVER

QUESTIONS = [
    "What is the price of the Zorblat lamp?",
    "Who was the founder of Mirana in 1904?",
    "How many rooms are in house 12?",
    "How 7 is the Halberd 40 of 50?",
    "Please tell me the weight of item 3.50",
    "When was Bo born?",
    "Balloon committee bookkeeper?",
]
WORDS = ["what", "who", "how", "many", "is", "are", "the", "of", "in", "for", "Zorblat", "lamp", "committee", "10483",
         "3.50", "B-12", "Müller's", "‘x’", "{}", "?"]  # fmt: skip
ANY = st.one_of(
    st.sampled_from(QUESTIONS), st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join), st.text(max_size=60)
)


def digits(text: str) -> Counter[str]:
    return Counter(re.findall(r"\d", text))


@given(ANY, st.integers(0, 2**30), st.integers(0, 8))
def test_what_is_made_is_new_bounded_and_of_the_same_numbers(question: str, seed: int, most: int) -> None:
    found = made(question, seed=seed, most=most)
    assert len(found) <= most
    assert len(set(found)) == len(found)
    assert question not in found
    assert all(text.strip() and digits(text) == digits(question) for text in found)
    assert made(question, seed=seed, most=most) == found


@given(ANY, st.integers(0, 2**30))
def test_a_slip_changes_one_word_without_digits_or_nothing(question: str, seed: int) -> None:
    found = slipped(question, Random(seed))
    assert slipped(question, Random(seed)) == found
    before, after = question.split(), found.split()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    if any(len(word) >= 6 and word.isalpha() for word in before):
        [(old, new)] = changed
        assert old.isalpha()
        assert abs(len(old) - len(new)) <= 1
    else:
        assert found == question


def test_what_is_made_of_a_common_question() -> None:
    found = made(QUESTIONS[0])
    assert {"the price of the Zorblat lamp", "the Zorblat lamp's price", "The price of the Zorblat lamp is"} <= {*found}
    assert len({text for seed in range(20) for text in made(QUESTIONS[0], seed=seed)}) > len(found)


@pytest.mark.parametrize("most", [0, 3, 6])
def test_made_keys_are_no_wordings_that_the_fact_has(most: int) -> None:
    fact = Fact(
        "f", QUESTIONS[0], "40", phrasings=("the price of the Zorblat lamp",), never=("the Zorblat lamp's price",)
    )
    entry = Entry.of(fact, most)
    assert [(w.text, w.tag) for w in entry.wordings if w.tag != MADE] == [
        (QUESTIONS[0], GIVEN),
        (fact.phrasings[0], GIVEN),
        (fact.never[0], NEVER),
    ]
    texts = [normalise(w.text) for w in entry.wordings]
    assert len(set(texts)) == len(texts)
    assert (len(texts) > 3) == (most > 0)
