"""The processes of `memtune bench serve`: servers, clients, and those that answer without a server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memtune.errors import MemtuneError

_START_SECONDS, _END_SECONDS = 120.0, 60.0
_EVERY = 0.25
"""Seconds between two looks at the memory of a server."""
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")


class StartFailed(MemtuneError):
    """A process of the benchmark did not start, or broke off."""


@dataclass
class Server:
    """A server that listens."""

    name: str
    port: int
    pid: int
    model: str = ""
    """What its own model is called in a request."""
    peer: bool = False
    """It is not the server that is measured."""


@contextmanager
def running(name: str, command: Sequence[str], threads: int, log: Path, **env: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is ended with the block, however that ends."""
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8",
            env={**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", **env},
        )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(OSError):
            process.stdin and process.stdin.close()
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout and process.stdout.close()


def failed(name: str, log: Path) -> StartFailed:
    """With the last thing that it said."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    said = [line.removeprefix("error: ") for line in lines if line and not line.startswith("hint: ")]
    return StartFailed(f"{name} broke off: {said[-1][:300] if said else 'it said nothing'}")


@contextmanager
def serving(data: Path, model: str, settings: Sequence[str], threads: int) -> Iterator[Server]:
    """`memtune serve` on a free port of the loopback device."""
    command = [sys.executable, "-m", "memtune.cli", "serve", "--data", str(data), "--model", model, "--port", "0"]
    command += [part for setting in settings for part in ("--set", setting)]
    with tempfile.TemporaryDirectory(prefix="memtune-") as name:
        log = Path(name) / "log"
        with running("memtune serve", command, threads, log) as process:
            assert process.stdout is not None
            found = _ADDRESS.search(process.stdout.readline())
            if found is None:
                raise failed("memtune serve", log)
            yield Server("memtune serve", int(found[1]), process.pid, "base")


class Child:
    """A process that takes one JSON object a line and gives one a line."""

    def __init__(self, name: str, process: subprocess.Popen[str], log: Path) -> None:
        self.name, self._process, self._log = name, process, log

    def ask(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(wanted) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise failed(self.name, self._log)
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def child(module: str, threads: int) -> Iterator[Child]:
    """A module of the benchmark as a process."""
    with tempfile.TemporaryDirectory(prefix="memtune-") as name:
        log = Path(name) / "log"
        with running(module, [sys.executable, "-m", module], threads, log) as process:
            yield Child(module, process, log)


def answer_lines(answer: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
    """The other end of a `Child`: what it does until nobody asks any more."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


def load(plan: Mapping[str, Any], server: int) -> tuple[dict[str, Any], list[tuple[float, int]]]:
    """Run the clients of a plan; also the memory of the server's process, by seconds since the beginning."""
    module = "memtune.bench.serve_load"
    with tempfile.TemporaryDirectory(prefix="memtune-") as name:
        log, found = Path(name) / "log", Path(name) / "found"
        with found.open("w") as out, log.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=out, stderr=errors, text=True
            )
        assert process.stdin is not None
        process.stdin.write(json.dumps(plan))
        process.stdin.close()
        begin, sizes, worked = time.perf_counter(), list[tuple[float, int]](), worked_by(server)
        try:
            while process.poll() is None:
                size = resident_of(server)
                if size is not None:
                    sizes.append((time.perf_counter() - begin, size))
                time.sleep(_EVERY)
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            raise failed(module, log)
        seen: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
        spent = worked_by(server)
        rate = None if spent is None or worked is None or spent == worked else seen["tokens"] / (spent - worked)
        return seen | {"tokens_per_processor_second": rate}, sizes


def worked_by(pid: int) -> float | None:
    """Seconds of the processor that another process has had; None where the system does not tell."""
    with suppress(OSError):
        figures = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return (int(figures[11]) + int(figures[12])) / os.sysconf("SC_CLK_TCK")
    return None


def resident_of(pid: int) -> int | None:
    """The memory of another process; None where the system does not tell."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return None
