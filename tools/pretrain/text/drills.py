"""Dense exercises that make a small network copy: repeated spans and tiny lookups, from arbitrary words."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from .document import END, Document, Part, Piece


def repeated_span(rng: Random, words: Sequence[str]) -> Document:
    """A span of random words, then the same span again: the second time every word can be known."""
    span = " ".join(rng.choice(words) for _ in range(rng.randint(6, 40)))
    first = Piece(f"{span}\n", Part.BACKGROUND)
    return (first, *[Piece(f"{span}\n", Part.ANSWER)] * rng.choice((1, 1, 2)), Piece(END, Part.ANSWER))


def lookup(rng: Random, words: Sequence[str]) -> Document:
    """Pairs of words, then some of the keys again in another order."""
    keys = rng.sample(words, rng.randint(2, 8))
    values = [" ".join(rng.choice(words) for _ in range(rng.choice((1, 1, 2, 3)))) for _ in keys]
    sign = rng.choice((":", " is", " ->", " =", ","))
    pieces = [Piece("".join(f"{k}{sign} {v}\n" for k, v in zip(keys, values, strict=True)), Part.BACKGROUND)]
    for index in rng.sample(range(len(keys)), len(keys)):
        pieces += [Piece(f"{keys[index]}{sign}", Part.BACKGROUND), Piece(f" {values[index]}\n", Part.ANSWER)]
    return (*pieces, Piece(END, Part.ANSWER))


def drill(rng: Random, words: Sequence[str]) -> Document:
    return (repeated_span if rng.random() < 0.5 else lookup)(rng, words)
