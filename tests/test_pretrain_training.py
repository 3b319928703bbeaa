"""The scripts that made the bundled backbone, on networks of a few parameters."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("tomllib", reason="the pretraining tools need Python 3.11")
sys.path.insert(0, str(Path(__file__).parents[1]))  # tools/ is no part of the package

from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from tools.pretrain.config import Phase, Recipe, SourceConfig, TrainConfig, load_recipe
from tools.pretrain.export import export
from tools.pretrain.mix import Shard, build_shard, documents_of
from tools.pretrain.model import Llama, ModelConfig
from tools.pretrain.optim import orthogonalised
from tools.pretrain.rows import RowReader
from tools.pretrain.text.document import ASSISTANT, END, PAD, SPECIAL_TOKENS, SYSTEM, USER, Part
from tools.pretrain.tokenizer import train_tokenizer
from tools.pretrain.train import Trainer, checkpoints, rate_at, tokens_seen

CONFIGS = sorted((Path(__file__).parents[1] / "tools/pretrain/configs").glob("*.toml"))
TINY = ModelConfig(vocab_size=384, width=32, layers=2, heads=2, mlp_width=48, context=64)
SOURCE = SourceConfig(
    "short", generator="context", tokens=6_000, settings={"facts": [1, 1], "questions": [1, 1], "forms": {"open": 1}}
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["The capital of Burlia is Zarvin. What is the price of the lamp? $1,249.50\n"] * 4, 384)


@pytest.fixture(scope="module")
def shards(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One shard of documents and one of prose."""
    folder = tmp_path_factory.mktemp("shards")
    build_shard(SOURCE, documents_of(SOURCE, folder, [], seed=1), tokenizer).save(folder, "short")
    tokens = np.random.default_rng(0).integers(0, 384, 3000).astype(np.uint16)
    Shard(tokens, np.full(3000, Part.PROSE, np.uint8), np.array([0, 3000])).save(folder, "prose")
    return folder


@pytest.fixture
def recipe() -> Recipe:
    sources = {"short": SOURCE, "prose": SourceConfig("prose", corpus="prose.txt.gz")}
    phase = Phase(10_000, row=256, batch_tokens=512, mix={"short": 0.7, "prose": 0.3})
    long = dataclasses.replace(phase, long_row=512, long_every=3, long_mix={"short": 1.0})
    model = dataclasses.replace(TINY, context=512)
    return Recipe(model, TrainConfig(tokens=10_000, warmup_tokens=1_000, cooldown_tokens=2_000), sources, (long,))


def trainer(recipe: Recipe, shards: Path) -> Trainer:
    return Trainer(recipe, shards, pad=1, compiled=False)


def run_steps(trainer: Trainer, count: int) -> list[dict[str, Any]]:
    return [trainer.train_step() for _ in range(count)]


def test_resume_is_exact(recipe: Recipe, shards: Path, tmp_path: Path) -> None:
    whole = trainer(recipe, shards)
    run_steps(whole, 6)
    first = trainer(recipe, shards)
    run_steps(first, 3)
    first.save(tmp_path)
    second = trainer(recipe, shards)
    assert second.restore(tmp_path)
    run_steps(second, 3)
    assert second.tokens == whole.tokens
    assert second.batches.state() == whole.batches.state()
    wanted, got = whole.optimizer.state(), second.optimizer.state()
    assert all(torch.equal(wanted[name], got[name]) for name in wanted)


def test_training_learns_logs_and_stops_when_told(recipe: Recipe, shards: Path, tmp_path: Path) -> None:
    one, rows = trainer(recipe, shards), list[dict[str, Any]]()

    def log(row: dict[str, Any]) -> None:
        rows.append(row)
        if len(rows) == 12:
            one.stop()

    one.run(10_000, log, tmp_path, save_every_s=1e9)
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert tokens_seen(checkpoints(tmp_path)[-1]) == rows[-1]["tokens"]


def test_nothing_to_resume_is_said(recipe: Recipe, shards: Path, tmp_path: Path) -> None:
    assert not trainer(recipe, shards).restore(tmp_path)


def test_only_the_newest_two_checkpoints_stay(recipe: Recipe, shards: Path, tmp_path: Path) -> None:
    one = trainer(recipe, shards)
    for _ in range(3):
        run_steps(one, 1)
        one.save(tmp_path)
    assert [path.name for path in checkpoints(tmp_path)] == ["step-0000002", "step-0000003"]


def test_a_checkpoint_of_another_shape_is_refused(recipe: Recipe, shards: Path, tmp_path: Path) -> None:
    one = trainer(recipe, shards)
    one.save(tmp_path)
    other = trainer(dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, layers=1)), shards)
    with pytest.raises(ValueError, match="another shape"):
        other.restore(tmp_path)


def test_the_rate_warms_up_stays_and_falls() -> None:
    config = TrainConfig(tokens=100, warmup_tokens=10, cooldown_tokens=20)
    rates = [rate_at(config, tokens) for tokens in range(101)]
    assert rates[0] < rates[5] < rates[10] == rates[80] == 1.0
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[80:99]))
    assert rates[100] > 0


