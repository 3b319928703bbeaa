"""`memtune bench nearest` on few keys: the shape of its result, and that it agrees with exact search."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from memtune.bench import nearest
from memtune.cli import app
from memtune.config import Config
from memtune.errors import UsageError

QUESTIONS = [f"What is the {what} of {name}{n}?" for what in ("price", "colour") for name in "abcde" for n in range(20)]
CONFIG = Config().with_settings(["router.vectors=float16"])


def test_exact_search_finds_what_is_near_and_noise_makes_more_keys() -> None:
    small, large = nearest.measure(QUESTIONS, CONFIG, sizes=(90, 400), queries=20).sizes
    assert (small.keys, large.keys, small.method) == (90, 400, "exact")
    assert small.recall.n == large.recall.n == 160
    assert large.recall.value is not None
    assert large.recall.value > 0.97
    assert 0 < small.search.median <= small.search.p99


def test_figures_are_plain() -> None:
    [row] = nearest.measure_sizes(QUESTIONS, [90], CONFIG, queries=20)
    assert json.loads(json.dumps(row))["search"]["median"] > 0
    assert row["recall"]["n"] == 160


def test_too_few_questions() -> None:
    with pytest.raises(UsageError, match="too few"):
        nearest.measure(QUESTIONS[:10], CONFIG, queries=20)


def test_the_command_needs_no_model(tmp_path: Path) -> None:
    file, out = tmp_path / "facts.jsonl", tmp_path / "out.json"
    file.write_text("".join(json.dumps({"question": q, "answer": "x"}) + "\n" for q in QUESTIONS))
    command = ["bench", "nearest", "--data", str(file), "--sizes", "100", "--queries", "10", "--out", str(out)]
    run = CliRunner().invoke(app, command)
    assert run.exit_code == 0, run.output
    assert json.loads(out.read_text())["result"]["sizes"][0]["keys"] == 100
