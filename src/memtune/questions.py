"""One question on its way: what was asked, what the router made of it, and what its reply comes to use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from memtune.core.backbone import Backbone
from memtune.core.generate import Request
from memtune.core.prompts import Message, Prompt
from memtune.core.reports import Answer, Used, UsedSkill
from memtune.errors import InputError
from memtune.router.route import Proposal, Route

Question = str | Sequence[Message]
Schema = Mapping[str, Any]
NOTHING_HIDDEN: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Use:
    """A fact that a reply uses, as it stood when its experts were gathered: it may be forgotten meanwhile."""

    proposal: Proposal
    id: str
    source: str | None
    kinds: Sequence[str]
    field: str | None = None

    def report(self) -> Used:
        return Used(self.id, self.proposal.score, self.source, "+".join(self.kinds), self.field)


@dataclass
class Asked:
    """One question on its way: as it was asked, as the model reads it, and what the router made of it."""

    question: Question
    prompt: Prompt
    route: Route
    draw: int = 0
    version: int | None = None
    """The version that it was routed at; its experts are gathered from the same one."""
    chosen: list[Proposal] = field(default_factory=list)
    """Facts that can serve it."""
    used: list[Use] = field(default_factory=list)
    """Facts that its reply comes to use."""
    skills: tuple[UsedSkill, ...] = ()
    """Skills under which its reply is written."""
    hidden: frozenset[str] = NOTHING_HIDDEN
    """Groups of facts that are to it as if they were not there."""
    schema: Schema | None = None
    """What its reply follows."""


@dataclass(frozen=True)
class Prepared:
    """A question that is ready to be decoded, or is answered already."""

    asked: Asked
    request: Request | None = None
    answer: Answer | None = None


def require_askable(question: Question, backbone: Backbone) -> None:
    """Raise for what is no question, or longer than any that fits: to read it all would hold up the others."""
    said = [question] if isinstance(question, str) else [str(m.get("content")) for m in question]
    if said and not said[-1].strip():
        raise InputError("the question is empty")
    size, most = sum(map(len, said)), backbone.context * backbone.longest_token
    if size > most:
        raise InputError(
            f"the prompt has {size:,} characters, more than the model's context can ever hold",
            hint="shorten the system prompt or the conversation",
        )
    try:
        "".join(said).encode()
    except UnicodeEncodeError:
        raise InputError("the prompt is not valid Unicode: it holds half of a character") from None


def last_said(question: Question) -> str:
    return question if isinstance(question, str) else question[-1]["content"]
