"""The memory folder when things go wrong: killed at every step, a full disk, readers beside a writer."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from faults import harness

from memtune.core.facts import Fact
from memtune.errors import FolderError, FolderLocked, MemtuneError, NoSpace, UsageError
from memtune.store import MemoryFolder, durable
from memtune.store.catalogue import WritableCatalogue


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process wrote survives its death without fsync; only a power cut asks for more."""
    opened = WritableCatalogue.open

    def unsynced(folder: Path) -> WritableCatalogue:
        catalogue = opened(folder)
        catalogue.rows("PRAGMA synchronous = OFF")
        return catalogue

    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(WritableCatalogue, "open", unsynced)


def facts_of(lot: int) -> list[Fact]:
    return [Fact(f"{lot}-{i}", f"What is {lot} {i}?", f"answer {lot} {i}", (f"Say {lot} {i}",)) for i in range(5)]


def make(path: Path) -> MemoryFolder:
    folder = MemoryFolder.create(path, backbone={}, settings={})
    with folder.writer() as writer:
        writer.add_segment(facts_of(0), {})
        writer.commit("first")
    return folder


def state(folder: MemoryFolder) -> tuple[int, list[Fact]]:
    return folder.version, list(folder.facts())


def check(path: Path, allowed: list[tuple[int, list[Fact]]]) -> int:
    """The folder opens at a whole version, verifies, takes the next writer, and holds no leftovers then."""
    with MemoryFolder.open(path) as folder:
        assert folder.verify() == []
        found = state(folder)
        assert found in allowed
        with folder.writer() as writer:
            writer.add_segment([Fact("next", "And next?", "works")], {})
            assert writer.commit("next") == found[0] + 1
        assert folder.verify() == []
        assert list(folder.facts()) == [*found[1], Fact("next", "And next?", "works")]
        assert sorted(number for number, _ in folder.manifests.files()) == list(range(1, found[0] + 2))
        committed = {name for (name,) in folder.catalogue.rows("SELECT sha256 FROM shards")}
        assert {f.stem for f in (path / "shards").iterdir()} == committed
    return found[0]


posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@posix
def test_killed_while_it_is_made(tmp_path: Path) -> None:
    def work(path: Path, number: int) -> None:
        with harness.at_step(number, harness.die):
            MemoryFolder.create(path, backbone={}, settings={})

    for number in range(1, 20):
        path = tmp_path / str(number)
        status = harness.in_child(lambda path=path, number=number: work(path, number))  # type: ignore[misc]
        if not MemoryFolder.exists(path):
            MemoryFolder.create(path, backbone={}, settings={}).close()
        with MemoryFolder.open(path) as folder:
            assert folder.verify() == []
        if status == 0:
            break
    assert number > 3


LEARNER = """
import sys
from memtune.core.facts import Fact
from memtune.store import MemoryFolder
with MemoryFolder.open(sys.argv[1]) as folder, folder.writer() as writer:
    for lot in range(folder.version, 10**6):
        if lot % 3 == 2:
            writer.drop([f"{lot - 1}-{i}" for i in range(0, 40, 2)])
        facts = [Fact(f"{lot}-{i}", f"What is {lot} {i}?", f"answer {i}") for i in range(40)]
        writer.add_segment(facts, {})
        print(writer.commit(f"lot {lot}"), flush=True)
"""


def start(script: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True)


def kill_at_random(path: Path, times: int) -> int:
    """Learn and be killed, again and again in one folder; the last version."""
    moments = random.Random(7)
    with MemoryFolder.create(path, backbone={}, settings={}) as folder:
        for _ in range(times):
            with start(LEARNER, path) as learner:
                assert learner.stdout is not None
                said = learner.stdout.readline()
                time.sleep(moments.uniform(0, 0.06))
                learner.kill()
                said += learner.stdout.read()
            last = int(said.split()[-1])
            folder.refresh()
            assert last <= folder.version <= last + 1, "a commit that was announced is never lost"
            assert folder.verify() == []
        return folder.version


def test_killed_at_random_moments(tmp_path: Path) -> None:
    assert kill_at_random(tmp_path / "m", 12) >= 12


@pytest.mark.slow
def test_killed_at_random_moments_often(tmp_path: Path) -> None:
    for folder in range(10):
        assert kill_at_random(tmp_path / str(folder), 30) >= 30


# a full disk


def test_a_full_database(tmp_path: Path) -> None:
    with make(tmp_path / "m") as folder:
        before = state(folder)
        with folder.writer() as writer:
            (pages,) = writer._catalogue.rows("PRAGMA page_count")[0]
            writer._catalogue.rows(f"PRAGMA max_page_count = {pages + 1}")
            many = [Fact(f"n{i}", f"Q{i}", "A") for i in range(2000)]
            with pytest.raises(NoSpace, match="stands at its last version") as error:
                writer.add_segment(many, {})
            assert error.value.hint
            assert writer.commit("nothing is left of it") == 1
            writer.drop(["0-1"])
            assert writer.commit("forgetting still goes") == 2
        assert state(folder) == (2, [fact for fact in before[1] if fact.id != "0-1"])
        assert folder.verify() == []


