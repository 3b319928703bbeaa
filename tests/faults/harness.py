"""Faults on purpose: processes that die, and disks that fail, at every named step of writing and at random moments.

A run starts from a copy of a prepared memory, lets one operation meet one fault, and then demands of what is left:
every commit that was announced is there, the memory is at a whole version, `verify` finds nothing, and the next
writer gets to work at once and leaves no leftovers.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

from memtune.core.facts import Fact
from memtune.errors import MemtuneError
from memtune.history import History
from memtune.store import MemoryFolder, durable
from memtune.store.catalogue import WritableCatalogue
from memtune.store.skills import ABOUT, GATE
from memtune.store.writer import Writer

Operation = Callable[[Path, "Announce"], None]
Announce = Callable[[int], None]
"""Called with the version that a commit has just returned."""
State = tuple[tuple[str, str], ...]
"""The facts of a memory, by id and answer, and its skills."""


def lot(name: int) -> list[Fact]:
    return [Fact(f"{name}-{i}", f"What is {name} {i}?", f"answer {name} {i}", (f"Say {name} {i}",)) for i in range(5)]


def add(writer: Writer, facts: list[Fact], announce: Announce | None = None) -> None:
    writer.add_segment(facts, {})
    version = writer.commit("a lot")
    if announce:
        announce(version)


def rooms(value: float) -> dict[str, dict[str, torch.Tensor]]:
    """Of a skill."""
    return {room: {"x": torch.full((2,), value)} for room in (ABOUT, GATE, "lora")}


# what may be interrupted


def learn(path: Path, announce: Announce) -> None:
    with MemoryFolder.open(path) as folder, folder.writer() as writer:
        add(writer, lot(7), announce)
        add(writer, lot(8), announce)


def update(path: Path, announce: Announce) -> None:
    with MemoryFolder.open(path) as folder, folder.writer() as writer:
        writer.drop(["0-0", "0-1"])
        writer.add_segment([Fact("0-1", "What is 0 1?", "changed")], {})
        announce(writer.commit("an update", act="update"))


def join_branch(path: Path, announce: Announce) -> None:
    with History.open(path) as history:
        announce(history.merge("side").version)


def join_folder(path: Path, announce: Announce) -> None:
    with History.open(path) as history:
        announce(history.merge(path.parent / "other").version)


def collect(path: Path, announce: Announce) -> None:
    with History.open(path) as history:
        history.delete("spare")
        history.gc()
        announce(history.folder.version)


def name(path: Path, announce: Announce) -> None:
    with History.open(path) as history:
        history.tag("gold")
        history.note(1, "well done")
        announce(history.rollback(1))


def promote(path: Path, announce: Announce) -> None:
    with History.open(path) as history:
        announce(history.promote())


def purge(path: Path, announce: Announce) -> None:
    with History.open(path) as history:
        history.purge("0-0", "3-1")
        announce(history.folder.version)


def learn_skill(path: Path, announce: Announce) -> None:
    with MemoryFolder.open(path) as folder, folder.writer() as writer:
        for skill in ("style", "sql"):
            writer.hold_skill(skill, rooms(2.0))
            announce(writer.commit("learn a skill", act="learn skill"))


def purge_skill(path: Path, announce: Announce) -> None:
    with History.open(path) as history:
        history.purge_skill("sql")
        announce(history.folder.version)


def regroup(path: Path, announce: Announce) -> None:
    with History.open(path) as history:
        announce(history.regroup(512).version)


def set_aside(path: Path, announce: Announce) -> None:
    with History.open(path) as history:
        announce(history.archive("0-0", "1-1"))
        announce(history.restore("1-1"))


def repair(path: Path, announce: Announce) -> None:
    (path / "catalogue.sqlite").unlink()
    with MemoryFolder.open(path) as folder, folder.writer() as writer:
        add(writer, lot(7), announce)


OPERATIONS: dict[str, Operation] = {
    operation.__name__: operation
    for operation in (
        *(learn, update, join_branch, join_folder, collect, name, promote),
        *(purge, learn_skill, purge_skill, regroup, set_aside, repair),
    )
}


def prepare(at: Path) -> Path:
    """A memory with branches, a candidate, a branch to delete, and another memory beside it."""
    with MemoryFolder.create(at / "memory", backbone={"name": "none"}, settings={}) as folder:
        with folder.writer() as writer:
            add(writer, lot(0))
            writer.hold_skill("sql", rooms(1.0))
            add(writer, lot(1))
        history = History(folder)
        for branch, number in (("side", 2), ("spare", 3), ("candidate", 4)):
            history.branch(branch)
            with MemoryFolder.open(f"{folder.path}@{branch}") as aside, aside.writer() as writer:
                writer.drop([f"1-{number - 2}"])
                add(writer, lot(number))
            folder.refresh()
        history.tag("first", 1)
    with MemoryFolder.create(at / "other", backbone={"name": "none"}, settings={}) as other, other.writer() as writer:
        add(writer, lot(5))
        add(writer, lot(6))
    return at


# faults


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail(code: int) -> Callable[[], None]:
    def raise_() -> None:
        raise OSError(code, os.strerror(code))

    return raise_


FAULTS: dict[str, Callable[[], None]] = {"kill": die, "no space": fail(errno.ENOSPC), "i/o error": fail(errno.EIO)}


@contextmanager
def at_step(number: int, act: Callable[[], None]) -> Iterator[list[str]]:
    """Call `act` at the numbered step of writing; gives the names of the steps that were reached."""
    seen: list[str] = []

    def reached(step: str) -> None:
        seen.append(step)
        if len(seen) == number:
            act()

    durable.fault = reached
    try:
        yield seen
    finally:
        durable.fault = None


def in_child(work: Callable[[], None], *, kill_after: float | None = None) -> int:
    """Run in a forked process; its exit status, negative for the signal that ended it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def without_syncs() -> None:
    """What a process wrote survives its death without fsync; only a power cut asks for more."""
    durable.sync_file = lambda _: None  # type: ignore[assignment]
    opened = WritableCatalogue.open

    def unsynced(folder: Path) -> WritableCatalogue:
        catalogue = opened(folder)
        catalogue.rows("PRAGMA synchronous = OFF")
        return catalogue

    WritableCatalogue.open = unsynced  # type: ignore[method-assign,assignment]


