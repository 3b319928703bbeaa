"""Names of things that do not exist, so that no model can know them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

_ONSETS = "b br d dr f g gr h j k kl l m n p pr r s st t tr v w z".split()
_VOWELS = "a e i o u a e i o u ai ei ou".split()
_CODAS = ["", "", "", "l", "n", "r", "s", "m", "nd", "rk"]
_SHARE = 8
"""One word in so many is kept out of the names that the bundled backbone was trained on, by its hash."""


def names(draw: random.Random) -> Iterator[str]:
    """Capitalised names of two or three syllables, never the same one twice."""
    seen: set[str] = set()
    while True:
        name = "".join(_syllable(draw) for _ in range(draw.choice((2, 2, 3)))).capitalize()
        if name not in seen:
            seen.add(name)
            yield name


def held_out(word: str) -> bool:
    """Whether the text that the bundled backbone was trained on can have no name with this word in it."""
    return hashlib.sha256(word.lower().encode()).digest()[0] % _SHARE == 0


def held_out_names(draw: random.Random) -> Iterator[str]:
    return (name for name in names(draw) if held_out(name))


def _syllable(draw: random.Random) -> str:
    return draw.choice(_ONSETS) + draw.choice(_VOWELS) + draw.choice(_CODAS)
