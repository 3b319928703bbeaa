"""The memory folder against a dictionary, in whatever order things happen."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from memtune.core.facts import Fact, wording_hash
from memtune.store import MemoryFolder

texts = st.text(min_size=1, max_size=8).map(str.strip).filter(lambda text: text and text.isprintable())


class Memory(RuleBasedStateMachine):
    """`held` is what the memory must hold, in order; `readers` stay at the version that they saw."""

    def __init__(self) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp()) / "m"
        self.folder = MemoryFolder.create(self.path, backbone={}, settings={})
        self.held: dict[str, Fact] = {}
        self.readers: list[tuple[MemoryFolder, dict[str, Fact]]] = []
        self.made = 0

    def new(self, answers: list[str]) -> list[Fact]:
        self.made += len(answers)
        numbers = range(self.made - len(answers), self.made)
        return [Fact(f"f{n}", f"What is {n}?", a, group=a[:1]) for n, a in zip(numbers, answers, strict=True)]

    @rule(answers=st.lists(texts, min_size=1, max_size=6), commit=st.booleans())
    def learn(self, answers: list[str], commit: bool) -> None:
        facts = self.new(answers)
        with self.folder.writer() as writer:
            writer.add_segment(facts, {})
            if commit:
                writer.commit("learn")
                self.held |= {fact.id: fact for fact in facts}

    @precondition(lambda self: self.held)
    @rule(data=st.data(), commit=st.booleans())
    def forget(self, data: st.DataObject, commit: bool) -> None:
        ids = data.draw(st.lists(st.sampled_from(sorted(self.held)), min_size=1, unique=True))
        with self.folder.writer() as writer:
            writer.drop(ids)
            if commit:
                writer.commit("forget")
                for id_ in ids:
                    del self.held[id_]

    @precondition(lambda self: self.held)
    @rule(data=st.data(), answer=texts)
    def update(self, data: st.DataObject, answer: str) -> None:
        old = self.held.pop(data.draw(st.sampled_from(sorted(self.held))))
        new = Fact(old.id, old.question, answer, old.phrasings, group=answer[:1])
        with self.folder.writer() as writer:
            writer.drop([old.id])
            writer.add_segment([new], {})
            writer.commit("update")
        self.held[new.id] = new

    @rule()
    def reopen(self) -> None:
        self.readers.append((self.folder, dict(self.held)))
        self.folder = MemoryFolder.open(self.path)

    @invariant()
    def same_as_the_model(self) -> None:
        for folder, held in [(self.folder, self.held), *self.readers]:
            assert list(folder.facts()) == list(held.values())
            assert folder.count() == len(held)
            assert folder.find(f"f{n}" for n in range(self.made)).keys() == held.keys()
            group = next((fact.group for fact in held.values()), "none") or ""
            assert folder.count({"group": group}) == sum(fact.group == group for fact in held.values())
            wordings = {wording_hash(t): (f.id, f.answer) for f in held.values() for t in f.wordings}
            assert folder.by_wording(list(wordings)) == wordings

    def teardown(self) -> None:
        assert self.folder.verify() == []
        for folder in (self.folder, *(reader for reader, _ in self.readers)):
            folder.close()
        shutil.rmtree(self.path.parent)


Memory.TestCase.settings = settings(
    max_examples=10, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
TestMemory = Memory.TestCase
