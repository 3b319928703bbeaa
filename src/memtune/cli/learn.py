"""`memtune learn`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memtune.cli.faults import FAULT, stopped_by_hand
from memtune.cli.options import Author, Json, Learning, Place
from memtune.cli.output import counted, print_report
from memtune.cli.progress import Watch, watching
from memtune.errors import MemtuneError

if TYPE_CHECKING:
    from memtune.core.reports import LearnReport
    from memtune.model import MemoryModel


def learn(
    facts: Annotated[Path, typer.Argument(metavar="FACTS", help="A file of facts: JSONL, JSON, CSV or Parquet.")],
    *,
    learning: Learning,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Go on without rows that are no facts.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was broken off; what it learned is kept.")
    ] = False,
    measure_reading: Annotated[
        bool, typer.Option("--measure-reading", help="Time one plain pass over the same tokens as well.")
    ] = False,
    as_json: Json = False,
    author: Author = None,
    place: Place,
) -> None:
    """Teach the facts of a file, and prove that they are recalled."""
    how = {"skip_bad": skip_bad, "measure_reading": measure_reading, "resume": resume, **learning.given}
    with watching(silent=as_json) as watch, place.load_to_learn(author) as model:
        report = _learn_until_stopped(model, facts, watch, place, how)
    print_report(report, as_json)
    if report.failed or report.not_admitted:
        raise typer.Exit(FAULT)


def _learn_until_stopped(
    model: MemoryModel, facts: Path, watch: Watch, place: Place, how: dict[str, Any]
) -> LearnReport:
    before = _latest(place)
    try:
        return model.learn(facts, progress=watch, **how)
    except BaseException as fault:
        if stopped_by_hand(fault):
            raise KeyboardInterrupt(_kept(before, watch, place)) from None
        raise


def _kept(before: int, watch: Watch, place: Place) -> str:
    """What was committed, as the memory itself says: the last lot may have landed just before the interrupt."""
    latest = _latest(place)
    if latest == before:
        return "nothing was learned yet"
    through = f"{watch.last.done:,} of {counted(watch.last.total, 'fact')} went through; " if watch.last else ""
    return f"{through}what was learned is kept in {place.memory}, version {latest}; --resume goes on"


def _latest(place: Place) -> int:
    """The highest version of the memory, on whatever branch."""
    try:
        with place.open() as folder:
            return folder.refs.latest
    except MemtuneError:
        return 0