# what must hold afterwards


def state(folder: MemoryFolder) -> State:
    facts = [(fact.id, fact.answer) for fact in folder.facts()]
    return tuple(sorted([*facts, *((f"skill {name}", str(skill)) for name, skill in folder.manifest.skills.items())]))


def expected(prepared: Path, operation: Operation, at: Path) -> set[State]:
    """The states that the branch may be found in: before, after each commit, and after the last."""
    states: set[State] = set()
    copy = shutil.copytree(prepared, at) / "memory"

    def look(_: int = 0) -> None:
        with MemoryFolder.open(copy) as folder:
            states.add(state(folder))

    look()
    operation(copy, look)
    look()
    return states


@dataclass
class Tally:
    """What became of all runs."""

    runs: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    steps: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
        return f"{self.runs} runs ({kinds}), {len(self.steps)} named steps: nothing lost, all readable, no lock left"


def check(path: Path, allowed: set[State], announced: int) -> None:
    """No commit is lost, everything is readable, and the next writer finds no obstacle."""
    with MemoryFolder.open(path) as folder:
        assert folder.verify() == []
        found = state(folder)
        assert found in allowed
        assert folder.version >= announced, "a commit that was announced is lost"
        latest = folder.refs.latest
        with folder.writer() as writer:
            writer.add_segment([Fact("next", "And next?", "works")], {})
            assert writer.commit("next") == latest + 1
        assert folder.verify() == []
        assert state(folder) == tuple(sorted([*found, ("next", "works")]))
        assert not list(path.rglob("*.tmp"))
        numbers = [number for number, _ in folder.manifests.files()]
        assert len(numbers) == len(set(numbers))
        assert max(numbers) == latest + 1
        known = {digest for (digest,) in folder.catalogue.rows("SELECT sha256 FROM shards")}
        assert {file.stem for file in (path / "shards").iterdir()} == known


def run(
    prepared: Path, at: Path, operation: Operation, fault: str, allowed: set[State], tally: Tally,
    *, step: int = 0, after: float | None = None,
) -> bool:  # fmt: skip
    """One operation and one fault, at a step or after so many seconds; False when the operation had no such step."""
    path = shutil.copytree(prepared, at) / "memory"
    said = at / "announced"

    def announce(version: int) -> None:
        (at / "saying").write_text(str(version))
        (at / "saying").replace(said)

    def work() -> None:
        operation(path, announce)

    reached = True
    if after is not None:
        in_child(work, kill_after=after)
    elif fault == "kill":
        with at_step(step, die) as seen:
            reached = in_child(work) == -signal.SIGKILL
    else:
        with at_step(step, FAULTS[fault]) as seen:
            try:
                work()
            except (MemtuneError, OSError) as error:
                assert isinstance(error, MemtuneError), f"not said plainly: {error!r}"
        reached = len(seen) >= step
        tally.steps.update(seen)
    check(path, allowed, int(said.read_text()) if said.exists() else 0)
    shutil.rmtree(at)
    tally.runs += reached
    tally.kinds[fault if after is None else "kills at random moments"] += reached
    return reached


def purge_broken_off(prepared: Path, at: Path, fault: str, step: int) -> Path | None:
    """The memory after a purge that met a fault, and after the next writer; None when it had no such step."""
    path = shutil.copytree(prepared, at) / "memory"
    with at_step(step, FAULTS[fault]) as seen:
        if fault == "kill":
            reached = in_child(lambda: purge(path, lambda _: None)) == -signal.SIGKILL
        else:
            with suppress(MemtuneError):
                purge(path, lambda _: None)
            reached = len(seen) >= step
    with MemoryFolder.open(path) as folder, folder.writer():
        pass
    return path if reached else None
