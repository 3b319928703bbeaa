"""Jobs: what a worker does with one, how they are queued, and what survives."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from memtune.backbones import loading
from memtune.backbones.loading import load_backbone
from memtune.config import Config, ServeConfig
from memtune.core.backbone import Backbone
from memtune.errors import FolderLocked, NotFound, UsageError
from memtune.model import MemoryModel
from memtune.serve.database import Database
from memtune.serve.engine import Busy
from memtune.serve.files import Files
from memtune.serve.jobs import Job, Jobs, Plan, UnknownJob
from memtune.serve.jobs import jobs as jobs_module
from memtune.serve.jobs import scheduler as scheduler_module
from memtune.serve.jobs import worker as worker_module
from memtune.serve.jobs.records import STUCK_AT_MOST, Records, Superseded
from memtune.serve.jobs.scheduler import Scheduler, next_job
from memtune.serve.jobs.worker import Work, config_from
from memtune.serve.keys import LOCAL, Forbidden, Key
from memtune.store import MemoryFolder

ANNA = Key("k1", "anna", frozenset({"teach"}), memories=frozenset({"acme", "other"}))
BERT = Key("k2", "bert", frozenset({"teach"}))
CONFIG = Config(serve=ServeConfig(slots=1, lot_size=4))


@lru_cache(maxsize=1)
def backbone() -> Backbone:
    return load_backbone("bundled")


def rows(n: int, start: int = 0) -> list[dict[str, str]]:
    return [{"input": f"What is the code of part {i}?", "output": f"PX-{i * 7}"} for i in range(start, start + n)]


class Office:
    """A data folder whose jobs are worked off here, in this process, when `work` is called."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.database = Database(data / "server.sqlite")
        self.files = Files(self.database, data / "files", 10_000_000)
        self.jobs = Jobs(self.database, config=CONFIG)
        self.records = Records(self.database)

    def upload(self, facts: list[dict[str, Any]], name: str = "facts.jsonl") -> str:
        return self.files.take_rows(facts, name=name, purpose="fine-tune", key=LOCAL).id

    def plan(self, *files: str, memory: str = "acme", **more: Any) -> Plan:
        return Plan(memory, self.data / memory, "bundled", files, **more)

    def add(self, facts: list[dict[str, Any]], key: Key = LOCAL, **more: Any) -> Job:
        return self.jobs.add(self.plan(self.upload(facts), **more), key)

    def work(self, number: int, config: Config = CONFIG, **how: Any) -> Job:
        attempt = self.records.launch(number)
        assert attempt is not None
        job = self.job(number)
        Work(self.records, job, attempt, config, self.data / "files", **how).run()
        return self.job(number)

    def job(self, number: int) -> Job:
        return self.jobs.find(number, LOCAL)

    def answer(self, question: str, memory: str = "acme") -> str:
        with MemoryModel(backbone(), self.data / memory) as model:
            return str(model.ask(question).text)

    def messages(self, number: int) -> list[str]:
        return [str(event["message"]) for event in self.jobs.events(number)]


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    monkeypatch.setattr(loading, "load_backbone", lambda model: backbone())
    made = Office(tmp_path)
    yield made
    made.database.close()


# ---- what a worker does ---------------------------------------------------------------------------------------------


def test_a_job_learns_its_file_lot_by_lot_and_shows_what_came_of_it(office: Office) -> None:
    job = office.add(rows(10))
    assert (job.status, job.id, job.key) == ("CREATED", 1, "local")
    done = office.work(job.id)
    assert (done.status, done.error, done.resumed) == ("COMPLETED", None, 0)
    assert done.ended_well
    assert done.over
    assert (done.report["learned"], done.report["duplicates"], done.version) == (10, 0, 3)
    assert done.report["sample"] == {"asked": 10, "recalled": 10}
    steps = office.jobs.history(1)
    assert [(s.step, s.facts, s.total, s.loss) for s in steps] == [(1, 4, 10, 0), (2, 8, 10, 0), (3, 10, 10, 0)]
    assert all(s.margin and s.margin > 1 and s.seconds > 0 for s in steps)
    assert steps[-1].left_seconds == 0 < steps[0].left_seconds
    asked = office.jobs.evaluation(1)
    assert len(asked) == 10
    for row in asked:
        base, tuned = row["outputs"]
        number = int(row["input"].split()[-1].rstrip("?"))
        assert (base["model_name"], tuned) == ("base", {"model_name": "acme", "output": f"PX-{number * 7}"})
        assert base["output"] != tuned["output"]
    with MemoryModel(backbone(), office.data / "acme") as model:
        assert {version.commit.author for version in model.log()} == {"job-1"}
    ids = [event["id"] for event in office.jobs.events(1)]
    assert ids == sorted(ids)
    assert office.messages(1)[0] == "the job was created"


