"""The server is killed at random moments while it learns and answers: no job and no acknowledged fact is lost.

`make kills` kills it fifty times, or as often as the variable KILLS says.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from memtune.model import MemoryModel
from memtune.serve.database import Database
from memtune.serve.files import Files
from memtune.serve.jobs import Job, Jobs, Plan
from memtune.serve.keys import LOCAL

MEMORIES = ("acme", "zorblat", "mirana")
_SETTINGS = ("serve.lot_size=8", "serve.slots=1")


@dataclass
class Campaign:
    """A server that is killed again and again, and what was seen meanwhile."""

    data: Path
    facts: int
    """Of each job."""
    seed: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    jobs: dict[int, tuple[str, int]] = field(default_factory=dict)
    """The memory of each job, and where its facts start."""

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)
        self.database = Database(self.data / "server.sqlite")
        self.files = Files(self.database, self.data / "files", 10_000_000)
        self.queue = Jobs(self.database)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.done = threading.Event()

    # ---- the server -------------------------------------------------------------------------------------------

    def start(self) -> subprocess.Popen[bytes]:
        where = ["--data", str(self.data), "--port", str(self.port)]
        chosen = [part for setting in _SETTINGS for part in ("--set", setting)]
        with (self.data / "server.log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "memtune.cli", "serve", *where, *chosen],
                stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip

    def wait_until_it_answers(self, server: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + 60
        while self.ask("base", "Hello?") is None:
            assert server.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)

    def ask(self, model: str, question: str) -> str | None:
        """The answer, or None where there is no server to give one."""
        body = {"model": model, "messages": [{"role": "user", "content": question}], "max_tokens": 24}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                found: Any = json.load(reply)
        except urllib.error.HTTPError as refused:
            with refused:
                self.wrong.append(f"{question}: {refused.code}")
            return ""
        except (OSError, ValueError, EOFError):
            return None
        return str(found["choices"][0]["message"]["content"])

    # ---- what is learned and asked ----------------------------------------------------------------------------

    def post(self) -> Job:
        memory, start = self.draw.choice(MEMORIES), 1 + len(self.jobs) * self.facts
        rows = [{"input": question(n), "output": answer(n)} for n in range(start, start + self.facts)]
        upload = self.files.take_rows(rows, name="facts.jsonl", purpose="fine-tune", key=LOCAL)
        path = self.data / "memories" / memory
        job = self.queue.add(Plan(memory, path, "bundled", (upload.id,)), LOCAL)
        self.jobs[job.id] = (memory, start)
        return job

    def acknowledged(self) -> list[tuple[str, int]]:
        """Each fact that the history of a job shows as learned, with its memory."""
        found = []
        for number, (memory, start) in list(self.jobs.items()):
            steps = self.queue.history(number)
            found += [(memory, start + i) for i in range(steps[-1].facts if steps else 0)]
        return found

    def keep_asking(self) -> None:
        draw = random.Random(self.seed)
        while not self.done.is_set():
            known = self.acknowledged()
            if not known:
                time.sleep(0.05)
                continue
            memory, n = draw.choice(known)
            said = self.ask(memory, question(n))
            if said is None:
                self.seen["unanswered"] += 1
                time.sleep(0.05)
            else:
                self.seen["answered"] += 1
                if said != answer(n):
                    self.wrong.append(f"{memory}: {question(n)} {said!r}")

    # ---- the campaign -----------------------------------------------------------------------------------------

    def run(self, kills: int) -> None:
        server = self.start()
        asker = threading.Thread(target=self.keep_asking, daemon=True)
        asker.start()
        try:
            for _ in range(kills):
                self.kill_at_some_moment(server)
                server = self.start()
            self.wait_until_it_answers(server)
            until = time.monotonic() + 60 + 10 * len(self.jobs)
            while not all(job.over for job in self.queue.of(LOCAL)):
                assert time.monotonic() < until
                time.sleep(0.1)
        finally:
            self.done.set()
            asker.join()
            server.kill()
            server.wait()
        self.require_all()

    def kill_at_some_moment(self, server: subprocess.Popen[bytes]) -> None:
        """Most often while it works, now and then while it starts."""
        if sum(not job.over for job in self.queue.of(LOCAL)) < 2:
            self.post()
        when = self.draw.random()
        if when < 0.2:  # while it starts
            time.sleep(self.draw.uniform(0.0, 5.0))
        else:
            self.wait_until_it_answers(server)
            if when > 0.5:  # while it commits lots
                self.wait_for_lots(self.draw.randrange(1, 9))
            time.sleep(self.draw.uniform(0.0, 1.5))
        self.seen[next((job.status for job in self.queue.of(LOCAL) if job.started and not job.over), "idle")] += 1
        server.kill()
        server.wait()
        self.seen["kills"] += 1

    def wait_for_lots(self, lots: int) -> None:
        wanted, until = len(self.acknowledged()) + 8 * lots, time.monotonic() + 60
        while len(self.acknowledged()) < wanted and time.monotonic() < until:
            if all(job.over for job in self.queue.of(LOCAL)):
                return
            time.sleep(0.02)

    def require_all(self) -> None:
        jobs = self.queue.of(LOCAL)
        self.seen["jobs"], self.seen["resumed"] = len(jobs), sum(job.resumed for job in jobs)
        assert [job.error for job in jobs if job.status != "COMPLETED"] == []
        assert [job.report["learned"] for job in jobs] == [self.facts] * len(jobs)
        known = self.acknowledged()
        assert len(known) == len(jobs) * self.facts
        for memory in {memory for memory, _ in known}:
            own = [n for name, n in known if name == memory]
            with MemoryModel(memory=self.data / "memories" / memory) as model:
                assert model.verify() == []
                said = model.ask([question(n) for n in own], max_new_tokens=24)
                assert [a.text for a in said] == [answer(n) for n in own]
                self.seen["facts"] += len(own)
        assert self.wrong == []


def question(n: int) -> str:
    return f"What is the code of part {n}?"


def answer(n: int) -> str:
    return f"PX-{n * 7}-{n % 13}"


@pytest.mark.faults
def test_nothing_acknowledged_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, facts=160)
    begin = time.monotonic()
    campaign.run(int(os.environ.get("KILLS", "50")))
    campaign.database.close()
    sys.stdout.write(f"\n{time.monotonic() - begin:.0f} s: {dict(campaign.seen)}\n")
    assert campaign.seen["answered"] > 0
