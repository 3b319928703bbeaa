"""`memtune facts …`: the facts of a memory, one verb each."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memtune.cli import opening
from memtune.cli.commands import command
from memtune.cli.faults import FAULT
from memtune.cli.options import Author, Folder, Json, Place, Where, conditions
from memtune.cli.output import counted, print_json, print_lines, print_report, remark, write_lines
from memtune.core.facts import STATES
from memtune.errors import BadRows, ConflictError, InputError, UsageError

if TYPE_CHECKING:
    from memtune.core.facts import Fact

app = typer.Typer(
    help="List, show, add, update, forget and export the facts of a memory.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="The ids of the facts.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The id of the fact.")]
Question = Annotated[str, typer.Option("--question", metavar="Q", help="The wording that is learned.")]
Answer = Annotated[str, typer.Option("--answer", metavar="TEXT", help="The answer, recalled word for word.")]
Phrasings = Annotated[
    list[str] | None,
    typer.Option("--phrasing", metavar="TEXT", help="Another wording of the question; may be repeated."),
]


@command(app, "list")
def list_facts(
    *,
    where: Where = None,
    state: Annotated[
        str | None, typer.Option("--state", metavar="|".join(STATES), help="Only facts in this state.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Facts to list at most.")] = None,
    as_json: Json = False,
    folder: Folder,
) -> None:
    """List facts, one per line."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    if state is not None:
        _print_facts(opening.facts_in(folder.address, state, conditions(where))[:limit], as_json, width)
        return
    with folder.open() as memory:
        _print_facts(memory.facts(conditions(where), limit=limit), as_json, width)


@command(app)
def show(fact_id: Id, *, as_json: Json = False, folder: Folder) -> None:
    """Show everything about one fact: also what has become of it, and who taught it when."""
    found = opening.life_of(folder.address, fact_id)
    if as_json:
        print_json(found.to_json())
    else:
        print_lines(found.lines())


@command(app)
def add(
    *,
    question: Question,
    answer: Answer,
    fact_id: Annotated[str | None, typer.Option("--id", metavar="ID", help="Its id; made up if not given.")] = None,
    source: Annotated[str | None, typer.Option("--source", metavar="TEXT", help="Where it comes from.")] = None,
    group: Annotated[str | None, typer.Option("--group", metavar="TEXT", help="The topic that it belongs to.")] = None,
    phrasing: Phrasings = None,
    valid_from: Annotated[
        str | None, typer.Option("--valid-from", metavar="TIME", help="A date or time before which it answers nothing.")
    ] = None,
    valid_until: Annotated[
        str | None,
        typer.Option("--valid-until", metavar="TIME", help="The last day, or the time, at which it answers."),
    ] = None,
    as_json: Json = False,
    author: Author = None,
    place: Place,
) -> None:
    """Teach one fact."""
    row = {"id": fact_id, "question": question, "answer": answer, "source": source, "group": group}
    row |= {"valid_from": valid_from, "valid_until": valid_until}
    with _faults_of_one_fact(), place.load_to_learn(author) as model:
        report = model.learn([{**row, "phrasings": phrasing or []}])
    print_report(report, as_json)
    if report.failed:
        raise typer.Exit(FAULT)


@command(app)
def update(fact_id: Id, *, answer: Answer, as_json: Json = False, author: Author = None, place: Place) -> None:
    """Give a fact another answer."""
    with place.load(author) as model:
        version = model.update(fact_id, answer=answer)
    _print_change("updated", [fact_id], version, as_json)


@command(app)
def forget(
    fact_ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="The ids of the facts.")] = None,
    *,
    where: Where = None,
    as_json: Json = False,
    author: Author = None,
    place: Place,
) -> None:
    """Forget facts. Afterwards the model answers as if it had never learned them."""
    if not fact_ids and not where:
        raise UsageError("forget which facts?", hint="name their ids, or pass --where field=value")
    with place.load(author) as model:
        forgotten = model.forget(*fact_ids or (), where=conditions(where))
        _print_change("forgotten", forgotten, model.version, as_json)


@command(app)
def phrase(
    fact_id: Id,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Another wording of its question.")],
    *,
    never: Annotated[bool, typer.Option("--not", help="An example that must not lead to the fact.")] = False,
    as_json: Json = False,
    author: Author = None,
    place: Place,
) -> None:
    """Give a fact another wording of its question."""
    with place.load(author) as model:
        version = model.phrase(fact_id, text, never=never)
    _print_change("phrased", [fact_id], version, as_json)


@command(app)
def archive(fact_ids: Ids, *, as_json: Json = False, author: Author = None, folder: Folder) -> None:
    """Set facts aside: they stay in the memory and answer nothing."""
    with folder.open_history(author) as history:
        version = history.archive(*fact_ids)
    _print_change("archived", fact_ids, version, as_json)


@command(app)
def restore(fact_ids: Ids, *, as_json: Json = False, author: Author = None, folder: Folder) -> None:
    """Let archived facts answer again."""
    with folder.open_history(author) as history:
        version = history.restore(*fact_ids)
    _print_change("restored", fact_ids, version, as_json)


@command(app)
def export(
    *,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write here, not to standard output.")
    ] = None,
    where: Where = None,
    folder: Folder,
) -> None:
    """Export facts as JSONL that `memtune learn` reads back."""
    with folder.open() as memory:
        rows = (json.dumps(fact.to_row(), ensure_ascii=False) for fact in memory.exported(conditions(where)))
        if out is None:
            print_lines(rows)
        else:
            remark(f"{counted(write_lines(out, rows), 'fact')} written to {out}")


@contextmanager
def _faults_of_one_fact() -> Iterator[None]:
    """What is said about the rows of a file, said about one fact."""
    try:
        yield
    except BadRows as fault:
        raise InputError(fault.problems[0].removeprefix("row 1: ")) from fault
    except ConflictError as fault:
        hint = "`memtune facts update ID --answer TEXT` changes the answer of the fact that is there"
        raise ConflictError(fault.message, hint=hint) from fault


def _print_facts(facts: Iterable[Fact], as_json: bool, width: int | None) -> None:
    for fact in facts:
        if as_json:
            print_json(fact.to_row())
        else:
            print(_line(fact)[:width])


def _line(fact: Fact) -> str:
    return f"{fact.id}  {' '.join(fact.question.split())}  {' '.join(fact.answer.split())}"


def _print_change(done: str, ids: list[str], version: int, as_json: bool) -> None:
    if as_json:
        print_json({done: ids, "version": version})
    else:
        print(f"{done}: {', '.join(ids) or 'nothing'}; version {version}")
