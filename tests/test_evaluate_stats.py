"""Intervals that hold what they promise, differences on the same cases, and a family of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cards import fake_ladder
from hypothesis import given
from hypothesis import strategies as st

from memtune.errors import UsageError
from memtune.evaluate.cases import LEARNED
from memtune.evaluate.paired import MEASURES, RESAMPLES, compare_all, holm, paired, sheet
from memtune.evaluate.stats import Mean, Rate, Spread, figure, percent, points, probability


def _rates(hits: list[int]) -> list[tuple[float, float]]:
    return [(float(hit), 1.0) for hit in hits]


def test_wilson_as_published() -> None:
    assert Rate(81, 263).interval == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert Rate(0, 10).interval == pytest.approx((0.0, 0.2775), abs=5e-5)
    assert Rate(0, 0).interval is None
    assert str(Rate(0, 0)) == "none asked"


def test_figures_for_people() -> None:
    assert (percent(0.5), percent(0.9987), percent(1.0)) == ("50.0", "99.87", "100.0")
    assert (figure(0), figure(0.01234), figure(1234.5)) == ("0", "0.0123", "1,234")
    assert (points(0.1234), points(-0.05), points(0.0001), points(math.nan)) == ("+12.3", "−5.0", "0.0", "none asked")
    assert (probability(1e-4), probability(0.0028), probability(0.043), probability(1)) == (
        "< 0.0002", "0.0028", "0.043", "1.00",
    )  # fmt: skip
    assert str(Spread.of([3.0, 1.0, 2.0])) == "2.00 (1.00–3.00)"


def test_mean_is_not_certain_where_all_agree() -> None:
    found = Mean.of([1.0] * 40)
    assert found is not None
    assert found.value == found.high == 1.0
    assert 0.85 < found.low < 0.99
    assert Mean.of([]) is None
    assert Mean.of([0.2, 0.9], seed=3) == Mean.of([0.2, 0.9], seed=3)


def test_interval_of_a_mean_holds_the_truth() -> None:
    draw = np.random.default_rng(5)
    found = [Mean.of(draw.beta(4, 2, size=60)) for _ in range(100)]
    held = sum(mean is not None and mean.low <= 4 / 6 <= mean.high for mean in found)
    assert held >= 89  # 95 expected


def test_a_difference_is_that_of_the_rates() -> None:
    ours, theirs = [1] * 70 + [0] * 30, [1] * 40 + [0] * 60
    found = paired(_rates(ours), _rates(theirs))
    assert found.value == pytest.approx(0.3)
    assert 0.18 < found.low < 0.3 < found.high < 0.41
    assert found.p == pytest.approx(1 / (1 + RESAMPLES))
    turned = paired(_rates(theirs), _rates(ours))
    assert turned.value == pytest.approx(-found.value)
    assert turned.low == pytest.approx(-found.high, abs=0.011)


def test_pairs_tell_more_than_rates() -> None:
    """The same two rates: where cases agree the interval is narrow, where they do not it is wide."""
    first = [1, 1, 0, 0] * 25
    same, crossed = [1, 1, 0, 0] * 25, [0, 0, 1, 1] * 25
    near, far = paired(_rates(first), _rates(same)), paired(_rates(first), _rates(crossed))
    assert near.high - near.low < 0.06
    assert far.high - far.low > 0.3
    assert near.p == far.p == 1.0


def test_few_cases_prove_nothing() -> None:
    found = paired(_rates([1] * 4), _rates([0] * 4))
    assert found.value == 1.0
    assert found.low < 0.8
    assert 0.1 < found.p < 0.15  # two of sixteen ways to swap


def test_p_agrees_with_the_exact_test() -> None:
    """For right and wrong, swapping at random is the sign test on the cases that differ."""
    found = paired(_rates([1] * 12 + [0] * 3 + [1] * 50), _rates([0] * 12 + [1] * 3 + [1] * 50))
    exact = 2 * sum(math.comb(15, k) for k in range(4)) / 2**15
    assert found.p == pytest.approx(exact, abs=0.006)


def test_p_is_fair_where_nothing_differs() -> None:
    draw = np.random.default_rng(1)
    ps = []
    for _ in range(60):
        hits = draw.random((60, 2)) < 0.5
        ps.append(paired(_rates(hits[:, 0].tolist()), _rates(hits[:, 1].tolist())).p)
    assert sum(p < 0.05 for p in ps) <= 8  # 3 expected


def test_shares_of_what_was_given() -> None:
    """Wrong of given: cases that one of the two left out still count for the other."""
    found = paired([(1, 1), (0, 0), (0, 1), (0, 1)] * 20, [(1, 1), (1, 1), (0, 1), (0, 0)] * 20)
    assert found.value == pytest.approx(1 / 3 - 2 / 3)
    nothing = paired([(0, 0)] * 5, [(1, 1)] * 5)
    assert math.isnan(nothing.value)
    assert nothing.p == 1.0


def test_many_values_in_little_memory() -> None:
    values = np.random.default_rng(2).random((1200, 2))
    pairs = [[(float(v), 1.0) for v in column] for column in values.T]
    found = paired(pairs[0], pairs[1])
    half = 1.96 * float((values[:, 0] - values[:, 1]).std()) / math.sqrt(1200)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.06)


def test_the_seed_decides() -> None:
    ours, theirs = _rates([1, 0, 1, 1, 0] * 9), _rates([0, 0, 1, 0, 1] * 9)
    assert paired(ours, theirs, 7) == paired(ours, theirs, 7)
    assert paired(ours, theirs, 7) != paired(ours, theirs, 8)


@pytest.mark.parametrize("sides", [([], []), ([(1, 1)], [(1, 1), (0, 1)])])
def test_pairs_are_needed(sides: tuple[list[tuple[float, float]], list[tuple[float, float]]]) -> None:
    with pytest.raises(UsageError, match="same cases"):
        paired(*sides)


def test_holm_as_in_textbooks() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_helps(ps: list[float]) -> None:
    corrected = holm(ps)
    assert all(p <= q <= 1 for p, q in zip(ps, corrected, strict=True))
    assert all(q <= min(1, len(ps) * p) + 1e-12 for p, q in zip(ps, corrected, strict=True))  # nor more than Bonferroni
    order = sorted(range(len(ps)), key=ps.__getitem__)
    assert [corrected[i] for i in order] == sorted(corrected)


def test_all_rungs_on_all_forms() -> None:
    ladder = fake_ladder(40)
    found = compare_all(ladder)
    assert [(c.form, c.rung) for c in found] == [
        (form, rung) for form in ladder.forms for rung in ladder.judged if rung != "memory"
    ]
    for c in found:
        ours, theirs = (ladder.figures(rung, c.form).exact.value or 0.0 for rung in ("memory", c.rung))
        assert c.difference == pytest.approx(ours - theirs)
        assert c.low <= c.difference <= c.high
        assert c.p <= c.p_holm
        assert c.n == 40
    table = sheet(found)
    assert len(table.rows) == 28
    assert "28 comparisons" in table.note
    assert found == compare_all(fake_ladder(40))
    some = compare_all(ladder, forms=[LEARNED])
    assert {c.form for c in some} == {LEARNED}
    assert [c.p for c in some] == [c.p for c in found if c.form == LEARNED]
    assert sum(c.p_holm for c in some) < sum(c.p_holm for c in found if c.form == LEARNED), "a smaller family"
    assert compare_all(ladder, seed=1) != found


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_is_that_of_the_ladder(measure: str) -> None:
    ladder = fake_ladder(30)
    for c in compare_all(ladder, "rag", measure):
        ours, theirs = (getattr(ladder.figures(rung, c.form), measure) for rung in ("rag", c.rung))
        values = [f.value if isinstance(f, Rate) else f for f in (ours, theirs)]
        if None in values:
            assert math.isnan(c.difference)
        else:
            assert c.difference == pytest.approx(values[0] - values[1])


def test_order_of_cases_does_not_matter_but_cases_do() -> None:
    ladder = fake_ladder(20)
    before = compare_all(ladder)
    ladder.judged["rag"].reverse()
    assert compare_all(ladder) == before
    ladder.judged["rag"].pop()
    with pytest.raises(UsageError, match="not asked the same cases"):
        compare_all(ladder)


def test_names_nobody_knows() -> None:
    with pytest.raises(UsageError, match="no rung 'lora'"):
        compare_all(fake_ladder(5), "lora")
    with pytest.raises(UsageError, match="no measure 'bleu'"):
        compare_all(fake_ladder(5), measure="bleu")
