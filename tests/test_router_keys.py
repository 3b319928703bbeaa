"""Columns, stored vectors and keys against plain lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routers import keys_of

from memtune.core.facts import normalise
from memtune.router import columns
from memtune.router.columns import Column, Ragged, Rows, Sorted
from memtune.router.keys import MADE, NEVER, Keys
from memtune.router.vectors import restored, stored
from memtune.router.words import hashed_words, sketches

WORDINGS = st.lists(st.sampled_from("a lamp|a table|the lamp|A Lamp?|two lamps|12 tables||?".split("|")), max_size=4)
ONE = np.ones(1, bool)


@given(st.lists(st.lists(st.integers(-5, 5), max_size=40), max_size=6))
def test_a_column_holds_what_a_list_holds(parts: list[list[int]]) -> None:
    column, flat = Column(np.int32), list[int]()
    ragged = Ragged(np.int32)
    for part in parts:
        column.append(part)
        flat += part
        ragged.append(np.array(part, np.int32), np.array([len(part)]))
    assert column.values.tolist() == flat
    assert len(column) == len(flat)
    assert [ragged[i].tolist() for i in range(len(ragged))] == parts
    chosen = np.arange(len(parts))[::-1]
    assert ragged.gather(chosen).tolist() == [x for i in chosen for x in parts[i]]


@given(st.lists(st.integers(0, 9), max_size=6), st.lists(st.integers(0, 99), max_size=20))
def test_rows_in_blocks_are_those_of_one_array(sizes: list[int], places: list[int]) -> None:
    whole = np.arange(3 * sum(sizes), dtype=np.int16).reshape(-1, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "_BLOCK", 4)
        rows = Rows(np.int16, 3)
        for part in np.split(whole, np.cumsum(sizes)[:-1]):
            rows.append(part)
        chosen = np.array([place % len(whole) for place in places if len(whole)], np.int64)
        assert len(rows) == len(whole)
        assert np.array_equal(rows.gather(chosen), whole[chosen])


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
@given(parts=st.lists(st.tuples(st.lists(st.integers(0, 6), max_size=9), st.booleans()), max_size=12))
def test_sorted_numbers_are_those_of_a_loop(dtype: type, parts: list[tuple[list[int], bool]]) -> None:
    runs, codes = Sorted(dtype), list[int]()
    for part, look in parts:
        runs.add(np.array(part, dtype), np.arange(len(codes), len(codes) + len(part)))
        codes += part
        if look:
            assert runs.find(3).tolist() == [n for n, code in enumerate(codes) if code == 3]
    for code in range(8):
        assert runs.find(code).tolist() == [n for n, c in enumerate(codes) if c == code]
    assert len(runs.runs) <= 5


def test_runs_stay_few_while_single_numbers_come() -> None:
    runs = Sorted(np.uint64)
    for number in range(2000):
        runs.add(np.array([number % 7], np.uint64), np.array([number]))
        assert runs.find(number % 7)[-1] == number
    assert len(runs.runs) <= 12


@pytest.mark.parametrize(("form", "error"), [("float16", 1e-3), ("float8", 0.03), ("int8", 4e-3)])
def test_vectors_come_back_nearly_as_they_were(form: str, error: float) -> None:
    vectors = sketches(["the price of the lamp", "lamp", "", "?"], 256)
    again = restored(stored(vectors, form))
    assert np.linalg.norm(again - vectors, axis=1).max() < error * 2
    assert np.allclose(np.linalg.norm(again[:2], axis=1), 1.0, atol=1e-5)
    assert not again[2:].any()
    assert np.array_equal(restored(stored(again, form)), again)


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(0, 2), WORDINGS, st.lists(st.integers(0, 3), max_size=2)),
            st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=3),
        ),
        max_size=7,
    )
)
def test_keys_are_those_of_a_list(steps: list[object]) -> None:
    keys, plain = Keys(), list[tuple[tuple[int, int], str] | None]()
    for step in steps:
        if isinstance(step, tuple):
            segment, wordings, dropped = step
            kept = np.array([row not in dropped for row in range(len(wordings))], bool)
            numbers = keys.add(segment, keys_of(*wordings), kept)
            assert numbers.tolist() == list(range(len(plain), len(plain) + int(kept.sum())))
            plain += [((segment, row), w) for row, w in enumerate(wordings) if kept[row]]
        else:
            assert isinstance(step, list)
            gone = [n for n, held in enumerate(plain) if held and held[0] in step]
            assert keys.of(step).tolist() == gone
            keys.remove(np.array([*gone, *gone], np.int64))
            plain = [None if n in gone else held for n, held in enumerate(plain)]
    held = {n: h for n, h in enumerate(plain) if h}
    assert (len(keys), keys.numbers) == (len(held), len(plain))
    for number, (owner, wording) in held.items():
        assert keys.owner(number) == owner
        assert keys.words(number) == set(hashed_words(wording).tolist())
        same = [n for n, (_, other) in held.items() if normalise(other) == normalise(wording)]
        assert keys.wording(wording) == same
        assert keys.exact(wording) == held[same[0]][0]
    for segment in range(3):
        assert keys.owners(segment) == sorted({o for o, _ in held.values() if o[0] == segment})
    for word in hashed_words("lamp 12 table two a").tolist():
        assert keys.frequency(word) == sum(word in hashed_words(w) for _, w in held.values())


def test_an_example_that_must_not_fire_leads_nowhere() -> None:
    keys = Keys()
    keys.add(1, keys_of("a lamp", "a table", tags=[NEVER, MADE]), np.ones(2, bool))
    assert keys.exact("a lamp") is None
    assert keys.wording("a lamp") == [0]
    assert (keys.exact("a table"), keys.tag(1)) == ((1, 1), MADE)


def test_a_removed_wording_can_be_learned_anew() -> None:
    keys = Keys()
    keys.add(1, keys_of("a lamp"), ONE)
    keys.remove(keys.of([(1, 0)]))
    assert keys.exact("a lamp") is None
    keys.add(2, keys_of("a lamp"), ONE)
    assert (keys.exact("a lamp"), keys.wording("a lamp")) == ((2, 0), [1])


def test_keys_of_a_memory_without_tags_are_given_by_the_user() -> None:
    keys, made = Keys(), keys_of("a lamp")
    del made["tags"]
    keys.add(1, made, ONE)
    assert keys.exact("a lamp") == (1, 0)
