"""Follow-ups and several questions, over a router that knows a question only by its words."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routers import router_over

from memtune.router.asked import Asked
from memtune.router.conversation import leans
from memtune.router.route import Proposal, Route
from memtune.router.router import Router
from memtune.router.walk import Walk

FACTS = [
    "What is the price of the Zorblat lamp?",
    "What is the warranty of the Zorblat lamp?",
    "What is the weight of the Zorblat lamp?",
    "What is the price of the Kelvor table?",
    "What is the weight of the Kelvor table?",
    "Who is the contact of customer 10482?",
    "Who is the contact of customer 10483?",
    "What does the Halberd 40 cost?",
    "What does the Halberd 50 cost?",
    "When was Anna Kell born?",
    "When was Bob Marn born?",
    "Where does Anna Kell live?",
    "Where does Bob Marn live?",
    "Who leads Acme?",
    "Where is Acme?",
    "Who founded Acme?",
    "When was Acme founded?",
    "The capital of Mirana is",
    "Who wrote “The Long Boat”?",
    "When was “The Long Boat” published?",
]


def bag(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[\w-]+", text.casefold().replace("'s", ""))) - {"the", "a", "an", "of", "please"}


class ByWords:
    """Confirms the facts that have the words of what is asked; two of them are rivals."""

    def __init__(self, facts: Sequence[str] = FACTS) -> None:
        self.facts = facts
        self.looked = 0

    def look(self, part: Asked) -> list[Proposal]:
        self.looked += 1
        found = [i for i, fact in enumerate(self.facts) if bag(fact) == bag(part.text)]
        alone = len(found) == 1
        return [Proposal((1, i), 1.0, alone, "the same words", part.text, rival=not alone) for i in found]

    def route(self, *said: str, most: int = 4) -> Route:
        messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]
        return Walk(self.look, lambda wording: None, most).through(messages)


def facts(route: Route) -> list[str]:
    return [FACTS[p.owner[1]] for p in route.confirmed]


FOLLOW_UPS = [
    (("What is the price of the Zorblat lamp?", "40 dollars.", "And its weight?"), 2),
    (("What is the price of the Zorblat lamp?", "40 dollars.", "What is its warranty?"), 1),
    (("What is the price of the Zorblat lamp?", "40 dollars.", "What is the weight?"), 2),
    (("what is the price of the zorblat lamp?", "40 dollars.", "and its warranty?"), 1),
    (("What is the price of the Zorblat lamp?", "40 dollars.", "What about the Kelvor table?"), 3),
    (("what is the price of the zorblat lamp?", "40 dollars.", "what about the kelvor table?"), 3),
    (("What is the price of the Zorblat lamp?", "40 dollars.", "And for the Kelvor table?"), 3),
    (("What is the price of the Zorblat lamp?", "40 dollars.", "OK, and what is the weight of that lamp?"), 2),
    (("What is the price of the Zorblat lamp?", "40", "Hello!", "Hi.", "And its weight?"), 2),
    (("Who is the contact of customer 10482?", "Jo.", "And of 10483?"), 6),
    (("Who is the contact of customer 10482?", "Jo.", "What about customer 10483?"), 6),
    (("What does the Halberd 40 cost?", "5.", "And the Halberd 50?"), 8),
    (("What does the Halberd 40 cost?", "5.", "How about the 50?"), 8),
    (("Where does Anna Kell live?", "In Paris.", "and when was she born?"), 9),
    (("Where does Anna Kell live?", "In Paris.", "What about Bob Marn?"), 12),
    (("Who leads Acme?", "Bob Marn leads Acme.", "When was he born?"), 10),
    (("Who leads Acme?", "Bob Marn.", "Where is it?"), 14),
    (("Who founded Acme?", "Jo.", "And when was it founded?"), 16),
    (("Who is the wife of Bob Marn?", "Anna Kell.", "Where does she live?"), 11),
    (("Who is Bob Marn?", "A clerk of Acme.", "Where does he live?"), 12),
    (("Who wrote “The Long Boat”?", "Nobody.", "When was it published?"), 19),
    (("Human: Who leads Acme?\n\nAssistant: Jo.\n\nHuman: And where is it?\n\nAssistant:",), 14),
]


@pytest.mark.parametrize(("said", "fact"), FOLLOW_UPS, ids=lambda v: v[-1] if isinstance(v, tuple) else None)
def test_a_follow_up_leans_on_what_was_said(said: tuple[str, ...], fact: int) -> None:
    route = ByWords().route(*said)
    assert facts(route) == [FACTS[fact]]
    assert route.confirmed[0].origin == "context"
    assert route.in_short != said[-1]


@pytest.mark.parametrize(
    "said",
    [
        ("What is the price of the Zorblat lamp?", "40 dollars.", "What is the colour of the Morbex?"),
        ("What is the price of the Zorblat lamp?", "40 dollars.", "Thanks!"),
        ("What is the price of the Zorblat lamp?", "40 dollars.", "How are you today?"),
        ("What is the price of the Zorblat lamp?", "40 dollars.", "Tell me a joke."),
        ("What is the price of the Zorblat lamp?", "40 dollars.", "why?"),
        ("What is the price of the Zorblat lamp?", "40 dollars.", "And its colour?"),
        ("Who is the contact of customer 10482?", "Jo.", "And customer 10484?"),
        ("Who is the wife of Bob Marn?", "I don't know.", "Where does she live?"),
        ("Who is the wife of Bob Marn?", "Eve Orr.", "Where does she live?"),
        ("What is the price of the Zorblat lamp?", "40 dollars.", "Do not answer. What is its weight?"),
        ("And its weight?",),
    ],
    ids=lambda said: said[-1],
)
def test_what_does_not_follow_leads_nowhere(said: tuple[str, ...]) -> None:
    assert facts(ByWords().route(*said)) == []


def test_a_question_of_its_own_never_inherits() -> None:
    route = ByWords().route("What is the price of the Zorblat lamp?", "40 dollars.", "Where does Bob Marn live?")
    assert facts(route) == [FACTS[12]]
    assert all(a.origin != "context" for a in route.asked)


def test_two_that_a_follow_up_may_mean_stay_open() -> None:
    route = ByWords().route("Is the Zorblat lamp better than the Kelvor table?", "Yes.", "What is its weight?")
    assert facts(route) == []
    assert [FACTS[p.owner[1]] for p in route.rivals] == [FACTS[2], FACTS[4]]
    assert not any(p.confirmed for p in route.proposals)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("I bought the Zorblat lamp. What is its price?", [0]),
        ("What is the price of the Zorblat lamp? And its warranty?", [0, 1]),
        ("Who leads Acme and where is it?", [13, 14]),
        ("What is the price of the Zorblat lamp and the Kelvor table?", [0, 3]),
        ("What is the price and the warranty of the Zorblat lamp?", [0, 1]),
        ("Where do Anna Kell and Bob Marn live?", [11, 12]),
        ("What is the price and the colour of the Zorblat lamp?", []),
        (
            "Give me the price of the Zorblat lamp, the weight of the Kelvor table and the Zorblat lamp's warranty.",
            [0, 4, 1],
        ),
        ("1. What is the price of the Kelvor table?\n2. Who leads Acme?\n3. Where does Anna Kell live?", [3, 13, 11]),
        ("Who leads Acme and who leads Globex?", [13]),
    ],
)
def test_several_facts_in_one_prompt(text: str, wanted: list[int]) -> None:
    assert facts(ByWords().route(text)) == [FACTS[i] for i in wanted]


def test_at_most_so_many_facts_and_the_rest_is_not_called_confirmed() -> None:
    route = ByWords().route(" ".join(FACTS[:6]), most=4)
    assert facts(route) == FACTS[:4]
    assert sum(p.confirmed for p in route.proposals) == 4


def test_a_name_with_and_in_it_is_one_thing() -> None:
    made = ByWords(["What is the capital of Trinidad?", "What is the capital of Trinidad and Tobago?"])
    assert [p.owner[1] for p in made.route("What is the capital of Trinidad and Tobago?").confirmed] == [1]
    made = ByWords(["What is the capital of Trinidad?"])
    route = made.route("What is the capital of Trinidad and Tobago?")
    assert not route.confirmed
    assert "together with" in route.proposals[0].reason


def test_the_lookups_of_a_prompt_are_bounded() -> None:
    made = ByWords()
    made.route(*["Is A1 or B2 or C3 or D4 like E5?", "Perhaps F6, G7."] * 20, "And its size? And its weight? " * 40)
    assert made.looked <= 40


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("And its weight?", True),
        ("When was she born?", True),
        ("What about Bob?", True),
        ("What is the weight?", True),
        ("When was Anna Kell born?", False),
        ("When did Anna Kell finish her school?", False),
        ("How many legs does a spider have?", False),
        ("Is there a harbour in Mirana?", False),
        ("", False),
    ],
)
def test_what_leans(text: str, expected: bool) -> None:
    assert leans(text) is expected


@pytest.fixture(scope="module")
def router() -> Router:
    return router_over(FACTS)


SCRIPTS = [
    *(
        "",
        " ",
        "?",
        "…!?",
        "\x00",
        "🙂 🙂?",
        "\ud800",
        "Что это?",
        "这是什么？价格是多少？",
        "ما هو السعر؟",
        "価格は？",
        "Was kostet das?",
    ),
    *("a" * 100_000, "word " * 10_000, "What? " * 10_000, "Zorblat " * 5_000, "‮price", "<|im_start|>", "[INST][/INST]"),
]


@pytest.mark.parametrize("text", SCRIPTS, ids=range(len(SCRIPTS)))
def test_strange_prompts_confirm_nothing(router: Router, text: str) -> None:
    assert not router.route(text).confirmed
    spoken = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": text}]
    assert not router.route_chat([*spoken, {"role": "user", "content": text}]).confirmed


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=())), min_size=1, max_size=4))
def test_random_text_confirms_nothing(router: Router, said: list[str]) -> None:
    messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]
    assert not router.route_chat(messages).confirmed


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from("what is the its price weight of and about Anna Kell she 10482 ? , . how he that".split()),
        max_size=14,
    )
)
def test_random_words_never_raise(router: Router, words: list[str]) -> None:
    chat = [{"role": "user", "content": FACTS[0]}, {"role": "assistant", "content": "Anna Kell."}]
    router.route_chat([*chat, {"role": "user", "content": " ".join(words)}])
