"""memtune: open Memory Tuning for language models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memtune.config import Config, DecodeConfig
    from memtune.core.facts import Fact
    from memtune.core.reports import Answer, LearnReport
    from memtune.errors import MemtuneError
    from memtune.memory import Memory
    from memtune.model import MemoryModel

__version__ = "0.1.0"

_HOMES = {
    "Answer": "memtune.core.reports",
    "Config": "memtune.config",
    "DecodeConfig": "memtune.config",
    "Fact": "memtune.core.facts",
    "LearnReport": "memtune.core.reports",
    "Memory": "memtune.memory",
    "MemoryModel": "memtune.model",
    "MemtuneError": "memtune.errors",
}

__all__ = [
    "Answer",
    "Config",
    "DecodeConfig",
    "Fact",
    "LearnReport",
    "Memory",
    "MemoryModel",
    "MemtuneError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'memtune' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
