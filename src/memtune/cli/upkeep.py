"""`memtune rebase`, `consolidate` and `migrate`: a memory on another model, in fewer pieces, in the present format."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from memtune.cli import opening
from memtune.cli.faults import FAULT
from memtune.cli.options import DEFAULT_MEMORY, Author, Folder, Json, Place, Settings
from memtune.cli.output import counted, print_json
from memtune.config import Config


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
    if as_json:
        print_json(done.to_json())
    else:
        print(f"learned {done.learned:,} of {counted(done.facts, 'fact')} on {model}; version {done.version} of {out}")
    if done.failed:
        raise typer.Exit(FAULT)


def consolidate(*, as_json: Json = False, author: Author = None, place: Place) -> None:
    """Regroup facts that were written one by one, and prove them again. No answer changes."""
    with place.load(author) as model:
        done = model.consolidate()
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
