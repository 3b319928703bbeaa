"""One thing asked against all keys: features of any text, shares of one probability, keys as if they were not there."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from routers import keys_of, lexical, router_over

from memtune.config import IndexConfig, RouterConfig
from memtune.router.confirm import confirmer
from memtune.router.entries import Entry, Wording, make_keys
from memtune.router.features import LEADS, MARGINS, NAMES, OWN, Floats, with_margins
from memtune.router.keys import NEVER
from memtune.router.matcher import Judged, Matcher
from memtune.router.reasons import reason_for
from memtune.router.router import Router

WORDINGS = [
    "What is the price of the Zorblat lamp?",
    "What is the warranty of the Zorblat lamp?",
    "Who is the contact of customer 10482?",
    "Who is the contact of customer 10483?",
    "When was Anna Kell born?",
    "Where does Anna Kell live?",
    "Что такое лампа?",
    "价格是多少？",
    "the",
    "🙂",
]
ANSWERS = ["40 dollars", "two years", "Ada Lin", "Bo Marsh", "in 1904", "Mirana", "свет", "40 元", "", "?"]
PARTS = ["price", "the", "Zorblat", "lamp", "10482", "10483", "Anna", "Kell", "born", "🙂", "Что", "лампа", "价格", "—"]
TEXTS = st.one_of(st.lists(st.sampled_from(PARTS), max_size=12).map(" ".join), st.text(max_size=80))
LONG = ["price " * 5000, " ".join(f"w{n}" for n in range(5000)), "x" * 20_000, " ".join(WORDINGS * 60)]


@pytest.fixture(scope="module")
def matcher() -> Matcher:
    return router_over(WORDINGS, answers=ANSWERS).matcher


def judge(router: Router, text: str, without: frozenset[int] = frozenset()) -> dict[int, Judged]:
    return {j.owner[1]: j for j in router.judge(text, without)}


def router_of(*entries: Entry) -> Router:
    router = Router(RouterConfig(), encoder=lexical())
    router.add(1, make_keys(entries, lexical(), "int8"))
    return router


# ---- features -------------------------------------------------------------------------------------------------------


def check(matcher: Matcher, text: str) -> None:
    query = matcher.query(text)
    proposed = matcher.propose(query)
    assert len(set(proposed.keys.tolist())) == len(proposed.keys) <= matcher.config.propose
    if not len(query.words) or not len(proposed.keys):
        return
    features = matcher.features(query, proposed)
    assert (features.shape, features.dtype) == ((len(proposed.keys), len(NAMES)), np.float32)
    assert np.isfinite(features).all()
    judged = matcher.confirm(query, proposed)
    assert all(0 <= j.share <= 1 and np.isfinite(j.share) for j in judged)
    assert [j.share for j in judged] == sorted((j.share for j in judged), reverse=True)
    assert {j.owner for j in judged} == {matcher.keys.owner(key) for key in proposed.keys.tolist()}
    assert sum({matcher.evidence.answers(np.array([j.key]))[0]: j.share for j in judged}.values()) <= 1 + 1e-5
    assert all(reason_for(j) for j in judged)


@settings(max_examples=150)
@given(TEXTS)
def test_features_of_any_text_are_finite_and_shares_of_one(matcher: Matcher, text: str) -> None:
    check(matcher, text)


@pytest.mark.parametrize("text", [*WORDINGS, *LONG, "lamp", "the", "10482", "ＦＵＬＬ width", "\ud800 lamp"])
def test_long_short_and_strange_texts(matcher: Matcher, text: str) -> None:
    check(matcher, text)


def test_a_learned_question_meets_itself_in_all_words(matcher: Matcher) -> None:
    for number, text in enumerate(WORDINGS[:8]):
        query = matcher.query(text)
        proposed = matcher.propose(query)
        row = dict(zip(NAMES, matcher.features(query, proposed)[proposed.keys.tolist().index(number)], strict=True))
        assert min(row["covered_key"], row["covered_query"], row["met_key"], row["met_query"]) > 0.999
        assert max(row["unmet_key"], row["unmet_query"], row["names_missing_in_query"], row["unknown_words"]) < 1e-4


@given(st.data())
def test_margins_and_leads_are_those_of_a_loop(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 7))
    numbers = st.lists(st.integers(0, 3), min_size=count, max_size=count)
    facts, relations = np.array(data.draw(numbers)), np.array(data.draw(numbers), np.uint64)
    table = np.random.default_rng(data.draw(st.integers(0, 99))).normal(size=(count, len(OWN))).astype(np.float32)
    found = with_margins(table, facts, relations)
    assert np.array_equal(found[:, : len(OWN)], table)
    at = len(OWN)
    for names, sorts in ((MARGINS, facts), (LEADS, relations)):
        for name in names:
            values = table[:, OWN.index(name)]
            for place in range(count):
                others = values[sorts != sorts[place]]
                assert found[place, at] == pytest.approx(values[place] - (others.max() if len(others) else 0), abs=1e-5)
            at += 1
    assert at == len(NAMES)


# ---- what is proposed -----------------------------------------------------------------------------------------------


@given(TEXTS, st.frozensets(st.integers(0, len(WORDINGS) - 1)))
def test_keys_left_out_are_not_proposed_and_all_others_still_are(
    matcher: Matcher, text: str, without: frozenset[int]
) -> None:
    query = matcher.query(text)
    whole, rest = matcher.propose(query), matcher.propose(query, without)
    assert set(rest.keys.tolist()) == set(whole.keys.tolist()) - without  # the memory is smaller than `propose`


def test_taking_keys_away_is_as_if_the_fact_were_not_there() -> None:
    router = router_over(WORDINGS, answers=ANSWERS)
    assert judge(router, WORDINGS[0])[0].share > 0.9
    left = judge(router, WORDINGS[0], frozenset(router.keys_of([(1, 0)])))
    assert 0 not in left
    assert left[1].share < 0.6
    assert judge(router, WORDINGS[0])[0].share > 0.9


@settings(max_examples=25)
@given(st.frozensets(st.integers(0, 7), min_size=1), st.booleans())
def test_removed_keys_are_never_proposed(gone: frozenset[int], filled: bool) -> None:
    router = router_over(WORDINGS, answers=ANSWERS)
    if filled:
        router.judge("price of the lamp")
    router.remove([(1, row) for row in gone])
    for text in WORDINGS:
        proposed = router.matcher.propose(router.matcher.query(text)).keys.tolist()
        assert not gone & set(proposed)
        assert not gone & judge(router, text).keys()


def test_many_keys_at_once_and_segments_apart() -> None:
    """So many that the index is trained on a sample; rows that a version does not hold are never proposed."""
    texts = [f"What is the price of item N{n}?" for n in range(5000)]
    matcher = Matcher(RouterConfig(), IndexConfig(), lexical(), confirmer("lexical"))
    kept = np.arange(len(texts)) % 10 > 0
    matcher.add(7, keys_of(*texts), kept)
    matcher.add(8, keys_of("Who leads Acme?"), np.ones(1, bool))
    proposed = matcher.propose(matcher.query("price of item N4321"))
    assert matcher.keys.owner(int(proposed.keys[0])) == (7, 4321)
    owners = {matcher.keys.owner(int(key)) for key in matcher.propose(matcher.query("price of item N4320")).keys}
    assert owners
    assert (7, 4320) not in owners
    query = matcher.query("Who is the leader of Acme?")
    assert matcher.confirm(query, matcher.propose(query))[0].owner == (8, 0)


# ---- what is confirmed ----------------------------------------------------------------------------------------------


class ByLikeness:
    """Stands for the network: the nearer a wording's vector, the likelier."""

    def logits(self, features: Floats) -> Floats:
        return 20 * features[None, :, OWN.index("similar")] - 10

    def shares(self, logits: Floats, groups: NDArray[np.int64]) -> Floats:
        best = np.exp([logits[0][groups == group].max() for group in range(groups.max() + 1)])
        return (best / (best.sum() + 1)).astype(np.float32)


