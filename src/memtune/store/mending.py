"""Making anew what is damaged, as far as the rest of the folder tells it."""

from __future__ import annotations

from pathlib import Path

from memtune.errors import FolderDamaged, FolderError, FolderTooNew
from memtune.store import sidecar
from memtune.store.durable import plain_errors
from memtune.store.folder import MemoryFolder
from memtune.store.lock import WriterLock
from memtune.store.refs import Refs, parse_address
from memtune.store.repair import rebuild_catalogue, rebuild_refs


def mend(path: str | Path) -> list[str]:
    """Make anew what can be made anew: references that are damaged, and the catalogue. What was done, as text."""
    folder = parse_address(path)[0]
    done = []
    with WriterLock.held(folder), plain_errors(folder):
        try:
            Refs.read(folder)
        except FolderTooNew:
            raise
        except FolderError as error:
            made = rebuild_refs(folder)
            done.append(f"{error.message}; made anew from the audit log, {len(made.branches)} branches")
        for name in sidecar.NAMES:
            try:
                sidecar.read(folder, name)
            except FolderDamaged as error:
                sidecar.remove(folder, name)
                done.append(f"{error.message}; removed, it is measured anew with the next learning")
        with MemoryFolder.open(folder) as memory:
            done.append(f"the catalogue was made anew, {rebuild_catalogue(memory)} segments")
    return done
