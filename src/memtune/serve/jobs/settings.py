"""What the reference's training arguments mean here, kind by kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Settled:
    """Training arguments as settings of memtune."""

    settings: tuple[str, ...]
    """`group.name=value`, as `Config.with_settings` takes them."""
    slots: int = 1
    """Workers that were asked for: gpus x nodes."""
    without_effect: tuple[str, ...] = ()
    """One sentence for each argument that changes nothing for this kind, and why."""


def settle(kind: str, finetune_args: Mapping[str, Any] | None, gpu_config: Mapping[str, Any] | None = None) -> Settled:
    """Map and validate. An argument that nobody knows, or a value out of bounds, is a UsageError."""
    raise NotImplementedError
