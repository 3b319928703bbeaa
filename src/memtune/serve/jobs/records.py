"""Jobs as rows in SQLite. Each change is one transaction; the server and its workers write side by side."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from memtune.serve.database import Database
from memtune.serve.jobs.job import (
    ENDED_BADLY,
    ENDED_WELL,
    LOADING,
    RESUMABLE,
    RUNNING,
    WAITING,
    Job,
    NameTaken,
    Plan,
    Step,
)

_TABLES = (
    """create table if not exists jobs (
        id integer primary key autoincrement, status text not null, plan text not null, key text not null,
        memory text not null, created real not null, started real, ended real, version integer, error text,
        warnings text not null default '[]', resumed integer not null default 0, report text not null default '{}',
        wish text, wished real, attempt integer not null default 0, stuck real not null default 0,
        launched real not null default 0, found text, evaluation text not null default '[]')""",
    """create table if not exists job_steps (
        job integer not null, step integer not null, facts integer not null, total integer not null,
        loss real not null, margin real, seconds real not null, left_seconds real not null, primary key (job, step))""",
    """create table if not exists job_events (
        id integer primary key autoincrement, job integer not null, created real not null, level text not null,
        message text not null, data text not null)""",
    "create index if not exists events_of_job on job_events (job)",
)
STUCK_AT_MOST = 10
"""How often a job's worker may die without having finished a lot in between."""
_OF_A_SERVER = 0.1
"""How much it counts when it is the server that dies: that is seldom the job's fault, but may be."""
_MOST = 1 << 63
"""SQLite knows no larger numbers."""
_MARKS = ", ".join("?" * len(RUNNING))


class Superseded(Exception):
    """Another worker has taken the job over, or it was ended: whoever sees this has nothing more to say."""


