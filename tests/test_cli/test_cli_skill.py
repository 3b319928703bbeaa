"""`memtune skill …` says what it did, and what a skill is worth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memtune.core.reports import Answer, UsedSkill


def test_a_skill_is_learned_and_shown(memtune, library) -> None:
    said = memtune("skill", "learn", "new.jsonl", "--name", "sql")
    assert said.exit_code == 0, said.output
    assert said.stdout.splitlines()[0] == "sql: tables"
    assert "exact answers to 5 of them: 4, the plain model's 1" in said.stdout
    assert said.stdout.splitlines()[-1] == "version 3"
    shown = memtune("skill", "show", "sql").stdout
    assert "gate: opened by 90 % of 27 examples, by 0.5 % of 230 other texts" in shown
    assert memtune("skill", "list").stdout == "sql  0 examples  900 bytes  4 of 5 exact, plain model 1  tables\n"


def test_a_narrow_gate_is_pointed_out(memtune, library, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "narrow" not in memtune("skill", "learn", "new.jsonl", "--name", "sql").stderr
    monkeypatch.setitem(library.skills.show("sql").gate, "recall", 0.6)
    said = memtune("skill", "learn", "new.jsonl", "--name", "sql")
    assert "hint: its gate is narrow" in said.stderr


def test_one_that_is_worse_is_told_plainly(memtune, library) -> None:
    library.worse = "its loss a set-aside token is 3.000, the plain model's 2.000"
    kept = memtune("skill", "learn", "new.jsonl", "--name", "sql", "--keep-worse")
    assert (kept.exit_code, "it is kept all the same" in kept.stderr) == (0, True)
    library.version = 0
    gone = memtune("skill", "learn", "new.jsonl", "--name", "sql")
    assert gone.exit_code == 1
    assert f"worse than the plain model: {library.worse}; it is not kept; --keep-worse keeps it" in gone.stderr
    assert not gone.stdout.splitlines()[-1].startswith("version")


def test_json_of_skills(memtune, library) -> None:
    learned = json.loads(memtune("skill", "learn", "new.jsonl", "--name", "sql", "--json").stdout)
    assert (learned["name"], learned["version"], learned["summary"]["right"]) == ("sql", 3, 4)
    assert json.loads(memtune("skill", "list", "--json").stdout)["set_aside"] == 1
    assert json.loads(memtune("skill", "show", "sql", "--json").stdout)["gate"]["recall"] == 0.9
    assert json.loads(memtune("skill", "forget", "sql", "--json").stdout) == {"forgotten": "sql", "version": 3}
    assert json.loads(memtune("skill", "forget", "sql", "--purge", "--json").stdout) == {"purged": "sql", "versions": 3}
    assert memtune("skill", "forget", "sql").stdout == "forgotten: sql; version 3\n"
    assert memtune("skill", "forget", "sql", "--purge").stdout == "purged: sql, from 3 versions\n"
    assert json.loads(memtune("skill", "eval", "sql", "--json").stdout) == {"rungs": {}}


def test_examples_can_be_had_again(memtune, library) -> None:
    assert memtune("skill", "show", "sql", "--examples").stdout == '{"question": "Count.", "answer": "SELECT 1"}\n'


def test_texts_that_must_not_open_it(memtune, library, tmp_path: Path) -> None:
    (tmp_path / "others.txt").write_text("Set the table.\nLay the table.\n")
    memtune("skill", "learn", "new.jsonl", "--name", "sql", "--others", str(tmp_path / "others.txt"))
    assert library.last("learn_skill").options["others"] == ["Set the table.", "Lay the table."]


def test_an_answer_names_the_skill(memtune, library) -> None:
    library.answer = Answer("SELECT 1;", skills=(UsedSkill("sql", 0.876),), version=3)
    said = memtune("ask", "Count the players.")
    assert (said.stdout, said.stderr) == ("SELECT 1;\n", "  skill sql (0.88)\n")
    assert json.loads(memtune("ask", "Count.", "--json").stdout)["skills"] == [{"name": "sql", "score": 0.876}]


@pytest.mark.parametrize("fault", [KeyboardInterrupt()])
def test_what_ctrl_c_leaves(memtune, library, fault: BaseException) -> None:
    library.fault = fault
    said = memtune("skill", "learn", "new.jsonl", "--name", "sql")
    assert (said.exit_code, "stopped: nothing was learned" in said.stderr) == (130, True)
