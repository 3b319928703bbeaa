"""Where commands get a model or a memory from: the only place that loads either."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memtune.config import Config, TransferConfig
    from memtune.core.facts import Fact
    from memtune.history import History
    from memtune.inbox import Inbox
    from memtune.life import Life
    from memtune.migrate import Migrated
    from memtune.model import MemoryModel
    from memtune.store import MemoryFolder
    from memtune.transfer import Moved


def load_model(model: str, memory: Path | None, config: Config, author: str | None = None) -> MemoryModel:
    from memtune.model import MemoryModel

    return MemoryModel(model, memory, config=config, author=author)


def address(memory: Path, at: str) -> Path:
    from memtune.store.refs import named

    path = named(memory)
    return path.with_name(f"{path.name}@{at}")


def open_history(memory: Path, author: str | None) -> History:
    from memtune.history import History

    return History.open(memory, author)


def repair(memory: Path) -> list[str]:
    from memtune.store.mending import mend

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


def migrate(memory: Path) -> Migrated:
    from memtune.migrate import migrate as bring

    return bring(memory)


def life_of(memory: Path, fact_id: str) -> Life:
    from memtune import life

    with open_folder(memory) as folder:
        return life.life_of(folder, fact_id)


def facts_in(memory: Path, state: str, where: Mapping[str, str] | None) -> list[Fact]:
    from memtune import life

    with open_folder(memory) as folder:
        return list(life.in_state(folder, state, where))


def open_folder(memory: Path) -> MemoryFolder:
    from memtune.store import MemoryFolder

    return MemoryFolder.open(memory)


def open_inbox(memory: Path) -> Inbox:
    from memtune.config import InboxConfig
    from memtune.inbox import Inbox

    with open_folder(memory) as folder:
        return Inbox(folder.path, InboxConfig())
