"""Keys found by the words they hold, against a loop over all keys."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from memtune.router.columns import Column, Ragged
from memtune.router.postings import Postings

KEYS = st.lists(st.sets(st.integers(0, 12), max_size=5), max_size=12)


class World:
    """Postings, and what they should hold as plain sets."""

    def __init__(self) -> None:
        self.words, self.alive = Ragged(np.uint32), Column(np.bool_)
        self.postings = Postings(self.words, self.alive)
        self.keys: list[set[int] | None] = []

    def add(self, keys: list[set[int]]) -> None:
        flat = np.array([word for key in keys for word in sorted(key)], np.uint32)
        lengths = np.array([len(key) for key in keys], np.int64)
        self.words.append(flat, lengths)
        self.alive.append(np.ones(len(keys), np.bool_))
        self.postings.add(len(self.keys), flat, lengths)
        self.keys += keys

    def remove(self, keys: list[int]) -> None:
        gone = np.array(sorted({n for n in keys if n < len(self.keys) and self.keys[n] is not None}), np.int64)
        self.postings.remove(self.words.gather(gone))
        self.alive.values[gone] = False
        for number in gone:
            self.keys[number] = None

    def scores(self, words: dict[int, float]) -> dict[int, float]:
        return {
            number: sum(words[w] for w in key & words.keys()) / math.sqrt(len(key))
            for number, key in enumerate(self.keys)
            if key and key & words.keys()
        }


@settings(deadline=None)
@given(
    st.lists(st.one_of(KEYS, st.tuples(st.lists(st.integers(0, 40), max_size=8))), max_size=8),
    st.dictionaries(st.integers(0, 14), st.sampled_from([0.5, 1.0, 2.25]), max_size=6),
    st.integers(1, 9),
)
def test_the_best_are_those_of_a_loop(steps: list[object], words: dict[int, float], k: int) -> None:
    world = World()
    for step in steps:
        if isinstance(step, tuple):
            world.remove(step[0])
        else:
            assert isinstance(step, list)
            world.add(step)
        scores, keys = world.postings.search(words, k, limit=10_000)
        true = world.scores(words)
        assert keys.tolist() == [n for n in keys.tolist() if n in true]
        assert np.allclose(scores, [true[n] for n in keys.tolist()], atol=1e-5)
        assert np.allclose(scores, sorted(true.values(), reverse=True)[:k], atol=1e-5)
        for word in range(14):
            assert world.postings.frequency(word) == sum(word in key for key in world.keys if key)


def test_common_words_bring_no_keys_but_count() -> None:
    world = World()
    world.add([{1, 100 + n} for n in range(500)] + [{7, 1}, {7, 2}, {7}])
    scores, keys = world.postings.search({7: 3.0, 1: 1.0}, 5, limit=50)
    assert keys.tolist() == [502, 500, 501]
    assert np.allclose(scores, [3.0, 4 / math.sqrt(2), 3 / math.sqrt(2)])


def test_a_list_longer_than_the_limit_is_read_in_part() -> None:
    world = World()
    world.add([{1}] * 500)
    scores, keys = world.postings.search({1: 2.0}, 8, limit=50)
    assert len(keys) == 8
    assert set(scores.tolist()) == {2.0}
    assert world.postings.frequency(1) == 500
    assert world.postings.search({}, 8, limit=50)[1].size == 0
    assert world.postings.search({5: 1.0}, 8, limit=50)[1].size == 0
