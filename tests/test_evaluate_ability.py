"""General ability and bit-equality on a tiny random model: memory on against memory off."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
import torch

from memtune import MemoryModel
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.errors import BadRows, InputError, NotFound
from memtune.evaluate import ability as module
from memtune.evaluate import identity, likelihood
from memtune.evaluate.ability import (
    Choice,
    ability,
    choose,
    fires,
    likelihoods,
    opening,
    perplexity,
    read_choices,
    read_text,
)

FACTS = [Fact.from_row(row) for row in tiny.facts(8)]
TEXT = " ".join(f"The {word} is on the {other}." for word in ("cat", "lamp", "sea") for other in ("hill", "map") * 30)
CHOICES = [
    {"question": f"Which colour has number {i}?", "answer": "Red", "perturbed_answer": ["Blue", "Dark green", "Grey"]}
    for i in range(6)
]


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryModel]:
    with MemoryModel(Backbone(tiny.model(), tiny.tokenizer()), tmp_path_factory.mktemp("a") / "memory") as made:
        assert made.learn(FACTS).learned == len(FACTS)
        yield made


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


# ---- likelihood -----------------------------------------------------------------------------------------------------


def test_likelihoods_are_those_of_one_plain_pass(llm: MemoryModel) -> None:
    backbone = llm.backbone
    rows = [([5, 6, 7], [8, 9]), ([3], [4, 5, 6, 7, 8]), ([9] * 40, [10])]
    for (read, follow), (total, greedy) in zip(rows, likelihoods(backbone, rows), strict=True):
        logits = backbone.model(torch.tensor([[*read, *follow]])).logits[0].double()
        chances = torch.log_softmax(logits, -1)[len(read) - 1 : -1]
        assert total == pytest.approx(sum(float(chances[i, t]) for i, t in enumerate(follow)), rel=1e-4)
        assert greedy == (chances.argmax(-1).tolist() == follow)
    first = int(backbone.model(torch.tensor([[5, 6, 7]])).logits[0, -1].argmax())
    assert likelihoods(backbone, [([5, 6, 7], [first])])[0][1]


def test_the_fast_pass_and_the_decoder_agree(llm: MemoryModel) -> None:
    answering = llm.memory.answering
    prompt = answering.prompt("Which one?", raw=False)
    (ids,) = answering.backbone.writer.tokens(["Blue lamps"], prompt.tail)
    (slow,) = likelihood.score(answering, "Which one?", ["Blue lamps"], memory=False)
    assert likelihoods(answering.backbone, [(prompt.ids, ids or ())])[0][0] == pytest.approx(slow.total, rel=1e-4)


# ---- texts ----------------------------------------------------------------------------------------------------------


def test_bits_per_byte_of_a_text_and_nothing_fires(llm: MemoryModel) -> None:
    found = perplexity(llm.memory.answering, "a text", TEXT, passages=3)
    assert found.on == found.off
    assert found.fired == []
    assert (found.passages, found.off > 0) == (3, True)
    ids = llm.backbone.tokenizer(TEXT, add_special_tokens=False)["input_ids"][:256]
    (alone,) = likelihoods(llm.backbone, [([opening(llm.backbone)], ids)])
    one = perplexity(llm.memory.answering, "a text", llm.backbone.tokenizer.decode(ids), passages=1)
    assert one.off == pytest.approx(-alone[0] / math.log(2) / one.bytes, rel=1e-4)


def test_a_text_on_which_a_fact_fires_is_measured_again_and_named(llm: MemoryModel) -> None:
    asking, rest = FACTS[0].question, " That is all there is to say about it, and it is not much."
    tokens = llm.backbone.tokenizer
    while len(tokens(rest)["input_ids"]) < len(tokens(asking)["input_ids"]):
        rest += " No."
    while len(tokens(rest)["input_ids"]) > len(tokens(asking)["input_ids"]):
        rest = rest[:-1]
    found = perplexity(llm.memory.answering, "a text", asking + rest)
    assert found.fired == [asking[:60]]
    assert found.on != found.off


# ---- choices --------------------------------------------------------------------------------------------------------


def test_choices_without_facts_are_the_same_with_the_memory_on(llm: MemoryModel, tmp_path: Path) -> None:
    text = tmp_path / "text.txt.gz"
    text.write_bytes(gzip.compress(TEXT.encode()))
    result = ability(llm, [text], [written(tmp_path / "choices.jsonl", CHOICES)], passages=2)  # type: ignore[arg-type]
    (choosing,) = result.choices
    assert choosing.off == choosing.on
    assert (choosing.off.n, choosing.chance, choosing.fired) == (6, 0.25, [])
    assert result.unchanged
    assert result.left == 1.0
    assert result.sheets()[0].note == "No fact was confirmed anywhere."


def test_the_likeliest_byte_for_byte_is_taken(llm: MemoryModel) -> None:
    answering, options = llm.memory.answering, ("Red", "Dark green and grey", "Blue")
    scores = [
        one.total / len(text.encode())
        for one, text in zip(likelihood.score(answering, "Which?", options, memory=False), options, strict=True)
    ]
    best = scores.index(max(scores))
    asked = [Choice("Which?", right, tuple(o for o in options if o != right)) for right in options]
    assert [choose(answering, "-", [one]).off.hits for one in asked] == [int(i == best) for i in range(3)]


def test_a_choice_that_fires_is_counted_named_and_decided_by_the_fact(llm: MemoryModel) -> None:
    others = ("Nothing at all", "xyzzy", "A lamp")
    asked = [Choice(f.question, f.answer, others) for f in FACTS] + [Choice("Whose boat is it?", "Ann's", others)]
    found = choose(llm.memory.answering, "learned", asked)
    assert found.fired == [f.question for f in FACTS]
    assert found.on.hits >= len(FACTS)
    assert found.on.hits > found.off.hits
    assert fires(llm.memory.answering, FACTS[0].question)
    assert not fires(llm.memory.answering, "Whose boat is it?")


def test_choices_are_drawn_by_the_seed_and_by_group_rather_than_from_the_front(
    llm: MemoryModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(module, "choose", lambda _, name, rows: asked.append([row.question for row in rows]))
    rows = [{**row, "question": f"{n}?", "group": "ab"[n >= 20]} for n, row in enumerate(CHOICES * 5)]
    path = written(tmp_path / "choices.jsonl", rows)
    for seed in (0, 0, 1):
        ability(llm, choices=[path], max_n=6, seed=seed)
    assert asked[0] == asked[1] != asked[2]
    for drawn in asked:
        assert [text in {f"{n}?" for n in range(20)} for text in drawn] == [True] * 4 + [False] * 2


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"question": "Who?"}', "line 1: question, answer or perturbed_answer is missing"),
        ('{"question": "Who?", "answer": "A", "perturbed_answer": []}', "line 1"),
        ('{"question": "Who?", "answer": "A", "perturbed_answer": ["B", "A"]}', "the right answer is among"),
        ("[1, 2]", "line 1"),
        ("not json", "line 1: not JSON"),
    ],
)
def test_bad_choices_are_refused_with_their_line(line: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(BadRows, match=what):
        read_choices(path)


def test_files_without_content_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_text(tmp_path / "none.txt")
    (tmp_path / "blank.txt").write_text(" \n \n")
    with pytest.raises(InputError, match="no text in it"):
        read_text(tmp_path / "blank.txt")
    with pytest.raises(InputError, match="nothing to choose"):
        read_choices(tmp_path / "blank.txt")
    (tmp_path / "latin.txt").write_bytes("Grüße und so".encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        read_text(tmp_path / "latin.txt")


# ---- bit-equality ---------------------------------------------------------------------------------------------------


def test_unrelated_prompts_are_bit_identical_and_asked_facts_are_not(llm: MemoryModel) -> None:
    others = identity.other_prompts(6, 1)
    found = identity.identical(llm, FACTS, others, tokens=4)
    assert found.passed
    assert (found.tokens.hits, found.logits.hits, found.mixed.hits, found.mixed_fired) == (6, 6, 6, 6)
    assert (found.fired, found.kind) == ([], "imprint")
    fired = identity.identical(llm, FACTS, [others[0], FACTS[3].question], tokens=4)
    assert fired.differing == fired.fired == [FACTS[3].question]
    assert "NOT IDENTICAL" in fired.sheets()[0].note


def test_no_prompts_and_no_facts_compare_nothing(llm: MemoryModel) -> None:
    assert identity.identical(llm, FACTS, []).tokens.n == 0
    assert identity.identical(llm, [], identity.other_prompts(2, 0), tokens=2).mixed.n == 0
    assert len(set(identity.other_prompts(1000, 4))) == 1000
    assert identity.other_prompts(5, 4) == identity.other_prompts(5, 4) != identity.other_prompts(5, 5)
