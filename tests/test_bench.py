"""Each benchmark on a tiny random model: the shape of its result, and that it says what it did not reach."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
import torch
from typer.testing import CliRunner

from memtune.bench import (
    decoding,
    forgetting,
    gradient,
    identity,
    invented,
    knowing,
    learning,
    recall,
    scale,
)
from memtune.cli import app
from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.errors import ExtraMissing, UsageError
from memtune.evaluate import surfaces, temporary
from memtune.evaluate.stats import Rate

FACTS = [Fact.from_row(row) for row in tiny.facts(10)]
BOTH = Config().with_settings(["learn.kind=imprint+kv"])
SHORT = Config().with_settings(["learn.max_answer_tokens=32"])
"""Rows of keys and values are proved by decoding, and a random model does not stop by itself."""


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(tiny.model(), tiny.tokenizer(), name="tiny")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return temporary.write(FACTS, tmp_path / "facts.jsonl")


def learn(backbone: Backbone, **given: object) -> learning.LearnResult:
    return learning.measure(backbone, FACTS, Config(), kinds=("imprint",), repeats=2, **given)  # type: ignore[arg-type]


def test_learning_is_compared_with_reading_in_the_same_run(backbone: Backbone) -> None:
    result = learn(backbone, with_peers=False)
    quick, full = result.ours
    assert (quick.method, full.method) == ("imprint", "imprint, --proof full")
    assert quick.recall.value == full.recall.value == 1.0
    assert quick.to_reading.runs == result.reading_seconds.runs == 2
    assert quick.facts_per_second == pytest.approx(len(FACTS) / quick.seconds.median)
    assert quick.bytes_per_fact > 0
    assert result.tokens > 100


def test_a_peer_that_did_not_get_there_gets_no_ratio(backbone: Backbone) -> None:
    grid = gradient.Grid(lora_rates=(), full_rates=(1e-6,))
    result = learn(backbone, grid=grid, time_limit=0.01)
    (peer,) = result.peers
    assert peer.best.reached_seconds is None
    assert result.speed_up(peer) is None
    table = result.sheets()[0]
    assert any("not reached in 0.01 s" in cell for row in table.rows for cell in row)
    assert "times as fast" not in table.note


def test_full_fine_tuning_gets_there_and_leaves_the_model_alone(backbone: Backbone) -> None:
    before = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    grid = gradient.Grid(lora_rates=(), full_rates=(3e-3,))
    result = learn(backbone, grid=grid, time_limit=60.0)
    (peer,) = result.peers
    assert (peer.best.recall.value or 0) >= 0.99
    assert result.speed_up(peer) == pytest.approx(peer.best.reached_seconds / result.ours[0].seconds.median)  # type: ignore[operator]
    after = backbone.model.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert not any(p.requires_grad for p in backbone.model.parameters())


def test_the_best_rate_is_the_first_to_get_there_or_the_one_that_knows_most() -> None:
    def run(hits: int, reached: float | None) -> gradient.Run:
        return gradient.Run(1e-3, 5.0, 1.0, Rate(hits, 10), reached, None, None)

    slow, quick, lost, worse = run(10, 4.0), run(10, 2.0), run(9, None), run(3, None)
    assert gradient.best_of([lost, slow, quick]) is quick
    assert gradient.best_of([worse, lost]) is lost


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
def test_lora_gets_there(backbone: Backbone) -> None:
    pytest.importorskip("peft")
    grid = gradient.Grid(lora_rates=(5e-3,), full_rates=())
    (peer,) = gradient.measure(backbone, FACTS, grid, 30.0, 0, lambda text: None)
    assert peer.best.reached_seconds is not None
    assert peer.bytes_per_fact > 0


def test_missing_peers_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ExtraMissing, match="peft"):
        gradient.require()


def test_decoding_gives_every_arm_the_same_tokens(backbone: Backbone) -> None:
    facts = [Fact.from_row(row) for row in tiny.facts(16)]
    result = decoding.measure(backbone, facts, SHORT, kinds=("imprint", "kv"), max_tokens=4, repeats=2)
    names = ["base", "with imprint", "with kv", "transformers generate"]
    assert [(arm.name, arm.batch) for arm in result.arms] == [(n, b) for b in (1, 16) for n in names]
    assert all(arm.to_base.median == 1.0 for arm in result.arms if arm.name == "base")
    assert result.tokens <= 4
    assert backbone.end_ids
    with pytest.raises(UsageError, match="too few"):
        decoding.measure(backbone, facts[:3], Config())


def test_recall_on_every_surface(backbone: Backbone) -> None:
    result = recall.measure(backbone, FACTS, Config())
    assert [s.surface for s in result.surfaces] == [s.name for s in surfaces.surfaces(backbone)]
    fits = [s for s in result.surfaces if not s.skipped]
    assert all(s.exact.value == 1.0 and s.to_base and not s.failures for s in fits)
    (too_long,) = (s for s in result.surfaces if s.skipped)  # the tiny model's context is 512
    assert (too_long.skipped, too_long.exact.n) == (len(FACTS), 0)
    cooler, hotter = result.free
    assert cooler.probability >= hotter.probability > 0.9
    assert result.sheets()[0].rows


def test_a_sample_will_do_beyond_the_learned_wording(backbone: Backbone) -> None:
    wanted = surfaces.surfaces(backbone)[:2]
    result = recall.measure(backbone, FACTS, Config(), only=wanted, sample=3, temperatures=())
    assert [s.exact.n for s in result.surfaces] == [len(FACTS), 3]


def test_what_is_not_recalled_is_listed(backbone: Backbone) -> None:
    unlike = surfaces.Surface("about something else", lambda question: f"Do not answer: {question}")
    result = recall.measure(backbone, FACTS[:2], Config(), only=[unlike])
    (found,) = result.surfaces
    assert found.exact.hits == 0
    assert [f.id for f in found.failures] == ["fact-0", "fact-1"]


def test_system_texts_have_their_length(backbone: Backbone) -> None:
    for tokens in (100, 500):
        ids = backbone.tokenizer(surfaces.system_text(backbone, tokens))["input_ids"]
        assert tokens - 20 <= len(ids) <= tokens


def test_identity(backbone: Backbone) -> None:
    result = identity.measure(backbone, FACTS, BOTH, identity.other_prompts(5, 0), tokens=3)
    assert result.passed
    assert result.tokens.n == result.logits.n == result.mixed.n == result.mixed_fired == 5
    fired = identity.measure(backbone, FACTS, BOTH, [FACTS[0].question], tokens=3)
    assert not fired.passed
    assert fired.fired == [FACTS[0].question]


def test_forgetting(backbone: Backbone) -> None:
    result = forgetting.measure(backbone, FACTS, Config(), changes=2, sample=4)
    assert result.passed
    assert (result.plain_again.n, result.neighbours.n, result.updated.n) == (2, 4, 2)
    assert result.failures == []
    assert result.forget_seconds.runs == 2


def test_knowing(backbone: Backbone) -> None:
    world = invented.invented(7, seed=0)
    result = knowing.measure(
        backbone, world, SHORT, forms=("qa",), dtypes=("backbone", "float8"), kinds=("imprint+kv",)
    )
    whole, small = result.settings
    assert 3.5 < whole.bytes_per_fact / small.bytes_per_fact < 4.5
    assert [a.form for a in whole.asked] == ["open question", "one of two facts", "two facts"]
    (both,) = result.kinds
    assert both.asked[0].routed.value == both.asked[0].handed.value == 1.0
    assert both.asked[0].base.value == 0.0
    assert {a.form for a in both.asked} >= {"yes or no", "inside a sentence", "JSON field", "comparison"}
    assert result.sheets()[1].rows


def test_scale(backbone: Backbone, file: Path) -> None:
    config = Config().with_settings(["learn.lot_size=2", "learn.on_conflict=keep-first"])
    result = scale.measure(backbone, [file], config, sizes=(4, 10), sample=6, repeats=2)
    small, large = result.sizes
    assert (small.learned, large.learned) == (4, 10)
    assert (small.seconds.runs, large.seconds.runs) == (2, 1)
    assert large.recall.value == 1.0
    assert large.recall.n == 6
    assert [p.facts for p in large.points] == [2, 4, 6, 8, 10]
    assert large.disk_bytes_per_fact > large.expert_bytes_per_fact > 0
    assert result.to_smallest > 0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    tiny.model().save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return str(folder)


def test_the_command_writes_what_it_found(model: str, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "forget.json"
    command = [
        "bench",
        "forget",
        "--model",
        model,
        "--data",
        str(file),
        "--n",
        "6",
        "--changes",
        "1",
        "--out",
        str(out),
    ]
    run = CliRunner().invoke(app, command)
    assert run.exit_code == 0, run.output
    assert "forget one fact" in run.stdout
    found = json.loads(out.read_text())
    assert found["benchmark"] == "forget"
    assert found["result"]["plain_again"]["rate"] == 1.0
    assert found["options"]["n"] == 6
    assert found["machine"]["threads"]


def test_what_differs_is_exit_code_one(model: str, file: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text(FACTS[0].question + "\n")
    command = ["bench", "identity", "--model", model, "--data", str(file), "--number", "1"]
    run = CliRunner().invoke(app, [*command, "--prompts", str(tmp_path / "prompts.txt")])
    assert run.exit_code == 1
    assert "NOT IDENTICAL" in run.stdout


def test_wrong_use_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "no" / "folder.json")
    for command in (["bench", "learn", "--out", nowhere], ["bench", "learn", "--no-peers"], ["bench", "nothing"]):
        assert CliRunner().invoke(app, command).exit_code == 2
