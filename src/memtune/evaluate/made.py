"""Cases that a memory's own facts are made into, where no file brings better ones.

Made wordings differ little from learned ones: they show that a learned wording may be bent, not that the fact is found
in other words. They come from the generator that routers are calibrated on, with another seed, and without those that a
router holds as keys. Near misses ask what was not learned in words that were: another name, another digit, another
relation, or all but what is asked for. Each is such that no fact can be meant.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from functools import cached_property
from random import Random

from memtune.core.facts import Fact, normalise
from memtune.evaluate.cases import NEAR_MISS, Case
from memtune.router.augment import made, without_noun
from memtune.router.names import Thing, things

MADE_WORDINGS = "made wordings"
"""The form of wordings that are made from learned ones."""
MOST_MADE = 16
"""More wordings than can be made of a question: all of them."""
_TRIES = 8
_ALIKE = 0.8
_WORD = re.compile(r"\w+")
_SLOT = "{}"


class Learned:
    """What a memory holds, as far as a made case must not ask for it."""

    def __init__(self, facts: Iterable[Fact], keys_made: int = 0) -> None:
        """`keys_made`: how many wordings of each fact the router made into keys; they are learned ones as well."""
        self.facts = list(facts)
        self._wordings = {normalise(text) for fact in self.facts for text in fact.wordings}
        if keys_made:
            self._wordings |= {normalise(text) for fact in self.facts for text in made(fact.question, most=keys_made)}
        self._texts = "\n".join(
            text.casefold() for fact in self.facts for text in (*fact.wordings, fact.answer, *fact.never)
        )
        self._words = set(_WORD.findall(self._texts))

    def asks(self, text: str) -> bool:
        return normalise(text) in self._wordings

    def names(self, name: str) -> bool:
        """Whether any wording or answer holds this name."""
        name = name.casefold()
        return self._words.issuperset(_WORD.findall(name)) and name in self._texts

    @cached_property
    def names_of_length(self) -> Mapping[int, list[str]]:
        """Names in questions as often as they are asked about, without those that have a digit, by their words."""
        found: dict[int, list[str]] = defaultdict(list)
        for core in (thing.core for fact in self.facts for thing in _named(fact.question)):
            if not _has_digit(core):
                found[len(core.split())].append(core)
        return found

    @cached_property
    def relations(self) -> Mapping[str, set[str]]:
        """For each thing that is named alone in a question, the questions about it, with a gap in its place."""
        found: dict[str, set[str]] = defaultdict(set)
        for fact in self.facts:
            if gap := _gap(fact.question):
                found[gap[1].casefold()].add(gap[0])
        return found

    @cached_property
    def beside(self) -> Mapping[str, dict[str, None]]:
        """For each relation, those that the memory holds of one thing beside it: they ask something else."""
        found: dict[str, dict[str, None]] = defaultdict(dict)
        for relations in self.relations.values():
            for one in relations:
                found[one].update(dict.fromkeys(sorted(relations - {one})))
        return found


def made_wording(fact: Fact, learned: Learned, seed: int) -> Case | None:
    """The fact in a wording that is made from its learned one, and is none; nor one that the router makes by itself."""
    draw = Random(f"wording {seed} {fact.id}")
    able = [text for text in made(fact.question, seed=seed + 1, most=MOST_MADE) if not learned.asks(text)]
    if not able:
        return None
    text = draw.choice(able)
    return Case(f"made {fact.id}", text, (fact.answer,), MADE_WORDINGS, "wording", (fact.id,), fact.group)


def near_miss(fact: Fact, learned: Learned, seed: int) -> Case | None:
    """A question like this fact's, which no fact of the memory answers; of the ways to make one, any that can be."""
    draw = Random(f"near miss {seed} {fact.id}")
    ways = list(_WAYS)
    draw.shuffle(ways)
    for way in ways:
        text = _WAYS[way](fact, learned, draw)
        if text is not None and not learned.asks(text):
            return Case(f"miss {fact.id}", text, (), NEAR_MISS, "held-out", (), fact.group, extra={"made": way})
    return None


