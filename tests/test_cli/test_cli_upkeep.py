"""Moving, forgetting and bringing up to date as a person meets it, on memories that need no model."""

from __future__ import annotations

import errno
import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from memtune.core.facts import Fact
from memtune.store import MemoryFolder, durable

STORED = Path(__file__).parents[1] / "memories" / "format-1"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two facts, one of which is over."""
    monkeypatch.chdir(tmp_path)
    MemoryFolder.create("memory", backbone={"name": "tiny", "weights": "w"}, settings={}).close()
    facts = [Fact("a", "What is a?", "one", source="book"), Fact("b", "What is b?", "two", valid_until="2001-01-01")]
    with MemoryFolder.open("memory") as folder, folder.writer() as writer:
        writer.add_segment(facts, {})
        writer.commit("learn 2 facts", author="ada")
    return tmp_path


def refused(result, code: int, message: str, hint: str = "") -> None:
    first, *more = result.stderr.splitlines()
    assert (result.exit_code, first.startswith("error: ")) == (code, True), result.stderr
    assert message in first
    assert all(line.startswith("hint: ") for line in more)
    assert hint in " ".join(more)
    assert len(more) <= 1


def test_a_facts_life(here, memtune) -> None:
    assert memtune("facts", "list", "--state", "expired").stdout == "b  What is b?  two\n"
    assert memtune("facts", "archive", "a", "--author", "eve").stdout == "archived: a; version 2\n"
    assert memtune("facts", "list", "--state", "archived", "--json").stdout.startswith('{"id": "a"')
    assert memtune("facts", "list", "--state", "active").stdout == ""
    shown = memtune("facts", "show", "a").stdout
    assert "state: archived\n" in shown
    assert ", by ada (learn)\n" in shown
    rows = [json.loads(line) for line in memtune("facts", "export").stdout.splitlines()]
    assert [(row["id"], row.get("state"), row.get("valid_until")) for row in rows] == [
        ("a", "archived", None),
        ("b", None, "2001-01-01"),
    ]
    assert json.loads(memtune("facts", "restore", "a", "--json").stdout) == {"restored": ["a"], "version": 3}
    refused(memtune("facts", "archive", "c"), 2, "no fact 'c'")
    refused(memtune("facts", "list", "--state", "odd"), 2, "'odd' is no state", "candidate, active")


def test_a_memory_moves(here, memtune) -> None:
    assert memtune("export", "a.memory").stdout.startswith("2 facts at version 1 written to a.memory, ")
    assert memtune("import", "a.memory", "--memory", "b").stdout == "2 facts at version 1 in b\n"
    assert json.loads(memtune("push", "copy", "--json").stdout)["new"] == 1
    assert memtune("pull", "copy", "--memory", "c").stdout == "2 facts at version 1 in c; 1 version new\n"
    for folder in ("b", "c", "copy"):
        assert memtune("verify", "--memory", folder).exit_code == 0
    refused(memtune("import", "a.memory", "--memory", "b"), 2, "already holds a memory")
    refused(memtune("push", "hf://acme/x"), 1, "cannot be reached: working offline", "HF_HUB_OFFLINE")
    refused(memtune("pull", "nowhere", "--memory", "d"), 2, "nowhere holds no memory")


def test_bad_files(here, memtune) -> None:
    refused(memtune("import", "none.memory"), 2, "no such file")
    Path("text.memory").write_text("hello")
    refused(memtune("import", "text.memory", "--memory", "d"), 1, "text.memory is no memory, or is damaged")
    memtune("export", "a.memory")
    with zipfile.ZipFile("a.memory", "a", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("README.md", bytes(10_000_000))
    refused(memtune("import", "a.memory", "--memory", "d"), 1, "is compressed, which memories never are")
    with zipfile.ZipFile("new.memory", "w") as packed:
        packed.writestr("MEMORY.json", durable.seal({"format": 99}))
    refused(memtune("import", "new.memory", "--memory", "d"), 1, "later version of memtune", "pip install --upgrade")
    refused(memtune("export", "x.memory", "--memory", "nowhere"), 2, "nowhere holds no memory")
    assert not Path("d").exists()


def test_formats(here, memtune) -> None:
    shutil.copytree(STORED, "old")
    refused(memtune("log", "--memory", "old"), 1, "format 1, not 2", "memtune migrate --memory old")
    done = memtune("migrate", "--memory", "old")
    assert done.stdout.startswith("old: format 1 became 2; 5 versions, "), done.output
    assert memtune("migrate", "--memory", "old").stdout == "old is in the present format, 2\n"
    assert memtune("verify", "--memory", "old").exit_code == 0
    refused(memtune("migrate", "--memory", "nowhere"), 2, "nowhere holds no memory")


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_disk_that_cannot_be_written(here, memtune, monkeypatch, code: int) -> None:
    memtune("export", "a.memory")

    def fail(_: str) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(durable, "fault", fail)
    said = "no space left" if code == errno.ENOSPC else os.strerror(code)
    for args in (
        ["export", "b.memory"],
        ["import", "a.memory", "--memory", "d"],
        ["push", "copy"],
        ["pull", "memory", "--memory", "e"],
        ["facts", "archive", "a"],
    ):
        refused(memtune(*args), 1, said)
    monkeypatch.setattr(durable, "fault", None)
    assert memtune("verify").exit_code == 0
    assert sorted(p.name for p in here.iterdir() if MemoryFolder.exists(p) or p.is_file()) == ["a.memory", "memory"]
