"""`memtune demo`: a minute with an invented company, every line of it real output."""

from __future__ import annotations

import time
from contextlib import closing
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memtune.cli import opening
from memtune.cli.options import Model, Settings
from memtune.cli.output import sources, summary
from memtune.config import DEFAULT_MODEL, Config
from memtune.errors import UsageError

if TYPE_CHECKING:
    from memtune.core.reports import Answer
    from memtune.model import MemoryModel

FACTS = "demo_facts.jsonl"
FORGOTTEN, ITS_QUESTION = "price-halberd-40", "What does the Halberd 40 cost?"
ITS_NEIGHBOUR = "What does the Sparrow 7 cost?"
LEARNED_WORDINGS = (
    ITS_QUESTION,
    "Which SQL lists the open orders of a customer?",
    "What is the return policy of Quillmoor Robotics?",
)
OTHER_WORDINGS = (
    "How much is the Halberd 40?",
    "Who is in charge of Quillmoor Robotics?",
)
ABOUT_OTHER_THINGS = "What is the capital of France?"
SHORT: dict[str, Any] = {"max_new_tokens": 40}
"""The plain model may ramble."""


def demo(
    *,
    memory: Annotated[
        Path | None,
        typer.Option("--memory", metavar="DIR", help="Keep the demo's memory in this new folder."),
    ] = None,
    model: Model = DEFAULT_MODEL,
    settings: Settings = None,
) -> None:
    """Learn, ask and forget with an invented company. All of it is real, and takes well under a minute."""
    if memory and memory.exists():
        raise UsageError(f"{memory} is there already", hint="the demo starts with a new memory: name another folder")
    config = Config().with_settings(settings or ())
    with TemporaryDirectory() as passing:
        started = time.perf_counter()
        with closing(opening.load_model(model, memory or Path(passing) / "memory", config)) as company:
            print(f"The model '{model}' was loaded in {_since(started)}.")
            _before(company)
            _learn(company)
            _ask(company)
            _forget(company)
    print(f"\nAll of this took {_since(started)}.")


def _before(model: MemoryModel) -> None:
    _title("The plain model has never heard of this company")
    _show(model, ITS_QUESTION, memory=False, **SHORT)


def _learn(model: MemoryModel) -> None:
    _title("It learns what the company's papers say")
    with as_file(files("memtune.cli") / FACTS) as path:
        print(f"  {summary(model.learn(path))}")


def _ask(model: MemoryModel) -> None:
    _title("Asked in the wording that it learned")
    for question in LEARNED_WORDINGS:
        _show(model, question)
    _title("Asked in other words")
    for question in OTHER_WORDINGS:
        _show(model, question)
    _title("Asked about something else")
    _show(model, ABOUT_OTHER_THINGS, **SHORT)


def _forget(model: MemoryModel) -> None:
    _title(f"It forgets {FORGOTTEN}, and nothing else")
    started = time.perf_counter()
    model.forget(FORGOTTEN)
    print(f"  forgotten in {_since(started)}")
    answer = _show(model, ITS_QUESTION, **SHORT)
    plain = model.ask(ITS_QUESTION, memory=False, **SHORT)
    print(f"    {'exactly' if answer.text == plain.text else 'not'} what the plain model says")
    _show(model, ITS_NEIGHBOUR)


def _show(model: MemoryModel, question: str, **how: Any) -> Answer:
    """Ask, and print the question, the answer, what it rests on and how long it took."""
    started = time.perf_counter()
    answer: Answer = model.ask(question, **how)
    took = _since(started)
    print(f"  > {question}\n    {' '.join(answer.text.split())}")
    typer.secho(f"    {'; '.join(sources(answer))} · {took}", dim=True)
    return answer


def _title(text: str) -> None:
    typer.secho(f"\n{text}", bold=True)


def _since(start: float) -> str:
    seconds = time.perf_counter() - start
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
