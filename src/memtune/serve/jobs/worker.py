"""One job in a process of its own: `python -m memtune.serve.jobs.worker DATA JOB`.

It reads its settings from its standard input, and ends when that ends: then the server that started it is gone.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from memtune.checked import replace
from memtune.config import Config
from memtune.core.facts import Fact
from memtune.core.reports import Answer, LearnReport
from memtune.errors import BadRows, ConflictError, FolderLocked, MemtuneError
from memtune.ingest import CheckedFacts, open_facts
from memtune.serve.database import Database
from memtune.serve.jobs.job import EVALUATING, SAVING, TRAINING, Job, Step
from memtune.serve.jobs.records import Records, Superseded
from memtune.serve.jobs.rows import Uploads

if TYPE_CHECKING:
    from memtune.learning import Progress
    from memtune.model import MemoryModel

_NICE = 10
_LOCKED_SECONDS = 120.0
"""How long it waits for whoever writes to the memory at the moment."""
_ROWS = 20
"""Facts of the job that are asked for at its end, of the model alone and with what was learned."""
_REPLY_TOKENS = 64
"""That the model alone may say to each of them, at least."""
_PATH = re.compile(r"(?<![\w/:.])/(?:[^\s'\"/:]+/)+([^\s'\"/:]+)")
"""A path from the root on, in what nobody foresaw: only its last part is told."""
_TO_SEND = {
    BadRows: "mend them and send the file again",
    ConflictError: "mend them, or set memtune.on_conflict (Lamini: memtune_on_conflict)",
}
Got = TypeVar("Got")


class Halt(Exception):
    """Somebody wants the job to stop here: `cancel`, `pause`, or `stop` where the server ends."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class Work:
    """A job from its files to its end. Whatever it has reached is in the records."""

    def __init__(
        self,
        records: Records,
        job: Job,
        attempt: int,
        config: Config,
        uploads: Path,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """`stopping`: whether this process is to end, and the job to go on in another one."""
        self.records, self.job, self.attempt, self.uploads = records, job, attempt, uploads
        self.stopping = stopping
        self._given = config
        self.steps = records.steps(job.id)
        self._last = (self.steps[-1].facts, 0, 0.0) if self.steps else (0, 0, 0.0)
        """Of the lot before: facts done, facts failed, seconds."""

    def run(self) -> None:
        """To an end, whatever it is; only a job that was taken over is left as it is."""
        try:
            self._learn()
        except Superseded:
            return
        except Halt as halt:
            self._halted(halt.how)
        except MemtuneError as fault:
            hint = next((hint for kind, hint in _TO_SEND.items() if isinstance(fault, kind)), fault.hint)
            self._fail(f"{fault.message}; {hint}" if hint else fault.message)
        except Exception as fault:
            traceback.print_exc()
            reason = _PATH.sub(r"\1", next(iter(str(fault).splitlines()), "no reason was given"))
            self._fail(f"{type(fault).__name__}: {reason}")

    def _learn(self) -> None:
        from memtune.backbones.loading import load_backbone
        from memtune.model import MemoryModel

        config = configured(self._given, self.job)
        items = Uploads(self._files())
        source = open_facts(items, config.learn)
        source.check()
        backbone = load_backbone(self.job.plan.model)
        model = MemoryModel(backbone, self.job.plan.path, config=config, author=self.job.author)
        with model:
            before = self._look_before(model, source)
            self._go_on(TRAINING, f"{source.count:,} facts are to be learned", facts=source.count)
            report = whole(self._when_free(lambda: self._learned(model, items)), before)
            asked = recalled = 0
            if report.learned + report.duplicates:  # else there may be no memory at all
                self._go_on(EVALUATING, "some facts are asked for")
                rows, asked, recalled = evaluated(model, source, self.job.plan.memory)
                self.records.keep_evaluation(self.job.id, self.attempt, rows)
            self._go_on(SAVING, f"{recalled} of {asked} facts that were asked for are recalled word for word")
            self._end(report, {"asked": asked, "recalled": recalled})

    def _files(self) -> list[tuple[Path, str]]:
        from memtune.serve.files import Files
        from memtune.serve.keys import LOCAL  # whether the key may use them was seen when the job was made

        files = Files(self.records.database, self.uploads, 0)
        found = [files.find(upload, LOCAL) for upload in self.job.plan.files]
        return [(files.path(upload), upload.name) for upload in found]

    def _look_before(self, model: MemoryModel, source: CheckedFacts) -> Mapping[str, int]:
        """What the memory held of the input before anything was learned: kept, so that a job that goes on knows it."""
        from memtune.store import MemoryFolder
        from memtune.survey import survey

        before = self.records.found(self.job.id)
        if before is None:
            path = self.job.plan.path
            folder = MemoryFolder.open(path) if MemoryFolder.exists(path) else None
            try:
                found = survey(folder, source, model.config.learn.on_conflict, model.config.learn.lot_size)
            finally:
                if folder is not None:
                    folder.close()
            before = {"facts": found.count, "duplicates": found.duplicates}
            self.records.note_found(self.job.id, self.attempt, before)
        return before

    def _learned(self, model: MemoryModel, items: Uploads) -> LearnReport:
        origin: Any = items
        return model.learn(origin, resume=self.attempt > 1, progress=self._lot_done)

    def _when_free(self, work: Callable[[], Got]) -> Got:
        """Somebody else may write to the memory for a moment."""
        until = time.monotonic() + _LOCKED_SECONDS
        while True:
            try:
                return work()
            except FolderLocked:
                if time.monotonic() > until:
                    raise
            self._require_wanted()
            time.sleep(0.2)

    def _lot_done(self, now: Progress) -> None:
        """A lot is committed. Lots that an earlier attempt has shown already are only passed by."""
        done, failed, since = self._last
        if now.done > done:
            share = (now.failed - failed) / (now.done - done)
            left = now.seconds / now.done * (now.total - now.done)
            loss = share if now.loss is None else now.loss
            step = Step(len(self.steps) + 1, now.done, now.total, loss, now.margin, now.seconds - since, left)
            self.records.put_step(self.job.id, self.attempt, step)
            self.steps.append(step)
        self._last = (max(done, now.done), now.failed, now.seconds)
        if now.done < now.total:
            self._require_wanted()

    def _go_on(self, status: str, message: str, **data: Any) -> None:
        self._require_wanted()
        self.records.move(self.job.id, self.attempt, status, message, **data)

    def _require_wanted(self) -> None:
        wish = self.records.wish(self.job.id, self.attempt)
        if wish is None and self.stopping():
            wish = "stop"
        if wish is not None:
            raise Halt(wish)

    # ---- ends ---------------------------------------------------------------------------------------------------

    def _end(self, report: LearnReport, sample: Mapping[str, int]) -> None:
        for reason in report.not_admitted:
            self.records.warn(self.job.id, self.attempt, f"what was learned waits as a candidate: {reason}")
        error, held = None, report.learned + report.duplicates
        if report.failed:
            some = ", ".join(f"{one.id} ({one.reason})" for one in report.failed[:3])
            more = f" and {len(report.failed) - 3} more" if len(report.failed) > 3 else ""
            error = f"{len(report.failed)} of {report.facts} facts could not be learned: {some}{more}"
        status = "COMPLETED" if not (error or report.not_admitted) else "PARTIALLY COMPLETED" if held else "FAILED"
        said = f"{report.learned:,} facts were learned, {report.duplicates:,} were there already"
        self.records.finish(
            self.job.id, self.attempt, status, f"{said}; {error}" if error else said,
            error=error, version=report.version, report={**report.to_json(), "sample": dict(sample)},
        )  # fmt: skip

    def _halted(self, how: str) -> None:
        done = self.steps[-1] if self.steps else None
        said = f"{done.facts:,} of {done.total:,} facts are done and stay" if done else "nothing was learned yet"
        try:
            if how == "stop":
                self.records.put_back(self.job.id, self.attempt)
            else:
                status = {"cancel": "CANCELLED", "pause": "PAUSED"}[how]
                self.records.finish(self.job.id, self.attempt, status, f"{status.lower()}: {said}")
        except Superseded:
            return

    def _fail(self, error: str) -> None:
        """No path of this machine is told to clients."""
        error = error.replace(str(self.job.plan.path), self.job.plan.memory).replace(str(self.uploads.parent), "")
        if (model := Path(self.job.plan.model)).is_absolute():
            error = error.replace(str(model), model.name)
        try:
            self.records.finish(self.job.id, self.attempt, "FAILED", error, error=error)
        except Superseded:
            return


def configured(config: Config, job: Job) -> Config:
    """The server's settings with the job's. What is asked here leaves no trace in the memory's inbox and counts."""
    chosen = {"lot_size": config.serve.lot_size} | ({"kind": job.plan.kind} if job.plan.kind else {})
    config = replace(
        config,
        learn=replace(config.learn, **chosen),
        inbox=replace(config.inbox, keep=False),
        consolidate=replace(config.consolidate, count_asked=False),
    )
    return config.with_settings(job.plan.settings)


def whole(report: LearnReport, before: Mapping[str, int]) -> LearnReport:
    """The report of all attempts together: what earlier ones have learned is no duplicate."""
    earlier = max(0, report.duplicates - before["duplicates"])
    report.learned += earlier
    report.duplicates -= earlier
    return report


def evaluated(model: MemoryModel, source: CheckedFacts, memory: str) -> tuple[list[dict[str, Any]], int, int]:
    """Some facts, each answered by the model alone and with the memory; how many were asked, and how many recalled."""
    chosen = sample(source, model)
    if not chosen:
        return [], 0, 0
    spelled = model.backbone.tokenizer([fact.answer for fact in chosen], add_special_tokens=False)["input_ids"]
    most = max(_REPLY_TOKENS, *(len(tokens) + 8 for tokens in spelled))
    decode: dict[str, Any] = {"max_new_tokens": min(most, model.config.decode.max_new_tokens)}
    asked = [fact.question for fact in chosen]
    model.refresh()
    tuned: Sequence[Answer] = model.ask(asked, **decode)
    plain: Sequence[Answer] = model.ask(asked, memory=False, **decode)
    rows = [
        {"input": q, "outputs": [{"model_name": "base", "output": b.text}, {"model_name": memory, "output": t.text}]}
        for q, b, t in zip(asked, plain, tuned, strict=True)
    ]
    return rows, len(chosen), sum(t.text == fact.answer for t, fact in zip(tuned, chosen, strict=True))


def sample(source: CheckedFacts, model: MemoryModel) -> list[Fact]:
    """Each fact that may answer now is as likely as any other, and the same ones are drawn each time."""
    draw, chosen, now = random.Random(0), list[Fact](), model.memory.answering.clock()
    fitting = (f for f in source if not f.passage and f.state != "archived" and f.validity.holds(now))
    for seen, fact in enumerate(fitting, 1):
        if len(chosen) < _ROWS:
            chosen.append(fact)
        elif (place := draw.randrange(seen)) < _ROWS:
            chosen[place] = fact
    return chosen


def config_from(told: Mapping[str, Mapping[str, Any]]) -> Config:
    """The server's settings, as it wrote them down."""
    groups = {field.name: type(getattr(Config(), field.name)) for field in fields(Config)}
    return Config(**{name: groups[name](**{k: _plain(v) for k, v in told[name].items()}) for name in groups})


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _end_with(descriptor: int) -> None:
    """When the other end is closed, this process ends at once: what it has not committed is lost, and nothing else."""

    def listen() -> None:
        while os.read(descriptor, 1):  # not through the stream, whose lock would be held when Python ends
            pass
        os._exit(3)

    threading.Thread(target=listen, daemon=True).start()


def main(arguments: Sequence[str]) -> None:
    data, number = Path(arguments[0]), int(arguments[1])
    told = json.loads(sys.stdin.readline())
    _end_with(sys.stdin.fileno())
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    if hasattr(os, "nice"):
        os.nice(_NICE)
    database = Database(data / "server.sqlite")
    records = Records(database)
    job = records.job(number)
    if job is not None:
        Work(records, job, told["attempt"], config_from(told["config"]), data / "files", stopping.is_set).run()
    database.close()


if __name__ == "__main__":
    main(sys.argv[1:])
