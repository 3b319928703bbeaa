"""The queue of jobs, kept in SQLite."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memtune.config import Config
from memtune.errors import NotFound, UsageError
from memtune.serve.database import Database
from memtune.serve.engine import Busy
from memtune.serve.jobs.job import RESUMABLE, RUNNING, WAITING, Job, Plan, Step
from memtune.serve.jobs.records import STUCK_AT_MOST, Records
from memtune.serve.jobs.scheduler import Scheduler, slots_of
from memtune.serve.keys import Forbidden, Key

_MOST_WAITING = 1000
_RETRY_SECONDS = 60.0

__all__ = ["Job", "Jobs", "Plan", "Step", "UnknownJob"]


class UnknownJob(NotFound):
    """A job that is not there, or not the key's."""


class Jobs:
    """Jobs of a server. They are kept from `add` on, and worked off between `start` and `stop`."""

    RESUME_LIMIT = STUCK_AT_MOST
    """How often a job is taken up again that does not get any further."""

    def __init__(self, database: Database, data: Path | None = None, config: Config | None = None) -> None:
        """`data`: the folder of the server, without which jobs are kept but not worked off."""
        self.database, self.config = database, config or Config()
        self._records = Records(database)
        self._scheduler = None if data is None else Scheduler(self._records, data, self.config)

    def start(self) -> None:
        """Work jobs off; those that were broken off go on."""
        if self._scheduler is not None:
            self._scheduler.start()

    def stop(self) -> None:
        """Stop after the lots at hand; jobs that are not done go on with the next `start`."""
        if self._scheduler is not None:
            self._scheduler.stop()

    def require_allowed(self, memory: str, key: Key) -> None:
        """Raise where a key may not run a job on this memory.

        A job looks at all of it: it may replace what contradicts its input, names that, and asks for it at its end.
        """
        if not key.may_use(memory):
            raise NotFound(f"there is no model '{memory}' here", hint="GET /v1/models lists them")
        if key.hidden:
            raise Forbidden(
                "this key may not see every group of facts, so it may not run jobs",
                hint="teach by POST /v1/memories/NAME/facts, or use a key that may",
            )
        if sum(self.counts().get(status, 0) for status in WAITING) >= _MOST_WAITING:
            raise Busy(_RETRY_SECONDS)

    def add(self, plan: Plan, key: Key) -> Job:
        self.require_allowed(plan.memory, key)
        if not plan.files:
            raise UsageError("a job needs a file to learn from")
        self.config.with_settings(plan.settings)  # what cannot be set is said now
        there, warnings = slots_of(self.config), list[str]()
        if plan.slots > there:
            warnings.append(f"{plan.slots} slots were asked for (gpus x nodes); this server has {there}, and uses that")
        job = self._records.add(plan, key.id, warnings)
        self._wake()
        return job

    def find(self, id: int, key: Key) -> Job:  # noqa: A002
        job = self._records.job(id)
        if job is None or (job.key != key.id and not key.sees_all):
            raise UnknownJob(f"there is no job {id} here")
        return job

    def of(self, key: Key) -> list[Job]:
        """The key's own jobs, newest first; an admin sees all."""
        return self._records.all(None if key.sees_all else key.id)

    def history(self, id: int) -> list[Step]:  # noqa: A002
        return self._records.steps(id)

    def events(self, id: int) -> list[Mapping[str, Any]]:  # noqa: A002
        """{id, created, level, message, data}, oldest first."""
        return list(self._records.events(id))

    def evaluation(self, id: int) -> list[Mapping[str, Any]]:  # noqa: A002
        """Some rows of the job's data, answered by the model alone and with what was learned:
        {input, outputs: [{model_name, output}, {model_name, output}]}. How many were recalled stands in the report."""
        return list(self._records.evaluation(id))

    def cancel(self, id: int, key: Key) -> Job:  # noqa: A002
        """What was committed stays. A job that runs stops after its lot; until then it shows what it is doing."""
        return self._ask_for(id, key, "cancel", "CANCELLED", (*WAITING, *RUNNING, "PAUSED", "CANCELLED"))

    def pause(self, id: int, key: Key) -> Job:  # noqa: A002
        return self._ask_for(id, key, "pause", "PAUSED", (*WAITING, *RUNNING, "PAUSED"))

    def resume(self, id: int, key: Key) -> Job:  # noqa: A002
        """Go on with a job that was paused, cancelled or has failed. What it has learned is not learned again."""
        job = self.find(id, key)
        if job.status not in (*RESUMABLE, *WAITING, *RUNNING):
            raise UsageError(f"job {id} is {job.status}: there is nothing to resume")
        job = self._records.resume(id)
        self._wake()
        return job

    def counts(self) -> dict[str, int]:
        """How many jobs there are in each state."""
        rows = self.database.rows("select status, count(*) from jobs group by status")
        return {row[0]: row[1] for row in rows}

    def _ask_for(self, number: int, key: Key, wish: str, status: str, fitting: tuple[str, ...]) -> Job:
        job = self.find(number, key)
        if job.status not in fitting:
            raise UsageError(f"job {number} is {job.status}: there is nothing to {wish}")
        job = self._records.ask_for(number, wish, status)
        self._wake()
        return job

    def _wake(self) -> None:
        if self._scheduler is not None:
            self._scheduler.wake()
