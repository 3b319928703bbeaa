"""Shards: immutable safetensors files named by their SHA-256, checked when they are first opened."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from memtune.errors import FolderDamaged
from memtune.store.durable import step, sync_folder, write_file
from memtune.store.records import Records

if TYPE_CHECKING:
    import torch

SUFFIX = ".safetensors"
OPEN = 64
"""Shards of each sort that are kept open."""
_FEW = 64

T = TypeVar("T")


def encode(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """The bytes of a safetensors file; views and shared storage are copied first."""
    from safetensors.torch import save

    plain: dict[str, torch.Tensor] = {}
    storages: set[int] = set()
    for name, given in tensors.items():
        tensor = given.detach().cpu().contiguous()
        storage = tensor.untyped_storage()
        if storage.nbytes() != tensor.nbytes or storage.data_ptr() in storages:
            tensor = tensor.clone()
        storages.add(tensor.untyped_storage().data_ptr())
        plain[name] = tensor
    return save(plain)


class Tensors(Mapping[str, "torch.Tensor"]):
    """The tensors of a shard, each mapped from the file when it is asked for."""

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        opened: Any = safe_open  # its stubs are not typed
        try:
            self._file = opened(path, framework="pt", device="cpu")
        except SafetensorError as error:
            raise FolderDamaged(f"{path} is damaged: {error}") from None
        self._names = tuple(self._file.keys())

    def __getitem__(self, name: str) -> torch.Tensor:
        if name not in self._names:
            raise KeyError(name)
        tensor: torch.Tensor = self._file.get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Shards:
    """The folder of shards."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._checked: set[str] = set()
        self._tensors: OrderedDict[str, Tensors] = OrderedDict()
        self._records: OrderedDict[str, Records] = OrderedDict()
        self._lock = threading.Lock()

    def file(self, digest: str) -> Path:
        return self.path / f"{digest}{SUFFIX}"

    def put(self, digest: str, data: bytes) -> None:
        """Write a shard; its name is durable after `sync`. One that is there already is written anew."""
        write_file(self.file(digest), data, "shard")

    def take(self, digest: str, source: Shards) -> int:
        """A shard of another folder, checked: shared where the disk allows it, else copied. Its size."""
        source.check(digest)
        origin, own = source.file(digest), self.file(digest)
        step("shard: take")
        try:
            if not own.exists():
                os.link(origin, own)
        except OSError:
            write_file(own, origin.read_bytes(), "shard")
        step("shard: taken")
        return own.stat().st_size

    def missing(self, digests: Collection[str]) -> list[str]:
        """Those that have no file."""
        if len(digests) < _FEW:
            return [digest for digest in digests if not self.file(digest).is_file()]
        with os.scandir(self.path) as entries:
            there = {entry.name for entry in entries}
        return [digest for digest in digests if f"{digest}{SUFFIX}" not in there]

    def sync(self) -> None:
        sync_folder(self.path)

    def tensors(self, digest: str) -> Tensors:
        return self._open(self._tensors, digest, Tensors)

    def records(self, digest: str) -> Records:
        return self._open(self._records, digest, Records)

    def _open(self, opened: OrderedDict[str, T], digest: str, read: Callable[[Path], T]) -> T:
        with self._lock:
            if digest in opened:
                opened.move_to_end(digest)
                return opened[digest]
            self.check(digest)
            opened[digest] = read(self.file(digest))
            if len(opened) > OPEN:
                opened.popitem(last=False)  # closed when its last reader lets go of it
            return opened[digest]

    def check(self, digest: str) -> None:
        """Nothing is ever computed from a shard whose checksum does not hold."""
        if digest not in self._checked:
            if problem := self.problem(digest):
                raise FolderDamaged(problem)
            self._checked.add(digest)

    def problem(self, digest: str) -> str | None:
        """What is wrong with the file of a shard, if anything is."""
        path = self.file(digest)
        try:
            found = _digest(path)
        except FileNotFoundError:
            return f"{path} is missing"
        except OSError as error:
            return f"{path} cannot be read: {error.strerror}"
        return None if found == digest else f"{path} is damaged: its checksum does not hold"

    def close(self) -> None:
        with self._lock:
            self._tensors.clear()
            self._records.clear()


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
