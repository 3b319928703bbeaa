"""`memtune rebase`, `consolidate`, `regroup` and `migrate`: a memory on another model, known, in fewer pieces, in the
present format."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memtune.cli import opening
from memtune.cli.faults import FAULT
from memtune.cli.options import DEFAULT_MEMORY, Author, Folder, Json, Place, Settings, setting
from memtune.cli.output import counted, print_json, say_failed
from memtune.cli.progress import watching
from memtune.config import Config, ConsolidateConfig
from memtune.errors import FolderLocked, UsageError

if TYPE_CHECKING:
    from memtune.consolidation import Consolidated


def rebase(
    *,
    model: Annotated[str, typer.Option("--model", metavar="NEW", help="The model to learn the facts on.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder of the new memory.")],
    settings: Settings = None,
    as_json: Json = False,
    author: Author = None,
    folder: Folder,
) -> None:
    """Learn all facts of a memory anew on another model, and say which of them it could not learn."""
    folder.open().close()
    with closing(opening.load_model(model, out, Config().with_settings(settings or ()), author)) as new:
        done = new.rebase(folder.address)
    for failed in done.failed:
        typer.echo(f"not learned: {failed['id']}: {failed['reason']}", err=True)
    for name in done.skills:
        typer.echo(f"not taken along: skill {name}; `skill show --examples` prints what to learn it from", err=True)
    if as_json:
        print_json(done.to_json())
    else:
        print(f"learned {done.learned:,} of {counted(done.facts, 'fact')} on {model}; version {done.version} of {out}")
    if done.failed:
        raise typer.Exit(FAULT)


def consolidate(
    *,
    group: Annotated[str | None, typer.Option("--group", metavar="G", help="Only facts of this group.")] = None,
    budget: Annotated[
        float | None, typer.Option("--budget", metavar="MINUTES", help="Stop after so long; what is done is kept.")
    ] = None,
    kind: Annotated[str | None, setting(ConsolidateConfig, "kind", "The kind of expert that knows.")] = None,
    every: Annotated[
        float | None,
        typer.Option("--every", metavar="MINUTES", help="Go on until Ctrl-C: look for new facts so often."),
    ] = None,
    as_json: Json = False,
    author: Author = None,
    place: Place,
) -> None:
    """Let facts that are only recited be known as well, so that they help where they are not asked for by name."""
    if every is not None and every <= 0:
        raise UsageError(f"--every {every:g} is no time to wait", hint="name more than 0 minutes")
    how: dict[str, Any] = {"where": {"group": group} if group is not None else None, "budget": budget, "kind": kind}
    with watching(silent=as_json) as watch, place.load(author) as model:
        done = model.consolidate(progress=watch, **how)
        _say_consolidated(done, as_json)
        but = [failed.id for failed in done.failed]
        with suppress(KeyboardInterrupt):  # how it is meant to end
            while every is not None:
                time.sleep(60 * every)
                with suppress(FolderLocked):  # somebody else writes: the next turn will do
                    model.refresh()
                    again = model.consolidate(progress=watch, but=but, **how)
                    but += [failed.id for failed in again.failed]
                    if again.facts:
                        _say_consolidated(again, as_json)
    if done.failed:
        raise typer.Exit(FAULT)


def _say_consolidated(done: Consolidated, as_json: bool) -> None:
    say_failed("stays as it was", done.failed)
    if as_json:
        print_json(done.to_json())
        return
    if not done.facts:
        print(f"nothing to do: every fact is known already; version {done.version}")
        return
    left = f"; {done.left:,} left for another time" if done.left else ""
    left += f"; {done.resumed:,} taken over from a run that broke off" if done.resumed else ""
    cost = f", {done.times_reading:,.0f} times reading, {done.bytes_per_fact:,.0f} bytes a fact" if done.known else ""
    print(f"now known: {done.known:,} of {counted(done.facts, 'fact')}{left}; {done.seconds:.1f} s{cost}; "
          f"version {done.version}")  # fmt: skip


def regroup(*, as_json: Json = False, author: Author = None, place: Place) -> None:
    """Regroup facts that were written one by one, and prove them again. No answer changes."""
    with place.load(author) as model:
        done = model.regroup()
    if as_json:
        print_json(done.to_json())
    else:
        print(f"{counted(done.before, 'segment')} became {done.after:,}, {counted(done.facts, 'fact')}; "
              f"version {done.version}")  # fmt: skip


def migrate(
    *,
    memory: Annotated[Path, typer.Option("--memory", metavar="DIR", help="The folder of the memory.")] = DEFAULT_MEMORY,
    as_json: Json = False,
) -> None:
    """Bring a memory of an earlier version of memtune to the present format. It is kept until that has succeeded."""
    done = opening.migrate(memory)
    if as_json:
        print_json(done.to_json())
    elif done.before == done.after and not done.keys:
        print(f"{memory} is in the present format, {done.after}")
    else:
        print(f"{memory}: format {done.before} became {done.after}; {counted(done.versions, 'version')}, "
              f"{counted(done.facts, 'fact')}, router keys made anew")  # fmt: skip
