"""From a memory's facts, and rows, to cases: what is asked, in which role, and that nothing tuned on is reported."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from memtune.core.facts import Fact, normalise
from memtune.errors import InputError
from memtune.evaluate.cases import LEARNED, NEAR_MISS, OTHER_WORDS, UNKNOWN
from memtune.evaluate.gather import NEARLY_LEARNED, Gathered, gather, recall_cases, stratified
from memtune.evaluate.made import MADE_WORDINGS, Learned, made_wording, near_miss

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
    asked = len(FACTS) - len(found.tuning)
    made = len(found.of(NEAR_MISS))
    assert forms(found) == {LEARNED: asked, MADE_WORDINGS: asked, NEAR_MISS: made}
    assert asked / 2 < made <= asked  # of two that ask the same, one
    assert {c.role for c in found.of(MADE_WORDINGS)} == {"wording"}
    assert {(c.role, c.answers, c.facts) for c in found.of(NEAR_MISS)} == {("held-out", (), ())}
    assert any("made from the learned ones" in remark for remark in found.remarks)
    assert len({case.id for case in found.cases}) == len(found.cases)


def test_no_case_asks_for_a_fact_that_is_tuned_on() -> None:
    found = gather(FACTS)
    assert len(found.tuned_on) == len(found.tuning) == len(FACTS) // 5
    assert found.tuned_on.isdisjoint(fact for case in found.cases for fact in case.facts)
    tuned = {case.text for case in found.tuning}
    assert tuned.isdisjoint(case.text for case in found.cases)


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
    assert {case.extra["made"] for case in misses} == {"another name", "another digit", "another relation"}
    assert len(misses) >= 0.9 * len(learned.facts)
    names = {name.casefold() for name in PEOPLE}
    for case in misses:
        assert normalise(case.text) not in wordings
        held = [name for name in names if name in case.text.casefold()]
        assert bool(held) == (case.extra["made"] == "another relation")


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


def test_facts_that_rows_ask_for_are_not_tuned_on() -> None:
    rows = [row(n) for n in range(20)]
    found = gather(FACTS, rows)
    assert len(found.of(OTHER_WORDS)) == 20
    assert len(found.tuning) == len(FACTS) // 5
    every = gather(FACTS, [row(n) for n in range(len(FACTS))])
    assert len(every.of(OTHER_WORDS)) == len(FACTS) - len(every.tuning)


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
