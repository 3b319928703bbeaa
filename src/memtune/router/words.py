"""Texts as hashed words and as a lexical sketch: cheap, context-free features that need no model."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[^\W_]+(?:[.,'’/:-][^\W_]+)*")
_GRAM = 4
_GRAM_WEIGHT = 0.35
_COMMON_WEIGHT = 0.15
COMMON = frozenset(
    "a an the of in on at to for from by with as and or is are was were be been do does did have has had will would "
    "can could should what which who whom whose when where why how please tell me my i you your it its this that "
    "there s".split()
)


@lru_cache(maxsize=65_536)
def word_hash(word: str) -> int:
    """31 bits of the word, and in the lowest bit whether it holds a digit: such words must match exactly."""
    return (zlib.crc32(word.encode()) & 0xFFFFFFFE) | any(c.isdigit() for c in word)


def has_digit(hashed: int) -> bool:
    return bool(hashed & 1)


def words(text: str) -> list[str]:
    """Lower-case words without possessives and plain plurals; a number keeps its inner marks."""
    found = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return [_stem(word) for word in found]


def _stem(word: str) -> str:
    word = word.replace("’", "'").removesuffix("'s")
    plural = len(word) > 3 and word.endswith("s") and not word.endswith("ss") and not any(c.isdigit() for c in word)
    return word[:-1] if plural else word


_COMMON_STEMS = frozenset(_stem(word) for word in COMMON)


def hashed_words(text: str) -> NDArray[np.uint32]:
    """The distinct words of a text that carry meaning, hashed; all words where none does."""
    found = words(text)
    kept = [word for word in found if word not in _COMMON_STEMS] or found
    return np.fromiter(dict.fromkeys(word_hash(w) for w in kept), dtype=np.uint32)


def sketches(texts: Sequence[str], width: int) -> NDArray[np.float32]:
    """Unit vectors in which texts that share words and pieces of words lie near each other."""
    cells: list[int] = []
    weights: list[float] = []
    for row, text in enumerate(texts):
        for word in words(text):
            for feature, weight in _features(word):
                cells.append(row * width + (feature >> 1) % width)
                weights.append(weight if feature & 1 else -weight)
    flat = np.bincount(cells, weights=weights, minlength=len(texts) * width)
    vectors = flat.reshape(len(texts), width).astype(np.float32)
    unit: NDArray[np.float32] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return unit


@lru_cache(maxsize=65_536)
def _features(word: str) -> tuple[tuple[int, float], ...]:
    scale = _COMMON_WEIGHT if word in _COMMON_STEMS else 1.0
    framed = f"<{word}>"
    grams = {framed[i : i + _GRAM] for i in range(max(1, len(framed) - _GRAM + 1))}
    return (
        (zlib.crc32(b"w" + word.encode()), scale),
        *((zlib.crc32(b"g" + g.encode()), scale * _GRAM_WEIGHT) for g in sorted(grams)),
    )
