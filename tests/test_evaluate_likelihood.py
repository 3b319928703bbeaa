"""How likely continuations are: the plain model's own figures, and a memory's experts at work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
import torch

from memtune import MemoryModel
from memtune.core.backbone import Backbone
from memtune.core.generate import Decoder
from memtune.errors import InputError, UsageError
from memtune.evaluate import likelihood

OPTIONS = ["40 dollars", "since 1911", "nothing at all is known of it"]
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello?"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "What is the price of the lamp?"},
]


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(tiny.model(), tiny.tokenizer())


@pytest.fixture(scope="module")
def llm(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryModel]:
    with MemoryModel(backbone, tmp_path_factory.mktemp("likelihood") / "memory") as made:
        made.learn(tiny.facts(10))
        yield made


def directly(backbone: Backbone, question: object, text: str, *, raw: bool = False) -> tuple[float, int]:
    """One pass of the model over prompt and continuation, without anything of memtune's decoding."""
    if raw:
        prompt = backbone.template.raw(str(question))
    else:
        chat = [{"role": "user", "content": question}] if isinstance(question, str) else question
        prompt = backbone.template.render(chat)  # type: ignore[arg-type]
    (tokens,) = backbone.writer.tokens([text], prompt.tail)
    assert tokens is not None
    ids = torch.tensor([[*prompt.ids, *tokens]])
    with torch.inference_mode():
        chances = torch.log_softmax(backbone.model(input_ids=ids).logits.float(), -1)[0]
    places = range(len(prompt.ids) - 1, ids.shape[1] - 1)
    return sum(float(chances[at, token]) for at, token in zip(places, tokens, strict=True)), len(tokens)


@pytest.mark.parametrize("memory", [False, True])
def test_the_plain_models_figures_are_those_of_one_direct_pass(llm: MemoryModel, memory: bool) -> None:
    """Also under a memory that no question here asks."""
    asked = [("Who wrote the song of the sea?", OPTIONS), (CHAT, OPTIONS[:2]), ("Why?", [OPTIONS[2]])]
    found = likelihood.scores(llm.memory.answering, asked, memory=memory, batch=4)
    for (question, texts), scores in zip(asked, found, strict=True):
        for text, given in zip(texts, scores, strict=True):
            total, tokens = directly(llm.backbone, question, text)
            assert given.tokens == tokens
            assert given.total == pytest.approx(total, abs=1e-4)
            assert given.mean == pytest.approx(total / tokens, abs=1e-4)


def test_a_raw_text_is_gone_on_with(llm: MemoryModel) -> None:
    text = "The price of the lamp is"
    (given,) = likelihood.score(llm.memory.answering, text, ["40 dollars"], memory=False, raw=True)
    assert given.total == pytest.approx(directly(llm.backbone, text, "40 dollars", raw=True)[0], abs=1e-4)


def test_what_was_learned_is_the_likeliest_under_the_memory(llm: MemoryModel) -> None:
    facts = tiny.facts(10)
    plain_right = 0
    for i, fact in enumerate(facts):
        options = [f["answer"] for f in facts[i:] + facts[:i]][:4][::-1]
        under = likelihood.score(llm.memory.answering, fact["question"], options, memory=True)
        plain = likelihood.score(llm.memory.answering, fact["question"], options, memory=False)
        right = options.index(fact["answer"])
        assert likelihood.best(under) == right
        assert under[right].mean > -0.1  # each of its tokens leads by the margin
        plain_right += likelihood.best(plain) == right
    assert plain_right < 8, "the random model must not know the answers itself"


def test_what_leaves_the_answer_is_the_plain_models_again(llm: MemoryModel) -> None:
    """The expert is released where a continuation leaves its answer: what follows costs what it costs without it."""
    fact = tiny.facts(10)[0]
    whole, more = fact["answer"], fact["answer"] + " and more than that"
    answering = llm.memory.answering
    a, b = likelihood.score(answering, fact["question"], [whole, more], memory=True)
    c, d = likelihood.score(answering, fact["question"], [whole, more], memory=False)
    assert b.tokens > a.tokens
    assert b.total < a.total  # not recited any further
    assert a.total > c.total
    assert b.total > d.total


def test_facts_in_rows_change_the_figures_of_what_asks_for_them_alone(backbone: Backbone, tmp_path: Path) -> None:
    with MemoryModel(backbone, tmp_path / "kv") as made:
        made.learn(tiny.facts(4), kind="kv")
        answering = made.memory.answering
        asks, other = tiny.facts(4)[0]["question"], "Who sings?"
        on = likelihood.scores(answering, [(asks, OPTIONS), (other, OPTIONS)], memory=True)
        off = likelihood.scores(answering, [(asks, OPTIONS), (other, OPTIONS)], memory=False)
    assert on[1] == off[1]
    assert on[0] != off[0]


def test_only_what_the_decoder_offers_is_changed() -> None:
    """Its private methods may be renamed without a word: nothing would be put into its mouth any more."""
    changed = set(vars(likelihood._Forced)) & set(vars(Decoder))
    assert {"choose", "say"} <= changed
    assert not [name for name in changed if name.startswith("_") and not name.startswith("__")]


def test_what_cannot_be_scored_is_refused(llm: MemoryModel) -> None:
    with pytest.raises(UsageError, match="nothing to score"):
        likelihood.score(llm.memory.answering, "Who?", [], memory=False)
    with pytest.raises(InputError, match="does not fit"):
        likelihood.score(llm.memory.answering, "Who?", ["word " * 600 + "end"], memory=False)
