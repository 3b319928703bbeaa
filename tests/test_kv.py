"""Key-value rows against a slow reference: one sequence, a hand-made mask, positions before zero."""

from __future__ import annotations

import pytest
import tiny
import torch

from memtune.config import Config, DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.experts import Batch, Expert
from memtune.core.facts import Fact
from memtune.core.generate import Decoder, Request
from memtune.core.kinds.kv import KeyValue

EXACT = Config().with_settings(["kv.dtype=backbone", "kv.form=sentence"])


def write(backbone: Backbone, kind: KeyValue, facts: list[Fact]) -> list[Expert]:
    batch = Batch(backbone, facts, [], [], torch.empty(0))
    return [Expert(f.id, f.answer, t) for f, t in zip(facts, kind.write(batch), strict=True)]


@torch.inference_mode()
def reference(backbone: Backbone, texts: list[str], prompt: list[int], first: int) -> torch.Tensor:
    """Logits after the prompt when each text stands alone before its last turn, seen from one token of it on."""
    before = first - backbone.template.question("?").asked_from
    by = before - before % 8
    ids, positions, segments, kept = [], [], [], []
    opening = backbone.tokenizer("<|user|>\n", add_special_tokens=False)["input_ids"]
    for n, text in enumerate(texts, 1):
        row = opening + backbone.tokenizer(text, add_special_tokens=False)["input_ids"]
        ids, positions, segments = ids + row, positions + list(range(by - len(row), by)), segments + [n] * len(row)
        kept += [False] * len(opening) + [True] * (len(row) - len(opening))
    start = len(ids)
    ids, positions = ids + prompt, positions + list(range(len(prompt)))
    owner = torch.tensor(segments + [0] * len(prompt))
    seen = torch.ones(len(ids), len(ids)).tril().bool() & (owner[:, None] == owner[None, :])
    seen[start + first :, :start] = torch.tensor(kept)
    mask = torch.where(seen, 0.0, torch.finfo(torch.float32).min)[None, None]
    out = backbone.model(input_ids=torch.tensor([ids]), attention_mask=mask, position_ids=torch.tensor([positions]))
    return out.logits[0, -1]


CHAT = [
    {"role": "user", "content": "What is known of item 1000?"},
    {"role": "assistant", "content": "Little."},
    {"role": "user", "content": "What is known of item 1000?"},
]


@pytest.mark.parametrize("family", ["llama", "qwen3", "phi3"])
@pytest.mark.parametrize("facts", [1, 2])
def test_rows_are_worth_the_fact_in_the_context(family: str, facts: int) -> None:
    backbone, kind = Backbone(tiny.model(family), tiny.tokenizer()), KeyValue(EXACT)
    rows = [Fact.from_row(r) for r in tiny.facts(facts)]
    experts = write(backbone, kind, rows)
    prompt = backbone.template.render(CHAT)
    decoder = Decoder(
        backbone, [kind], [Request(prompt, {"kv": experts})], DecodeConfig(max_new_tokens=1), keep_logits=True
    )
    mine = decoder.finish()[0].logits[0]
    expected = reference(backbone, [kind.text(f) for f in rows], list(prompt.ids), prompt.asked_from)
    plain = backbone.step(torch.tensor([prompt.ids]), torch.ones(1, len(prompt.ids), dtype=torch.long), None)[0][0]
    torch.testing.assert_close(mine, expected, rtol=1e-4, atol=1e-4)
    assert (mine - plain).abs().max() > 1e-2


def test_a_batch_gives_what_single_prompts_give() -> None:
    backbone, kind = Backbone(tiny.model(), tiny.tokenizer()), KeyValue(EXACT)
    experts = write(backbone, kind, [Fact.from_row(r) for r in tiny.facts(5)])
    prompts = [backbone.template.question(q) for q in ("Short?", "A longer question about the lamps?", "And one more?")]
    requests = [
        Request(prompts[0], {"kv": experts[:1]}),
        Request(prompts[1]),
        Request(prompts[2], {"kv": experts[1:4]}),
    ]
    together = Decoder(backbone, [kind], requests, DecodeConfig(max_new_tokens=5), keep_logits=True).finish()
    for request, reply in zip(requests, together, strict=True):
        alone = Decoder(backbone, [kind], [request], DecodeConfig(max_new_tokens=5), keep_logits=True).finish()[0]
        torch.testing.assert_close(torch.stack(reply.logits), torch.stack(alone.logits), rtol=1e-3, atol=1e-3)


