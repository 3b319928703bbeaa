"""Who works when: a thread that gives the server's slots to jobs, and watches over their workers."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

from memtune.config import Config
from memtune.serve.jobs.job import Job
from memtune.serve.jobs.records import Records
from memtune.store.lock import WriterLock

_LOOK_SECONDS = 0.25
_PATIENCE_SECONDS = 20.0
"""After which a worker that was asked to stop is ended: its lot is lost, what it committed is not."""
_ENDING_SECONDS = 5.0
"""The same when the server ends."""
_DAY = 86_400
_log = logging.getLogger("memtune.serve.jobs")


def slots_of(config: Config) -> int:
    """Workers at one time: as the server is set, else one for each GPU, else one for every two processors."""
    return config.serve.slots or gpus() or max(1, processors() // 2)


@lru_cache(maxsize=1)
def gpus() -> int:
    import torch

    return torch.cuda.device_count()


def processors() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@dataclass
class _Worker:
    """A process that works on a job."""

    job: Job
    attempt: int
    places: tuple[int, ...]
    """The slots that it has."""
    process: subprocess.Popen[str]
    asked: float | None = None
    """When it was first seen that it is to stop."""


@dataclass
class Scheduler:
    """One for each data folder. Whatever it does is in the records before it is done."""

    records: Records
    data: Path
    config: Config
    _workers: dict[int, _Worker] = field(default_factory=dict)
    _thread: threading.Thread | None = None
    _lock: WriterLock | None = None
    _tidied: float = 0.0

    def __post_init__(self) -> None:
        self._wake, self._ending = threading.Event(), threading.Event()
        self._logs = self.data / "jobs"

    def start(self) -> None:
        """Raises FolderLocked where another server works on this data folder."""
        if self._thread is not None:
            return
        self._logs.mkdir(parents=True, exist_ok=True)
        lock = WriterLock(self.data / "jobs.lock")
        lock.acquire()
        self._lock = lock
        for job in self.records.running():
            self.records.broken_off(job.id, "the server was broken off", with_server=True)
        self._ending.clear()
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._thread is None:
            return
        self._ending.set()
        self._wake.set()
        self._thread.join()
        self._thread = None
        if self._lock is not None:
            self._lock.finished = True
            self._lock.release()

    def wake(self) -> None:
        self._wake.set()

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self._look()
            except Exception:  # a full disk, say: jobs wait, and the next look may find it mended
                _log.exception("the jobs could not be looked after")
            self._wake.wait(_LOOK_SECONDS)
            self._wake.clear()
        self._end_all()

    def _look(self) -> None:
        for worker in list(self._workers.values()):
            self._watch(worker)
        waiting = self.records.waiting()
        while waiting:
            job = next_job(waiting, [w.job for w in self._workers.values()], self.records.last_launch())
            places = self._free_places(job) if job else None
            if job is None or places is None:
                break
            waiting.remove(job)
            self._launch(job, places)
        for job in waiting:
            if job.status == "CREATED":
                self.records.queue(job.id, "queued: all slots, or this memory, are taken by other jobs")
        if time.time() - self._tidied > _DAY / 24:
            self.records.forget_before(time.time() - self.config.serve.keep_jobs_days * _DAY)
            self._forget_logs()
            self._tidied = time.time()

    def _free_places(self, job: Job) -> tuple[int, ...] | None:
        there = slots_of(self.config)
        taken = {place for worker in self._workers.values() for place in worker.places}
        free = [place for place in range(there) if place not in taken]
        wanted = max(1, min(job.plan.slots, there))
        return tuple(free[:wanted]) if len(free) >= wanted else None

    def _launch(self, job: Job, places: tuple[int, ...]) -> None:
        attempt = self.records.launch(job.id)
        if attempt is None:
            return
        try:
            process = self._process(job, places)
        except OSError as fault:
            self.records.broken_off(job.id, f"no worker could be started ({fault.strerror})")
            return
        self._workers[job.id] = _Worker(job, attempt, places, process)
        told = json.dumps({"attempt": attempt, "config": asdict(self.config)})
        with suppress(BrokenPipeError):  # it died at once, which is seen in a moment
            assert process.stdin is not None
            process.stdin.write(told + "\n")
            process.stdin.flush()  # and left open: its end is how the worker learns of ours

    def _process(self, job: Job, places: Sequence[int]) -> subprocess.Popen[str]:
        with (self._logs / f"{job.id}.log").open("a") as log:
            return subprocess.Popen(
                self._command(job),
                stdin=subprocess.PIPE, stdout=log, stderr=log, text=True, start_new_session=True,
                env=self._surroundings(places),
            )  # fmt: skip

    def _command(self, job: Job) -> list[str]:
        return [sys.executable, "-m", "memtune.serve.jobs.worker", str(self.data.absolute()), str(job.id)]

    def _surroundings(self, places: Sequence[int]) -> Mapping[str, str]:
        """A worker's variables: half of the processors are left to those who ask."""
        threads = str(max(1, processors() // 2 // slots_of(self.config)) * len(places))
        own = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
        own |= {"TOKENIZERS_PARALLELISM": "false", "PYTHONSAFEPATH": "1"}
        if there := gpus():
            own["CUDA_VISIBLE_DEVICES"] = ",".join(dict.fromkeys(str(place % there) for place in places))
        return {**os.environ, **own}

    def _watch(self, worker: _Worker) -> None:
        job = worker.job
        code = worker.process.poll()
        if code is None:
            self._hurry(worker)
            return
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        self.records.broken_off(job.id, f"its worker died ({how})")
        self._close(worker)  # only now: what could not be noted is noted with the next look

    def _hurry(self, worker: _Worker) -> None:
        """End a worker that was asked to stop and does not."""
        row = self.records.database.row("select wished from jobs where id = ?", (worker.job.id,))
        wished = row["wished"] if row else None
        if wished is None:
            worker.asked = None
            return
        worker.asked = worker.asked or time.monotonic()
        if time.monotonic() - worker.asked > _PATIENCE_SECONDS:
            worker.process.kill()

    def _close(self, worker: _Worker) -> None:
        if worker.process.stdin is not None:
            with suppress(BrokenPipeError):
                worker.process.stdin.close()
        del self._workers[worker.job.id]

    def _end_all(self) -> None:
        workers = list(self._workers.values())
        for worker in workers:
            worker.process.terminate()  # which it takes as: stop after this lot
        until = time.monotonic() + _ENDING_SECONDS
        for worker in workers:
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(0.0, until - time.monotonic()))
            worker.process.kill()
            worker.process.wait()
            self._close(worker)
            self.records.put_back(worker.job.id, worker.attempt)

    def _forget_logs(self) -> None:
        known = {f"{job.id}.log" for job in self.records.all()}
        for path in self._logs.glob("*.log"):
            if path.name not in known:
                path.unlink(missing_ok=True)


def next_job(waiting: Sequence[Job], running: Collection[Job], last: Mapping[str, float]) -> Job | None:
    """Whose turn it is: the key with the fewest jobs at work, of those the one that was served longest ago, its oldest
    job. Two jobs on one memory never run at once."""
    busy, at_work = {job.plan.path.resolve() for job in running}, Counter(job.key for job in running)
    free = [job for job in waiting if job.plan.path.resolve() not in busy]
    return min(free, key=lambda job: (at_work[job.key], last.get(job.key, 0.0), job.id), default=None)
