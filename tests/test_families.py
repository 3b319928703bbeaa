"""Every common family of causal models: learn 20 facts, recall 20, forget 1, the base bit for bit the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
import torch

from memtune import MemoryModel
from memtune.config import DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.generate import Decoder, Request
from memtune.errors import KindUnsupported

WITHOUT_KV = {"falcon", "stablelm", "mamba2"}
EXPERTS_PER_BATCH = {"mixtral", "qwen3-moe"}
"""Their blocks group the tokens of a batch by expert, so other rows decide the shape of a product."""


def logits_of(backbone: Backbone, questions: list[str], memory: MemoryModel | None) -> list[torch.Tensor]:
    kinds = list(memory.memory.answering.kinds.values()) if memory else []
    requests = [Request(backbone.template.question(q)) for q in questions]
    decoder = Decoder(backbone, kinds, requests, DecodeConfig(max_new_tokens=6), keep_logits=True)
    return [torch.stack(reply.logits) for reply in decoder.finish()]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_learns_recalls_forgets_and_leaves_the_base_alone(family: str, tmp_path: Path) -> None:
    backbone = Backbone(tiny.model(family), tiny.tokenizer())
    others = ["Where is the harbour?", "Say something long about lamps and tables, please.", "Why?"]
    before = logits_of(backbone, others, None)

    llm = MemoryModel(backbone, tmp_path / "memory")
    kind = "imprint" if family in WITHOUT_KV else "imprint+kv"
    report = llm.learn(tiny.facts(20), kind=kind)
    assert (report.learned, report.failed) == (20, [])

    rows = tiny.facts(20)
    answers = llm.ask([r["question"] for r in rows])
    assert [a.text for a in answers] == [r["answer"] for r in rows]
    assert [a.facts[0].id for a in answers] == [r["id"] for r in rows]
    assert all(torch.equal(a, b) for a, b in zip(before, logits_of(backbone, others, llm), strict=True))

    plain = llm.ask(rows[3]["question"], memory=False, max_new_tokens=6)
    assert llm.forget("fact-3") == ["fact-3"]
    forgotten = llm.ask(rows[3]["question"], max_new_tokens=6)
    assert not forgotten.fired
    assert forgotten.tokens == plain.tokens
    kept = [r for r in rows if r["id"] != "fact-3"]
    assert [a.text for a in llm.ask([r["question"] for r in kept])] == [r["answer"] for r in kept]


@pytest.mark.parametrize("family", [f for f in tiny.FAMILIES if f not in EXPERTS_PER_BATCH])
def test_rows_without_facts_are_untouched_by_rows_with_facts(family: str, tmp_path: Path) -> None:
    backbone = Backbone(tiny.model(family), tiny.tokenizer())
    llm = MemoryModel(backbone, tmp_path / "memory")
    llm.learn(tiny.facts(4), kind="imprint" if family in WITHOUT_KV else "imprint+kv")
    answering = llm.memory.answering
    questions = ["Where is the harbour?", tiny.facts(4)[1]["question"], "Why?", tiny.facts(4)[2]["question"]]

    def run(memory: bool) -> list[torch.Tensor]:
        requests = []
        for question in questions:
            confirmed = llm.memory.router.route(question).confirmed if memory else ()
            experts = {name: [e] for p in confirmed for name, e in answering.experts(p.owner).items()}
            requests.append(Request(backbone.template.question(question), experts))
        kinds = list(answering.kinds.values()) if memory else []
        decoder = Decoder(backbone, kinds, requests, DecodeConfig(max_new_tokens=6), keep_logits=True)
        return [torch.stack(reply.logits) for reply in decoder.finish()]

    with_memory, without = run(True), run(False)
    assert torch.equal(with_memory[0], without[0])
    assert torch.equal(with_memory[2], without[2])
    assert not torch.equal(with_memory[1][:1], without[1][:1])


@pytest.mark.parametrize("family", sorted(WITHOUT_KV))
def test_kv_says_where_it_cannot_live(family: str, tmp_path: Path) -> None:
    llm = MemoryModel(tiny.model(family), tmp_path / "memory", tokenizer=tiny.tokenizer())
    with pytest.raises(KindUnsupported, match="kind 'kv' cannot live on"):
        llm.learn(tiny.facts(2), kind="kv")


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3", "gemma2", "olmo2"])
def test_a_deeper_site_recites_too(family: str, tmp_path: Path) -> None:
    from memtune.config import Config

    config = Config().with_settings(["imprint.depth=1"])
    llm = MemoryModel(tiny.model(family), tmp_path / "memory", tokenizer=tiny.tokenizer(), config=config)
    report = llm.learn(tiny.facts(20))
    assert report.learned == 20, report.failed
    llm.close()
    llm = MemoryModel(llm.backbone, tmp_path / "memory")  # the depth is the expert's own, not a setting of the reader
    assert [a.text for a in llm.ask([r["question"] for r in tiny.facts(20)])] == [r["answer"] for r in tiny.facts(20)]


def test_bfloat16(tmp_path: Path) -> None:
    llm = MemoryModel(tiny.model(dtype=torch.bfloat16), tmp_path / "memory", tokenizer=tiny.tokenizer())
    assert llm.learn(tiny.facts(20), kind="imprint+kv").learned == 20
    assert [a.text for a in llm.ask([r["question"] for r in tiny.facts(20)])] == [r["answer"] for r in tiny.facts(20)]


@pytest.mark.parametrize("chat", [None, tiny.CHAT_TEMPLATE, tiny.THINKING_TEMPLATE])
@pytest.mark.parametrize("end", [True, False])
def test_templates_and_missing_end_tokens(chat: str | None, end: bool, tmp_path: Path) -> None:
    changes = {} if end else {"eos_token_id": None, "pad_token_id": None, "bos_token_id": None}
    tokens = tiny.tokenizer(chat if end or not chat else chat.replace("{{ eos_token }}", ""), end=end)
    llm = MemoryModel(tiny.model(**changes), tmp_path / "memory", tokenizer=tokens)
    assert llm.learn(tiny.facts(8)).learned == 8
    answers = llm.ask([r["question"] for r in tiny.facts(8)])
    assert [a.text for a in answers] == [r["answer"] for r in tiny.facts(8)]
    if chat == tiny.THINKING_TEMPLATE:
        assert llm.backbone.template.question("x").tail.endswith("</think>\n\n")
