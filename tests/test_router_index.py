"""The nearest keys, by each method, against a loop over all of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from memtune.config import INDEX_METHODS, Config, IndexConfig
from memtune.errors import FolderDamaged, UsageError
from memtune.router import index as index_module
from memtune.router.index import Index

WIDTH = 16
SMALL = {"nlist": 4, "nprobe": 4, "m": 8, "nbits": 4, "hnsw_m": 8, "exact_until": 60}
METHODS = pytest.mark.parametrize("method", INDEX_METHODS)
CLOSE = ("auto", "exact", "scan", "IndexFlatL2", "IndexIVFFlat", "IndexHNSWFlat")
"""Methods that keep vectors well enough to find what a loop over all of them finds."""


@pytest.fixture(scope="module", autouse=True)
def short_chunks() -> Iterator[None]:
    """So that few keys already come in several, some of which hold only removed ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "_CHUNK", 7)
        yield


def config(method: str, **changes: int) -> IndexConfig:
    return IndexConfig(method=method, **(SMALL | changes))  # type: ignore[arg-type]


def vectors(n: int, seed: int = 0, width: int = WIDTH) -> NDArray[np.float32]:
    given = np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)
    unit: NDArray[np.float32] = given / np.linalg.norm(given, axis=1, keepdims=True)
    return unit


def filled(method: str, n: int = 100) -> Index:
    index = Index(WIDTH, config(method))
    index.add(np.arange(n), vectors(n))
    return index


@METHODS
def test_what_was_added_is_nearest_to_itself(method: str) -> None:
    scores, keys = filled(method).search(vectors(100), 5)
    assert (keys[:, 0] == np.arange(100)).mean() > (0.95 if method in CLOSE else 0.5)
    assert np.all(np.diff(scores, axis=1) <= 1e-6)
    assert np.allclose(scores[:, 0], 1.0, atol=0.02 if method in CLOSE else 0.5)


@pytest.mark.parametrize("method", CLOSE)
def test_the_nearest_are_those_of_a_loop(method: str) -> None:
    given, asked = vectors(300), vectors(50, seed=1)
    index = filled(method, 300)
    gone = np.arange(0, 300, 3)
    index.remove(gone)
    true = asked @ given.T
    true[:, gone] = -1
    scores, keys = index.search(asked, 5)
    found = np.take_along_axis(true, keys, 1)
    assert np.allclose(found, -np.sort(-true, axis=1)[:, :5], atol=0.01)
    assert np.allclose(scores, found, atol=0.01)


@METHODS
@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(1, 40)),
            st.tuples(st.just("remove"), st.lists(st.integers(0, 150), max_size=60)),
            st.tuples(st.just("keep"), st.none()),
        ),
        min_size=2,
        max_size=7,
    )
)
def test_removed_keys_never_come_back(method: str, steps: list[tuple[str, object]]) -> None:
    index, held, given, removed = Index(WIDTH, config(method)), set[int](), 0, set[int]()
    for act, what in steps:
        if act == "add":
            assert isinstance(what, int)
            index.add(np.arange(given, given + what), vectors(what, seed=given))
            held |= set(range(given, given + what))
            given += what
        elif act == "remove":
            assert isinstance(what, list)
            index.remove(np.array(what, np.int64))
            removed |= held & set(what)
            held -= set(what)
        else:
            index = Index.from_bytes(index.to_bytes(), WIDTH, index.config)
        assert len(index) == len(held)
        for k in (3, 1000):
            _, keys = index.search(vectors(4, seed=99), k)
            found = set(keys[keys >= 0].tolist())
            assert found <= held
            assert not found & removed
            assert all(len(set(row)) == len(row) == min(k, len(held)) for row in keys.tolist())


@METHODS
def test_an_empty_index_finds_nothing(method: str) -> None:
    index = Index(WIDTH, config(method))
    assert index.search(vectors(2), 3)[1].shape == (2, 0)
    assert index.search(vectors(0), 3)[1].shape == (0, 0)
    index.add(np.arange(0), vectors(0))
    index.add(np.arange(2), vectors(2))
    index.remove(np.array([0, 1, 7]))
    assert index.search(vectors(2), 3)[1].shape == (2, 0)
    assert len(Index.from_bytes(index.to_bytes(), WIDTH, index.config)) == 0


@METHODS
def test_a_vector_of_nothing_is_near_to_nothing(method: str) -> None:
    index = filled(method)
    index.add(np.array([200]), np.zeros((1, WIDTH)))
    assert len(index) == 100
    assert np.all(index.search(np.zeros((1, WIDTH)), 3)[1] == -1)
    assert 200 not in index.search(vectors(1, seed=3), 1000)[1]


