"""Facts that a message needs without asking for them, and questions that only look as if they asked for one."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
from routers import router_over

from memtune import MemoryModel
from memtune.config import RouterConfig
from memtune.core.backbone import Backbone
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


HOPS = {
    "Who founded the company Orvenna?": "Mirel Tosk",
    "How many people work at Orvenna?": "64",
    "Where did Mirel Tosk study?": "Kelbrun",
    "Who tends the garden Lumara?": "Ansa Vrelk",
    "Where did Ansa Vrelk study?": "Dorrim",
    "Who is the rector of Dorrim?": "Pell Hanrik",
    "Who is the trainer of the club Tavix?": "Bor Selkin",
    "Who is the president of the club Tavix?": "Nia Gorst",
    "Where did Bor Selkin study?": "Fessel",
    "Where did Nia Gorst study?": "Ymburg",
    "Who is the husband of Mirel Tosk?": "Odo Fenn",
    "Where did Odo Fenn study?": "Rasko",
}
HOP_QUESTIONS = list(HOPS)


def hopping(max_hops: int = 2) -> Router:
    router = router_over(HOP_QUESTIONS, answers=list(HOPS.values()), config=RouterConfig(max_hops=max_hops))
    router.knowing = True
    router.fact_of = lambda owner: (HOP_QUESTIONS[owner[1]], HOPS[HOP_QUESTIONS[owner[1]]])
    return router


@pytest.fixture(scope="module")
def hops() -> Router:
    return hopping()


def hopped(router: Router, text: str) -> set[str]:
    found = router.route(text).confirmed
    assert not any(p.recite for p in found)
    return {HOP_QUESTIONS[p.owner[1]] for p in found}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        # "caretaker" is no word of "Who tends the garden Lumara?", and nothing else leads on from there
        ("Where did the caretaker of the garden Lumara study?", ("Who tends", "Where did Ansa")),
        ("Where did the caretaker of Lumara study?", ("Who tends", "Where did Ansa")),
        ("Where did the garden Lumara's caretaker study?", ("Who tends", "Where did Ansa")),
        ("Where did the Lumara caretaker study?", ("Who tends", "Where did Ansa")),
        ("Please tell me where the caretaker of the garden Lumara studied.", ("Who tends", "Where did Ansa")),
        # of two that lead on, the word decides
        ("Where did the coach of the club Tavix study?", ("Who is the trainer", "Where did Bor")),
        ("Where did the chair of the club Tavix study?", ("Who is the president", "Where did Nia")),
    ],
)
def test_an_answer_stands_for_who_is_meant(hops: Router, text: str, path: tuple[str, str]) -> None:
    assert hopped(hops, text) == {q for q in HOP_QUESTIONS if q.startswith(path)}
    why = {p.reason for p in hops.route(text).confirmed}
    assert why == {"the message names what it is about", "reached through the answer of another fact"}


@pytest.mark.parametrize(
    "text",
    [
        "Where did the caretaker of the garden Kelmora study?",  # nobody knows that garden
        "Where did the caretaker of Lumara Zerrin study?",  # the name goes on
        "Where did the mother of Ansa Vrelk study?",
        "Where did the mother of Mirel Tosk study?",  # her husband is known, and where he studied
        "Where did the mother of the caretaker of the garden Lumara study?",
        "Where did the caretaker's mother at the garden Lumara study?",
        "Where did the former caretaker of Lumara study?",
        "Where did the garden Lumara study?",
        "Where did the accountant of the club Tavix study?",  # one of two, and nothing says which
        "Where is the caretaker of the garden Lumara?",
    ],
)
def test_what_no_answer_stands_for_uses_nothing(hops: Router, text: str) -> None:
    assert hopped(hops, text) == set()


def test_answers_are_put_in_one_after_the_other_up_to_max_hops() -> None:
    text = "Where did the spouse of the founder of Orvenna study?"
    path = {"Who founded the company Orvenna?", "Who is the husband of Mirel Tosk?", "Where did Odo Fenn study?"}
    assert hopped(hopping(3), text) == path
    shorter = {HOP_QUESTIONS[p.owner[1]] for p in hopping(2).route(text).confirmed}
    assert not shorter & {"Where did Mirel Tosk study?", "Where did Odo Fenn study?"}
    assert hopped(hopping(1), "Where did the caretaker of the garden Lumara study?") == set()


def test_without_the_facts_themselves_no_answer_is_put_in() -> None:
    own = router_over(HOP_QUESTIONS, answers=list(HOPS.values()))
    own.knowing = True
    assert not hopped(own, "Where did the caretaker of the garden Lumara study?")


def test_a_text_that_lists_what_words_do_not_tell_may_use_all_that_is_known(router: Router) -> None:
    text = "Write a short notice on the ferry Almora that names the skipper, the harbour and the year."
    assert used(router, text) == {q for q in QUESTIONS if "Almora" in q}
    assert used(router, text.replace("ferry", "theatre")) == set()
    assert used(router, text.replace("Almora", "Almora Queen")) == set()
    assert used(router, "Write a short notice on the ferry Almora.") == set()


def test_a_wording_that_is_looked_at_again_is_the_same() -> None:
    """Wordings are kept taken apart; what is a name in one message is none in the next."""
    holding = over().matcher.holding
    plain = holding.wording(0, frozenset())
    named = holding.wording(0, plain.plain)
    assert named.names == plain.names | plain.plain
    assert not named.plain
    assert holding.wording(0, frozenset()) == plain


def test_a_memory_says_what_its_facts_answer(tmp_path: Path) -> None:
    """The router asks for the few facts that may lead on; one that does not hold leads nowhere."""
    backbone = Backbone(tiny.model(), tiny.tokenizer())
    rows = [{"id": f"f{n}", "question": q, "answer": a} for n, (q, a) in enumerate(list(HOPS.items())[3:5])]
    with MemoryModel(backbone, tmp_path / "memory") as llm:
        llm.learn(rows, kind="kv")
        answering = llm.memory.answering
        found = answering.route("Where did the caretaker of the garden Lumara study?").confirmed
        assert {answering.describe(p.owner)[0] for p in found} == {"f0", "f1"}
        llm.forget("f0")
        assert not answering.route("Where did the caretaker of the garden Lumara study?").confirmed
