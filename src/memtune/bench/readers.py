"""Readers that ask while a writer commits: does each answer belong to one version, and how long does anybody wait?

Every commit changes two facts to the same new answer. A reader follows the memory, asks for both in one batch, and
both must name the version that the answers say they come from.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

from memtune.checked import replace
from memtune.config import Config, DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.core.kinds import make_kinds
from memtune.core.learn import Learner, Lot
from memtune.errors import UsageError
from memtune.memory import Memory

_OTHERS = 2000
_PAIR = [f"What does lamp {name} cost?" for name in "AB"]


@dataclass
class Found:
    answers: int
    mixed: int
    versions: int
    longest_wait: float
    longest_work: float
    """Of the processor, for moving to a version: what is left of a wait where the processor is free."""
    longest_wait_alone: float
    longest_delay: float


def measure(
    backbone: Backbone, path: Path, *, commits: int, count: int, build: Callable[[Backbone, Path, str, int], Path]
) -> Found:
    """`count` forked readers and this process as the writer."""
    if "fork" not in multiprocessing.get_all_start_methods():
        raise UsageError("readers are forked from a process with a loaded model, which this system cannot do")
    build(backbone, path, "o", _OTHERS)
    with closing(Memory.open(backbone, path, Config())) as memory:
        lots = [_lot(memory, number) for number in range(commits + 1)]
        first = _commit(memory, lots[0], drop=False)
        alone = _together(backbone, path, count, lambda: time.sleep(5))
        times: dict[int, float] = {}

        def write() -> None:
            for lot in lots[1:]:
                version = _commit(memory, lot, drop=True)
                times[version] = time.time()
                time.sleep(0.02)

        beside = _together(backbone, path, count, write)
    *asking, watching = beside
    seen = [row for rows in asking for row in rows]
    return Found(
        answers=2 * len(seen),
        mixed=sum(_is_mixed(row, first) for row in seen),
        versions=len({row["version"] for row in seen}),
        longest_wait=max(row["waited"] for row in seen),
        longest_work=max(row["worked"] for row in seen),
        longest_wait_alone=max(row["waited"] for rows in alone for row in rows),
        longest_delay=_longest_delay(watching, times),
    )


def _lot(memory: Memory, number: int) -> Lot:
    facts = [Fact(f"lamp-{i}", question, f"{1000 + number} crowns") for i, question in enumerate(_PAIR)]
    return Learner(memory.backbone, make_kinds("imprint", memory.config), memory.config.learn).learn(facts)


def _commit(memory: Memory, lot: Lot, *, drop: bool) -> int:
    with memory.writing() as writer:
        gone = [fact.id for fact in lot.facts] if drop else []
        memory.commit(writer, lot, drop=gone, message="a price list", act="update")
    return memory.version


def _together(backbone: Backbone, path: Path, count: int, work: Callable[[], object]) -> list[list[dict[str, Any]]]:
    """What the readers saw while this process worked; the last of them asks nothing and only looks for versions."""
    context = multiprocessing.get_context("fork")
    stop, ready, seen = context.Event(), context.Semaphore(0), [context.SimpleQueue() for _ in range(count + 1)]
    ask = [
        context.Process(target=_read, args=(backbone, path, stop, ready, queue, number < count))
        for number, queue in enumerate(seen)
    ]
    for process in ask:
        process.start()
    for _ in ask:
        ready.acquire()
    work()
    time.sleep(1)
    stop.set()
    rows = [queue.get() for queue in seen]
    for process in ask:
        process.join()
    return rows


def _read(backbone: Backbone, path: Path, stop: Any, ready: Any, seen: SimpleQueue[Any], asking: bool) -> None:
    rows: list[dict[str, Any]] = []
    decode = replace(DecodeConfig(), max_new_tokens=12, reroute=False)
    with closing(Memory.open(backbone, path, Config())) as memory:
        memory.ask(_PAIR, decode)
        ready.release()
        while not stop.is_set():
            start, worked = time.perf_counter(), time.thread_time()
            memory.refresh()
            row: dict[str, Any] = {
                "waited": time.perf_counter() - start,
                "worked": time.thread_time() - worked,
                "when": time.time(),
            }
            if asking:
                row["said"] = [(answer.text, answer.version) for answer in memory.ask(_PAIR, decode)]
            else:
                time.sleep(0.02)
            rows.append({**row, "version": memory.version})
    seen.put(rows)


def _is_mixed(row: dict[str, Any], first: int) -> bool:
    """Each version has one price list: 1,000 crowns at first, and one more with every version."""
    return any(text != f"{1000 + version - first} crowns" for text, version in row["said"]) or len(set(row["said"])) > 1


def _longest_delay(rows: Sequence[dict[str, Any]], times: dict[int, float]) -> float:
    """From a commit to the moment at which a reader that is not busy asking stands at it, or at a later one."""
    delays = [0.0]
    for version, made in times.items():
        reached = [row["when"] for row in rows if row["version"] >= version]
        delays += [max(0.0, min(reached) - made)] if reached else [float("inf")]
    return max(delays)
