"""A column raises its token by exactly one logit over the strongest rival, and nothing else by more."""

from __future__ import annotations

import tiny
import torch

from memtune.core.backbone import Backbone
from memtune.core.dictionary import Dictionary, dictionary


def test_columns_lead_by_one_against_a_loop() -> None:
    for family in ("llama", "granite", "gpt2"):
        backbone = Backbone(tiny.model(family), tiny.tokenizer())
        columns = Dictionary(backbone, 1e-3).columns(torch.tensor([5, 9, 200, 5]))
        weight = backbone.unembedding.weight
        for token, column in zip([5, 9, 200, 5], columns, strict=True):
            scores = weight @ column * backbone.logit_scale
            others = torch.cat([scores[:token], scores[token + 1 :]])
            assert abs(float(scores[token] - others.max()) - 1.0) < 1e-3


def test_a_shadowed_token_is_corrected_and_a_twin_is_given_up() -> None:
    model = tiny.model()
    with torch.no_grad():
        weight = model.lm_head.weight
        weight[7] = weight[8] * 1.0
        weight[11] = weight[12] + weight[13] * 0.3
    columns = Dictionary(Backbone(model, tiny.tokenizer()), 1e-3).columns(torch.tensor([7, 8, 11, 12]))
    assert columns[:2].isnan().all()
    for token, column in ((11, columns[2]), (12, columns[3])):
        scores = model.lm_head.weight @ column
        assert int(scores.argmax()) == token


def test_made_once_for_a_backbone() -> None:
    backbone = Backbone(tiny.model(), tiny.tokenizer())
    assert dictionary(backbone, 1e-3) is dictionary(backbone, 1e-3)
    assert dictionary(backbone, 1e-3) is not dictionary(backbone, 1e-2)
