"""Several things asked in one sentence: "the price of A and B", "the price and the weight of A"."""

from __future__ import annotations

import re

_AND = re.compile(r"\s*,?\s+(?:and|as well as|&|und)\s+(?:also\s+)?", re.IGNORECASE)
_ANCHOR = re.compile(
    r"(?:\b(?:of|for|in|from|about|by|at|on|do|does|did|is|are|was|were|has|have|had|between)|['’]s)\s+", re.IGNORECASE
)
_SHARED_TAIL = re.compile(r"\s(?:of|for|in|from|at|on)\s", re.IGNORECASE)
_HELPERS = frozenset("do does did is are was were has have had".split())
_SINGULAR = {"do": "does", "are": "is", "were": "was", "have": "has"}
_REQUEST = re.compile(
    r"^(?:(?:please|kindly|now|hi|hello)[,!]?\s+)?(?:(?:can|could|would|will)\s+you\s+(?:please\s+)?)?"
    r"(?:tell|give|show|send|get|name|list|state|find|provide)\s+(?:(?:me|us)\s+)?(?:also\s+)?"
    r"|^(?:i|we)\s+(?:need|want|would like|'d like)(?:\s+to\s+know)?\s+",
    re.IGNORECASE,
)
_NO_LIST = re.compile(
    r"(?:which|what|who)\s+(?:\w+\s+)?of\b|(?:is|are|was|were|do|does|did|has|have|can)\b", re.IGNORECASE
)
"""A choice between things, and questions to be answered by yes or no."""
_QUESTION_WORD = re.compile(r"(?:what|who|whom|whose|where|when|which|why|how|whether|if)\b", re.IGNORECASE)
_INSTRUCTION = re.compile(
    r"(?:(?:please|kindly|now|also|then)[,!]?\s+){0,2}(?:(?:can|could|would|will)\s+you\s+(?:please\s+)?)?"
    r"(?:write|compose|draft|make|create|describe|summari[sz]e|introduce|present|portray|prepare|produce|compare|explain|"
    r"report|fill|complete|formulate|put\s+together|draw\s+up|announce)\b",
    re.IGNORECASE,
)
_MENTION = re.compile(
    r"\b(?:that|which|and|to)\s+(?:also\s+)?(?:names?|mentions?|includes?|gives?|states?|contains?|covers?|says?|tells?|"
    r"uses?|lists?)\s+|\b(?:naming|mentioning|including|giving|stating|containing|covering|using|listing)\s+"
    r"|\b(?:mention|include|name|state|cover|use|with)\s+(?=(?:its|the|his|her|their|both)\s)",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"^(?:both\s+)?(?:the|its|his|her|their|an?)\s+", re.IGNORECASE)
_WORDS_OF_A_THING, _MOST_MENTIONED = 5, 6
_LONGEST, _MOST = 400, 4
"""Characters of a sentence that is taken apart, and things that it is taken apart into."""


def requested(sentence: str) -> list[str]:
    """ "Give me the price of X, the weight of Y" as questions, one a thing; nothing where it is no such list."""
    opening = _REQUEST.match(sentence)
    if not opening or len(sentence) > _LONGEST:
        return []
    things = _listed(sentence[opening.end() :].rstrip(" ?.!"))
    if not 2 <= len(things) <= _MOST or any(_QUESTION_WORD.match(t) for t in things):
        return []
    if not all(_SHARED_TAIL.search(t) or re.search(r"['’]s\s", t) for t in things):
        return []
    return [f"What is {thing}?" for thing in things]


def instructs(sentence: str) -> bool:
    """Whether a sentence says that a text is to be written."""
    return _INSTRUCTION.match(sentence) is not None


def mentioned(sentence: str) -> list[str]:
    """What a text that is to be written shall mention: "Write a note on X that names the A, the B and the C"."""
    found = list(_MENTION.finditer(sentence[:_LONGEST]))
    if not found or not instructs(sentence):
        return []
    items = [_ARTICLE.sub("", item) for item in _listed(sentence[found[-1].end() : _LONGEST].rstrip(" ?.!"))]
    return [item for item in items if 0 < len(item.split()) <= _WORDS_OF_A_THING][:_MOST_MENTIONED]


def distributed(sentence: str) -> list[str]:
    """The questions that things joined by "and" make with what they share; they hold together or not at all."""
    core, mark = sentence.rstrip(" ?.!"), "?"
    core = _REQUEST.sub("What is ", core, count=1) if _REQUEST.match(core) else core
    joints = list(_AND.finditer(core)) if len(core) <= _LONGEST else []
    if not joints or _NO_LIST.match(core):
        return []
    left, right = core[: joints[-1].start()], core[joints[-1].end() :]
    head, first = _head(left)
    if head is None or not right or _QUESTION_WORD.match(right):
        return []
    items = [*_listed(first), right]
    items[0] = re.sub(r"^both\s+", "", items[0], flags=re.IGNORECASE)
    if not 2 <= len(items) <= _MOST or not all(items):
        return []
    tail = ""
    shared = _SHARED_TAIL.search(right)
    if shared and not _SHARED_TAIL.search(f" {first} "):
        items[-1], tail = right[: shared.start()], right[shared.start() :]
        if items[0].lower().startswith("the "):
            items = [item if item.lower().startswith("the ") else f"the {item}" for item in items]
    elif head.split()[-1].lower() in _HELPERS and len(right.split()) > 1:
        items[-1], _, verb = right.rpartition(" ")
        tail = f" {verb}"
    head = _of_one(head)
    return [f"{head}{item}{tail}{mark}" for item in items]


def _of_one(head: str) -> str:
    """ "Where do " asks for several, "where does " for one of them."""
    word = head.split()[-1]
    return f"{head.rstrip()[: -len(word)]}{_SINGULAR[word.lower()]} " if word.lower() in _SINGULAR else head


def _head(left: str) -> tuple[str | None, str]:
    """What all the things share before them, and the things on the left of the last "and"."""
    anchors = list(_ANCHOR.finditer(left))
    if anchors and anchors[-1].group().strip().lower() == "between":
        return None, ""
    if anchors:
        end = anchors[-1].end()
    else:
        opening = re.match(r"(?:who|what|which)\s+\S+\s+", left, re.IGNORECASE)
        if not opening:
            return None, ""
        end = opening.end()
    return left[:end], left[end:]


def _listed(text: str) -> list[str]:
    return [item.strip() for part in text.split(", ") for item in _AND.split(part) if item.strip()]
