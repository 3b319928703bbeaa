"""What has been worked out for facts and belongs to no version yet, so that a long run that breaks off can go on.

One safetensors file a lot, in a folder of its own. A fact is named by a hash of its record: one that was changed
meanwhile is not found. Nothing here counts for readers, and whoever forgets or purges a fact clears all of it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import torch

from memtune.core.experts import Tensors, pick, stack
from memtune.core.facts import Fact
from memtune.errors import FolderDamaged
from memtune.store import records, shards
from memtune.store.durable import plain_errors, sync_folder, write_file

NAME = "unfinished"
_FACTS = "facts"


class Unfinished:
    """What was worked out in one way: the same kind, settings and backbone."""

    def __init__(self, folder: Path, make: str) -> None:
        self._folder, self._path = folder, folder / NAME
        self._make = hashlib.sha256(make.encode()).hexdigest()[:16]

    def keep(self, facts: Sequence[Fact], worked_out: Sequence[Tensors]) -> None:
        """One lot, durably."""
        keys = json.dumps([_key(fact) for fact in facts]).encode()
        data = shards.encode({**stack(worked_out), _FACTS: torch.frombuffer(bytearray(keys), dtype=torch.uint8)})
        with plain_errors(self._folder), suppress(FileNotFoundError):  # cleared just now by another process
            self._path.mkdir(exist_ok=True)
            write_file(self._path / f"{self._make}-{shards.digest_of(data)[:24]}{shards.SUFFIX}", data, "unfinished")
            sync_folder(self._path)

    def found(self, facts: Sequence[Fact]) -> dict[str, Tensors]:
        """What is there for these facts, by their ids."""
        wanted = {_key(fact): fact.id for fact in facts}
        found: dict[str, Tensors] = {}
        for keys, tensors in self._files():
            found |= {wanted[key]: pick(tensors, row) for row, key in enumerate(keys) if key in wanted}
        return found

    def _files(self) -> Iterator[tuple[list[str], Mapping[str, torch.Tensor]]]:
        for file in sorted(self._path.glob(f"{self._make}-*{shards.SUFFIX}")) if self._path.is_dir() else ():
            try:
                tensors = dict(shards.Tensors(file))
                keys = json.loads(tensors.pop(_FACTS).numpy().tobytes())
            except (FolderDamaged, KeyError, ValueError):
                file.unlink(missing_ok=True)  # half of a file is worth nothing: the lot is worked out again
                continue
            yield keys, tensors


def clear(folder: Path) -> None:
    """Nothing unfinished is left."""
    with plain_errors(folder):
        if (folder / NAME).exists():
            shutil.rmtree(folder / NAME)
            sync_folder(folder)


def _key(fact: Fact) -> str:
    return hashlib.sha256(records.to_line(fact)).hexdigest()[:32]
