"""What a prompt asks: labels and markers stripped, several questions told apart, orders not to answer seen."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LABELLED = re.compile(
    r"(?:^|\n)[ \t]*(?:question|q|user|human|instruction|prompt|input)[ \t]*:[ \t]*(?P<asked>.+?)"
    r"(?=\s*(?:\n[ \t]*(?:answer|a|assistant|response|output)[ \t]*:|\Z))",
    re.IGNORECASE | re.DOTALL,
)
_ANSWER_LABEL = re.compile(r"\n[ \t]*(?:answer|a|assistant|response|output)[ \t]*:.*\Z", re.IGNORECASE | re.DOTALL)
_MARKERS = re.compile(r"<[|/]?[\w|]{1,24}[|]?>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>")
_SENTENCE = re.compile(r"(?<=[?!.])\s+|\n+")
_SECOND_QUESTION = re.compile(
    r"[,;]?\s+(?:and|also|und)\s+(?=(?:also\s+)?(?:what|who|whom|whose|where|when|which|why|how)\b)",
    re.IGNORECASE,
)
_WITHHELD = re.compile(
    r"\b(?:do not|don't|dont|never|without|no need to)\s+(?:\w+\s+)?(?:answer|reply|respond|tell|say|reveal)"
    r"|\b(?:ignore|disregard|forget)\b.{0,40}\b(?:question|above|that|this|it)\b"
    r"|\b(?:just|only|simply|instead)\s+(?:say|write|reply|repeat|translate)\b"
    r"|\b(?:translate|rephrase|paraphrase|repeat|spell)\b.{0,30}\b(?:question|sentence|following|this)\b",
    re.IGNORECASE,
)
_AUXILIARY = frozenset(
    "is are was were am do does did can could will would has have had should shall may might must isn't aren't".split()
)
_OPEN = frozenset("what who whom whose where when which why how".split())


@dataclass(frozen=True)
class Asked:
    """One thing that a prompt may ask for. `whole` marks the complete prompt, tried before its parts."""

    text: str
    whole: bool


def asked(text: str) -> list[Asked]:
    """What the text asks, the whole first and then its parts; nothing where it says not to answer."""
    core = strip(text)
    if not core or withheld(core):
        return []
    parts = [p.strip() for s in _SENTENCE.split(core) for p in _SECOND_QUESTION.split(s) if p and p.strip()]
    return [Asked(core, True)] + [Asked(p, False) for p in dict.fromkeys(parts) if p != core]


def strip(text: str) -> str:
    """The last labelled question of a raw prompt, or the text without template markers."""
    text = _MARKERS.sub("\n", text)
    labelled = list(_LABELLED.finditer(text))
    if labelled:
        return labelled[-1].group("asked").strip()
    return _ANSWER_LABEL.sub("", text).strip()


def withheld(text: str) -> bool:
    """Whether the prompt says that the question is not to be answered."""
    return _WITHHELD.search(text) is not None


def form(text: str) -> str:
    """`closed` for a question to be answered by yes or no, `open` for what, who, when …, else `other`."""
    words = re.findall(r"[\w']+", text.casefold())[:12]
    if not words:
        return "other"
    if words[0] in _AUXILIARY and not ("you" in words[1:2] and _OPEN & set(words)):
        return "closed"
    return "open" if _OPEN & set(words[:4]) else "other"
