"""What routing gives back: the facts that were looked at, those that were confirmed, and why."""

from __future__ import annotations

from dataclasses import dataclass

Owner = tuple[int, int]
"""Segment and row: where a fact lives."""


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


@dataclass(frozen=True)
class Route:
    """What the router made of one prompt."""

    asked: tuple[str, ...] = ()
    confirmed: tuple[Proposal, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    """Everything that was looked at, best first."""
    rivals: tuple[Proposal, ...] = ()
    """Facts that fit alike where none was confirmed: a person could say which is meant."""
    note: str = ""
    """Why nothing was looked at, where nothing was."""
