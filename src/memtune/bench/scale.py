"""`memtune bench scale`: many facts in one memory: time, memory, recall, opening, routing, disk."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from memtune.bench import data, engine
from memtune.bench.machine import Peak, give_back, megabytes, resident
from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.core.reports import LearnReport
from memtune.errors import UsageError
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.stats import Rate, Spread, figure
from memtune.learning import Progress
from memtune.model import MemoryModel

_POINTS = 10
_ROUTED = 500


@dataclass
class Point:
    """How much memory the process held when this much was learned, and at most since the last point."""

    share: float
    facts: int
    resident_bytes: int | None
    peak_bytes: int | None


@dataclass
class Size:
    """A memory of one size."""

    rows: int
    learned: int
    conflicts: int
    duplicates: int
    not_learned: dict[str, str]
    seconds: Spread
    seconds_per_fact: float
    points: list[Point]
    growth_bytes: int | None
    """Resident memory when all is learned, less that when a tenth was."""
    recall: Rate
    wrong: list[str]
    open_seconds: float
    route_ms: float
    """Median over learned wordings with a word more, so that the index is searched."""
    exact_route_ms: float
    disk_bytes_per_fact: float
    expert_bytes_per_fact: float

    def row(self) -> list[str]:
        peak = max((p.peak_bytes for p in self.points if p.peak_bytes), default=None)
        return [
            f"{self.learned:,}",
            str(self.seconds),
            figure(1 / self.seconds_per_fact),
            str(self.recall),
            megabytes(self.growth_bytes),
            megabytes(peak),
            figure(self.open_seconds),
            f"{self.route_ms:.2f} ({self.exact_route_ms:.3f})",
            f"{self.disk_bytes_per_fact:,.0f} ({self.expert_bytes_per_fact:,.0f})",
        ]


@dataclass
class ScaleResult:
    kind: str
    sizes: list[Size] = field(default_factory=list)

    @property
    def to_smallest(self) -> float:
        """Time per fact in the largest memory over that in the smallest."""
        return self.sizes[-1].seconds_per_fact / self.sizes[0].seconds_per_fact

    def sheets(self) -> list[Sheet]:
        columns = [
            "facts",
            "s",
            "facts/s",
            "recall",
            "RSS growth 10 → 100 %",
            "peak",
            "open s",
            "route ms (exact)",
            "bytes/fact on disk (experts)",
        ]
        rows = [s.row() for s in self.sizes]
        note = f"Time per fact, largest over smallest: {figure(self.to_smallest)}."
        return [Sheet(f"Scale, kind {self.kind}", columns, rows, note)]


def measure(
    backbone: Backbone,
    paths: Sequence[Path],
    config: Config,
    *,
    sizes: Sequence[int] = (1000, 100_000),
    sample: int = 2000,
    repeats: int = 3,
    seed: int = 0,
    say: Say = silent,
) -> ScaleResult:
    """Each size in a fresh memory; the smallest `repeats` times, because it is soon over."""
    if not paths:
        raise UsageError("no facts were given", hint="--data FILE, as JSONL with question and answer")
    result = ScaleResult(config.learn.kind)
    for place, n in enumerate(sorted(sizes)):
        say(f"learning {n:,} facts")
        result.sizes.append(_size(backbone, paths, config, n, sample, 1 if place else repeats, seed, say))
    return result


def _size(
    backbone: Backbone,
    paths: Sequence[Path],
    config: Config,
    n: int,
    sample: int,
    repeats: int,
    seed: int,
    say: Say,
) -> Size:
    with tempfile.TemporaryDirectory(prefix="memtune-bench-") as name:
        sampler, source = data.Sampler(sample, seed), Path(name) / "facts.jsonl"
        rows = data.write_some(paths, n, seed, sampler, source)
        sampler.forget_questions()
        seconds = []
        for run in range(repeats):
            folder = Path(name) / f"memory-{run}"
            report, took, points = _learn(engine.cold(backbone), folder, config, source, say)
            seconds.append(took)
        say(f"{report.learned / took:,.0f} facts/s; asking {len(sampler.chosen):,} of them")
        return _look(backbone, folder, config, report, Spread.of(seconds), points, sampler.chosen, rows)


def _learn(
    backbone: Backbone, folder: Path, config: Config, source: Path, say: Say
) -> tuple[LearnReport, float, list[Point]]:
    points: list[Point] = []
    give_back()
    state = [Peak()]

    def watch(progress: Progress) -> None:
        if progress.done / progress.total >= (len(points) + 1) / _POINTS:
            share = progress.done / progress.total
            points.append(Point(share, progress.done, resident(), state[0].bytes))
            state[0] = Peak(tidy=False)
            say(f"{share:.0%} after {progress.seconds:.0f} s, {megabytes(points[-1].resident_bytes)}")

    with MemoryModel(backbone, folder, config=config) as model:
        start = time.perf_counter()
        report = model.learn(source, progress=watch)
        return report, time.perf_counter() - start, points


def _look(
    backbone: Backbone, folder: Path, config: Config, report: LearnReport, seconds: Spread,
    points: list[Point], asked: Sequence[Fact], rows: int,
) -> Size:  # fmt: skip
    """Open the memory as a stranger would, and ask."""
    start = time.perf_counter()
    with MemoryModel(engine.cold(backbone), folder, config=config) as model:
        model.memory.explain("Is anybody there?")
        open_seconds = time.perf_counter() - start
        answers = engine.ask_for(model, asked)
        wrong = [f.id for f, a in zip(asked, answers, strict=True) if a.text != f.answer]
        exact_ms, route_ms = _route_ms(model, [f.question for f in asked[:_ROUTED]])
    held = [p.resident_bytes for p in points if p.resident_bytes is not None]
    on_disk = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Size(
        rows=rows,
        learned=report.learned,
        conflicts=report.conflicts,
        duplicates=report.duplicates,
        not_learned={f.id: f.reason for f in report.failed},
        seconds=seconds,
        seconds_per_fact=seconds.median / max(1, report.learned),
        points=points,
        growth_bytes=held[-1] - held[0] if len(held) > 1 else None,
        recall=Rate(len(asked) - len(wrong), len(asked)),
        wrong=wrong,
        open_seconds=open_seconds,
        route_ms=route_ms,
        exact_route_ms=exact_ms,
        disk_bytes_per_fact=on_disk / max(1, report.learned),
        expert_bytes_per_fact=report.bytes_per_fact,
    )


def _route_ms(model: MemoryModel, questions: Sequence[str]) -> tuple[float, float]:
    """Medians, for learned wordings and for the same with a word more."""

    def median(texts: Sequence[str]) -> float:
        times = []
        for text in texts:
            start = time.perf_counter()
            model.memory.router.route(text)
            times.append(time.perf_counter() - start)
        return 1000 * statistics.median(times)

    return median(questions), median([f"Well, {q}" for q in questions])
