"""The memories that a server answers from, by name: `acme`, `acme@v12`, or `base` for the model alone."""

from __future__ import annotations

import difflib
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from memtune.answering import Answering
from memtune.config import DEFAULT_MODEL, Config
from memtune.core.backbone import Backbone
from memtune.errors import NotFound, UnknownVersion, UsageError
from memtune.model import MemoryModel
from memtune.serve.keys import Key
from memtune.store import MemoryFolder

BASE = "base"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,95}")
_AT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_NAMED = 8
"""Models that an error names at most."""
_STANDING_OPEN = 16
"""Named versions of memories that are kept open at most."""


class UnknownModel(NotFound):
    """A model name that the server does not know; the near ones are named."""

    def __init__(self, name: str, known: list[str]) -> None:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        super().__init__(
            f"there is no model '{name}' here",
            hint=f"did you mean {' or '.join(near)}?" if near else f"known here: {_some(known)}",
        )


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return f"{', '.join(names[:_NAMED])}{f' and {more} more' if more > 0 else ''}"


@dataclass(frozen=True)
class Seat:
    """A model by name: which memory, at which version, on which backbone."""

    name: str
    memory: str | None
    model: MemoryModel

    def answering(self) -> Answering:
        """What answers the next question."""
        return self.model.answering(memory=self.memory is not None)


class Shelf:
    """Memories of the data folder and those that were named at the start, opened when they are first asked for."""

    def __init__(
        self,
        folder: Path,
        config: Config,
        load: Callable[[str], Backbone],
        *,
        model: str = DEFAULT_MODEL,
        aliases: Mapping[str, str] | None = None,
        named: Mapping[str, Path] | None = None,
    ) -> None:
        self.folder, self.config, self.model = folder, config, model
        self.aliases = dict(aliases or {})
        self.named = {name: Path(path).absolute() for name, path in (named or {}).items()}
        """Whole paths: in a message they are told from a name that somebody said."""
        self._load = load
        self._backbones: dict[str, Backbone] = {}
        self._seats: dict[str, Seat] = {}
        self._lock = threading.RLock()

    # ---- names --------------------------------------------------------------------------------------------------

    def memories(self, key: Key | None = None) -> list[str]:
        """The names of the memories, as far as the key may use them."""
        made = [p.name for p in self.folder.iterdir() if MemoryFolder.exists(p)] if self.folder.is_dir() else []
        names = sorted({*made, *self.named})
        return [name for name in names if key is None or key.may_use(name)]

    def path(self, memory: str) -> Path:
        """Where a memory of this name is, or would be made."""
        if memory in self.named:
            return self.named[memory]
        if memory in (BASE, *self.aliases):
            raise UsageError(f"'{memory}' cannot be the name of a memory", hint="it is the name of a model here")
        if not _NAME.fullmatch(memory):
            raise UsageError(
                f"'{memory}' cannot be the name of a memory", hint="letters, digits, . _ : and -, at most 96"
            )
        return self.folder / memory

    def models(self, key: Key | None = None) -> list[str]:
        return [BASE, *self.aliases, *self.memories(key)]

    # ---- opening ------------------------------------------------------------------------------------------------

    def backbone(self, name: str | None = None) -> Backbone:
        """The frozen model of this alias, or the server's own."""
        wanted = self.aliases.get(name, self.model) if name else self.model
        with self._lock:
            if wanted not in self._backbones:
                self._backbones[wanted] = self._load(wanted)
            return self._backbones[wanted]

    def find(self, name: str, key: Key | None = None) -> Seat:
        """What a model name stands for. A memory that is closed to the key is as if it were not there."""
        memory, _, at = name.partition("@")
        if not at and memory in (BASE, self.model, *self.aliases):
            return self._base(name)
        seat = self._standing(name, at)
        if seat is not None and seat.memory is not None and (key is None or key.may_use(seat.memory)):
            with self._lock:
                if self._seats.pop(name, None) is seat:
                    self._seats[name] = seat  # the one used last stands last
            return seat
        if memory not in self.memories(key) or (at and not _AT.fullmatch(at)):
            raise UnknownModel(name, self.models(key))
        with self._lock:
            if name not in self._seats:
                self._seats[name] = self._open(name, memory, at)
                self._close_old()
            return self._seats[name]

    def _standing(self, name: str, at: str) -> Seat | None:
        """What is open under this name. An old version that was purged since is opened anew: it is another one."""
        seat = self._seats.get(name)
        if seat is not None and at and not self._is_as_it_was(seat, at):
            with self._lock:
                if self._seats.get(name) is seat:
                    del self._seats[name]
            return None
        return seat

    def _is_as_it_was(self, seat: Seat, at: str) -> bool:
        folder = seat.model.memory.folder
        known = folder.refs
        folder.refresh()
        if folder.branch is not None or folder.refs is known:
            return True
        with suppress(UnknownVersion):
            return folder.resolve(at) == folder.manifest.point
        return False

    def _base(self, name: str) -> Seat:
        """A model alone; while a memory is being opened nobody waits for it."""
        if (seat := self._seats.get(name)) is not None:
            return seat
        backbone = self.backbone(name)
        with self._lock:
            if name not in self._seats:
                self._seats[name] = Seat(name, None, MemoryModel(backbone, config=self.config))
            return self._seats[name]

    def _open(self, name: str, memory: str, at: str) -> Seat:
        path = self.path(memory)
        address = path.with_name(f"{path.name}@{at}") if at else path
        model = MemoryModel(self._backbone_of(path), address, config=self.config, follow=True)
        _ = model.memory  # what is wrong with it is said now
        return Seat(name, memory, model)

    def _backbone_of(self, path: Path) -> Backbone:
        """The backbone that a memory was made on: the server's own, or one of the aliases'."""
        with MemoryFolder.open(path) as folder:
            stored = folder.header.backbone
        alias = next((a for a, model in self.aliases.items() if stored["name"] in (a, model)), None)
        return self.backbone(alias)

    def _close_old(self) -> None:
        standing = [name for name in self._seats if "@" in name]
        for name in standing[:-_STANDING_OPEN]:
            self._seats.pop(name)  # whoever still answers from it holds it; it is closed when nobody does

    def drop(self, memory: str) -> None:
        """Forget what is open of a memory, as before it is deleted."""
        with self._lock:
            for name in [n for n, seat in self._seats.items() if seat.memory == memory]:
                self._seats.pop(name).model.close()

    def close(self) -> None:
        with self._lock:
            for seat in self._seats.values():
                seat.model.close()
            self._seats.clear()
