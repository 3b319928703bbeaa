"""What a race asks: learned wordings, other wordings, near misses that were set aside, and ordinary prompts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from memtune.core.facts import Fact, normalise
from memtune.errors import UsageError
from memtune.evaluate.cases import NEAR_MISS, OTHER_WORDS, Case
from memtune.evaluate.gather import recall_cases
from memtune.evaluate.overlap import Texts
from memtune.evaluate.scores import plain
from memtune.router.augment import made
from memtune.router.names import things

UNRELATED = "unrelated prompts"
_MOST_SET_ASIDE = 64
_MOST_MADE = 16
ORDINARY = (
    "Hello! How are you today?",
    "Tell me a short story about a fox and a river.",
    "Write one sentence about the sea.",
    "What should I cook with rice and two eggs?",
    "Explain in simple words why it rains.",
    "Give me three tips for sleeping better.",
    "Finish the sentence: On the table there was",
    "Is it a good idea to walk to work?",
    "Please write a friendly note to a neighbour.",
    "Name a few things that people take on a picnic.",
    "How do I keep bread fresh?",
    "What makes a good friend?",
    "Say something kind.",
    "Why do cats purr?",
    "Describe a small garden in spring.",
    "Make a list of animals that live on a farm.",
    "What can I do on a rainy afternoon?",
    "Thank you very much for your help!",
    "Write two lines about the moon.",
    "How can I learn to draw?",
    "Tell me about your favourite colour.",
    "What is a good name for a boat?",
    "Explain how to tie a knot.",
    "Good night!",
)
"""Prompts that ask for no fact."""


@dataclass(frozen=True)
class Split:
    """Which facts are learned and asked for, learned and tuned on, and not learned at all."""

    asked: list[Fact]
    tuning: list[Fact]
    aside: list[Fact]

    @property
    def learned(self) -> list[Fact]:
        return [*self.asked, *self.tuning]


def split(facts: Sequence[Fact], max_n: int | None, seed: int) -> Split:
    """At most `max_n` facts are learned, a fifth of them to tune on; near misses are some that are not learned."""
    given = list({normalise(fact.question): fact for fact in reversed(facts)}.values())[::-1]
    drawn = random.Random(f"race {seed}").sample(given, len(given))
    room = max(0, len(drawn) - (max_n or len(drawn)))
    aside = min(_MOST_SET_ASIDE, max(room, len(drawn) // 5))
    learned = drawn[aside:][:max_n]
    tuning = min(_MOST_SET_ASIDE, len(learned) // 5)
    if len(learned) < 2:
        raise UsageError(f"{len(learned)} facts are too few for a race", hint="give at least two")
    return Split(learned[tuning:], learned[:tuning], drawn[:aside])


def cases_of(
    chosen: Split, given: Sequence[Case] = (), unrelated: Sequence[str] = ORDINARY, seed: int = 0, keys_made: int = 0
) -> list[Case]:
    """Everything that is asked. Cases handed in stand in place of what would be made for their form.

    `keys_made`: how many wordings the router makes into keys itself; these are learned ones and not asked as others."""
    words = [case for case in given if case.form == OTHER_WORDS]
    near = [case for case in given if case.form == NEAR_MISS]
    asked = {fact.id for fact in chosen.asked}
    if words:
        words = [case for case in words if case.facts and set(case.facts) <= asked]
        if not words:
            raise UsageError("none of the other wordings is of a fact that is learned and asked for")
    ordinary = [Case(f"{UNRELATED} {i}", text, (), UNRELATED, "held-out") for i, text in enumerate(unrelated)]
    return [
        *recall_cases(chosen.asked, seed),
        *(words or _other_wordings(chosen.asked, seed, keys_made)),
        *(near or [Case(f"near {f.id}", f.question, (), NEAR_MISS, "held-out", (), f.group) for f in beside(chosen)]),
        *ordinary,
    ]


def beside(chosen: Split) -> list[Fact]:
    """Facts set aside that ask for something else than every learned one. The same answer about the same thing is the
    same fact in other words: whoever gives it is right."""
    learned = Texts((fact.id, wording) for fact in chosen.learned for wording in fact.wordings)
    named: dict[str, set[str]] = {}
    for fact in chosen.learned:
        named.setdefault(plain(fact.answer), set()).update(_named(fact))
    return [
        fact
        for fact in chosen.aside
        if learned.find(fact.question) is None and not named.get(plain(fact.answer), set()) & _named(fact)
    ]


def _named(fact: Fact) -> set[str]:
    """What any of its wordings is about."""
    return {plain(thing.core) for wording in fact.wordings for thing in things(wording)} - {""}


def _other_wordings(facts: Sequence[Fact], seed: int, keys_made: int) -> list[Case]:
    """One for each fact that has one, drawn from those that are not learned."""
    learned = {normalise(wording) for fact in facts for wording in fact.wordings}
    found = []
    for fact in facts:
        keys = {normalise(text) for wording in fact.wordings for text in made(wording, most=keys_made)}
        texts = made(fact.question, seed=seed + 1, most=_MOST_MADE)
        others = [text for text in texts if normalise(text) not in learned | keys]
        if others:
            text = random.Random(f"{seed} {fact.id}").choice(others)
            found.append(
                Case(f"wording {fact.id}", text, (fact.answer,), OTHER_WORDS, "wording", (fact.id,), fact.group)
            )
    return found