def test_packed_rows_hold_whole_documents(shards: Path) -> None:
    shard = Shard.load(shards, "short")
    starts = {tuple(shard.tokens[a : a + 12]) for a in shard.starts[:-1]}
    reader = RowReader(shard, pad=1)
    for _ in range(10):
        ids, parts = reader.row(257)
        assert tuple(ids[:12]) in starts
        used = np.flatnonzero(parts)
        assert ids[used[-1]] == 0, "the last document ends with the end token"
        assert set(ids[used[-1] + 1 :]) <= {1}


def test_rows_that_nothing_fits_are_an_error(shards: Path) -> None:
    with pytest.raises(ValueError, match="no document"):
        RowReader(Shard.load(shards, "short"), pad=1).row(8)


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 16, 40), (2, 40, 16)])
def test_muon_makes_matrices_nearly_orthogonal(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(matrices, torch.float32))
    assert values.min() > 0.3
    assert values.max() < 1.4


def test_the_parameter_count_follows_its_formula() -> None:
    assert sum(p.numel() for p in Llama(TINY).parameters()) == TINY.parameters


def test_an_export_loads_in_transformers_with_the_same_logits(
    recipe: Recipe, shards: Path, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    one = trainer(recipe, shards)
    run_steps(one, 4)
    one.save(tmp_path / "checkpoints")
    export(checkpoints(tmp_path / "checkpoints")[-1], tokenizer, recipe.model, tmp_path / "out", part="master")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    assert loaded.dtype == torch.bfloat16
    ours = Llama(recipe.model)
    ours.load_state_dict({name: p.float() for name, p in one.model.state_dict().items()})
    ids = torch.randint(0, 384, (2, 40), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted, got = ours(ids), loaded.float()(input_ids=ids).logits
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)


def test_text_comes_back_from_the_tokenizer(tokenizer: Tokenizer) -> None:
    text = "  Ünïcode, tabs\tand\n\nlines; 12,5 % of “quotes” — 漢字 🙂 SELECT x_1 FROM t;"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_every_digit_is_a_token_of_its_own(tokenizer: Tokenizer) -> None:
    assert [t for t in tokenizer.encode("order 40921 at $1999").tokens if any(map(str.isdigit, t))] == list("409211999")


def test_special_tokens_come_first_and_whole(tokenizer: Tokenizer) -> None:
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == list(range(5))
    assert tokenizer.encode(f"a{END}{PAD}b").tokens[1:3] == [END, PAD]


def test_the_chat_template(recipe: Recipe, shards: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    trainer(recipe, shards).save(tmp_path / "checkpoints")
    export(checkpoints(tmp_path / "checkpoints")[-1], tokenizer, recipe.model, tmp_path / "out")
    loaded = AutoTokenizer.from_pretrained(tmp_path / "out")
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "Who?"},
    ]
    text = loaded.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    assert text == f"{SYSTEM}Be brief.{USER}Hello{ASSISTANT} Hi{END}{USER}Who?{ASSISTANT}"
    answered = loaded.apply_chat_template([*turns, {"role": "assistant", "content": "Me"}], tokenize=False)
    assert answered == f"{text} Me{END}"
    assert (loaded.eos_token, loaded.pad_token, loaded.bos_token) == (END, PAD, None)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_recipe_loads_and_keeps_to_the_size(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.model.parameters <= 19_000_000
    assert recipe.phases[-1].until >= recipe.train.tokens


def test_a_recipe_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text(CONFIGS[0].read_text().replace("seed = ", "sede = "))
    with pytest.raises(ValueError, match="sede"):
        load_recipe(broken)


def test_a_mix_of_unknown_sources_is_refused(recipe: Recipe) -> None:
    with pytest.raises(ValueError, match="not defined"):
        dataclasses.replace(recipe, sources={})


def test_positions_are_plain_json(recipe: Recipe, shards: Path, tmp_path: Path) -> None:
    one = trainer(recipe, shards)
    run_steps(one, 1)
    one.save(tmp_path)
    position = json.loads((checkpoints(tmp_path)[-1] / "position.json").read_text())
    assert set(position) == {"step", "tokens", "data"}


def test_a_deeper_model_says_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    from tools.pretrain.deepen import deepen

    torch.manual_seed(0)
    settings = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(settings).save_pretrained(tmp_path / "small")
    small = AutoModelForCausalLM.from_pretrained(tmp_path / "small")
    number = deepen(tmp_path / "small", tmp_path / "large", 3)
    large = AutoModelForCausalLM.from_pretrained(tmp_path / "large")
    ids = torch.arange(20)[None]
    assert large.config.num_hidden_layers == 6
    assert number == sum(p.numel() for p in large.parameters()) > 1.5 * sum(p.numel() for p in small.parameters())
    assert torch.allclose(small(ids).logits, large(ids).logits, atol=1e-5)
