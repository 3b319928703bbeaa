"""What the benchmarks compute with: rates, medians, draws, invented facts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from memtune.bench import data
from memtune.bench.identity import other_prompts
from memtune.bench.invented import invented, open_tasks, pair_tasks, use_tasks
from memtune.core.facts import Fact
from memtune.errors import InputError, UsageError
from memtune.evaluate.output import plain
from memtune.evaluate.stats import Rate, Spread, figure


def test_a_rate_has_wilsons_interval() -> None:
    low, high = Rate(81, 100).interval or (0, 0)
    assert (round(low, 4), round(high, 4)) == (0.7222, 0.8749)
    assert str(Rate(2000, 2000)) == "100.0 % [99.81, 100.0] of 2,000"
    assert str(Rate(1999, 2000)) == "99.95 % [99.72, 99.99] of 2,000"


def test_a_rate_of_nothing_is_no_rate() -> None:
    assert (Rate(0, 0).value, Rate(0, 0).interval, str(Rate(0, 0))) == (None, None, "none asked")


def test_times_are_medians_with_their_spread() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)
    assert str(Spread.of([3.0, 1.0, 2.0])) == "2.00 (1.00–3.00)"
    assert [figure(v) for v in (0.01234, 1.234, 12.34, 12345.6)] == ["0.0123", "1.23", "12.3", "12,346"]


def test_results_become_json() -> None:
    assert plain({"rate": Rate(1, 2), "runs": (Spread.of([1.0]),), "file": Path("a")})["rate"]["hits"] == 1
    json.dumps(plain({"rate": Rate(1, 2), "runs": (Spread.of([1.0]),), "file": Path("a")}))


def rows(path: Path, lines: list[dict[str, object]]) -> Path:
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def test_facts_are_drawn_by_the_seed_and_each_question_once(tmp_path: Path) -> None:
    many = [{"question": f"What is {i % 40}?", "answer": f"a{i}"} for i in range(50)]
    paths = [rows(tmp_path / "a.jsonl", many), rows(tmp_path / "b.jsonl.gz", many[:3])]
    drawn = data.draw(paths, 10, seed=1)
    assert drawn == data.draw(paths, 10, seed=1) != data.draw(paths, 10, seed=2)
    everything = data.draw(paths, None, seed=0)
    assert len(everything) == 40
    assert everything[0].answer == "a0"


def test_of_several_accepted_answers_the_first_is_taken(tmp_path: Path) -> None:
    path = rows(tmp_path / "a.jsonl", [{"question": "Who?", "answer": ["He", "Him"]}])
    assert data.draw([path], None, seed=0)[0].answer == "He"


def test_a_bad_row_is_named_and_no_file_is_wrong_use(tmp_path: Path) -> None:
    path = rows(tmp_path / "a.jsonl", [{"question": "Who?", "answer": "He"}, {"question": "What?"}])
    with pytest.raises(InputError, match="line 2"):
        data.draw([path], None, seed=0)
    with pytest.raises(UsageError):
        data.draw([], None, seed=0)


def test_rows_go_from_file_to_file(tmp_path: Path) -> None:
    path = rows(tmp_path / "a.jsonl", [{"question": f"What is {i}?", "answer": "x"} for i in range(30)])
    sampler = data.Sampler(5, seed=0)
    assert data.write_some([path], 20, 0, sampler, tmp_path / "to.jsonl") == 20
    written = list(data.facts_of([tmp_path / "to.jsonl"]))
    assert len(written) == 20
    assert len(sampler.chosen) == 5
    assert {f.id for f in sampler.chosen} <= {f.id for f in written}


def test_a_sample_passes_over_questions_that_were_asked_before() -> None:
    sampler = data.Sampler(5, seed=0)
    for answer in ("first", "second"):
        sampler(Fact("x", "What?", answer))
    assert [f.answer for f in sampler.chosen] == ["first"]


def test_invented_places_are_all_different_and_the_seed_makes_them() -> None:
    world = invented(300, seed=3)
    assert len({w.subject for w in world}) == 300
    assert [w.fact for w in world] == [w.fact for w in invented(300, seed=3)]
    assert all(w.subject in w.fact.question for w in world)


def test_tasks_know_a_right_reply() -> None:
    world = invented(10, seed=0)
    for task in open_tasks(world):
        assert task.right(task.facts[0].answer)
        assert not task.right(task.facts[0].answer + " indeed")
    one, pair = pair_tasks(world)[:2]
    assert one.right(one.facts[0].answer)
    assert not one.right(one.facts[1].answer)
    assert pair.right(" and ".join(f.answer for f in pair.facts))
    assert not pair.right(pair.facts[0].answer)
    uses = use_tasks(world, seed=0)
    doubts = [t for t in uses if t.form == "yes or no"]
    assert sum(t.right("Yes, it is.") for t in doubts) == sum(t.right("no") for t in doubts) == 5
    assert not doubts[0].right("Yesterday")
    json_field = next(t for t in uses if t.form == "JSON field")
    assert json_field.right(f'{json_field.facts[0].answer}"}}')
    comparison = next(t for t in uses if t.form == "comparison")
    later = max(comparison.facts, key=lambda f: int(f.answer))
    subject = next(w.subject for w in world if w.fact is later)
    assert comparison.right(f"{subject}.")
    assert not comparison.right(comparison.prompt)


def test_prompts_about_other_things_are_all_different() -> None:
    assert len(set(other_prompts(1000, seed=0))) == 1000
