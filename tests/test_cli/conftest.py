"""A model and a folder that only write down what the commands ask of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from memtune import backbones
from memtune.cli import app, opening
from memtune.core.facts import Fact
from memtune.core.reports import Answer, LearnReport, Used

FACT = Fact(id="f1", question="What is up?", answer="The sky.", source="book", group="sky")
ANSWER = Answer("The sky.", facts=(Used("f1", 0.987654, "book"),), fired=True, version=3)


@dataclass
class Call:
    """One thing that a command asked of the library."""

    verb: str
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class Library:
    """Stands for the model and for the folder: notes every call, gives back what it was told to."""

    calls: list[Call] = field(default_factory=list)
    answer: Answer = ANSWER
    report: LearnReport = field(default_factory=lambda: LearnReport(facts=1, learned=1, seconds=0.5, version=3))
    progress: list[Any] = field(default_factory=list)
    fault: BaseException | None = None
    problems: list[str] = field(default_factory=list)
    version: int = 3

    def load(self, model: str, memory: Any, config: Any) -> Library:
        self._note("load", model=model, memory=memory, config=config)
        return self

    def open(self, memory: Any) -> Library:
        self._note("open", memory=memory)
        return self

    def learn(self, facts: Any, progress: Callable[[Any], None] | None = None, **how: Any) -> LearnReport:
        for step in self.progress if progress else ():
            progress(step)
        self._note("learn", facts, **how)
        return self.report

    def ask(self, question: Any, **how: Any) -> Answer | list[Answer]:
        self._note("ask", question, **how)
        many = isinstance(question, list) and isinstance(question[0], str)
        return [self.answer] * len(question) if many else self.answer

    def stream(self, question: Any, **how: Any) -> Iterator[str | Answer]:
        self._note("stream", [*question] if isinstance(question, list) else question, **how)
        yield from ("The ", "sky.", self.answer)

    def explain(self, question: Any, **how: Any) -> Any:
        self._note("explain", question, **how)
        return SimpleNamespace(to_json=lambda: {"asked": "up"}, lines=lambda: ["asked: up", "confirmed: f1"])

    def update(self, fact_id: str, **how: Any) -> int:
        return self._note("update", fact_id, **how)

    def forget(self, *ids: str, **how: Any) -> list[str]:
        self._note("forget", *ids, **how)
        return list(ids)

    def phrase(self, fact_id: str, text: str) -> int:
        return self._note("phrase", fact_id, text)

    def facts(self, where: Any = None, limit: int | None = None) -> list[Fact]:
        self._note("facts", where=where, limit=limit)
        return [FACT]

    def fact(self, fact_id: str) -> Fact:
        self._note("fact", fact_id)
        return FACT

    @property
    def header(self) -> Any:
        return SimpleNamespace(backbone={"name": "bundled"})

    def count(self) -> int:
        return 1

    def verify(self) -> list[str]:
        self._note("verify")
        return self.problems

    def close(self) -> None:
        pass

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def last(self, verb: str) -> Call:
        return [call for call in self.calls if call.verb == verb][-1]

    def _note(self, verb: str, *args: Any, **options: Any) -> int:
        self.calls.append(Call(verb, args, options))
        if self.fault and verb not in ("load", "open"):
            raise self.fault
        return self.version


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    library = Library()
    monkeypatch.setattr(opening, "load_model", library.load)
    monkeypatch.setattr(opening, "open_folder", library.open)
    monkeypatch.setattr(backbones, "bundled_folder", lambda: Path("bundled"))
    return library


@pytest.fixture
def memtune() -> Callable[..., Result]:
    """Run the command line in this process."""
    runner = CliRunner()

    def run(*args: str, **how: Any) -> Result:
        return runner.invoke(app, [str(arg) for arg in args], prog_name="memtune", **how)

    return run
