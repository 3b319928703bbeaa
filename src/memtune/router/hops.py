"""From one fact to the next by a word that no wording holds: what stands for the first answer is replaced by it.

"Where did the skipper of the ferry Alma grow up?" shares no word with "Who steers the ferry Alma?" but the ferry. With
that fact's answer in the place of "the skipper of the ferry Alma" it is a learned wording, and if only one fact about
the ferry leads to any, nothing else explains it. Where several do, the word itself must decide.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from memtune.router.holding import Held, Holding, likeness
from memtune.router.reading import Reading
from memtune.router.route import Owner, Proposal
from memtune.router.words import Token, tokens, word_hash, words

_FEW = 4
"""Words of an answer that may stand in the place of others."""
_MOST = 3
"""Texts, at most, for which the network is asked whether they ask for a fact."""
_ALIKE = 0.5
"""How near a word must be to one of a wording for it to be worth a look."""
_NEAR, _LEAD, _SAME = 0.35, 0.2, 0.7
"""How near a word must be to a wording that it decides for, how much nearer than to others, and when it is the same."""
_POSSIBLE, _LIKELY, _SURE, _TIMES = 0.1, 0.2, 0.7, 3
"""Shares of a fact from which on a phrase may mean it, does if several may, and does though it is asked for by another
noun; how many times those of others."""
_TIES = frozenset("of for at in on by".split())
_ARTICLES = frozenset("the a an its".split())
_BY_A_NOUN = re.compile(r"(?:who|what|which)\s+(?:is|was|are|were)\s+(?:the|its|\S+['’]s)\s", re.IGNORECASE)


def _stems(text: str) -> frozenset[int]:
    return frozenset(map(word_hash, words(text)))


_OTHERS = _stems(
    "former previous next future deputy vice assistant acting first second last late ex interim original old new "
    "younger older elder oldest youngest"
)
"""Before a word, these make it stand for somebody else."""
_KIN = _stems(
    "mother father parent wife husband spouse partner brother sister sibling son daughter child children uncle aunt "
    "cousin nephew niece grandfather grandmother grandson granddaughter friend rival widow fiancee"
)
"""Who belongs to somebody: that is never the one who does something."""

Ask = Callable[[str], Proposal | None]
Judge = Callable[[str], Mapping[Owner, float]]
"""The facts that a text may ask for, and how likely each is."""
FactOf = Callable[[Owner], tuple[str, str] | None]
"""Question and answer of a fact."""


@dataclass(frozen=True)
class Phrase:
    """A stretch of a sentence that may stand for an answer: "the skipper of the ferry Alma"."""

    start: int
    end: int
    text: str
    relation: frozenset[int]
    alone: bool
    """Whether no word before it may belong to it or it to another one."""


@dataclass(frozen=True)
class Path:
    first: Held
    question: str
    answer: str
    phrase: Phrase
    rest: tuple[Owner, ...]

    @property
    def near(self) -> float:
        """How near what the phrase says comes to the wording of the first fact."""
        return likeness(self.phrase.relation, self.first.plain)


class Hops:
    def __init__(self, holding: Holding, ask: Ask, judge: Judge, fact_of: FactOf, max_hops: int) -> None:
        """`fact_of`: a fact as it was learned; where nobody can say, nothing is found in this way."""
        self._holding, self._ask, self._judge, self._fact_of, self._max_hops = holding, ask, judge, fact_of, max_hops

    def path(self, reading: Reading, about: Sequence[Held]) -> list[Owner]:
        """The facts that lead from one to the next, or nothing."""
        return self._path(reading, about, self._max_hops) if self._max_hops > 1 else []

    def _path(self, reading: Reading, about: Sequence[Held], hops: int) -> list[Owner]:
        leading = [(h, *fact) for h in about if self._may_lead(h) and (fact := self._fact_of(h.owner))]
        for sentence in reversed(reading.asking[-2:] if leading else ()):
            text = unicodedata.normalize("NFKC", sentence)
            said = tokens(text)
            found = [(h, q, a, p) for h, q, a in leading for p in _phrases(text, said, h)]
            paths = [Path(h, q, a, p, onward) for h, q, a, p in found
                     if (onward := self._onward(_put(text, p, a), hops - 1))]  # fmt: skip
            if not paths:
                alone = [one for one in found if one[3].alone][:_MOST]
                paths = [Path(h, q, a, p, (owner,)) for h, q, a, p in alone
                         if (owner := self._confirmed(_put(text, p, a), h, reading.asked - p.relation))]  # fmt: skip
            chosen = self._chosen(paths, about)
            if chosen is not None:
                return [chosen.first.owner, *chosen.rest]
        return []

    def _may_lead(self, held: Held) -> bool:
        return 1 <= len(held.answer) <= _FEW and bool(held.names) and self._holding.known(held.answer)

    def _onward(self, text: str, hops: int) -> tuple[Owner, ...]:
        """The fact that was learned in this wording, or the facts that lead on from here."""
        owner = self._holding.exact(text)
        if owner is not None or hops < 2:
            return (owner,) if owner is not None else ()
        reading = Reading.of(text)
        return tuple(self._path(reading, self._holding.about(reading.words, reading.named), hops))

    def _confirmed(self, text: str, first: Held, said: frozenset[int]) -> Owner | None:
        """The fact that a text asks for, if it is about the answer that was put in. The network is asked only where
        something is said that such a fact says."""
        about = [h for h in self._holding.about(first.answer, first.answer) if h.names >= first.answer]
        said -= first.words
        likely = {h.owner for h in about if likeness(h.plain, said) >= _ALIKE} - {first.owner}
        found = self._ask(text) if likely else None
        return found.owner if found is not None and found.owner in likely else None

    def _chosen(self, paths: Sequence[Path], about: Sequence[Held]) -> Path | None:
        """The one path that there is, or the one that the phrase decides for."""
        if not paths:
            return None
        best = max(paths, key=lambda path: path.near)
        rivals = [path for path in paths if (path.answer, path.rest) != (best.answer, best.rest)]
        if rivals and (best.near < _NEAR or best.near - max(path.near for path in rivals) < _LEAD):
            shares = self._shares(best)
            best = max(paths, key=lambda path: shares.get(path.first.owner, 0.0))
            others = [shares.get(p.first.owner, 0.0) for p in paths if (p.answer, p.rest) != (best.answer, best.rest)]
            if shares.get(best.first.owner, 0.0) < max(_LIKELY, *(_TIMES * share for share in others)):
                return None
        return best if self._fits(best, about) else None

    def _fits(self, path: Path, about: Sequence[Held]) -> bool:
        """Whether nothing says that the phrase means something else than this fact."""
        near, owner = path.near, path.first.owner
        if near >= _SAME:
            return True
        if path.phrase.relation & _KIN:
            return False
        shares, by_a_noun = self._shares(path), _BY_A_NOUN.match(path.question) is not None
        if by_a_noun and near < _NEAR and shares.get(owner, 0.0) < _SURE:
            return False
        ours = (owner, *path.rest)
        others = [shares.get(h.owner, 0.0) for h in about if h.owner not in ours and h.answer != path.first.answer]
        return shares.get(owner, 0.0) > max([_POSSIBLE, *others])

    def _shares(self, path: Path) -> Mapping[Owner, float]:
        """What the network thinks of the facts as answers to who the phrase means."""
        return self._judge(f"{'Who' if path.question[:3].casefold() == 'who' else 'What'} is {path.phrase.text}?")


def _phrases(text: str, said: Sequence[Token], held: Held) -> Iterator[Phrase]:
    """Where one word, or two, and what the wording is about stand together, in the ways in which English joins them."""
    own = [i for i, token in enumerate(said) if token.word in held.names]
    if not own or not held.names <= {said[i].word for i in own} or own[-1] - own[0] >= 2 * len(held.names):
        return
    left, last = own[0], own[-1]
    if any(t.named and t.joined for t in said[last + 1 : last + 2]) and not said[last].owner:
        return  # the name goes on
    places = _places(text, said)
    while left and said[left].joined and (said[left - 1].word in held.plain or said[left - 1].stem in _ARTICLES):
        left -= 1
    if left and said[left].joined and said[left - 1].named and left == own[0]:
        return  # the name begins earlier
    right = last
    while right + 1 < len(said) and said[right + 1].joined and said[right + 1].word in held.plain:
        right += 1
    if left >= 2 and said[left - 1].stem in _TIES and said[left].joined and said[left - 1].joined:
        for end in dict.fromkeys((last, right)):
            yield from (_phrase(said, places, first, left - 2, end, first) for first in _words_before(said, left - 2))
    behind = [i for i in (last + 1, last + 2) if i < len(said) and _is_plain(said[i]) and said[i].joined]
    for count in range(1, len(behind) + 1 if behind[:1] == [last + 1] else 0):
        if said[last].owner or (count == 1 and said[left].stem == "the"):
            yield _phrase(said, places, last + 1, last + count, last + count, left)


def _words_before(said: Sequence[Token], at: int) -> Iterator[int]:
    """Where a phrase of one word, or two, that ends here begins."""
    if _is_plain(said[at]):
        yield at
        if at and said[at].joined and _is_plain(said[at - 1]):
            yield at - 1


def _phrase(
    said: Sequence[Token], places: Sequence[tuple[int, int]], low: int, high: int, end: int, start: int
) -> Phrase:
    """`low` to `high`: the words that say what it is to what is named; `start` to `end`: all of it."""
    start -= 1 if start and said[start].joined and said[start - 1].stem in _ARTICLES else 0
    before = said[start - 1] if start and said[start].joined else None
    alone = before is None or (before.common and before.stem not in _TIES and not before.owner)
    alone = alone and not said[end].owner
    stop = places[end][1] - (2 if said[end].owner else 0)
    words_of_it = " ".join(t.text for t in said[start : end + 1]).removesuffix("'s").removesuffix("’s")
    return Phrase(places[start][0], stop, words_of_it, frozenset(t.word for t in said[low : high + 1]), alone)


def _is_plain(token: Token) -> bool:
    return not (token.common or token.named or token.owner or token.word & 1 or token.word in _OTHERS)


def _places(text: str, said: Sequence[Token]) -> list[tuple[int, int]]:
    """Where each word begins and ends."""
    found, at = [], 0
    for token in said:
        start = text.index(token.text, at)
        at = start + len(token.text)
        found.append((start, at))
    return found


def _put(text: str, phrase: Phrase, answer: str) -> str:
    return text[: phrase.start] + answer.strip().rstrip(".") + text[phrase.end :]
