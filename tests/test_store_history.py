"""Versions, branches, merges, the audit log, and what `verify` and `repair` make of damage. No model is needed."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from memtune.cli.options import Folder
from memtune.config import AdmissionConfig
from memtune.core.facts import Fact
from memtune.errors import (
    BackboneMismatch,
    FolderDamaged,
    FolderTooOld,
    MemtuneError,
    NotFound,
    UnknownFact,
    UnknownVersion,
    UsageError,
)
from memtune.history import History
from memtune.store import MemoryFolder, manifest, sidecar
from memtune.store.mending import mend
from memtune.store.merge import MergeConflict
from memtune.store.purge import held_anywhere


def facts_of(count: int, prefix: str = "f") -> list[Fact]:
    return [Fact(f"{prefix}{i}", f"What is {prefix} {i}?", f"answer {prefix} {i}", group=prefix) for i in range(count)]


def learn(folder: MemoryFolder, facts: list[Fact]) -> int:
    with folder.writer() as writer:
        writer.add_segment(facts, {})
        return writer.commit(f"learn {len(facts)}")


def update(folder: MemoryFolder, id_: str, answer: str) -> int:
    with folder.writer() as writer:
        old = folder.fact(id_)
        writer.drop([id_])
        writer.add_segment([replace(old, answer=answer)], {})
        return writer.commit(f"update {id_}", act="update")


def forget(folder: MemoryFolder, *ids: str) -> int:
    with folder.writer() as writer:
        writer.drop(ids)
        return writer.commit("forget", act="forget")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[MemoryFolder]:
    """v1: f0 to f3; v2: f1 changed; v3: f2 gone."""
    with MemoryFolder.create(tmp_path / "m", backbone={"name": "tiny", "weights": "w"}, settings={}) as made:
        made.author = "ada"
        learn(made, facts_of(4))
        update(made, "f1", "new")
        forget(made, "f2")
        yield made


def answers(path: str | Path) -> dict[str, str]:
    with MemoryFolder.open(path) as opened:
        return {fact.id: fact.answer for fact in opened.facts()}


# versions


def test_the_log_says_who_did_what(folder: MemoryFolder) -> None:
    third, second, first = History(folder).log()
    assert [v.commit.act for v in (first, second, third)] == ["learn", "update", "forget"]
    assert {v.commit.author for v in (first, second, third)} == {"ada"}
    counts = [vars(v.commit.counts) for v in (first, second, third)]
    assert counts[0] == {"added": 4, "changed": 0, "removed": 0}
    assert counts[1] == {"added": 0, "changed": 1, "removed": 0}
    assert counts[2] == {"added": 0, "changed": 0, "removed": 1}
    assert (third.commit.parent, third.commit.facts, third.names) == (2, 3, ("main",))
    assert [v.commit.version for v in History(folder).log(limit=2)] == [3, 2]
    assert json.loads(json.dumps(third.to_json()))["message"] == "forget"


def test_a_new_author_is_the_user_and_the_machine(tmp_path: Path) -> None:
    with MemoryFolder.create(tmp_path / "m", backbone={}, settings={}) as folder:
        learn(folder, facts_of(1))
        assert "@" in folder.manifest.commit.author


def test_old_versions_are_read_by_address_and_never_written(folder: MemoryFolder) -> None:
    History(folder).tag("gold", "v2")
    assert answers(f"{folder.path}@v1")["f1"] == "answer f 1"
    assert answers(f"{folder.path}@2") == answers(f"{folder.path}@gold")
    assert "f2" not in answers(f"{folder.path}@main")
    with MemoryFolder.open(f"{folder.path}@v1") as old:
        assert old.fact("f2").answer == "answer f 2"
        assert old.find(["f1", "f9"]).keys() == {"f1"}
        assert old.verify() == []
        assert not old.refresh()
        with pytest.raises(UsageError, match="read-only") as error, old.writer():
            pass
        assert "memtune branch" in str(error.value.hint)


@pytest.mark.parametrize(("name", "near"), [("v9", "v3"), ("golf", "gold"), ("mian", "main"), ("v1.5", "main")])
def test_an_unknown_version_names_the_near_ones(folder: MemoryFolder, name: str, near: str) -> None:
    History(folder).tag("gold")
    with pytest.raises(UnknownVersion, match=f"'{name}'") as error:
        MemoryFolder.open(f"{folder.path}@{name}")
    assert near in str(error.value.hint)


def test_a_folder_with_an_at_in_its_name_is_meant_itself(tmp_path: Path) -> None:
    (tmp_path / "a@b").mkdir()
    MemoryFolder.create(tmp_path / "a@b", backbone={}, settings={}).close()
    assert answers(tmp_path / "a@b") == {}
    with pytest.raises(NotFound):
        MemoryFolder.open(tmp_path / "nowhere@v1")


def test_diff(folder: MemoryFolder) -> None:
    history = History(folder)
    update(folder, "f0", "newer")
    learn(folder, facts_of(1, "g"))
    found = history.diff("v2")
    assert list(found.added) == ["g0"]
    assert {i: (a.answer, b.answer) for i, (a, b) in found.changed.items()} == {"f0": ("answer f 0", "newer")}
    assert list(found.removed) == ["f2"]
    assert "~ f0  What is f 0?  answer f 0 → newer" in found.lines()
    back = history.diff("main", 2)
    assert (list(back.added), list(back.removed)) == (["f2"], ["g0"])
    assert not history.diff(2, 2)
    assert list(history.show(1)[1].added) == ["f0", "f1", "f2", "f3"]


def test_rollback_is_a_version_and_readers_follow(folder: MemoryFolder) -> None:
    history = History(folder)
    with MemoryFolder.open(folder.path) as reader:
        assert history.rollback("v1") == 4
        assert reader.refresh()
        assert {f.id: f.answer for f in reader.facts()} == answers(f"{folder.path}@v1")
    assert vars(folder.manifest.commit.counts) == {"added": 1, "changed": 1, "removed": 0}
    assert history.rollback(4) == 4, "nothing to do"
    assert history.rollback(3) == 5
    assert answers(folder.path) == answers(f"{folder.path}@v3")
    assert folder.verify() == []


def test_branches_do_not_see_each_other(folder: MemoryFolder) -> None:
    history = History(folder)
    assert history.branch("side", at="v1") == 1
    with MemoryFolder.open(f"{folder.path}@side") as side:
        assert update(side, "f3", "aside") == 4
    assert answers(folder.path)["f3"] == "answer f 3"
    assert answers(f"{folder.path}@side")["f3"] == "aside"
    assert update(folder, "f3", "ahead") == 5
    assert [v.commit.version for v in history.log()] == [5, 3, 2, 1]
    assert history.names("branch") == {"main": 5, "side": 4}
    assert folder.verify() == []
    for name in ("side", "v7", "12", "a b", ""):
        with pytest.raises(UsageError):
            history.branch(name)
    with pytest.raises(UsageError, match="cannot be deleted"):
        history.delete("main")
    with pytest.raises(UnknownVersion, match="'sid'"):
        history.delete("sid")


def test_notes_are_added_without_changing_the_version(folder: MemoryFolder) -> None:
    history = History(folder)
    before = history.show("v2")[0].checksum
    history.note("v2", "recall 0.99", {"recall": 0.99})
    history.note("v2", "fine")
    noted = history.show("v2")[0]
    assert noted.checksum == before
    assert [(n.author, n.text, n.data) for n in noted.notes] == [
        ("ada", "recall 0.99", {"recall": 0.99}),
        ("ada", "fine", None),
    ]


def test_many_single_updates_write_little(folder: MemoryFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memtune.store.durable.sync_file", lambda _: None)
    monkeypatch.setattr(manifest, "CHAIN", 16)
    for number in range(60):
        update(folder, "f0", f"answer {number}")
    sizes = [file.stat().st_size for _, file in folder.manifests.files()]
    assert sum(sizes) < 60 * 3000
    for number in (0, 1, 16, 17, 18, 59):
        assert answers(f"{folder.path}@v{number + 4}")["f0"] == f"answer {number}"
    assert folder.verify() == []


# merging


def test_branches_merge_what_only_one_of_them_changed(folder: MemoryFolder) -> None:
    history = History(folder)
    history.branch("side")
    with MemoryFolder.open(f"{folder.path}@side") as side:
        update(side, "f0", "from the side")
        learn(side, facts_of(2, "s"))
        forget(side, "f3", "s1")
    learn(folder, facts_of(1, "m"))
    done = history.merge("side")
    assert (done.added, done.changed, done.removed) == (1, 1, 1)
    assert answers(folder.path) == {"f0": "from the side", "f1": "new", "m0": "answer m 0", "s0": "answer s 0"}
    commit = folder.manifest.commit
    assert (commit.act, [p.version for p in commit.parents]) == ("merge", [7, 6])
    assert history.merge("side").version == done.version, "merged already"
    assert folder.verify() == []


def conflicting(folder: MemoryFolder) -> History:
    """The side and main changed f0, and one of them forgot what the other changed."""
    history = History(folder)
    history.branch("side")
    with MemoryFolder.open(f"{folder.path}@side") as side:
        update(side, "f0", "side")
        update(side, "f1", "side")
        forget(side, "f3")
        learn(side, [Fact("s", "What is m?", "side")])
    update(folder, "f0", "main")
    forget(folder, "f1")
    update(folder, "f3", "main")
    learn(folder, [Fact("m", "What is m?", "main")])
    return history


def test_conflicts_are_listed_and_nothing_is_merged(folder: MemoryFolder) -> None:
    history = conflicting(folder)
    before = folder.version
    with pytest.raises(MergeConflict, match="4 facts conflict") as error:
        history.merge("side")
    assert {c.id for c in error.value.conflicts} == {"f0", "f1", "f3", "s"}
    assert (folder.version, folder.verify()) == (before, [])


@pytest.mark.parametrize("how", ["ours", "keep-first"])
def test_conflicts_settled_as_ours(folder: MemoryFolder, how: str) -> None:
    done = conflicting(folder).merge("side", on_conflict=how)
    assert answers(folder.path) == {"f0": "main", "f3": "main", "m": "main"}
    assert len(done.conflicts) == 4


@pytest.mark.parametrize("how", ["theirs", "keep-last"])
def test_conflicts_settled_as_theirs(folder: MemoryFolder, how: str) -> None:
    conflicting(folder).merge("side", on_conflict=how)
    assert answers(folder.path) == {"f0": "side", "f1": "side", "s": "side"}
    assert folder.verify() == []


def test_another_folder_joins_without_a_copy_of_what_is_there(folder: MemoryFolder, tmp_path: Path) -> None:
    with MemoryFolder.create(tmp_path / "o", backbone=dict(folder.header.backbone), settings={}) as other:
        learn(other, [*facts_of(3, "o"), *facts_of(1)])
        forget(other, "o1")
        learn(other, [Fact("double", "What is f 3?", "answer f 3")])
    history = History(folder)
    done = history.merge(tmp_path / "o")
    assert (done.added, done.duplicates, done.conflicts) == (2, 1, [])
    assert {"o0", "o2", "f0", "f1"} <= answers(folder.path).keys()
    assert "double" not in answers(folder.path)
    assert folder.verify() == []
    assert history.merge(f"{tmp_path / 'o'}@v1", on_conflict="theirs").added == 1, "o1 was forgotten later"
    shutil.rmtree(tmp_path / "o")
    assert folder.verify() == []
    assert answers(folder.path)["o1"] == "answer o 1"


def test_what_another_folder_changed_since_it_was_merged_is_no_conflict(folder: MemoryFolder, tmp_path: Path) -> None:
    history = History(folder)
    with MemoryFolder.create(tmp_path / "o", backbone=dict(folder.header.backbone), settings={}) as other:
        learn(other, facts_of(4, "o"))
        assert history.merge(tmp_path / "o").added == 4
        assert history.merge(tmp_path / "o").version == 4, "merged already"
        update(other, "o1", "newer")
        forget(other, "o2")
        learn(other, facts_of(1, "p"))
        update(folder, "o3", "ours")
        done = history.merge(tmp_path / "o")
        assert (done.added, done.changed, done.removed, done.conflicts) == (1, 1, 1, [])
        assert answers(folder.path)["o3"] == "ours"
        update(other, "o3", "theirs")
        with pytest.raises(MergeConflict, match="1 fact conflicts: o3"):
            history.merge(tmp_path / "o")
    assert folder.verify() == []


def test_verify_looks_at_what_stands_beside_and_repair_removes_what_is_damaged(folder: MemoryFolder) -> None:
    sidecar.write(folder.path, sidecar.CALIBRATION, {"threshold": 0.7})
    (folder.path / "inbox.jsonl").write_text('{"id": "q1", "question": "Why?"}\n')
    assert folder.verify() == []
    (folder.path / "inbox.jsonl").write_text('{"id": "q1", "question": "Why?"}\n{"id": "q2", "que\n')
    (folder.path / "calibration.json").write_bytes((folder.path / "calibration.json").read_bytes().replace(b"7", b"6"))
    named = " ".join(folder.verify())
    assert "inbox.jsonl: line 2 cannot be read" in named
    assert "calibration.json is damaged" in named
    assert "calibration.json" in mend(folder.path)[0]
    assert not (folder.path / "calibration.json").exists()


def test_memories_that_cannot_be_merged(folder: MemoryFolder, tmp_path: Path) -> None:
    history = History(folder)
    MemoryFolder.create(tmp_path / "o", backbone={"name": "other", "weights": "x"}, settings={}).close()
    with pytest.raises(BackboneMismatch, match="weights differ"):
        history.merge(tmp_path / "o")
    MemoryFolder.create(tmp_path / "p", backbone=dict(folder.header.backbone), settings={"width": 3}).close()
    with pytest.raises(UsageError, match="other settings: width"):
        history.merge(tmp_path / "p")
    with pytest.raises(UsageError, match="on_conflict must be one of"):
        history.merge("main", on_conflict="mine")
    with pytest.raises(UnknownVersion):
        history.merge("nobody")
    with pytest.raises(NotFound):
        history.merge(tmp_path / "nobody")


# collecting


def test_gc_removes_what_nothing_leads_to(folder: MemoryFolder) -> None:
    history = History(folder)
    assert history.gc().versions == 0
    history.branch("side")
    with MemoryFolder.open(f"{folder.path}@side") as side:
        learn(side, facts_of(3, "s"))
    history.delete("side")
    assert answers(f"{folder.path}@v4"), "until it is collected"
    planned = history.gc(dry_run=True)
    done = history.gc()
    assert planned == done
    assert (done.versions, done.shards) == (1, 1)
    assert folder.verify() == []
    with pytest.raises(UnknownVersion):
        MemoryFolder.open(f"{folder.path}@v4")
    assert learn(folder, facts_of(1, "t")) == 5, "a number is never given away twice"
    assert folder.segments[-1].id == 4
    assert folder.verify() == []


def test_history_can_be_rewritten_so_that_no_version_holds_a_fact(folder: MemoryFolder) -> None:
    """Other shards under the same numbers; no file of the folder tells what was purged."""
    history = History(folder)
    history.branch("side", at=2)
    history.note(2, "good")
    kept = {v: answers(f"{folder.path}@v{v}") for v in (1, 2, 3)}
    assert history.purge("f0").rows == 1
    for version, held in kept.items():
        del held["f0"]
        assert answers(f"{folder.path}@v{version}") == held
    assert folder.find(["f0"]) == {}
    assert folder.verify() == []
    assert history.show(2)[0].notes[0].text == "good"
    for file in folder.path.rglob("*"):
        said = b"" if file.is_dir() else file.read_bytes()
        assert b"answer f 0" not in said, file
        assert b"What is f 0" not in said, file
    learn(folder, facts_of(1))
    assert folder.verify() == []
    refs = folder.refs
    (folder.path / "refs.json").unlink()
    mend(folder.path)
    with MemoryFolder.open(folder.path) as again:
        assert (again.refs.branches, again.refs.latest) == (refs.branches, refs.latest)


def test_purging_reaches_what_only_an_abandoned_branch_held(folder: MemoryFolder) -> None:
    history = History(folder)
    history.branch("side")
    with MemoryFolder.open(f"{folder.path}@side") as side:
        learn(side, facts_of(2, "s"))
    history.delete("side")
    assert history.purge("s0").versions == 1
    assert not any(b"What is s 0" in file.read_bytes() for file in folder.path.rglob("*") if file.is_file())
    assert list(history.audit())[-1]["ids"] == ["s0"]
    assert folder.verify() == []
    with pytest.raises(UnknownFact):
        history.purge("s0")


# admission


def test_promoting_moves_on_and_nowhere_else(folder: MemoryFolder) -> None:
    history = History(folder)
    with pytest.raises(UsageError, match="no candidate"):
        history.promote()
    with history.on_candidate(resume=False) as candidate:
        learn(folder, facts_of(1, "c"))
    assert (candidate.version, folder.version) == (4, 3)
    assert history.candidates() == {"candidate": 4}
    with pytest.raises(UsageError, match="v4 waits"), history.on_candidate(resume=False):
        pass
    with MemoryFolder.open(folder.path) as reader:
        assert (history.promote(), reader.refresh(), reader.version) == (4, True, 4)
    assert history.names("branch") == {"main": 4}
    with pytest.raises(UsageError, match="v2 does not come from v4"):
        history.promote("v2")
    with history.on_candidate(resume=False) as candidate:
        pass
    assert (candidate.version, history.candidates()) == (0, {})


# the audit log


def acts(folder: MemoryFolder) -> list[str]:
    return [entry["act"] for entry in History(folder).audit()]


def test_every_act_is_in_the_audit_log(folder: MemoryFolder) -> None:
    history = History(folder)
    history.tag("gold")
    history.note("gold", "good")
    history.rollback(1)
    history.delete("gold")
    assert acts(folder) == ["learn", "update", "forget", "tag", "note", "rollback", "delete"]
    assert {entry["who"] for entry in history.audit()} == {"ada"}


def changed(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b"ada", b"eve"), *lines[2:]]


def missing(lines: list[bytes]) -> list[bytes]:
    return [lines[0], *lines[2:]]


def reordered(lines: list[bytes]) -> list[bytes]:
    return [lines[1], lines[0], *lines[2:]]


def cut_off(lines: list[bytes]) -> list[bytes]:
    return lines[:-1]


@pytest.mark.parametrize("harm", [changed, missing, reordered, cut_off])
def test_verify_finds_what_was_done_to_the_audit_log(folder: MemoryFolder, harm) -> None:
    file = folder.path / "audit.jsonl"
    file.write_bytes(b"".join(harm(file.read_bytes().splitlines(keepends=True))))
    assert any("audit.jsonl" in problem for problem in folder.verify())


# damage


def test_a_flipped_byte_in_any_file_is_found_and_named(folder: MemoryFolder) -> None:
    History(folder).tag("gold", 1)
    sidecar.write(folder.path, sidecar.CALIBRATION, {"threshold": 0.7, "right": [1.0, 0.9]})
    folder.close()
    draw = random.Random(0)
    files = [f for f in folder.path.rglob("*") if f.is_file() and f.suffix != ".lock" and "catalogue" not in f.name]
    assert len(files) == 2 + 3 + 3 - 1 + 1 + 1
    for file in files:
        good = file.read_bytes()
        for place in sorted({0, len(good) - 1, *(draw.randrange(len(good)) for _ in range(12))}):
            file.write_bytes(good[:place] + bytes([good[place] ^ 1 << draw.randrange(8)]) + good[place + 1 :])
            try:
                with MemoryFolder.open(folder.path) as again:
                    said = " ".join(again.verify())
            except MemtuneError as error:
                said = error.message
            assert file.name in said, (file.name, place)
        file.write_bytes(good)
    with MemoryFolder.open(folder.path) as again:
        assert again.verify() == []


@pytest.mark.parametrize("loss", ["catalogue.sqlite", "refs.json"])
def test_what_is_lost_is_made_again(folder: MemoryFolder, loss: str) -> None:
    history = History(folder)
    history.branch("side", at=2)
    history.tag("gold", 1)
    history.branch("gone")
    history.delete("gone")
    refs, held = folder.refs, answers(folder.path)
    folder.close()
    (folder.path / loss).unlink()
    mend(folder.path)
    with MemoryFolder.open(folder.path) as again:
        assert (again.refs.branches, again.refs.tags, again.refs.latest) == (refs.branches, refs.tags, refs.latest)
        assert again.verify() == []
        learn(again, facts_of(1, "z"))
        assert again.verify() == []
    assert answers(folder.path) == held | {"z0": "answer z 0"}


def test_a_reader_elsewhere_needs_no_database(folder: MemoryFolder, tmp_path: Path) -> None:
    history = History(folder)
    history.branch("side", at=1)
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder.path, copy, ignore=shutil.ignore_patterns("catalogue*", "writer.lock"))
    with MemoryFolder.open(copy) as reader:
        assert {f.id for f in reader.facts({"group": "f"})} == {"f0", "f1", "f3"}
        assert reader.fact("f1").answer == "new"
        learn(folder, facts_of(2, "n"))
        for file in ("shards", "manifests"):
            shutil.copytree(folder.path / file, copy / file, dirs_exist_ok=True)
        for file in ("audit.jsonl", "refs.json"):
            shutil.copy(folder.path / file, copy / f"{file}.new")
            (copy / f"{file}.new").replace(copy / file)
        assert reader.refresh()
        assert reader.fact("n1").answer == "answer n 1"
        assert reader.verify() == []
    assert not (copy / "catalogue.sqlite").exists()
    assert answers(f"{copy}@side")["f2"] == "answer f 2"
    with MemoryFolder.open(copy) as writer:
        assert learn(writer, facts_of(1, "w")) == 5
        assert writer.verify() == []


def test_a_memory_of_an_older_format_says_so() -> None:
    with pytest.raises(FolderTooOld, match="format 1, not 2"):
        MemoryFolder.open(Path(__file__).parent / "memories" / "format-1")


def test_a_catalogue_that_lacks_something_is_refused_to_readers_and_mended_by_writers(folder: MemoryFolder) -> None:
    saved = (folder.path / "catalogue.sqlite").read_bytes()
    learn(folder, facts_of(2, "n"))
    with MemoryFolder.open(folder.path) as fresh, fresh.writer():
        pass
    folder.close()
    for file in folder.path.glob("catalogue.sqlite*"):
        file.unlink()
    (folder.path / "catalogue.sqlite").write_bytes(saved)
    with MemoryFolder.open(folder.path) as again:
        if again.manifest.held.keys() - again_segments(folder.path):
            with pytest.raises(FolderDamaged, match="lacks"):
                again.fact("n0")
        assert learn(again, facts_of(1, "z")) == 5
        assert again.fact("n0").answer == "answer n 0"
        assert again.verify() == []


def again_segments(path: Path) -> set[int]:
    import sqlite3

    connection = sqlite3.connect(path / "catalogue.sqlite")
    try:
        return {number for (number,) in connection.execute("SELECT id FROM segments")}
    except sqlite3.OperationalError:
        return set()
    finally:
        connection.close()


def test_a_branch_that_only_regrouped_conflicts_with_nothing(folder: MemoryFolder) -> None:
    learn(folder, facts_of(2, "g"))
    history = History(folder)
    history.branch("tidy")
    with History.open(f"{folder.path}@tidy") as tidy:
        tidy.regroup(512)
        tidy.archive("g1")
    update(folder, "f0", "mine")
    forget(folder, "g0")
    merged = history.merge("tidy")
    assert (merged.changed, merged.conflicts) == (1, [])
    assert {f.id: f.answer for f in folder.facts()}["f0"] == "mine"
    assert "g0" not in folder.find(["g0"])
    assert folder.is_archived(folder.find(["g1"])["g1"]), "the row is another one on that branch"
    assert folder.verify() == []


def test_what_was_archived_is_seen_through_regrouping(folder: MemoryFolder) -> None:
    history, before = History(folder), folder.version
    history.archive("f0")
    history.regroup(512)
    assert history.diff(before).archived == ("f0",)
    history.restore("f0")
    history.merge("v4")
    assert history.diff(4).restored == ("f0",)


def test_another_folder_archives_after_it_was_merged(folder: MemoryFolder, tmp_path: Path) -> None:
    with MemoryFolder.create(tmp_path / "o", backbone={"name": "tiny", "weights": "w"}, settings={}) as other:
        learn(other, facts_of(2, "o"))
        history = History(folder)
        history.merge(tmp_path / "o")
        History(other).archive("o1")
        history.merge(tmp_path / "o")
    assert [folder.is_archived(folder.find([i])[i]) for i in ("o0", "o1")] == [False, True]


def test_a_collection_that_broke_off_leaves_nothing_in_the_way(folder: MemoryFolder) -> None:
    """The shards of a version that nothing leads to are gone, its manifest is not yet."""
    history = History(folder)
    history.branch("side", 1)
    with MemoryFolder.open(f"{folder.path}@side") as side:
        learn(side, facts_of(1, "s"))
        (segment,) = [s for s in side.segments if s.id not in folder.manifest.held]
    history.delete("side")
    folder.shards.file(segment.shards["facts"]).unlink()
    assert {held.fact.id for held in held_anywhere(folder, ["f1", "s0"])} == {"f1"}
    assert history.purge("f1").ids == ["f1"]
    assert folder.verify() == []


def test_verify_looks_at_what_nothing_leads_to(folder: MemoryFolder) -> None:
    history = History(folder)
    history.branch("side", 1)
    with MemoryFolder.open(f"{folder.path}@side") as side:
        learn(side, facts_of(1, "s"))
        (segment,) = [s for s in side.segments if s.id not in folder.manifest.held]
        manifest = side.manifests.file(side.manifest.point)
    history.delete("side")
    assert folder.verify() == []
    for file in (folder.shards.file(segment.shards["facts"]), manifest):
        data = file.read_bytes()
        file.write_bytes(data[:-20] + bytes([data[-20] ^ 1]) + data[-19:])
        (problem,) = folder.verify()
        assert str(file) in problem
        file.write_bytes(data)


@pytest.mark.parametrize(
    "rows", [[[0, 10**12]], [-1], [4], [[3, 1]], ["a"]], ids=["many", "negative", "beyond", "backwards", "text"]
)
def test_a_manifest_cannot_name_rows_that_are_not_there(rows: list[object]) -> None:
    said = {"id": 1, "count": 4, "shards": {}, "dropped": rows}
    with pytest.raises(FolderDamaged):
        manifest.apply(Path("m"), {"segments": [said], "removed": []}, manifest.Segments(), {})
    with pytest.raises(FolderDamaged):
        manifest.apply(Path("m"), {"segments": [{**said, "count": 10**12}], "removed": []}, manifest.Segments(), {})


def test_thresholds_set_elsewhere_hold_here(folder: MemoryFolder) -> None:
    history = History(folder)
    with History.open(folder.path) as elsewhere:
        elsewhere.admit(AdmissionConfig(recall=0.9))
    assert history.admission.recall == 0.9


def test_a_note_that_tells_the_answer_in_its_data_is_named(folder: MemoryFolder) -> None:
    history = History(folder)
    history.note(1, "evaluated", {"failed": ["answer f 1"]})
    assert history.purge("f1").noted == [1]


def test_a_folder_may_be_named_by_a_dot(folder: MemoryFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    History(folder).branch("side", 1)
    monkeypatch.chdir(folder.path)
    with History.open(".") as history:
        assert history.merge("side").version == folder.version
    assert Folder(Path(), "side").open().version == 1
