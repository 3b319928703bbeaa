"""The command `memtune`: its commands in the order in which a person meets them."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated

import typer

from memtune.cli import (
    ask,
    bench,
    chat,
    demo,
    doctor,
    evaluate,
    facts,
    forgetting,
    history,
    inbox,
    lab,
    learn,
    router,
    serve,
    skill,
    transfer,
    upkeep,
)
from memtune.cli.commands import command
from memtune.cli.faults import INTERRUPTED, Commands, notice_ctrl_c, stopped_by_hand

app = typer.Typer(
    name="memtune",
    cls=Commands,
    help="Teach an open language model facts that it recalls word for word, and change nothing else.",
    epilog="Begin with `memtune demo`. `memtune COMMAND --help` explains one command.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

command(app)(demo.demo)
command(app)(learn.learn)
command(app)(ask.ask)
command(app)(chat.chat)
command(app)(ask.explain)
app.add_typer(facts.app, name="facts")
app.add_typer(inbox.app, name="inbox")
app.add_typer(router.app, name="router")
app.add_typer(skill.app, name="skill")
app.add_typer(lab.data, name="data")
command(app, "eval")(evaluate.eval_)
command(app)(evaluate.compare)
command(app)(evaluate.recipe)
command(app)(evaluate.sweep)
app.add_typer(lab.app, name="lab")
command(app)(history.log)
command(app)(history.show)
command(app)(history.diff)
command(app)(history.rollback)
command(app)(history.branch)
command(app)(history.tag)
command(app)(history.merge)
command(app)(history.admit)
command(app)(history.promote)
command(app)(history.note)
command(app)(history.stats)
command(app)(history.gc)
command(app)(history.repair)
command(app)(forgetting.certify)
command(app)(forgetting.purge)
command(app)(transfer.export)
command(app, "import")(transfer.import_)
command(app)(transfer.push)
command(app)(transfer.pull)
command(app)(upkeep.rebase)
command(app)(upkeep.consolidate)
command(app)(upkeep.regroup)
command(app)(upkeep.migrate)
command(app)(serve.serve)
app.add_typer(serve.app, name="keys")
command(app)(doctor.verify)
command(app)(doctor.doctor)
command(app, context_settings=bench.PASS_EVERYTHING_ON, add_help_option=False)(bench.bench)


@command(app)
def version() -> None:
    """Print the version of memtune."""
    from importlib.metadata import version as installed

    print(f"memtune {installed('memtune')}")


def _print_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def root(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave."),
    ] = False,
) -> None:
    """Teach an open language model facts that it recalls word for word, and change nothing else."""


def main() -> None:
    """Run as a process of its own, where the chatter of the libraries below is nobody's business."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("default", message="the inbox")
        warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    notice_ctrl_c()
    try:
        app()
    except SystemExit as end:
        if end.code and stopped_by_hand(end):
            raise SystemExit(INTERRUPTED) from None
        raise
