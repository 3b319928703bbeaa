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
from memtune.certify import Certificate, Shown
from memtune.cli import app, opening
from memtune.config import AdmissionConfig
from memtune.consolidation import Consolidated
from memtune.core.facts import Fact
from memtune.core.reports import Answer, LearnReport, Used
from memtune.evaluate.output import Sheet
from memtune.inbox import Unanswered
from memtune.life import Life
from memtune.migrate import Migrated
from memtune.peft_export import Adapter
from memtune.rebase import Rebased
from memtune.router.report import RouterReport
from memtune.serve.keys import Key
from memtune.skills import Example, Learned, Record, Summary
from memtune.store import Commit, Counts
from memtune.store.accounts import Purged, Version
from memtune.store.collect import Collected
from memtune.store.difference import Difference
from memtune.store.merge import Merged
from memtune.store.regroup import Regrouped
from memtune.transfer import Moved

FACT = Fact(id="f1", question="What is up?", answer="The sky.", source="book", group="sky")
UNANSWERED = Unanswered("q1", "How deep is the sea?", "base", 3, "2026-01-01", "2026-02-01")
COMMIT = Commit(3, (), "2026-01-01T00:00:00+00:00", "ada@sea", "learn 1 facts", "learn", "main", Counts(added=1), 1)
VERSION = Version(COMMIT, "abc", ("main",))
CHANGE = Difference(added={"f1": FACT}, changed={}, removed={})
ROUTING = RouterReport("lexical", "exact", "", {"given": 1}, 0.8, "", None)
SKILL = Record(
    "sql", "tables", "lora", {}, 2, 7, Summary(9, 8, 2.0, 0.5, 5, 1, 4, 1.5, 900),
    {"examples": 27, "others": 230, "rate": 0.01, "recall": 0.9, "false_firing": 0.005},
    set_aside=(Example(({"role": "user", "content": "Count."},), "SELECT 1"),),
)  # fmt: skip
KEY = Key("abc", "shop", frozenset({"ask"}), frozenset({"acme"}), frozenset({"wages"}), 9, 0.0, 60.0, 120.0)
ANSWER = Answer("The sky.", facts=(Used("f1", 0.987654, "book"),), fired=True, version=3)


@dataclass
class Call:
    """One thing that a command asked of the library."""

    verb: str
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


