"""Bad input as a person meets it: one clear line and a hint, the exit code, and nothing left behind."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import huggingface_hub
import pytest
import tiny

from memtune.errors import MemtuneError
from memtune.store import MemoryFolder, durable

GOOD = {"question": "What does the Zorblat lamp cost?", "answer": "40 dollars"}
LINE = json.dumps(GOOD).encode() + b"\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny.model("llama").save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("facts.jsonl").write_bytes(LINE)
    return tmp_path


def refused(result, code: int, message: str) -> None:
    """One line that says what is wrong, perhaps a hint, no traceback."""
    first, *more = result.stderr.splitlines()
    assert result.exit_code == code
    assert message in first
    assert first.startswith("error: ")
    assert all(line.startswith("hint: ") for line in more)
    assert len(more) <= 1
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (None, 2, "bad.jsonl does not exist"),
        (Path.mkdir, 1, "bad.jsonl is a folder"),
        (b"", 1, "bad.jsonl is empty"),
        (b"\n  \n", 1, "there are no facts in it"),
        (LINE + b'{"question": "x", "answer": \n', 1, "line 2: broken JSON at column 28"),
        (LINE + b'{"question": "x"}\n', 1, "line 2: no 'answer'"),
        (LINE + b'{"question": "x", "answer": " \\t "}\n', 1, "line 2: 'answer' is empty"),
        (LINE + b'{"question": "x", "answer": "caf\xe9"}\n', 1, "line 2: not UTF-8: byte 0xe9 at column 33"),
        (LINE.decode().encode("utf-16"), 1, "is UTF-16 text"),
        (json.dumps({**GOOD, "answer": "x " * 500_000}).encode(), 1, "line 1: 'answer' has 999,999 characters"),
        (json.dumps({**GOOD, "answer": 2.5}).encode(), 1, "write the number as text"),
        (LINE + json.dumps({**GOOD, "answer": "50 dollars"}).encode(), 1, "1 question has more than one answer"),
    ],
)
def test_a_bad_file_is_refused_and_no_memory_is_made(here, memtune, model, content, code: int, message: str) -> None:
    bad = Path("bad.jsonl")
    if callable(content):
        content(bad)
    elif content is not None:
        bad.write_bytes(content)
    refused(memtune("learn", bad, "--model", model), code, message)
    assert not Path("memory").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is unreadable to root")
def test_an_unreadable_file(here, memtune, model) -> None:
    Path("facts.jsonl").chmod(0)
    refused(memtune("learn", "facts.jsonl", "--model", model), 1, "facts.jsonl cannot be read: Permission denied")


def test_facts_that_do_not_fit_are_named_and_leave_no_memory(here, memtune, model) -> None:
    Path("long.jsonl").write_text(json.dumps({**GOOD, "question": "long " * 1000}))
    result = memtune("learn", "long.jsonl", "--model", model)
    assert result.exit_code == 1
    assert "not learned: f" in result.stderr
    assert "tokens, the context 512" in result.stderr
    assert result.stdout.startswith("learned 0 of 1 fact in")
    assert not Path("memory").exists()
    refused(memtune("ask", "long " * 1000, "--no-memory", "--model", model), 1, "more than the model's context of 512")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("--kind none", "kind must be one of imprint, kv"),
        ("--set imprint.margn=3", "unknown setting 'imprint.margn'"),
        ("--set imprint.margin=abc", "imprint.margin must be a number, not 'abc'"),
        ("--set learn.lot_size=0", "lot_size must be at least 1"),
        ("--set xyz=3", "unknown setting 'xyz'"),
    ],
)
def test_a_bad_setting(here, memtune, args: str, message: str) -> None:
    refused(memtune("learn", "facts.jsonl", *args.split()), 2, message)
    assert not Path("memory").exists()


def without(name: str):
    return lambda folder: (folder / name).unlink()


def cut_short(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def half_of_the_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    save_file({k: v for k, v in tensors.items() if "layers.1" not in k}, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("harm", "code", "message"),
    [
        (shutil.rmtree, 2, "no model folder at"),
        (without("config.json"), 2, "holds no config.json"),
        (without("model.safetensors"), 1, "holds no weights"),
        (without("tokenizer.json"), 1, "cannot load the model"),
        (cut_short, 1, "cannot load the model"),
        (half_of_the_weights, 1, "lack 9 tensors, such as model.layers.1."),
        (lambda folder: (folder / "config.json").write_text("{"), 1, "cannot load the model"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "nonsense"}'), 1, "cannot load the model"),
    ],
)
def test_a_model_folder_that_is_not_whole(here, memtune, model, harm, code: int, message: str) -> None:
    broken = here / "broken"
    shutil.copytree(model, broken)
    harm(broken)
    refused(memtune("learn", "facts.jsonl", "--model", broken), code, message)
    assert not Path("memory").exists()


def test_a_model_of_the_hub_that_cannot_be_reached_is_said_at_once(here, memtune, monkeypatch) -> None:
    asked = []

    def no_network(self, name: str, timeout: float) -> None:
        asked.append((name, timeout))
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", no_network)
    refused(memtune("learn", "facts.jsonl", "--model", "acme/none"), 1, "not in the local cache, and the hub cannot be")
    assert asked == [("acme/none", 10)]
    assert not Path("memory").exists()


def test_what_cannot_be_a_name_of_the_hub(here, memtune) -> None:
    refused(memtune("learn", "facts.jsonl", "--model", "a b"), 2, "no model 'a b'")


def test_a_model_in_the_cache_needs_no_network(here, memtune, model, monkeypatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, local_files_only: str(model))
    assert memtune("learn", "facts.jsonl", "--model", "acme/tiny").exit_code == 0


def test_a_newer_memory_a_file_and_a_foreign_folder(here, memtune, model) -> None:
    memtune("learn", "facts.jsonl", "--model", model)
    header = Path("memory/memory.json")
    header.write_text(header.read_text().replace('"format": 2', '"format": 99'))
    for args in (["learn", "facts.jsonl"], ["ask", "up?"]):
        refused(memtune(*args, "--model", model), 1, "was made by a later version of memtune: format 99, not 2")
    at = ["learn", "facts.jsonl", "--model", model, "--memory"]
    refused(memtune(*at, "facts.jsonl"), 2, "facts.jsonl is a file, not a folder")
    refused(memtune(*at, model), 2, "is not empty and holds no memory")
    assert Path("facts.jsonl").read_bytes() == LINE


def test_two_writers_at_once(here, memtune, model) -> None:
    memtune("learn", "facts.jsonl", "--model", model)
    more = ["facts", "add", "--question", "Who?", "--answer", "Me.", "--model", model]
    with MemoryFolder.open("memory") as folder, folder.writer():
        refused(memtune(*more), 1, "memory is locked: process")
    assert memtune(*more).exit_code == 0


def test_no_space_left(here, memtune, model, monkeypatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    args = ["--model", model, "--json"]
    with monkeypatch.context() as patch:
        patch.setattr(durable, "sync_file", full)
        refused(memtune("learn", "facts.jsonl", *args), 1, "no space left on the disk of memory")
        assert not Path("memory").exists()
    memtune("learn", "facts.jsonl", *args)
    with monkeypatch.context() as patch:
        patch.setattr(durable, "sync_file", full)
        refused(memtune("facts", "add", "--question", "Who?", "--answer", "Me.", *args), 1, "no space left")
    with MemoryFolder.open("memory") as folder:
        assert (folder.version, folder.count(), folder.verify()) == (1, 1, [])


def test_one_fact_is_not_spoken_of_as_a_file(here, memtune, model) -> None:
    memtune("learn", "facts.jsonl", "--model", model)
    add = ["facts", "add", "--model", model, "--question"]
    refused(memtune(*add, GOOD["question"], "--answer", "50 dollars"), 1, "1 question has more than one answer")
    assert "memtune facts update" in memtune(*add, GOOD["question"], "--answer", "50 dollars").stderr
    result = memtune(*add, "Who?", "--answer", " ")
    assert (result.exit_code, result.stderr) == (1, "error: 'answer' is empty\n")
    refused(memtune("facts", "export", "--out", "."), 2, ". is a folder")


@pytest.mark.skipif(os.name == "nt", reason="the signals of POSIX")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_learning_that_is_ended_keeps_what_it_committed(here, memtune, model, how: signal.Signals) -> None:
    rows = [{"question": f"What is behind door {i}?", "answer": f"Item {i * 37}"} for i in range(3000)]
    Path("many.jsonl").write_text("\n".join(map(json.dumps, rows)))
    command = [
        sys.executable,
        "-m",
        "memtune.cli",
        "learn",
        "many.jsonl",
        "--model",
        model,
        "--set",
        "learn.lot_size=4",
    ]
    learner = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    kept = wait_for_a_version(learner)
    learner.send_signal(how)
    _, said = learner.communicate(timeout=60)
    if how == signal.SIGINT:
        assert learner.returncode == 130, said
        assert said.splitlines()[-1].startswith("stopped: ")
        assert "what was learned is kept in memory, version" in said
        assert "Traceback" not in said
    with MemoryFolder.open("memory") as folder:
        assert folder.version >= kept
        assert 0 < folder.count() < len(rows)
        assert folder.verify() == []
        before = folder.count()
    more = ["facts", "add", "--question", "Who?", "--answer", "Me.", "--model", model]
    assert memtune(*more).exit_code == 0
    Path("many.jsonl").write_text("\n".join(map(json.dumps, rows[: before + 9])))
    done = memtune("learn", "many.jsonl", "--model", model, "--resume", "--json")
    assert (done.exit_code, json.loads(done.stdout)["duplicates"]) == (0, before)


def wait_for_a_version(learner: subprocess.Popen[str]) -> int:
    """The version at which a memory stands that another process has begun to write."""
    for _ in range(1200):
        assert learner.poll() is None
        time.sleep(0.05)
        try:
            with MemoryFolder.open("memory") as folder:
                if folder.version:
                    return folder.version
        except MemtuneError:
            continue  # it is just being made
    raise AssertionError("nothing was committed in a minute")
