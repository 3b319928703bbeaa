"""Whether a text stands among others: as it is, but for case and spacing, or nearly.

Two texts are near when names, numbers and signs of comparison are the same in the same order, and of the other words
those that both have make up most of the weight, rare words weighing more; or when one stands whole inside the other.
So `What does A cost?` is never near `What does B cost?`, nor `When was A born?` near `Where was A born?`.

Looking up costs little: what is near holds the rarest name of the text, or one of its rarest words, and a list says
which texts hold that.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from memtune.core.facts import normalise
from memtune.router.words import COMMON, KINDS_ASKED, wanted

Kind = Literal["exact", "normalised", "near"]
KINDS: tuple[Kind, ...] = ("exact", "normalised", "near")
NEAR = 0.8
"""Share of the weight that near texts have in common, of all that either has."""
WHOLE = 6
"""Words that a text must have for its standing inside another to say something."""
TELLING = 4
"""Distinct words that carry meaning, from which on a text is not found in another, or shared, by chance."""
_SMALL_WEIGHT = 0.2
_ANYTHING = {KINDS_ASKED.index("what"), len(KINDS_ASKED)}
"""What a question may want beside anything more definite."""
_TOKEN = re.compile(r"[^\W_]+(?:['’.,:/-][^\W_]+)*|[<>!]=|<>|[<>=]")


@dataclass(frozen=True)
class Hit:
    """Which text was found, and how much of it."""

    kind: Kind
    id: str
    text: str
    share: float = 1.0


@dataclass(frozen=True)
class Spelled:
    """A text as words in order; `strict` are the places of those that no near text lacks."""

    words: tuple[str, ...]
    strict: tuple[int, ...]
    wants: int
    """What sort of thing is asked for, of KINDS_ASKED."""

    @classmethod
    def of(cls, text: str) -> Spelled:
        found = _TOKEN.findall(unicodedata.normalize("NFKC", text))
        stems = [_stem(word.casefold()) for word in found]
        strict = tuple(i for i, stem in enumerate(stems) if stem not in _SMALL and _is_strict(found, i))
        for place in strict:
            stems[place] = _bare(found[place].casefold())  # `Oceans` is not `Ocean`
        return cls(tuple(stems), strict, wanted(text))

    @property
    def telling(self) -> set[str]:
        """The distinct words that carry meaning."""
        return {word for word in self.words if word not in _SMALL and word[0].isalnum()}


def _is_strict(found: Sequence[str], place: int) -> bool:
    """Names, numbers and signs; a capital at the beginning says something only where another follows."""
    word = found[place]
    if any(not c.isalpha() and c not in "'’-" for c in word):
        return True
    follower = found[place + 1] if place + 1 < len(found) else ""
    return word[0].isupper() and (place > 0 or follower[:1].isupper())


def _bare(word: str) -> str:
    return word.replace("’", "'").removesuffix("'s")


def _stem(word: str) -> str:
    word = _bare(word)
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") and word.isalpha() else word


_SMALL = frozenset(map(_stem, COMMON))


def plain(text: str) -> str:
    """What is left when case, spacing, Unicode form and closing marks say nothing."""
    return normalise(text).rstrip(" ;?.!:")


def tells(text: str) -> bool:
    """Whether an answer says so much that two facts do not have it in common by chance: no "yes", no mere name."""
    spelled = Spelled.of(text)
    names = {spelled.words[place] for place in spelled.strict}
    return len(spelled.telling) >= TELLING and bool(spelled.telling - names)


class Texts:
    """Texts with ids, in which others are found again."""

    def __init__(self, texts: Iterable[tuple[str, str]]) -> None:
        pairs = [(owner, text.strip()) for owner, text in texts if text.strip()]
        self._ids = [owner for owner, _ in pairs]
        self._texts = [text for _, text in pairs]
        self._exact: dict[str, list[int]] = defaultdict(list)
        self._plain: dict[str, list[int]] = defaultdict(list)
        for at, text in enumerate(self._texts):
            self._exact[text].append(at)
            self._plain[plain(text)].append(at)

    def __len__(self) -> int:
        return len(self._texts)

    def find(self, text: str, *, of: Collection[str] = (), without: Collection[str] = ()) -> Hit | None:
        """The same text, or the nearest. `of`: only texts of these ids; `without`: none of these."""
        same = self.same(text, of=of, without=without)
        return same or self.near(text, of=of, without=without)

    def same(self, text: str, *, of: Collection[str] = (), without: Collection[str] = ()) -> Hit | None:
        """The text as it is, or but for what `plain` leaves out."""
        text = text.strip()
        for kind, places in (("exact", self._exact.get(text, ())), ("normalised", self._plain.get(plain(text), ()))):
            for at in self._allowed(places, of, without):
                return Hit("exact" if kind == "exact" else "normalised", self._ids[at], self._texts[at])
        return None

    def near(self, text: str, *, of: Collection[str] = (), without: Collection[str] = ()) -> Hit | None:
        """The nearest of the texts that are near, or that stand in this one, or hold it."""
        spelled = Spelled.of(text)
        if not spelled.words or not self._texts:
            return None
        found = [
            (self._index.share(spelled, at), -at) for at in self._allowed(self._index.candidates(spelled), of, without)
        ]
        share, at = max(found, default=(0.0, 0))
        return Hit("near", self._ids[-at], self._texts[-at], round(share, 3)) if share >= NEAR else None

    def _allowed(self, places: Iterable[int], of: Collection[str], without: Collection[str]) -> Iterator[int]:
        for at in places:
            if (not of or self._ids[at] in of) and self._ids[at] not in without:
                yield at

    @cached_property
    def _index(self) -> _Index:
        return _Index([Spelled.of(text) for text in self._texts])


class _Index:
    """Which texts hold a word, what each word weighs, and by which run of words each text is known."""

    def __init__(self, texts: Sequence[Spelled]) -> None:
        self._texts = texts
        holders: dict[str, list[int]] = defaultdict(list)
        for at, text in enumerate(texts):
            for word in set(text.words):
                holders[word].append(at)
        self._holders = {word: np.array(found, np.int64) for word, found in holders.items()}
        self._rarest = math.log(2 + len(texts))
        self._weights = {word: self._weight(word, len(found)) for word, found in holders.items()}
        self._totals = np.array([self._total(set(text.words)) for text in texts])
        self._runs: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for at, text in enumerate(texts):
            if _stands_alone(text):
                self._runs[self._run(text.words)].append(at)

    def candidates(self, text: Spelled) -> set[int]:
        """Every text that may be near, or stand in this one, or hold it."""
        found = set(self._likely(text).tolist())
        for start in range(len(text.words) - WHOLE + 1):
            found.update(self._runs.get(text.words[start : start + WHOLE], ()))
        if _stands_alone(text) and all(word in self._holders for word in text.words):
            found.update(min((self._holders[word] for word in text.words), key=len).tolist())
        return found

    def share(self, text: Spelled, at: int) -> float:
        """How much of what is no name is the same; 0 where a name, a number or a sign differs, or what is wanted."""
        other = self._texts[at]
        if _inside(text, other) or _inside(other, text):
            return 1.0
        fixed = _fixed(text, other)
        if fixed != _fixed(other, text) or len({text.wants, other.wants} - _ANYTHING) > 1:
            return 0.0
        mine, others = set(text.words).difference(fixed), set(other.words).difference(fixed)
        return self._total(mine & others) / self._total(mine | others) if mine | others else 1.0

    def _likely(self, text: Spelled) -> NDArray[np.int64]:
        """Texts of about this weight that hold its rarest name or, without one, any word that they could not lack."""
        words = set(text.words)
        total = self._total(words)
        strict = [text.words[place] for place in text.strict]
        if any(word not in self._holders for word in strict):
            return np.empty(0, np.int64)
        if strict:
            needed = [min(strict, key=lambda word: len(self._holders[word]))]
        else:
            needed = self._indispensable(words, total)
        lists = [self._holders[word] for word in needed if word in self._holders]
        found = np.unique(np.concatenate([np.empty(0, np.int64), *lists]))
        totals = self._totals[found]
        likely: NDArray[np.int64] = found[(totals >= NEAR * total) & (totals <= total / NEAR)]
        return likely

    def _indispensable(self, words: set[str], total: float) -> list[str]:
        """The heaviest words, until what is left weighs too little for a text that has none of them."""
        heaviest = sorted(words, key=lambda word: (-self._weigh(word), word))
        kept, weight = [], 0.0
        for word in heaviest:
            kept.append(word)
            weight += self._weigh(word)
            if weight > (1 - NEAR) * total:
                break
        return kept

    def _run(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """The run around the rarest word: few other texts have it."""
        rarest = min(range(len(words)), key=lambda place: (len(self._holders[words[place]]), place))
        start = min(rarest, len(words) - WHOLE)
        return words[start : start + WHOLE]

    def _total(self, words: Iterable[str]) -> float:
        return math.fsum(map(self._weigh, words))  # exact, so that the order of a set cannot matter

    def _weigh(self, word: str) -> float:
        return self._weights.get(word) or self._weight(word, 0)

    def _weight(self, word: str, holders: int) -> float:
        return _SMALL_WEIGHT if word in _SMALL else 1 + self._rarest - math.log(1 + holders)


def _fixed(text: Spelled, other: Spelled) -> list[str]:
    """What either writes as a name, a number or a sign, in the order in which the first has it."""
    strict = {text.words[place] for place in text.strict} | {other.words[place] for place in other.strict}
    return [word for word in text.words if word in strict]


def _stands_alone(text: Spelled) -> bool:
    """Whether to find it within another text says something; a name says as much as a further word."""
    return len(text.words) >= WHOLE and len(text.telling) + bool(text.strict) >= TELLING


def _inside(part: Spelled, whole: Spelled) -> bool:
    """Whether one stands in the other word for word."""
    length, longest = len(part.words), len(whole.words)
    if length > longest or not _stands_alone(part):
        return False
    return any(whole.words[i : i + length] == part.words for i in range(longest - length + 1))
