"""What a question is about: names, ids and quoted titles, with the words that belong to them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(r"[^\W_][\w.&'’/+-]*[^\W_]|[^\W_]")
_QUOTED = re.compile(r"[\"“«]([^\"“”«»\n]{2,80})[\"”»]")
_LINKS = frozenset("of de la van von der den le du di da el al the & y".split())
_NO_NAMES = frozenset(
    "a an the i i'm i'd it he she they we you what who whom whose where when which why how is are was were do does did "
    "can could will would has have had please tell give me name list show and but or so if in on at of for from by to "
    "about yes no ok okay hi hello thanks question answer his her its their this that these those".split()
)
_NO_NOUNS = _NO_NAMES | frozenset(
    "cost costs weigh weighs live lives born founded made open opens close closes begin begins end ends located based "
    "come comes work works with not be been as than there most first last".split()
)
_TAIL = re.compile(r"\s(?:of|for|about|by|from|in|on|at|does|do|did)\s+", re.IGNORECASE)
_MOST = 3
_LONGEST_REPLY = 400


@dataclass(frozen=True)
class Thing:
    """`core` is the bare name or id; `whole` has the article and the words that belong to it."""

    whole: str
    core: str


def has_name(text: str) -> bool:
    """Whether a text names something itself."""
    return bool(_QUOTED.search(text)) or bool(_cores(text))


def things(question: str) -> list[Thing]:
    """What a question is about; without any name, what stands at its end: "the price of the lamp" → "the lamp"."""
    found = [Thing(m.group(), m.group(1)) for m in _QUOTED.finditer(question)]
    if not found:
        found = [_with_its_words(question, start, end) for start, end in _cores(question)]
    if not found:
        tails = list(_TAIL.finditer(question.rstrip(" ?.!")))
        tail = question[tails[-1].end() :].rstrip(" ?.!") if tails else ""
        found = [Thing(tail, tail)] if 0 < len(tail.split()) <= 5 and tail.lower() not in _NO_NAMES else []
    return found[:_MOST]


def things_said(reply: str) -> list[Thing]:
    """What a reply names."""
    reply = reply[:_LONGEST_REPLY]
    return list(dict.fromkeys(_with_its_words(reply, s, e, after=False) for s, e in _cores(reply)))[:_MOST]


def _cores(text: str) -> list[tuple[int, int]]:
    """Where names and ids stand: capitals within a sentence, and words with digits."""
    found: list[tuple[int, int]] = []
    joined, last_end = False, 0
    for token in _TOKEN.finditer(text):
        word = token.group()
        between = text[last_end : token.start()]
        if _is_name(word):
            if joined and found and len(between) <= 1 and text[found[-1][1] : token.start()].count(",") == 0:
                found[-1] = (found[-1][0], token.end())
            else:
                found.append((token.start(), token.end()))
            joined = True
        elif not (joined and word.lower() in _LINKS and len(between) <= 1):
            joined = False
        last_end = token.end()
    return found


def _is_name(word: str) -> bool:
    if any(c.isdigit() for c in word):
        return True
    return word[0].isupper() and word.lower().removesuffix("'s").removesuffix("’s") not in _NO_NAMES


def _with_its_words(text: str, start: int, end: int, *, after: bool = True) -> Thing:
    """A name with its article, the noun before an id ("customer 10482") and the nouns after it ("Zorblat lamp")."""
    core = re.sub(r"['’]s$", "", text[start:end])
    end = start + len(core)
    before = re.search(
        r"(?:(?P<the>[Tt]he)\s+)?(?:(?P<noun>[a-z][a-z-]{2,20})\s+)?\Z", text[max(0, start - 40) : start]
    )
    left = start
    if before and before.group():
        noun = before["noun"]
        if noun and noun in _NO_NOUNS:
            left = start - len(noun) - 1 if noun == "the" else start
        elif (noun and any(c.isdigit() for c in core)) or before["the"]:
            left = start - len(before.group())
    right = end
    if after and not text[end : end + 2].startswith(("'", "’")):
        for token in list(re.finditer(r"\s([a-z][a-z-]+)(?=[\s?.!,'’]|$)(?!\s+than\b)", text[end : end + 40]))[:2]:
            if end + token.start() != right or token.group(1) in _NO_NOUNS:
                break
            right = end + token.end()
    return Thing(text[left:right], core)
