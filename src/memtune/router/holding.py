"""The memory's wordings taken apart: names, the words that say what is asked of them, the words of the answer."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from memtune.core.facts import wording_hash
from memtune.router.columns import Sorted
from memtune.router.evidence import Evidence
from memtune.router.keys import NEVER, Keys
from memtune.router.lexicon import lexicon
from memtune.router.route import Owner
from memtune.router.words import word_hash, words

_ABOUT = 64
"""Wordings that hold a word, at most, for it to tell what is meant."""
_RAREST = 12
"""Words of a message whose wordings are looked at."""
_SAME_ANSWER = 256
"""Facts of one answer that are looked at; an answer of more of them tells none apart."""
_SEEN = 8192
"""Wordings, at most, that are kept taken apart."""
_MEANS = 0.7
"""How near two words must be to mean the same."""


def _stems(text: str) -> frozenset[int]:
    return frozenset(word_hash(stem) for stem in words(text))


SORTS = _stems(
    "many much often year date day month time name number amount place person people town city village country kind "
    "type sort exact exactly total"
)
"""Words that say of which sort the answer is: nobody repeats them who uses the fact."""
FREE = SORTS | {
    word_hash(stem)
    for stem in words(
        "before after than until till since more less fewer most least earlier later earliest latest sooner first last "
        "older newer oldest newest younger youngest longer shorter longest shortest bigger smaller larger higher lower "
        "highest lowest taller heavier lighter cheaper dearer greater two both either each one ones other another "
        "these those them not also really actually ever indeed already still called named located true false correct "
        "right wrong say answer yes no choose short brief same different difference between compare compared whether "
        "if he she they him her his their being made"
    )
}
"""Words that may stand anywhere and change nothing of what is asked."""
_DEGREES = {
    word_hash(plain): _stems(compared)
    for plain, compared in {
        "long": "longer longest shorter shortest", "old": "older oldest younger youngest",
        "tall": "taller tallest shorter higher", "high": "higher highest lower lowest taller",
        "heavy": "heavier heaviest lighter lightest", "wide": "wider widest narrower",
        "deep": "deeper deepest shallower", "big": "bigger biggest smaller smallest",
        "large": "larger largest smaller smallest",
        "fast": "faster fastest slower slowest", "loud": "louder loudest quieter quietest",
        "expensive": "cheaper cheapest dearer", "cost": "cheaper cheapest expensive dearer",
        "price": "cheaper cheapest expensive dearer", "weigh": "heavier heaviest lighter lightest",
        "weight": "heavier heaviest lighter lightest", "length": "longer longest shorter shortest",
        "height": "higher highest taller tallest lower", "far": "farther further nearer closer",
        "depth": "deeper deepest shallower", "width": "wider widest narrower", "age": "older oldest younger youngest",
    }.items()
}  # fmt: skip
"""What asks for the same when things are compared."""
LIGHT: frozenset[int] = SORTS | _DEGREES.keys()
"""Words that alone do not tell what is asked: how long is what?"""


@dataclass(frozen=True)
class Held:
    """A wording of a fact."""

    key: int
    owner: Owner
    names: frozenset[int]
    plain: frozenset[int]
    answer: frozenset[int]
    wants: int
    first: int
    """Its first word that carries meaning: what stands behind its "which" or "what", if anything does."""

    @property
    def words(self) -> frozenset[int]:
        return self.names | self.plain


class Holding:
    """Finds wordings by the names in them and by what they answer."""

    def __init__(self, keys: Keys, evidence: Evidence) -> None:
        self._keys, self._evidence = keys, evidence
        self._by_answer, self._read = Sorted(np.uint64), 0
        self._seen: dict[int, Held] = {}

    def rare(self, found: Collection[int]) -> list[int]:
        """Those of the words that stand in some wordings, but in few."""
        asked = np.fromiter(found, np.uint32, len(found))
        counts = self._keys.frequencies(asked)
        order = np.argsort(counts, kind="stable")
        return [int(asked[i]) for i in order if 0 < counts[i] <= _ABOUT][:_RAREST]

    def known(self, found: Collection[int]) -> bool:
        """Whether wordings hold all of these words."""
        return bool(found) and all(map(self._keys.frequency, found))

    def about(self, said: frozenset[int], named: frozenset[int]) -> list[Held]:
        """Wordings all of whose names stand among the words that are said. `named`: which of these are names there."""
        near = [self._keys.holding(word, _ABOUT) for word in self.rare(said)]
        if not near:
            return []
        keys = np.unique(np.concatenate(near))
        held, lengths = self._keys.words_of(keys), self._keys.word_counts(keys)
        names = self._evidence.names.gather(keys) | np.isin(held, np.fromiter(named, np.uint32, len(named)))
        there = np.isin(held, np.fromiter(said, np.uint32, len(said)))
        starts = np.cumsum(lengths) - lengths
        complete = ~np.logical_or.reduceat(names & ~there, starts) & np.logical_or.reduceat(names & there, starts)
        return self._taken_apart(keys[complete], named)

    def answering(self, answer: str) -> list[Held]:
        """Wordings whose fact has this whole answer, unless too many have."""
        self._catch_up()
        keys = self._by_answer.find(wording_hash(answer)).astype(np.int64)
        return self._taken_apart(keys, frozenset()) if len(keys) <= _SAME_ANSWER else []

    def exact(self, text: str) -> Owner | None:
        """The fact that was learned in this wording."""
        return self._keys.exact(text)

    def wording(self, key: int, named: frozenset[int]) -> Held:
        """One wording. `named`: words that are names elsewhere."""
        return self._taken_apart(np.array([key]), named)[0]

    def _taken_apart(self, keys: NDArray[np.int64], named: frozenset[int]) -> list[Held]:
        living = [key for key in keys[self._keys.alive(keys)].tolist() if self._keys.tag(key) != NEVER]
        self._look_at([key for key in living if key not in self._seen])
        found = []
        for key in living:
            held = self._seen[key]
            also = held.plain & named
            found.append(held if not also else replace(held, names=held.names | also, plain=held.plain - also))
        return found

    def _look_at(self, keys: Sequence[int]) -> None:
        """Wordings as they are by themselves: a key never changes."""
        if not keys:
            return
        if len(self._seen) + len(keys) > _SEEN:
            self._seen.clear()
        places = np.array(keys)
        said, lengths = self._keys.words_of(places).tolist(), self._keys.word_counts(places).tolist()
        are_names = self._evidence.names.gather(places).tolist()
        gists, many = self._evidence.gists(places)
        answers, wants = _cut(gists.tolist(), many.tolist()), self._evidence.wanted(places).tolist()
        for key, own, marks, answer, kind in zip(
            keys, _cut(said, lengths), _cut(are_names, lengths), answers, wants, strict=True
        ):
            names = frozenset(itertools.compress(own, marks))
            plain = frozenset(own) - names
            held = Held(key, self._keys.owner(key), names, plain, frozenset(answer), kind, own[0])
            self._seen[key] = held

    def _catch_up(self) -> None:
        """Answers are looked at when something is first asked the other way round."""
        if self._read == self._keys.numbers:
            return
        new = np.arange(self._read, self._keys.numbers)
        self._by_answer.add(self._evidence.answers(new), new)
        self._read = self._keys.numbers


def _cut(values: list[int], lengths: Iterable[int]) -> Iterator[list[int]]:
    """One list after the other, of these lengths."""
    at = 0
    for length in lengths:
        yield values[at : at + length]
        at += length


@lru_cache(maxsize=1024)
def met(plain: frozenset[int], said: frozenset[int]) -> frozenset[int] | None:
    """The words by which a wording's plain ones are met, or None where one that counts is not."""
    used, lacking = plain & said, plain - said - SORTS
    for word in list(lacking):
        alike = _DEGREES.get(word, frozenset()) & said
        used, lacking = used | alike, lacking - {word} if alike else lacking
    if lacking:
        rest = sorted(said - used)
        if not rest:
            return None
        near = _vectors(lacking) @ _vectors(rest).T
        if near.max(1).min() < _MEANS:
            return None
        used |= {rest[place] for place in near.argmax(1).tolist()}
    return used if used - SORTS else None


def likeness(one: frozenset[int], other: frozenset[int]) -> float:
    """How near the nearest two words of both sides are."""
    if not one or not other:
        return 0.0
    return 1.0 if one & other else float((_vectors(one) @ _vectors(other).T).max())


def _vectors(found: Collection[int]) -> NDArray[np.float32]:
    return lexicon().vectors(np.fromiter(found, np.uint32, len(found)))
