"""Experts that act on all positions leave as ordinary adapters: peft loads them and says the same."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import tiny
import torch

from memtune import MemoryModel
from memtune.config import Config, DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.gradient.low_rank import LowRank
from memtune.core.gradient.sites import find_sites
from memtune.core.kinds.lora import acting_on, gather_by_reach
from memtune.errors import NotFound, UsageError
from memtune.peft_export import write_adapter

ROWS = tiny.facts(3)
EVERYWHERE = Config().with_settings(["lora.positions=all"])


def model(family: str):
    made = tiny.model(family)
    with torch.no_grad():
        made.get_output_embeddings().weight.mul_(8)
    return made


def under_peft(family: str, folder: Path, ids: torch.Tensor) -> torch.Tensor:
    peft = pytest.importorskip("peft")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = peft.PeftModel.from_pretrained(model(family), folder)
    with torch.no_grad():
        return adapted(input_ids=ids).logits


@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt-neox", "phi3", "mixtral"])
def test_peft_loads_it_and_gives_the_same_logits(family: str, tmp_path: Path) -> None:
    """With factors drawn at random, so that nothing is near zero, on fused and on turned layers too."""
    backbone = Backbone(model(family), tiny.tokenizer())
    lot = LowRank.fresh(backbone, find_sites(backbone, 1, "all"), 1, rank=4, alpha=6, seed=0, everywhere=True)
    for leaf in lot.leaves:
        leaf.value = torch.randn(leaf.value.shape, generator=torch.Generator().manual_seed(1)) / 4
    [tensors] = lot.tensors()
    done = write_adapter(tmp_path / "adapter", backbone, tensors, name="any")
    assert (done.rank, done.layers) == (4, len(lot.sites))
    ids = torch.arange(5, 25)[None]
    with torch.no_grad(), acting_on(gather_by_reach(backbone, [[tensors]]), 1, torch.tensor([-1])):
        mine = backbone.model(input_ids=ids).logits
    with torch.no_grad():
        plain = backbone.model(input_ids=ids).logits
    theirs = under_peft(family, tmp_path / "adapter", ids)
    torch.testing.assert_close(theirs, mine, rtol=1e-4, atol=1e-4 * float(mine.abs().max()))
    assert (mine - plain).abs().max() > 0.1 * plain.abs().max()
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["r"] == 4
    assert config["lora_alpha"] == 6


def test_a_fact_says_its_answer_under_peft(tmp_path: Path) -> None:
    llm = MemoryModel(model("llama"), tmp_path / "memory", tokenizer=tiny.tokenizer(), config=EVERYWHERE)
    assert llm.learn(ROWS, kind="lora").learned == 3
    llm.export_adapter("fact-1", tmp_path / "adapter")
    reply, _ = llm.memory.answering.reply(ROWS[1]["question"], DecodeConfig(max_new_tokens=20), memory=True, raw=False)
    prompt = llm.backbone.template.question(ROWS[1]["question"]).ids
    logits = under_peft("llama", tmp_path / "adapter", torch.tensor([[*prompt, *reply.tokens]]))[0, len(prompt) - 1 :]
    torch.testing.assert_close(logits[: len(reply.logits)], torch.stack(reply.logits), rtol=1e-3, atol=1e-3)
    assert logits.argmax(-1).tolist()[: len(reply.tokens)] == reply.tokens


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("imprint", "it adds to the stream at the places of one answer"),
        ("kv", "it is rows of attention, not weights"),
        ("lora", "acts from the last token of the prompt on"),
    ],
)
def test_other_experts_say_why_not(kind: str, why: str, tmp_path: Path) -> None:
    llm = MemoryModel(model("llama"), tmp_path / "memory", tokenizer=tiny.tokenizer())
    llm.learn(ROWS[:1], kind=kind)
    with pytest.raises(UsageError, match=why) as refused:
        llm.export_adapter("fact-0", tmp_path / "adapter")
    assert "\n" not in refused.value.message
    assert refused.value.hint
    assert not (tmp_path / "adapter").exists()


def test_what_is_not_there_and_what_is_there_already(tmp_path: Path) -> None:
    llm = MemoryModel(model("llama"), tmp_path / "memory", tokenizer=tiny.tokenizer(), config=EVERYWHERE)
    llm.learn(ROWS[:1], kind="lora+imprint")
    with pytest.raises(NotFound, match="no fact and no skill 'nobody'"):
        llm.export_adapter("nobody", tmp_path / "adapter")
    llm.export_adapter("fact-0", tmp_path / "adapter")
    with pytest.raises(UsageError, match="already holds adapter_model"):
        llm.export_adapter("fact-0", tmp_path / "adapter")
