"""Texts as hashed words and as a lexical sketch: cheap, context-free features that need no model."""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[^\W_]+(?:[.,'’/:-][^\W_]+)*")
_GRAM = 4
_GRAM_WEIGHT = 0.35
_COMMON_WEIGHT = 0.15
COMMON = frozenset(
    "a an the of in on at to for from by with as and or is are was were be been do does did has have had will would "
    "can could should what which who whom whose where when why how please tell me my i you your it its this that "
    "there s".split()
)
_FILLERS = frozenset(
    "need know want give show wonder wondering remember forgot forgotten curious idea just exactly quick hello hi hey "
    "thank kindly again".split()
)
"""What a question is wrapped in: such words say nothing about which fact is meant."""


@lru_cache(maxsize=65_536)
def word_hash(word: str) -> int:
    """31 bits of the word, and in the lowest bit whether it holds a digit: such words must match exactly."""
    return (zlib.crc32(word.encode()) & 0xFFFFFFFE) | any(c.isdigit() for c in word)


def words(text: str) -> list[str]:
    """Lower-case words without possessives and plain plurals; a number keeps its inner marks."""
    return [stem for stem, _ in _spelled(text)]


def _spelled(text: str) -> Iterator[tuple[str, bool]]:
    """Stems, and whether each is written like a name: a capital that no beginning of a text explains, or a digit."""
    for place, match in enumerate(_WORD.finditer(unicodedata.normalize("NFKC", text))):
        word = match.group()
        stem = _stem(word.casefold())
        yield stem, (place > 0 and word[0].isupper()) or any(c.isdigit() for c in word)


@dataclass(frozen=True)
class Token:
    """One word of a text, where it stands."""

    text: str
    stem: str
    word: int
    """Its hash."""
    named: bool
    """Whether it is written like a name."""
    common: bool
    """Whether it says nothing about which fact is meant."""
    joined: bool
    """Whether nothing but a space stands between it and the word before."""

    @property
    def owner(self) -> bool:
        """Whether the next word belongs to it: "Orbane's"."""
        return self.text.endswith(("'s", "’s"))

    @property
    def capital(self) -> bool:
        return self.text[0].isupper()


def tokens(sentence: str) -> list[Token]:
    """The words of a sentence in their order."""
    found: list[Token] = []
    last = 0
    text = unicodedata.normalize("NFKC", sentence)
    for match in _WORD.finditer(text):
        word, stem = match.group(), _stem(match.group().casefold())
        named = (bool(found) and word[0].isupper()) or any(c.isdigit() for c in word)
        joined = bool(found) and text[last : match.start()].isspace()
        found.append(Token(word, stem, word_hash(stem), named, stem in _COMMON_STEMS or stem in _FILLERS, joined))
        last = match.end()
    return found


@lru_cache(maxsize=65_536)
def _stem(word: str) -> str:
    word = word.replace("’", "'").removesuffix("'s")
    plural = len(word) > 3 and word.endswith("s") and not word.endswith("ss") and not any(c.isdigit() for c in word)
    return word[:-1] if plural else word


_COMMON_STEMS = frozenset(_stem(word) for word in COMMON)


KINDS_ASKED = ("who", "where", "when", "how many", "why", "what")
"""What sort of thing a question wants, as far as its words give that away."""
_WANTS = (
    re.compile(r"\b(?:who|whom|whose|by whom|name of the (?:person|man|woman|author))\b"),
    re.compile(r"\b(?:where|which (?:city|town|country|place|street|room)|what (?:city|town|country|place))\b"),
    re.compile(r"\b(?:when|(?:which|what) (?:year|date|day|month|time)|how old|birth ?day)\b"),
    re.compile(
        r"\bhow (?:many|much|long|far|high|tall|heavy|big|large|often|fast|old)\b|\b(?:number|amount|price|cost) of\b"
    ),
    re.compile(r"\b(?:why|how (?:does|do|did|is|are|was|were|has|have|can|would))\b|\bin what (?:way|ways)\b"),
    re.compile(r"\b(?:what|which)\b"),
)


def wanted(text: str) -> int:
    """The first sort in KINDS_ASKED that a text's words give away, else their number."""
    text = text.casefold()
    return next((kind for kind, words in enumerate(_WANTS) if words.search(text)), len(KINDS_ASKED))


def noun_asked(asked: Sequence[Token]) -> int:
    """The word behind "which" or "what", or 0: which ferry, what year."""
    for one, other in itertools.pairwise(asked):
        if one.stem in ("which", "what") and other.joined and not other.common:
            return other.word
    return 0


def shape(answer: str) -> tuple[float, float, float]:
    """What an answer looks like: whether it has digits, begins with a capital, and how long it is."""
    length = len(answer.split())
    return float(any(c.isdigit() for c in answer[:80])), float(answer[:1].isupper()), min(math.log(1 + length), 4.0)


@dataclass(frozen=True)
class Words:
    """The distinct words of a text that carry meaning (all of them where none does), as columns."""

    hashes: NDArray[np.uint32]
    names: NDArray[np.bool_]
    """Which are written like names."""
    spellings: NDArray[np.uint64]
    """The pairs of letters in each, as bits: words that differ by a slip share most of them."""

    def __len__(self) -> int:
        return len(self.hashes)


def said(text: str) -> Words:
    found: dict[str, bool] = {}
    for stem, named in _spelled(text):
        found[stem] = found.get(stem, False) or named
    kept = {stem: named for stem, named in found.items() if stem not in _COMMON_STEMS and stem not in _FILLERS} or found
    return Words(
        np.fromiter((word_hash(stem) for stem in kept), np.uint32, len(kept)),
        np.fromiter(kept.values(), np.bool_, len(kept)),
        np.fromiter((_letter_pairs(stem) for stem in kept), np.uint64, len(kept)),
    )


@lru_cache(maxsize=65_536)
def _letter_pairs(word: str) -> int:
    """Pairs of neighbouring letters as bits of one number; nothing for words so short that a slip changes most."""
    if len(word) < 5 or not word.isalpha():
        return 0
    framed = f"<{word}>"
    bits = 0
    for i in range(len(framed) - 1):
        bits |= 1 << (zlib.crc32(framed[i : i + 2].encode()) & 63)
    return bits


def hashed_words(text: str) -> NDArray[np.uint32]:
    """The distinct words of a text that carry meaning, hashed; all words where none does."""
    return said(text).hashes


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
