"""Commands that measure: cards, settings, grids; and one real evaluation through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.mark.parametrize("command", ["eval", "compare facts.jsonl", "recipe facts.jsonl"])
def test_a_card_is_not_written_over_unasked(memtune, library, tmp_path: Path, command: str) -> None:
    (tmp_path / "card.md").write_text("an old card")
    refused = memtune(*command.split(), "--out", tmp_path)
    assert refused.exit_code != 0
    assert "error:" in refused.stderr
    assert not [call for call in library.calls if call.verb in ("evaluate", "race", "recipe")]
    assert memtune(*command.split(), "--out", tmp_path, "--replace").exit_code == 0
    assert library.last("write_card").args == (tmp_path, True)


def test_the_settings_of_the_best_run_are_written(memtune, library, tmp_path: Path) -> None:
    out = tmp_path / "best.yaml"
    assert memtune("sweep", "facts.jsonl", "--set", "r_value=8,16", "--out", out).exit_code == 0
    assert out.read_text() == "r_value: 8\n"


@pytest.mark.parametrize("given", ["r_value", "r_value=", "r_value= , "])
def test_a_grid_that_sets_nothing_is_refused(memtune, library, given: str) -> None:
    result = memtune("sweep", "facts.jsonl", "--set", given)
    assert result.exit_code == 2
    assert "sets nothing" in result.stderr
    assert not library.calls


def test_the_summary_stays_with_the_version(memtune, library) -> None:
    assert memtune("eval").exit_code == 0
    assert library.last("note").args == (3, "all right", {"rungs": {}})


def test_steps_are_shown_as_they_come_and_json_holds_all(memtune, library) -> None:
    assert "1. Look" in memtune("recipe", "facts.jsonl").stdout
    assert json.loads(memtune("recipe", "facts.jsonl", "--json").stdout) == {"rungs": {}}


@pytest.mark.parametrize(
    "args",
    ["eval", "compare f.jsonl", "sweep f.jsonl --set a=1", "lab use", "lab passages", "lab capacity",
     "lab retention f.jsonl", "data check f.jsonl"],
)  # fmt: skip
def test_figures_as_a_table_and_as_json(memtune, library, args: str) -> None:
    assert "100 %" in memtune(*args.split()).stdout
    assert json.loads(memtune(*args.split(), "--json").stdout) == {"rungs": {}}


def test_known_and_against_exclude_each_other(memtune, library) -> None:
    result = memtune("data", "check", "f.jsonl", "--known", "--against", "g.jsonl")
    assert (result.exit_code, library.calls) == (2, [])


def test_the_model_that_is_asked_for_what_it_knows(memtune, library) -> None:
    assert memtune("data", "check", "f.jsonl", "--known", "--model", "other").exit_code == 0
    assert library.last("load").options["model"] == "other"
    library.calls.clear()
    assert memtune("data", "check", "f.jsonl").exit_code == 0
    assert not [call for call in library.calls if call.verb == "load"]
