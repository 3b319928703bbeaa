"""History through the public face, on a tiny random model: old versions answer, readers follow, experts are joined."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny

from memtune import Config, MemoryModel
from memtune.admission import Measured, shortcomings
from memtune.config import AdmissionConfig
from memtune.core.backbone import Backbone
from memtune.errors import InputError, UsageError
from memtune.store import MemoryFolder
from memtune.store.merge import MergeConflict


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(tiny.model(), tiny.tokenizer())


@pytest.fixture
def llm(backbone: Backbone, tmp_path: Path) -> Iterator[MemoryModel]:
    with MemoryModel(backbone, tmp_path / "memory", author="ada") as made:
        yield made


def rows(n: int = 8, first: int = 0) -> list[dict[str, str]]:
    return tiny.facts(n + first)[first:]


def recalled(llm: MemoryModel, facts: list[dict[str, str]]) -> int:
    return sum(a.text == f["answer"] for a, f in zip(llm.ask([f["question"] for f in facts]), facts, strict=True))


def question(number: int = 1) -> str:
    return rows(number + 1)[number]["question"]


def test_old_versions_answer_as_they_did(llm: MemoryModel, backbone: Backbone, tmp_path: Path) -> None:
    llm.learn(rows(4))
    llm.update("fact-1", answer="other")
    llm.forget("fact-2")
    assert [v.commit.act for v in llm.log()] == ["forget", "update", "learn"]
    assert {v.commit.author for v in llm.log()} == {"ada"}
    with MemoryModel(backbone, tmp_path / "memory@v1") as old:
        assert recalled(old, rows(4)) == 4
        assert old.ask(question()).version == 1
        assert old.verify() == []
        with pytest.raises(UsageError, match="read-only"):
            old.forget("fact-1")
    with MemoryModel(backbone, f"{tmp_path}/memory@v2") as old:
        assert old.ask(question()).text == "other"


def test_rollback_restores_answers_and_releases_what_came_later(llm: MemoryModel) -> None:
    llm.learn(rows(4))
    llm.update("fact-1", answer="other")
    llm.forget("fact-2")
    llm.learn(rows(2, first=4))
    assert llm.rollback("v1") == 5
    assert recalled(llm, rows(4)) == 4
    assert not llm.ask(question(4), max_new_tokens=3).fired
    assert llm.rollback(3) == 6
    assert llm.ask(question()).text == "other"
    assert not llm.ask(question(2), max_new_tokens=3).fired
    assert llm.verify() == []


def test_a_reader_that_follows_sees_each_change(llm: MemoryModel, backbone: Backbone, tmp_path: Path) -> None:
    llm.learn(rows(3))
    with (
        MemoryModel(backbone, tmp_path / "memory", follow=True) as follower,
        MemoryModel(backbone, tmp_path / "memory") as still,
    ):
        assert follower.ask(question()).text == still.ask(question()).text == rows(2)[1]["answer"]
        llm.update("fact-1", answer="other")
        assert follower.ask(question()).text == "other"
        assert still.ask(question()).text == rows(2)[1]["answer"]
        llm.rollback(1)
        assert (follower.ask(question()).text, follower.version) == (rows(2)[1]["answer"], 3)
        start = time.perf_counter()
        for _ in range(200):
            follower.refresh()
        assert time.perf_counter() - start < 1


def test_branches_are_asked_apart_and_merged_without_learning(
    llm: MemoryModel, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm.learn(rows(3))
    llm.branch("side")
    with MemoryModel(backbone, tmp_path / "memory@side") as side:
        side.learn(rows(2, first=3))
        side.update("fact-0", answer="aside")
        assert side.ask(question(0)).text == "aside"
    assert not llm.ask(question(3), max_new_tokens=3).fired
    monkeypatch.setattr("memtune.core.learn.Learner.learn", None)
    done = llm.merge("side")
    assert (done.added, done.changed, done.removed) == (2, 1, 0)
    assert llm.ask(question(0)).text == "aside"
    assert recalled(llm, rows(4, first=1)) == 4
    assert llm.verify() == []


def test_another_memory_is_joined_without_learning(
    llm: MemoryModel, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm.learn(rows(3))
    with MemoryModel(backbone, tmp_path / "other") as other:
        other.learn(rows(3, first=3))
        other.learn([{"id": "fact-0", "question": question(0), "answer": "contrary"}])
    monkeypatch.setattr("memtune.core.learn.Learner.learn", None)
    with pytest.raises(MergeConflict, match="1 fact conflicts: fact-0: ours '10 dollars', theirs 'contrary'"):
        llm.merge(tmp_path / "other")
    done = llm.merge(tmp_path / "other", on_conflict="theirs")
    assert (done.added, done.changed) == (3, 1)
    assert llm.ask(question(0)).text == "contrary"
    assert recalled(llm, rows(5, first=1)) == 5
    assert llm.verify() == []


def test_stats_count_every_fact_once(llm: MemoryModel) -> None:
    llm.learn([{**row, "group": "even" if i % 2 == 0 else "odd"} for i, row in enumerate(rows(5))])
    llm.learn([{"question": "Alone?", "answer": "Yes"}], kind="imprint+kv")
    llm.forget("fact-0")
    found = llm.stats()
    assert (found.facts, found.segments, found.experts, found.without_expert) == (5, 2, {"imprint": 5, "kv": 1}, 0)
    assert found.groups == {"even": 2, "odd": 2, "": 1}
    assert found.facts_per_segment == (1, 2.5, 4)
    assert found.dropped == 1


# admission


def admitted(backbone: Backbone, path: Path, **required: float) -> MemoryModel:
    settings = [f"admission.{name}={value}" for name, value in required.items()]
    return MemoryModel(backbone, path, config=Config().with_settings(settings))


def test_what_is_good_enough_is_served(backbone: Backbone, tmp_path: Path) -> None:
    with admitted(backbone, tmp_path / "m", recall=0.9) as llm:
        report = llm.learn(rows(6))
        assert (report.learned, report.not_admitted, report.version) == (6, [], 1)
        assert recalled(llm, rows(6)) == 6
        (version,) = llm.log()
        assert version.notes[0].text == "admission: every threshold is met"
        assert version.notes[0].data is not None
        assert version.notes[0].data["recall"] == 1.0
    with MemoryFolder.open(tmp_path / "m") as folder:
        assert set(folder.refs.branches) == {"main"}
        assert folder.verify() == []


def test_what_is_not_waits_until_it_is_promoted(backbone: Backbone, tmp_path: Path) -> None:
    with admitted(backbone, tmp_path / "m", recall=0.9) as llm:
        llm.learn(rows(2))
        llm.memory.measure = lambda memory, learned, required: Measured(recall=0.5, sample=len(learned))
        with MemoryModel(backbone, tmp_path / "m", follow=True) as reader:
            assert reader.version == 1
            report = llm.learn(rows(6))
            assert report.not_admitted == ["recall is 0.500, at least 0.9 is asked for"]
            assert (report.version, llm.version, reader.version) == (2, 1, 1)
            assert not llm.ask(question(5), max_new_tokens=3).fired
            assert not reader.ask(question(5), max_new_tokens=3).fired
            with pytest.raises(UsageError, match="v2 waits as a candidate"):
                llm.learn(rows(8))
            assert llm.learn(rows(1, first=8)).version == 3, "a single fact is checked on itself"
            with pytest.raises(UsageError, match="does not come from v3"):
                llm.promote()
            llm.merge("candidate")
            assert recalled(reader, rows(6)) == 6
        assert llm.verify() == []


def test_promotion_reaches_a_running_reader(backbone: Backbone, tmp_path: Path) -> None:
    with admitted(backbone, tmp_path / "m", near_miss=0.1) as llm:
        report = llm.learn(rows(4))
        assert report.not_admitted == ["near-miss firing was not measured"]
        assert llm.memory.folder.count() == 0
        with MemoryModel(backbone, tmp_path / "m", follow=True) as reader:
            assert not reader.ask(question(), max_new_tokens=3).fired
            assert llm.promote() == 1
            assert reader.ask(question()).fired
        assert recalled(llm, rows(4)) == 4


def test_thresholds() -> None:
    asked = AdmissionConfig(recall=0.9, near_miss=0.1, ability=0.95)
    assert shortcomings(asked, Measured(1.0, 0.0, 1.0)) == []
    assert len(shortcomings(asked, Measured(0.8, 0.2, 0.9))) == 3
    assert len(shortcomings(asked, Measured())) == 3
    assert shortcomings(AdmissionConfig(), Measured()) == []
    with pytest.raises(UsageError, match="between 0 and 1"):
        AdmissionConfig(recall=2)


def test_an_update_that_does_not_hold_is_taken_back(llm: MemoryModel, monkeypatch: pytest.MonkeyPatch) -> None:
    llm.learn(rows(2))
    monkeypatch.setattr(llm.memory, "leads_to", lambda question, fact_id: False)
    with pytest.raises(InputError, match="'fact-1' was not changed"):
        llm.update("fact-1", answer="other")
    assert recalled(llm, rows(2)) == 2


# broken off


def test_learning_goes_on_where_it_was_broken_off(llm: MemoryModel, backbone: Backbone, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(progress: object) -> None:
        raise Stop

    config = Config().with_settings(["learn.lot_size=3", "admission.recall=0.5"])
    with MemoryModel(backbone, tmp_path / "m", config=config) as first, pytest.raises(Stop):
        first.learn(rows(8), progress=stop)
    with MemoryModel(backbone, tmp_path / "m", config=config) as again:
        assert again.version == 0, "what waits is not served"
        with pytest.raises(UsageError, match="v1 waits as a candidate"):
            again.learn(rows(8))
        report = again.learn(rows(8), resume=True)
        assert (report.duplicates, report.learned, report.not_admitted) == (3, 5, [])
        assert recalled(again, rows(8)) == 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_real_learning_that_is_killed_loses_nothing_it_committed(backbone: Backbone, tmp_path: Path) -> None:
    config = Config().with_settings(["learn.lot_size=4"])
    given, path = rows(60), tmp_path / "m"
    for moment in (0.05, 0.15, 0.3, 0.6):
        child = os.fork()
        if child == 0:
            try:
                MemoryModel(backbone, path, config=config).learn(given, resume=True)
            finally:
                os._exit(0)
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if MemoryFolder.exists(path):
            with MemoryFolder.open(path) as folder:
                assert folder.verify() == []
    with MemoryModel(backbone, path, config=config) as llm:
        report = llm.learn(given, resume=True)
        assert report.learned + report.duplicates == 60
        assert recalled(llm, given) == 60
        assert llm.verify() == []


def test_threads_ask_while_one_learns(llm: MemoryModel) -> None:
    llm.learn(rows(2))
    seen: list[str] = []

    def ask() -> None:
        seen.extend(llm.ask(question()).text for _ in range(20))

    asking = threading.Thread(target=ask)
    asking.start()
    for number in range(2, 6):
        llm.learn(rows(1, first=number))
    asking.join()
    assert set(seen) == {rows(2)[1]["answer"]}


def test_an_answer_is_of_the_version_that_it_names(llm: MemoryModel) -> None:
    """Also while another thread of the process changes the very fact."""
    llm.learn(rows(2))
    said = {1: rows(2)[1]["answer"]}
    seen: list[tuple[int | None, str]] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answer = llm.ask(question())
            seen.append((answer.version, answer.text))

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    for number in range(6):
        said[llm.update("fact-1", answer=f"the {number}th")] = f"the {number}th"
    stop.set()
    for thread in asking:
        thread.join()
    assert seen
    assert [(version, text) for version, text in seen if said[version or 0] != text] == []
