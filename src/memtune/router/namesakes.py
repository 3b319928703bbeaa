"""Another of the same name: Albert Sidney Williams is not Albert Sidney Lane, though most of the words are met.

Words that are written like names and stand side by side are one name. Two names that share a word, and of which each
has a word that the other side has not, are names of two things. A slip in a longer word is forgiven; a name that is
only shorter or longer (Lane; Dr Albert Sidney Lane) is the same. Words with digits are no part of it: for them every
character counts anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from memtune.router.words import Words, word_hash

_ALIKE = 0.5
"""Share of letter pairs from which an unmet word is a slip of another."""
_TITLES = frozenset(
    word_hash(title)
    for title in "mr mrs ms miss dr doctor prof professor sir lady lord saint st king queen prince president".split()
)
_LINKS = frozenset(word_hash(link) for link in "van von de der den del della di da du la le el al bin ibn y".split())
"""Small words inside a name."""


def namesakes(asked: Words, held: Words) -> bool:
    """Whether the two name different things that share a part of their names."""
    said, known = set(asked.hashes.tolist()), set(held.hashes.tolist())
    common = said & known
    written = {*_written_like_names(asked), *_written_like_names(held)} & common
    ours = [name for name in _names(asked, written) if name & common and name - common]
    theirs = [name for name in _names(held, written) if name & common and name - common]
    return any(one & other and not _slips(asked, one - known, held, other - said) for one in ours for other in theirs)


def _written_like_names(words: Words) -> list[int]:
    found: list[int] = words.hashes[words.names].tolist()
    return found


def _names(words: Words, also: set[int]) -> Iterator[set[int]]:
    """Runs of words that are written like names, here or on the other side, without titles and what has digits."""
    run: set[int] = set()
    for word, named in zip(words.hashes.tolist(), words.names.tolist(), strict=True):
        if word in _LINKS:
            continue
        if word & 1 or not (named or word in also):
            if run:
                yield run
            run = set()
        elif word not in _TITLES:
            run.add(word)
    if run:
        yield run


def _slips(asked: Words, one: set[int], held: Words, other: set[int]) -> bool:
    """Whether all that is unmet on one side is written nearly like something unmet on the other."""
    ours, theirs = _spellings(asked, one), _spellings(held, other)
    if not len(ours) or not len(theirs):
        return False
    both = np.bitwise_count(ours[:, None] & theirs[None, :])
    either = np.bitwise_count(ours[:, None] | theirs[None, :])
    alike = (both / np.maximum(either, 1) >= _ALIKE) & (both > 0)
    fewer = alike.any(1) if len(ours) <= len(theirs) else alike.any(0)
    return bool(fewer.all())


def _spellings(words: Words, chosen: set[int]) -> NDArray[np.uint64]:
    found: Sequence[int] = [i for i, word in enumerate(words.hashes.tolist()) if word in chosen]
    return words.spellings[found]
