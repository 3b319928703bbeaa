"""What routing gives back: the facts that were looked at, those that were confirmed, and why."""

from __future__ import annotations

from dataclasses import dataclass

from memtune.router.asked import Asked, Origin, asks

Owner = tuple[int, int]
"""Segment and row: where a fact lives."""
LEARNED = "a learned wording"
"""The reason of what was found by its hash."""


@dataclass(frozen=True)
class Proposal:
    """A fact that was looked at, how sure the router is, and what decided."""

    owner: Owner
    score: float
    confirmed: bool
    reason: str
    asked: str
    recite: bool = True
    """Whether the stored answer is what is asked for; else the fact may be used, but not recited."""
    rival: bool = False
    """Whether it is not confirmed only because another fact fits alike."""
    origin: Origin = "whole"
    """Where what was asked comes from: the prompt, a part of it, or the conversation."""

    @property
    def learned(self) -> bool:
        """Whether it was asked for in a learned wording."""
        return self.reason == LEARNED


@dataclass(frozen=True)
class Route:
    """What the router made of one prompt."""

    asked: tuple[Asked, ...] = ()
    confirmed: tuple[Proposal, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    """Everything that was looked at, best first."""
    rivals: tuple[Proposal, ...] = ()
    """Facts that fit alike where none was confirmed: a person could say which is meant."""
    skills: tuple[tuple[str, float], ...] = ()
    """Skills whose gate the last message opens, the surest first. Where a fact is recited, they do not act."""
    note: str = ""
    """Why nothing was looked at, where nothing was."""

    @property
    def in_short(self) -> str:
        """What is asked in one text: as the conversation resolves it, else the whole, else the last part that asks."""
        first = {origin: [a.text for a in self.asked if a.origin == origin] for origin in ("context", "whole", "part")}
        asking = [text for text in first["part"] if asks(text)] or first["part"]
        return next(iter([*first["context"][:1], *first["whole"], *asking[-1:]]), "")
