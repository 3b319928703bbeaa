"""`memtune learn`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memtune.cli.faults import FAULT
from memtune.cli.options import Json, Place, setting
from memtune.cli.output import counted, print_report
from memtune.cli.progress import Watch, watching
from memtune.config import LearnConfig

if TYPE_CHECKING:
    from memtune.core.reports import LearnReport
    from memtune.model import MemoryModel


def learn(
    facts: Annotated[
        Path, typer.Argument(metavar="FACTS", help="A file of facts: JSONL, JSON, CSV or Parquet.")
    ],
    *,
    kind: Annotated[str | None, setting(LearnConfig, "kind", "How the facts are kept.")] = None,
    on_conflict: Annotated[
        str | None, setting(LearnConfig, "on_conflict", "What to do about one question with two answers.")
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Go on without rows that are no facts.")
    ] = False,
    proof: Annotated[
        str | None, setting(LearnConfig, "proof", "Prove by replay and a sample, or decode every fact.")
    ] = None,
    measure_reading: Annotated[
        bool, typer.Option("--measure-reading", help="Time one plain pass over the same tokens as well.")
    ] = False,
    as_json: Json = False,
    place: Place,
) -> None:
    """Teach the facts of a file, and prove that they are recalled."""
    report = _learn(
        place,
        facts,
        silent=as_json,
        kind=kind,
        on_conflict=on_conflict,
        skip_bad=skip_bad,
        proof=proof,
        measure_reading=measure_reading,
    )
    print_report(report, as_json)
    if report.failed:
        raise typer.Exit(FAULT)


def _learn(place: Place, facts: Path, *, silent: bool, **how: Any) -> LearnReport:
    with watching(silent) as watch, place.load_to_learn() as model:
        try:
            return model.learn(facts, progress=watch, **how)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_kept(watch, model, place.memory)) from None


def _kept(watch: Watch, model: MemoryModel, memory: Path) -> str:
    if watch.last is None:
        return "nothing was learned yet"
    kept = f"{watch.last.done:,} of {counted(watch.last.total, 'fact')}"
    return f"{kept} are kept in {memory}, version {model.version}; learn the same file again to go on"
