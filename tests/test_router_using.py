"""Facts that a message needs without asking for them, and questions that only look as if they asked for one."""

from __future__ import annotations

import pytest
from routers import router_over

from memtune.config import RouterConfig
from memtune.router.asked import asked
from memtune.router.reading import Reading
from memtune.router.router import Router

HELD = {
    "When was the ferry Almora built?": "1820",
    "When was the ferry Bertol built?": "1854",
    "Who is the captain of the ferry Almora?": "Ines Korvin",
    "Who is the captain of the ferry Bertol?": "Tam Oldrey",
    "Where was Ines Korvin born?": "Vessing",
    "Who is the mayor of Vessing?": "Ulla Brandt",
    "How many cabins does the ferry Almora have?": "212",
    "What is the home port of the ferry Almora?": "Quillhaven",
    "How long is the warranty of the Flindorf Lamp?": "Two years.",
    "How much does the Flindorf Lamp weigh?": "900 grams",
}
QUESTIONS = list(HELD)


def over(config: RouterConfig | None = None, *, knowing: bool = True) -> Router:
    router = router_over(QUESTIONS, answers=list(HELD.values()), config=config)
    router.knowing = knowing
    return router


@pytest.fixture(scope="module")
def router() -> Router:
    return over()


def used(router: Router, text: str) -> set[str]:
    """What is used, none of which may be recited."""
    found = router.route(text).confirmed
    assert not any(p.recite for p in found)
    return {QUESTIONS[p.owner[1]] for p in found}


@pytest.mark.parametrize(
    "text",
    [
        "Was the ferry Almora built in 1820?",
        "Was the ferry Almora built in 1854?",  # a wrong value needs the fact as well
        "Is it true that the ferry Almora was built before 1900?",
        "Answer yes or no: was the ferry Almora built in 1822?",
    ],
)
def test_a_doubt_holds_the_wording(router: Router, text: str) -> None:
    assert used(router, text) == {"When was the ferry Almora built?"}


def test_a_value_behind_the_name_is_no_longer_name(router: Router) -> None:
    wanted = {"Who is the captain of the ferry Almora?"}
    assert used(router, "Is the captain of the ferry Almora Tam Oldrey?") == wanted
    assert used(router, "Is the captain of the ferry Almora Castle Tam Oldrey?") == set()


def test_a_comparison_needs_both(router: Router) -> None:
    both = {"When was the ferry Almora built?", "When was the ferry Bertol built?"}
    assert used(router, "Which ferry was built earlier, Almora or Bertol?") == both
    assert used(router, "Which ferry was built earlier, Almora or Castrin?") == set()


def test_one_fact_leads_to_the_next(router: Router) -> None:
    path = {"Who is the captain of the ferry Almora?", "Where was Ines Korvin born?"}
    assert used(router, "Where was the captain of the ferry Almora born?") == path
    why = {p.reason for p in router.route("Where was the captain of the ferry Almora born?").confirmed}
    assert "reached through the answer of another fact" in why


def test_no_further_than_max_hops() -> None:
    text = "Who is the mayor of the place where the captain of the ferry Almora was born?"
    assert used(over(RouterConfig(max_hops=3)), text) == {
        *("Who is the captain of the ferry Almora?", "Where was Ines Korvin born?", "Who is the mayor of Vessing?")
    }
    assert "Who is the mayor of Vessing?" not in {QUESTIONS[p.owner[1]] for p in over().route(text).confirmed}
    assert used(over(RouterConfig(max_hops=1)), "Where was the captain of the ferry Almora born?") == set()


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("Which ferry was built in 1854?", "When was the ferry Bertol built?"),
        ("Of which ferry is Tam Oldrey the captain?", "Who is the captain of the ferry Bertol?"),
        ("Which ferry has Quillhaven as its home port?", "What is the home port of the ferry Almora?"),
    ],
)
def test_the_other_way_round(router: Router, text: str, fact: str) -> None:
    assert used(router, text) == {fact}
    assert router.route(text).confirmed[0].reason == "its answer stands in the message"


def test_what_a_text_shall_mention(router: Router) -> None:
    text = "Write a short notice on the ferry Almora that names the captain, the home port and the cabins."
    assert used(router, text) == {
        *("Who is the captain of the ferry Almora?", "What is the home port of the ferry Almora?"),
        "How many cabins does the ferry Almora have?",
    }
    assert used(router, text.replace("Almora", "Castrin")) == set()


@pytest.mark.parametrize(
    "text",
    [
        "Was the ferry Castrin built in 1820?",
        "Was the sister ship of the ferry Almora built in 1820?",
        "Was the ferry Almora Queen built in 1820?",
        "Was the ferry Almora's engine built in 1820?",
        "Was the ferry Almora painted in 1820?",
        "Where was the mother of the captain of the ferry Almora born?",
        "Where was the captain of the ferry Castrin born?",
        "Which ferry was scrapped in 1854?",
        "Which ferry was built in 1855?",
        "Who is the captain of Tam Oldrey?",
        "The ferry Almora was built in 1820 and sails well.",
        "Write a poem about the sea.",
        "How are you today?",
    ],
)
def test_near_misses_use_nothing(router: Router, text: str) -> None:
    assert used(router, text) == set()


def test_nothing_is_used_where_no_kind_knows() -> None:
    plain = over(knowing=False)
    for text in ("Which ferry was built in 1854?", "Where was the captain of the ferry Almora born?"):
        assert not plain.route(text).confirmed
    assert not used(plain, "Which ferry was built earlier, Almora or Bertol?")


def test_what_is_learned_later_or_taken_out_is_known(router: Router) -> None:
    own = over()
    assert used(own, "Which ferry was built in 1854?")
    own.remove([(1, QUESTIONS.index("When was the ferry Bertol built?"))])
    assert not used(own, "Which ferry was built in 1854?")


def test_a_list_of_questions_uses_more_facts_than_are_recited() -> None:
    text = "\n".join(QUESTIONS[:8])
    assert len(asked(text)) > 8
    found = over().route(text).confirmed
    assert [p.recite for p in found] == [True] * 4 + [False] * 4
    assert len(over(knowing=False).route(text).confirmed) == 4
    assert len(over(RouterConfig(max_used=6)).route(text).confirmed) == 6


@pytest.mark.parametrize("knowing", [True, False])
def test_a_question_that_leaves_out_what_it_asks_for_recites_nothing(knowing: bool) -> None:
    own = over(knowing=knowing)
    assert not own.route("How long is the Flindorf Lamp?").confirmed
    found = own.route("How long is the Flindorf Lamp?").proposals
    assert "leaves out" in next(p.reason for p in found if QUESTIONS[p.owner[1]].startswith("How long is the warranty"))
    assert [p.owner[1] for p in own.route("Tell me how long the warranty of the Flindorf Lamp is.").confirmed] == [8]


def test_what_belongs_to_the_answer_is_not_the_answer() -> None:
    own = over(knowing=False)
    assert not own.route("Where was the mother of the captain of the ferry Almora born?").confirmed
    assert not own.route("Where was the captain of the ferry Almora born?").confirmed
    assert not own.route("What is the name of the captain's mother on the ferry Almora?").confirmed


def test_a_message_is_read_word_by_word() -> None:
    reading = Reading.of("I like ships. Was the Almora Queen, built by Ines Korvin, 30 metres long?")
    assert reading.closed
    assert [" ".join(t.text for t in run) for run in reading.names] == ["Almora Queen", "Ines Korvin", "30"]
    assert "Ines Korvin" in [text for text, _ in reading.spans()]
    assert len(reading.asking) == 1
    assert Reading.of("Nothing is asked.").said == ()