@pytest.mark.parametrize("landed", [False, True])
def test_a_commit_that_fails_ends_its_writer(tmp_path: Path, landed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = WritableCatalogue.commit

    def fail(self: WritableCatalogue) -> None:
        if landed:
            commit(self)
        raise sqlite3.OperationalError("disk I/O error")

    with make(tmp_path / "m") as folder:
        with folder.writer() as writer:
            writer.drop(["0-1"])
            with monkeypatch.context() as patch:
                patch.setattr(WritableCatalogue, "commit", fail)
                with pytest.raises(FolderError, match="disk I/O error"):
                    writer.commit("forget")
            with pytest.raises(FolderError, match="failed to commit"):
                writer.drop(["0-2"])
        assert folder.version == 1, "the catalogue is an index: the references were not replaced"
        check(folder.path, [state(folder)])


def test_an_interrupt_just_after_the_commit_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(step: str) -> None:
        if step == "refs: named":
            raise KeyboardInterrupt

    with make(tmp_path / "m") as folder:
        with suppress(KeyboardInterrupt), folder.writer() as writer, monkeypatch.context() as patch:
            patch.setattr(durable, "fault", interrupt)
            writer.add_segment(facts_of(1), {})
            writer.commit("a lot")
        assert folder.version == 2
        check(folder.path, [(2, [*facts_of(0), *facts_of(1)])])


def test_files_are_synced_before_they_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content, then name, then folder, then the references: the order that a power cut demands."""
    with make(tmp_path / "m") as folder, folder.writer() as writer:
        order: list[str] = []
        monkeypatch.setattr(durable, "fault", order.append)
        writer.add_segment(facts_of(1), {})
        writer.commit("a lot")

    def file(what: str) -> list[str]:
        return [f"{what}: {phase}" for phase in ("write", "sync", "name", "named")]

    synced, said = ["folder: sync"], ["audit: write", "audit: sync", "audit: written"]
    indexed = ["catalogue: commit", "catalogue: committed"]
    assert order[:-2] == [*file("shard"), *synced, *file("manifest"), *synced, *said, *indexed, *file("refs")][:-1]
    assert order[-2:] == ["refs: named", "folder: sync"]


# readers beside a writer, in other processes

READER = """
import sys
from memtune.store import MemoryFolder
with MemoryFolder.open(sys.argv[1]) as folder:
    while folder.version < 40:
        folder.refresh()
        ids = [fact.id for fact in folder.facts()]
        assert len(ids) == folder.count() == 2 * folder.version, (folder.version, len(ids))
        assert len(folder.find(ids)) == len(ids)
print("agreed")
"""


def test_readers_see_whole_versions_only(tmp_path: Path) -> None:
    with MemoryFolder.create(tmp_path / "m", backbone={}, settings={}) as folder:
        readers = [start(READER, folder.path) for _ in range(2)]
        for lot in range(40):  # each version holds two more facts, one of them in a new place
            with folder.writer() as writer:
                if lot:
                    writer.drop([f"{lot - 1}-0"])
                    writer.add_segment([Fact(f"{lot - 1}-0", f"Q {lot - 1} again", "B")], {})
                writer.add_segment([Fact(f"{lot}-{i}", f"Q {lot} {i}", "A") for i in range(2)], {})
                writer.commit(f"lot {lot}")
            time.sleep(0.005)
        for reader in readers:
            assert reader.communicate(timeout=20)[0].strip() == "agreed"


HOLDER = """
import sys, time
from memtune.store import MemoryFolder
with MemoryFolder.open(sys.argv[1]) as folder, folder.writer() as writer:
    print("writing", flush=True)
    time.sleep(60)
"""


def test_the_lock_goes_with_its_owner(tmp_path: Path) -> None:
    with make(tmp_path / "m") as folder, start(HOLDER, folder.path) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(MemtuneError, match=f"process {holder.pid} on "), folder.writer():
            pass
        holder.kill()
        holder.wait()
        with folder.writer() as writer:
            writer.drop(["0-1"])
            writer.commit("forget")
        assert folder.version == 2


FORKING = """
import os, sys, time
from memtune.store import MemoryFolder
with MemoryFolder.open(sys.argv[1]) as folder, folder.writer() as writer:
    child = os.fork()
    if child == 0:
        time.sleep(60)
    print(child, flush=True)
    time.sleep(60)
"""


@posix
def test_a_lock_that_only_a_child_of_its_dead_owner_keeps_is_broken(tmp_path: Path) -> None:
    with make(tmp_path / "m") as folder, start(FORKING, folder.path) as owner:
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        with pytest.raises(FolderLocked), folder.writer():
            pass
        owner.kill()
        owner.wait()
        try:
            with folder.writer() as writer:
                writer.drop(["0-1"])
                writer.commit("forget")
                with pytest.raises(FolderLocked), MemoryFolder.open(folder.path) as other, other.writer():
                    pass
        finally:
            os.kill(child, signal.SIGKILL)
        check(folder.path, [state(folder)])


def test_two_at_once_make_one_memory(tmp_path: Path) -> None:
    script = (
        "import sys; from memtune.store import MemoryFolder\n"
        "try: MemoryFolder.create(sys.argv[1], backbone={}, settings={}).close(); print('made')\n"
        "except Exception as error: print(type(error).__name__)"
    )
    makers = [start(script, tmp_path / "m") for _ in range(3)]
    said = sorted(maker.communicate(timeout=20)[0].strip() for maker in makers)
    assert said.count("made") == 1
    assert set(said) <= {"made", UsageError.__name__, "FolderLocked"}
    with MemoryFolder.open(tmp_path / "m") as folder:
        assert folder.verify() == []
