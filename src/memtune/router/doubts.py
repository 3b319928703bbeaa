"""What speaks against reciting a fact though its wording is likely: the question says less, or asks for more.

*Less*: "How long is the Alma lamp?" lacks the warranty that "How long is the warranty of the Alma lamp?" asks for, and
says nothing instead. *More*: "Where was the mother of the captain of the Alma born?" says all that "Who is the captain
of the Alma?" says, and asks for what belongs to him. *A choice*: "Which was built earlier, the Alma or the Berta?"
"""

from __future__ import annotations

import re

from memtune.router.asked import form
from memtune.router.holding import FREE, LIGHT, SORTS, Held, met
from memtune.router.reading import Reading
from memtune.router.words import KINDS_ASKED, word_hash

DOUBTS = LESS, MORE, CHOICE = ("less", "more", "choice")
_ANYTHING = KINDS_ASKED.index("what")
_MUCH = word_hash("much")
_PRICE = frozenset(map(word_hash, ("cost", "price", "costing", "priced", "charge", "fee")))
"""What "how much" asks for where it says no more."""
_OR = re.compile(r"\bor\b")


def doubt(reading: Reading, held: Held, key_form: str) -> str:
    """Which of the three, or nothing."""
    if key_form == "open" and _lacks(reading, held):
        return LESS
    used = met(held.plain, reading.asked)
    if used is None or not held.names <= reading.words:
        return ""
    ours = used | held.names
    if _goes_on(reading, held, ours) or reading.ties(ours, FREE | reading.units, closely=True):
        return MORE
    return CHOICE if _is_choice(reading, held) else ""


def _lacks(reading: Reading, held: Held) -> bool:
    """Whether an open question of the same sort says next to nothing, and leaves out a word that counts."""
    said = reading.words - held.names - reading.named
    if not reading.asking or reading.wants != held.wants or form(reading.asking[-1]) != "open":
        return False
    if not said < held.plain or said - LIGHT or (not said and KINDS_ASKED[held.wants] not in ("who", "what")):
        return False
    lacking = held.plain - said - SORTS
    return bool(lacking - FREE) and not (_MUCH in said and lacking & _PRICE)


def _goes_on(reading: Reading, held: Held, ours: frozenset[int]) -> bool:
    """Whether another sort of thing is asked for than by the wording, in further words that count."""
    if reading.closed or reading.wants == held.wants or held.wants >= _ANYTHING or reading.wants > _ANYTHING:
        return False
    return bool(reading.asked - ours - FREE - reading.named - reading.units - {reading.noun_asked})


def _is_choice(reading: Reading, held: Held) -> bool:
    """Whether it is asked which of several things, of which the wording names one, it is."""
    if reading.closed or not reading.noun_asked or not _OR.search(reading.asking[-1]):
        return False
    return any(t.word not in held.words and t.word not in held.answer for run in reading.names for t in run)