class Records:
    """The rows of all jobs. `attempt` numbers the workers of a job: only the last one's word counts."""

    def __init__(self, database: Database) -> None:
        self.database = database
        database.require(*_TABLES)

    # ---- reading ------------------------------------------------------------------------------------------------

    def job(self, number: int) -> Job | None:
        row = self.database.row("select * from jobs where id = ?", (number,)) if 0 < number < _MOST else None
        return None if row is None else _job(row)

    def all(self, key: str | None = None) -> list[Job]:
        where, values = ("", ()) if key is None else ("where key = ?", (key,))
        return [_job(row) for row in self.database.rows(f"select * from jobs {where} order by id desc", values)]

    def waiting(self) -> list[Job]:
        """Oldest first."""
        marks = ", ".join("?" * len(WAITING))
        return [
            _job(r) for r in self.database.rows(f"select * from jobs where status in ({marks}) order by id", WAITING)
        ]

    def running(self) -> list[Job]:
        return [_job(r) for r in self.database.rows(f"select * from jobs where status in ({_MARKS})", RUNNING)]

    def last_launch(self) -> dict[str, float]:
        """When a job of each key was started last."""
        return dict(map(tuple, self.database.rows("select key, max(launched) from jobs group by key")))

    def steps(self, number: int) -> list[Step]:
        names = "step, facts, total, loss, margin, seconds, left_seconds"
        rows = self.database.rows(f"select {names} from job_steps where job = ? order by step", (number,))
        return [Step(**dict(row)) for row in rows]

    def events(self, number: int) -> list[dict[str, Any]]:
        names = "id, created, level, message, data"
        rows = self.database.rows(f"select {names} from job_events where job = ? order by id", (number,))
        return [{**dict(row), "data": json.loads(row["data"])} for row in rows]

    def evaluation(self, number: int) -> list[dict[str, Any]]:
        row = self.database.row("select evaluation from jobs where id = ?", (number,))
        found: list[dict[str, Any]] = json.loads(row["evaluation"]) if row else []
        return found

    def found(self, number: int) -> dict[str, int] | None:
        """What the first attempt found before anything was learned: facts, and duplicates among them."""
        row = self.database.row("select found from jobs where id = ?", (number,))
        return json.loads(row["found"]) if row and row["found"] else None

    def wish(self, number: int, attempt: int) -> str | None:
        """What somebody wants of a running job: `cancel` or `pause`."""
        row = self.database.row("select wish, attempt, status from jobs where id = ?", (number,))
        if row is None or row["attempt"] != attempt or row["status"] not in RUNNING:
            raise Superseded
        wish: str | None = row["wish"]
        return wish

    # ---- what clients do ----------------------------------------------------------------------------------------

    def add(self, plan: Plan, key: str, warnings: Sequence[str]) -> Job:
        now = time.time()
        kept = json.dumps({**vars(plan), "path": str(plan.path.absolute())})
        with self.database.changing() as connection:
            if plan.new and _is_wanted(connection, str(plan.path.resolve())):
                raise NameTaken(f"a job is about to make a memory '{plan.memory}'", hint="choose another name")
            cursor = connection.execute(
                "insert into jobs (status, plan, key, memory, created, warnings) values ('CREATED', ?, ?, ?, ?, ?)",
                (kept, key, str(plan.path.resolve()), now, json.dumps(list(warnings))),
            )
            number = int(cursor.lastrowid or 0)
            _say(connection, number, "the job was created", {"files": list(plan.files), "memory": plan.memory})
            for warning in warnings:
                _say(connection, number, warning, level="warn")
        return self._there(number)

    def ask_for(self, number: int, wish: str, status: str) -> Job:
        """`cancel` or `pause`: what waits is so at once, what runs is asked to stop after its lot."""
        with self.database.changing() as connection:
            now = _status(connection, number)
            if now in RUNNING:
                values = (wish, time.time(), number)
                connection.execute("update jobs set wish = ?, wished = coalesce(wished, ?) where id = ?", values)
                _say(connection, number, f"asked to {wish}: what was learned so far stays")
            elif now in WAITING or (now == "PAUSED" and wish == "cancel"):
                _end(connection, number, status)
                _say(connection, number, f"{status.lower()} before it went on")
        return self._there(number)

    def resume(self, number: int) -> Job:
        """What waits or runs goes on, and is no longer asked to stop."""
        with self.database.changing() as connection:
            now = _status(connection, number)
            if now in RUNNING:
                connection.execute("update jobs set wish = null, wished = null where id = ?", (number,))
            elif now in RESUMABLE:
                connection.execute(
                    "update jobs set status = 'QUEUED', resumed = resumed + 1, stuck = 0, error = null, ended = null,"
                    " wish = null, wished = null where id = ?",
                    (number,),
                )
                _say(connection, number, "queued again: what was learned is not learned again")
        return self._there(number)

    def _there(self, number: int) -> Job:
        job = self.job(number)
        if job is None:
            raise Superseded
        return job

    # ---- what the scheduler does --------------------------------------------------------------------------------

    def queue(self, number: int, why: str) -> None:
        with self.database.changing() as connection:
            if _status(connection, number) == "CREATED":
                connection.execute("update jobs set status = 'QUEUED' where id = ?", (number,))
                _say(connection, number, why)

    def launch(self, number: int) -> int | None:
        """A worker is about to take the job; its number, or None if the job does not wait any more."""
        now = time.time()
        with self.database.changing() as connection:
            if _status(connection, number) not in WAITING:
                return None
            connection.execute(
                "update jobs set status = ?, attempt = attempt + 1, started = coalesce(started, ?), launched = ?,"
                " wish = null, wished = null where id = ?",
                (LOADING, now, now, number),
            )
            _say(connection, number, "a worker has taken the job")
            return int(connection.execute("select attempt from jobs where id = ?", (number,)).fetchone()[0])

    def broken_off(self, number: int, why: str, *, with_server: bool = False) -> None:
        """The worker is gone and the job is not done: it goes on from where it is, unless it does not get anywhere."""
        with self.database.changing() as connection:
            row = connection.execute("select status, wish, stuck from jobs where id = ?", (number,)).fetchone()
            if row is None or row["status"] not in RUNNING:
                return
            connection.execute("update jobs set attempt = attempt + 1 where id = ?", (number,))
            if row["wish"]:
                _end(connection, number, "CANCELLED" if row["wish"] == "cancel" else "PAUSED")
                _say(connection, number, f"{why}; what was learned stays", level="warn")
            elif (stuck := row["stuck"] + (_OF_A_SERVER if with_server else 1)) > STUCK_AT_MOST:
                error = f"it is broken off again and again without getting any further; the last time {why}"
                _end(connection, number, "FAILED", error)
                _say(connection, number, error, level="error")
            else:
                connection.execute(
                    "update jobs set status = 'QUEUED', resumed = resumed + 1, stuck = ? where id = ?",
                    (stuck, number),
                )
                _say(connection, number, f"{why}; it is queued again, and goes on where it was", level="warn")

    def put_back(self, number: int, attempt: int) -> None:
        """The server ends in order, and the job goes on with the next one."""
        with self.database.changing() as connection:
            if self._is(connection, number, attempt):
                connection.execute(
                    "update jobs set status = 'QUEUED', attempt = attempt + 1, wish = null, wished = null where id = ?",
                    (number,),
                )
                _say(connection, number, "the server ends; the job goes on with the next one")

    def forget_before(self, moment: float) -> None:
        """Forget jobs that were over by then."""
        with self.database.changing() as connection:
            old = [
                r[0]
                for r in connection.execute("select id from jobs where ended < ? and status <> 'PAUSED'", (moment,))
            ]
            for number in old:
                for table, column in (("job_steps", "job"), ("job_events", "job"), ("jobs", "id")):
                    connection.execute(f"delete from {table} where {column} = ?", (number,))

    # ---- what a worker does -------------------------------------------------------------------------------------

    def move(self, number: int, attempt: int, status: str, message: str, **data: Any) -> None:
        with self.database.changing() as connection:
            self._require(connection, number, attempt)
            connection.execute("update jobs set status = ? where id = ?", (status, number))
            _say(connection, number, message, data)

    def note_found(self, number: int, attempt: int, found: Mapping[str, int]) -> None:
        with self.database.changing() as connection:
            self._require(connection, number, attempt)
            connection.execute("update jobs set found = ? where id = ?", (json.dumps(dict(found)), number))

    def put_step(self, number: int, attempt: int, step: Step) -> None:
        """A lot is committed, and shown as such."""
        with self.database.changing() as connection:
            self._require(connection, number, attempt)
            values = {"job": number, **asdict(step)}
            connection.execute(
                f"insert into job_steps ({', '.join(values)}) values ({', '.join('?' * len(values))})",
                tuple(values.values()),
            )
            connection.execute("update jobs set stuck = 0 where id = ?", (number,))
            said = f"{step.facts:,} of {step.total:,} facts are done, loss {step.loss:.4f}"
            _say(connection, number, said, asdict(step))

    def warn(self, number: int, attempt: int, warning: str) -> None:
        with self.database.changing() as connection:
            self._require(connection, number, attempt)
            job = _job(connection.execute("select * from jobs where id = ?", (number,)).fetchone())
            told = list(dict.fromkeys([*job.warnings, warning]))
            connection.execute("update jobs set warnings = ? where id = ?", (json.dumps(told), number))
            _say(connection, number, warning, level="warn")

    def keep_evaluation(self, number: int, attempt: int, rows: Sequence[Mapping[str, Any]]) -> None:
        with self.database.changing() as connection:
            self._require(connection, number, attempt)
            connection.execute("update jobs set evaluation = ? where id = ?", (json.dumps(list(rows)), number))

    def finish(
        self,
        number: int,
        attempt: int,
        status: str,
        message: str,
        *,
        error: str | None = None,
        version: int | None = None,
        report: Mapping[str, Any] | None = None,
    ) -> None:
        with self.database.changing() as connection:
            self._require(connection, number, attempt)
            _end(connection, number, status, error)
            connection.execute("update jobs set version = coalesce(?, version) where id = ?", (version, number))
            if report is not None:
                connection.execute("update jobs set report = ? where id = ?", (json.dumps(dict(report)), number))
            _say(connection, number, message, level="error" if status == "FAILED" else "info")

    def _require(self, connection: sqlite3.Connection, number: int, attempt: int) -> None:
        if not self._is(connection, number, attempt):
            raise Superseded

    @staticmethod
    def _is(connection: sqlite3.Connection, number: int, attempt: int) -> bool:
        row = connection.execute("select attempt, status from jobs where id = ?", (number,)).fetchone()
        return row is not None and row["attempt"] == attempt and row["status"] in RUNNING