def test_auto_chooses_by_number() -> None:
    index = filled("auto", 59)
    assert index.method == "exact"
    index.add(np.array([59]), vectors(1, seed=5))
    assert index.method == "scan"
    index.remove(np.arange(30))
    index.add(np.array([60]), vectors(1, seed=6))
    assert index.method == "scan"
    assert index.search(vectors(1, seed=6), 1)[1].tolist() == [[60]]


def test_an_index_that_expects_many_keys_is_trained_on_some_of_them() -> None:
    index = Index(WIDTH, config("auto"))
    index.expect(1000, vectors(100))
    assert index.method == "scan"
    index.add(np.arange(10), vectors(10))
    assert index.search(vectors(10), 1)[1][:, 0].tolist() == list(range(10))


@pytest.mark.parametrize(("method", "least"), [("IndexIVFFlat", 4), ("IndexPQ", 16), ("IndexHNSWPQ", 16)])
def test_the_search_is_exact_until_there_is_enough_to_train_on(method: str, least: int) -> None:
    index = filled(method, least - 1)
    assert index.method == "exact"
    assert f"needs {least} keys and has {least - 1}" in index.note
    assert index.search(vectors(least - 1), 1)[1][:, 0].tolist() == list(range(least - 1))
    index.add(np.array([least]), vectors(1, seed=2))
    assert (index.method, index.note) == (method, "")


@METHODS
def test_the_same_keys_make_the_same_index(method: str) -> None:
    assert filled(method).to_bytes() == filled(method).to_bytes()


def test_what_is_drawn_hangs_on_the_seed() -> None:
    other = Index(WIDTH, config("IndexPQ", seed=1))
    other.add(np.arange(100), vectors(100))
    assert (
        other.search(vectors(20, seed=1), 3)[0].tolist() != filled("IndexPQ").search(vectors(20, seed=1), 3)[0].tolist()
    )


def test_keys_must_ascend() -> None:
    index = filled("exact")
    for keys in ([100, 100], [99], [102, 101]):
        with pytest.raises(ValueError, match="ascend"):
            index.add(np.array(keys), vectors(len(keys)))


@METHODS
def test_a_damaged_index_is_refused(method: str) -> None:
    whole = filled(method).to_bytes()
    Index.from_bytes(whole, WIDTH, config(method))
    for cut in (0, 5, 17, 100, len(whole) // 2, len(whole) - 1):
        with pytest.raises(FolderDamaged):
            Index.from_bytes(whole[:cut], WIDTH, config(method))
    for place in range(0, len(whole), len(whole) // 23):
        changed = bytearray(whole)
        changed[place] ^= 1
        with pytest.raises(FolderDamaged):
            Index.from_bytes(bytes(changed), WIDTH, config(method))


def test_an_index_of_another_width_or_with_other_settings_is_refused() -> None:
    whole = filled("IndexPQ").to_bytes()
    with pytest.raises(FolderDamaged, match="width 16, not 32"):
        Index.from_bytes(whole, 32, config("IndexPQ"))
    with pytest.raises(FolderDamaged, match="other settings"):
        Index.from_bytes(whole, WIDTH, config("IndexPQ", m=4))
    again = Index.from_bytes(whole, WIDTH, config("IndexFlatL2", nprobe=2))
    assert again.method == "IndexFlatL2"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("index.method=IndexLSH", "method must be one of"),
        ("index.nbits=3", "nbits must be from 4 to 12, not 3"),
        ("index.nbits=13", "nbits must be from 4 to 12, not 13"),
        ("index.nlist=0", "nlist must be at least 1"),
        ("index.nprobe=0", "nprobe must be at least 1"),
        ("index.nprobe=300", "nprobe must be at most nlist, 256, not 300"),
        ("index.hnsw_m=1", "hnsw_m must be from 2 to 512, not 1"),
        ("index.ef_search=0", "ef_search must be at least 1"),
        ("index.ef_construction=-1", "ef_construction must be a whole number"),
        ("router.vectors=int4", "vectors must be one of"),
    ],
)
def test_bad_parameters_are_one_clear_line(setting: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Config().with_settings([setting])


@pytest.mark.parametrize("method", ["IndexIVFPQ", "IndexHNSWPQ", "IndexPQ"])
def test_pieces_must_divide_the_width(method: str) -> None:
    with pytest.raises(UsageError, match=r"index\.m=5 does not divide .* 16") as caught:
        Index(WIDTH, config(method, m=5))
    assert caught.value.hint == "such as 4"


def test_faiss_is_not_imported_before_vectors_come() -> None:
    program = (
        "import sys; from memtune.config import *; from memtune.router.router import Router;"
        "Router(RouterConfig()).route('What is it?'); print('faiss' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