class FakeHistory:
    """Stands for a memory's history: every verb is noted."""

    folder = SimpleNamespace(path=Path("memory"))
    admission = AdmissionConfig()

    def __init__(self, library: Library) -> None:
        self._library = library

    def log(self, **how: Any) -> list[Any]:
        self._library._note("log", **how)
        return [VERSION]

    def audit(self) -> list[dict[str, Any]]:
        self._library._note("audit")
        return [{"act": "learn"}]

    def candidates(self) -> dict[str, int]:
        return {"candidate": 4}

    def show(self, version: Any) -> tuple[Any, Any]:
        self._library._note("show", version)
        return VERSION, CHANGE

    def diff(self, *versions: Any) -> Any:
        self._library._note("diff", *versions)
        return CHANGE

    def stats(self) -> Any:
        self._library._note("stats")
        return SimpleNamespace(to_json=lambda: {"facts": 1}, lines=lambda: ["1 fact"])

    def merge(self, other: str, **how: Any) -> Any:
        self._library._note("merge", other, **how)
        return Merged(5, added=2)

    def gc(self, **how: Any) -> Any:
        self._library._note("gc", **how)
        return Collected(1, 2, 3)

    def names(self, kind: str) -> dict[str, int]:
        self._library._note("names", kind)
        return {"main": 3}

    def admit(self, admission: AdmissionConfig) -> None:
        self._library._note("admit", **vars(admission))

    def __getattr__(self, verb: str) -> Any:
        return lambda *args, **how: self._library._note(verb, *args, **how)

    def __enter__(self) -> FakeHistory:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class FakeSkills:
    """Stands for a memory's skills: every verb is noted, with the word skill behind it."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def learn(self, examples: Any, name: str, progress: Any = None, **how: Any) -> Learned:
        self._library._note("learn_skill", examples, name=name, **how)
        return Learned(SKILL, self._library.version, self._library.worse)

    def list(self) -> Any:
        self._library._note("list_skills")
        return [SKILL]

    def show(self, name: str) -> Record:
        self._library._note("show_skill", name)
        return SKILL

    def __getattr__(self, verb: str) -> Any:
        return lambda name: self._library._note(f"{verb}_skill", name)


class FakeKeys:
    """Stands for the keys of a server: every verb is noted, with the word key behind it."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def add(self, name: str, scopes: Any, **how: Any) -> tuple[str, Key]:
        self._library._note("add_key", name, scopes, **how)
        return "mt-secret", KEY

    def list(self) -> list[Key]:
        self._library._note("list_keys")
        return [KEY]

    def revoke(self, name: str) -> Key:
        self._library._note("revoke_key", name)
        return KEY

    def __enter__(self) -> FakeKeys:
        return self

    def __exit__(self, *_: object) -> None:
        pass


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
    routing: RouterReport = ROUTING
    worse: str = ""

    def load(self, model: str, memory: Any, config: Any, author: str | None = None) -> Library:
        self._note("load", model=model, memory=memory, config=config, author=author)
        return self

    def open_history(self, memory: Any, author: str | None) -> FakeHistory:
        self._note("open", memory=memory, author=author)
        return FakeHistory(self)

    def repair(self, memory: Any) -> list[str]:
        self._note("repair", memory=memory)
        return ["the catalogue was made anew, 1 segments"]

    @property
    def refs(self) -> Any:
        return SimpleNamespace(latest=sum(call.verb == "learn" for call in self.calls))

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

    def router_report(self) -> RouterReport:
        self._note("router_report")
        return self.routing

    def calibration(self, **how: Any) -> None:
        self._note("calibration", **how)

    @property
    def inbox(self) -> Any:
        return self

    @property
    def skills(self) -> FakeSkills:
        return FakeSkills(self)

    def open_skills(self, memory: Any, author: str | None = None) -> FakeSkills:
        self._note("open", memory=memory, author=author)
        return FakeSkills(self)

    def open_inbox(self, memory: Any) -> Library:
        return self.open(memory)

    def open_keys(self, data: Any, *, make: bool = False) -> FakeKeys:
        self._note("open", data=data)
        return FakeKeys(self)

    def list(self) -> Any:
        self._note("list")
        return [UNANSWERED]

    def show(self, question_id: str) -> Any:
        self._note("show", question_id)
        return UNANSWERED

    def drop(self, *ids: str) -> tuple[str, ...]:
        self._note("drop", *ids)
        return ids

    def clear(self) -> int:
        return self._note("clear")

    def teach(self, question_id: str, answer: str, **how: Any) -> LearnReport:
        self._note("teach", question_id, answer=answer, **how)
        return self.report

    def update(self, fact_id: str, **how: Any) -> int:
        return self._note("update", fact_id, **how)

    def forget(self, *ids: str, **how: Any) -> list[str]:
        self._note("forget", *ids, **how)
        return list(ids)

    def phrase(self, fact_id: str, text: str, **how: Any) -> int:
        return self._note("phrase", fact_id, text, **how)

    def facts(self, where: Any = None, limit: int | None = None) -> list[Fact]:
        self._note("facts", where=where, limit=limit)
        return [FACT]

    exported = facts

    def life_of(self, memory: Any, fact_id: str) -> Life:
        self._note("open", memory=memory)
        return Life(FACT, "active", {"version": 3, "time": "2026-01-01", "author": "ada@sea", "act": "learn"})

    def facts_in(self, memory: Any, state: str, where: Any) -> Any:
        self._note("facts", state=state, where=where)
        return [FACT]

    def certify(self, fact_id: str | None = None, **how: Any) -> Certificate:
        self._note("certify", fact_id, **how)
        shown = [Shown("up?", "aa", "bb", "aa", "bb", 2, "The")]
        return Certificate(fact_id, "memory", 3, "abc", "bundled", "def", "cpu", shown)

    def purge(self, *ids: str) -> Purged:
        self._note("purge", *ids)
        return Purged([*ids], 1, 0, 0, [2])

    def refresh(self) -> bool:
        return False

    def consolidate(self, **how: Any) -> Consolidated:
        self._note("consolidate", **how)
        if "but" in how:
            raise KeyboardInterrupt  # `--every` goes on until then
        return Consolidated(9, 9, version=4)

    def regroup(self) -> Regrouped:
        self._note("regroup")
        return Regrouped(4, 9, 1, 9)

    def rebase(self, source: Any) -> Rebased:
        self._note("rebase", source)
        return Rebased("bundled", 2, 2, version=1)

    def migrate(self, memory: Any) -> Migrated:
        self._note("migrate", memory=memory)
        return Migrated(1, 2, 5, 8, keys=True)

    def export_adapter(self, name: str, directory: Any) -> Adapter:
        self._note("export_adapter", name, directory)
        return Adapter(str(directory), name, 8, 14, 100)

    def move(self, verb: str) -> Callable[..., Moved]:
        def moved(*args: Any) -> Moved:
            self._note(verb, *args)
            return Moved("there", 3, 1, 1, 100)

        return moved

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

    def note(self, *args: Any) -> int:
        return self._note("note", *args)

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


