"""`memtune eval`, `compare`, `recipe` and `sweep`: figures that can be repeated, beside what they have to be beside."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memtune.cli import opening
from memtune.cli.options import DEFAULT_MEMORY, Json, Measured, Measuring, Model, Place
from memtune.cli.output import print_json, print_lines, remark, write_lines
from memtune.config import CASES, DEFAULT_MODEL, LADDER, RACE, UNRELATED, Config
from memtune.errors import UsageError

if TYPE_CHECKING:
    from memtune.evaluate.card import Card

Facts = Annotated[str, typer.Argument(metavar="FACTS", help="A file of facts: JSONL, CSV, Parquet.")]
MaxN = Annotated[int, typer.Option("--max-n", min=1, help="Cases of each form at most, drawn by --seed.")]
Texts = Annotated[
    list[Path] | None, typer.Option("--text", metavar="FILE", help="Held-out text, for bits per byte; may be repeated.")
]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write the card: card.html, .md and .json.")]
Replace = Annotated[bool, typer.Option("--replace", help="Write over a card that is there.")]


def eval_(
    *,
    ladder: Annotated[
        str, typer.Option("--ladder", metavar="A,B,…", help="The ways of answering, with commas between.")
    ] = ",".join(LADDER),
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FILE", help="Questions of your own; see docs/evaluation.md.")
    ] = None,
    text: Texts = None,
    choices: Annotated[
        list[Path] | None,
        typer.Option("--choices", metavar="FILE", help="Questions with wrong answers, to choose; may be repeated."),
    ] = None,
    unrelated: Annotated[
        int, typer.Option("--unrelated", min=0, help="Prompts about other things, compared bit for bit.")
    ] = UNRELATED,
    max_n: MaxN = CASES,
    out: Out = None,
    replace: Replace = False,
    note: Annotated[bool, typer.Option("--note/--no-note", help="Keep the summary with the memory's version.")] = True,
    as_json: Json = False,
    run: Measuring,
    place: Place,
) -> None:
    """Ask a memory what it learned and what it did not, beside other ways of answering."""
    _require_room(out, replace)
    run.begin()
    with place.load() as model:
        found = opening.evaluate(
            model,
            ladder=_names(ladder),
            data=data,
            texts=text or (),
            choices=choices or (),
            unrelated=unrelated,
            max_n=max_n,
            seed=run.seed,
            say=remark,
        )
        publish(found, as_json)
        if out is not None:
            _write(opening.card_of(found, model, **_context(max_n=max_n, seed=run.seed)), out, replace)
        if note:
            model.note(found.version, found.summary(), found.data())


def compare(
    facts: Facts,
    *,
    against: Annotated[
        str, typer.Option("--with", metavar="A,B,…", help="The contenders, with commas between.")
    ] = ",".join(RACE),
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FILE", help="Other wordings and near misses of your own.")
    ] = None,
    text: Texts = None,
    budget: Annotated[float, typer.Option("--budget", min=1, help="Seconds of training for each contender.")] = 60.0,
    equal_bytes: Annotated[
        bool, typer.Option("--equal-bytes", help="Give peft-lora as many bytes as the memory has.")
    ] = False,
    max_n: MaxN = CASES,
    out: Out = None,
    replace: Replace = False,
    as_json: Json = False,
    run: Measured,
) -> None:
    """Race memtune against other ways of keeping the same facts, on one model in one run."""
    _require_room(out, replace)
    found = opening.race(
        run.load(),
        facts,
        _names(against),
        data=data,
        texts=text or (),
        budget_seconds=budget,
        equal_bytes=equal_bytes,
        max_n=max_n,
        seed=run.seed,
        say=remark,
    )
    publish(found, as_json)
    if out is not None:
        _write(opening.card_of_race(found, **_context(max_n=max_n, seed=run.seed)), out, replace)


def recipe(
    facts: Facts,
    *,
    memory: Annotated[Path, typer.Option("--memory", metavar="DIR", help="The memory to make.")] = DEFAULT_MEMORY,
    max_n: MaxN = CASES,
    out: Out = None,
    replace: Replace = False,
    as_json: Json = False,
    run: Measured,
) -> None:
    """Go from a file of facts to a memory step by step: data, baselines, one fact, ten, all, what holds, what next."""
    _require_room(out, replace)
    run.begin()
    with opening.new_memory(run.model, memory, run.config) as llm:
        found, steps = opening.recipe(llm, facts, max_n=max_n, seed=run.seed, say=remark)
        for step in steps:
            if not as_json:
                _show(step.title, step.lines, step.sheets)
        if as_json:
            publish(found, as_json=True)
        if out is not None and found.after is not None:
            _write(opening.card_of(found.after, llm, **_context(max_n=max_n, seed=run.seed)), out, replace)


def sweep(
    facts: Facts,
    *,
    grid: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=A,B,…", help="A setting and the values to try; may be repeated."),
    ] = None,
    method: Annotated[
        str, typer.Option("--method", metavar="M", help="peft-lora, or a kind of memory such as imprint.")
    ] = "peft-lora",
    max_steps: Annotated[
        int, typer.Option("--max-steps", min=1, help="Of training, where a run goes to the end.")
    ] = 100,
    max_n: Annotated[int, typer.Option("--max-n", min=1, help="Facts at most, drawn by --seed.")] = CASES,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.yaml", help="Write the settings of the best run.")
    ] = None,
    as_json: Json = False,
    run: Measuring,
    model: Model = DEFAULT_MODEL,
) -> None:
    """Try a grid of settings on a sample of facts; poor runs stop early."""
    wanted = _grid(grid)
    run.begin()
    found = opening.sweep(
        opening.load_model(model, None, Config()),
        facts,
        wanted,
        method=method,
        max_steps=max_steps,
        max_n=max_n,
        seed=run.seed,
        say=remark,
    )
    publish(found, as_json)
    if out is not None:
        write_lines(out, found.yaml().splitlines())
        remark(f"written to {out}")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _grid(given: Sequence[str] | None) -> dict[str, list[str]]:
    """`["r_value=8,16"]` → `{"r_value": ["8", "16"]}`."""
    grid: dict[str, list[str]] = {}
    for text in given or ():
        name, equals, values = text.partition("=")
        if not equals or not _names(values):
            raise UsageError(
                f"'{text}' sets nothing", hint="write NAME=VALUE,VALUE as in --set learning_rate=1e-3,3e-3"
            )
        grid[name.strip()] = grid.get(name.strip(), []) + _names(values)
    return grid


def _require_room(out: Path | None, replace: bool) -> None:
    """What can go wrong is said before anything is loaded."""
    if out is not None:
        opening.require_card_folder(out, replace)


def _context(**settings: object) -> dict[str, Any]:
    command = "memtune " + " ".join(shlex.quote(word) for word in sys.argv[1:])
    return {"date": opening.today(), "command": command, "settings": settings}


def publish(found: Any, as_json: bool) -> None:
    if as_json:
        print_json(opening.as_plain(found))
    else:
        opening.show(found.sheets())


def _show(title: str, lines: Sequence[str], sheets: Sequence[Any]) -> None:
    if title:
        print_lines(["", title])
    print_lines(lines)
    opening.show(sheets)


def _write(card: Card, out: Path, replace: bool) -> None:
    for path in opening.write_card(card, out, replace):
        remark(f"written to {path}")
