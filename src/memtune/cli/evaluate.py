"""`memtune eval`: a memory beside the plain model, a lookup table, and the model that is told."""

from __future__ import annotations

from typing import Annotated

import typer

from memtune.cli.options import Json, Place
from memtune.cli.output import print_json, remark

_LADDER = "base,memory,lookup,oracle"

Rungs = Annotated[str, typer.Option("--ladder", metavar="A,B,…", help="The ways of answering, with commas between.")]
MaxN = Annotated[int | None, typer.Option("--max-n", min=1, help="Cases of each form at most, drawn by --seed.")]
Seed = Annotated[int, typer.Option("--seed", help="Of every draw.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Of the processor; default: those of torch.")]


def eval_(
    *,
    ladder: Rungs = _LADDER,
    max_n: MaxN = None,
    seed: Seed = 0,
    threads: Threads = None,
    as_json: Json = False,
    place: Place,
) -> None:
    """Ask a memory what it learned, beside other ways of answering, with an interval for every figure."""
    from memtune.evaluate.output import plain, show
    from memtune.evaluate.run import evaluate

    if threads:
        import torch

        torch.set_num_threads(threads)
    with place.load() as model:
        found = evaluate(model, ladder.split(","), max_n=max_n, seed=seed, say=remark)
    if as_json:
        print_json(plain(found))
    else:
        show(found)
