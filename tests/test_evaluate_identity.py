"""Requests as the router makes them, decoded beside the same requests without experts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import tiny
import torch

from memtune import MemoryModel
from memtune.config import DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.evaluate import identity, replay

FACTS = [Fact.from_row(row) for row in tiny.facts(6)]
DECODE = DecodeConfig(max_new_tokens=24)


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryModel]:
    with MemoryModel(Backbone(tiny.model(), tiny.tokenizer()), tmp_path_factory.mktemp("replay") / "memory") as made:
        assert made.learn(FACTS).learned == len(FACTS)
        yield made


def test_a_routed_request_recites_and_a_plain_one_has_no_experts(llm: MemoryModel) -> None:
    answering = llm.memory.answering
    requests = [replay.routed(answering, fact.question) for fact in FACTS]
    assert all(request.experts for request in requests)
    said = replay.replies(llm.backbone, list(answering.kinds.values()), requests, DECODE)
    assert [reply.text for reply in said] == [fact.answer for fact in FACTS]
    assert not any(replay.plain(request).experts for request in requests)
    assert not replay.routed(answering, "Why?").experts


def test_rows_that_recite_differ_and_those_beside_them_do_not(llm: MemoryModel) -> None:
    answering = llm.memory.answering
    requests = [replay.routed(answering, question) for fact in FACTS for question in (fact.question, "Why?")]
    assert replay.same_as_plain(answering, requests, DECODE) == [False, True] * len(FACTS)


def test_replies_are_the_same_where_only_logits_differ_and_that_counts(llm: MemoryModel) -> None:
    """Equal tokens are not enough: one bit of a logit tells."""
    reply = replay.replies(llm.backbone, [], [replay.routed(llm.memory.answering, "Why?")], DECODE, keep_logits=True)[0]
    other = replay.Reply(reply.tokens, reply.text, reply.finish, [step.clone() for step in reply.logits])
    assert replay._equal(reply, other)
    other.logits[-1][0] = torch.nextafter(other.logits[-1][0], torch.tensor(torch.inf))
    assert not replay._equal(reply, other)


def test_batches_keep_the_order_and_lose_nothing() -> None:
    assert [list(part) for part in replay.in_batches(range(7), 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(replay.in_batches([])) == []


def test_comparing_memories_is_all_that_identity_is_about() -> None:
    """Making and replaying requests is for others too, and stands in a file of its own."""
    for made in (replay.routed, replay.replies, replay.same_as_plain, replay.plain, replay.in_batches):
        assert made.__module__ == replay.__name__
    assert identity.same_as_plain is replay.same_as_plain
    assert not hasattr(identity, "Decoder")
