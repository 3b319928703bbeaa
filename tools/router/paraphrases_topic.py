"""What a further relation of the confirming network's lessons is: kinds of subject and value, and its wordings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    key: str
    subject: str  # kinds of `tools.pretrain.text.names.Namer`; a contract, policy, law or setting is a "code"
    value: str
    wordings: tuple[str, ...]  # {s} stands for the subject
