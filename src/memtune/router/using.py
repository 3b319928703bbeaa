"""Facts that a message needs without asking for them: they may be used in the reply, but are not recited.

- *contained*: the message holds all that the fact's wording says. "Was the ferry Alma built in 1820?" holds "When was
  the ferry Alma built?"; "Which ferry was built earlier, Alma or Berta?" holds two such wordings.
- *reached*: what one fact answers is what the next one is about. "Where does the captain of the Alma live?"
- *the other way round*: the fact's answer stands in the message, and what is asked is whose it is.
- *to be mentioned*: a text shall be written, and the sentence says of what.

A word of the message that belongs to what the wording says and is not in it makes it another question: the captain's
mother is not the captain. Where that may be, nothing is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from memtune.router.conjoined import mentioned
from memtune.router.holding import FREE, Held, Holding, met
from memtune.router.hops import Ask, Hops
from memtune.router.names import things
from memtune.router.reading import Reading
from memtune.router.route import Owner, Proposal, Route
from memtune.router.words import KINDS_ASKED, word_hash, words

_SCORE = 0.95
_FEW = 4
"""Words of an answer that another fact may be about, and facts that may be meant by one answer."""
_LOOSE = 3
"""Words of a message, at most, that belong to nothing it needs."""
_ALL = 8
"""Facts about one thing that may all be used in a text about it."""
_ANYTHING = KINDS_ASKED.index("what")


@dataclass(frozen=True)
class Found:
    held: Held
    used: frozenset[int]
    """Words of the message by which its plain ones are met."""


class Using:
    def __init__(self, holding: Holding, ask: Ask, hops: Hops, max_hops: int, max_used: int) -> None:
        """`ask`: the fact that a question asks for, as the router confirms it."""
        self._holding, self._ask, self._hops = holding, ask, hops
        self._max_hops, self._max_used = max_hops, max_used

    def needed(self, message: str) -> list[Proposal]:
        """The facts, each once; nothing where it is not plain which are needed."""
        reading = Reading.of(message)
        if not reading.asking or not reading.words:
            return []
        about = self._holding.about(reading.words, reading.named)
        for way in (self._reached, self._replaced, self._contained, self._mentioned, self._reversed):
            found = way(reading, about)
            if found:
                return list({p.owner: p for p in found}.values())[: self._max_used]
        return []

    def named(self, text: str, key: int) -> bool:
        """Whether a text names what this wording names and nothing longer."""
        reading = Reading.of(text)
        return _named_whole(reading, self._holding.wording(key, reading.named), self._known_value)

    # ---- contained ----------------------------------------------------------------------------------------------

    def _contained(self, reading: Reading, about: Sequence[Held]) -> list[Proposal]:
        found = _widest([Found(h, used) for h in about if (used := met(h.plain, reading.asked)) is not None])
        found = [f for f in found if _named_whole(reading, f.held, self._known_value)]
        several = len({f.held.owner for f in found}) > 1
        if not found or not (reading.closed or several):
            return []
        ours = frozenset[int]().union(*(f.used | f.held.names for f in found))
        loose = reading.asked - ours - FREE - reading.named - reading.units
        if len(loose) > _LOOSE or reading.ties(ours, FREE | reading.units):
            return []
        if not reading.closed and not self._names_covered(reading, found):
            return []
        return [self._proposal(f.held, "the message holds all that its wording says", reading) for f in found]

    def _names_covered(self, reading: Reading, found: Sequence[Found]) -> bool:
        """Whether no name in the message is one that these facts do not know."""
        ours = frozenset[int]().union(*(f.held.words | f.held.answer for f in found))
        return all(any(t.word in ours for t in run) for run in reading.names)

    def _known_value(self, text: str) -> bool:
        return bool(self._holding.answering(text))

    # ---- reached ------------------------------------------------------------------------------------------------

    def _reached(self, reading: Reading, about: Sequence[Held]) -> list[Proposal]:
        for first in about:
            for path in self._paths(reading, (first,)):
                return self._one_to_the_next([held.owner for held in path], reading)
        return []

    def _replaced(self, reading: Reading, about: Sequence[Held]) -> list[Proposal]:
        return self._one_to_the_next(self._hops.path(reading, about), reading)

    def _one_to_the_next(self, path: Sequence[Owner], reading: Reading) -> list[Proposal]:
        why = ["the message names what it is about", *(["reached through the answer of another fact"] * len(path))]
        return [self._proposed(owner, reason, reading) for owner, reason in zip(path, why, strict=False)]

    def _paths(self, reading: Reading, path: tuple[Held, ...]) -> Iterator[tuple[Held, ...]]:
        """Ways from fact to fact, each about the answer of the one before, that together are all that is asked."""
        last = path[-1]
        if len(path) > 1 and self._is_asked(reading, path):
            yield path
        answer = last.answer
        if len(path) >= self._max_hops or not 1 <= len(answer) <= _FEW or not self._holding.known(answer):
            return
        if met(last.plain, reading.asked) is None:
            return
        for held in self._holding.about(answer, answer):
            if held.names >= answer and held.owner not in {h.owner for h in path}:
                yield from self._paths(reading, (*path, held))

    def _is_asked(self, reading: Reading, path: Sequence[Held]) -> bool:
        used = [met(held.plain, reading.asked) for held in path]
        if any(words is None for words in used) or not _named_whole(reading, path[0], self._known_value):
            return False
        own = [words or frozenset() for words in used]
        if any(own[i] <= frozenset[int]().union(*own[:i], *own[i + 1 :]) for i in range(len(own))):
            return False
        rest = reading.asked - frozenset[int]().union(path[0].names, *own) - FREE - reading.units
        if reading.closed:
            rest = frozenset(word for word in rest - reading.named if not word & 1)
        wants = (reading.wants, path[-1].wants)
        return not rest and (reading.closed or wants[0] == wants[1] or max(wants) >= _ANYTHING)

    # ---- to be mentioned ----------------------------------------------------------------------------------------

    def _mentioned(self, reading: Reading, about: Sequence[Held]) -> list[Proposal]:
        if not about or not reading.instructs:
            return []
        found: list[Proposal] = []
        for sentence in reading.asking:
            items = mentioned(sentence)
            subjects = things(sentence) if items else []
            for subject in subjects[:2]:
                said = frozenset(map(word_hash, words(subject.whole)))
                own = [h for h in about if h.names <= said]
                found += self._of_subject(items, subject.whole, said, own, reading) if own else []
        return found

    def _of_subject(
        self, items: Sequence[str], subject: str, named: frozenset[int], own: Sequence[Held], reading: Reading
    ) -> list[Proposal]:
        """What the facts about it say of each item. Where words do not tell of which item some of a list speaks, all
        that is known of it, if that is not too much: whoever writes leaves out what is not wanted."""
        spoken = [self._speaking(item, named, own) for item in items]
        if None in spoken and self._all_may_be_used(items, named, own, reading):
            return [self._proposal(held, "a text is to be written about it", reading) for held in own]
        found = []
        for item, held in zip(items, spoken, strict=True):
            confirmed = self._ask(f"What is the {item} of {subject}?") if held is None else None
            found += [self._proposal(held, "it is to be mentioned", reading)] if held else []
            found += [confirmed] if confirmed is not None else []
        return found

    def _speaking(self, item: str, named: frozenset[int], own: Sequence[Held]) -> Held | None:
        """The one fact whose wording an item and what it is of meet."""
        said = frozenset(map(word_hash, words(item))) | named
        matching = [h for h in own if met(h.plain, said) is not None and said - h.words - FREE <= _common(said)]
        return matching[0] if len({h.owner for h in matching}) == 1 else None

    def _all_may_be_used(
        self, items: Sequence[str], named: frozenset[int], own: Sequence[Held], reading: Reading
    ) -> bool:
        known = frozenset[int]().union(*(h.words for h in own))
        whole = all(_named_whole(reading, h, self._known_value) for h in own)
        return len(items) > 1 and named - _common(named) <= known and whole and len({h.owner for h in own}) <= _ALL

    # ---- the other way round ------------------------------------------------------------------------------------

    def _reversed(self, reading: Reading, about: Sequence[Held]) -> list[Proposal]:
        if reading.closed:
            return []
        found: dict[Owner, Held] = {}
        for text, answer in reading.spans():
            for held in self._holding.answering(text):
                if not held.names <= reading.words and self._asks_whose(reading, held, answer):
                    found.setdefault(held.owner, held)
        if not 0 < len(found) <= _FEW:
            return []
        return [self._proposal(held, "its answer stands in the message", reading) for held in found.values()]

    def _asks_whose(self, reading: Reading, held: Held, answer: frozenset[int]) -> bool:
        """Whether the message asks what it is that has this answer, and not the same of the answer itself."""
        said = reading.asked - answer
        used = met(held.plain, said)
        if used is None or not held.names:
            return False
        noun = reading.noun_asked
        rest = said - used - FREE - reading.units - {noun}
        if rest or not answer <= reading.asked:
            return False
        if reading.wants != held.wants:
            return True
        return noun != 0 and noun != held.first

    def _proposal(self, held: Held, reason: str, reading: Reading) -> Proposal:
        return self._proposed(held.owner, reason, reading)

    def _proposed(self, owner: Owner, reason: str, reading: Reading) -> Proposal:
        return Proposal(owner, _SCORE, True, reason, reading.asking[-1], recite=False)


def joined(route: Route, needed: Sequence[Proposal]) -> Route:
    """The route with the facts that its message needs, unless it asks for one of another sort."""
    own = {p.owner for p in needed}
    if not needed or any(p.recite and p.owner not in own for p in route.confirmed):
        return route
    if len(own) < 2 and any(p.owner in own for p in route.confirmed):
        return route
    others = [p for p in route.confirmed if p.owner not in own]
    seen = [p for p in route.proposals if p.owner not in own]
    proposals = sorted([*needed, *seen], key=lambda p: -p.score)
    return replace(route, confirmed=(*others, *needed), proposals=tuple(proposals), rivals=())


def _widest(found: Sequence[Found]) -> list[Found]:
    """Without wordings that say less than another one about the same things."""
    return [
        f for f in found
        if not any(f.held.owner != o.held.owner and f.held.names <= o.held.names and f.held.words < o.held.words
                   for o in found)
    ]  # fmt: skip


def _common(said: frozenset[int]) -> frozenset[int]:
    return said & frozenset(map(word_hash, words("the a an of its and in on at for")))


def _named_whole(reading: Reading, held: Held, known_value: Callable[[str], bool]) -> bool:
    """Whether the message names what the wording names and nothing longer. What stands behind a name may be a number of
    something, or a value that the memory knows: "Is the captain of the Alma Bela Kish?"."""
    shared = [sum(token.word in held.names for token in run) for run in reading.names]
    for run, many in zip(reading.names, shared, strict=True):
        if not many or many < max(shared):
            continue
        ours = [token.word in held.words for token in run]
        last = max(i for i, own in enumerate(ours) if own)
        if not all(own or run[i].word in held.answer for i, own in enumerate(ours[:last])):
            return False
        behind = run[last + 1 :]
        if not behind or {t.word for t in behind} <= held.answer:
            continue
        a_value = len(behind) == 1 and behind[0] in reading.counted
        if not reading.closed or not (a_value or known_value(" ".join(t.text for t in behind))):
            return False
    return True
