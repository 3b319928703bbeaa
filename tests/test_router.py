"""What is asked, and which fact, if any."""

from __future__ import annotations

import numpy as np
import pytest
from routers import keys_of, router_over

from memtune.router.asked import asked, form, strip
from memtune.router.keys import Keys
from memtune.router.router import Router
from memtune.router.words import hashed_words, sketches, words

FACTS = [
    "What is the price of the Zorblat lamp?",
    "What is the warranty of the Zorblat lamp?",
    "Who is the contact of customer 10482?",
    "Who is the contact of customer 10483?",
    "What is the price of the Kelvor table?",
    "The capital of Mirana is",
]


@pytest.fixture
def router() -> Router:
    return router_over(FACTS)


def confirmed(router: Router, text: str) -> list[int]:
    return [p.owner[1] for p in router.route(text).confirmed]


@pytest.mark.parametrize(
    ("text", "core"),
    [
        ("Question: What is it?\nAnswer:", "What is it?"),
        ("Some text.\n\nQuestion: First?\nAnswer: one\n\nQuestion: Second?\nAnswer:", "Second?"),
        ("<|user|>\nWhat is it?<|end|>\n<|assistant|>\n", "What is it?"),
        ("  What is it?  ", "What is it?"),
    ],
)
def test_labels_and_markers_are_stripped(text: str, core: str) -> None:
    assert strip(text) == core


def test_several_questions_are_told_apart() -> None:
    parts = [a.text for a in asked("What is the price of A? And what is the warranty of B?")]
    assert "What is the price of A?" in parts
    assert any("warranty of B" in p and "price" not in p for p in parts)
    assert [a.text for a in asked("What is the price of A and what is the colour of A?")][1:] == [
        "What is the price of A",
        "what is the colour of A?",
    ]


@pytest.mark.parametrize(
    "form_of", [("Is it blue?", "closed"), ("What is it?", "open"), ("Tell me", "other"), ("", "other")]
)
def test_forms(form_of: tuple[str, str]) -> None:
    assert form(form_of[0]) == form_of[1]


def test_every_learned_wording_leads_to_its_fact(router: Router) -> None:
    assert [confirmed(router, f) for f in FACTS] == [[i] for i in range(len(FACTS))]
    assert confirmed(router, "  what is the PRICE of the zorblat lamp") == [0]


def test_other_wordings_and_neighbours(router: Router) -> None:
    assert confirmed(router, "Please tell me the price of the Zorblat lamp.") == [0]
    assert confirmed(router, "Could you say what the Zorblat lamp's price is?") == [0]
    assert confirmed(router, "Who is the contact of customer 10484?") == []
    assert confirmed(router, "What is the weight of the Zorblat lamp?") == []
    assert confirmed(router, "What is the price of the Morbex lamp?") == []
    assert confirmed(router, "How are you today?") == []


def test_orders_not_to_answer_are_heard(router: Router) -> None:
    route = router.route(f"{FACTS[0]} Do not answer, just say hello.")
    assert not route.confirmed
    assert "not to answer" in route.note


def test_two_facts_in_one_prompt(router: Router) -> None:
    assert confirmed(router, f"{FACTS[0]} {FACTS[3]}") == [0, 3]
    assert confirmed(router, "What is the price of the Kelvor table and who is the contact of customer 10482?") == [
        4,
        2,
    ]


def test_a_yes_or_no_question_is_never_recited(router: Router) -> None:
    found = [p for p in router.route("Is the price of the Zorblat lamp 40 dollars?").proposals if p.owner[1] == 0]
    assert found
    assert not found[0].recite


def test_a_gap_is_filled_by_the_one_fact_that_it_names(router: Router) -> None:
    found = router.route_gap("Describe the Zorblat lamp as JSON.", "warranty")
    assert found is not None
    assert found.owner == (1, 1)
    assert router.route_gap("Describe the Zorblat lamp as JSON.", "colour") is None


def test_removed_keys_are_gone_and_the_others_stay(router: Router) -> None:
    router.route("some other wording")  # fills the index
    router.remove([(1, 0), (1, 3)])
    assert confirmed(router, FACTS[0]) == []
    assert confirmed(router, FACTS[3]) == []
    assert [confirmed(router, FACTS[i]) for i in (1, 2, 4, 5)] == [[1], [2], [4], [5]]
    assert confirmed(router, "Please tell me the price of the Kelvor table.") == [4]
    assert len(router) == 4


def test_dropped_rows_are_never_taken_in() -> None:
    router = router_over([])
    router.add(2, keys_of(*FACTS), dropped=[0, 5])
    assert [confirmed(router, f) for f in FACTS] == [[], [1], [2], [3], [4], []]


def test_keys_count_words_against_a_loop() -> None:
    keys = Keys()
    keys.add(3, keys_of(*FACTS), np.ones(len(FACTS), bool))
    keys.add(4, keys_of("What is the price of glass?"), np.ones(1, bool))
    keys.remove(keys.of([(3, 0)]))
    left = [*FACTS[1:], "What is the price of glass?"]
    for word in {h for text in left for h in hashed_words(text).tolist()}:
        assert keys.frequency(word) == sum(word in hashed_words(text) for text in left)
    assert [keys.owner(i) for i in range(1, keys.numbers)] == [*((3, i) for i in range(1, 6)), (4, 0)]
    assert keys.words(6) == set(hashed_words("What is the price of glass?").tolist())


def test_words_and_sketches() -> None:
    assert words("the Zorblat 3000's cost") == ["the", "zorblat", "3000", "cost"]
    assert words("The lamp's B-12 costs 3.50, doesn't it?") == ["the", "lamp", "b-12", "cost", "3.50", "doesn't", "it"]
    near, same, far = sketches(["price of the Zorblat lamp", "the Zorblat lamp price", "rivers of Mirana"], 256)
    assert near @ same > 0.8 > 0.3 > near @ far