def _is_wanted(connection: sqlite3.Connection, memory: str) -> bool:
    """Whether a job that is not over learns into this memory."""
    over = (*ENDED_WELL, *ENDED_BADLY)
    marks = ", ".join("?" * len(over))
    query = f"select 1 from jobs where memory = ? and status not in ({marks})"
    return connection.execute(query, (memory, *over)).fetchone() is not None


def _status(connection: sqlite3.Connection, number: int) -> str | None:
    row = connection.execute("select status from jobs where id = ?", (number,)).fetchone()
    return None if row is None else row["status"]


def _end(connection: sqlite3.Connection, number: int, status: str, error: str | None = None) -> None:
    connection.execute(
        "update jobs set status = ?, ended = ?, error = ?, wish = null, wished = null where id = ?",
        (status, time.time(), error and _sound(error), number),
    )


def _say(
    connection: sqlite3.Connection,
    number: int,
    message: str,
    data: Mapping[str, Any] | None = None,
    *,
    level: str = "info",
) -> None:
    connection.execute(
        "insert into job_events (job, created, level, message, data) values (?, ?, ?, ?, ?)",
        (number, time.time(), level, _sound(message), json.dumps(dict(data or {}))),
    )


def _sound(text: str) -> str:
    """Text that SQLite can keep: what is wrong with a file may be half of a letter."""
    return text.encode("utf-8", "replace").decode()


def _job(row: sqlite3.Row) -> Job:
    plan = json.loads(row["plan"])
    job = Job(
        row["id"], row["status"], Plan(**{**plan, "path": Path(plan["path"])}), row["key"], row["created"],
        row["started"], row["ended"], row["version"], row["error"],
    )  # fmt: skip
    return replace(
        job, warnings=tuple(json.loads(row["warnings"])), resumed=row["resumed"], report=json.loads(row["report"])
    )