def _other_name(fact: Fact, learned: Learned, draw: Random) -> str | None:
    """Every name in the question gives way to one that no fact holds: what is left names nothing that was learned."""
    text, exchanged = fact.question, 0
    for thing in things(fact.question):
        if _has_digit(thing.core) or not _is_name(thing) or thing.core not in text:
            return None
        name = _unknown_name(thing.core, learned, draw)
        if name is None:
            return None
        text, exchanged = text.replace(thing.core, name), exchanged + 1
    return text if exchanged and not any(learned.names(thing.core) for thing in things(text)) else None


def _unknown_name(core: str, learned: Learned, draw: Random) -> str | None:
    """The beginning of this name and the end of another, or the other way round: of words, else of letters."""
    others = learned.names_of_length.get(len(core.split()), ())
    for attempt in range(_TRIES if others else 0):
        pair = [core, draw.choice(others)]
        draw.shuffle(pair)
        name = _joined_words(*pair) if len(core.split()) > 1 and attempt < _TRIES // 2 else _joined_letters(*pair)
        if not learned.names(name) and not any(_alike(name, held) for held in pair):
            return name
    return None


def _alike(one: str, other: str) -> bool:
    """Whether a slip of the finger could make one of the other: then the thing itself may be meant."""
    return SequenceMatcher(None, one.casefold(), other.casefold(), autojunk=False).ratio() > _ALIKE


def _joined_words(one: str, other: str) -> str:
    first, last = one.split(), other.split()
    return " ".join([*first[: (len(first) + 1) // 2], *last[(len(last) + 1) // 2 :]])


def _joined_letters(one: str, other: str) -> str:
    """Word by word."""
    pairs = zip(one.split(), other.split(), strict=True)
    return " ".join(f"{a[: (len(a) + 1) // 2]}{b[len(b) // 2 :].lower()}" for a, b in pairs)


def _other_digit(fact: Fact, learned: Learned, draw: Random) -> str | None:
    """Where only ids are named: one digit of one of them is another, so that no fact holds it."""
    named = things(fact.question)
    numbered = [thing.core for thing in named if all(_has_digit(t.core) for t in named)]
    for _ in range(_TRIES if numbered else 0):
        core = draw.choice(numbered)
        place = draw.choice([i for i, c in enumerate(core) if c in "0123456789"] or [0])
        digit = draw.choice([d for d in "0123456789" if d != core[place]])
        changed = f"{core[:place]}{digit}{core[place + 1 :]}"
        if not learned.names(changed):
            return fact.question.replace(core, changed)
    return None


def _other_relation(fact: Fact, learned: Learned, draw: Random) -> str | None:
    """What the memory holds of other things, beside all that it holds of this one, and does not of this one."""
    gap = _gap(fact.question)
    if gap is None:
        return None
    own = learned.relations[gap[1].casefold()]
    shared = [relation for relation in learned.beside[gap[0]] if relation not in own]
    able = [relation for relation in shared if all(relation in learned.beside[held] for held in own)]
    return draw.choice(able).replace(_SLOT, gap[1]) if able else None


def _nothing_asked(fact: Fact, learned: Learned, draw: Random) -> str | None:
    """What is asked for is left out: "How long is the lamp?" for its warranty."""
    return without_noun(fact.question)


_WAYS: Mapping[str, Callable[[Fact, Learned, Random], str | None]] = {
    "another name": _other_name,
    "another digit": _other_digit,
    "another relation": _other_relation,
    "nothing asked for": _nothing_asked,
}


def _gap(question: str) -> tuple[str, str] | None:
    """A question with a gap where it names one thing, and that thing."""
    found = _named(question)
    if len(found) != 1 or question.count(found[0].core) != 1 or _SLOT in question:
        return None
    return question.replace(found[0].core, _SLOT), found[0].core


def _named(question: str) -> Sequence[Thing]:
    return [thing for thing in things(question) if _is_name(thing)]


def _is_name(thing: Thing) -> bool:
    """Not merely what stands at the end of a question."""
    return thing.core[:1].isupper() or _has_digit(thing.core)


def _has_digit(text: str) -> bool:
    return any(c in "0123456789" for c in text)