def by_likeness(*entries: Entry) -> Router:
    router = router_of(*entries)
    router.matcher._confirmer = ByLikeness()
    return router


def test_an_example_that_must_not_fire_takes_the_share() -> None:
    asked, given = "How much did that lamp cost them?", Wording("What is the price of the lamp?")
    table = Entry([Wording("How long is the table?")], "2 m")
    assert judge(by_likeness(Entry([given], "40"), table), asked)[0].share > 0
    barred = Entry([given, Wording("How much did the lamp cost them?", NEVER)], "40")
    router = by_likeness(barred, table)
    assert judge(router, asked)[0].share == 0
    assert judge(router, given.text)[0].share > 0.9
    assert not router.route("How much did the lamp cost them").confirmed
    assert [p.owner[1] for p in router.route(given.text).confirmed] == [0]
    assert judge(router, "How long is that table?")[1].share > 0.9  # others are left alone


def test_only_examples_that_must_not_fire_are_no_fact() -> None:
    router = router_of(Entry([Wording("What is the price of the lamp?", NEVER)], "40"))
    assert router.judge("price of the lamp") == []


def test_facts_with_one_answer_are_no_rivals() -> None:
    wordings = [Wording(f"Where is the Halberd {what}?") for what in ("made", "built")]
    asked = "Where is the Halberd?"
    alike = by_likeness(Entry([wordings[0]], "Mirana"), Entry([wordings[1]], "mirana "))
    apart = by_likeness(Entry([wordings[0]], "Bergen"), Entry([wordings[1]], "Mirana"))
    together, rivals = judge(alike, asked), judge(apart, asked)
    assert together[0].share == together[1].share > 0.9
    assert together[0].share > max(j.share for j in rivals.values())
    assert sum(j.share for j in rivals.values()) <= 1
    assert len({*alike.matcher.groups(np.arange(2)).tolist()}) == 1
    assert len({*apart.matcher.groups(np.arange(2)).tolist()}) == 2
    assert len(alike.route(asked).confirmed) == 1


