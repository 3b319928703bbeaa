"""`memtune bench …`: hands everything on to `memtune.bench.app`, which is imported only then."""

from __future__ import annotations

import typer

from memtune.cli.faults import usage_in_a_line

PASS_EVERYTHING_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def bench(context: typer.Context) -> None:
    """Measure learning and decoding. Other methods run beside it on the same model."""
    from memtune.bench.app import app

    with usage_in_a_line():
        code = typer.main.get_command(app).main(args=context.args, prog_name="memtune bench", standalone_mode=False)
    raise typer.Exit(code or 0)
