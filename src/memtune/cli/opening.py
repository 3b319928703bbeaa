"""Where commands get a model or a memory from: the only place that loads either."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memtune.config import Config, TransferConfig
    from memtune.history import History
    from memtune.inbox import Inbox
    from memtune.model import MemoryModel
    from memtune.store import MemoryFolder
    from memtune.transfer import Moved


def load_model(model: str, memory: Path | None, config: Config, author: str | None = None) -> MemoryModel:
    from memtune.model import MemoryModel

    return MemoryModel(model, memory, config=config, author=author)


def open_history(memory: Path, author: str | None) -> History:
    from memtune.history import History

    return History.open(memory, author)


def repair(memory: Path) -> list[str]:
    from memtune.history import mend

    return mend(memory)


def export(memory: Path, file: Path) -> Moved:
    from memtune import transfer

    with open_folder(memory) as folder:
        return transfer.export(folder, file)


def import_memory(file: Path, memory: Path, config: TransferConfig) -> Moved:
    from memtune import transfer

    return transfer.import_memory(file, memory, config)


def push(memory: Path, to: str) -> Moved:
    from memtune import transfer

    with open_folder(memory) as folder:
        return transfer.push(folder, to)


def pull(source: str, memory: Path) -> Moved:
    from memtune import transfer

    return transfer.pull(source, memory)


def open_folder(memory: Path) -> MemoryFolder:
    from memtune.store import MemoryFolder

    return MemoryFolder.open(memory)


def open_inbox(memory: Path) -> Inbox:
    from memtune.config import InboxConfig
    from memtune.inbox import Inbox

    with open_folder(memory) as folder:
        return Inbox(folder.path, InboxConfig())
