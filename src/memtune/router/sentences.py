"""A text in its sentences. A full stop inside a name, a number or an abbreviation ends none."""

from __future__ import annotations

import re

_END = re.compile(r"(?P<mark>[.!?…]{1,3})(?P<close>[\"'”’)\]*]{0,3})\s+|(?<=[。！？])\s*(?=\S)|\s*\n\s*")
_WORD_BEFORE = re.compile(r"[\w.&’'-]{1,20}\Z")
_LONGEST_WORD = 24
_TITLES = frozenset("dr mr mrs ms st prof sr jr gen col capt lt sgt rev hon mt pres gov sen rep fr messrs mme".split())
"""Stand before a name."""
_SHORT = frozenset(
    "vs etc e.g i.e approx fig inc ltd co corp ave vol ch pp p ed est dept bros univ ca cf al jan feb mar apr jun jul "
    "aug sep sept oct nov dec a.m p.m u.s u.k u.n e.u ph.d b.c a.d d.c".split()
)
_BEFORE_A_NUMBER = frozenset("no nr nos art sec fig p pp vol ch op cap".split())
_OPENS = re.compile(
    r"(?:what|who|whom|whose|where|when|which|why|how|please|tell|give|name|list|is|are|was|were|do|does|did|can|could|"
    r"would|and)\b",
    re.IGNORECASE,
)
_WRAPPED = re.compile(r"(?<=[^\s.!?:;。！？])[ \t]*\n(?=[^\W\d_])")


def sentences(text: str) -> list[str]:
    """Sentences and lines in their order; lines that were only wrapped are joined again."""
    text = _WRAPPED.sub(lambda m: _joint(text, m.end()), text)
    found, start = [], 0
    for end in _END.finditer(text):
        if end["mark"] and not _ends(text, end):
            continue
        found.append(text[start : end.end()].strip())
        start = end.end()
    return [s for s in [*found, text[start:].strip()] if s]


def _joint(text: str, at: int) -> str:
    """A line that begins small and is no question goes on where the one before broke off."""
    return " " if text[at].islower() and not _OPENS.match(text, at) else "\n"


def _ends(text: str, end: re.Match[str]) -> bool:
    """Whether this mark ends a sentence."""
    after = text[end.end() : end.end() + 1]
    opens = _OPENS.match(text, end.end()) is not None
    if after.islower() and not opens and (end["mark"] in (".", "!") or end["close"]):
        return False
    if end["mark"] != ".":
        return True
    found = _WORD_BEFORE.search(text, max(0, end.start() - _LONGEST_WORD), end.start())
    word = found.group().casefold().lstrip("'") if found and not end["close"] else ""
    if word in _TITLES:
        return opens and word != "dr"  # "Main St. What is …", but "Who plays Dr. Who?"
    if word in _BEFORE_A_NUMBER and after.isdigit():
        return False
    if word.isdigit() and _opens_a_line(text, end.start() - len(word)):
        return False  # "2. Who …" in a numbered list
    return opens or not (word in _SHORT or (len(word) == 1 and word.isalpha()))


def _opens_a_line(text: str, at: int) -> bool:
    """Whether nothing but the end of another sentence stands before this place."""
    before = text[max(0, at - 4) : at].rstrip(" ")
    return not before or before[-1] in "?!.:\n(;"
