"""What is asked in an evaluation, what is right, and how it relates to what was learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from memtune.questions import Question

Role = Literal["recall", "wording", "held-out"]
"""`recall`: a learned fact in a learned wording. `wording`: a learned fact in words that are not among its phrasings.
`held-out`: what was not learned, neither question nor answer."""

LEARNED, OTHER_WORDS, NEAR_MISS, UNKNOWN = "learned wording", "other wordings", "near misses", "never learned"
"""The forms that every ladder has."""


@dataclass(frozen=True)
class Case:
    """One thing asked."""

    id: str
    question: Question
    answers: tuple[str, ...] = ()
    """Any of them is right. None: nobody can know it, and to say so is right."""
    form: str = LEARNED
    role: Role = "recall"
    facts: tuple[str, ...] = ()
    """Ids of the learned facts that it asks for."""
    group: str | None = None
    options: tuple[str, ...] = ()
    """Among these chance would choose; the right one is in `answers`."""
    raw: bool = False
    """A text to go on with, rather than a chat."""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def knowable(self) -> bool:
        return bool(self.answers)

    @property
    def text(self) -> str:
        """What is asked, without what came before it."""
        return self.question if isinstance(self.question, str) else str(self.question[-1]["content"])


@dataclass(frozen=True)
class Said:
    """What one rung said to one case, and what that took."""

    text: str
    abstained: bool = False
    """It says that it does not know."""
    facts: tuple[str, ...] = ()
    """Ids of the facts that it rests on, where the rung can say so."""
    fired: bool | None = None
    """Whether a router confirmed a stored fact; None where no router decides, and so none can fire."""
    prompt_tokens: int = 0
    new_tokens: int = 0
    seconds: float = 0.0
    """Its share of the batch that it was answered in."""
