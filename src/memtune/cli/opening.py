"""Where commands get a model or a memory from: the only place that loads either."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memtune.config import Config
    from memtune.model import MemoryModel
    from memtune.store import MemoryFolder


def load_model(model: str, memory: Path | None, config: Config) -> MemoryModel:
    from memtune.model import MemoryModel

    return MemoryModel(model, memory, config=config)


def open_folder(memory: Path) -> MemoryFolder:
    from memtune.store import MemoryFolder

    return MemoryFolder.open(memory)
