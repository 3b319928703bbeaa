"""`memtune bench history`: a large memory as a database: opening, looking up, committing, comparing, joining, and
readers beside a writer. Facts are invented and their experts synthetic, so that building takes a minute; shards,
router keys, manifests and catalogue are those of any memory."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from memtune.bench import readers
from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.experts import stack
from memtune.core.facts import Fact
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.stats import figure
from memtune.history import History
from memtune.memory import Memory
from memtune.router.encoders import make_encoder
from memtune.router.entries import Entry, make_keys
from memtune.store import MemoryFolder, Writer

_LOT = 512
_COMMITS = 30
_OPENINGS = """
import json, sys, time
from memtune.bench.machine import resident
from memtune.store import MemoryFolder
import memtune.history
before, start = resident(), time.perf_counter()
folder = MemoryFolder.open(sys.argv[1])
opened = time.perf_counter()
fact = folder.fact(sys.argv[2])
first = time.perf_counter()
print(json.dumps({"open": opened - start, "show": first - opened, "grown": (resident() or 0) - (before or 0)}))
"""


@dataclass
class Figure:
    """One measured quantity beside what it should stay below."""

    name: str
    value: float
    unit: str
    limit: float | None = None

    def row(self) -> list[str]:
        met = "" if self.limit is None else "yes" if self.value < self.limit else "NO"
        limit = "" if self.limit is None else f"{self.limit:g} {self.unit}"
        return [self.name, f"{figure(self.value)} {self.unit}", limit, met]


@dataclass
class HistoryResult:
    facts: int
    segments: int
    figures: list[Figure] = field(default_factory=list)
    beside: dict[str, Any] = field(default_factory=dict)

    def sheets(self) -> list[Sheet]:
        rows = [figure.row() for figure in self.figures]
        title = f"History, {self.facts:,} facts in {self.segments:,} segments"
        note = "; ".join(f"{name} {value}" for name, value in self.beside.items())
        return [Sheet(title, ["what", "took", "below", "met"], rows, note)]


def measure(
    backbone: Backbone, *, n: int = 100_000, commits: int = 200, reading: int = 8, say: Say = silent
) -> HistoryResult:
    with tempfile.TemporaryDirectory(prefix="memtune-bench-") as name:
        root = Path(name)
        say(f"writing {n:,} facts")
        built = time.perf_counter()
        path = build(backbone, root / "memory", "f", n)
        result = HistoryResult(n, -(-n // _LOT))
        result.beside["seconds to build"] = figure(time.perf_counter() - built)
        say("opening")
        result.figures += _opening(path)
        say("committing")
        result.figures += _committing(path)
        say("comparing")
        result.figures += _comparing(path, n)
        say("merging")
        result.figures += _merging(backbone, root, n // 2)
        say(f"{reading} readers beside a writer")
        found = readers.measure(backbone, root / "small", commits=commits, count=reading, build=build)
        result.figures += [
            Figure("longest wait of a reader for a version", 1000 * found.longest_wait, "ms", 50),
            Figure("the same, of the processor's time", 1000 * found.longest_work, "ms", 50),
            Figure("longest look for a version with no writer", 1000 * found.longest_wait_alone, "ms"),
            Figure("answers of no one version", found.mixed, f"of {found.answers:,}", 1),
            Figure("a version reaches a reader after", 1000 * found.longest_delay, "ms", 1000),
        ]
        result.beside["versions seen by readers"] = found.versions
    return result


def build(backbone: Backbone, path: Path, prefix: str, n: int) -> Path:
    """A memory whose experts are made up."""
    Memory.create(backbone, path, Config()).close()
    with MemoryFolder.open(path) as folder, folder.writer() as writer:
        for start in range(0, n, _LOT):
            write(writer, facts_of(prefix, range(start, min(start + _LOT, n))))
            writer.commit(f"lot {start // _LOT}")
    return path


def facts_of(prefix: str, numbers: Sequence[int]) -> list[Fact]:
    return [
        Fact(f"{prefix}{i}", f"What is known of item {prefix} {i}?", f"Item {i} is kept in hall {i % 97}.",
             source="stock list", group=f"hall {i % 97}")
        for i in numbers
    ]  # fmt: skip


def write(writer: Writer, facts: Sequence[Fact]) -> None:
    experts = [{"tokens": torch.arange(8, dtype=torch.int32), "margin": torch.ones(1)} for _ in facts]
    config = Config().router
    keys = make_keys([Entry.of(fact) for fact in facts], make_encoder(config.encoder), config.vectors)
    writer.add_segment(facts, {"synthetic": stack(experts), "router": keys})


def _opening(path: Path) -> list[Figure]:
    """In fresh processes, with everything imported."""
    seen = []
    for _ in range(5):
        command = [sys.executable, "-c", _OPENINGS, str(path), "f77"]
        seen.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))

    def median(name: str) -> float:
        return float(statistics.median(row[name] for row in seen))

    return [
        Figure("opening the folder", 1000 * median("open"), "ms", 300),
        Figure("the first `facts show`, catalogue included", 1000 * median("show"), "ms", 20),
        Figure("resident memory that both added", median("grown") / (1 << 20), "MB", 100),
    ]


def _timed(work: Callable[[], object], times: int = 1) -> Iterator[float]:
    for _ in range(times):
        start = time.perf_counter()
        work()
        yield time.perf_counter() - start


def _committing(path: Path) -> list[Figure]:
    """One fact changed in one version, with everything that makes it durable."""
    with MemoryFolder.open(path) as folder:
        numbers = iter(range(_COMMITS))
        shows = list(_timed(lambda: folder.fact("f4321"), 50))

        def commit() -> None:
            number = next(numbers)
            old = folder.fact(f"f{number}")
            with folder.writer() as writer:
                writer.drop([old.id])
                write(writer, [Fact(old.id, old.question, "Item is sold.", group=old.group)])
                writer.commit(f"update {old.id}", act="update")

        took = list(_timed(commit, _COMMITS))
        size = sum(file.stat().st_size for number, file in folder.manifests.files() if number > folder.version - 10)
    return [
        Figure("`facts show` in an open process", 1000 * statistics.median(shows), "ms", 20),
        Figure("one-fact commit, median", 1000 * statistics.median(took), "ms", 100),
        Figure("one-fact commit, slowest of 30", 1000 * max(took), "ms"),
        Figure("manifest of a one-fact commit", size / 10, "bytes"),
    ]


def _comparing(path: Path, n: int) -> list[Figure]:
    with History.open(path) as history:
        last, lots = history.folder.version, -(-n // _LOT)
        (near,) = _timed(lambda: history.diff(lots, last))
        (tenth,) = _timed(lambda: history.diff(max(1, lots - lots // 10), last))
        (whole,) = _timed(lambda: history.diff(1, last))
        (log,) = _timed(lambda: list(history.log()))
    return [
        Figure(f"diff of {_COMMITS} updates", 1000 * near, "ms", 2000),
        Figure("diff of a tenth of the facts", tenth, "s", 2),
        Figure("diff of nearly all facts", whole, "s", 2),
        Figure(f"log of {last} versions", 1000 * log, "ms"),
    ]


def _merging(backbone: Backbone, root: Path, n: int) -> list[Figure]:
    ours, theirs = (build(backbone, root / name, name, n) for name in ("ours", "theirs"))
    with History.open(ours) as history:
        (took,) = _timed(lambda: history.merge(theirs))
        assert history.folder.count() == 2 * n
        (checked,) = _timed(history.verify)
    return [
        Figure(f"merge of 2 × {n:,} facts", took, "s", 10),
        Figure(f"verify of {2 * n:,} facts", checked, "s"),
    ]
