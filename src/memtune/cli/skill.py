"""`memtune skill …`: tasks that are learned from examples, one verb each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memtune.cli import opening
from memtune.cli.commands import command
from memtune.cli.faults import FAULT, stopped_by_hand
from memtune.cli.options import Author, Folder, Json, Measuring, Place
from memtune.cli.output import counted, print_json, print_lines, remark
from memtune.cli.progress import watching
from memtune.cli.questions import read_questions
from memtune.config import CASES

if TYPE_CHECKING:
    from memtune.skills import Learned, Record

app = typer.Typer(
    help="Skills, learned from examples of a task: learn, list, show, forget and judge them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_WIDE = 0.8
"""Share of its examples from which a gate is not called narrow."""

Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the skill.")]
AnswerField = Annotated[
    str | None, typer.Option("--answer-field", metavar="FIELD", help="The field that holds the answer, such as sql.")
]


@command(app)
def learn(
    examples: Annotated[
        Path, typer.Argument(metavar="EXAMPLES", help="Questions and answers: JSONL, JSON, CSV or Parquet.")
    ],
    *,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What the skill is called.")],
    about: Annotated[str, typer.Option("--about", metavar="TEXT", help="What it is for, in words.")] = "",
    answer_field: AnswerField = None,
    on_conflict: Annotated[
        str,
        typer.Option(
            "--on-conflict",
            metavar="error|keep-first|keep-last",
            help="What to do about one question with two answers.",
        ),
    ] = "error",
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of a skill of this name.")] = False,
    keep_worse: Annotated[
        bool, typer.Option("--keep-worse", help="Keep it even if the plain model does the task better.")
    ] = False,
    others: Annotated[
        Path | None,
        typer.Option("--others", metavar="FILE", help="Texts that must not open it, one per line or JSONL."),
    ] = None,
    as_json: Json = False,
    author: Author = None,
    place: Place,
) -> None:
    """Train a skill on examples of a task. A share of them is set aside and says whether it is worth having."""
    left_alone = read_questions(others) if others else []
    with watching(silent=as_json, thing="step") as watch, place.load_to_learn(author) as model:
        try:
            done = model.skills.learn(
                examples, name, about=about, answer_field=answer_field, on_conflict=on_conflict, replace=replace,
                keep_worse=keep_worse, others=left_alone, progress=watch,
            )  # fmt: skip
        except BaseException as fault:
            if stopped_by_hand(fault):
                raise KeyboardInterrupt("nothing was learned") from None
            raise
    _print_learned(done, as_json)
    if not done.kept:
        raise typer.Exit(FAULT)


@command(app, "list")
def list_skills(*, as_json: Json = False, folder: Folder) -> None:
    """List skills, one per line."""
    for record in opening.open_skills(folder.address).list():
        if as_json:
            print_json(record.to_json())
        else:
            print(_line(record))


@command(app)
def show(
    name: Name,
    *,
    examples: Annotated[
        bool, typer.Option("--examples", help="Print its examples instead, as JSONL that `skill learn` reads back.")
    ] = False,
    as_json: Json = False,
    folder: Folder,
) -> None:
    """Show how a skill was trained, what it is worth, and what opens its gate."""
    record = opening.open_skills(folder.address).show(name)
    if examples:
        for example in (*record.trained_on, *record.set_aside):
            print_json(example.to_row())
    elif as_json:
        print_json(record.to_json())
    else:
        print_lines(record.lines())


@command(app)
def forget(
    name: Name,
    *,
    purge: Annotated[
        bool, typer.Option("--purge", help="Take it and its examples out of every version, for good.")
    ] = False,
    as_json: Json = False,
    author: Author = None,
    folder: Folder,
) -> None:
    """Forget a skill. Afterwards the plain model answers what it was for."""
    skills = opening.open_skills(folder.address, author)
    found = skills.purge(name) if purge else skills.forget(name)
    if as_json:
        print_json({"purged": name, "versions": found} if purge else {"forgotten": name, "version": found})
    else:
        print(f"purged: {name}, from {counted(found, 'version')}" if purge else f"forgotten: {name}; version {found}")


@command(app, "eval")
def eval_(
    name: Name,
    *,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FILE", help="Examples of your own, not those it was trained on.")
    ] = None,
    answer_field: AnswerField = None,
    max_n: Annotated[int, typer.Option("--max-n", min=1, help="Examples at most.")] = CASES,
    as_json: Json = False,
    run: Measuring,
    place: Place,
) -> None:
    """Ask held-out examples with the skill and of the plain model, and see what else opens its gate."""
    run.begin()
    with place.load() as model:
        found = opening.judge_skill(
            model, name, data=None if data is None else str(data), answer_field=answer_field, max_n=max_n,
            seed=run.seed, say=remark,
        )  # fmt: skip
    if as_json:
        print_json(found.to_json())
    else:
        opening.show(found.sheets())


def _print_learned(done: Learned, as_json: bool) -> None:
    for failed in done.failed:
        typer.echo(f"left out: '{' '.join(failed.id.split()):.60}': {failed.reason}", err=True)
    if done.contradictions:
        remark(f"settled: {counted(len(done.contradictions), 'question')} with more than one answer")
    if done.worse:
        kept = "it is kept all the same" if done.kept else "it is not kept; --keep-worse keeps it"
        typer.echo(f"worse than the plain model: {done.worse}; {kept}", err=True)
    if as_json:
        print_json(done.to_json())
        return
    print_lines(done.record.lines())
    if done.record.gate["recall"] < _WIDE:
        remark(
            "hint: its gate is narrow; more examples in other words open it wider, or --set skill.false_opening=0.02"
        )
    if done.kept:
        print(f"version {done.version}")


def _line(record: Record) -> str:
    found = record.summary
    judged = f"{found.right} of {found.asked} exact, plain model {found.right_before}" if found.asked else "not judged"
    return (
        f"{record.name}  {len(record.trained_on):,} examples  {found.bytes:,} bytes  {judged}  {record.about}".rstrip()
    )
