"""What a reply may say, where it must follow a form."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Constraint(Protocol):
    """The form of one reply, followed token by token."""

    def allow(self, logits_V: Tensor) -> Tensor:
        """The logits, without what may not be said next."""

    def said(self, token: int) -> None:
        """What was said next."""

    @property
    def ended(self) -> bool:
        """Whether the form is complete and nothing may follow."""
