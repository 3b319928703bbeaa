"""Sweeps on a tiny random model: poor settings stop early, the winner is written down."""

from __future__ import annotations

import json

import pytest
import tiny

from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.errors import UnknownSetting, UsageError
from memtune.evaluate.compare.race import weights_digest
from memtune.evaluate.output import plain
from memtune.evaluate.stats import Rate
from memtune.evaluate.sweep import Point, Sweep, Trial, budgets, sweep

FACTS = [Fact.from_row(row) for row in tiny.facts(12)]


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(tiny.model(), tiny.tokenizer(), name="tiny")


def test_budgets_double_and_halve_the_runs_to_one() -> None:
    assert budgets(8, 80, 5) == [10, 20, 40, 80]
    assert budgets(3, 80, 5) == [20, 40, 80]
    assert budgets(1, 80, 5) == [80]
    assert budgets(64, 40, 5) == [5, 10, 20, 40], "no run is judged after next to nothing"


@pytest.mark.filterwarnings("ignore")
def test_a_rate_that_learns_nothing_is_stopped_and_the_other_one_wins(backbone: Backbone) -> None:
    pytest.importorskip("peft")
    before = weights_digest(backbone)
    grid = {"learning_rate": ["1e-7", "4e-3"], "r_value": ["8", "16"]}
    told: list[str] = []
    found = sweep(backbone, FACTS[:6], grid, sample=4, max_steps=80, say=told.append)
    assert found.budgets == [20, 40, 80]
    assert found.best.settings["learning_rate"] == "4e-3"
    assert (found.best.points[-1].learned.value or 0) >= 0.75
    dropped = [trial for trial in found.trials if trial.settings["learning_rate"] == "1e-7"]
    assert [len(trial.points) for trial in dropped] == [1, 1]
    assert [len(trial.losses) for trial in dropped] == [20, 20]
    assert len(found.best.losses) == 80, "it goes on where it stood, and keeps its curve"
    assert found.best.losses[-1] < 0.7 * found.best.losses[0]
    assert [p.budget for p in found.best.points] == [20, 40, 80]
    sizes = {trial.settings["r_value"]: trial.points[0].bytes for trial in found.trials}
    assert sizes["16"] == 2 * sizes["8"]
    assert len(told) == 4 + 2 + 1
    assert weights_digest(backbone) == before


@pytest.mark.filterwarnings("ignore")
def test_a_run_keeps_to_its_own_steps_and_one_value_is_enough(backbone: Backbone) -> None:
    pytest.importorskip("peft")
    found = sweep(backbone, FACTS[:6], {"max_steps": ["6"], "batch": ["2"]}, sample=4, max_steps=50)
    (trial,) = found.trials
    assert found.budgets == [50]
    assert (len(trial.losses), trial.points[-1].budget) == (6, 6)


def test_settings_of_a_memory_are_swept_on_more_and_more_facts(backbone: Backbone) -> None:
    grid = {"imprint.margin": ["0.000001", "16"], "router.made": ["0", "2"]}
    found = sweep(backbone, FACTS, grid, method="imprint", sample=10, seed=1)
    assert found.unit == "facts"
    assert found.budgets == [10], "a sample this small is not halved"
    assert len(found.trials) == 4
    assert all(trial.points[-1].learned.n == 10 for trial in found.trials)
    assert found.best.points[-1].learned.value == 1.0
    assert found.best.points[-1].loss is None
    again = sweep(backbone, FACTS, grid, method="imprint", sample=10, seed=1)
    assert [t.points[-1].learned for t in again.trials] == [t.points[-1].learned for t in found.trials]
    assert again.best.settings == found.best.settings


def test_bad_grids_are_named(backbone: Backbone) -> None:
    with pytest.raises(UsageError, match="nothing to sweep"):
        sweep(backbone, FACTS, {})
    with pytest.raises(UsageError, match="nothing to sweep"):
        sweep(backbone, FACTS, {"r_value": []})
    with pytest.raises(UnknownSetting, match="'learning_rat'") as fault:
        sweep(backbone, FACTS, {"learning_rat": ["1"]})
    assert "learning_rate" in str(fault.value.hint)
    with pytest.raises(UnknownSetting, match="'r_value'"):
        sweep(backbone, FACTS, {"r_value": ["1"]}, method="imprint")
    with pytest.raises(UsageError, match=r"imprint\.margin must be a number"):
        sweep(backbone, FACTS, {"imprint.margin": ["wide"]}, method="imprint")
    with pytest.raises(UsageError, match="r_value must be a whole number above zero, not '-2'"):
        sweep(backbone, FACTS, {"r_value": ["-2"]})
    with pytest.raises(UsageError, match="no method 'peft'"):
        sweep(backbone, FACTS, {"r_value": ["2"]}, method="peft")
    with pytest.raises(UsageError, match="max_steps"):
        sweep(backbone, FACTS, {"r_value": ["2"]}, max_steps=0)


def point(hits: int, words: int = 0, near: int = 0, loss: float | None = 1.0, size: int = 1) -> Point:
    return Point(10, Rate(hits, 10), Rate(words, 10), Rate(near, 10), loss, size, 0.5)


def made(*trials: tuple[dict[str, str], list[Point]]) -> Sweep:
    return Sweep("peft-lora", 10, [5, 10], "steps", [Trial(settings, points) for settings, points in trials])


def test_the_winner_knows_most_and_says_least_beside_it() -> None:
    ranks = [
        point(9, 5).rank,
        point(9, 5, loss=2.0).rank,
        point(9, 5, loss=None).rank,
        point(9, 6, 3).rank,
        point(8, 10).rank,
    ]
    assert ranks == sorted(ranks)
    assert point(5, loss=float("nan")).rank > point(5, loss=9.0).rank
    assert point(5, size=1).rank < point(5, size=2).rank
    found = made(({"r_value": "1"}, [point(10)]), ({"r_value": "2"}, [point(3), point(4)]))
    assert found.best.settings == {"r_value": "2"}, "only those that went furthest can win"


def test_the_winner_is_plain_yaml() -> None:
    settings = {"learning_rate": "9e-4", "r_value": "64", "router.encoder": "no: thing", "learn.kind": "imprint+kv"}
    found = made(({**settings, "x": "on", "y": "true"}, [point(9)]))
    lines = found.yaml().splitlines()
    assert lines[0].startswith("# recall 90.0 %")
    assert lines[1:] == [
        "method: peft-lora", "learning_rate: 0.0009", "r_value: 64", 'router.encoder: "no: thing"',
        "learn.kind: imprint+kv", 'x: "on"', "y: true",
    ]  # fmt: skip


def test_a_sweep_is_tables_and_json() -> None:
    found = made(({"r_value": "1"}, [point(1)]), ({"r_value": "2"}, [point(3), point(4)]))
    table, curves = found.sheets()
    assert [row[0] for row in table.rows] == ["r_value=2", "r_value=1"]
    assert curves.rows[1] == ["r_value=1", "10.0 / 1.000", ""]
    assert all(len(row) == len(sheet.columns) for sheet in (table, curves) for row in sheet.rows)
    written = json.loads(json.dumps(plain(found)))
    assert written["best"] == {"r_value": "2"}
    assert written["trials"][1]["points"][1]["learned"]["hits"] == 4
