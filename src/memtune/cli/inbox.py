"""`memtune inbox …`: questions that went unanswered, one verb each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from memtune.cli.commands import command
from memtune.cli.faults import FAULT
from memtune.cli.options import Folder, Json, Place
from memtune.cli.output import counted, print_json, print_lines, print_report

if TYPE_CHECKING:
    from memtune.inbox import Unanswered

app = typer.Typer(
    help="Questions that went unanswered: list, show, teach and drop them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The id of the question.")]


@command(app, "list")
def list_questions(
    *,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Questions to list at most.")] = None,
    as_json: Json = False,
    folder: Folder,
) -> None:
    """List questions, what was asked most often first."""
    for question in folder.inbox().list()[:limit]:
        if as_json:
            print_json(question.to_json())
        else:
            print(_line(question))


@command(app)
def show(question_id: Id, *, as_json: Json = False, folder: Folder) -> None:
    """Show everything about one question."""
    row = folder.inbox().show(question_id).to_json()
    if as_json:
        print_json(row)
    else:
        print_lines(f"{name}: {value}" for name, value in row.items())


@command(app)
def drop(
    question_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The ids of the questions.")],
    *,
    as_json: Json = False,
    folder: Folder,
) -> None:
    """Take questions out of the inbox."""
    gone = list(folder.inbox().drop(*question_ids))
    if as_json:
        print_json({"dropped": gone})
    else:
        print(f"dropped: {', '.join(gone)}")


@command(app)
def clear(*, as_json: Json = False, folder: Folder) -> None:
    """Take all questions out of the inbox."""
    number = folder.inbox().clear()
    if as_json:
        print_json({"dropped": number})
    else:
        print(f"dropped: {counted(number, 'question')}")


@command(app)
def teach(
    question_id: Id,
    *,
    answer: Annotated[str, typer.Option("--answer", metavar="TEXT", help="The answer, recalled word for word.")],
    question: Annotated[
        str | None, typer.Option("--question", metavar="Q", help="Its full wording, where it was masked.")
    ] = None,
    as_json: Json = False,
    place: Place,
) -> None:
    """Learn a question with an answer, and take it out of the inbox."""
    with place.load() as model:
        report = model.inbox.teach(question_id, answer, question=question)
    print_report(report, as_json)
    if report.failed:
        raise typer.Exit(FAULT)


def _line(question: Unanswered) -> str:
    return f"{question.id}  {question.count}×  {question.why}  {' '.join(question.question.split()) or '(not kept)'}"
