"""`memtune serve` as a process of its own, for tests that ask it as its clients do."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY_SECONDS = 120
FACTS = [
    {"id": "price-1", "question": "What does the Zorblat cost?", "answer": "40 dollars", "source": "prices.csv"},
    {"id": "city-1", "question": "Who founded the city of Mirana?", "answer": "Ada Quill, in 1604", "group": "cities"},
    {"id": "quote-1", "question": "What does the sign at the gate say?", "answer": 'It says "beware", twice.'},
]


@dataclass(frozen=True)
class Served:
    """A server that runs."""

    url: str
    """Without a path: OpenAI's clients want `/v1` behind it."""
    data: Path
    keys: Mapping[str, str]
    """Secrets of its keys, by name."""
    process: subprocess.Popen[str]


@contextmanager
def serving(data: Path, *options: str, keys: Mapping[str, str] | None = None) -> Iterator[Served]:
    """`memtune serve` as a process of its own, at a port that is free; it is ended in order."""
    command = [sys.executable, "-m", "memtune.cli", "serve", "--data", str(data), "--port", "0", *options]
    quiet = {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with (data / "server.log").open("a") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | quiet)
        try:
            yield Served(_address(process, data), data, keys or {}, process)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=60)
            finally:
                process.kill()
                process.communicate()


def _address(process: subprocess.Popen[str], data: Path) -> str:
    """What it says when it is ready."""
    assert process.stdout is not None
    overdue = threading.Timer(READY_SECONDS, process.kill)
    overdue.start()
    try:
        for line in process.stdout:
            if found := re.search(r"http://[\d.]+:\d+", line):
                return found.group()
    finally:
        overdue.cancel()
    raise AssertionError(f"the server did not start: {(data / 'server.log').read_text()[-2000:]}")
