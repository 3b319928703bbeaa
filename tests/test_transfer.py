"""Memories on the move: one file, another folder, the hub; and files that mean harm."""

from __future__ import annotations

import json
import os
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memtune import transfer
from memtune.config import TransferConfig
from memtune.core.facts import Fact
from memtune.errors import FolderDamaged, FolderError, FolderTooNew, MemtuneError, NotFound, UsageError
from memtune.history import History
from memtune.store import MemoryFolder, durable, sidecar
from memtune.store.durable import seal

BACKBONE = {"name": "acme/tiny", "weights": "w", "config": "c", "tokenizer": "t"}


def facts_of(count: int, prefix: str = "f") -> list[Fact]:
    return [Fact(f"{prefix}{i}", f"What is {prefix} {i}?", f"answer {prefix} {i}", group=prefix) for i in range(count)]


def learn(folder: MemoryFolder, facts: list[Fact]) -> int:
    with folder.writer() as writer:
        writer.add_segment(facts, {})
        return writer.commit(f"learn {len(facts)}", author="ada")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[MemoryFolder]:
    with MemoryFolder.create(tmp_path / "m", backbone=BACKBONE, settings={}) as made:
        made.author = "ada"
        learn(made, facts_of(4))
        learn(made, facts_of(2, "g"))
        History(made).branch("side", 1)
        History(made).tag("gold", 1)
        sidecar.write(made.path, sidecar.CALIBRATION, {"threshold": 0.7})
        (made.path / "inbox.jsonl").write_text('{"id": "q", "question": "private"}\n')
        yield made


def answers(path: str | Path) -> dict[str, str]:
    with MemoryFolder.open(path) as opened:
        assert opened.verify() == []
        return {fact.id: fact.answer for fact in opened.facts()}


# one file


def test_a_memory_goes_through_one_file(folder: MemoryFolder, tmp_path: Path) -> None:
    file = tmp_path / "a.memory"
    done = transfer.export(folder, file)
    assert (done.facts, done.version, done.bytes) == (6, 2, file.stat().st_size)
    transfer.export(folder, tmp_path / "b.memory")
    assert (tmp_path / "b.memory").read_bytes() == file.read_bytes(), "the same memory gives the same bytes"
    assert b"private" not in file.read_bytes()
    transfer.import_memory(file, tmp_path / "new")
    assert answers(tmp_path / "new") == answers(folder.path)
    assert len(answers(f"{tmp_path / 'new'}@gold")) == 4
    with MemoryFolder.open(tmp_path / "new") as made:
        assert made.refs.branches.keys() == {"main", "side"}
        assert [v.commit.author for v in History(made).log()] == ["ada", "ada"]
        assert learn(made, facts_of(1, "h")) == 3
    transfer.export(MemoryFolder.open(f"{tmp_path / 'new'}@v1"), tmp_path / "old.memory")
    transfer.import_memory(tmp_path / "old.memory", tmp_path / "old")
    assert len(answers(tmp_path / "old")) == 4


def test_an_import_takes_no_folder_that_is_in_use(folder: MemoryFolder, tmp_path: Path) -> None:
    transfer.export(folder, tmp_path / "a.memory")
    for target in (folder.path, tmp_path):
        with pytest.raises(UsageError, match=r"already holds a memory|is not empty"):
            transfer.import_memory(tmp_path / "a.memory", target)
    with pytest.raises(NotFound, match="no such file"):
        transfer.import_memory(tmp_path / "none.memory", tmp_path / "new")
    with pytest.raises(UsageError, match="is a folder"):
        transfer.export(folder, tmp_path)
    (tmp_path / "empty").mkdir()
    transfer.import_memory(tmp_path / "a.memory", tmp_path / "empty")


