"""The threshold that a memory's own near misses ask for."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from routers import router_over

from memtune.config import RouterConfig
from memtune.router import calibrate as module
from memtune.router.augment import without_noun
from memtune.router.calibrate import GRID, Calibration, Known, calibrate
from memtune.router.features import OWN
from memtune.router.matcher import Judged
from memtune.router.router import Router

CONFIG = RouterConfig(threshold=0.7, lowest_threshold=0.6, highest_threshold=0.97, false_firing=0.005)
THINGS = ("Zorblat", "Kelvor", "Halberd", "Morbex", "Tindal", "Quorin", "Ashvale", "Belcor")
ASKED = ("price", "weight", "warranty", "height", "colour", "maker")
QUESTIONS = [f"What is the {ASKED[(n + i) % 6]} of the {what}?" for n, what in enumerate(THINGS) for i in range(4)]
KNOWN = [Known((1, row), text) for row, text in enumerate(QUESTIONS)]
SHARES = st.lists(st.floats(0, 1, width=32), max_size=120)


@pytest.fixture
def router() -> Router:
    return router_over(QUESTIONS, answers=[f"value {n}" for n in range(len(QUESTIONS))])


def judged(share: float, row: int = 0, *, met: float = 0.0, digits: bool = False) -> Judged:
    features = np.full(len(OWN), met, np.float32)
    return Judged((1, row), row, share, digits, features)


# ---- the threshold --------------------------------------------------------------------------------------------------


def threshold(misses: list[float], config: RouterConfig = CONFIG) -> float:
    return module._threshold(np.array(misses, np.float32), config)


@given(SHARES, st.sampled_from([0.0, 0.005, 0.05, 0.5, 1.0]))
def test_no_more_fire_than_allowed_where_that_can_be_had(misses: list[float], rate: float) -> None:
    config = replace(CONFIG, false_firing=rate)
    found = threshold(misses, config)
    assert config.lowest_threshold <= found <= config.highest_threshold
    if len(misses) < 40:
        assert found == config.threshold
    elif found < config.highest_threshold:
        assert sum(share >= found for share in misses) <= rate * len(misses)


@given(st.lists(st.floats(0, 1, width=32), min_size=40, max_size=90), st.integers(1, 40))
def test_it_rises_with_near_misses_that_fire(misses: list[float], more: int) -> None:
    assert threshold([*misses, *[0.99] * more]) >= threshold(misses)


def test_it_stays_between_its_bounds() -> None:
    assert threshold([0.1] * 60) == CONFIG.lowest_threshold
    assert threshold([*[0.1] * 60, 0.8]) == pytest.approx(0.8, abs=1e-4)
    assert threshold([0.999] * 60) == CONFIG.highest_threshold


@pytest.mark.parametrize(("count", "expected"), [(39, CONFIG.threshold), (40, 0.9)])
def test_few_near_misses_leave_the_default(count: int, expected: float) -> None:
    assert threshold([0.9] * count) == pytest.approx(expected, abs=1e-4)


# ---- what it is measured on -----------------------------------------------------------------------------------------


def test_a_real_router_is_measured(router: Router) -> None:
    found = calibrate(router, KNOWN, CONFIG, facts=500)
    assert (found.facts, found.rate) == (500, CONFIG.false_firing)
    assert found.near_misses >= 40
    assert found.wordings >= 20
    assert CONFIG.lowest_threshold <= found.threshold <= CONFIG.highest_threshold
    for curve in (found.right, found.wrong, found.fired):
        assert len(curve) == len(GRID)
        assert list(curve) == sorted(curve, reverse=True)
        assert all(0 <= share <= 1 for share in curve)
    assert all(right + wrong <= 1 + 1e-4 for right, wrong in zip(found.right, found.wrong, strict=True))
    assert found.right[GRID.index(0.5)] > 0.8
    assert len(router) == len(QUESTIONS)  # keys were only left out


def test_it_is_the_same_each_time_and_hangs_on_the_seed(router: Router) -> None:
    found = calibrate(router, KNOWN, CONFIG, facts=32)
    assert calibrate(router, KNOWN, CONFIG, facts=32) == found
    drawn = {calibrate(router, KNOWN, CONFIG, facts=32, seed=seed).right for seed in range(4)}
    assert len(drawn) > 1


def test_what_fires_on_a_near_miss_raises_the_threshold(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    shares = {True: 0.2, False: 0.7}
    asked, less = [], {without_noun(text) for text in QUESTIONS}

    def judge(text: str, without: frozenset[int] = frozenset()) -> list[Judged]:
        asked.append((text, without))
        return [judged(1.0, digits=True), judged(shares[bool(without) or text in less])]

    monkeypatch.setattr(router, "judge", judge)
    calm = calibrate(router, KNOWN, CONFIG, facts=32)
    shares[True] = 0.9
    wild = calibrate(router, KNOWN, CONFIG, facts=32)
    assert calm.threshold == CONFIG.lowest_threshold
    assert wild.threshold == pytest.approx(0.9, abs=1e-4)
    assert (calm.fired[GRID.index(0.2)], wild.fired[GRID.index(0.9)]) == (1, 1)
    own = {(text, frozenset(router.keys_of([(1, row)]))) for row, text in enumerate(QUESTIONS)}
    assert own <= set(asked)
    assert {text for text, without in asked if not without}.isdisjoint(QUESTIONS)


def test_what_asks_the_same_is_no_near_miss(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "judge", lambda text, without=frozenset(): [judged(0.9, met=0.99)])
    assert calibrate(router, KNOWN, CONFIG, facts=32).near_misses == 0
    monkeypatch.setattr(router, "judge", lambda text, without=frozenset(): [judged(0.9, met=0.5)])
    assert calibrate(router, KNOWN, CONFIG, facts=32).near_misses >= len(KNOWN)


def test_phrasings_are_asked_without_their_own_keys(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def judge(text: str, without: frozenset[int] = frozenset()) -> list[Judged]:
        asked[text] = without
        return []

    monkeypatch.setattr(router, "judge", judge)
    found = calibrate(router, [Known((1, 3), QUESTIONS[3], (QUESTIONS[5], "unknown", "third"))], CONFIG, facts=1)
    assert asked[QUESTIONS[5]] == {5}
    assert asked["unknown"] == frozenset()
    assert "third" not in asked
    assert found.wordings >= 2
    assert not any(found.right)


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_questions_can_be_measured(first: str, second: str) -> None:
    router = router_over([first, second])
    known = [Known((1, 0), first), Known((1, 1), second, (first,))]
    assert calibrate(router, known, CONFIG, facts=2).threshold == CONFIG.threshold


def test_nothing_known_is_nothing_measured(router: Router) -> None:
    found = calibrate(router, [], CONFIG, facts=0)
    assert (found.threshold, found.near_misses, found.wordings) == (CONFIG.threshold, 0, 0)


def test_another_name_is_put_in_place_of_the_own() -> None:
    fact = Known((1, 0), "What is the price of the Zorblat?")
    assert module._with_another_name(fact, "Who leads Acme?") == ("What is the price of the Acme?", "Acme")
    assert module._with_another_name(fact, "What is the weight of the Zorblat?") is None
    assert module._with_another_name(Known((1, 0), "why?"), "Who leads Acme?") is None


# ---- what is kept ---------------------------------------------------------------------------------------------------


def test_what_was_measured_survives_json(router: Router) -> None:
    found = calibrate(router, Random(1).sample(KNOWN, 8), CONFIG, facts=32)
    assert Calibration.from_json(json.loads(json.dumps(found.to_json()))) == found


@given(st.integers(0, 5000), st.integers(0, 5000), st.sampled_from([0.0, 0.1, 0.5]))
def test_it_holds_until_the_memory_has_grown_or_shrunk(measured: int, now: int, growth: float) -> None:
    held = Calibration(0.7, measured, 50, 50, 0.005)
    assert held.holds_for(measured, growth)
    assert held.holds_for(now, growth) == (abs(now - measured) <= growth * max(measured, 1))


def test_growth_by_a_tenth() -> None:
    held = Calibration(0.7, 100, 50, 50, 0.005)
    assert [held.holds_for(facts, 0.1) for facts in (89, 90, 110, 111)] == [False, True, True, False]
