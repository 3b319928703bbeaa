"""Follow-ups: "and its weight?" with what was spoken of before put in.

Nothing here decides that a fact is meant. It only writes the questions out that a follow-up may stand for; each has to
be confirmed like any other. They come in tiers, nearest words first: one tier is tried before the next, and readings of
one tier that lead to different facts leave it open which is meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from memtune.router.asked import Asked, asked
from memtune.router.names import Thing, has_name, things, things_said
from memtune.router.transcript import Turn

_TURNS_BACK = 3
_MOST_READINGS = 6
"""Readings of one follow-up in one tier."""
_LONGEST = 200
"""Characters of a follow-up; what is longer says itself what it asks."""

_LONGEST_CHOICE = 8
_OFFERED = re.compile(r"“([^”\n]{3,300})”")
_WORDS = re.compile(r"\w+")
_FILLERS = frozenset("the a an one of i mean meant please question yes about that it".split())
_ORDINALS = {"first": 0, "1": 0, "second": 1, "2": 1, "third": 2, "3": 2, "fourth": 3, "4": 3, "last": -1, "latter": -1}
_LEAD = re.compile(r"^(?:(?:and|but|so|or|also|then|ok|okay|thanks|great|now|well)\b[,.!]?\s+)+", re.IGNORECASE)
_SWAP = re.compile(
    r"^(?:(?:what|how) about|what of|same (?:question\s+)?(?:for|with)|"
    r"(?:and\s+)?(?:(?:that|those)\s+)?(?:for|of|with|in))\s+"
    r"(?P<new>[^?]+?)\s*[?.!]*$",
    re.IGNORECASE,
)
_CLOSING = re.compile(r"(?:,?\s+(?:as well|too|also|please|then|again|exactly|now))+(?=\s*[?.!]*$)", re.IGNORECASE)
_VERB = re.compile(
    r"\b(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|tell|give|what|who|when|where|why|how|which)\b",
    re.IGNORECASE,
)
_PERSON = r"(?P<person>he|she|him|his|hers?)"
_PRONOUN = re.compile(rf"\b(?:{_PERSON}|it|its|they|them|their|theirs|this|that|these|those|there)\b", re.IGNORECASE)
_POSSESSIVE = re.compile(
    r"\b(?:its|their|his|her)\s+(?P<of>(?:(?!is\b|was\b|are\b|and\b)[\w-]+\s?){1,4}?)(?=\s*[?.!,]|\s*$|\s+(?:is|was|in|on|at|and)\b)",
    re.IGNORECASE,
)
_NOT_A_POINTER = re.compile(
    r"\b(?:is|are|was|were|will|be)\s+there\b|\b(?:that|this|there)\s+(?=(?:is|are|was|were)\s+(?:a|an|no|any)\b)",
    re.IGNORECASE,
)
_POINTER = re.compile(
    r"\b(?:this|that|these|those|the same)(?:\s+(?P<noun>one|ones|product|item|thing|person|man|woman|company|customer|"
    r"city|country|place|book|film|part|model|[a-z]+))?",
    re.IGNORECASE,
)
_VERBS_AFTER = frozenset(
    "is are was were do does did has have had can could will would cost costs weigh weighs mean means live lives come "
    "comes work works happen happens begin start end open close take need be been in on at from to for with by "
    "and".split()
)
_ABOUT_SOMEBODY = re.compile(r"^(?:and\s+)?who\b", re.IGNORECASE)
_IS_ITSELF = re.compile(r"^(?:and\s+)?who(?:'s| is| was| are| were)\s+(?P<name>[^?]+)\??$", re.IGNORECASE)
_BARE = re.compile(
    r"^(?:what|which|who|when|where)(?:['’]s|\s+(?:is|are|was|were))\s+"
    r"(?P<of>(?!you\b|we\b|i\b)(?:the\s+)?[\w\s-]{2,40}?)\s*\?*$",
    re.I,
)


def leans(text: str) -> bool:
    """Whether a question cannot be understood without what was said before."""
    text = text.strip()
    if not text or len(text) > _LONGEST:
        return False
    plain = _LEAD.sub("", text)
    if _SWAP.match(plain) or (_LEAD.match(text) and not _VERB.search(plain)):
        return True
    pronoun = _PRONOUN.search(_NOT_A_POINTER.sub("", plain))
    if pronoun:
        return not has_name(plain[: pronoun.start()])
    return not has_name(plain) and (_BARE.match(plain) is not None or not _VERB.search(plain))


def elliptic(text: str) -> bool:
    """Whether a question has left out what it asks: "and the table?". Alone, its words would fit too many facts."""
    plain = _LEAD.sub("", text.strip())
    return len(text) <= _LONGEST and bool(_SWAP.match(plain) or (plain != text.strip() and not _VERB.search(plain)))


def follows(text: str, before: Sequence[Turn]) -> bool:
    """Whether `text` is to be read with what was said before it."""
    return leans(text) or _picked(text, before) is not None


def readings(text: str, before: Sequence[Turn]) -> Iterator[list[str]]:
    """Tiers of questions that `text` may stand for, after these turns; none where nothing fits."""
    picked = _picked(text, before)
    if picked:
        yield [picked]
        return
    for question, reply in _exchanges(before):
        found = list(dict.fromkeys(_resolved(text, question, reply)))
        found = [f for f in found if f.strip() and f.casefold() != text.casefold()]
        if found:
            yield found[:_MOST_READINGS]


def _picked(text: str, before: Sequence[Turn]) -> str | None:
    """Which of the questions that the last reply offered is chosen: "the second one", "the Kelvor table"."""
    if not before or before[-1].role != "assistant" or len(text.split()) > _LONGEST_CHOICE:
        return None
    offered = _OFFERED.findall(before[-1].text[:2000])
    words = set(_WORDS.findall(text.casefold())) - _FILLERS
    if len(offered) < 2 or not words:
        return None
    if len(words) == 1 and words <= _ORDINALS.keys():
        place = _ORDINALS[words.pop()]
        return offered[place] if place < len(offered) else None
    fitting = [question for question in offered if words <= set(_WORDS.findall(question.casefold()))]
    return fitting[0] if len(fitting) == 1 else None


def _exchanges(before: Sequence[Turn]) -> list[tuple[str, str]]:
    """What the user asked and was answered, the last first."""
    found: list[tuple[str, str]] = []
    reply = ""
    for turn in reversed(before):
        if turn.role == "assistant":
            reply = reply or turn.text
        elif turn.role == "user":
            found.append((_question_of(turn.text), reply))
            reply = ""
        if len(found) == _TURNS_BACK:
            break
    return found


def _question_of(text: str) -> str:
    """The last question of an earlier turn, short enough to lean on."""
    parts: list[Asked] = [p for p in asked(text) if len(p.text) <= _LONGEST]
    asking = [p.text for p in parts if not p.together and (p.text.endswith("?") or len(parts) == 1)]
    return asking[-1] if asking else parts[-1].text if parts else ""


def _resolved(text: str, question: str, reply: str) -> Iterator[str]:
    plain = _CLOSING.sub("", _LEAD.sub("", text.strip()))
    swap = _SWAP.match(plain)
    fragment = swap["new"] if swap else plain.rstrip(" ?.!") if not _VERB.search(plain) else None
    old = things(question)
    if fragment is not None and not _PRONOUN.search(fragment):
        yield from _swapped(fragment, question, old)
        if has_name(fragment):
            return
        fragment = fragment if fragment.lower().startswith("the ") else f"the {fragment}"
        yield from (f"What is {fragment} of {thing.whole}?" for thing in _meant(plain, question, reply, old))
        return
    if fragment is not None:
        plain = f"What is {fragment}?"
    for thing in _meant(plain, question, reply, old):
        yield from _filled(plain, thing)


def _meant(text: str, question: str, reply: str, old: Sequence[Thing]) -> list[Thing]:
    """What a pronoun may stand for. After "Who …?" a person is the one that the reply names."""
    pronoun = _PRONOUN.search(text)
    answered = things_said(reply)
    itself = _IS_ITSELF.match(question)
    if itself and not re.search(r"\s(?:of|for|in|at)\s", itself["name"]):
        return list(old) or answered
    if pronoun and pronoun["person"] and _ABOUT_SOMEBODY.match(question):
        return answered
    return [*old, *(t for t in answered if t.core not in {o.core for o in old})]


def _swapped(new: str, question: str, old: Sequence[Thing]) -> Iterator[str]:
    """The last question about something else."""
    for thing in old:
        number = re.findall(r"\S*\d\S*", thing.core)
        if re.fullmatch(r"(?:the\s+)?\S*\d\S*", new, re.IGNORECASE) and number:
            yield question.replace(number[-1], new.split()[-1], 1)  # "the Halberd 40", and then "the 50"
        bare = not re.search(r"\b[a-z]", new)  # "the table" stands for all of "the lamp", a name also for a name in it
        for was in dict.fromkeys((thing.whole, thing.core) if bare else (thing.whole,)):
            article = "the " if was.lower().startswith("the ") and not re.match(r"(?i)the\s", new) else ""
            for other in dict.fromkeys((new, article + new)):
                yield question.replace(was, other, 1)


def _filled(text: str, thing: Thing) -> Iterator[str]:
    """The question with the thing in the place of its pronoun."""
    name = thing.whole
    possessive = _POSSESSIVE.search(text)
    if possessive:
        of = possessive["of"].strip()
        yield f"{text[: possessive.start()]}the {of} of {name}{text[possessive.end() :]}"
        yield f"{text[: possessive.start()]}{name}'s {of}{text[possessive.end() :]}"
        return
    pronoun = _PRONOUN.search(text)
    if not pronoun:
        bare = _BARE.match(text)
        if bare:
            yield f"{text.rstrip(' ?')} of {name}?"
        return
    said = pronoun.group().lower()
    if said in ("this", "that", "these", "those"):
        pointer = _POINTER.search(text, pronoun.start())
        noun = (pointer["noun"] or "").lower() if pointer else ""
        end = pointer.end() if pointer and noun and noun not in _VERBS_AFTER else pronoun.end()
        yield f"{text[: pronoun.start()]}{name}{text[end:]}"
    elif said == "there":
        yield f"{text[: pronoun.start()]}in {name}{text[pronoun.end() :]}"
    elif said in ("its", "their", "theirs", "his", "her", "hers") and not _object(text, pronoun):
        yield f"{text[: pronoun.start()]}{name}'s{text[pronoun.end() :]}"
    else:
        yield f"{text[: pronoun.start()]}{name}{text[pronoun.end() :]}"


def _object(text: str, pronoun: re.Match[str]) -> bool:
    """ "her" at the end of a question is she, not what is hers."""
    return not text[pronoun.end() :].strip(" ?.!")
