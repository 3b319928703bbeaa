"""Consolidation: facts that are recited come to be known, and nothing else changes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny

from memtune import asked
from memtune.config import Config
from memtune.consolidation import Consolidated
from memtune.core.learn import Learner
from memtune.core.reports import Answer
from memtune.errors import KindUnsupported, UsageError
from memtune.evaluate.use.world import World, make
from memtune.model import MemoryModel
from memtune.store.unfinished import NAME as UNFINISHED


@pytest.fixture(scope="module")
def world() -> World:
    return make(6, 3)


@pytest.fixture
def llm(tmp_path: Path, world: World) -> Iterator[MemoryModel]:
    with MemoryModel("bundled", tmp_path / "memory") as model:
        model.learn([fact.to_row() for fact in world.facts[:10]])
        yield model


def kinds(llm: MemoryModel) -> dict[str, tuple[str, ...]]:
    return {fact.id: tuple(sorted(llm.memory.experts_of(fact.id))) for fact in llm.facts()}


def told(answers: Sequence[Answer]) -> list[tuple[str, list[str]]]:
    return [(answer.text, [used.id for used in answer.facts]) for answer in answers]


def test_facts_come_to_be_known_and_exact_answers_stay(llm: MemoryModel, world: World) -> None:
    facts = world.facts[:10]
    questions = [fact.question for fact in facts]
    before, version = told(llm.ask(questions)), llm.version
    done = llm.consolidate()
    assert (done.facts, done.known, done.failed, done.left) == (10, 10, [], 0)
    assert llm.version == version + 1, "one version"
    assert told(llm.ask(questions)) == before == [(fact.answer, [fact.id]) for fact in facts]
    assert set(kinds(llm).values()) == {("distil", "imprint")}
    assert done.touched == 0
    assert done.times_reading > 1
    assert done.bytes_per_fact > 0
    assert not (llm.memory.folder.path / UNFINISHED).exists()
    assert not llm.verify()
    known = world.things[0].known[0]
    doubt = llm.ask(known.put(known.relation.doubt))
    assert [(use.id, use.kind) for use in doubt.facts] == [(known.id, "distil")], "it is used, not recited"
    assert llm.consolidate().facts == 0, "nothing is left to do"


def test_only_the_group_that_is_named(llm: MemoryModel, world: World) -> None:
    group = world.facts[0].group
    done = llm.consolidate(where={"group": str(group)})
    wanted = {fact.id for fact in world.facts[:10] if fact.group == group}
    assert done.known == len(wanted) < 10
    assert {fact for fact, has in kinds(llm).items() if "distil" in has} == wanted


def test_a_budget_ends_it_and_the_next_run_goes_on(llm: MemoryModel, monkeypatch: pytest.MonkeyPatch) -> None:
    llm.config = llm.config.with_settings(["consolidate.lot_size=4"])
    first = llm.consolidate(budget=1e-4)
    assert first.known == 4
    assert first.left == 6
    assert llm.consolidate().known == 6


def test_what_a_broken_run_worked_out_is_not_lost(llm: MemoryModel, monkeypatch: pytest.MonkeyPatch) -> None:
    llm.config = llm.config.with_settings(["consolidate.lot_size=4"])
    learn, lots = Learner.learn, []

    def dying(self: Learner, facts: Any, **given: Any) -> Any:
        if len(lots) == 2:
            raise KeyboardInterrupt
        lots.append(facts)
        return learn(self, facts, **given)

    version = llm.version
    with monkeypatch.context() as patch:
        patch.setattr(Learner, "learn", dying)
        with pytest.raises(KeyboardInterrupt):
            llm.consolidate()
    assert llm.version == version, "nothing half-written"
    assert set(kinds(llm).values()) == {("imprint",)}
    done = llm.consolidate()
    assert (done.resumed, done.known) == (8, 10)


def test_what_was_worked_out_for_a_forgotten_fact_goes_with_it(
    llm: MemoryModel, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(self: Any, made: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("memtune.consolidation.Consolidation._commit", dying)
        with pytest.raises(KeyboardInterrupt):
            llm.consolidate()
    assert list((llm.memory.folder.path / UNFINISHED).iterdir())
    llm.forget(world.facts[0].id)
    assert not (llm.memory.folder.path / UNFINISHED).exists()


def test_a_fact_that_changes_meanwhile_is_left_alone(
    llm: MemoryModel, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from memtune.consolidation import Consolidation

    commit = Consolidation._commit

    def late(self: Consolidation, made: Any) -> None:
        llm.update(world.facts[0].id, answer="Somebody Else")
        llm.forget(world.facts[1].id)
        llm.memory.archive(world.facts[2].id)
        commit(self, made)

    monkeypatch.setattr(Consolidation, "_commit", late)
    done = llm.consolidate()
    assert done.known == 7
    assert llm.ask(world.facts[0].question).text == "Somebody Else"
    assert kinds(llm)[world.facts[0].id] == kinds(llm)[world.facts[2].id] == ("imprint",)
    assert not llm.ask(world.facts[2].question).fired, "it stays archived"


def test_nothing_is_put_down_of_a_fact_that_is_forgotten_while_it_is_worked_out(
    llm: MemoryModel, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn = Learner.learn

    def meanwhile(self: Learner, facts: Any, **given: Any) -> Any:
        lot = learn(self, facts, **given)
        llm.forget(*(fact.id for fact in world.facts[:10]))
        return lot

    monkeypatch.setattr(Learner, "learn", meanwhile)
    monkeypatch.setattr("memtune.consolidation.Consolidation._commit", lambda self, made: None)  # it breaks off before
    done = llm.consolidate()
    assert (done.facts, done.known, done.left) == (10, 0, 0)
    assert not (llm.memory.folder.path / UNFINISHED).exists()


def test_a_run_that_breaks_off_while_it_is_proved_leaves_what_was_there(
    llm: MemoryModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from memtune.consolidation import Consolidation

    calls = []

    def dying(self: Consolidation) -> set[str]:
        calls.append(kinds(llm))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return set()

    monkeypatch.setattr(Consolidation, "_plain_prompts", dying)
    with pytest.raises(KeyboardInterrupt):
        llm.consolidate()
    assert set(calls[1].values()) == {("distil", "imprint")}
    assert set(kinds(llm).values()) == {("imprint",)}


def test_an_expert_that_would_change_an_exact_answer_is_taken_back(
    llm: MemoryModel, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from memtune.memory import Memory

    spoilt, recalled = world.facts[2].id, Memory.not_recalled

    def not_recalled(self: Memory, facts: Any) -> Any:
        wrong = recalled(self, facts)
        worse = [fact for fact in facts if fact.id == spoilt and "distil" in self.experts_of(spoilt)]
        return [*wrong, *worse]

    monkeypatch.setattr(Memory, "not_recalled", not_recalled)
    done = llm.consolidate()
    assert [failed.id for failed in done.failed] == [spoilt]
    assert done.known == 9
    assert kinds(llm)[spoilt] == ("imprint",)


def test_a_model_that_does_not_read_its_context_leaves_facts_as_they_were(tmp_path: Path) -> None:
    with MemoryModel(tiny.model(), tmp_path / "memory", tokenizer=tiny.tokenizer()) as llm:
        llm.learn(tiny.facts(4))
        done = llm.consolidate()
        assert done.known == 0
        assert len(done.failed) == 4
        assert "does not use the fact" in done.failed[0].reason
        assert llm.version == 1
        assert set(kinds(llm).values()) == {("imprint",)}


def test_what_cannot_be_asked_of_it_is_refused(llm: MemoryModel, tmp_path: Path) -> None:
    with MemoryModel("bundled", f"{llm.memory.folder.path}@v1") as old, pytest.raises(UsageError, match="read-only"):
        old.consolidate(budget=1e-4)
    with pytest.raises(UsageError, match="no fact has group nowhere"):
        llm.consolidate(where={"group": "nowhere"})
    with pytest.raises(UsageError, match="budget of nothing"):
        llm.consolidate(budget=0)
    with pytest.raises(UsageError, match="recites: it makes nothing known"):
        llm.consolidate(kind="imprint")
    with pytest.raises(UsageError, match="no time to wait"):
        llm.consolidate_behind(every=0)
    with MemoryModel(tiny.model("falcon"), tmp_path / "other", tokenizer=tiny.tokenizer()) as other:
        other.learn(tiny.facts(2))
        with pytest.raises(KindUnsupported):
            other.consolidate()


def test_behind_everything_else(llm: MemoryModel, world: World) -> None:
    with llm.consolidate_behind(every=0.001) as behind:
        deadline = time.monotonic() + 60
        while not behind.runs and time.monotonic() < deadline:
            assert llm.ask(world.facts[0].question).text == world.facts[0].answer
    assert behind.fault is None
    assert behind.runs[0].known == 10
    assert set(kinds(llm).values()) == {("distil", "imprint")}


# ---- how often ------------------------------------------------------------------------------------------------------


def test_what_is_asked_for_most_comes_first(tmp_path: Path, world: World) -> None:
    config = Config().with_settings(["consolidate.lot_size=1", "consolidate.count_asked=true"])
    with MemoryModel("bundled", tmp_path / "memory", config=config) as llm:
        llm.learn([{**fact.to_row(), "group": fact.id} for fact in world.facts[:4]])
        for _ in range(3):
            llm.ask(world.facts[2].question)
        llm.ask("Who wrote Hamlet?")
        assert asked.counts(tmp_path / "memory") == {world.facts[2].id: 3}
        assert llm.consolidate(budget=1e-4).known == 1
        assert "distil" in kinds(llm)[world.facts[2].id]
        llm.purge(world.facts[2].id)
        assert not asked.counts(tmp_path / "memory")


def test_nothing_is_counted_unless_asked_for(llm: MemoryModel, world: World) -> None:
    llm.ask(world.facts[2].question)
    assert not (llm.memory.folder.path / asked.FILE).exists()


def test_a_line_that_was_cut_short_counts_for_nothing(tmp_path: Path) -> None:
    asked.note(tmp_path, ["a", "b", "a"])
    with (tmp_path / asked.FILE).open("a") as file:
        file.write('{"a": 1')
    assert asked.counts(tmp_path) == {"a": 2, "b": 1}
    asked.tidy(tmp_path, but=["b"])
    assert json.loads((tmp_path / asked.FILE).read_text()) == {"a": 2}


def test_a_report_says_what_it_cost() -> None:
    assert Consolidated(seconds=6.0, read_seconds=0.5).to_json()["times_reading"] == 12


# ---- any mixture ----------------------------------------------------------------------------------------------------


def test_each_fact_may_name_its_kinds(tmp_path: Path, world: World) -> None:
    facts = [fact.to_row() for fact in world.facts[:6]]
    named = ["kv", None, "imprint+distil", "distil", "imprint", "imprint+kv"]
    given = [row if kind is None else {**row, "expert": kind} for row, kind in zip(facts, named, strict=True)]
    with MemoryModel("bundled", tmp_path / "memory") as llm:
        llm.learn(given)
        wanted = [tuple(sorted((kind or "imprint").split("+"))) for kind in named]
        assert kinds(llm) == {row["id"]: has for row, has in zip(facts, wanted, strict=True)}
        answers = llm.ask([row["question"] for row in facts])
        assert [[use.id for use in a.facts] for a in answers] == [[row["id"]] for row in facts]
        recited = [i for i, has in enumerate(wanted) if "imprint" in has]
        assert [answers[i].text for i in recited] == [facts[i]["answer"] for i in recited]
        assert llm.consolidate().facts == 2, "what is known already stays as it was learned"
        assert sorted(kinds(llm).values()) == sorted([("distil", "imprint")] * 3 + [("kv",), ("distil",), wanted[5]])
        llm.forget(*(row["id"] for row in facts))
        assert told(llm.ask([row["question"] for row in facts])) == told(
            llm.ask([row["question"] for row in facts], memory=False)
        )


def test_a_kind_that_is_none_is_named_with_its_row(tmp_path: Path) -> None:
    with MemoryModel("bundled", tmp_path / "memory") as llm, pytest.raises(Exception, match="'expert' must be one of"):
        llm.learn([{"question": "a?", "answer": "b", "expert": "imprimt"}])
