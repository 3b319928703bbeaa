"""What goes wrong: one line, a hint, an exit code; a traceback only on demand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from memtune.errors import FolderLocked, NotFound, UnknownFact


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("ask", "ask either a question or the questions of a --file"),
        ("ask up? --file f", "ask either a question or the questions of a --file"),
        ("ask up? --stream --json", "--stream and --json exclude each other"),
        ("ask up? --raw --system s", "--system and --raw exclude each other"),
        ("ask up? --set nonsense", "'nonsense' is not a setting"),
        ("ask up? --unknown nobody", "unknown must be one of base, abstain"),
        ("chat --temperature -1", "temperature must be a number that is not negative"),
        ("learn facts.jsonl --kind imprnt", "kind must be one of imprint, kv"),
        ("facts forget", "forget which facts?"),
        ("facts list --where nonsense", "'nonsense' is not a condition"),
        ("facts list --where group=x --where group=y", "--where names 'group' twice"),
        ("facts export --out no/such/folder", "no such folder: no/such"),
        ("ask --file nowhere.txt", "no such file: nowhere.txt"),
        ("ask --file .", ". is a directory"),
    ],
)
def test_wrong_use_exits_with_2(memtune, library, args: str, message: str) -> None:
    result = memtune(*args.split())
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {message}")
    assert result.stdout == ""
    assert "load" not in [call.verb for call in library.calls], "nobody should wait for a model to be told this"


def test_an_empty_question_is_wrong_use(memtune, library) -> None:
    assert memtune("ask", "  ").exit_code == 2


def test_near_names_are_given_for_settings_options_and_commands(memtune, library) -> None:
    assert "imprint.margin" in memtune("ask", "up?", "--set", "imprint.margn=3").stderr
    assert "--memory" in memtune("ask", "up?", "--memry", "m").stderr
    assert "learn" in memtune("lern", "facts.jsonl").stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no questions in it"),
        (b'fine?\n{"question": 3}\n', "1 bad row: line 2: no 'question' that is a text"),
        (b'{"question": "one?"\n{"answer": "a"}\n', "2 bad rows: line 1: broken JSON"),
        (b"one?\ntwo\xff?\n", "line 2: not valid UTF-8"),
    ],
)
def test_a_bad_file_of_questions(memtune, library, tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "questions"
    file.write_bytes(content)
    result = memtune("ask", "--file", file)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "ask" not in [call.verb for call in library.calls]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (NotFound("no memory here", hint="learn first"), 2),
        (UnknownFact("no fact 'f9'", hint="learn first"), 2),
        (FolderLocked("another writer\nis at work", hint="learn first"), 1),
    ],
)
def test_a_fault_is_a_line_and_a_hint(memtune, library, fault, code: int) -> None:
    library.fault = fault
    result = memtune("explain", "up?")
    assert result.exit_code == code
    assert result.stderr == f"error: {' '.join(fault.message.split())}\nhint: learn first\n"


def test_an_unexpected_fault_is_a_line_that_points_to_debug(memtune, library) -> None:
    library.fault = RuntimeError("x" * 2000)
    result = memtune("explain", "up?")
    assert result.exit_code == 1
    error, hint = result.stderr.splitlines()
    assert error.startswith("error: RuntimeError: xxx")
    assert len(error) < 600
    assert "--debug" in hint


@pytest.mark.parametrize("args", ["ask up?", "facts list", "verify", "learn f"])
def test_a_traceback_only_with_debug(memtune, library, args: str) -> None:
    library.fault = UnknownFact("no fact 'f9'")
    plain, debug = memtune(*args.split()), memtune(*args.split(), "--debug")
    assert "Traceback" not in plain.output
    assert "Traceback" in debug.stderr
    assert plain.exit_code == debug.exit_code == 2


def test_stopping_by_hand_exits_with_130(memtune, library) -> None:
    library.fault = KeyboardInterrupt()
    result = memtune("ask", "up?")
    assert (result.exit_code, result.stderr) == (130, "stopped\n")


# as a person would


def run(*args: str, **how) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "memtune.cli", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **how)


def test_help_answers_at_once_and_without_torch() -> None:
    loaded = "import sys, memtune.cli; print({'torch', 'transformers', 'rich'} & set(sys.modules))"
    seen = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout
    assert seen.strip() == "set()"
    assert min(_seconds_for_help() for _ in range(3)) < 0.5


def _seconds_for_help() -> float:
    """Of processor time, which does not depend on what else the machine is doing."""
    before = os.times()
    assert "Teach an open language model facts" in run("--help").stdout
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def test_a_memory_that_is_not_there(tmp_path: Path) -> None:
    result = run("facts", "list", "--memory", "nowhere", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("error: nowhere holds no memory\nhint: ")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_early_is_no_reason_to_complain() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as broken:  # noqa: PTH123
        command = [sys.executable, "-m", "memtune.cli", "version"]
        result = subprocess.run(command, stdout=broken, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("ask --foo", "error: No such option: --foo\nhint: memtune ask --help\n"),
        ("asc", "error: No such command 'asc'. Did you mean 'ask'?\nhint: memtune --help\n"),
        ("facts show", "error: Missing argument 'ID'.\nhint: memtune facts show --help\n"),
        ("bench lern", "error: No such command 'lern'. Did you mean 'learn'?\nhint: memtune bench --help\n"),
        ("bench learn --n 0", "hint: memtune bench learn --help\n"),
    ],
)
def test_wrong_usage_is_told_in_a_line(memtune, typed: str, said: str) -> None:
    result = memtune(*typed.split())
    assert result.exit_code == 2
    assert result.stderr.endswith(said)
    assert len(result.stderr.splitlines()) == 2


def test_without_arguments_a_group_shows_its_help(memtune) -> None:
    assert "Usage: memtune facts" in memtune("facts").output
