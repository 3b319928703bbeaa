"""From a memory's facts, and rows, to cases: what is asked, in which role, and that nothing tuned on is reported."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from memtune.core.facts import Fact, normalise
from memtune.errors import InputError
from memtune.evaluate.cases import LEARNED, NEAR_MISS, OTHER_WORDS, UNKNOWN, Case, Said
from memtune.evaluate.gather import NEARLY_LEARNED, Gathered, gather, recall_cases, stratified
from memtune.evaluate.made import MADE_WORDINGS, Learned, made_wording, near_miss
from memtune.evaluate.roles import SET_ASIDE, SILENT
from memtune.evaluate.scores import Figures, says_unknown, score
from memtune.router.augment import made

PEOPLE = [f"{first} {last}" for first in "Mira Anton Selma Bo Ines".split() for last in "Talen Dahl Orsk Veil".split()]
ASKED = {"born": "Where was {} born?", "work": "Which company does {} work for?", "pet": "What is the pet of {}?"}
FACTS = [
    Fact(f"{relation}-{n}", text.format(name), f"{relation} answer {n}", group=relation)
    for n, name in enumerate(PEOPLE)
    for relation, text in ASKED.items()
    if relation != "pet" or n % 2
]
ITEMS = [Fact(f"item-{n}", f"What does item {10400 + 7 * n} cost?", f"{n} dollars") for n in range(30)]


def forms(found: Gathered) -> Counter[str]:
    return Counter(case.form for case in found.cases)


def test_without_a_file_wordings_and_near_misses_are_made() -> None:
    found = gather(FACTS)
    asked = len(FACTS) - len(found.tuned_on)
    made = len(found.of(NEAR_MISS))
    assert forms(found) == {LEARNED: asked, MADE_WORDINGS: asked, NEAR_MISS: made}
    assert asked / 2 < made <= asked  # of two that ask the same, one
    assert {c.role for c in found.of(MADE_WORDINGS)} == {"wording"}
    assert {(c.role, c.answers, c.facts) for c in found.of(NEAR_MISS)} == {("held-out", (), ())}
    assert any("made from the learned ones" in remark for remark in found.remarks)
    assert len({case.id for case in found.cases}) == len(found.cases)


def test_no_case_asks_for_a_fact_that_is_tuned_on() -> None:
    found = gather(FACTS)
    assert len(found.tuned_on) == len(FACTS) // 5
    assert found.tuned_on.isdisjoint(fact for case in found.cases for fact in case.facts)
    tuned = {case.text for case in found.tuning}
    assert tuned.isdisjoint(case.text for case in found.cases)


def test_what_is_tuned_on_is_asked_in_learned_and_in_other_words_from_the_front_on() -> None:
    """Else whatever finds a fact by its learned wording alone would look as good as anything."""
    found = gather(FACTS, seed=2)
    assert [case.role for case in found.tuning] == ["recall", "wording"] * (len(FACTS) // 5)
    assert all(a.facts == b.facts for a, b in zip(found.tuning[::2], found.tuning[1::2], strict=True))
    assert len({case.group for case in found.tuning[:10]}) > 1  # they do not stand in the order of the file
    assert gather(FACTS, seed=3).tuning != found.tuning
    phrased = [Fact(f.id, f.question, f.answer, (f"Now: {f.question}", f"Say: {f.question}")) for f in FACTS]
    first = {case.facts: case.text for case in recall_cases(phrased, 0)}
    assert any(case.text != first[case.facts] for case in gather(phrased, seed=5).tuning if case.role == "recall")


def test_a_files_own_wordings_are_tuned_on_where_their_facts_were_set_aside_and_that_is_said() -> None:
    rows = [row(n) for n in range(len(FACTS))] + [row(n, asked=f"And again {n}?") for n in range(len(FACTS))]
    found = gather(FACTS, rows)
    own = [case for case in found.tuning if case.extra.get("where")]
    assert [case.role for case in found.tuning[:8]] == ["recall", "wording"] * 4
    assert len(own) == 2 * len(found.tuned_on)
    assert not {case.text for case in own} & {case.text for case in found.cases}
    left = found.contamination.left_out[SET_ASIDE]
    assert sorted(left) == sorted(case.extra["where"] for case in own)
    assert SET_ASIDE in found.contamination.sheets()[0].note
    assert SET_ASIDE not in gather(FACTS, [row(0)]).contamination.left_out


def test_nothing_is_set_aside_where_others_tune() -> None:
    found = gather(FACTS, [row(n) for n in range(len(FACTS))], tuning=0)
    assert not found.tuning
    assert len(found.of(OTHER_WORDS)) == len(FACTS)


def test_facts_that_answer_nothing_now_are_not_asked_and_rows_about_them_left_out() -> None:
    silent = [Fact("gone", "Who is the mayor of Quillport?", "Ada Veil"), *FACTS[:2]]
    rows = [
        {"question": "Who is the mayor of Quillport?", "answer": "Ada Veil", "role": "held-out"},
        {"asked": "Quillport's mayor", "fact": "gone"},
        {"question": "who is the mayor of quillport", "never": True},
        row(5),
    ]
    found = gather(FACTS[2:], rows, silent=silent)
    assert found.contamination.left_out[SILENT] == ("row 1", "row 2", "row 3")
    assert "3 facts are archived or not in force: not asked" in found.remarks
    asked = {normalise(case.text) for case in (*found.cases, *found.tuning)}
    assert not asked & {normalise(fact.question) for fact in silent}
    with pytest.raises(InputError, match="holds no facts") as error:
        gather([], silent=silent)
    assert "archived" in str(error.value.hint)


def test_the_seed_decides_everything() -> None:
    assert gather(FACTS, max_n=9, seed=3) == gather(FACTS, max_n=9, seed=3)
    assert gather(FACTS, max_n=9, seed=3).cases != gather(FACTS, max_n=9, seed=4).cases


@pytest.mark.parametrize("n", [0, 1, 7, 20, 49])
def test_a_drawn_sample_keeps_every_groups_share(n: int) -> None:
    groups = ["a"] * 30 + ["b"] * 15 + ["c"] * 5
    items = list(enumerate(groups))
    drawn = stratified(items, n, lambda item: item[1], seed=1)
    assert len(drawn) == n
    assert drawn == sorted(drawn)
    taken = Counter(group for _, group in drawn)
    for group, size in Counter(groups).items():
        assert abs(taken[group] - n * size / 50) < 1


def test_more_than_there_is_is_everything() -> None:
    assert stratified([1, 2], 5, lambda _: None, 0) == [1, 2] == stratified([1, 2], None, lambda _: None, 0)


# ---- made cases -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_near_misses_ask_what_was_not_learned(seed: int) -> None:
    learned = Learned([*FACTS, *ITEMS])
    wordings = {normalise(fact.question) for fact in learned.facts}
    misses = [case for fact in learned.facts if (case := near_miss(fact, learned, seed))]
    assert {case.extra["made"] for case in misses} == {
        *("another name", "another digit", "another relation", "nothing asked for")
    }
    assert len(misses) >= 0.9 * len(learned.facts)
    names = {name.casefold() for name in PEOPLE}
    for case in misses:
        assert normalise(case.text) not in wordings
        held = [name for name in names if name in case.text.casefold()]
        assert bool(held) == (case.extra["made"] in ("another relation", "nothing asked for"))


def test_another_relation_is_one_that_the_thing_lacks_and_others_have_beside_it() -> None:
    learned = Learned(FACTS)
    for seed in range(5):
        for fact in FACTS:
            case = near_miss(fact, learned, seed)
            if case and case.extra["made"] == "another relation":
                assert case.text.startswith("What is the pet of")
                assert fact.id.split("-")[1] in {str(n) for n in range(0, 20, 2)}


def test_another_name_is_no_slip_of_a_learned_one() -> None:
    facts = [
        Fact(str(n), f"Who owns {name}?", str(n)) for n, name in enumerate(["Booker", "Bookers", "Bookery", "Zilt"])
    ]
    learned = Learned(facts)
    texts = {case.text for fact in facts for seed in range(30) if (case := near_miss(fact, learned, seed))}
    assert texts
    assert not [text for text in texts if "book" in text.casefold() and "er" in text[9:]]


def test_a_date_beside_a_name_is_left_as_it_is() -> None:
    fact = Fact("a", "What did Mira Talen write in 1958?", "A letter")
    assert near_miss(fact, Learned([fact]), 0) is None


def test_made_wordings_are_none_that_were_learned() -> None:
    facts = [Fact("a", "What is the price of tea?", "1"), Fact("b", "The price of tea is", "1")]
    learned = Learned(facts)
    found = {made_wording(facts[0], learned, seed).text for seed in range(40)}  # type: ignore[union-attr]
    assert len(found) > 2
    assert not {normalise(text) for text in found} & {normalise(fact.question) for fact in facts}


def test_made_wordings_are_none_that_the_router_makes_into_keys() -> None:
    keys = {normalise(text) for fact in FACTS for text in made(fact.question, most=4)}
    asked = {normalise(case.text) for case in gather(FACTS, keys_made=4).of(MADE_WORDINGS)}
    assert len(asked) > 30
    assert not asked & keys
    assert keys & {normalise(case.text) for case in gather(FACTS).of(MADE_WORDINGS)}


def test_made_wordings_are_drawn_by_another_seed_than_the_routers_and_the_remark_names_the_generator() -> None:
    by_router = {text for fact in FACTS for text in made(fact.question)}
    polite = [
        case.text for case in gather(FACTS).of(MADE_WORDINGS) if "please" in case.text.casefold() or "you" in case.text
    ]
    assert len(polite) > 3
    assert set(polite) - by_router
    assert any("the generator that the router is calibrated on" in remark for remark in gather(FACTS).remarks)


def test_where_nothing_can_be_exchanged_it_is_said() -> None:
    found = gather([Fact(str(n), f"how {'very ' * n}tall are they", str(n)) for n in range(6)])
    assert not found.of(NEAR_MISS)
    assert any("no near misses" in remark for remark in found.remarks)


# ---- rows -----------------------------------------------------------------------------------------------------------


def row(n: int, **changes: Any) -> dict[str, Any]:
    fact = FACTS[n]
    return {
        "question": fact.question,
        "answer": fact.answer,
        "asked": f"Tell about {fact.question[6:-1]} {n}",
        **changes,
    }


def test_rows_become_cases_of_their_own_forms() -> None:
    found = gather(
        FACTS,
        [
            row(0),
            row(1, form="in passing"),
            row(2, asked=FACTS[2].question),
            row(3, asked=f"Please, {FACTS[3].question}", role="wording", form="in passing"),
            {"question": "Who is the mayor of the Moon?", "never": True},
            {"question": "Who rules the Sun?", "role": "held-out", "answer": "Nobody does"},
        ],
    )
    by_id = {case.id: case for case in found.cases}
    assert (by_id["row 1"].form, by_id["row 1"].facts) == (OTHER_WORDS, (FACTS[0].id,))
    assert by_id["row 2"].form == "in passing"
    assert (by_id["row 3"].form, by_id["row 3"].role) == (LEARNED, "recall")
    assert (by_id["row 4"].form, by_id["row 4"].role) == (NEARLY_LEARNED, "recall")
    assert (by_id["row 5"].form, by_id["row 5"].answers) == (NEAR_MISS, ())
    assert (by_id["row 6"].form, by_id["row 6"].answers) == (UNKNOWN, ("Nobody does",))
    assert MADE_WORDINGS not in forms(found)
    assert len(found.of(NEAR_MISS)) == 1


def test_no_figure_for_other_words_holds_a_learned_wording() -> None:
    """Whatever the rows claim."""
    learned = {normalise(fact.question) for fact in FACTS}
    claims: list[dict[str, Any]] = [{}, {"role": "recall"}, {"role": "wording"}, {"role": "wording", "form": "x"}]
    rows = [row(n, asked=FACTS[n].question.upper(), **claim) for n, claim in enumerate(claims)]
    found = gather(FACTS, [*rows, row(9)])
    assert not [c for c in found.cases if c.role != "recall" and normalise(c.text) in learned]
    assert len([c for c in found.cases if c.role == "recall"]) == len(found.of(LEARNED))
    assert len({normalise(c.text) for c in found.of(LEARNED)}) == len(found.of(LEARNED))


def test_few_facts_that_rows_ask_for_are_tuned_on() -> None:
    rows = [row(n) for n in range(20)]
    found = gather(FACTS, rows)
    assert len(found.of(OTHER_WORDS)) == 16  # but for a fifth of them, so that there are such words to tune on
    assert len(found.tuned_on) == len(FACTS) // 5
    assert len(gather(FACTS, rows[:4]).of(OTHER_WORDS)) == 4
    every = gather(FACTS, [row(n) for n in range(len(FACTS))])
    assert len(every.of(OTHER_WORDS)) == len(FACTS) - len(every.tuned_on)


def test_fewer_rows_than_asked_for_and_one_class_only_are_said() -> None:
    rows = [{**row(n), "form": "yes/no", "answer": "yes"} for n in range(4)]
    found = gather(FACTS, rows, max_n=6)
    assert "yes/no: 4 cases, where 6 were asked for" in found.remarks
    assert any("yes/no: one class only" in remark for remark in found.remarks)
    assert not any("one class only" in remark for remark in gather(FACTS, max_n=6).remarks)


def test_nothing_to_report_on_is_an_error() -> None:
    with pytest.raises(InputError, match="holds no facts"):
        gather([])
    with pytest.raises(InputError, match="no row is left") as error:
        gather(FACTS, [{"asked": "What?", "fact": "nothing"}])
    assert "1: its fact is not in the memory" in str(error.value.hint)


def test_few_facts_are_all_reported_on() -> None:
    found = gather(FACTS[:4])
    assert not found.tuning
    assert any("too few facts" in remark for remark in found.remarks)


def test_a_learned_wording_may_be_a_further_phrasing() -> None:
    fact = Fact("a", "What is the price of tea?", "1", ("How much is tea?",))
    asked = {recall_cases([fact], seed)[0].text for seed in range(20)}
    assert asked == set(fact.wordings)


# ---- what counts as an answer ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "I don't know.", "I do not know the answer.", "Sorry, I don't know.", "I'm sorry, but I do not know that.",
        "Unfortunately, I cannot say.", "I cannot say", "I can't find that.", "I could not find it in the text.",
        "I do not have that information.", "I don't have any information about it.", "I have no idea.",
        "I'm afraid I’m not sure.", "“I don't know.”", "It is not mentioned.", "It isn't stated in the text.",
        "This is not known.", "Her birth date is not given.", "The text does not say.", "These lines do not hold it.",
        "Not mentioned.", "Not in the memory.", "There is no information about that.", "Unknown.", "unknown",
        "It is unknown.", "No answer", "Nobody knows.", "I am unable to answer that.", "I really don't know",
    ],
)  # fmt: skip
def test_whoever_says_that_he_does_not_know_gave_no_answer(text: str) -> None:
    assert says_unknown(text)
    judged = score(Case("a", "?", ("40 dollars",)), Said(text))
    assert (judged.given, judged.wrong) == (False, False)
    assert score(Case("a", "?"), Said(text)).exact


@pytest.mark.parametrize(
    "text",
    [
        "Unknown Pleasures", "The Unknown Soldier", "No Answer Is Also an Answer", "Nobody",
        "Not Without My Daughter", "I, Robot", "I know why the caged bird sings", "I have it.", "It is blue.",
        "Sorry, Wrong Number", "Sorrow", "He does not know.", "The author is not Spanish.", "I can tell you: 40.",
        "The text says 40 dollars.", "It is not blue but red.", "The memory of water", "I Cannot Live With You",
        "40 dollars, I do not know why", "Her book is not included in the anthology of 1990", "There is no place",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_is_an_answer_and_may_be_wrong(text: str) -> None:
    assert not says_unknown(text)
    judged = score(Case("a", "?", ("40 dollars",)), Said(text))
    assert (judged.given, judged.wrong) == (True, True)
    assert score(Case("a", "?"), Said(text)).wrong


@pytest.mark.parametrize("right", ["Unknown", "I don't know how she does it", "Not Given", "Nobody knows"])
def test_a_right_answer_was_given_whatever_it_says(right: str) -> None:
    case = Case("a", "?", (right,))
    for text in (right, f"{right.lower()}."):
        judged = score(case, Said(text, abstained=True))
        assert (judged.given, judged.normalised, judged.wrong) == (True, True, False)
    assert not score(case, Said("I do not know.", abstained=True)).given


def test_firing_is_a_share_of_what_a_router_had_a_say_in() -> None:
    case = Case("a", "?", ("x",))
    said = [Said("x", fired=True), Said("x", fired=False), Said("x"), Said("x")]
    scores = [score(case, one) for one in said]
    figures = Figures.of(scores, said)
    assert (figures.fired.hits, figures.fired.n, figures.exact.n) == (1, 2, 4)
    assert Figures.of(scores[2:], said[2:]).to_json()["fired"] is None
