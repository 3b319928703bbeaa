"""`memtune bench lora` on a tiny random model."""

from __future__ import annotations

import pytest
import tiny
import torch

from memtune.bench import gradient, lora
from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact

FACTS = [Fact.from_row(row) for row in tiny.facts(6)]


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    model = tiny.model()
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(8)
    return Backbone(model, tiny.tokenizer(), name="tiny")


def test_experts_are_measured_and_the_table_is_drawn(backbone: Backbone) -> None:
    result = lora.measure(backbone, FACTS, Config(), with_peers=False, repeats=1)
    assert result.recall is not None
    assert result.recall.value == 1.0
    assert result.bytes_per_fact > 1000
    assert result.lots is not None
    assert result.lots.experts == 6
    assert [sheet.rows for sheet in result.sheets()]


@pytest.mark.filterwarnings("ignore")
def test_one_expert_is_what_peft_makes_of_the_same_start(backbone: Backbone) -> None:
    pytest.importorskip("peft")
    grid = gradient.Grid(lora_rates=(1e-3,), full_rates=())
    result = lora.measure(backbone, FACTS, Config(), grid=grid, time_limit=0.01, repeats=1, steps=5)
    assert result.same is not None
    assert result.same.apart < 0.01
    assert result.same.memtune[-1] < result.same.memtune[0]
    assert [peer.method for peer in result.peers] == ["peft LoRA r=4, same layers", "peft LoRA r=32"]
    assert all(result.speed_up(peer) is None for peer in result.peers)
    assert any("not reached in 0.01 s" in cell for row in result.sheets()[0].rows for cell in row)
    assert not any("lora" in name for name, _ in backbone.model.named_modules())
