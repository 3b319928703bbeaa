"""`memtune lab …`: what experts hold, what they keep, and what can be done with it; `memtune data …`: before that."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memtune.cli import opening
from memtune.cli.commands import command
from memtune.cli.evaluate import Facts, publish
from memtune.cli.options import Json, Measured, Model, Seed
from memtune.cli.output import remark
from memtune.config import DEFAULT_MODEL, KIND_NAMES, Config
from memtune.errors import UsageError

app = typer.Typer(
    help="Laboratories: use beyond recall, passages, retention and capacity, on facts that are made up.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
data = typer.Typer(help="Facts before they are learned.", no_args_is_help=True, rich_markup_mode=None)

Kinds = Annotated[
    str,
    typer.Option(
        "--kinds", metavar="A,B", help="Kinds of experts, with commas between; A+B learns each fact with both."
    ),
]
_KINDS = ",".join(KIND_NAMES)


def whole_numbers(option: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"{option} {text}: these are not whole numbers", hint=f"{option} 1,4,18") from None


@command(app)
def use(
    *,
    kinds: Kinds = _KINDS,
    n: Annotated[int, typer.Option("--n", min=10, help="Subjects that are asked about.")] = 60,
    forms: Annotated[
        str | None, typer.Option("--forms", metavar="A,B", help="Only these forms; all by default.")
    ] = None,
    as_json: Json = False,
    run: Measured,
) -> None:
    """Use facts in forms whose output is not the stored answer: yes or no, choices, comparisons, two hops, notes."""
    chosen = forms.split(",") if forms else None
    publish(opening.use(run.load(), kinds=kinds.split(","), n=n, forms=chosen, seed=run.seed, say=remark), as_json)


@command(app)
def passages(
    *,
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="One that knows, or several joined by +.")] = "kv",
    n: Annotated[int, typer.Option("--n", min=1, help="Pages of each length.")] = 40,
    sentences: Annotated[
        str | None, typer.Option("--sentences", metavar="A,B", help="Lengths of pages, from 1 to 18 sentences.")
    ] = None,
    as_json: Json = False,
    run: Measured,
) -> None:
    """Learn invented pages, one expert each: do they answer questions as the page in the context does?"""
    given = {} if sentences is None else {"sentences": whole_numbers("--sentences", sentences)}
    publish(opening.passages(run.load(), kind=kind, n=n, seed=run.seed, say=remark, **given), as_json)


@command(app)
def retention(
    facts: Facts,
    *,
    steps: Annotated[int, typer.Option("--steps", min=1, help="In which the other facts are learned.")] = 5,
    budget: Annotated[float, typer.Option("--budget", min=1, help="Seconds of training for the peer.")] = 300.0,
    peers: Annotated[bool, typer.Option("--peers/--no-peers", help="Beside peft LoRA, trained in sequence.")] = True,
    as_json: Json = False,
    run: Measured,
) -> None:
    """Learn some facts, then ten times as many others: what is left of the first ones after each step."""
    found = opening.retention(
        run.load(), facts, steps=steps, budget_seconds=budget, peers=peers, seed=run.seed, say=remark
    )
    publish(found, as_json)


@command(app)
def capacity(
    *,
    people: Annotated[int, typer.Option("--people", min=1, help="Whose lives are made up, six facts each.")] = 200,
    kinds: Kinds = _KINDS,
    as_json: Json = False,
    run: Measured,
) -> None:
    """Bits recalled for each byte stored, beside the two bits a parameter that training reaches."""
    publish(opening.capacity(run.load(), people=people, kinds=kinds.split(","), seed=run.seed, say=remark), as_json)


@command(data)
def check(
    facts: Facts,
    *,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="FILE", help="Held-out rows: say which of them stand in FACTS."),
    ] = None,
    known: Annotated[
        bool, typer.Option("--known/--no-known", help="Ask the plain model a sample of the questions.")
    ] = False,
    sample: Annotated[int, typer.Option("--sample", min=1, help="Facts that --known asks.")] = 64,
    seed: Seed = 0,
    as_json: Json = False,
    model: Model = DEFAULT_MODEL,
) -> None:
    """Look at facts before they are learned: lengths, duplicates, conflicts, what names nothing, a split."""
    if against is not None:
        if known:
            raise UsageError("--known and --against exclude each other")
        publish(opening.contained(facts, against), as_json)
        return
    llm = opening.load_model(model, None, Config()) if known else None
    publish(opening.check_data(facts, llm, sample=sample, seed=seed, say=remark), as_json)
