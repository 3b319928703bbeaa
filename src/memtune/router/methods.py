"""What the index can be made of. FAISS is named here and nowhere else, and imported when the first vectors come."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtune.config import IndexConfig
from memtune.errors import UsageError
from memtune.router.columns import Rows
from memtune.router.vectors import from_int8, to_int8

Floats = NDArray[np.float32]
Places = NDArray[np.int64]
Found = tuple[Floats, Places]
"""Similarities and places, best first; place -1 where there is no more."""

_PIECE, _BITS = 2, 4
"""Scan cuts a vector into pieces of two numbers and keeps four bits of each."""
_SLACK = 1.25
"""How many more places than their share scan looks at for chosen ones, so that once is mostly enough."""


class Living:
    """Which places still count. FAISS wants it as bits. `chosen`: they are some of many, so that those that do not
    count may be the nearest by far."""

    def __init__(self, alive: NDArray[np.bool_], *, chosen: bool = False) -> None:
        self.alive, self.chosen = alive, chosen
        self.count = int(np.count_nonzero(alive))
        self.bits = np.packbits(alive, bitorder="little")


class Named:
    """An index of FAISS as it is. `effort` widens a search that did not find enough."""

    def __init__(self, name: str, index: Any, config: IndexConfig) -> None:
        self.name, self._index, self._config = name, index, config

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def train(self, vectors: Floats) -> None:
        self._index.train(_contiguous(vectors))

    def add(self, vectors: Floats) -> None:
        if len(vectors):  # of none at all, FAISS may read where nothing is
            self._index.add(_contiguous(vectors))

    def search(self, vectors: Floats, k: int, effort: int, living: Living | None) -> Found:
        if living is None or self.name != "IndexPQ":
            given, places = self._asked(vectors, k, params=self._parameters(effort, living))
        else:  # IndexPQ cannot pass places over, so that more of them are asked for
            given, places = self._asked(vectors, min(len(self), k * effort))
            given, places = _first(given, np.where(living.alive[places], places, -1), k)
        scores = given if self.name == "exact" else 1.0 - given / 2.0
        return np.where(places < 0, -np.inf, scores).astype(np.float32), places

    def _asked(self, vectors: Floats, k: int, **given: Any) -> Found:
        """FAISS shares queries out among threads. One query has nothing to share, and to wake the others up costs more
        than it takes."""
        before = use_threads(1) if len(vectors) == 1 else 0
        try:
            found: Found = self._index.search(_contiguous(vectors), k, **given)
        finally:
            if before:
                use_threads(before)
        return found

    def _parameters(self, effort: int, living: Living | None) -> Any:
        given = {} if living is None else {"sel": _faiss().IDSelectorBitmap(living.bits)}
        if "IVF" in self.name:
            nprobe = min(self._config.nlist, self._config.nprobe * effort)
            return _faiss().SearchParametersIVF(nprobe=nprobe, **given)
        if "HNSW" in self.name:
            return _faiss().SearchParametersHNSW(efSearch=min(len(self), self._config.ef_search * effort), **given)
        return _faiss().SearchParameters(**given) if given else None

    def vectors(self, start: int, stop: int) -> Floats:
        """What was added, as near as it was kept."""
        if "IVF" in self.name and start == 0:
            self._index.make_direct_map()
        found: Floats = self._index.reconstruct_n(start, stop - start)
        return found

    def emptied(self) -> Named:
        """As trained, without vectors."""
        copy = _faiss().clone_index(self._index)
        copy.reset()
        return Named(self.name, copy, self._config)

    def parts(self) -> list[NDArray[np.uint8]]:
        """What `from_parts` makes it from."""
        return [_faiss().serialize_index(self._index)]

    def take(self, parts: list[NDArray[np.uint8]]) -> None:
        self._index = _faiss().deserialize_index(parts[0])


class Scan(Named):
    """All keys by four bits for two numbers, after a rotation that spreads what vectors hold; the best of them
    closely, by eight bits a number. Exact but for the rounding, as long as the nearest are among those best."""

    def __init__(self, index: Any, width: int, config: IndexConfig) -> None:
        super().__init__("scan", index, config)
        self._codes = Rows(np.int8, width)

    def add(self, vectors: Floats) -> None:
        super().add(vectors)
        self._codes.append(to_int8(vectors))

    def search(self, vectors: Floats, k: int, effort: int, living: Living | None) -> Found:
        found = self._roughly(vectors, max(self._config.closely, k) * effort, living)
        scores, places = np.full((len(vectors), k), -np.inf, np.float32), np.full((len(vectors), k), -1)
        for row, near in enumerate(found):
            near = near[near >= 0]
            if living is not None:
                near = near[living.alive[near]]
            similar = from_int8(self._codes.gather(near)) @ vectors[row]
            best = np.argsort(-similar, kind="stable")[:k]
            scores[row, : len(best)], places[row, : len(best)] = similar[best], near[best]
        return scores, places

    def _roughly(self, vectors: Floats, most: int, living: Living | None) -> Places:
        """The places to look at closely: of chosen ones as many as if there were no others."""
        if living is None or not living.chosen:
            return self._asked(vectors, min(len(self), most))[1]
        wanted = min(most, living.count)
        looked_at = min(len(self), int(_SLACK * wanted * len(self) / max(1, living.count)))
        while True:
            _, found = self._asked(vectors, looked_at)
            enough = ((found >= 0) & living.alive[found]).sum(axis=1).min(initial=wanted) >= wanted
            if enough or looked_at == len(self):
                return found
            looked_at = min(len(self), 2 * looked_at)

    def vectors(self, start: int, stop: int) -> Floats:
        return from_int8(self._codes.gather(np.arange(start, stop)))

    def emptied(self) -> Scan:
        return Scan(super().emptied()._index, self._codes.width, self._config)

    def parts(self) -> list[NDArray[np.uint8]]:
        return [*super().parts(), self._codes.gather(np.arange(len(self))).view(np.uint8).reshape(-1)]

    def take(self, parts: list[NDArray[np.uint8]]) -> None:
        super().take(parts[:1])
        self._codes.append(parts[1].view(np.int8).reshape(-1, self._codes.width))


def _faiss() -> Any:
    """Its stubs differ from version to version, and it takes a while to import."""
    import faiss

    return faiss


def _contiguous(vectors: Floats) -> Floats:
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _first(scores: Floats, places: Places, k: int) -> Found:
    """Per row the first k places that are places, and -1 behind them."""
    order = np.argsort(places < 0, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(places, order, 1)


def wanted(config: IndexConfig, keys: int) -> str:
    """The method for so many keys."""
    if config.method != "auto":
        return config.method
    return "scan" if keys >= config.exact_until else "exact"


def needed(name: str, config: IndexConfig) -> int:
    """Vectors without which it cannot be trained."""
    lists = config.nlist if "IVF" in name else 0
    pieces = 2**config.nbits if name.endswith("PQ") else 0
    return 2**_BITS if name == "scan" else max(lists, pieces)


def require(width: int, config: IndexConfig) -> None:
    """Vectors of this width fit the settings."""
    if config.method.endswith("PQ") and width % config.m:
        raise UsageError(
            f"index.m={config.m} does not divide the width of the keys' vectors, {width}",
            hint=f"such as {_divisor(width, config.m)}",
        )


def _divisor(width: int, near: int) -> int:
    return max(m for m in range(1, min(near, width) + 1) if width % m == 0)


def make(name: str, width: int, config: IndexConfig) -> Named:
    """An empty store, not yet trained."""
    faiss = _faiss()
    if name == "exact":
        half = faiss.ScalarQuantizer.QT_fp16
        return Named(name, faiss.IndexScalarQuantizer(width, half, faiss.METRIC_INNER_PRODUCT), config)
    if name == "scan":
        return _scan(faiss, width, config)
    made = {
        "IndexFlatL2": lambda: faiss.IndexFlatL2(width),
        "IndexIVFFlat": lambda: faiss.IndexIVFFlat(faiss.IndexFlatL2(width), width, config.nlist),
        "IndexIVFPQ": lambda: faiss.IndexIVFPQ(faiss.IndexFlatL2(width), width, config.nlist, config.m, config.nbits),
        "IndexHNSWFlat": lambda: faiss.IndexHNSWFlat(width, config.hnsw_m),
        "IndexHNSWPQ": lambda: faiss.IndexHNSWPQ(width, config.m, config.hnsw_m, config.nbits),
        "IndexPQ": lambda: faiss.IndexPQ(width, config.m, config.nbits),
    }[name]()
    if "HNSW" in name:
        made.hnsw.efConstruction = config.ef_construction
    if "IVF" in name:
        _seeded(made.cp, config.seed)
    if name.endswith("PQ"):
        _seeded((faiss.downcast_index(made.storage) if "HNSW" in name else made).pq.cp, config.seed)
    return Named(name, made, config)


def _scan(faiss: Any, width: int, config: IndexConfig) -> Scan:
    pieces = -(-width // _PIECE)
    turned = faiss.RandomRotationMatrix(width, pieces * _PIECE)
    turned.init(config.seed)
    index = faiss.IndexPQFastScan(pieces * _PIECE, pieces, _BITS, faiss.METRIC_INNER_PRODUCT)
    _seeded(index.pq.cp, config.seed)
    return Scan(faiss.IndexPreTransform(turned, index), width, config)


def _seeded(clustering: Any, seed: int) -> None:
    clustering.seed = seed
    clustering.min_points_per_centroid = 1  # else FAISS writes to standard error


def use_threads(threads: int) -> int:
    """Of a search. Returns how many there were."""
    faiss = _faiss()
    before = int(faiss.omp_get_max_threads())
    faiss.omp_set_num_threads(threads)
    return before
