"""The commands over a real memory on a tiny random model: learn, ask, change, forget, export, learn again."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from memtune.cli import progress

FACTS = [
    {"id": "a", "question": "What does the Zorblat lamp cost?", "answer": "40 dollars", "source": "list", "group": "x"},
    {"id": "b", "question": "Who founded Mirana?", "answer": "Item-12 (blue)", "phrasings": ["Mirana's founder?"]},
    {"id": "c", "question": "When does warranty 10483 end?", "answer": "In November.", "group": "y"},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny.model("llama").save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path, memtune):
    """Run commands in an empty folder with a file of facts, on the tiny model; the answer as JSON where asked."""
    monkeypatch.chdir(tmp_path)
    Path("facts.jsonl").write_text("".join(json.dumps(fact) + "\n" for fact in FACTS), encoding="utf-8")
    without_model = {"list", "show", "export", "verify"}

    def run(*args: str):
        result = memtune(*args, *([] if without_model & set(args) else ["--model", model]))
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.splitlines()] if "--json" in args else result.stdout

    return run


def test_the_life_of_a_memory(here, memtune) -> None:
    [report] = here("learn", "facts.jsonl", "--json")
    assert (report["facts"], report["learned"], report["failed"], report["version"]) == (3, 3, [], 1)
    [answer] = here("ask", FACTS[1]["phrasings"][0], "--json")
    assert (answer["answer"], answer["facts"][0]["id"], answer["fired"]) == ("Item-12 (blue)", "b", True)
    assert here("ask", FACTS[0]["question"], "--stream") == "40 dollars\n"

    here("facts", "add", "--id", "d", "--question", "Which colour has door 7?", "--answer", "Teal.")
    here("facts", "update", "c", "--answer", "In May.")
    here("facts", "phrase", "d", "Door 7's colour?")
    assert here("ask", "Door 7's colour?") == "Teal.\n"
    assert here("facts", "forget", "--where", "group=x", "--json")[0]["forgotten"] == ["a"]
    assert [fact["id"] for fact in here("facts", "list", "--json")] == ["b", "c", "d"]
    assert here("verify") == "memory is in order\n"
    assert "ok    memory: 3 facts, version 5" in memtune("doctor", "--memory", "memory").stdout


def test_a_forgotten_fact_leaves_the_plain_model(here) -> None:
    here("learn", "facts.jsonl")
    here("facts", "forget", "a")
    plain = here("ask", FACTS[0]["question"], "--no-memory", "--max-new-tokens", "8")
    assert here("ask", FACTS[0]["question"], "--max-new-tokens", "8") == plain
    assert here("ask", FACTS[0]["question"], "--unknown", "abstain") == "I don't know.\n"


def test_what_is_exported_is_learned_again(here) -> None:
    here("learn", "facts.jsonl")
    here("facts", "export", "--out", "out.jsonl")
    here("learn", "out.jsonl", "--memory", "second")
    assert here("facts", "list", "--json", "--memory", "second") == FACTS == here("facts", "list", "--json")


def test_a_bad_file_is_refused_before_anything_is_written(here, memtune, model: Path) -> None:
    with Path("facts.jsonl").open("a") as file:
        file.write('{"question": "no answer?"}\n')
    result = memtune("learn", "facts.jsonl", "--model", model)
    assert result.exit_code == 1
    assert "line 4" in result.stderr
    assert not Path("memory").exists()
    assert here("learn", "facts.jsonl", "--skip-bad", "--json")[0]["learned"] == 3


def test_ctrl_c_keeps_what_was_committed(here, memtune, model: Path, monkeypatch) -> None:
    def stop_after_two(watch: progress.Watch, step) -> None:
        watch.last = step
        if step.done == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(progress.Watch, "__call__", stop_after_two)
        result = memtune("learn", "facts.jsonl", "--model", model, "--set", "learn.lot_size=1")
    assert result.exit_code == 130
    assert "2 of 3 facts went through; what was learned is kept in memory, version 2" in result.stderr
    assert [fact["id"] for fact in here("facts", "list", "--json")] == ["a", "b"]
    [report] = here("learn", "facts.jsonl", "--json")
    assert (report["learned"], report["duplicates"]) == (1, 2)


def test_reading_commands_say_at_once_that_there_is_no_memory(memtune, tmp_path: Path) -> None:
    result = memtune("ask", "up?", "--memory", tmp_path / "nowhere", "--model", tmp_path / "no-model")
    assert (result.exit_code, "holds no memory" in result.stderr) == (2, True)


def test_the_quickstart_runs(model: Path, capsys) -> None:
    example = Path(__file__).parents[2] / "examples" / "quickstart.py"
    runpy.run_path(str(example))["main"](str(model))
    assert capsys.readouterr().out.splitlines() == [
        "learned 3 of 3 facts",
        "48,750 crowns, delivery included. | from price-list.csv",
        "51,200 crowns, delivery included.",
        "forgotten: True",
    ]


def test_as_a_person_would(here, model: Path) -> None:
    """Nothing but the answer and its source reaches the terminal: no warnings, no chatter of other libraries."""
    here("learn", "facts.jsonl")
    command = [sys.executable, "-m", "memtune.cli", "ask", FACTS[0]["question"], "--model", str(model)]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    asked = subprocess.run(command, env=one_thread, capture_output=True, text=True, timeout=120, check=False)
    assert (asked.returncode, asked.stdout, asked.stderr) == (0, "40 dollars\n", "  fact a (1.00, list)\n")
