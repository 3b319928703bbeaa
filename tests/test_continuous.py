"""Batches whose rows come and go: what a row says does not depend on who joined it or left."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import tiny
import torch
from test_families import EXPERTS_PER_BATCH, WITHOUT_KV
from tokenizers import Tokenizer, decoders, models, normalizers, trainers
from transformers import PreTrainedTokenizerFast

from memtune import MemoryModel
from memtune.config import DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.cache import Roomy
from memtune.core.generate import Decoder, Read, Reply, Request

CONFIG = DecodeConfig(max_new_tokens=24)
QUESTIONS = ["Where is the harbour?", "Why?", "Say something long about lamps and tables, please.", "And who?"]


def alone(backbone: Backbone, kinds: list, request: Request) -> Reply:
    return Decoder(backbone, kinds, [request], CONFIG, keep_logits=True).finish()[0]


def together(backbone: Backbone, kinds: list, requests: list[Request]) -> list[Reply]:
    """Each joins two steps after the last one, and leaves when it has ended."""
    found: dict[int, Reply] = {}
    waiting = list(requests)
    running: Decoder | None = None
    while waiting or running is not None:
        for _ in range(2):
            if running is not None:
                running.step()
                for n in reversed(range(len(running.rows))):
                    if running.rows[n].reply.finish:
                        found[id(running.rows[n].request)] = running.rows[n].reply
                        if len(running.rows) == 1:
                            running = None
                            break
                        running.leave(n)
                if running is not None:
                    running.trim()
        if waiting:
            new = Decoder(backbone, kinds, [waiting.pop(0)], CONFIG, keep_logits=True)
            new.step()
            if running is None:
                running = new
            else:
                assert running.can_change
                running.absorb(new)
    return [found[id(request)] for request in requests]


def close(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return len(a) == len(b) and torch.allclose(torch.stack(a), torch.stack(b), atol=1e-3)


@pytest.mark.parametrize("family", [f for f in tiny.FAMILIES if f not in EXPERTS_PER_BATCH])
def test_rows_that_join_and_leave_say_what_they_say_alone(family: str, tmp_path: Path) -> None:
    backbone = Backbone(tiny.model(family), tiny.tokenizer())
    llm = MemoryModel(backbone, tmp_path / "memory")
    rows = tiny.facts(4)
    llm.learn(rows, kind="imprint" if family in WITHOUT_KV else "imprint+kv")
    answering = llm.memory.answering
    asked = [q for pair in zip(QUESTIONS, [r["question"] for r in rows], strict=True) for q in pair]
    requests = [answering.request(q, memory=True) for q in asked]
    kinds = list(answering.kinds.values())
    replies = together(backbone, kinds, requests)
    for question, reply in zip(asked, replies, strict=True):
        single = alone(backbone, kinds, answering.request(question, memory=True))
        assert (reply.tokens, reply.text, reply.finish) == (single.tokens, single.text, single.finish)
        assert close(reply.logits, single.logits)
    assert [r.text.strip() for r in replies[1::2]] == [r["answer"] for r in rows]


def test_knowing_facts_follow_their_rows(tmp_path: Path) -> None:
    backbone = Backbone(tiny.model("llama"), tiny.tokenizer())
    llm = MemoryModel(backbone, tmp_path / "memory")
    rows = tiny.facts(4)
    llm.learn(rows, kind="kv")
    answering = llm.memory.answering
    asked = [rows[0]["question"], "Why?", rows[1]["question"], rows[2]["question"], "Who?"]
    kinds = list(answering.kinds.values())
    replies = together(backbone, kinds, [answering.request(q, memory=True) for q in asked])
    for question, reply in zip(asked, replies, strict=True):
        single = alone(backbone, kinds, answering.request(question, memory=True))
        assert reply.tokens == single.tokens
        assert close(reply.logits, single.logits)


def test_what_was_read_before_serves_several_prompts() -> None:
    backbone = Backbone(tiny.model("llama"), tiny.tokenizer())
    system = {"role": "system", "content": "You sell lamps and tables, and nothing else in the world."}
    requests = [Request(backbone.template.render([system, {"role": "user", "content": text}])) for text in QUESTIONS]
    size = min(r.prompt.asked_from for r in requests)
    beginning = requests[0].prompt.ids[:size]
    assert size > 10
    assert all(r.prompt.ids[:size] == beginning for r in requests)
    read = Read.of(backbone, beginning)
    assert read is not None
    shared = Decoder(backbone, [], requests, CONFIG, keep_logits=True, read=read).finish()
    for request, reply in zip(requests, shared, strict=True):
        single = alone(backbone, [], request)
        assert reply.tokens == single.tokens
        assert close(reply.logits, single.logits)


def test_a_long_reply_is_spelled_piece_by_piece_as_it_is_spelled_whole() -> None:
    backbone = Backbone(tiny.model("llama"), tiny.tokenizer())
    text = "Grüße aus 東京 und Łódź: 🎈🎈 — “naïve” façade, 40 €. " * 4
    row = Decoder(backbone, [], [Request(backbone.template.question("Why?"))], CONFIG).rows[0]
    pieces = []
    for token in backbone.tokenizer(text, add_special_tokens=False)["input_ids"]:
        row.reply.tokens.append(token)
        pieces.append(row.news())
    row.reply.finish = "stop"
    row.end()
    pieces.append(row.news())
    assert "".join(pieces) == text.strip()


def with_byte_fallback() -> PreTrainedTokenizerFast:
    """As SentencePiece makes them: characters that are no token are spelled by their bytes."""
    raw = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    raw.decoder = decoders.Sequence(steps)
    special = ["<unk>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    raw.train_from_iterator(tiny.TEXT * 4, trainers.BpeTrainer(vocab_size=500, special_tokens=special))
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>", pad_token="</s>", unk_token="<unk>")


def test_many_characters_of_several_tokens_each_are_spelled_as_they_are_said() -> None:
    backbone = Backbone(tiny.model("llama"), with_byte_fallback())
    row = Decoder(backbone, [], [Request(backbone.template.question("Why?"))], CONFIG).rows[0]
    tokens = backbone.tokenizer("ಕ" * 40 + " lamp", add_special_tokens=False)["input_ids"]
    assert len(tokens) > 120
    for token in tokens[:61]:  # up to the last byte of a character
        row.reply.tokens.append(token)
        row.news()
    assert row.text().strip() == "ಕ" * 20
    for token in tokens[61:]:
        row.reply.tokens.append(token)
    assert row.text().strip() == "ಕ" * 40 + " lamp"


def test_a_reply_that_has_ended_is_scored_no_further() -> None:
    backbone = Backbone(tiny.model("llama"), tiny.tokenizer())
    request, long = (Request(backbone.template.question(text)) for text in QUESTIONS[:2])
    scored = [dataclasses.replace(CONFIG, logprobs=True, max_new_tokens=most) for most in (3, 9)]
    replies = Decoder(backbone, [], [request, long], scored).finish()
    assert [(len(r.tokens), len(r.scores)) for r in replies] == [(3, 3), (9, 9)]


def test_what_a_row_leaves_behind_reaches_no_other() -> None:
    held = Roomy(*torch.full((2, 3, 2, 10, 4), torch.nan))
    held.leave(2)
    held.absorb(Roomy(*torch.ones(2, 1, 2, 4, 4)))
    assert not held.keys[2].isnan().any()
    assert not held.values[2].isnan().any()


def test_what_goes_wrong_in_one_row_ends_no_other() -> None:
    backbone = Backbone(tiny.model("llama"), tiny.tokenizer())

    class Broken:
        ended = False

        def allow(self, logits_V: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("the form broke")

        def said(self, token: int) -> None: ...

    prompts = [backbone.template.question(text) for text in QUESTIONS[:2]]
    decoder = Decoder(backbone, [], [Request(prompts[0], constraint=Broken()), Request(prompts[1])], CONFIG)
    while not decoder.rows[1].reply.finish:
        decoder.step()
    assert str(decoder.rows[0].fault) == "the form broke"
    assert decoder.replies[1].tokens == Decoder(backbone, [], [Request(prompts[1])], CONFIG).finish()[0].tokens
    with pytest.raises(RuntimeError, match="the form broke"):
        Decoder(backbone, [], [Request(prompts[0], constraint=Broken())], CONFIG).finish()
