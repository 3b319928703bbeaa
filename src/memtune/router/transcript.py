"""Who says what in a prompt: a client may have put the chat template, labels or examples into the text itself.

Everything here is one pass over the text: no pattern looks further than its own marker.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from memtune.core.prompts import Message

_ROLES = {
    "user": "user human instruction question q prompt query input customer",
    "assistant": "assistant model response answer a output bot ai gpt chatbot",
    "system": "system developer context passage document background text reference sources",
}
ROLE_OF = {name: role for role, names in _ROLES.items() for name in names.split()}
_NAMES = "|".join(sorted(ROLE_OF, key=len, reverse=True))
_BAR = "[|｜]"

_MARKER = re.compile(
    rf"""
    <\|im_start\|>\s{{0,3}}(?P<chatml>\w{{1,20}})(?:<\|im_sep\|>)?
  | <\|(?:start_header_id|header_start|start_of_role)\|>\s{{0,3}}(?P<header>\w{{1,20}})\s{{0,3}}
    <\|(?:end_header_id|header_end|end_of_role)\|>
  | <start_of_turn>\s{{0,3}}(?P<gemma>\w{{1,20}})
  | <\|start\|>(?P<harmony>\w{{1,20}})(?:<\|channel\|>\w{{1,20}})?(?:<\|message\|>)?
  | <{_BAR}(?P<tag>(?:{_NAMES}|tool)){_BAR}>
  | <\|(?P<token>user|system|chatbot)_token\|>
  | \[\|(?P<square>user|human|assistant|system)\|\]
  | (?P<inst>\[INST\]) | (?P<inst_end>\[/INST\])
  | (?P<sys><<SYS>>|\[SYSTEM_PROMPT\]) | (?P<sys_end><</SYS>>|\[/SYSTEM_PROMPT\])
  | (?P<close></?s>|<(?:bos|eos|pad|end_of_turn|BOS_TOKEN|EOS_TOKEN)>|<{_BAR}[^<>|｜\s]{{1,40}}{_BAR}>)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_LABEL = re.compile(
    rf"""
    ^[ \t>]{{0,8}}(?:[#]{{1,6}}[ \t]{{0,2}}|[*_]{{1,3}})?(?P<line>(?i:{_NAMES}))
    (?:[ \t]?[#]?\d{{1,3}})?[*_]{{0,3}}[ \t]?[:：][*_]{{0,3}}
  | ^[ \t]{{0,8}}[#]{{1,6}}[ \t]{{0,2}}(?P<heading>(?i:{_NAMES}))[ \t]{{0,8}}$
  | (?:(?<=[.!?:)\]"”'’>;][ ])|(?<=</s>))
    (?P<inside>Question|QUESTION|Q|User|Human|HUMAN|Answer|ANSWER|Assistant|A):(?=\s|$)
  | (?:(?<=\s)|(?<=</s>))(?P<caps>USER|ASSISTANT):(?=\s|$)
    """,
    re.VERBOSE | re.MULTILINE,
)
_XML = re.compile(
    r"<(?P<end>/?)(?P<name>question|query|user_query|context|documents?|passage|text|background|system|instructions?)>",
    re.IGNORECASE,
)
_XML_USER = frozenset({"question", "query", "user_query"})
_OPENING_OF_AN_ANSWER = 12
"""Words that may follow a lone "Answer:" and still only open the answer, as in "Answer: The price is"."""


@dataclass(frozen=True)
class Turn:
    role: str
    """`user`, `assistant`, `system`, or "" for text that no marker gives to anybody."""
    text: str


def turns(text: str) -> list[Turn]:
    """What a prompt says, turn by turn; ends with the user's last one unless the prompt says nothing."""
    said = _settle(_by_markers(text))
    for cut in (_by_tags, _by_labels):
        said = [*said[:-1], *(_settle(cut(said[-1].text)) or said[-1:])] if said else []
    return said


def dialogue(messages: Sequence[Message]) -> list[Turn]:
    """A chat without its system texts, with what the client has put into the last message unfolded."""
    before = [Turn(m["role"], m["content"]) for m in messages[:-1] if m["role"] != "system"]
    return before + [turn for turn in turns(messages[-1]["content"]) if turn.role != "system"]


def _settle(pieces: list[Turn]) -> list[Turn]:
    """Give loose text to somebody, join what one person says in a row, and end with the user's last turn."""
    pieces = [Turn(p.role, p.text.strip()) for p in pieces if p.text.strip() or p.role == "assistant"]
    known = any(p.role == "user" and p.text for p in pieces)
    joined: list[Turn] = []
    for i, piece in enumerate(pieces):
        role = piece.role or ("system" if known and not _before_an_answer(pieces, i) else "user")
        if joined and joined[-1].role == role:
            joined[-1] = Turn(role, f"{joined[-1].text}\n\n{piece.text}")
        else:
            joined.append(Turn(role, piece.text))
    while joined and joined[-1].role != "user":
        joined.pop()
    return joined


def _before_an_answer(pieces: list[Turn], i: int) -> bool:
    """Whether loose text opens the prompt and is answered next: it is the first question of a transcript."""
    return i == 0 and len(pieces) > 1 and pieces[1].role == "assistant"


def _cut(text: str, marks: list[tuple[int, int, str]]) -> list[Turn]:
    """The text in pieces, each with the role of the mark before it; a mark is its start, its end and its role."""
    pieces, role, at = [], "", 0
    for start, end, next_role in marks:
        pieces.append(Turn(role, text[at:start]))
        role, at = next_role, end
    return [*pieces, Turn(role, text[at:])]


def _by_markers(text: str) -> list[Turn]:
    """Cut at the special tokens of chat templates."""
    return _cut(text, [(m.start(), m.end(), _role_of_marker(m)) for m in _MARKER.finditer(text)])


def _role_of_marker(mark: re.Match[str]) -> str:
    kind = mark.lastgroup or "close"
    fixed = {"inst": "user", "inst_end": "assistant", "sys": "system", "sys_end": "user", "close": ""}
    return fixed[kind] if kind in fixed else ROLE_OF.get(mark.group(kind).lower(), "system")


def _by_tags(text: str) -> list[Turn]:
    """Cut at <question>, <context> and the like, where they are closed again."""
    found = list(_XML.finditer(text))
    closed = {m["name"].lower() for m in found if m["end"]} & {m["name"].lower() for m in found if not m["end"]}
    marks = []
    for mark in found:
        name = mark["name"].lower()
        if name in closed:
            role = "" if mark["end"] else "user" if name in _XML_USER else "system"
            marks.append((mark.start(), mark.end(), role))
    return _cut(text, marks)


def _by_labels(text: str) -> list[Turn]:
    """Cut at "Question:", "### Instruction:", "Q:" and the like."""
    marks = [(m.start(), m.end(), ROLE_OF[m.group(m.lastgroup or "line").lower()]) for m in _LABEL.finditer(text)]
    if not any(role == "user" for _, _, role in marks):
        # "Answer:" alone is a label only where it opens the answer at the end; elsewhere it is part of a text.
        marks = [m for m in marks[-1:] if m[2] == "assistant" and _opens_an_answer(text, m[0], m[1])]
    return _cut(text, marks)


def _opens_an_answer(text: str, start: int, end: int) -> bool:
    after = text[end:]
    return bool(text[:start].strip()) and "?" not in after and len(after.split()) <= _OPENING_OF_AN_ANSWER
