"""The look at a file of facts before anything is learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny

from memtune import MemoryModel
from memtune.config import Config, DecodeConfig, LearnConfig
from memtune.core.backbone import Backbone
from memtune.errors import BadRows
from memtune.evaluate.check import check_data
from memtune.evaluate.output import plain

ROWS: list[dict[str, Any]] = [
    {"id": f"{kind}-{n}", "question": f"What is the price of Item{n} {kind}?", "answer": f"{n} dollars", "group": kind}
    for kind, size in (("Lamps", 20), ("Desks", 10))
    for n in range(size)
]  # fmt: skip


def found(*more: dict[str, Any], **settings: Any) -> Any:
    return check_data([*ROWS, *more], **settings)


def test_clean_facts_call_for_nothing_but_phrasings() -> None:
    report = found()
    assert (report.facts, report.duplicates, report.conflicts.n, report.nameless.n, report.alike.n) == (30, 0, 0, 0, 0)
    assert report.groups == {"Lamps": 20, "Desks": 10}
    assert (report.questions.unit, report.answers.longest, report.answers.median) == ("characters", 10, 9.0)
    assert len(report.hints) == 1
    assert "phrasings" in report.hints[0]


def test_duplicates_and_conflicts_are_told_apart() -> None:
    same, other = ROWS[0], {**ROWS[1], "id": "new", "answer": "another price"}
    report = found({**same, "id": "again"}, other)
    assert (report.facts, report.duplicates, report.conflicts.n) == (30, 1, 1)
    assert "Item1 Lamps" in report.conflicts.examples[0]
    assert any("more than one answer" in hint for hint in report.hints)


def test_questions_that_name_nothing_are_found() -> None:
    many = [
        {"question": f"what does {it} cost {when}", "answer": "1"} for it in ("it", "this") for when in ("now", "then")
    ]
    report = found({"id": "who", "question": "Who is it?", "answer": "A man"}, *many)
    assert report.nameless.n >= 1
    assert "who: 'Who is it?'" in report.nameless.examples


def test_questions_that_only_their_exact_wording_tells_apart_are_found() -> None:
    report = found({"id": "near", "question": "What is the price of an Item3 Lamps, please?", "answer": "dear"})
    assert report.alike.n == 2
    assert "near and Lamps-3" in "; ".join(report.alike.examples)


def test_bad_rows_are_reported_rather_than_refused() -> None:
    report = found({"question": "no answer?"})
    assert report.bad_rows == ("row 31: no 'answer'",)
    assert "1 row cannot be used" in report.hints[0]
    with pytest.raises(BadRows):
        check_data([{"question": "no answer?"}])


def test_one_class_only_is_said() -> None:
    report = check_data([{"question": f"Is Item{n} new?", "answer": "yes"} for n in range(5)])
    assert any("5 of 5 answers are 'yes'" in hint for hint in report.hints)
    assert any("fewer than 20 facts" in hint for hint in report.hints)
    assert report.split.learn == 5


def test_the_suggested_split_keeps_groups_and_repeats() -> None:
    split = found().split
    assert (split.learn, len(split.tuning), len(split.held_out)) == (27, 2, 3)
    assert set(split.tuning).isdisjoint(split.held_out)
    assert sorted(fact.split("-")[0] for fact in split.held_out) == ["Desks", "Lamps", "Lamps"]
    assert found().split == split != found(seed=5).split


def test_with_a_model_lengths_are_tokens_and_what_it_knows_is_counted() -> None:
    config = Config(decode=DecodeConfig(max_new_tokens=8))
    with MemoryModel(Backbone(tiny.model(), tiny.tokenizer()), config=config) as model:
        said = model.ask(ROWS[0]["question"], memory=False).text.split()
        known = {**ROWS[0], "answer": " ".join(said[:1]) or "?"}
        report = check_data([known, *ROWS[1:]], model=model, sample=30, learn=LearnConfig(max_answer_tokens=3))
        assert report == check_data([known, *ROWS[1:]], model=model, sample=30, learn=LearnConfig(max_answer_tokens=3))
    assert report.questions.unit == "tokens"
    assert report.known is not None
    assert report.known.n == 30
    assert report.too_long.n > 0
    assert any("too long" in hint for hint in report.hints)


def test_the_report_is_tables_lines_and_json(tmp_path: Path) -> None:
    path = tmp_path / "facts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    report = check_data(path)
    assert [sheet.title.split(":")[0] for sheet in report.sheets()] == [str(path), "what to look at", "groups"]
    assert all(len(row) == len(sheet.columns) for sheet in report.sheets() for row in sheet.rows)
    assert json.loads(json.dumps(plain(report)))["split"]["learn"] == 27
    assert report.lines()[0].startswith(f"{path}: 30 facts")
