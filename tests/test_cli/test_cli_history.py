"""The verbs of history as a person meets them, on a memory that was written without a model."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from memtune.core.facts import Fact
from memtune.store import MemoryFolder, durable

TINY = {"name": "tiny", "weights": "w"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """v1: two facts; v2: one of them changed."""
    monkeypatch.chdir(tmp_path)
    MemoryFolder.create("memory", backbone=TINY, settings={}).close()
    with MemoryFolder.open("memory") as folder, folder.writer() as writer:
        writer.add_segment([Fact("a", "What is a?", "one"), Fact("b", "What is b?", "two")], {})
        writer.commit("learn 2 facts", author="ada")
        writer.drop(["a"])
        writer.add_segment([Fact("a", "What is a?", "three")], {})
        writer.commit("update a", act="update", author="eve")
    return tmp_path


def refused(result, code: int, message: str) -> None:
    first, *more = result.stderr.splitlines()
    assert (result.exit_code, first.startswith("error: ")) == (code, True)
    assert message in first
    assert all(line.startswith("hint: ") for line in more)
    assert len(more) <= 1


def test_looking_back(here, memtune) -> None:
    log = memtune("log").stdout.splitlines()
    assert log[0].startswith("v2 (main)  ")
    assert "eve  update" in log[0]
    assert log[2] == "    ~1; 2 facts; from v1"
    assert [json.loads(line)["author"] for line in memtune("log", "--json").stdout.splitlines()] == ["eve", "ada"]
    assert "~ a  What is a?  one → three" in memtune("show").stdout
    assert memtune("diff", "v1").stdout == "~ a  What is a?  one → three\n"
    assert json.loads(memtune("diff", "2", "1", "--json").stdout)["changed"][0]["to"]["answer"] == "one"
    assert "answer: one" in memtune("facts", "show", "a", "--at", "v1").stdout
    assert "answer: one" in memtune("facts", "show", "a", "--memory", "memory@1").stdout
    assert "2 facts in 2 segments" in memtune("stats").stdout
    assert json.loads(memtune("log", "--audit").stdout.splitlines()[1])["act"] == "update"


def test_going_aside_and_back(here, memtune) -> None:
    assert memtune("tag", "gold", "--at", "v1").stdout == "tag gold made; version 1\n"
    assert memtune("branch", "side").stdout == "branch side made; version 2\n"
    assert memtune("branch").stdout == "main  v2\nside  v2\n"
    assert memtune("rollback", "gold", "--author", "kim").stdout == "as gold was; version 3\n"
    assert "kim  rollback" in memtune("log", "--limit", "1").stdout
    assert memtune("note", "v1", "good").exit_code == 0
    assert "note by" in memtune("show", "gold").stdout
    assert memtune("merge", "side").exit_code == 0
    assert memtune("branch", "side", "--delete").stdout == "branch side deleted; version 2\n"
    assert memtune("gc", "--dry-run").stdout.startswith("would remove 0 versions")
    assert memtune("admit", "--recall", "0.9").stdout.startswith("recall: 0.9\n")
    assert json.loads(memtune("admit", "--json").stdout)["recall"] == 0.9
    assert "the catalogue was made anew, 2 segments" in memtune("repair").stdout
    assert memtune("verify").stdout == "memory is in order\n"


def test_conflicts_are_listed_before_the_error(here, memtune) -> None:
    MemoryFolder.create("other", backbone=TINY, settings={}).close()
    with MemoryFolder.open("other") as other, other.writer() as writer:
        writer.add_segment([Fact("a", "What is a?", "four"), Fact("c", "What is c?", "five")], {})
        writer.commit("learn")
    result = memtune("merge", "other")
    assert result.stdout == "conflict: a: ours 'three', theirs 'four'\n"
    refused(result, 1, "1 fact conflicts")
    assert json.loads(memtune("merge", "other", "--json").stdout)["theirs"]["answer"] == "four"
    done = memtune("merge", "other", "--on-conflict", "ours")
    assert done.stdout == "added 1, changed 0, removed 0; version 3\n"
    assert "settled: a: ours 'three', theirs 'four'" in done.stderr


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ("show v9", 2, "no version, branch or tag 'v9'"),
        ("facts list --at gold", 2, "no version, branch or tag 'gold'"),
        ("diff v1 v1.5", 2, "no version, branch or tag 'v1.5'"),
        ("rollback v1 --at v2", 2, "is read-only"),
        ("merge other", 2, "holds no memory"),
        ("merge nowhere/there", 2, "holds no memory"),
        ("merge foreign", 1, "weights differ"),
        ("merge side --on-conflict mine", 2, "on_conflict must be one of"),
        ("branch v3", 2, "cannot name a branch or tag"),
        ("branch main", 2, "there is a branch or tag 'main' already"),
        ("branch --delete", 2, "delete which branch?"),
        ("tag gone --delete", 2, "no version, branch or tag 'gone'"),
        ("promote", 2, "no candidate waits"),
        ("admit --recall 2", 2, "recall must be between 0 and 1"),
        ("log --memory facts.jsonl", 2, "facts.jsonl holds no memory"),
        ("log --memory old", 1, "made by an earlier version of memtune"),
    ],
)
def test_wrong_use_is_one_clear_line(here, memtune, args: str, code: int, message: str) -> None:
    Path("facts.jsonl").write_text("{}")
    Path("old").symlink_to(Path(__file__).parents[1] / "memories" / "format-1")
    MemoryFolder.create("foreign", backbone={"name": "other", "weights": "x"}, settings={}).close()
    if "merge other" in args:
        args = "merge ./other"
    if "side" in args:
        memtune("branch", "side")
    refused(memtune(*args.split()), code, message)
    with MemoryFolder.open("memory") as folder:
        assert (folder.version, folder.verify()) == (2, [])


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_disk_that_cannot_be_written_to(here, memtune, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def denied(step: str) -> None:
        raise OSError(code, os.strerror(code), "memory/audit.jsonl")

    with monkeypatch.context() as patch:
        patch.setattr(durable, "fault", denied)
        result = memtune("tag", "gold")
    refused(result, 1, os.strerror(code))
    assert "hint: it can be read" in result.stderr
    assert memtune("verify").exit_code == 0
