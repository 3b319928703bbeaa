"""`memtune bench learn`: learning against reading and against gradient methods, on the same model in one run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from dataclasses import replace as change
from pathlib import Path

from memtune.bench import engine, gradient, reading
from memtune.bench.machine import Peak, megabytes
from memtune.checked import replace
from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.stats import Rate, Spread, figure
from memtune.evaluate.temporary import write
from memtune.model import MemoryModel

KINDS = ("imprint", "kv", "imprint+kv")
_FULL = ", --proof full"


@dataclass
class Ours:
    """One way of learning with memtune."""

    method: str
    seconds: Spread
    """From opening the file to the durable commit, in a fresh folder, nothing prepared."""
    facts_per_second: float
    to_reading: Spread
    proof_seconds: float
    """Of these, what free decoding as proof took."""
    recall: Rate
    not_learned: list[str]
    bytes_per_fact: float
    peak_bytes: int | None
    above_start_bytes: int | None


@dataclass
class LearnResult:
    facts: int
    tokens: int
    reading_seconds: Spread
    blocks_only_seconds: Spread
    time_limit: float
    ours: list[Ours] = field(default_factory=list)
    peers: list[gradient.Peer] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """Ways that this model does not allow, with the reason."""

    def speed_up(self, peer: gradient.Peer) -> float | None:
        """How many times faster imprint learned; None unless both reached the recall that is asked for."""
        best = self.ours[0]
        if peer.best.reached_seconds is None or (best.recall.value or 0.0) < gradient.RECALL:
            return None
        return peer.best.reached_seconds / best.seconds.median

    def sheets(self) -> list[Sheet]:
        least = self.blocks_only_seconds
        columns = [
            "method",
            "s",
            "facts/s",
            "× reading",
            "recall (free decoding)",
            "bytes/fact",
            "peak (added)",
        ]
        rows = [
            ["reading", str(self.reading_seconds), self._rate(self.reading_seconds.median), "1", "", "", ""],
            ["  without unembedding", str(least), self._rate(least.median),
             figure(least.median / self.reading_seconds.median), "", "", ""],
        ]  # fmt: skip
        rows += [self._row(o) for o in self.ours] + [self._peer_row(p) for p in self.peers]
        title = f"Learning {self.facts:,} facts, {self.tokens:,} tokens"
        return [Sheet(title, columns, rows, self._note())]

    def _rate(self, seconds: float) -> str:
        return figure(self.facts / seconds)

    def _row(self, o: Ours) -> list[str]:
        peak = f"{megabytes(o.peak_bytes)} ({megabytes(o.above_start_bytes)})"
        rate, size = figure(o.facts_per_second), f"{o.bytes_per_fact:,.0f}"
        return [f"memtune {o.method}", str(o.seconds), rate, str(o.to_reading), str(o.recall), size, peak]

    def _peer_row(self, peer: gradient.Peer) -> list[str]:
        run, best = f"{peer.method}, rate {peer.best.rate:g}", peer.best
        peak = f"{megabytes(best.peak_bytes)} ({megabytes(best.above_start_bytes)})"
        if best.reached_seconds is None:
            told = f"not reached in {self.time_limit:g} s"
            return [run, told, "", "", str(best.recall), f"{peer.bytes_per_fact:,.0f}", peak]
        seconds = best.reached_seconds
        to_reading = figure(seconds / self.reading_seconds.median)
        return [run, figure(seconds), self._rate(seconds), to_reading, str(best.recall),
                f"{peer.bytes_per_fact:,.0f}", peak]  # fmt: skip

    def _note(self) -> str:
        told = list(self.skipped)
        for peer in self.peers:
            times = self.speed_up(peer)
            if times is not None:
                told.append(f"memtune {self.ours[0].method} learned {figure(times)} times as fast as {peer.method}.")
        return " ".join(told)


def measure(
    backbone: Backbone,
    facts: Sequence[Fact],
    config: Config,
    *,
    repeats: int = 3,
    kinds: Sequence[str] = KINDS,
    with_peers: bool = True,
    grid: gradient.Grid | None = None,
    time_limit: float = 300.0,
    seed: int = 0,
    say: Say = silent,
) -> LearnResult:
    """Every method on the same facts; memtune and reading take turns, so that a busy moment hits both."""
    batches = reading.batches_as_learned(backbone, facts, config.learn)
    reading.whole_pass(backbone, batches[:2])  # the first pass of a process is slower
    able, skipped = _able(backbone, kinds)
    once = [f"{able[0]}{_FULL}"]  # decoding everything takes long and varies little: the last round will do
    rounds = [
        _round(backbone, facts, config, able if n + 1 < repeats else able + once, batches, n, say)
        for n in range(repeats)
    ]
    result = LearnResult(
        facts=len(facts),
        tokens=sum(len(row) for rows in batches for row in rows),
        reading_seconds=Spread.of(r.reading for r in rounds),
        blocks_only_seconds=Spread.of(r.blocks_only for r in rounds),
        time_limit=time_limit,
        ours=[_summary(m, [r for r in rounds if m in r.runs], len(facts)) for m in able + once],
        skipped=skipped,
    )
    if with_peers:
        result.peers = gradient.measure(backbone, facts, grid or gradient.Grid(), time_limit, seed, say)
    return result


@dataclass
class _Run:
    seconds: float
    proof_seconds: float
    recall: Rate
    not_learned: list[str]
    bytes_per_fact: float
    peak: int | None
    above: int | None


@dataclass
class _Round:
    reading: float
    blocks_only: float
    runs: dict[str, _Run]


def _able(backbone: Backbone, kinds: Sequence[str]) -> tuple[list[str], list[str]]:
    """The kinds that this model allows, and why the others are left out."""
    if backbone.attention.missing is None:
        return list(kinds), []
    able = [kind for kind in kinds if "kv" not in kind] or ["imprint"]
    return able, [f"kv is left out: {backbone.attention.missing}."]


def _round(
    backbone: Backbone, facts: Sequence[Fact], config: Config, methods: Sequence[str],
    batches: list[reading.Rows], number: int, say: Say,
) -> _Round:  # fmt: skip
    say(f"round {number + 1}: reading")
    found = _Round(reading.whole_pass(backbone, batches), reading.blocks_only(backbone, batches), {})
    for method in methods:
        found.runs[method] = run = _learn(backbone, facts, config, method)
        ratio = run.seconds / found.reading
        say(f"round {number + 1}: {method}: {run.seconds:.2f} s, {ratio:.2f} times reading")
    again = reading.whole_pass(backbone, batches)
    found.reading = (found.reading + again) / 2  # before and after what it is the measure of
    return found


def _learn(backbone: Backbone, facts: Sequence[Fact], config: Config, method: str) -> _Run:
    kind, full, _ = method.partition(_FULL)
    config = change(config, learn=replace(config.learn, kind=kind, proof="full" if full else config.learn.proof))
    with tempfile.TemporaryDirectory(prefix="memtune-bench-") as name:
        source = write(facts, Path(name) / "facts.jsonl")
        fresh, peak = engine.cold(backbone), Peak()
        with MemoryModel(fresh, Path(name) / "memory", config=config) as model:
            start = time.perf_counter()
            report = model.learn(source)
            seconds = time.perf_counter() - start
            high, above = peak.bytes, peak.above
            recall = _recall(model, facts)
    return _Run(
        seconds,
        report.proof_seconds,
        recall,
        [f.id for f in report.failed],
        report.bytes_per_fact,
        high,
        above,
    )


def _recall(model: MemoryModel, facts: Sequence[Fact]) -> Rate:
    """Of all facts, those also that were not learned."""
    answers = engine.ask_for(model, facts)
    return Rate.of(a.text == f.answer for f, a in zip(facts, answers, strict=True))


def _summary(method: str, rounds: Sequence[_Round], n: int) -> Ours:
    runs = [r.runs[method] for r in rounds]
    seconds = Spread.of(run.seconds for run in runs)
    return Ours(
        method=method,
        seconds=seconds,
        facts_per_second=n / seconds.median,
        to_reading=Spread.of(r.runs[method].seconds / r.reading for r in rounds),
        proof_seconds=Spread.of(run.proof_seconds for run in runs).median,
        recall=runs[-1].recall,
        not_learned=runs[-1].not_learned,
        bytes_per_fact=runs[-1].bytes_per_fact,
        peak_bytes=max((run.peak for run in runs if run.peak), default=None),
        above_start_bytes=max((run.above for run in runs if run.above is not None), default=None),
    )
