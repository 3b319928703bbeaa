"""What a prompt asks: the user's last words, the questions in them told apart, orders not to answer seen.

A question stands alone, after a passage, before one or in its midst. The whole is looked at first, then a bounded
number of parts: the sentences that ask, and the first and last ones, which may be statements to complete.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from memtune.router.conjoined import distributed, requested
from memtune.router.sentences import sentences
from memtune.router.transcript import turns

MOST_PARTS = 16
"""Parts of one prompt that are looked up: what they cost does not grow with the prompt."""
_LONGEST_WHOLE, _LONGEST_PART = 2000, 600
_FEW = 6
"""Sentences up to which a text is a message, every sentence of which may ask; more are a passage."""

_WH = r"(?:what|who|whom|whose|where|when|which|why|how)"
_SECOND_QUESTION = re.compile(
    rf"[,;]?\s+(?:and|also|und|plus|but)\s+(?=(?:also\s+)?(?:{_WH}|its|his|her|their)\b)|[;:–—]\s+(?=(?:and\s+)?(?:{_WH}|tell\s+me|give\s+me)\b)",
    re.IGNORECASE,
)
_INNER_QUESTION = re.compile(
    r"\b(?:What|Who|Whom|Whose|Where|When|Which|Why|How)\s+(?:is|are|was|were|do|does|did|has|have|can|much|many|\w+s)\b"
)
"""A question that nothing but its capital tells apart from the text before it."""
_GREETING = re.compile(
    r"^(?:(?:hi|hello|hey|ok|okay|so|well|please|thanks|thank you|sorry|excuse me|good (?:morning|evening|day)|dear|"
    r"there|assistant|team|quick question|now|then)[,.!\s]+){1,5}(?=\w)",
    re.IGNORECASE,
)
_ASKING = re.compile(
    rf"^(?:(?:and|but|so|also|ok|okay|now|then|please|well)[,\s]+){{0,3}}(?:{_WH}|tell|give|name|list|show|state|find|"
    r"(?:can|could|would|will|do|does|did|is|are|was|were|has|have)\b)",
    re.IGNORECASE,
)
_PLAINLY = re.compile(
    r"^(?:and\s+)?(?:please\b|(?:can|could|would) you\b|(?:tell|give|show|send|get|remind) (?:me|us)\b|"
    r"i(?:'d| would) like\b|(?:i|we) (?:need|want)\b|(?:my|the|our) question\b)",
    re.IGNORECASE,
)
_WANTING = re.compile(
    r"\b(?:need|want|wanted|like to|looking for|look up|wonder|wondering|forgot|forgotten|remember|curious|know|tell|"
    r"give|send|show|find|name|say|please)\b",
    re.IGNORECASE,
)
_BULLET = re.compile(r"^(?:[-*•–·]|\(?\d{1,3}[.)]|\(?[a-zA-Z]\))\s+")

_ORDER = r"(?:^|[.!?,;:]\s{0,3}|\n\s{0,3}|\b(?:please|and|but|then|should|must|instead)\s+)"
_WITHHELD = re.compile(
    r"\b(?:do not|don't|don’t|dont|never|without|no need to)\s+(?:\w+\s+)?(?:answer|reply|respond|tell|say|reveal)"
    rf"|{_ORDER}(?:please\s+)?(?:ignore|disregard|forget)\b.{{0,40}}\b(?:question|above|that|this|it)\b"
    rf"|{_ORDER}(?:just|only|simply|instead)\s+(?:say|write|reply|repeat|translate)\b"
    r"|\b(?:translate|rephrase|paraphrase|repeat|spell)\b.{0,30}\b(?:question|sentence|following|this)\b"
    r"|\b(?:how many|count|number of)\b.{0,20}\b(?:words|letters|characters|syllables|tokens)\b.{0,30}"
    r"\b(?:question|sentence|text|following)\b",
    re.IGNORECASE,
)
_FOR_ME = frozenset("tell give show name say remind look find know explain recall".split())
"""After "could you", what makes a request of what looks like a question for yes or no."""
_AUXILIARY = frozenset(
    "is are was were am do does did can could will would has have had should shall may might must isn't aren't".split()
)
_OPEN = frozenset("what who whom whose where when which why how".split())

Origin = Literal["whole", "part", "context"]


@dataclass(frozen=True)
class Asked:
    """One thing that a prompt may ask for."""

    text: str
    origin: Origin = "part"
    """The complete prompt, a part of it, or a part with what it leans on put in from before."""
    together: int = 0
    """Parts with the same number, other than 0, were made of one sentence: they are meant all or none."""
    last: bool = False
    """Whether it is made of the last sentence, which may be one to complete."""

    @property
    def whole(self) -> bool:
        return self.origin == "whole"


def asked(text: str) -> list[Asked]:
    """What the text asks, the whole first and then its parts; nothing where it says not to answer."""
    core = strip(text)
    said = sentences(core)
    if not any(c.isalnum() for c in core) or _withheld(said):
        return []
    found = {core: Asked(core, "whole")} if len(core) <= _LONGEST_WHOLE else {}
    for part in _most_likely(_that_may_ask(said), passage=len(said) > _FEW):
        found.setdefault(part.text, replace(part, last=part.text in said[-1]))
    return list(found.values())


@lru_cache(maxsize=8)
def strip(text: str) -> str:
    """What the user said last, without template, labels, system text and earlier turns."""
    said = turns(text)
    return said[-1].text if said else ""


def withheld(text: str) -> bool:
    """Whether the prompt says that the question is not to be answered."""
    return _withheld(sentences(strip(text)))


def form(text: str) -> str:
    """`closed` for a question to be answered by yes or no, `open` for what, who, when …, else `other`."""
    words = re.findall(r"[\w']+", text.casefold())[:12]
    if not words:
        return "other"
    if words[0] in _AUXILIARY and not ("you" in words[1:2] and (_OPEN | _FOR_ME) & set(words)):
        return "closed"
    return "open" if _OPEN & set(words[:4]) else "other"


def asks(sentence: str) -> bool:
    """Whether a sentence is a question or asks for something to be said."""
    return (
        sentence.rstrip("\"')]”’* ").endswith(("?", "？", "؟")) or _ASKING.match(_BULLET.sub("", sentence)) is not None
    )


def may_ask(part: Asked) -> bool:
    """Whether something is asked here, or begun that wants its end; a sentence that states something does neither."""
    if asks(part.text) or part.origin == "context":
        return True
    if part.text.rstrip("\"')]”’ ").endswith((".", "!", "…", ":", ";")):
        return _WANTING.search(part.text) is not None
    return part.whole or part.last or part.together > 0


def _withheld(said: list[str]) -> bool:
    """Orders stand beside the question: what a passage says in its midst is no order."""
    if len(said) > _FEW:
        near = {0, 1, len(said) - 2, len(said) - 1}
        near |= {i + d for i, s in enumerate(said) if s.endswith("?") for d in (-1, 0, 1)}
        said = [s for i, s in enumerate(said) if i in near and len(s) <= _LONGEST_PART]
    return any(_WITHHELD.search(s) for s in ("\n".join(said), " ".join(said)) if s)


def _that_may_ask(said: list[str]) -> list[str]:
    """All sentences of a message; of a passage the first, the last two and those that ask, the last ones of them."""
    if len(said) <= _FEW:
        return said
    kept = {0, len(said) - 1, len(said) - 2}
    for asking in ([i for i, s in enumerate(said) if _plainly_asks(s)], [i for i, s in enumerate(said) if asks(s)]):
        room = max(0, MOST_PARTS - len(kept))
        kept |= {*asking[: room // 4], *asking[len(asking) - (room - room // 4) :]} if len(asking) > room else {*asking}
    return [said[i] for i in sorted(kept)]


def _plainly_asks(sentence: str) -> bool:
    """Whether a sentence bears a question mark or speaks to who answers; in a passage others only look like it."""
    return "?" in sentence[-4:] or _PLAINLY.match(sentence) is not None


def _most_likely(said: list[str], *, passage: bool) -> list[Asked]:
    """So many parts as are looked up, in the order of the text. Questions come before other sentences, the last words
    of a passage before those in its midst, and sentences before what they are taken apart into."""
    ranked: list[tuple[tuple[bool, bool, int], int, Asked]] = []
    for at, sentence in enumerate(said):
        statement = passage and not _plainly_asks(sentence)
        for part in _parts(sentence, at + 1):
            taken_apart = statement and (part.together > 0 or part.text not in sentence)
            if part.text and len(part.text) <= _LONGEST_PART and not taken_apart:
                ends = at >= len(said) - 2
                ranked.append(((statement and not ends, part.together > 0, -at if passage else at), len(ranked), part))
    chosen = sorted(sorted(ranked, key=lambda r: (r[0], r[1]))[:MOST_PARTS], key=lambda r: r[1])
    return [part for _, _, part in chosen]


def _parts(sentence: str, group: int) -> list[Asked]:
    """A sentence, each of its questions, and what a list in it asks for one by one."""
    found = []
    sentence = _BULLET.sub("", sentence)
    for part in [p.strip() for p in _SECOND_QUESTION.split(sentence)]:
        found.append(Asked(part))
        plain = _GREETING.sub("", part)
        if plain != part:
            found.append(Asked(plain))
        inner = [m.start() for m in _INNER_QUESTION.finditer(part)] if part.endswith("?") else []
        found += [Asked(part[inner[-1] :])] if inner and inner[-1] > 0 else []
        apart = [Asked(text) for text in requested(plain)]
        if not apart and (asks(plain) or "?" in part):
            apart = [Asked(text, together=group) for text in distributed(plain)]
        found += apart
    return found
