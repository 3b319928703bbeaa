"""Memories of earlier formats, as they were stored."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import tiny

from memtune import MemoryModel
from memtune.core.backbone import Backbone
from memtune.errors import FolderDamaged, FolderTooNew, FolderTooOld, MemtuneError, NotFound, UsageError
from memtune.history import History
from memtune.migrate import migrate
from memtune.router.encoders import make_encoder
from memtune.router.entries import Entry, make_keys
from memtune.store import MemoryFolder, durable, rows
from memtune.store.layout import read_header, write_header

STORED = Path(__file__).parent / "memories" / "format-1"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copytree(STORED, tmp_path / "m"))


def facts(path: Path) -> dict[str, str]:
    with MemoryFolder.open(path) as folder:
        return {fact.id: fact.answer for fact in folder.facts()}


def alone(path: Path) -> bool:
    return [f.name for f in path.parent.iterdir() if f.name.startswith(path.name)] == [path.name]


def test_an_old_memory_says_what_to_do(old: Path) -> None:
    with pytest.raises(FolderTooOld, match="format 1, not 2") as error:
        MemoryFolder.open(old)
    assert f"memtune migrate --memory {old}" in str(error.value.hint)


def test_format_1_is_brought_to_the_present(old: Path) -> None:
    backbone = Backbone(tiny.model(), tiny.tokenizer())
    done = migrate(old)
    assert (done.before, done.after, done.versions, done.facts, done.keys) == (1, 2, 5, len(facts(old)), True)
    assert alone(old)
    with MemoryModel(backbone, old) as llm:
        assert llm.verify() == []
        log = llm.log()
        assert [v.commit.version for v in log] == [5, 4, 3, 2, 1]
        assert all(v.commit.time.startswith("2026-11-20T15:52") and v.commit.message for v in log)
        assert next(v.commit.act for v in log) == "phrase"
        for fact in llm.facts():
            answer = llm.ask(fact.question)
            assert (answer.text, [used.id for used in answer.facts]) == (fact.answer, [fact.id])
        assert llm.learn([{"question": "New?", "answer": "Yes"}]).version == 6
        assert [entry["act"] for entry in llm.memory.history.audit()] == ["migrate", "learn"]
    with MemoryModel(backbone, f"{old}@v1") as first:
        assert all(first.ask(fact.question).text == fact.answer for fact in first.facts())
    assert migrate(old).keys is False


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("how", ["kill", "fail"])
def test_a_migration_that_broke_off_loses_nothing_and_can_be_done_again(tmp_path: Path, how: str) -> None:
    expected = None
    for number in range(1, 200, 11):
        path = Path(shutil.copytree(STORED, tmp_path / how / str(number) / "m"))
        seen: list[str] = []

        def reached(step: str, number: int = number, seen: list[str] = seen) -> None:
            seen.append(step)
            if len(seen) == number:
                if how == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise OSError(28, "No space left on device")

        durable.fault = reached
        try:
            if how == "kill":
                child = os.fork()
                if child == 0:
                    try:
                        migrate(path)
                    finally:
                        os._exit(0)
                broke_off = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
            else:
                try:
                    migrate(path)
                    broke_off = False
                except MemtuneError:
                    broke_off = True
        finally:
            durable.fault = None
        migrate(path)
        expected = expected or facts(path)
        assert facts(path) == expected
        assert alone(path), number
        with MemoryFolder.open(path) as folder:
            assert folder.verify() == []
        if not broke_off:
            return
    raise AssertionError("a migration of so many steps?")


def test_what_cannot_be_migrated(old: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        migrate(tmp_path / "nothing")
    (shard,) = (old / "shards").glob("488c*")
    good = shard.read_bytes()
    shard.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(FolderDamaged, match="checksum"):
        migrate(old)
    shard.write_bytes(good)
    header = (old / "memory.json").read_bytes()
    (old / "memory.json").write_bytes(durable.seal({"format": 99}))
    with pytest.raises(FolderTooNew):
        migrate(old)
    (old / "memory.json").write_bytes(header)
    assert migrate(old).facts


def test_format_2_with_keys_of_an_earlier_router_gets_new_ones(tmp_path: Path) -> None:
    backbone, path = Backbone(tiny.model(), tiny.tokenizer()), tmp_path / "m"
    with MemoryModel(backbone, path) as llm:
        llm.learn(tiny.facts(3))
        llm.update("fact-1", answer="other")
        folder = llm.memory.folder
        settings = {k: v for k, v in folder.header.settings.items() if k != "encoder"} | {"router_width": 256}
        with folder.writer() as writer:
            digests = {
                s.id: writer.put(b"".join([folder.shards.file(s.shards["facts"]).read_bytes()]))
                for s in folder.segments
            }
            writer.rewrite("spoil", {}, lambda s: replace(s, shards={**s.shards, "router": digests[s.id]}))
        write_header(path, replace(folder.header, settings=settings))
    with pytest.raises(FolderTooOld, match="older kind") as error:
        MemoryModel(backbone, path).ask("anything")
    assert "memtune migrate" in str(error.value.hint)
    assert migrate(path).keys
    with MemoryModel(backbone, path) as llm:
        assert llm.ask(tiny.facts(2)[1]["question"]).text == "other"
        assert llm.verify() == []
        assert [v.commit.version for v in llm.log()] == [2, 1]
    with History.open(f"{path}@v1") as history:
        assert history.verify() == []


def test_every_column_of_the_router_is_known_to_what_moves_rows() -> None:
    """Whoever adds one says in store/rows.py what it belongs to."""
    entries = [Entry.of(fact) for fact in map(_fact, range(3))]
    keys = make_keys(entries, make_encoder("lexical"), "int8")
    assert keys.keys() <= rows.KNOWN
    for kept in ([0, 2], [1], [0, 1, 2]):
        again = make_keys([entries[row] for row in kept], make_encoder("lexical"), "int8")
        picked = rows.picked_rows(keys, kept, "router")
        assert {name: tensor.tolist() for name, tensor in picked.items()} == {n: t.tolist() for n, t in again.items()}
    halves = [(rows.picked_rows(keys, part, "router"), range(len(part))) for part in ([0], [1, 2])]
    joined = rows.joined(halves, "router")
    assert {n: t.tolist() for n, t in joined.items()} == {n: t.tolist() for n, t in keys.items()}


def _fact(number: int):
    from memtune.core.facts import Fact

    return Fact(
        f"f{number}", f"What is number {number}?", f"Answer {number} of Zorb", ("Say it",) * number, ("Not it",)
    )


def test_a_folder_that_only_bears_the_name_is_left_alone(old: Path) -> None:
    """`DIR.before` may be anybody's backup."""
    mine = Path(shutil.copytree(old, old.with_name("m.before")))
    (mine / "notes.txt").write_text("mine")
    shutil.rmtree(mine / "shards")
    write_header(mine, replace(read_header(mine), created="another time"))
    with pytest.raises(UsageError, match="is in the way"):
        migrate(old)
    assert read_header(old).format == 1
    mine.rename(old.with_name("aside"))
    migrate(old)
    shutil.copytree(old, mine)
    assert migrate(old).before == 2
    assert (mine / "memory.json").is_file(), "a backup of the memory as it is now"
