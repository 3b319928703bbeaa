"""`memtune learn`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memtune.cli.faults import FAULT
from memtune.cli.options import Json, Learning, Place
from memtune.cli.output import counted, print_report
from memtune.cli.progress import Watch, watching

if TYPE_CHECKING:
    from memtune.core.reports import LearnReport
    from memtune.model import MemoryModel


def learn(
    facts: Annotated[Path, typer.Argument(metavar="FACTS", help="A file of facts: JSONL, JSON, CSV or Parquet.")],
    *,
    learning: Learning,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Go on without rows that are no facts.")] = False,
    measure_reading: Annotated[
        bool, typer.Option("--measure-reading", help="Time one plain pass over the same tokens as well.")
    ] = False,
    as_json: Json = False,
    place: Place,
) -> None:
    """Teach the facts of a file, and prove that they are recalled."""
    how = {"skip_bad": skip_bad, "measure_reading": measure_reading, **learning.given}
    with watching(silent=as_json) as watch, place.load_to_learn() as model:
        report = _learn_until_stopped(model, facts, watch, place.memory, how)
    print_report(report, as_json)
    if report.failed:
        raise typer.Exit(FAULT)


def _learn_until_stopped(
    model: MemoryModel, facts: Path, watch: Watch, memory: Path, how: dict[str, Any]
) -> LearnReport:
    try:
        return model.learn(facts, progress=watch, **how)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_kept(watch, model, memory)) from None


def _kept(watch: Watch, model: MemoryModel, memory: Path) -> str:
    if watch.last is None:
        return "nothing was learned yet"
    kept = f"{watch.last.done:,} of {counted(watch.last.total, 'fact')}"
    return f"{kept} are kept in {memory}, version {model.version}; learn the same file again to go on"