def test_a_flipped_byte_is_found_and_leaves_nothing(folder: MemoryFolder, tmp_path: Path) -> None:
    file = tmp_path / "a.memory"
    transfer.export(folder, file)
    good = file.read_bytes()
    for place in range(40, len(good), max(1, len(good) // 60)):
        file.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
        try:
            transfer.import_memory(file, tmp_path / "new")
        except MemtuneError as error:
            assert str(file) in error.message or "new.importing" in error.message
            assert not (tmp_path / "new").exists()
            assert not (tmp_path / "new.part").exists()
        else:  # dates and the like, which nothing is computed from
            assert answers(tmp_path / "new") == answers(folder.path)
            shutil.rmtree(tmp_path / "new")
    file.write_bytes(good[: len(good) // 2])
    with pytest.raises(FolderDamaged, match="no memory, or is damaged"):
        transfer.import_memory(file, tmp_path / "new")


def hostile(file: Path, change: Callable[[dict[str, bytes]], list[tuple[Any, bytes]]], packing: int = 0) -> None:
    """A file like an exported one, with other members."""
    with zipfile.ZipFile(file) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    with zipfile.ZipFile(file, "w", packing) as packed:
        for name, data in change(members):
            packed.writestr(name, data)


def link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


HARM: dict[str, tuple[Callable[[dict[str, bytes]], list[tuple[Any, bytes]]], str]] = {
    "absolute": (lambda m: [*m.items(), ("/tmp/x", b"x")], "no name of a file"),
    "up": (lambda m: [*m.items(), ("shards/../../x", b"x")], "no name of a file"),
    "backslash": (lambda m: [*m.items(), ("..\\x", b"x")], "no name of a file"),
    "strange": (lambda m: [*m.items(), ("run.py", b"x")], "no name of a file"),
    "link": (lambda m: [*m.items(), (link("README.md"), b"/etc/passwd")], "is a link"),
    "twice": (lambda m: [*m.items(), ("memory.json", b"{}")], "is in it twice"),
    "more": (lambda m: [*m.items(), ("README.md", b"hello")], "its members are not those"),
    "less": (lambda m: list(m.items())[:-1], "its members are not those"),
    "no list": (lambda m: list(m.items())[1:], "has no MEMORY.json"),
    "other bytes": (
        lambda m: [(n, d[:-9] + b"123456789" if "shards" in n else d) for n, d in m.items()],
        "checksum of",
    ),
    "newer": (lambda m: [("MEMORY.json", seal({"format": 99, "memory": {}}))], "later version"),
}


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_means_harm_is_refused(folder: MemoryFolder, tmp_path: Path, harm: str) -> None:
    file = tmp_path / "a.memory"
    transfer.export(folder, file)
    change, reason = HARM[harm]
    hostile(file, change)
    before = sorted(tmp_path.iterdir())
    with pytest.raises((FolderError, FolderDamaged, FolderTooNew), match=reason):
        transfer.import_memory(file, tmp_path / "new")
    assert sorted(tmp_path.iterdir()) == before


def test_a_bomb_is_refused(folder: MemoryFolder, tmp_path: Path) -> None:
    file = tmp_path / "a.memory"
    transfer.export(folder, file)
    hostile(file, lambda m: [*m.items(), ("README.md", bytes(50_000_000))], zipfile.ZIP_DEFLATED)
    assert file.stat().st_size < 200_000
    with pytest.raises(FolderError, match="is compressed, which memories never are"):
        transfer.import_memory(file, tmp_path / "new")
    transfer.export(folder, file)
    with pytest.raises(FolderError, match="unpacks to") as error:
        transfer.import_memory(file, tmp_path / "new", TransferConfig(max_bytes=1000))
    assert "--max-bytes" in str(error.value.hint)


def test_members_that_lie_about_their_size_are_refused(folder: MemoryFolder, tmp_path: Path) -> None:
    file = tmp_path / "a.memory"
    transfer.export(folder, file)
    data = bytearray(file.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    struct.pack_into("<II", data, at + 20, 1 << 30, 1 << 30)
    file.write_bytes(bytes(data))
    with pytest.raises(FolderError, match=r"overlap, or claim|is damaged"):
        transfer.import_memory(file, tmp_path / "new")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("act", ["export", "import", "push", "pull"])
def test_one_that_breaks_off_leaves_nothing_half(folder: MemoryFolder, tmp_path: Path, act: str) -> None:
    file, target = tmp_path / "a.memory", tmp_path / "t"
    transfer.export(folder, tmp_path / "whole.memory")
    shutil.copy(tmp_path / "whole.memory", file)
    if act == "export":
        file.unlink()
    work = {
        "export": lambda: transfer.export(folder, file),
        "import": lambda: transfer.import_memory(file, target),
        "push": lambda: transfer.push(folder, str(target)),
        "pull": lambda: transfer.pull(str(folder.path), target),
    }[act]
    seen: list[str] = []
    for number in range(1, 200, 3):
        seen.clear()

        def reached(step: str, number: int = number) -> None:
            seen.append(step)
            if len(seen) == number:
                raise OSError(28, "No space left on device")

        durable.fault = reached
        try:
            work()
            done = len(seen) < number
        except MemtuneError:
            done = False
        finally:
            durable.fault = None
        if act == "export":
            assert not file.exists() or file.read_bytes() == (tmp_path / "whole.memory").read_bytes()
        elif MemoryFolder.exists(target):
            assert answers(target) == answers(folder.path)
        if done:
            break
        shutil.rmtree(target, ignore_errors=True) if number % 2 else None
    assert done


# folders


def test_a_folder_is_kept_up_to_date(folder: MemoryFolder, tmp_path: Path) -> None:
    copy, away = str(tmp_path / "copy"), tmp_path / "away"
    assert transfer.push(folder, copy).new == 2
    assert transfer.push(folder, copy).new == 0
    assert not (tmp_path / "copy" / "inbox.jsonl").exists()
    card = (tmp_path / "copy" / "README.md").read_text()
    assert "base_model: acme/tiny" in card
    assert "| facts | 6 |" in card
    assert "answer" not in card
    assert transfer.pull(copy, away).new == 2
    with MemoryFolder.open(away) as reader:
        assert reader.fact("g1").answer == "answer g 1"
        learn(folder, facts_of(3, "n"))
        assert transfer.push(folder, copy).new == 1
        assert transfer.pull(copy, away).new == 1
        assert reader.refresh()
        assert reader.fact("n2").answer == "answer n 2"
    assert answers(away) == answers(folder.path) == answers(copy)
    assert len(answers(f"{copy}@gold")) == 4


def test_a_copy_that_went_its_own_way_is_left_alone(folder: MemoryFolder, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    transfer.push(folder, str(copy))
    with MemoryFolder.open(copy) as other:
        learn(other, facts_of(1, "o"))
    before = answers(copy)
    with pytest.raises(FolderError, match=r"holds versions that .* lacks \(v3\)"):
        transfer.push(folder, str(copy))
    assert answers(copy) == before
    transfer.pull(str(copy), folder.path)
    assert answers(folder.path) == before
    with MemoryFolder.open(copy) as other:
        History(other).note(1, "good")
    with pytest.raises(FolderError, match="holds acts that it lacks"):
        transfer.push(MemoryFolder.open(folder.path), str(copy))
    MemoryFolder.create(tmp_path / "else", backbone=BACKBONE | {"weights": "v"}, settings={}).close()
    with pytest.raises(UsageError, match="another memory"):
        transfer.push(folder, str(tmp_path / "else"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("x")
    for to, reason in [(tmp_path / "full", "is not empty"), (folder.path, "is this memory itself")]:
        with pytest.raises(UsageError, match=reason):
            transfer.push(folder, str(to))


# the hub


class FakeHub:
    """A hub of one machine: a folder for each repository."""

    def __init__(self, root: Path) -> None:
        self.root, self.calls = root, []

    def HfApi(self) -> FakeHub:
        return self

    def create_repo(self, repo: str, **how: Any) -> None:
        self.calls.append(("create", repo, how))
        (self.root / repo).mkdir(parents=True, exist_ok=True)

    def upload_folder(self, *, repo_id: str, folder_path: str, **how: Any) -> None:
        self.calls.append(("upload", repo_id, how))
        shutil.copytree(folder_path, self.root / repo_id, dirs_exist_ok=True)

    def snapshot_download(self, repo: str, *, local_dir: str, allow_patterns: list[str], **how: Any) -> None:
        from fnmatch import fnmatch

        for file in (self.root / repo).rglob("*"):
            name = str(file.relative_to(self.root / repo))
            if file.is_file() and any(fnmatch(name, pattern) for pattern in allow_patterns):
                (Path(local_dir) / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, Path(local_dir) / name)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    from huggingface_hub import constants

    fake = FakeHub(tmp_path / "hub")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(transfer, "_hub", lambda: fake)
    return fake


def test_a_memory_goes_through_the_hub(folder: MemoryFolder, tmp_path: Path, hub: FakeHub) -> None:
    assert transfer.push(folder, "hf://acme/prices").new == 2
    assert hub.calls[0] == ("create", "acme/prices", {"repo_type": "model", "exist_ok": True, "private": True})
    assert sorted(p.name for p in (hub.root / "acme/prices").iterdir()) == sorted(
        ["README.md", "audit.jsonl", "calibration.json", "manifests", "memory.json", "refs.json", "shards"]
    )
    transfer.pull("hf://acme/prices", tmp_path / "here")
    assert answers(tmp_path / "here") == answers(folder.path)
    with MemoryFolder.open(tmp_path / "here") as other:
        learn(other, facts_of(1, "o"))
        assert transfer.push(other, "hf://acme/prices").new == 1
    with pytest.raises(FolderError, match="holds versions that"):
        transfer.push(folder, "hf://acme/prices")
    assert transfer.pull("hf://acme/prices", folder.path).new == 1
    (hub.root / "acme/empty").mkdir()
    with pytest.raises(NotFound, match="holds no memory"):
        transfer.pull("hf://acme/empty", tmp_path / "e")
    with pytest.raises(UsageError, match="names no repository"):
        transfer.pull("hf://acme", tmp_path / "e")


def test_without_a_connection_one_line_says_so(
    folder: MemoryFolder, tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants, errors

    def fails(error: Exception) -> Callable[..., Any]:
        def call(*_: Any, **__: Any) -> Any:
            raise error

        return call

    for error in (ConnectionError("no route"), errors.LocalEntryNotFoundError("nothing here")):
        monkeypatch.setattr(hub, "snapshot_download", fails(error))
        with pytest.raises(FolderError, match="cannot be reached"):
            transfer.pull("hf://acme/prices", tmp_path / "e")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(FolderError, match="offline"):
        transfer.push(folder, "hf://acme/prices")
    assert not (tmp_path / "e").exists()


def test_what_is_said_of_a_memory_stays_in_its_place() -> None:
    assert transfer._cell("a|b`<script>\n# x") == "a b  script  # x"
    assert json.loads(json.dumps(transfer.Moved("x", 1, 2).to_json()))["facts"] == 2


def test_the_name_of_the_machine_stays_at_home(folder: MemoryFolder, tmp_path: Path) -> None:
    transfer.push(folder, str(tmp_path / "pushed"))
    assert json.loads((tmp_path / "pushed" / "refs.json").read_bytes())["host"] == ""
    transfer.pull(str(tmp_path / "pushed"), tmp_path / "pulled")
    assert json.loads((tmp_path / "pulled" / "refs.json").read_bytes())["host"] != "", "its catalogue is used here"


def test_a_push_that_was_killed_is_gone_on_with(folder: MemoryFolder, tmp_path: Path) -> None:
    target = tmp_path / "c"
    (target / "shards").mkdir(parents=True)
    for name in ("memory.json", "refs.json", "audit.jsonl", "README.md"):
        (target / f"{name}.tmp").write_bytes(b"half")
    transfer.push(folder, str(target))
    with MemoryFolder.open(target) as copy:
        assert copy.version == folder.version


def test_what_a_writer_left_in_a_copy_is_swept_up_after_a_push(folder: MemoryFolder, tmp_path: Path) -> None:
    target = tmp_path / "c"
    transfer.push(folder, str(target))
    stray = target / "shards" / f"{'0' * 64}.safetensors"
    stray.write_bytes(b"of no version")
    (target / "writer.lock").write_bytes(b'{"pid": 1}')
    transfer.push(folder, str(target))
    with MemoryFolder.open(target) as copy, copy.writer():
        pass
    assert not stray.exists()


def test_an_import_leaves_a_folder_beside_it_alone(folder: MemoryFolder, tmp_path: Path) -> None:
    file, beside = tmp_path / "m.memory", tmp_path / "new.part"
    transfer.export(folder, file)
    beside.mkdir()
    (beside / "mine.txt").write_text("mine")
    transfer.import_memory(file, tmp_path / "new")
    assert (beside / "mine.txt").is_file()
