"""Further wordings of a question, made cheaply: what people change when they ask the same again."""

from __future__ import annotations

import re
from random import Random

from memtune.router.words import COMMON

_POLITE = (
    "Could you tell me {}",
    "Please tell me: {}",
    "I would like to know: {}",
    "Do you know {}",
    "Quick question: {}",
)
_QUESTION = re.compile(
    r"^(?P<wh>what|who|where|when|which|how [^\W\d_]+)\s+(?P<be>is|are|was|were)\s+(?P<rest>.+?)\??$", re.IGNORECASE
)
_NOUN_OF = re.compile(r"^the (?P<noun>[\w -]+?) of (?P<thing>.+)$", re.IGNORECASE)
_ASKED_OF = re.compile(
    r"^(?P<head>(?:how\s+\w+|what|who)\s+(?:is|are|was|were))\s+the\s+(?P<noun>[a-z-]+(?:\s[a-z-]+)?)\s+of\s+(?P<rest>.+)$",
    re.IGNORECASE,
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def made(question: str, *, seed: int = 0, most: int = 6) -> list[str]:
    """A few other wordings of a question; the same ones for the same seed."""
    draw = Random(f"{seed} {question}")
    found = [
        *_as_statement(question),
        draw.choice(_POLITE).format(_begun_small(question)),
        question.lower().rstrip("?. "),
    ]
    for changed in (_dropped(question, draw), _turned(question)):
        if changed:
            found.append(changed)
    unique = [text for text in dict.fromkeys(found) if text and text != question]
    return unique[:most]


def _begun_small(question: str) -> str:
    first, _, rest = question.partition(" ")
    return f"{first.lower() if first.lower() in COMMON else first} {rest}".strip()


def _as_statement(question: str) -> list[str]:
    """ "What is the price of X?" → "The price of X is", "the price of X", "X's price"."""
    found = _QUESTION.match(question.strip())
    if found is None:
        return []
    rest = found["rest"].strip()
    forms = [f"{rest[0].upper()}{rest[1:]} {found['be']}", rest]
    noun = _NOUN_OF.match(rest)
    if noun is not None and len(noun["noun"].split()) <= 4:
        forms.append(f"{noun['thing']}'s {noun['noun']}")
        forms.append(f"{noun['noun']} {noun['thing']}")
    return forms


def _dropped(question: str, draw: Random) -> str:
    """Without one of the small words."""
    parts = question.split()
    small = [i for i, part in enumerate(parts) if part.lower().strip("?,.") in COMMON]
    if not small or len(parts) < 4:
        return ""
    gone = draw.choice(small)
    return " ".join(part for i, part in enumerate(parts) if i != gone)


def without_noun(question: str) -> str | None:
    """The question without what it asks for: "How long is the warranty of the lamp?" → "How long is the lamp?". It asks
    something else, in nothing but learned words."""
    found = _ASKED_OF.match(question.strip())
    return f"{found['head']} {found['rest']}" if found else None


def _turned(question: str) -> str:
    """What stands behind the last "of", "in", "for" goes to the front."""
    found = re.match(r"^(?P<head>.+?)\s+(?P<link>of|in|for|at|by)\s+(?P<tail>[^,]+?)\?$", question.strip())
    if found is None:
        return ""
    head = found["head"]
    return f"{found['link'].capitalize()} {found['tail']}, {head[0].lower()}{head[1:]}?"


def slipped(question: str, draw: Random) -> str:
    """With a slip of the finger in one longer word that has no digit."""
    parts = question.split()
    able = [i for i, part in enumerate(parts) if len(part) >= 6 and part.isalpha()]
    if not able:
        return question
    place = draw.choice(able)
    word = parts[place]
    while word == parts[place]:
        word = _slip(word, draw)
    return " ".join([*parts[:place], word, *parts[place + 1 :]])


def _slip(word: str, draw: Random) -> str:
    """A letter left out, two exchanged, one wrong, or one twice."""
    at = draw.randrange(1, len(word) - 1)
    kind = draw.randrange(4)
    if kind == 0:
        return word[:at] + word[at + 1 :]
    if kind == 1:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == 2:
        return word[:at] + draw.choice(_LETTERS) + word[at + 1 :]
    return word[:at] + word[at] + word[at:]
