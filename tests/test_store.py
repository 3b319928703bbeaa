"""The memory folder: what is written is read back, versions, the catalogue, damage."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from memtune.core.facts import Fact, wording_hash
from memtune.errors import (
    FolderDamaged,
    FolderError,
    FolderLocked,
    FolderTooNew,
    InputError,
    NotFound,
    UnknownFact,
    UsageError,
)
from memtune.store import Counts, FactRef, MemoryFolder
from memtune.store.durable import seal
from memtune.store.manifest import Segment


def facts_of(count: int, prefix: str = "f") -> list[Fact]:
    return [Fact(f"{prefix}{i}", f"What is {prefix} {i}?", f"answer {prefix} {i}") for i in range(count)]


def learn(folder: MemoryFolder, facts: list[Fact], **rooms: dict[str, torch.Tensor]) -> int:
    with folder.writer() as writer:
        writer.add_segment(facts, rooms)
        return writer.commit("learn")


def forget(folder: MemoryFolder, *ids: str) -> int:
    with folder.writer() as writer:
        writer.drop(ids)
        return writer.commit("forget")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[MemoryFolder]:
    with MemoryFolder.create(tmp_path / "m", backbone={"name": "tiny"}, settings={"template": "é"}) as made:
        yield made


def shard_files(folder: MemoryFolder) -> set[str]:
    return {file.name for file in (folder.path / "shards").iterdir()}


# opening


def test_an_empty_memory(folder: MemoryFolder) -> None:
    assert (folder.version, folder.segments, folder.count(), folder.verify()) == (0, (), 0, [])
    assert folder.header.backbone == {"name": "tiny"}
    assert folder.header.settings == {"template": "é"}
    assert MemoryFolder.exists(folder.path)
    assert not list(folder.facts())


def test_create_takes_an_empty_folder_and_a_broken_off_one_but_no_other(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    MemoryFolder.create(tmp_path / "empty", backbone={}, settings={}).close()
    with pytest.raises(UsageError, match="already holds a memory"):
        MemoryFolder.create(tmp_path / "empty", backbone={}, settings={})
    (tmp_path / "empty" / "memory.json").unlink()  # as if killed just before the end
    MemoryFolder.create(tmp_path / "empty", backbone={}, settings={}).close()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="not empty"):
        MemoryFolder.create(tmp_path / "foreign", backbone={}, settings={})
    assert [file.name for file in (tmp_path / "foreign").iterdir()] == ["letter.txt"]
    with pytest.raises(UsageError, match="is a file"):
        MemoryFolder.create(tmp_path / "foreign" / "letter.txt", backbone={}, settings={})


def test_a_memory_that_lost_its_head_is_not_overwritten(folder: MemoryFolder) -> None:
    learn(folder, facts_of(1))
    (folder.path / "memory.json").unlink()
    with pytest.raises(UsageError, match="not empty"):
        MemoryFolder.create(folder.path, backbone={}, settings={})


def test_open_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as error:
        MemoryFolder.open(tmp_path / "nowhere")
    assert "memtune learn" in (error.value.hint or "")


def test_a_newer_format_is_refused(folder: MemoryFolder) -> None:
    (folder.path / "memory.json").write_bytes(seal({"format": 99, "surprise": []}))
    with pytest.raises(FolderTooNew, match="later version"):
        MemoryFolder.open(folder.path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": "1"}'])
def test_a_damaged_head_is_named(folder: MemoryFolder, text: str) -> None:
    (folder.path / "memory.json").write_text(text)
    with pytest.raises(FolderDamaged, match=r"memory\.json"):
        MemoryFolder.open(folder.path)


# writing and reading


def test_what_is_written_is_read_back(folder: MemoryFolder) -> None:
    odd = Fact(
        *(" id ", "Où?\n", "two  spaces\tinside", ("a", "b"), ("no",), "", "g"), {"n": 1, "deep": {"x": [None, "ü"]}},
        valid_from="2020-01-01T00:00+02:00", valid_until="2030-01-01",
    )  # fmt: skip
    base = torch.arange(24, dtype=torch.float32).view(4, 6)
    rooms = {
        "imprint": {"half": base.bfloat16(), "view": base[1:3], "transposed": base.T, "none": base[:0]},
        "kv": {"again": base, "same": base, "small": base.to(torch.float8_e4m3fn)},
    }
    assert learn(folder, [odd, *facts_of(3)], **rooms) == 1
    with MemoryFolder.open(folder.path) as again:
        assert again.version == folder.version == 1
        assert again.segments == folder.segments
        assert [*again.facts()] == [odd, *facts_of(3)]
        assert again.fact(" id ") == odd
        (segment,) = again.segments
        assert segment.live == [0, 1, 2, 3]
        for room, tensors in rooms.items():
            held = again.shard(segment, room)
            assert held.keys() == tensors.keys()
            for name, tensor in tensors.items():
                assert held[name].dtype == tensor.dtype
                assert torch.equal(held[name].float(), tensor.float())
        assert again.verify() == []


def test_the_facts_shard_is_plain_safetensors(folder: MemoryFolder) -> None:
    learn(folder, facts_of(3))
    held = load_file(folder.shards.file(folder.segments[0].shards["facts"]))
    start, end = held["offsets"][1:3]
    assert json.loads(bytes(held["lines"][start:end].tolist()))["answer"] == "answer f 1"


def test_reading_facts_needs_no_torch(folder: MemoryFolder) -> None:
    learn(folder, facts_of(3))
    script = (
        "import sys; from memtune.store import MemoryFolder; f = MemoryFolder.open(sys.argv[1]);"
        "print(f.version, f.fact('f1').answer, len(f.verify()), 'torch' in sys.modules); f.close()"
    )
    done = subprocess.run([sys.executable, "-c", script, folder.path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1 answer f 1 0 False"


def test_catalogue_lookups(folder: MemoryFolder) -> None:
    first = [Fact(f"a{i}", f"Q {i}?", "x", source=f"s{i % 2}", group="even" if i % 2 == 0 else None) for i in range(6)]
    second = [Fact(f"b{i}", f"R {i}?", "y", ("Q 1",), group="even", extra={"year": 1990 + i}) for i in range(3)]
    learn(folder, first)
    learn(folder, second)
    assert folder.find(["a1", "b2", "zz"]) == {"a1": FactRef(1, 1), "b2": FactRef(2, 2)}
    assert folder.at(2, 1) == second[1]

    def ids(limit: int | None = None, **where: str) -> list[str]:
        return [fact.id for fact in folder.facts(where, limit=limit)]

    assert ids() == [fact.id for fact in first + second]
    assert ids(limit=2) == ["a0", "a1"]
    assert ids(limit=0) == []
    assert ids(group="even") == ["a0", "a2", "a4", "b0", "b1", "b2"]
    assert ids(group="even", source="s0") == ["a0", "a2", "a4"]
    assert ids(question="q  1") == ["a1"], "a further phrasing is not the question"
    assert ids(year="1991") == ["b1"]
    assert ids(colour="red") == ids(id="zz") == ids(group="even", colour="red") == []
    assert folder.count({"group": "even"}) == 6
    assert folder.count({"group": "even", "year": "1990"}) == 1
    assert folder.count() == 9


def test_unknown_facts_name_the_near_ones(folder: MemoryFolder) -> None:
    learn(folder, [Fact("order-17", "Q", "A"), Fact("invoice-3", "R", "B")])
    with pytest.raises(UnknownFact, match="no fact 'order-71'") as error:
        folder.fact("order-71")
    assert error.value.hint == "did you mean order-17?"
    with pytest.raises(UnknownFact):
        folder.fact("\udcff")
    with pytest.raises(UnknownFact):
        folder.at(1, 2)
    with folder.writer() as writer, pytest.raises(UnknownFact):
        writer.drop(["invoice-3", "nobody"])
    assert folder.count() == 2


def test_by_wording(folder: MemoryFolder) -> None:
    many = [Fact(f"f{i}", f"Question {i}?", f"A{i}", (f"Say {i}", f"Tell {i}")) for i in range(700)]
    learn(folder, many[:400])
    learn(folder, many[400:])
    forget(folder, "f5")
    hashes = [wording_hash(text) for fact in many for text in fact.wordings]
    assert any(h >= 1 << 63 for h in hashes)
    expected = {wording_hash(t): (f.id, f.answer) for f in many if f.id != "f5" for t in f.wordings}
    assert folder.by_wording([*hashes, 1, 2]) == expected
    assert folder.by_wording([]) == {}


# versions


def test_forgetting_keeps_shards_and_hides_the_fact(folder: MemoryFolder) -> None:
    learn(folder, facts_of(5), imprint={"u": torch.ones(5, 2)})
    before, reader = shard_files(folder), MemoryFolder.open(folder.path)
    assert forget(folder, "f1", "f3") == 2
    assert folder.segments[0].dropped == {1, 3}
    assert folder.segments[0].live == [0, 2, 4]
    assert [fact.id for fact in folder.facts()] == ["f0", "f2", "f4"]
    assert folder.find(["f1"]) == folder.by_wording([wording_hash("What is f 1?")]) == {}
    assert shard_files(folder) == before
    assert folder.verify() == []
    with reader:  # it stands where it was opened, until it moves
        assert (reader.version, reader.current_version(), reader.count()) == (1, 2, 5)
        assert reader.fact("f1").answer == "answer f 1"
        assert reader.refresh()
        assert not reader.refresh()
        assert (reader.version, reader.count()) == (2, 3)
    forget(folder, "f0", "f2", "f4")
    assert (folder.segments, folder.count(), folder.verify()) == ((), 0, [])


def test_update_in_one_version(folder: MemoryFolder) -> None:
    learn(folder, facts_of(3))
    with folder.writer() as writer:
        writer.drop(["f1"])
        writer.add_segment([Fact("f1", "What is f 1?", "new")], {})
        assert writer.commit("update f1", author="ada") == 2
    assert folder.fact("f1").answer == "new"
    assert folder.find(["f1"]) == {"f1": FactRef(2, 0)}
    assert folder.by_wording([wording_hash("what is f 1")]) == {wording_hash("what is f 1"): ("f1", "new")}
    manifest = json.loads(folder.manifests.file(folder.manifest.point).read_text())
    assert (manifest["author"], manifest["message"]) == ("ada", "update f1")
    assert (folder.manifest.commit.parent, folder.manifest.commit.counts) == (1, Counts(changed=1))
    assert folder.verify() == []


def test_several_commits_and_what_was_not_committed(folder: MemoryFolder) -> None:
    with suppress(KeyboardInterrupt), folder.writer() as writer:
        for lot in range(3):
            writer.add_segment(facts_of(4, f"lot{lot}-"), {"k": {"t": torch.full((4,), float(lot))}})
            assert writer.commit(f"lot {lot}") == folder.version == lot + 1
        kept = shard_files(folder)
        writer.add_segment(facts_of(4, "lost"), {"k": {"t": torch.full((4,), 9.0)}})
        writer.drop(["lot0-1"])
        raise KeyboardInterrupt
    assert (folder.version, folder.count()) == (3, 12)
    assert shard_files(folder) == kept
    assert folder.find(["lost1"]) == {}
    assert learn(folder, facts_of(1, "lost")) == 4
    assert folder.verify() == []


def test_a_commit_without_changes_makes_no_version(folder: MemoryFolder) -> None:
    with folder.writer() as writer:
        writer.drop([])
        assert writer.commit("nothing") == 0
    assert folder.verify() == []


def test_ids_stay_unique(folder: MemoryFolder) -> None:
    learn(folder, facts_of(2))
    for facts in (facts_of(1), facts_of(1, "g") * 2):
        with folder.writer() as writer, pytest.raises(UsageError, match="twice"):
            writer.add_segment(facts, {})
    with folder.writer() as writer:
        writer.add_segment(facts_of(1, "h"), {})
        with pytest.raises(UsageError, match="twice"):
            writer.add_segment(facts_of(1, "h"), {})


def test_what_cannot_be_stored_is_refused(folder: MemoryFolder) -> None:
    with folder.writer() as writer:
        with pytest.raises(UsageError):
            writer.add_segment([], {})
        for room in ("facts", "../up", ""):
            with pytest.raises(UsageError):
                writer.add_segment(facts_of(1), {room: {}})
        for fact in (Fact("a", "Q", "\ud800"), Fact("a", "Q", "A", extra={"when": object()})):
            with pytest.raises(InputError, match="cannot be stored"):
                writer.add_segment([fact], {})
    assert (folder.version, shard_files(folder)) == (0, set())


def test_an_unknown_room(folder: MemoryFolder) -> None:
    learn(folder, facts_of(2), router={"keys": torch.zeros(2)})
    with pytest.raises(UsageError, match="no room 'other'"):
        folder.shard(1, "other")
    with pytest.raises(UsageError, match="no segment 7"):
        folder.shard(7, "router")


def test_dropped_rows_are_written_as_runs() -> None:
    segment = Segment(1, 1000, {}, frozenset([0, *range(3, 900), 950]))
    written = segment.to_json()
    assert written["dropped"] == [0, [3, 899], 950]
    assert Segment.from_json(written) == segment


def test_a_long_iteration_sees_one_version(folder: MemoryFolder) -> None:
    learn(folder, [Fact(f"f{i}", f"Q{i}", "A", group="g") for i in range(1200)])
    running = folder.facts({"group": "g"})
    next(running)
    forget(folder, *(f"f{i}" for i in range(600, 1200)))
    assert len(list(running)) == 1199
    assert folder.count({"group": "g"}) == 600


# one writer


def test_two_writers_at_once(folder: MemoryFolder) -> None:
    with folder.writer(), MemoryFolder.open(folder.path) as other:
        with (
            pytest.raises(FolderLocked, match=r"process \d+ on .* has been writing for 0 s") as error,
            other.writer(),
        ):
            pass
        assert error.value.hint
    learn(folder, facts_of(1))


def test_a_writer_starts_at_the_newest_version(folder: MemoryFolder) -> None:
    with MemoryFolder.open(folder.path) as other:
        learn(other, facts_of(2))
        assert folder.version == 0
        assert forget(folder, "f0") == 2
    assert [fact.id for fact in folder.facts()] == ["f1"]


# damage


def flip(file: Path, at: int = -20) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def test_a_damaged_shard_is_never_used(folder: MemoryFolder) -> None:
    learn(folder, facts_of(3), imprint={"u": torch.zeros(100)})
    for room in ("facts", "imprint"):
        flip(folder.shards.file(folder.segments[0].shards[room]))
    with MemoryFolder.open(folder.path) as again:
        with pytest.raises(FolderDamaged, match=folder.segments[0].shards["imprint"]):
            again.shard(1, "imprint")
        with pytest.raises(FolderDamaged, match=folder.segments[0].shards["facts"]):
            again.fact("f0")
        assert len(again.verify()) == 2


def test_missing_files_are_named(folder: MemoryFolder) -> None:
    learn(folder, facts_of(3))
    shard = folder.shards.file(folder.segments[0].shards["facts"])
    for file in (shard, folder.manifests.file(folder.manifest.point), folder.path / "refs.json"):
        aside = file.rename(folder.path / "aside")
        with pytest.raises(FolderDamaged, match=f"{file.name} is missing"):
            MemoryFolder.open(folder.path)
        aside.rename(file)
    MemoryFolder.open(folder.path).close()


def test_a_changed_or_swapped_manifest_is_found(folder: MemoryFolder) -> None:
    learn(folder, facts_of(3))
    first = folder.manifests.file(folder.manifest.point)
    forget(folder, "f0")
    second = folder.manifests.file(folder.manifest.point)
    good = second.read_bytes()
    flip(second, at=40)
    with pytest.raises(FolderDamaged, match=second.name):
        MemoryFolder.open(folder.path)
    second.write_bytes(first.read_bytes())
    with pytest.raises(FolderDamaged, match="not the manifest that was committed"):
        MemoryFolder.open(folder.path)
    second.write_bytes(good)
    flip(first)
    problems = folder.verify()
    assert problems
    assert all(first.name in problem for problem in problems)


def test_a_damaged_catalogue_is_a_clear_error(folder: MemoryFolder) -> None:
    learn(folder, facts_of(3))
    folder.close()
    (folder.path / "catalogue.sqlite").write_bytes(b"not a database at all" * 100)
    with MemoryFolder.open(folder.path) as again, pytest.raises(FolderError, match=r"catalogue\.sqlite") as error:
        again.fact("f1")
    assert "memtune repair" in str(error.value.hint)


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("UPDATE facts SET id = 'other' WHERE id = 'f1'", "different facts"),
        ("DELETE FROM phrasings WHERE key & 0xff = 2", "does not know its wording 'What is f 2?'"),
        ("UPDATE facts SET \"group\" = 'g' WHERE id = 'f1'", "different facts"),
        ("INSERT INTO phrasings VALUES (5, (1 << 32) + 1)", "knows wordings that it does not have"),
        ("DELETE FROM shards", "does not know the shard"),
    ],
)
def test_verify_compares_catalogue_and_shards(folder: MemoryFolder, sql: str, found: str) -> None:
    learn(folder, facts_of(3))
    with sqlite3.connect(folder.path / "catalogue.sqlite") as connection:
        connection.execute(sql)
    connection.close()
    (problem,) = folder.verify()
    assert found in problem
