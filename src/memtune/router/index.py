"""The nearest keys by inner product of unit vectors: one interface, whatever it is made of.

Keys come in ascending order and go by a mark, never by moving others; places in what lies below are given up for good.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtune.config import IndexConfig
from memtune.errors import FolderDamaged
from memtune.router import methods
from memtune.router.columns import Column
from memtune.router.methods import Floats, Living, Named

_CHUNK = 16_384
_TRAINED_ON = 65_536
"""Vectors, at most, that training looks at."""
_MAGIC = b"memtune index 1\n"
_FREE = ("nprobe", "ef_search", "closely", "exact_until", "method")
"""Settings that may be other ones when an index is read again: the shape of what was kept does not hang on them."""


class Index:
    """`note` says why, where it does not search as it was asked to."""

    def __init__(self, width: int, config: IndexConfig) -> None:
        methods.require(width, config)
        self.width, self.config, self.note = width, config, ""
        self._store: Named | None = None
        self._keys, self._alive = Column(np.int64), Column(np.bool_)
        self._gone = 0
        self._living: Living | None = None
        self.state = 0
        """Another number whenever a place may hold something else than before."""

    def __len__(self) -> int:
        return len(self._keys) - self._gone

    @property
    def method(self) -> str:
        """What is at work now."""
        return "exact" if self._store is None else self._store.name

    # ---- keys ---------------------------------------------------------------------------------------------------

    def add(self, keys: NDArray[Any], vectors: NDArray[Any]) -> None:
        """Keys in ascending order, higher than all before. A vector of nothing is near to nothing and passed over."""
        given = np.ascontiguousarray(vectors, dtype=np.float32)
        holds = np.einsum("ij,ij->i", given, given) > 0
        keys, given = np.asarray(keys, np.int64)[holds], given[holds]
        if not len(keys):
            return
        if np.any(np.diff(keys) <= 0) or (len(self._keys) and keys[0] <= self._keys.values[-1]):
            raise ValueError("keys must ascend")
        store = self._store = self._store or methods.make("exact", self.width, self.config)
        for start in range(0, len(given), _CHUNK):
            store.add(given[start : start + _CHUNK])
        self._keys.append(keys)
        self._alive.append(np.ones(len(keys), np.bool_))
        self._living = None
        self.state += 1
        self._settle()

    def expect(self, keys: int, sample: NDArray[Any]) -> None:
        """Be ready for so many keys of which these are some: what must be trained is trained now, not on the first."""
        self._settle(keys, np.asarray(sample, np.float32))

    def remove(self, keys: NDArray[Any]) -> None:
        """Take keys out for good; those that are not held are passed over."""
        keys = np.unique(np.asarray(keys, np.int64))
        places = np.searchsorted(self._keys.values, keys)
        held = places < len(self._keys)
        places = places[held][self._keys.values[places[held]] == keys[held]]
        self._gone += int(self._alive.values[places].sum())
        self._alive.values[places] = False
        self._living = None
        self.state += 1

    # ---- searching ----------------------------------------------------------------------------------------------

    def only(self, keys: NDArray[np.int64]) -> Living:
        """The places of these keys, for `search` to look nowhere else; of use until `state` is another one."""
        wanted = np.zeros(1 + max(keys.max(initial=0), self._keys.values.max(initial=0)), np.bool_)
        wanted[keys] = True
        return Living(wanted[self._keys.values] & self._alive.values, chosen=True)

    def search(self, vectors: NDArray[Any], k: int, only: Living | None = None) -> tuple[Floats, NDArray[np.int64]]:
        """Similarities and keys of the k nearest, best first; -1 where there are no more."""
        k = min(k, len(self) if only is None else only.count)
        given = np.ascontiguousarray(vectors, dtype=np.float32)
        if not k or not len(given) or self._store is None:
            return np.zeros((len(given), 0), np.float32), np.zeros((len(given), 0), np.int64)
        if self._gone and self._living is None:
            self._living = Living(self._alive.values.copy())
        living = self._living if only is None else only
        effort = 1
        scores, places = self._store.search(given, k, effort, living)
        while (places < 0).any() and effort < len(self._store):
            effort *= 4
            scores, places = self._store.search(given, k, effort, living)
        return self._answer(given, scores, places, self._alive.values if only is None else only.alive)

    def _answer(
        self, vectors: Floats, scores: Floats, places: NDArray[Any], alive: NDArray[np.bool_]
    ) -> tuple[Floats, NDArray[np.int64]]:
        """Keys for places. Whatever lies below, a removed key never comes back."""
        found = (places >= 0) & np.any(vectors, axis=1)[:, None]
        found &= alive[places]
        return np.where(found, scores, -np.inf).astype(np.float32), np.where(found, self._keys.values[places], -1)

    # ---- what it is made of -------------------------------------------------------------------------------------

    def _settle(self, keys: int = 0, sample: Floats | None = None) -> None:
        """Change to the method that is wanted for so many keys, as soon as it can be trained."""
        name = methods.wanted(self.config, max(keys, len(self)))
        if name == self.method or (name == "exact" and self.config.method == "auto" and self.method == "scan"):
            return  # what once was large need not change back
        least = methods.needed(name, self.config)
        known = len(self) if sample is None else len(sample)
        if not known:
            return
        if known < least:
            self.note = f"{name} needs {least:,} keys and has {known:,}: the search is exact until then"
            return
        self.note = ""
        store = methods.make(name, self.width, self.config)
        store.train(self._sample() if sample is None else sample[:_TRAINED_ON])
        self._move(store)

    def _sample(self) -> Floats:
        """Some of the vectors, always the same ones."""
        places = np.flatnonzero(self._alive.values)
        if len(places) > _TRAINED_ON:
            rng = np.random.default_rng(self.config.seed)
            places = np.sort(rng.choice(places, _TRAINED_ON, replace=False))
        parts = []
        for start in range(0, len(self._keys), _CHUNK):
            inside = places[(places >= start) & (places < start + _CHUNK)] - start
            parts.append(self._vectors(start)[inside])
        return np.concatenate(parts)

    def _vectors(self, start: int) -> Floats:
        assert self._store is not None
        return self._store.vectors(start, min(start + _CHUNK, len(self._keys)))

    def _move(self, store: Named) -> None:
        """Into another store, without the keys that were removed."""
        alive = self._alive.values
        for start in range(0, len(self._keys), _CHUNK):
            store.add(self._vectors(start)[alive[start : start + _CHUNK]])
        kept = self._keys.values[alive]
        self._store, self._keys, self._alive = store, Column(np.int64), Column(np.bool_)
        self._keys.append(kept)
        self._alive.append(np.ones(len(kept), np.bool_))
        self._gone, self._living = 0, None
        self.state += 1

    # ---- keeping ------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """Everything but removed keys, which are taken out of what lies below first."""
        store = self._store or methods.make("exact", self.width, self.config)
        if self._gone:
            store = store.emptied()
            self._move(store)
        parts = [np.ascontiguousarray(self._keys.values).view(np.uint8), *store.parts()]
        head = {
            "width": self.width,
            "method": store.name,
            "settings": _shape(self.config),
            "sizes": [len(part) for part in parts],
            "digest": _digest(parts),
        }
        return b"".join([_MAGIC, json.dumps(head).encode(), b"\n", *(part.tobytes() for part in parts)])

    @classmethod
    def from_bytes(cls, data: bytes, width: int, config: IndexConfig) -> Index:
        """What `to_bytes` gave. Raises FolderDamaged where it is not whole, or of another width or other settings."""
        head, parts = _read(data)
        if head["width"] != width:
            raise FolderDamaged(f"the index is for vectors of width {head['width']}, not {width}")
        if head["settings"] != _shape(config):
            raise FolderDamaged("the index was made with other settings")
        index = cls(width, config)
        index._store = methods.make(head["method"], width, config)
        try:
            index._store.take(parts[1:])
        except RuntimeError as error:
            raise FolderDamaged(f"the index cannot be read by this FAISS: {error}".partition("\n")[0]) from None
        index._keys.append(parts[0].view(np.int64))
        index._alive.append(np.ones(len(index._keys), np.bool_))
        if len(index._store) != len(index._keys):
            raise FolderDamaged("the index does not hold as many vectors as keys")
        index._settle()
        return index


def _shape(config: IndexConfig) -> dict[str, Any]:
    return {name: value for name, value in dataclasses.asdict(config).items() if name not in _FREE}


def _digest(parts: list[NDArray[np.uint8]]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part.data)
    return digest.hexdigest()


def _read(data: bytes) -> tuple[dict[str, Any], list[NDArray[np.uint8]]]:
    """Head and parts of an index that is whole."""
    end = data.find(b"\n", len(_MAGIC))
    if not data.startswith(_MAGIC) or end < 0:
        raise FolderDamaged("the index is damaged: it does not begin like one")
    try:
        head = json.loads(data[len(_MAGIC) : end])
        sizes, digest = [int(size) for size in head["sizes"]], head["digest"]
    except (ValueError, KeyError, TypeError):
        raise FolderDamaged("the index is damaged: its head cannot be read") from None
    ends = np.cumsum([end + 1, *sizes])
    if ends[-1] != len(data):
        raise FolderDamaged(f"the index is damaged: {len(data):,} bytes, not {int(ends[-1]):,}")
    body = np.frombuffer(data, np.uint8)
    parts = [np.array(body[low:high]) for low, high in itertools.pairwise(ends)]
    if _digest(parts) != digest:
        raise FolderDamaged("the index is damaged: its checksum does not hold")
    return head, parts
