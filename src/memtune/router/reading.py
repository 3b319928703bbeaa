"""A message word by word: what asks in it, what is written like a name, and which words belong to one another."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from memtune.router.asked import asks, form, strip
from memtune.router.conjoined import instructs
from memtune.router.sentences import sentences
from memtune.router.words import Token, noun_asked, tokens, wanted

_FEW, _LONG = 6, 600
"""Sentences and characters up to which all of a message is read; of a longer one only what asks."""
_LINKS = frozenset("of de la van von der den le du di da el al bin ibn y".split())
"""Small words inside a name."""
_ARTICLES = frozenset("the a an its their his her".split())
_TIES = frozenset("of for at in by".split())
_YES_OR_NO = re.compile(r"\b(?:yes or no|true or false|right or wrong)\b", re.IGNORECASE)
_LONGEST_ANSWER = 6
"""Words of an answer that is looked for in a message."""


@dataclass(frozen=True)
class Reading:
    """The sentences of a message, of which some ask."""

    said: tuple[tuple[Token, ...], ...]
    asking: tuple[str, ...]

    @classmethod
    def of(cls, message: str) -> Reading:
        return _read(message)

    @cached_property
    def words(self) -> frozenset[int]:
        """All that carries meaning."""
        return frozenset(t.word for t in self._flat if not t.common)

    @cached_property
    def named(self) -> frozenset[int]:
        return frozenset(t.word for t in self._flat if t.named)

    @cached_property
    def asked(self) -> frozenset[int]:
        """The words of the sentences that ask."""
        found = {token for sentence in self.asking for token in tokens(sentence)}
        return frozenset(t.word for t in found if not t.common)

    @cached_property
    def closed(self) -> bool:
        """Whether it is to be answered by yes or no."""
        last = self.asking[-1] if self.asking else ""
        return "closed" in (form(last), form(last.rpartition(":")[2])) or _YES_OR_NO.search(last) is not None

    @cached_property
    def instructs(self) -> bool:
        """Whether a text is to be written."""
        return any(instructs(sentence) for sentence in self.asking)

    @cached_property
    def wants(self) -> int:
        """The sort of thing that it asks for, of words.KINDS_ASKED."""
        return wanted(self.asking[-1]) if self.asking else -1

    @cached_property
    def noun_asked(self) -> int:
        """The word behind "which" or "what", or 0."""
        return next((noun for noun in map(noun_asked, self.said) if noun), 0)

    @cached_property
    def counted(self) -> frozenset[Token]:
        """Numbers with a plain word behind them: "30 metres"."""
        return frozenset(one for one, other in self._pairs if one.word & 1 and _is_unit(other))

    @cached_property
    def units(self) -> frozenset[int]:
        """The words behind numbers."""
        return frozenset(other.word for one, other in self._pairs if one.word & 1 and _is_unit(other))

    @cached_property
    def names(self) -> list[list[Token]]:
        """Runs of words that are written like names."""
        found: list[list[Token]] = []
        for sentence in self.said:
            run: list[Token] = []
            link: list[Token] = []
            for token in sentence:
                if token.named and token.joined and run:
                    run += [*link, token]
                    link = []
                elif token.joined and run and token.stem in _LINKS:
                    link.append(token)
                elif not (token.joined and link and token.stem == "the"):
                    found += [run] if run else []
                    run, link = ([token] if token.named and not token.common else []), []
            found += [run] if run else []
        return found

    def ties(self, ours: frozenset[int], free: frozenset[int], *, closely: bool = False) -> bool:
        """Whether a word that is neither ours nor free belongs to one of ours, so that another thing is asked for: "the
        warehouse of Orbane", "Orbane's warehouse", and but for `closely` "the weight limit"."""
        for sentence in self.said:
            plain = [t for t in sentence if t.stem not in _ARTICLES]
            for i, token in enumerate(plain):
                if token.common or token.named or token.word & 1 or token.word in ours or token.word in free:
                    continue
                if _owns(plain[i + 1 : i + 3], ours) or (i and plain[i - 1].owner and plain[i - 1].word in ours):
                    return True
                beside = [*([plain[i + 1]] if plain[i + 1 : i + 2] and plain[i + 1].joined else []),
                          *([plain[i - 1]] if i and token.joined else [])]  # fmt: skip
                if not closely and any(other.word in ours for other in beside):
                    return True
        return False

    def spans(self) -> Iterator[tuple[str, frozenset[int]]]:
        """Stretches that may be somebody's whole answer: they begin and end with a name or a number."""
        for sentence in self.said:
            for start, first in enumerate(sentence):
                if first.capital or first.word & 1:
                    for end in range(start, min(start + _LONGEST_ANSWER, len(sentence))):
                        if end > start and not sentence[end].joined:
                            break
                        if sentence[end].capital or sentence[end].word & 1:
                            part = sentence[start : end + 1]
                            yield " ".join(t.text for t in part), frozenset(t.word for t in part)

    @cached_property
    def _flat(self) -> list[Token]:
        return [token for sentence in self.said for token in sentence]

    @cached_property
    def _pairs(self) -> Sequence[tuple[Token, Token]]:
        return [pair for s in self.said for pair in itertools.pairwise(s)]


@lru_cache(maxsize=8)
def _read(message: str) -> Reading:
    """Several look at one message in turn."""
    core = strip(message)
    found = sentences(core)
    asking = [s for s in found if asks(s) or instructs(s)]
    whole = found if len(found) <= _FEW and len(core) <= _LONG else [s for s in asking if len(s) <= _LONG]
    return Reading(tuple(tuple(tokens(s)) for s in whole[-_FEW:]) if asking else (), tuple(asking))


def _owns(after: Sequence[Token], ours: frozenset[int]) -> bool:
    """Whether what follows is "of" and one of ours."""
    return len(after) == 2 and after[0].stem in _TIES and after[1].word in ours and after[0].joined and after[1].joined


def _is_unit(token: Token) -> bool:
    return token.joined and not (token.named or token.common)
