"""A fact's life: its time, being set aside, being regrouped, and where it came from."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny

from memtune import Fact, MemoryModel
from memtune.certify import hash_of
from memtune.config import DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.validity import moment
from memtune.errors import InputError, UnknownFact, UsageError
from memtune.life import in_state, life_of
from memtune.store import MemoryFolder

DAY = 86_400.0


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(tiny.model(), tiny.tokenizer())


@pytest.fixture
def llm(backbone: Backbone, tmp_path: Path) -> Iterator[MemoryModel]:
    with MemoryModel(backbone, tmp_path / "m", author="ada") as made:
        yield made


def fires(llm: MemoryModel, question: str) -> bool:
    return llm.ask(question, max_new_tokens=3).fired


# its time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", DAY),
        ("1970-01-02T00:00", DAY),
        ("1970-01-02T00:00Z", DAY),
        ("1970-01-02 02:00+02:00", DAY),
        ("1970-01-01T22:30:00-01:30", DAY),
    ],
)
def test_times_without_a_zone_are_utc(text: str, seconds: float) -> None:
    assert moment(text).timestamp() == seconds


def test_a_fact_is_valid_on_its_last_day() -> None:
    fact = Fact("a", "Q?", "A", valid_from="1970-01-02", valid_until="1970-01-03")
    assert [fact.validity.holds(at * DAY) for at in (0.9, 1, 2.9, 3)] == [False, True, True, False]
    until = Fact("a", "Q?", "A", valid_until="1970-01-03T00:00").validity
    assert (until.begin, until.end) == (-math.inf, 2 * DAY)
    with pytest.raises(InputError, match="neither a date nor a time"):
        Fact("a", "Q?", "A", valid_from="tomorrow")
    with pytest.raises(InputError, match="is not after"):
        Fact("a", "Q?", "A", valid_from="2026-02-01", valid_until="2026-01-01")
    with pytest.raises(InputError, match="'state' must be one of"):
        Fact("a", "Q?", "A", state="odd")


def test_a_fact_answers_only_in_its_time_also_in_a_process_that_runs_on(llm: MemoryModel) -> None:
    plain, timed = tiny.facts(2)
    report = llm.learn([plain, {**timed, "valid_from": "2031-01-01", "valid_until": "2031-12-31"}])
    assert report.learned == 2, "it is proved whatever the time is"
    assert not fires(llm, timed["question"])
    now = moment("2031-01-01").timestamp()
    llm.memory.answering.clock = lambda: now
    assert llm.ask(timed["question"]).text == timed["answer"]
    now = moment("2032-01-01").timestamp()
    answer = llm.ask(timed["question"], max_new_tokens=3)
    assert (answer.fired, answer.text) == (False, llm.ask(timed["question"], memory=False, max_new_tokens=3).text)
    assert llm.ask(timed["question"], unknown="abstain").abstained
    assert fires(llm, plain["question"])
    found = llm.explain(timed["question"]).to_json()
    assert found["confirmed"] == []
    assert "does not hold at this time" in found["proposals"][0]["why"]
    start = time.perf_counter()
    for _ in range(1000):
        llm.memory.answering.in_force((1, 1))
    assert time.perf_counter() - start < 1
    with MemoryFolder.open(llm.memory.folder.path) as folder:
        states = {at: [f.id for f in in_state(folder, "active", at=moment(at).timestamp())] for at in ("2031-05-05",)}
        assert states == {"2031-05-05": ["fact-0", "fact-1"]}
        assert [f.id for f in in_state(folder, "expired", at=now)] == ["fact-1"]
        assert [f.id for f in in_state(folder, "candidate", at=0)] == ["fact-1"]
        with pytest.raises(UsageError, match="is no state"):
            list(in_state(folder, "odd"))


# set aside


def test_an_archived_fact_is_silent_until_it_is_restored(llm: MemoryModel, backbone: Backbone, tmp_path: Path) -> None:
    rows = tiny.facts(3)
    llm.learn(rows)
    with MemoryModel(backbone, tmp_path / "m", follow=True) as reader:
        assert fires(reader, rows[1]["question"])
        assert llm.archive("fact-1") == 2
        assert llm.archive("fact-1") == 2, "it is already"
        for model in (llm, reader):
            assert not fires(model, rows[1]["question"])
            assert fires(model, rows[0]["question"])
        assert llm.fact("fact-1").answer == rows[1]["answer"]
        assert [f.id for f in in_state(llm.memory.folder, "archived")] == ["fact-1"]
        assert llm.diff(1).lines() == ["~ fact-1  archived"]
        assert llm.learn([rows[1]]).duplicates == 1
        with pytest.raises(UsageError, match="'fact-1' is archived"):
            llm.update("fact-1", answer="other")
        found = llm.certify("fact-1", max_new_tokens=2)
        assert not found.certified
        assert "archived" in found.against[0]
        assert llm.verify() == []
        assert llm.restore("fact-1") == 3
        for model in (llm, reader):
            assert model.ask(rows[1]["question"]).text == rows[1]["answer"]
        assert llm.rollback(2) == 4
        assert not fires(reader, rows[1]["question"])
    with MemoryModel(backbone, tmp_path / "m@v1") as old:
        assert fires(old, rows[1]["question"])
    with pytest.raises(UnknownFact):
        llm.archive("fact-9")
    llm.branch("side")
    with MemoryModel(backbone, tmp_path / "m@side") as side:
        side.restore("fact-1")
    assert llm.merge("side").changed == 1
    assert fires(llm, rows[1]["question"])


def test_what_is_exported_learns_to_the_same_memory(llm: MemoryModel, backbone: Backbone, tmp_path: Path) -> None:
    rows = [
        {**tiny.facts(1)[0], "phrasings": ["Tell of item 1000"], "group": "g", "source": "s", "year": 7},
        {**tiny.facts(2)[1], "valid_from": "2020-01-01", "valid_until": "2020-02-01T10:00+02:00"},
        *tiny.facts(4)[2:],
    ]
    llm.learn(rows)
    llm.phrase("fact-0", "What is known of the other item?", never=True)
    llm.archive("fact-2")
    out = [json.loads(json.dumps(fact.to_row())) for fact in llm.memory.folder.exported()]
    with MemoryModel(backbone, tmp_path / "again") as again:
        assert again.learn(out).learned == 4
        assert [f.to_row() for f in again.memory.folder.exported()] == out
        assert {f.id: f for f in again.facts()} == {f.id: f for f in llm.facts()}
        assert again.fact("fact-0").never == ("What is known of the other item?",)
        assert [f.id for f in in_state(again.memory.folder, "archived")] == ["fact-2"]
        assert [f.id for f in in_state(again.memory.folder, "expired")] == ["fact-1"]
        assert again.verify() == []


def test_where_a_fact_comes_from(llm: MemoryModel) -> None:
    llm.learn(tiny.facts(2))
    llm.learn([{**tiny.facts(3)[2], "source": "book"}])
    llm.phrase("fact-0", "Tell of item 1000")
    llm.update("fact-1", answer="other")
    llm.regroup()
    folder = llm.memory.folder
    learned = {f"fact-{i}": life_of(folder, f"fact-{i}").learned for i in range(3)}
    assert [(said["version"], said["act"], said["author"]) for said in learned.values()] == [
        (1, "learn", "ada"),
        (4, "update", "ada"),
        (2, "learn", "ada"),
    ]
    assert life_of(folder, "fact-2").to_json()["source"] == "book"
    assert life_of(folder, "fact-2").lines()[-2] == "state: active"


# regrouping


def logits(llm: MemoryModel, question: str) -> tuple[str, list[str]]:
    reply, used = llm.memory.serving().reply(question, DecodeConfig(max_new_tokens=12), memory=True, raw=False)
    return hash_of(reply.logits), used


def test_regrouping_changes_no_answer_by_a_bit(llm: MemoryModel, backbone: Backbone, tmp_path: Path) -> None:
    rows = tiny.facts(14)
    for row in rows[:6]:
        llm.learn([{**row, "phrasings": [f"Tell me of {row['id']}"]}], kind="imprint+kv")
    for row in rows[6:12]:
        llm.learn([row])
    llm.archive("fact-7")
    llm.update("fact-3", answer="something else")
    llm.forget("fact-8")
    asked = [
        *(row["question"] for row in rows),
        "Tell me of fact-2",
        "Write a poem.",
        "What is known of item 1002 now?",
    ]
    before = {text: logits(llm, text) for text in asked}
    with MemoryModel(backbone, tmp_path / "m", follow=True) as reader:
        stop, seen = threading.Event(), []

        def ask() -> None:
            while not stop.is_set():
                seen.append(reader.ask(rows[2]["question"]).text)

        asking = threading.Thread(target=ask)
        asking.start()
        done = llm.regroup()
        stop.set()
        asking.join()
        assert set(seen) == {rows[2]["answer"]}
        assert (done.before, done.after, done.facts) == (11, 2, 11)
        assert {text: logits(llm, text) for text in asked} == before
        assert {text: logits(reader, text) for text in asked} == before
        assert reader.version == llm.version
    assert len(llm.memory.folder.segments) == 2
    assert llm.diff(llm.version - 1).lines() == []
    assert vars(llm.log(limit=1)[0].commit.counts) == {"added": 0, "changed": 0, "removed": 0}
    assert llm.regroup().after == 0, "nothing is left to do"
    assert [f.id for f in in_state(llm.memory.folder, "archived")] == ["fact-7"]
    llm.restore("fact-7")
    assert llm.ask(rows[7]["question"]).text == rows[7]["answer"]
    llm.purge("fact-2")
    assert not fires(llm, rows[2]["question"])
    assert llm.verify() == []


def test_regrouping_that_loses_a_fact_is_taken_back(llm: MemoryModel, monkeypatch: pytest.MonkeyPatch) -> None:
    for row in tiny.facts(3):
        llm.learn([row])
    monkeypatch.setattr(llm.memory, "not_recalled", lambda facts: list(facts)[:1])
    with pytest.raises(InputError, match="nothing was regrouped"):
        llm.regroup()
    assert len(llm.memory.folder.segments) == 3
    assert llm.verify() == []


# another model


def test_facts_are_learned_anew_on_another_model(llm: MemoryModel, tmp_path: Path) -> None:
    llm.learn(tiny.facts(3))
    llm.learn([{"id": "both", "question": "Both?", "answer": "Yes"}], kind="imprint+kv")
    llm.learn([{"id": "odd", "question": "Odd?", "answer": "Snow\u2603"}])
    llm.archive("fact-1")
    other = Backbone(tiny.model("qwen2", seed=1), tiny.tokenizer())
    with MemoryModel(other, tmp_path / "new") as new:
        done = new.rebase(tmp_path / "m")
        assert (done.facts, done.learned + len(done.failed)) == (5, 5)
        assert done.failed == []
        assert new.ask("Both?").text == "Yes"
        assert [f.id for f in in_state(new.memory.folder, "archived")] == ["fact-1"]
        assert new.stats().experts == {"imprint": 5, "kv": 1}
        assert json.loads(json.dumps(done.to_json()))["model"] == llm.backbone.name