@dataclass
class FakeFigures:
    """Stands for whatever an evaluation found."""

    version: int = 3
    after: Any = "after"

    def to_json(self) -> dict[str, Any]:
        return {"rungs": {}}

    def sheets(self) -> list[Any]:
        return [Sheet("figures", ["rung", "exact"], [["memory", "100 %"]])]

    def summary(self) -> str:
        return "all right"

    data = to_json

    def yaml(self) -> str:
        return "r_value: 8\n"


MEASURED = ("judge_skill", "evaluate", "race", "sweep", "use", "passages", "retention", "capacity", "check_data",
            "contained", "card_of", "card_of_race")  # fmt: skip
STEP = SimpleNamespace(title="1. Look", lines=["so"], sheets=[])


def _fake_evaluation(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(name: str) -> Callable[..., FakeFigures]:
        def measure(*args: Any, say: Any = None, command: str = "", **options: Any) -> FakeFigures:
            library._note(name, *(a for a in args if a is not library and not isinstance(a, FakeFigures)), **options)
            return FakeFigures()

        return measure

    def recipe(model: Any, facts: Any, say: Any, **options: Any) -> tuple[FakeFigures, list[Any]]:
        library._note("recipe", facts, **options)
        return FakeFigures(), [STEP]

    def write_card(card: Any, out: Path, replace: bool) -> list[Path]:
        library._note("write_card", out, replace)
        return [out / "card.html"]

    for name in MEASURED:
        monkeypatch.setattr(opening, name, measured(name))
    monkeypatch.setattr(opening, "recipe", recipe)
    monkeypatch.setattr(opening, "write_card", write_card)
    monkeypatch.setattr(opening, "today", lambda: "2026-01-01")
    monkeypatch.setattr(opening, "use_threads", lambda threads: library._note("use_threads", threads))
    monkeypatch.setattr(opening, "new_memory", lambda model, memory, config: library.load(model, memory, config))


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    library = Library()
    monkeypatch.setattr(opening, "load_model", library.load)
    monkeypatch.setattr(opening, "open_folder", library.open)
    monkeypatch.setattr(opening, "open_history", library.open_history)
    for name in ("repair", "life_of", "facts_in", "migrate"):
        monkeypatch.setattr(opening, name, getattr(library, name))
    for name in ("export", "import_memory", "push", "pull"):
        monkeypatch.setattr(opening, name, library.move(name))
    monkeypatch.setattr(opening, "open_inbox", library.open_inbox)
    monkeypatch.setattr(opening, "open_skills", library.open_skills)
    monkeypatch.setattr(opening, "open_keys", library.open_keys)
    monkeypatch.setattr(opening, "serve", lambda data, config, say, **how: library._note("serve", data, config, **how))
    _fake_evaluation(library, monkeypatch)
    monkeypatch.setattr(backbones, "bundled_folder", lambda: Path("bundled"))
    return library


@pytest.fixture
def memtune() -> Callable[..., Result]:
    """Run the command line in this process."""
    runner = CliRunner()

    def run(*args: str, **how: Any) -> Result:
        return runner.invoke(app, [str(arg) for arg in args], prog_name="memtune", **how)

    return run