def test_what_stands_before_the_question_stays_the_backbones() -> None:
    backbone, kind = Backbone(tiny.model(), tiny.tokenizer()), KeyValue(EXACT)
    experts = write(backbone, kind, [Fact.from_row(r) for r in tiny.facts(1)])
    prompt = backbone.template.render(CHAT)
    ids = torch.tensor([prompt.ids])
    mask = torch.ones_like(ids)
    _, plain = backbone.step(ids, mask, None)
    action = kind.act(backbone, [prompt], [experts], [True])
    with action.acting():
        _, with_facts = backbone.step(ids, mask, None)
    for a, b in zip(plain.layers[1:], with_facts.layers[1:], strict=True):
        assert torch.equal(a.keys[:, :, : prompt.asked_from], b.keys[:, :, : prompt.asked_from])
        assert not torch.equal(a.keys[:, :, prompt.asked_from :], b.keys[:, :, prompt.asked_from :])


@pytest.mark.parametrize("chat", [True, False])
def test_a_prompt_knows_where_its_last_question_begins(chat: bool) -> None:
    backbone = Backbone(tiny.model(), tiny.tokenizer(), template="own" if chat else None)
    prompt = backbone.template.render(CHAT)
    before, after = (
        backbone.tokenizer.decode(ids) for ids in (prompt.ids[: prompt.asked_from], prompt.ids[prompt.asked_from :])
    )
    assert after.lstrip().startswith("What is known")
    assert "Little" in before
    alone = backbone.template.question("What?")
    assert alone == backbone.template.questions(["What?"])[0]


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_labels_are_read_and_leave_no_rows(family: str) -> None:
    backbone = Backbone(tiny.model(family), tiny.tokenizer())
    (fact,) = [Fact.from_row(r) for r in tiny.facts(1)]
    kind = KeyValue(Config().with_settings(["kv.dtype=backbone"]))
    rows = write(backbone, kind, [fact])[0].tensors["rows"]
    ids = backbone.tokenizer(kind.text(fact), add_special_tokens=False)["input_ids"]
    question = len(backbone.tokenizer(f"Question: {fact.question}", add_special_tokens=False)["input_ids"])
    labels = len(backbone.tokenizer("Question:", add_special_tokens=False)["input_ids"])
    mark = len(backbone.tokenizer(f"Question: {fact.question}\nAnswer:", add_special_tokens=False)["input_ids"])
    kept = [*range(labels, question), *range(mark - 1, len(ids))]
    assert len(kept) < len(ids)
    kind._kept = lambda backbone, facts, texts: [list(range(len(t))) for t in texts]  # type: ignore[method-assign]
    assert torch.equal(rows, write(backbone, kind, [fact])[0].tensors["rows"][kept])


def test_float8_halves_the_bytes() -> None:
    backbone = Backbone(tiny.model(dtype=torch.bfloat16), tiny.tokenizer())
    facts = [Fact.from_row(r) for r in tiny.facts(1)]
    whole = write(backbone, KeyValue(EXACT), facts)[0].tensors["rows"]
    small = write(backbone, KeyValue(Config().with_settings(["kv.dtype=float8", "kv.form=sentence"])), facts)[
        0
    ].tensors["rows"]
    assert small.element_size() * 2 == whole.element_size()
    torch.testing.assert_close(small.float(), whole.float(), rtol=0.07, atol=0.02)


def test_learned_positions_stay_in_their_table() -> None:
    backbone, kind = Backbone(tiny.model("gpt2"), tiny.tokenizer()), KeyValue(EXACT)
    assert backbone.learned_positions
    assert write(backbone, kind, [Fact.from_row(r) for r in tiny.facts(2)])