def test_an_example_that_must_not_fire_stands_apart_from_its_fact() -> None:
    router = router_of(Entry([Wording("a lamp"), Wording("a table", NEVER), Wording("the lamp")], "40"))
    first, never, second = router.matcher.groups(np.arange(3))
    assert first == second != never


@pytest.mark.parametrize(
    ("asked", "row"),
    [
        ("Who is the contact of customer 10484?", None),
        ("Who is the contact of customer?", None),
        ("Who is the contact person of customer 10483?", 3),
        ("Who is the contact of customer 10482 for order 7?", None),
        ("Tell me the price of the Zorblat lamp 2000", None),
    ],
)
def test_a_number_on_one_side_vetoes(asked: str, row: int | None) -> None:
    router = router_over(WORDINGS, answers=ANSWERS)
    router.threshold = 0.0
    judged = judge(router, asked)
    told = {place: j.digits for place, j in judged.items() if place < 4}
    assert [place for place in told if "customer" in asked and place > 1 and not told[place]] == ([row] if row else [])
    confirmed = [p.owner[1] for p in router.route(asked).confirmed]
    assert confirmed == [row] if row else not set(confirmed) & {place for place in told if told[place]}
    vetoed = [j for j in judged.values() if j.digits]
    assert vetoed
    assert all(reason_for(j) == "a number or id stands on one side only" for j in vetoed)


def test_a_number_that_the_answer_gives_away_is_no_veto() -> None:
    router = router_over(["When was Anna Kell born?"], answers=["in 1904"])
    assert not judge(router, "Was Anna Kell born in 1904?")[0].digits
    assert judge(router, "Was Anna Kell born in 1905?")[0].digits


def test_shares_of_groups_are_a_softmax_with_no_fact_at_zero() -> None:
    network = confirmer("lexical")
    features = np.random.default_rng(3).normal(size=(5, len(NAMES))).astype(np.float32)
    groups = np.array([0, 1, 1, 2, 0])
    found = network.shares(network.logits(features), groups)
    expected = defaultdict(list)
    for row in network.logits(features).astype(float):
        best = [max(row[groups == g]) for g in range(3)]
        for g in range(3):
            expected[g].append(np.exp(best[g]) / (1 + np.exp(best).sum()))
    assert np.allclose(found, [np.mean(expected[g]) for g in range(3)], atol=1e-5)
    assert found.sum() < 1


def test_extreme_features_are_clipped_not_lost() -> None:
    features = np.full((3, len(NAMES)), 1e30, np.float32)
    features[1] = -1e30
    with np.errstate(over="raise"):
        shares = confirmer("lexical").shares(confirmer("lexical").logits(features), np.arange(3))
    assert np.isfinite(shares).all()
