"""`memtune bench nearest`: finding the nearest among many keys: what is found, how quickly, in how much memory.

Keys are the vectors of given questions; where more are asked for than there are, noise is added to them. Half of the
queries are questions that no key was made of, the others are keys with noise. Keys lie in shards, as those of a memory.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memtune.bench.machine import MEGABYTE, give_back, mapped, megabytes, resident
from memtune.config import Config
from memtune.errors import UsageError
from memtune.evaluate.output import Say, Sheet, plain, silent
from memtune.evaluate.stats import Rate
from memtune.router import methods
from memtune.router.encoders import make_encoder
from memtune.router.entries import Entry, Wording, make_keys
from memtune.router.evidence import Evidence
from memtune.router.index import Index
from memtune.router.keys import Keys
from memtune.router.vectors import restored, stored, unit
from memtune.router.words import hashed_words
from memtune.store import shards

Clock = Callable[[], float]

_WALL = time.perf_counter
_LOT = 20_000
_NOISE = 0.03
"""Of each number of a unit vector: where it has 256, the cosine to what it was is about .9."""
_NEAREST = 8
_TIES = 32
_CHANGED = 200
_NEW = 1 << 20
"""The first of the segments of one key."""
_READ = 20_000
"""Entries of word lists that one search reads."""


@dataclass(frozen=True)
class Milliseconds:
    median: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Milliseconds:
        return cls(*(float(q) * 1000 for q in np.quantile(seconds, [0.5, 0.99])))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.p99:.2f})"


@dataclass
class Nearest:
    """Keys of one number."""

    keys: int
    method: str
    recall: Rate
    """Of the eight nearest by exact search over the same stored vectors."""
    recall_unrounded: Rate
    """The same over the vectors before they were rounded to be stored."""
    search: Milliseconds
    search_processor: Milliseconds
    """The same in time of the processor, which other work on the machine does not take part of."""
    words: Milliseconds
    """To find keys by shared words."""
    exact: Milliseconds
    """To find a learned wording."""
    add: Milliseconds
    """One key, until all three ways find it."""
    remove: Milliseconds
    search_after: Milliseconds
    """The search right after a removal."""
    fill_seconds: float
    resident_bytes: int | None
    """The whole process."""
    keys_bytes: int | None
    """What it grew by when keys and index were filled."""
    mapped_bytes: int | None
    """The part of that which is mapped from the shards of the keys, so that the system may take it back."""
    index_bytes: int
    """On disk."""

    def row(self) -> list[str]:
        return [
            f"{self.keys:,}",
            self.method,
            self.recall.brief,
            self.recall_unrounded.brief,
            str(self.search),
            str(self.search_processor),
            str(self.words),
            str(self.exact),
            str(self.add),
            str(self.remove),
            str(self.search_after),
            f"{self.fill_seconds:.1f}",
            f"{megabytes(self.resident_bytes)} ({megabytes(self.keys_bytes)}, {megabytes(self.mapped_bytes)})",
            f"{self.index_bytes / MEGABYTE:,.0f} MB",
        ]


@dataclass
class NearestResult:
    sizes: list[Nearest] = field(default_factory=list)

    def sheets(self) -> list[Sheet]:
        columns = [
            "keys",
            "method",
            f"recall@{_NEAREST}",
            "unrounded",
            "nearest ms",
            "of the processor",
            "by words ms",
            "by hash ms",
            "add one ms",
            "remove one ms",
            "nearest after it ms",
            "fill s",
            "resident (by keys, mapped)",
            "file",
        ]
        note = (
            "Times: median (99th percentile), one thread. Recall against exact search over the stored vectors, and over"
            " the same before they were rounded."
        )
        return [Sheet("The nearest of many keys", columns, [size.row() for size in self.sizes], note)]


def measure(
    questions: Sequence[str], config: Config, *, sizes: Sequence[int] = (100_000, 1_000_000), queries: int = 1000,
    seed: int = 0, say: Say = silent,
) -> NearestResult:  # fmt: skip
    """Each size in an index of its own, with one thread."""
    distinct = list(dict.fromkeys(questions))
    if len(distinct) < 2 * queries:
        raise UsageError(f"{len(distinct):,} questions are too few to ask {queries:,} others", hint="lower --queries")
    threads = methods.use_threads(1)
    try:
        return NearestResult([_measure(distinct, config, size, queries, seed, say) for size in sorted(sizes)])
    finally:
        methods.use_threads(threads)


class _Truth:
    """The nearest by exact search, some more than are asked for, because the last may have equals."""

    def __init__(self, queries: NDArray[np.float32]) -> None:
        self._queries = queries
        self._best = np.full((len(queries), _TIES), -np.inf, np.float32)
        self._whose = np.full((len(queries), _TIES), -1)

    def compare(self, vectors: NDArray[np.float32], first: int) -> None:
        """Take the nearest of these keys among the nearest of all."""
        scores = np.concatenate([self._best, self._queries @ vectors.T], axis=1)
        new = np.broadcast_to(first + np.arange(len(vectors)), (len(self._queries), len(vectors)))
        numbers = np.concatenate([self._whose, new], axis=1)
        order = np.argpartition(-scores, _TIES - 1, axis=1)[:, :_TIES]
        self._best, self._whose = np.take_along_axis(scores, order, 1), np.take_along_axis(numbers, order, 1)

    def recall(self, found: Sequence[NDArray[np.int64]]) -> Rate:
        """How many of the nearest were found; equals of the last one count as well."""
        hits = 0
        for numbers, scores, nearest in zip(found, self._best, self._whose, strict=True):
            least = np.sort(scores)[-_NEAREST] - 1e-6
            hits += min(_NEAREST, int(np.isin(numbers, nearest[scores >= least]).sum()))
        return Rate(hits, _NEAREST * len(found))


class _World:
    """Keys in lots, each in a shard of its own, and queries with the keys that are truly nearest to them."""

    def __init__(
        self, questions: Sequence[str], config: Config, size: int, queries: int, seed: int, folder: Path
    ) -> None:
        self.config, self.size, self.seed, self._folder = config, size, seed, folder
        self.encoder = make_encoder(config.router.encoder)
        order = np.random.default_rng(seed).permutation(len(questions))
        fresh = [questions[i] for i in order[: queries // 2]]
        self._used = [questions[i] for i in order[queries // 2 :][:size]]
        self.texts = fresh + self._used[: queries - len(fresh)]
        vectors = self.encoder.encode(self.texts)
        noised = np.arange(len(vectors)) >= len(fresh)
        self.queries = np.where(noised[:, None], self._noise(vectors, 0), vectors).astype(np.float32)
        self.stored, self.unrounded = _Truth(self.queries), _Truth(self.queries)

    def _noise(self, vectors: NDArray[np.float32], draw: int) -> NDArray[np.float32]:
        rng = np.random.default_rng([self.seed, draw])
        return unit(vectors + rng.normal(0, _NOISE, vectors.shape).astype(np.float32))

    def keys_of(self, texts: Sequence[str]) -> dict[str, Tensor]:
        entries = [Entry([Wording(text)]) for text in texts]
        return make_keys(entries, self.encoder, self.config.router.vectors)

    def write(self) -> None:
        """All lots; from the second round over the questions on with noise."""
        rounds = len(self._used)
        for start in range(0, self.size, _LOT):
            places = np.arange(start, min(start + _LOT, self.size))
            texts = [self._used[place % rounds] for place in places]
            keys, vectors = self.keys_of(texts), self.encoder.encode(texts)
            if places[-1] >= rounds:
                again = (places >= rounds)[:, None]
                vectors = np.where(again, self._noise(vectors, 1 + start), vectors).astype(np.float32)
                keys["vectors"] = stored(vectors, self.config.router.vectors)
                keys["hashes"] += torch.from_numpy(places // rounds)  # each wording is one of its own
            self._shard(start // _LOT).write_bytes(shards.encode(keys))
            self.stored.compare(restored(keys["vectors"]), start)
            self.unrounded.compare(vectors, start)

    def _shard(self, lot: int) -> Path:
        return self._folder / f"{lot}{shards.SUFFIX}"

    def lots(self) -> Iterator[tuple[int, Mapping[str, Tensor]]]:
        for lot in range(-(-self.size // _LOT)):
            yield lot, shards.Tensors(self._shard(lot))


def measure_sizes(
    questions: Sequence[str], sizes: Sequence[int], config: Config, *, queries: int = 1000, seed: int = 0,
    say: Say = silent,
) -> list[dict[str, Any]]:  # fmt: skip
    """The same as plain figures, one dictionary a size."""
    found = measure(questions, config, sizes=sizes, queries=queries, seed=seed, say=say)
    rows: list[dict[str, Any]] = [plain(size) for size in found.sizes]
    return rows


def _measure(questions: Sequence[str], config: Config, size: int, queries: int, seed: int, say: Say) -> Nearest:
    with tempfile.TemporaryDirectory(prefix="memtune-bench-") as folder:
        world = _World(questions, config, size, queries, seed, Path(folder))
        say(f"{size:,} keys: writing them, and exact search")
        world.write()
        give_back()
        before = resident(), mapped()
        say(f"{size:,} keys: filling the index")
        router = _Filled(world)
        give_back()
        after = resident(), mapped()
        say(f"{size:,} keys: asking")
        held = after[0], _grown(before[0], after[0]), _grown(before[1], after[1])
        return _asked(world, router, held)


def _grown(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


class _Filled:
    """The columns and the index of a router."""

    def __init__(self, world: _World) -> None:
        self.keys, self.evidence = Keys(), Evidence()
        self.index = Index(world.encoder.width, world.config.index)
        start = time.perf_counter()
        for lot, tensors in world.lots():
            if lot == 0:
                self.index.expect(world.size, restored(tensors["vectors"]))
            self.add(lot, tensors)
        self.keys.exact("")
        self.keys.frequency(0)
        self.seconds = time.perf_counter() - start

    def add(self, lot: int, tensors: Mapping[str, Tensor]) -> None:
        kept = np.ones(len(tensors["rows"]), np.bool_)
        numbers = self.keys.add(lot, tensors, kept)
        self.evidence.add(tensors, kept)
        self.index.add(numbers, restored(tensors["vectors"]))

    def remove(self, lot: int) -> None:
        gone = self.keys.of([(lot, 0)])
        self.keys.remove(gone)
        self.index.remove(gone)


def _asked(world: _World, router: _Filled, held: tuple[int | None, int | None, int | None]) -> Nearest:
    keys, index = router.keys, router.index
    found: list[NDArray[np.int64]] = []
    _search(index, world.queries[:_NEAREST])
    search = _search(index, world.queries, found)
    on_processor = _search(index, world.queries, clock=time.thread_time)
    words = [dict.fromkeys(hashed_words(text).tolist(), 1.0) for text in world.texts]
    by_words = _timed(lambda i: keys.postings.search(words[i], 16, _READ), len(words))
    by_hash = _timed(lambda i: keys.exact(world.texts[i]), len(words))
    add, remove, after = _changes(router, world)
    ms = Milliseconds.of
    recalls = world.stored.recall(found), world.unrounded.recall(found)
    return Nearest(
        world.size, index.method, *recalls, ms(search), ms(on_processor), ms(by_words), ms(by_hash), ms(add),
        ms(remove), ms(after), router.seconds, *held, len(index.to_bytes()),
    )  # fmt: skip


def _search(
    index: Index, queries: NDArray[np.float32], found: list[NDArray[np.int64]] | None = None, clock: Clock = _WALL
) -> list[float]:
    kept = [] if found is None else found
    return _timed(lambda i: kept.append(index.search(queries[i : i + 1], _NEAREST)[1][0]), len(queries), clock)


def _timed(act: Callable[[int], object], times: int, clock: Clock = _WALL) -> list[float]:
    seconds = []
    for i in range(times):
        start = clock()
        act(i)
        seconds.append(clock() - start)
    return seconds


def _changes(router: _Filled, world: _World) -> tuple[list[float], list[float], list[float]]:
    """Seconds to add one key, to remove one, and of the search after that."""
    lots = [world.keys_of([f"{text} {i}"]) for i, text in enumerate(world.texts[:_CHANGED])]
    before = len(router.index)

    def add(i: int) -> None:
        router.add(_NEW + i, lots[i])
        router.keys.wording(world.texts[i])
        router.keys.frequency(0)

    added = _timed(add, len(lots))
    removed, after = [], []
    for i in range(len(lots)):
        removed += _timed(lambda _, i=i: router.remove(_NEW + i), 1)  # type: ignore[misc]
        after += _search(router.index, world.queries[i : i + 1])
    if len(router.index) != before or len(router.keys) != world.size:
        raise AssertionError("keys that were removed are still counted")
    return added, removed, after
