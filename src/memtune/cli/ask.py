"""`memtune ask` and `memtune explain`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memtune.cli.options import Decoding, Json, KeepUnanswered, Place, System
from memtune.cli.output import print_answer, print_json, print_lines, remark, remark_source
from memtune.cli.questions import read_questions
from memtune.errors import NotFound, UsageError

if TYPE_CHECKING:
    from memtune.core.reports import Answer
    from memtune.model import MemoryModel

Prompt = str | list[dict[str, str]]


def ask(
    question: Annotated[str | None, typer.Argument(metavar="QUESTION", help="What to ask.")] = None,
    *,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            metavar="F",
            help="Questions, one per line or JSONL with 'question'; - is standard input.",
        ),
    ] = None,
    no_memory: Annotated[bool, typer.Option("--no-memory", help="Ask the plain model.")] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="The prompt is plain text to go on with: no chat template.")
    ] = False,
    system: System = None,
    schema: Annotated[
        str | None,
        typer.Option(
            "--schema",
            metavar="S",
            help='The answer is JSON that follows this: a file with a JSON schema, or {"price": "int"} itself.',
        ),
    ] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Print the answer while it is decoded.")] = False,
    as_json: Json = False,
    inbox: KeepUnanswered = False,
    decoding: Decoding,
    place: Place,
) -> None:
    """Ask a question, and see which facts the answer used."""
    if stream and as_json:
        raise UsageError("--stream and --json exclude each other")
    questions = _questions(question, file)
    prompts = [_prompt(text, system, raw) for text in questions]
    how: dict[str, Any] = {"memory": not no_memory, "raw": raw, **decoding.given}
    if schema is not None:
        how["schema"] = _read_schema(schema)
    place = place.keeping(unanswered=inbox)
    with place.load_plain() if no_memory else place.load() as model:
        if stream:
            for asked in prompts:
                print_stream(model, asked, how)
            return
        answers = _answers(model, prompts, place.config.decode.batch_size, how)
        for text, answer in zip(questions, answers, strict=True):
            if file and not as_json:
                remark(f"> {text}")
            print_answer(answer, as_json)


def explain(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What to ask.")],
    *,
    as_json: Json = False,
    place: Place,
) -> None:
    """Show which facts a question leads to, and why.

    What was asked, which facts were looked at, and why each was confirmed or refused.
    """
    with place.load() as model:
        explanation = model.explain(question)
    if as_json:
        print_json(explanation.to_json())
    else:
        print_lines(explanation.lines())


def print_stream(model: MemoryModel, question: Prompt, how: dict[str, Any]) -> Answer:
    """Print an answer while it is decoded, then what it rests on."""
    for piece in model.stream(question, **how):
        if isinstance(piece, str):
            print(piece, end="", flush=True)
        else:
            answer = piece
    print(flush=True)
    remark_source(answer)
    return answer


def _questions(question: str | None, file: Path | None) -> list[str]:
    if (question is None) == (file is None):
        raise UsageError("ask either a question or the questions of a --file", hint='memtune ask "What …?"')
    return read_questions(file) if file else [question or ""]


def _prompt(question: str, system: str | None, raw: bool) -> Prompt:
    """The question alone, or after a system prompt."""
    if not question.strip():
        raise UsageError("the question is empty")
    if system is None:
        return question
    if raw:
        raise UsageError("--system and --raw exclude each other", hint="write the system text into the prompt itself")
    return [{"role": "system", "content": system}, {"role": "user", "content": question}]


def _read_schema(given: str) -> Any:
    """A schema as it stands, or the file that holds it."""
    written = given.lstrip().startswith(("{", "[", '"'))
    path = Path(given)
    if not written and not path.is_file():
        raise NotFound(f"there is no file '{given}'", hint="""name a file, or write --schema '{"price": "int"}'""")
    try:
        return json.loads(given if written else path.read_text(encoding="utf-8"))
    except ValueError as fault:
        raise UsageError(f"the schema is no JSON: {fault}") from None


def _answers(model: MemoryModel, prompts: list[Prompt], batch: int, how: dict[str, Any]) -> Iterator[Answer]:
    """Bare questions side by side, a batch at a time; chats one after the other."""
    questions = [text for text in prompts if isinstance(text, str)]
    for start in range(0, len(questions), batch):
        yield from model.ask(questions[start : start + batch], **how)
    for chat in (messages for messages in prompts if not isinstance(messages, str)):
        yield model.ask(chat, **how)
