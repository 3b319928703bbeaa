"""Nothing is lost, nothing unreadable, no lock left: some runs in `make test`, all of them in `make faults`."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
if hasattr(os, "fork"):
    from faults import harness

MOST_STEPS = 200
OPERATIONS = [
    "learn",
    "update",
    "join_branch",
    "join_folder",
    "collect",
    "name",
    "promote",
    "purge",
    "learn_skill",
    "purge_skill",
    "regroup",
    "set_aside",
    "repair",
]


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.durable, "sync_file", harness.durable.sync_file)
    monkeypatch.setattr(harness.WritableCatalogue, "open", harness.WritableCatalogue.open)
    harness.without_syncs()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return harness.prepare(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def tally() -> Iterator[harness.Tally]:
    tally = harness.Tally()
    yield tally
    sys.stdout.write(f"\n{tally}\n")


def at_steps(prepared: Path, tmp_path: Path, name: str, fault: str, tally: harness.Tally, stride: int) -> int:
    """The operation meets the fault at every `stride`th step; how many steps it has."""
    operation = harness.OPERATIONS[name]
    allowed = harness.expected(prepared, operation, tmp_path / "model")
    first = 1 + sum(map(ord, name + fault)) % stride
    for step in range(first, MOST_STEPS, stride):
        if not harness.run(prepared, tmp_path / str(step), operation, fault, allowed, tally, step=step):
            return step
    raise AssertionError("an operation of so many steps?")


def at_random(prepared: Path, tmp_path: Path, name: str, tally: harness.Tally, times: int) -> None:
    """The operation is killed after moments that lie evenly over the time that it takes."""
    operation, moments = harness.OPERATIONS[name], random.Random(name)
    allowed = harness.expected(prepared, operation, tmp_path / "model")
    for number in range(times):
        after = moments.uniform(0.0, 0.04)
        harness.run(prepared, tmp_path / f"r{number}", operation, "kill", allowed, tally, after=after)


@pytest.mark.parametrize("fault", ["kill", "no space", "i/o error"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_fault_at_some_steps(name: str, fault: str, prepared: Path, tmp_path: Path, tally: harness.Tally) -> None:
    assert at_steps(prepared, tmp_path, name, fault, tally, stride=6) > 6


@pytest.mark.parametrize("fault", ["kill", "i/o error"])
def test_a_purge_that_was_broken_off_is_finished_by_the_next_writer(fault: str, prepared: Path, tmp_path: Path) -> None:
    """It has happened or it has not, and then nothing of it is left."""
    for step in range(1, MOST_STEPS, 9):
        path = harness.purge_broken_off(prepared, tmp_path / str(step), fault, step)
        if path is None:
            return
        left = [file.name for file in path.rglob("*") if file.is_file() and b"What is 0 0?" in file.read_bytes()]
        with harness.MemoryFolder.open(f"{path}@v1") as folder:
            assert bool(left) == bool(folder.find(["0-0"])), (step, left)
    raise AssertionError("a purge of so many steps?")


@pytest.mark.parametrize("name", ["learn", "update", "join_folder", "collect"])
def test_killed_at_some_moments(name: str, prepared: Path, tmp_path: Path, tally: harness.Tally) -> None:
    at_random(prepared, tmp_path, name, tally, times=4)


@pytest.mark.faults
@pytest.mark.parametrize("fault", ["kill", "no space", "i/o error"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_fault_at_every_step(name: str, fault: str, prepared: Path, tmp_path: Path, tally: harness.Tally) -> None:
    assert at_steps(prepared, tmp_path, name, fault, tally, stride=1) > 10


@pytest.mark.faults
@pytest.mark.parametrize("name", ["learn", "update", "join_branch", "join_folder", "collect", "repair"])
def test_killed_at_many_moments(name: str, prepared: Path, tmp_path: Path, tally: harness.Tally) -> None:
    at_random(prepared, tmp_path, name, tally, times=30)
