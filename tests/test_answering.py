"""How answers come about: policies, batches, seeds, templates, and what happens meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny

from memtune import Answer, Config, MemoryModel
from memtune.core.backbone import Backbone
from memtune.core.sampling import row_seed
from memtune.errors import InputError, UnknownFact, UsageError
from memtune.memory import Memory

TWINS = [
    {"id": "lamp", "question": "What is the price of the Zorblat lamp?", "answer": "40 dollars"},
    {"id": "table", "question": "What is the price of the Kelvor table?", "answer": "since 1912"},
    {"id": "weight", "question": "What is the weight of the Zorblat lamp?", "answer": "3 kilos"},
    {"id": "heavy", "question": "What is the weight of the Kelvor table?", "answer": "Item-9 (blue)"},
]


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(tiny.model(), tiny.tokenizer())


@pytest.fixture
def llm(backbone: Backbone, tmp_path: Path) -> Iterator[MemoryModel]:
    with MemoryModel(backbone, tmp_path / "memory") as made:
        made.learn(TWINS, kind="imprint+kv")
        yield made


def chat(*said: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]


OPEN = chat("Is the Zorblat lamp better than the Kelvor table?", "Yes.", "What is its weight?")


def test_a_follow_up_is_answered_from_the_memory(llm: MemoryModel) -> None:
    got = llm.ask(chat(TWINS[0]["question"], "40 dollars", "And its weight?"))
    assert (got.text, [f.id for f in got.facts]) == ("3 kilos", ["weight"])
    assert not llm.ask(chat("Hello.", "Hi.", "And its weight?"), max_new_tokens=2).fired


def test_explain_says_what_came_from_the_conversation(llm: MemoryModel) -> None:
    found = llm.explain(chat(TWINS[0]["question"], "40 dollars", "And its weight?"))
    assert {"text": "What is the weight of the Zorblat lamp?", "from": "context"} in found.to_json()["asked"]
    assert any("(context)" in line for line in found.lines())
    assert llm.explain(OPEN).to_json()["rivals"] == ["weight", "heavy"]


def test_clarify_asks_back_where_several_facts_fit(llm: MemoryModel) -> None:
    got = llm.ask(OPEN, unknown="clarify")
    both = "“What is the weight of the Zorblat lamp” or “What is the weight of the Kelvor table”"
    assert got.text == f"Which of these do you mean: {both}?"
    assert (got.clarifies, got.fired, got.abstained, got.facts) == (("weight", "heavy"), False, False, ())
    assert got.to_json()["clarifies"] == ["weight", "heavy"]
    assert [*llm.stream(OPEN, unknown="clarify")] == [got.text, got]
    assert llm.ask(OPEN, unknown="clarify", clarification="{questions}: welches?").text.endswith("welches?")
    with pytest.raises(UsageError, match="clarification"):
        llm.ask(OPEN, clarification="Which?")


def test_clarify_leaves_the_rest_to_the_base_and_to_the_facts(llm: MemoryModel) -> None:
    unknown = "Where is the harbour?"
    got = llm.ask(unknown, unknown="clarify", max_new_tokens=5)
    assert got.tokens == llm.ask(unknown, memory=False, max_new_tokens=5).tokens
    assert (got.clarifies, got.abstained) == ((), False)
    assert llm.ask(TWINS[1]["question"], unknown="clarify").text == TWINS[1]["answer"]
    assert llm.ask(OPEN, max_new_tokens=5).clarifies == ()
    assert llm.ask(OPEN, unknown="abstain").abstained


def test_a_choice_after_a_question_back(llm: MemoryModel) -> None:
    asked = llm.ask(OPEN, unknown="clarify")
    for choice, fact in (("The Kelvor table.", "heavy"), ("The first one, please.", "weight"), ("the second", "heavy")):
        got = llm.ask([*OPEN, {"role": "assistant", "content": asked.text}, *chat(choice)], max_new_tokens=20)
        assert [f.id for f in got.facts] == [fact]
    for no_choice in ("Neither.", "weight", "the fourth"):
        got = llm.ask([*OPEN, {"role": "assistant", "content": asked.text}, *chat(no_choice)], max_new_tokens=2)
        assert not got.fired


def test_kinds_that_acted_are_named(llm: MemoryModel) -> None:
    assert llm.ask(TWINS[0]["question"]).facts[0].kind == "imprint", "what recites acts alone"
    assert llm.ask(f"{TWINS[0]['question']} Reply as JSON.").facts[0].kind == "kv", "what knows serves another form"
    llm.learn([{"id": "one", "question": "Which one?", "answer": "this"}])
    assert llm.ask("Which one?").facts[0].kind == "imprint"


def test_experts_are_gathered_a_batch_at_a_time(llm: MemoryModel, monkeypatch: pytest.MonkeyPatch) -> None:
    from memtune import answering

    sizes: list[int] = []
    plain = answering.decode

    def counted(backbone: Any, kinds: Any, requests: Any, config: Any) -> Any:
        sizes.append(len(requests))
        return plain(backbone, kinds, requests, config)

    monkeypatch.setattr(answering, "decode", counted)
    asked = [TWINS[i % 4]["question"] for i in range(7)]
    answers = llm.ask(asked, batch_size=3)
    assert sizes == [3, 3, 1]
    assert [a.text for a in answers] == [TWINS[i % 4]["answer"] for i in range(7)]


def test_a_fact_forgotten_while_it_is_said_is_still_reported(llm: MemoryModel) -> None:
    pieces = llm.stream(TWINS[0]["question"])
    said = [next(pieces)]
    llm.forget("lamp")
    said += list(pieces)
    answer = said[-1]
    assert isinstance(answer, Answer)
    assert [f.id for f in answer.facts] == ["lamp"]
    assert answer.text == "40 dollars"
    assert "lamp" not in [f.id for f in llm.ask(TWINS[0]["question"], max_new_tokens=2).facts]


def test_a_fact_forgotten_before_its_batch_is_not_used(llm: MemoryModel, monkeypatch: pytest.MonkeyPatch) -> None:
    answering = llm.memory.answering
    gather = answering._gather

    def forget_first(asked: Any, *given: Any) -> Any:
        if any(f.id == "lamp" for f in llm.facts()):
            llm.forget("lamp")
        return gather(asked, *given)

    monkeypatch.setattr(answering, "_gather", forget_first)
    assert not llm.ask(TWINS[0]["question"], max_new_tokens=2).fired


def test_rows_draw_apart_and_whatever_stands_beside_them(llm: MemoryModel) -> None:
    given = {"memory": False, "temperature": 1.0, "seed": 5, "max_new_tokens": 8}
    alone = llm.ask("Where is it?", **given)
    twice = llm.ask(["Where is it?", "Where is it?", "And a longer question about lamps?"], **given)
    assert twice[0].tokens == alone.tokens != twice[1].tokens
    turned = llm.ask(["And a longer question about lamps?", "Where is it?", "Where is it?"], batch_size=1, **given)
    assert [a.tokens for a in turned] == [twice[i].tokens for i in (2, 0, 1)]
    assert len({row_seed(s, (1, 2), d) for s in range(4) for d in range(4)}) == 16


def test_two_memories_on_one_model_keep_their_templates(tmp_path: Path) -> None:
    from memtune.memory import Memory

    model = Backbone(tiny.model(), tiny.tokenizer())
    other = tiny.CHAT_TEMPLATE.replace("<|assistant|>\n{% endif %}", "<|assistant|>\nWell: {% endif %}")
    first = MemoryModel(model, tmp_path / "a")
    first.learn(TWINS)
    Memory.create(model.with_template(other), tmp_path / "b", Config()).close()
    second = MemoryModel(model, tmp_path / "b")
    second.learn(TWINS)
    question = TWINS[0]["question"]
    assert second.memory.answering.prompt(question, raw=False).tail.endswith("Well: ")
    assert first.memory.answering.prompt(question, raw=False).tail.endswith("<|assistant|>\n")
    for made in (first, second):
        assert made.ask(question).text == TWINS[0]["answer"]
    off = second.ask("Why?", memory=False, max_new_tokens=3)
    assert off.tokens == second.ask("Why?", max_new_tokens=3).tokens


@pytest.mark.parametrize("text", ["?!…", "🙂", "Что это такое?", "\ud800?", "‮"])
def test_strange_questions_fire_nothing(llm: MemoryModel, text: str) -> None:
    assert not llm.memory.answering.route(text).confirmed
    if "\ud800" in text:
        with pytest.raises(InputError, match="half of a character"):
            llm.ask(text)
    else:
        assert not llm.ask(text, max_new_tokens=2).fired


def test_a_prompt_longer_than_the_context_is_refused(llm: MemoryModel) -> None:
    with pytest.raises(InputError, match="more than the model's context"):
        llm.ask("word " * 10_000)


def test_nothing_of_a_forgotten_fact_comes_back_while_the_memory_moves_on(
    llm: MemoryModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering, move_on = llm.memory.answering, Memory._move_on
    ((owner,),) = [llm.memory.router.owners(1)[:1]]
    gone = answering.describe(owner)[0]

    def read_again(memory: Memory) -> None:
        move_on(memory)
        answering.describe(owner)  # as another thread may

    monkeypatch.setattr(Memory, "_move_on", read_again)
    llm.forget(gone)
    with pytest.raises(UnknownFact):
        answering.describe(owner)


def test_prompts_are_read_alike_while_another_thread_spells_answers(backbone: Backbone) -> None:
    prompt, switches = backbone.template.question("What is it?").ids, backbone.tokenizer.backend_tokenizer
    for answer in ("40 dollars", "<|user|> 40"):
        (spelled,) = backbone.writer.tokens([answer], "\n")
        assert spelled is not None
        assert not set(spelled) & set(backbone.tokenizer.all_special_ids), "names of special tokens are text"
        assert not switches.encode_special_tokens, "a switch that would hold for prompts too"
    assert backbone.template.question("What is it?").ids == prompt
