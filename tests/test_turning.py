"""Facts' rows are moved to where the last turn begins."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
import torch

from memtune import MemoryModel
from memtune.core.backbone import Backbone
from memtune.core.turning import Turning

UNTURNED = {"gemma3": "two rotations", "gpt2": "a table", "opt": "a table", "falcon": "", "stablelm": "", "mamba2": ""}


def keys_at(backbone: Backbone, ids: torch.Tensor, position: int) -> torch.Tensor:
    positions = torch.arange(ids.shape[1])[None] + position
    with torch.inference_mode(), backbone.attention.recording() as recorder:
        backbone.model.base_model(input_ids=ids, position_ids=positions, use_cache=False)
    return torch.stack([recorder.keys[block][0] for block in sorted(recorder.keys)])


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_key_that_is_turned_is_the_key_of_that_position(family: str) -> None:
    backbone = Backbone(tiny.model(family), tiny.tokenizer())
    turning = Turning.of(backbone)
    assert (turning is None) == (family in UNTURNED)
    if turning is None:
        return
    ids = torch.tensor([[40, 50, 60, 70, 80]])
    before, there = keys_at(backbone, ids, -5), keys_at(backbone, ids, 91)
    moved = turning.near(before, 96 + 5)  # rounded down to what has a table
    assert not torch.allclose(before, there, atol=1e-2)
    assert torch.allclose(moved, there, atol=2e-3 * float(there.abs().max()))


def test_nothing_is_turned_where_nothing_stands_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = Backbone(tiny.model("llama"), tiny.tokenizer())
    llm = MemoryModel(backbone, tmp_path / "memory")
    llm.learn(tiny.facts(2), kind="kv")
    moved: list[int] = []
    plain = Turning.near
    monkeypatch.setattr(Turning, "near", lambda self, keys, by: moved.append(by) or plain(self, keys, by))
    question = {"role": "user", "content": tiny.facts(2)[0]["question"]}
    llm.ask(question["content"], max_new_tokens=4)
    assert moved == []
    system = {"role": "system", "content": "You sell lamps and tables."}
    llm.ask([system, question], max_new_tokens=4)
    prompt = backbone.template.render([system, question])
    assert moved == [prompt.asked_from - backbone.template.question("?").asked_from]
    assert moved[0] > 5