def test_a_second_job_on_the_same_memory_counts_what_was_there(office: Office) -> None:
    office.work(office.add(rows(5)).id)
    done = office.work(office.add(rows(8)).id)
    assert (done.status, done.report["learned"], done.report["duplicates"]) == ("COMPLETED", 3, 5)


class _At:
    """Says no to everything until it was asked so often."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize(("verb", "status"), [("cancel", "CANCELLED"), ("pause", "PAUSED")])
def test_what_is_stopped_keeps_its_lots_and_goes_on_without_learning_them_again(
    office: Office, verb: str, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, put = office.add(rows(10)), Records.put_step

    def put_and_stop(self: Records, number: int, attempt: int, step: Any) -> None:
        put(self, number, attempt, step)
        if step.step == 2:
            assert getattr(office.jobs, verb)(number, LOCAL).status == "TRAINING MODEL"  # until its lot is done

    monkeypatch.setattr(Records, "put_step", put_and_stop)
    stopped = office.work(job.id)
    assert stopped.status == status
    assert "8 of 10 facts are done and stay" in office.messages(1)[-1]
    assert office.answer("What is the code of part 7?") == "PX-49"
    assert getattr(office.jobs, verb)(1, LOCAL).status == status  # once more changes nothing

    resumed = office.jobs.resume(1, LOCAL)
    assert (resumed.status, resumed.resumed) == ("QUEUED", 1)
    learned: list[int] = []
    commit = MemoryModel.learn

    def spy(self: MemoryModel, *given: Any, **how: Any) -> Any:
        report = commit(self, *given, **how)
        learned.append(report.learned)
        return report

    monkeypatch.setattr(MemoryModel, "learn", spy)
    done = office.work(1)
    assert learned == [2]
    assert (done.status, done.report["learned"], done.report["duplicates"]) == ("COMPLETED", 10, 0)
    assert [(s.step, s.facts) for s in office.jobs.history(1)] == [(1, 4), (2, 8), (3, 10)]
    with pytest.raises(UsageError, match="job 1 is COMPLETED: there is nothing to resume"):
        office.jobs.resume(1, LOCAL)


def test_a_job_goes_on_with_the_next_server_when_this_one_ends(office: Office) -> None:
    job = office.add(rows(10))
    back = office.work(job.id, stopping=_At(2))
    assert (back.status, back.resumed) == ("QUEUED", 0)
    assert 0 < office.jobs.history(1)[-1].facts < 10
    assert office.work(job.id).report["learned"] == 10


@pytest.mark.parametrize(
    ("facts", "more", "status", "said"),
    [
        ([{"input": "a"}, {"input": "b", "output": "c"}], {}, "FAILED", "facts.jsonl: 1 bad row: line 1: no 'answer'"),
        (
            [{"input": "a", "output": "b"}, {"input": "a", "output": "c"}], {}, "FAILED",
            "1 question has more than one answer: 'a'; mend them, or set memtune.on_conflict"
            " (Lamini: memtune_on_conflict)",
        ),
        ([], {}, "FAILED", "facts.jsonl is empty"),
        (rows(3), {"settings": ["lora.max_steps=1"], "kind": "imprint+nonsense"}, "FAILED", "kind must be one of"),
        (
            [*rows(3), {"id": "long", "input": "What is long?", "output": "word " * 40}],
            {"settings": ["learn.max_answer_tokens=20"]}, "PARTIALLY COMPLETED",
            "1 of 4 facts could not be learned: long (the answer has",
        ),
        (rows(2), {"settings": ["learn.max_answer_tokens=1"]}, "FAILED", "2 of 2 facts could not be learned"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_one_clear_line(
    office: Office, facts: list[dict[str, Any]], more: dict[str, Any], status: str, said: str
) -> None:
    done = office.work(office.add(facts, **more).id)
    assert done.status == status
    assert done.error is not None
    assert said in done.error
    assert "\n" not in done.error
    assert str(office.data) not in json.dumps([done.error, office.messages(1)])
    assert (office.jobs.events(1)[-1]["level"] == "error") == (status == "FAILED")


def test_a_file_that_is_gone_is_named(office: Office) -> None:
    job = office.add(rows(2))
    office.files.delete(job.plan.files[0], LOCAL)
    done = office.work(job.id)
    assert (done.status, done.error) == (
        "FAILED",
        f"there is no file '{job.plan.files[0]}' here; GET /v1/files lists them",
    )


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (
            NotFound("no model folder at '/srv/models/llama'", hint="GET /v1/a/b"),
            "no model folder at 'llama'; GET /v1/a/b",
        ),
        (PermissionError(13, "denied", "/srv/cache/x.bin"), "PermissionError: [Errno 13] denied: 'x.bin'"),
        (ValueError("a/b or 1/2 at https://hub.example/a/b"), "ValueError: a/b or 1/2 at https://hub.example/a/b"),
    ],
)
def test_no_path_of_the_server_is_told(
    office: Office, monkeypatch: pytest.MonkeyPatch, fault: Exception, told: str
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise fault

    monkeypatch.setattr(MemoryModel, "learn", broken)
    plan = replace(office.plan(office.upload(rows(2))), model="/srv/models/llama")
    assert office.work(office.jobs.add(plan, LOCAL).id).error == told


def test_an_unforeseen_fault_ends_the_job_and_not_the_worker(
    office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("first\nsecond")

    monkeypatch.setattr(MemoryModel, "learn", broken)
    assert office.work(office.add(rows(2)).id).error == "ZeroDivisionError: first"
    assert "Traceback" in capsys.readouterr().err


def test_several_files_are_learned_together_and_chats_are_facts(office: Office) -> None:
    def chat(*said: tuple[str, Any]) -> dict[str, Any]:
        return {"messages": [{"role": role, "content": content} for role, content in said]}

    parts = [{"type": "text", "text": "Who runs "}, {"type": "text", "text": "Mirana?"}]
    first = office.upload([chat(("system", "Be brief."), ("user", parts), ("assistant", "Oda Quist"))])
    table = office.files.path(office.files.find(first, LOCAL)).parent
    second = office.upload(rows(1), "b.csv")
    (table / f"{second}.csv").write_text("Input,output,source\nWhat is Zor?,a lamp,page 3\n")
    done = office.work(office.jobs.add(office.plan(first, second), LOCAL).id)
    assert (done.status, done.report["learned"], done.error) == ("COMPLETED", 2, None)
    assert office.answer("Who runs Mirana?") == "Oda Quist"
    assert office.answer("What is Zor?") == "a lamp"

    turns = chat(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"))
    for bad, why in ((turns, "several turns"), (chat(("user", "a")), "one of the user and the answer")):
        done = office.work(office.add([bad], memory="other").id)
        assert why in str(done.error)


def test_a_memory_that_is_being_written_to_is_waited_for(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.work(office.add(rows(2)).id)
    job = office.add(rows(4))
    with MemoryFolder.open(office.data / "acme") as folder:
        writer = folder.writer()
        writer.__enter__()
        naps = []

        def nap(seconds: float) -> None:
            naps.append(seconds)
            if len(naps) == 3:
                writer.__exit__(None, None, None)

        monkeypatch.setattr(worker_module.time, "sleep", nap)
        assert office.work(job.id).status == "COMPLETED"
        assert len(naps) == 3
    monkeypatch.setattr(worker_module, "_LOCKED_SECONDS", 0.0)
    with MemoryFolder.open(office.data / "acme") as folder, folder.writer():
        assert "is locked" in str(office.work(office.add(rows(6)).id).error)


def test_the_loss_of_a_gradient_kind_is_its_own(office: Office) -> None:
    settings = ["lora.max_steps=3", "lora.blocks=1", "lora.targets=mlp"]
    done = office.work(office.add(rows(2), kind="lora", settings=settings).id)
    (step,) = office.jobs.history(1)
    assert step.loss not in (0.0, 1.0)
    assert done.status in ("COMPLETED", "PARTIALLY COMPLETED", "FAILED")


def test_settings_reach_the_worker_as_they_are() -> None:
    config = Config().with_settings(["imprint.margin=9", "inbox.mask=a,b", "serve.slots=3", "learn.kind=imprint+kv"])
    assert config_from(json.loads(json.dumps(asdict(config)))) == config


# ---- the queue ------------------------------------------------------------------------------------------------------


def test_jobs_are_their_keys_own(office: Office) -> None:
    mine, other = office.add(rows(1), ANNA), office.add(rows(1), BERT)
    assert [j.id for j in office.jobs.of(ANNA)] == [mine.id]
    assert [j.id for j in office.jobs.of(LOCAL)] == [other.id, mine.id]
    for use in (office.jobs.find, office.jobs.cancel, office.jobs.pause, office.jobs.resume):
        for number in (other.id, 99, 0, -1, 10**30):
            with pytest.raises(UnknownJob):
                use(number, ANNA)
    with pytest.raises(NotFound, match="no model 'secret'"):
        office.add(rows(1), ANNA, memory="secret")
    with pytest.raises(UsageError, match=r"unknown setting 'lora\.nonsense'"):
        office.add(rows(1), settings=["lora.nonsense=1"])


def test_a_key_with_hidden_groups_runs_no_job_and_sees_none_of_others(office: Office) -> None:
    """With `keep-first` a job would end with the stored answer of each question that it was given."""
    office.work(office.add([{"input": "What does Anna Brusk earn?", "output": "71000", "group": "wages"}]).id)
    for scopes in (frozenset({"teach"}), frozenset({"admin"})):
        shop = Key("k3", "shop", scopes, hidden=frozenset({"wages"}))  # type: ignore[arg-type]
        for memory in ("acme", "new"):
            with pytest.raises(Forbidden, match="may not see every group"):
                office.add([{"input": "What does Anna Brusk earn?", "output": "1"}], shop, memory=memory)
        assert office.jobs.of(shop) == []
        with pytest.raises(UnknownJob):
            office.jobs.find(1, shop)


def test_an_admin_of_some_memories_sees_no_jobs_on_others(office: Office) -> None:
    job, admin = office.add(rows(1)), Key("k4", "boss", frozenset({"admin"}), memories=frozenset({"other"}))
    assert office.jobs.of(admin) == []
    with pytest.raises(UnknownJob):
        office.jobs.find(job.id, admin)


def test_jobs_do_not_wait_without_bound(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "_MOST_WAITING", 2)
    office.add(rows(1))
    office.add(rows(1))
    with pytest.raises(Busy):
        office.add(rows(1))
    office.jobs.cancel(1, LOCAL)
    assert office.add(rows(1)).id == 3


def test_what_is_resumed_before_it_has_stopped_does_not_stop(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    job, put = office.add(rows(10)), Records.put_step

    def put_and_think_again(self: Records, number: int, attempt: int, step: Any) -> None:
        put(self, number, attempt, step)
        office.jobs.pause(number, LOCAL)
        assert office.jobs.resume(number, LOCAL).status == "TRAINING MODEL"

    monkeypatch.setattr(Records, "put_step", put_and_think_again)
    assert office.work(job.id).status == "COMPLETED"


def test_a_job_is_not_left_without_a_worker(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler, job = Scheduler(office.records, office.data, CONFIG), office.add(rows(1))
    scheduler._look()  # there is no folder for its log
    assert (office.job(job.id).status, scheduler._workers) == ("QUEUED", {})
    assert "no worker could be started (No such file or directory)" in office.messages(job.id)[-1]

    monkeypatch.setattr(Scheduler, "_command", lambda self, job: [sys.executable, "-c", ""])
    scheduler._logs.mkdir()
    scheduler._look()
    scheduler._workers[job.id].process.wait()
    with monkeypatch.context() as broken:
        broken.setattr(Records, "broken_off", lambda *_: 1 / 0)  # a full disk, say
        with pytest.raises(ZeroDivisionError):
            scheduler._look()
    assert office.job(job.id).status == "LOADING DATA"
    scheduler._watch(scheduler._workers[job.id])
    assert (office.job(job.id).status, scheduler._workers) == ("QUEUED", {})


def test_what_waits_is_cancelled_and_paused_at_once(office: Office) -> None:
    first, second = office.add(rows(1)), office.add(rows(1))
    assert office.jobs.cancel(first.id, LOCAL).status == "CANCELLED"
    assert office.jobs.pause(second.id, LOCAL).status == "PAUSED"
    assert office.records.waiting() == []
    assert office.jobs.cancel(second.id, LOCAL).status == "CANCELLED"
    with pytest.raises(UsageError, match="job 1 is CANCELLED: there is nothing to pause"):
        office.jobs.pause(first.id, LOCAL)
    assert office.jobs.resume(first.id, LOCAL).status == "QUEUED"
    assert office.work(first.id).status == "COMPLETED"


def waiting(*whose: tuple[int, str, str]) -> list[Job]:
    return [Job(i, "QUEUED", Plan(memory, Path(memory), "bundled", ("f",)), key, 0.0) for i, key, memory in whose]


def test_slots_go_round_between_keys_and_one_memory_is_written_by_one() -> None:
    jobs = waiting((1, "a", "m1"), (2, "a", "m2"), (3, "a", "m3"), (4, "b", "m4"), (5, "c", "m5"))
    order, last, left = [], {}, list(jobs)
    for moment in range(5):  # one slot: whoever was served longest ago
        job = next_job(left, [], last)
        assert job is not None
        left.remove(job)
        last[job.key] = moment + 1.0
        order.append(job.id)
    assert order == [1, 4, 5, 2, 3]
    assert next_job(jobs, [jobs[0]], {}) == jobs[3]  # two slots: the key with the fewest at work
    same = waiting((1, "a", "m1"), (2, "b", "m1"))
    assert next_job(same[1:], same[:1], {}) is None


def test_more_slots_than_there_are_is_a_warning(office: Office) -> None:
    assert office.add(rows(1), slots=1).warnings == ()
    (warning,) = office.add(rows(1), slots=16).warnings
    assert warning == "16 slots were asked for (gpus x nodes); this server has 1, and uses that"
    config = Config(serve=ServeConfig(slots=4))
    scheduler = Scheduler(office.records, office.data, config)
    assert scheduler._free_places(office.job(2)) == (0, 1, 2, 3)
    assert scheduler._free_places(office.job(1)) == (0,)


def test_a_job_that_gets_nowhere_is_given_up_and_one_that_does_is_not(office: Office) -> None:
    job = office.add(rows(1))
    for n in range(STUCK_AT_MOST):
        office.records.launch(job.id)
        office.records.broken_off(job.id, "its worker died (signal 9)")
        assert (office.job(1).status, office.job(1).resumed) == ("QUEUED", n + 1)
    office.records.launch(job.id)
    office.records.broken_off(job.id, "its worker died (signal 9)")
    assert office.job(1).status == "FAILED"
    assert "broken off again and again without getting any further" in str(office.job(1).error)
    assert office.jobs.resume(1, LOCAL).status == "QUEUED"
    for _ in range(STUCK_AT_MOST + 2):  # it starts counting anew, and a server may die more often
        office.records.launch(job.id)
        office.records.broken_off(job.id, "the server was broken off", with_server=True)
    assert office.work(1).status == "COMPLETED"


def test_a_worker_whose_job_was_taken_over_changes_nothing(office: Office) -> None:
    job = office.add(rows(5))
    old = office.records.launch(job.id)
    assert old is not None
    office.records.broken_off(job.id, "the server was broken off")
    Work(office.records, office.job(1), old, CONFIG, office.data / "files").run()
    assert office.job(1).status == "QUEUED"
    with pytest.raises(Superseded):
        office.records.finish(job.id, old, "COMPLETED", "late")
    assert not MemoryFolder.exists(office.data / "acme")


def test_jobs_that_are_long_over_are_forgotten(office: Office) -> None:
    office.work(office.add(rows(1)).id)
    office.add(rows(1))
    office.records.forget_before(time.time() + 1)
    assert [j.id for j in office.jobs.of(LOCAL)] == [2]
    assert (office.jobs.history(1), office.jobs.events(1)) == ([], [])
    assert office.add(rows(1)).id == 3  # a number is used once


def asleep(self: Scheduler, job: Job) -> list[str]:
    """In place of a worker: keeps what it was told, and sleeps."""
    told = self.data / f"told-{job.id}"
    program = "import sys, time; open(sys.argv[1], 'w').write(sys.stdin.readline()); time.sleep(60)"
    return [sys.executable, "-c", program, str(told)]


def until(said: Callable[[], Any]) -> None:
    end = time.monotonic() + 30
    while not said():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_scheduler_watches_over_its_workers(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scheduler, "_command", asleep)
    monkeypatch.setattr(scheduler_module, "_PATIENCE_SECONDS", 0.1)
    jobs = Jobs(office.database, office.data, CONFIG)
    first, second = office.add(rows(1)), office.add(rows(1), memory="other")
    jobs.start()
    scheduler = jobs._scheduler
    assert scheduler is not None
    until(lambda: (office.data / "told-1").exists() and (office.data / "told-1").read_text())
    assert config_from(json.loads((office.data / "told-1").read_text())["config"]) == CONFIG
    until(lambda: office.job(second.id).status == "QUEUED")  # there is one slot
    assert office.job(first.id).status == "LOADING DATA"

    scheduler._workers[first.id].process.kill()
    until(lambda: office.job(first.id).resumed == 1)
    assert "its worker died (signal 9); it is queued again, and goes on where it was" in office.messages(first.id)

    until(lambda: first.id in scheduler._workers)  # both have one key: its oldest job is taken again
    jobs.cancel(first.id, LOCAL)
    until(lambda: office.job(first.id).status == "CANCELLED")  # though the worker does not listen
    until(lambda: second.id in scheduler._workers)
    process = scheduler._workers[second.id].process
    jobs.stop()
    assert process.poll() is not None
    assert (office.job(second.id).status, office.job(second.id).resumed) == ("QUEUED", 0)
    assert office.messages(second.id)[-1] == "the server ends; the job goes on with the next one"


# ---- with real workers ----------------------------------------------------------------------------------------------


def test_a_worker_that_is_killed_is_replaced_and_answers_go_on_meanwhile(tmp_path: Path) -> None:
    database = Database(tmp_path / "server.sqlite")
    files = Files(database, tmp_path / "files", 10_000_000)
    config = Config(serve=ServeConfig(slots=1, lot_size=8))
    jobs = Jobs(database, tmp_path, config)
    upload = files.take_rows(rows(200), name="facts.jsonl", purpose="fine-tune", key=LOCAL)
    job = jobs.add(Plan("acme", tmp_path / "acme", "bundled", (upload.id,)), LOCAL)
    Records(database).launch(job.id)  # by a server that has died since
    jobs.start()
    try:
        with pytest.raises(FolderLocked):
            Jobs(Database(tmp_path / "server.sqlite"), tmp_path, config).start()
        end = time.monotonic() + 60
        while len(jobs.history(job.id)) < 2:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert jobs._scheduler is not None
        os.kill(jobs._scheduler._workers[job.id].process.pid, signal.SIGKILL)
        shown = jobs.history(job.id)[-1].facts
        with MemoryModel(backbone(), tmp_path / "acme", follow=True) as model:
            assert model.ask(f"What is the code of part {shown - 1}?").text == f"PX-{(shown - 1) * 7}"
            while not jobs.find(job.id, LOCAL).over:
                assert time.monotonic() < end
                time.sleep(0.05)
            done = jobs.find(job.id, LOCAL)
            assert (done.status, done.resumed, done.report["learned"]) == ("COMPLETED", 2, 200)
            assert model.ask("What is the code of part 199?").text == "PX-1393"
            assert model.verify() == []
    finally:
        jobs.stop()
        database.close()
