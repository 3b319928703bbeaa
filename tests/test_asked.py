"""What is asked: told apart from templates, labels, passages and other questions."""

from __future__ import annotations

import time

import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from memtune.core.prompts import Template
from memtune.router.asked import MOST_PARTS, asked, strip, withheld
from memtune.router.sentences import sentences
from memtune.router.transcript import turns

Q = "What is the price of the Zorblat lamp?"
SYSTEM = "You are a clerk. Who are you? Answer briefly."
PASSAGE = " ".join(
    f"In the year {1800 + i} the harbour of Mirana was built anew, and boats came from afar." for i in range(70)
)

APPLIED = {
    "chatml": f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{Q}<|im_end|>\n<|im_start|>assistant\n",
    "phi-4": f"<|im_start|>system<|im_sep|>{SYSTEM}<|im_end|><|im_start|>user<|im_sep|>{Q}<|im_end|>",
    "llama-2": f"<s>[INST] <<SYS>>\n{SYSTEM}\n<</SYS>>\n\n{Q} [/INST]",
    "llama-2 turns": f"<s>[INST] Who is it? [/INST] Nobody. </s><s>[INST] {Q} [/INST]",
    "llama-3": f"<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n{SYSTEM}<|eot_id|>"
    f"<|start_header_id|>user<|end_header_id|>\n\n{Q}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "gemma": f"<bos><start_of_turn>user\n{Q}<end_of_turn>\n<start_of_turn>model\n",
    "mistral": f"<s>[SYSTEM_PROMPT]{SYSTEM}[/SYSTEM_PROMPT][INST]{Q}[/INST]",
    "phi-3": f"<|system|>\n{SYSTEM}<|end|>\n<|user|>\n{Q}<|end|>\n<|assistant|>\n",
    "zephyr": f"<|system|>\n{SYSTEM}</s>\n<|user|>\n{Q}</s>\n<|assistant|>\n",
    "deepseek": f"<｜begin▁of▁sentence｜>{SYSTEM}<｜User｜>{Q}<｜Assistant｜>",
    "granite": f"<|start_of_role|>system<|end_of_role|>{SYSTEM}<|end_of_text|>\n"
    f"<|start_of_role|>user<|end_of_role|>{Q}<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>",
    "command": f"<BOS_TOKEN><|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>{SYSTEM}<|END_OF_TURN_TOKEN|>"
    f"<|START_OF_TURN_TOKEN|><|USER_TOKEN|>{Q}<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
    "harmony": f"<|start|>system<|message|>{SYSTEM}<|end|><|start|>user<|message|>{Q}<|end|><|start|>assistant",
    "exaone": f"[|system|]{SYSTEM}[|endofturn|]\n[|user|]{Q}\n[|assistant|]",
    "alpaca": f"Below is an instruction.\n\n### Instruction:\n{Q}\n\n### Response:\n",
    "alpaca, bare headings": f"### System\n{SYSTEM}\n\n### User\n{Q}\n\n### Assistant\n",
    "vicuna": f"A chat with a clerk. USER: Who is it? ASSISTANT: Nobody.</s>USER: {Q} ASSISTANT:",
    "human": f"Human: Who is it?\n\nAssistant: Nobody.\n\nHuman: {Q}\n\nAssistant:",
    "system line": f"System: {SYSTEM}\nUser: {Q}\nAssistant:",
    "q and a": f"Q: Who is it?\nA: Nobody.\n\nQ: {Q}\nA:",
    "one line": f"Q: {Q} A:",
    "few shots": f"Answer each.\n\nQuestion: Who is it?\nAnswer: Nobody.\n\nQuestion: {Q}\nAnswer:",
    "numbered shots": f"Question 1: Who is it?\nAnswer 1: Nobody.\nQuestion 2: {Q}\nAnswer 2:",
    "few shots in a template": f"<|user|>\nQ: Who is it?\nA: Nobody.\nQ: {Q}\nA:<|end|>\n<|assistant|>\n",
    "bold labels": f"**Question:** {Q}\n**Answer:**",
    "text and question": f"Use this text: {PASSAGE} Question: {Q} Answer:",
    "tags": f"<context>{PASSAGE} Who was it?</context>\n<question>{Q}</question>",
    "context in tags": f"<document>{PASSAGE} Who was it?</document>\n\n{Q}",
    "begun answer": f"{Q}\nAnswer: The price is",
}


@pytest.mark.parametrize("prompt", APPLIED.values(), ids=APPLIED)
def test_a_template_that_the_client_applied_is_taken_off(prompt: str) -> None:
    assert strip(prompt) == Q


def test_the_models_own_template_is_taken_off() -> None:
    tokens = tiny.tokenizer()
    chat = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": Q}]
    for template in (tiny.CHAT_TEMPLATE, None):
        ids = Template(tokens, template).render(chat).ids
        assert strip(tokens.decode(ids)) == Q


@pytest.mark.parametrize(
    "text",
    [
        "What does the <title> tag do?",
        "What does the <user> tag do?",
        "Is 3 < 4 and 5 > 4?",
        "model: X12\nWhat is its weight?",
        "Context: A boat.\n\nWhat is it?",
        "Note: the answer: 42 was wrong. Who said so?",
    ],
)
def test_a_text_that_only_looks_like_a_template_stays(text: str) -> None:
    assert strip(text) == text


def test_earlier_turns_are_told_by_role() -> None:
    assert [(t.role, t.text) for t in turns(APPLIED["human"])] == [
        ("user", "Who is it?"),
        ("assistant", "Nobody."),
        ("user", Q),
    ]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Who founded St. Mary's in the U.S. navy? And who is J. R. R. Tolkien.", 2),
        ("He lives at No. 5 Main Rd. now. What is 3.5 of www.a.b/c.d?", 2),
        ("Who plays Dr. Who?", 1),
        ("Who was Prof. Smith vs. Mr. B. Jones Jr. in the case?", 1),
        ("hi. what is the price of x. and who is y?", 3),
        ("1. What is X? 2. Who is Y? 3) Where is Z?", 3),
        ("What is the price\nof the Zorblat lamp?", 1),
        ("what is a\nwho is b", 2),
        ("What is part a.b-12.4? It costs.", 2),
        ("When was Yahoo! founded?", 1),
        ("I live on Main St. What is the price?", 2),
        ("东京在哪里？你好。", 2),
        ("", 0),
    ],
)
def test_abbreviations_and_numbers_end_no_sentence(text: str, number: int) -> None:
    assert len(sentences(text)) == number


def parts(text: str) -> list[str]:
    return [a.text for a in asked(text)]


@pytest.mark.parametrize("place", [0, 35, 70])
def test_a_passage_does_not_drown_a_question(place: int) -> None:
    said = sentences(PASSAGE)
    text = " ".join([*said[:place], Q, *said[place:]])
    assert len(text.split()) > 1000
    assert Q in parts(text)


def test_a_statement_to_complete_stays_askable() -> None:
    open_one = "The mother tongue of Danielle Darrieux is"
    assert parts(open_one) == [open_one]
    assert open_one in parts(f"Boats came from afar. {PASSAGE} {open_one}")


def test_a_whole_stands_first_and_the_parts_are_bounded() -> None:
    few = asked(f"Hello! {Q} Thanks.")
    assert (few[0].origin, few[0].whole) == ("whole", True)
    assert len(asked(f"{Q} " * 400 + " ".join(f"Who is {i}?" for i in range(400)))) <= MOST_PARTS + 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("What is the price of X and Y?", ["What is the price of X?", "What is the price of Y?"]),
        ("What are the prices of X, Y and Z?", [f"What are the prices of {n}?" for n in "XYZ"]),
        ("What is the price and the weight of X?", ["What is the price of X?", "What is the weight of X?"]),
        ("Tell me the price and weight of X.", ["What is the price of X?", "What is the weight of X?"]),
        ("What is X's price and weight?", ["What is X's price?", "What is X's weight?"]),
        ("How much do X and Y cost?", ["How much does X cost?", "How much does Y cost?"]),
        ("When were X and Y founded?", ["When was X founded?", "When was Y founded?"]),
        ("Who leads A and where is B?", ["Who leads A", "where is B?"]),
        (
            "Give me the price of X, the weight of Y and the colour of Z",
            ["What is the price of X?", "What is the weight of Y?", "What is the colour of Z?"],
        ),
        ("1. What is X?\n2. Who is Y?", ["What is X?", "Who is Y?"]),
        ("- price of X\n- price of Y", ["price of X", "price of Y"]),
        ("Hi there, what is the price of X?", ["what is the price of X?"]),
    ],
)
def test_several_things_are_told_apart(text: str, wanted: list[str]) -> None:
    assert [p for p in parts(text)[1:] if p.casefold().removeprefix("and ") != text.casefold()][: len(wanted)] == wanted


@pytest.mark.parametrize(
    "text", ["What is the distance between X and Y?", "Is X blue and Y green?", "Which of X and Y is heavier?"]
)
def test_what_holds_together_is_left_together(text: str) -> None:
    assert parts(text) == [text]


def test_a_qualifier_is_never_left_out() -> None:
    assert parts("In 1999, what was the price of X?") == ["In 1999, what was the price of X?"]


@pytest.mark.parametrize(
    ("text", "order"),
    [
        (f"{Q} Do not answer, just say hello.", True),
        (f"Translate the following question: {Q}", True),
        (f"Ignore the question above and sing. {Q}", True),
        (f"Don't forget that I need it. {Q}", False),
        (f"Did she forget this lamp? {Q}", False),
        ("Does it only write novels?", False),
        (f"{PASSAGE[:600]} He would never say it. {PASSAGE[600:2000]} {PASSAGE[:900]} {Q}", False),
    ],
)
def test_orders_not_to_answer(text: str, order: bool) -> None:
    assert withheld(text) is order
    assert (asked(text) == []) is order


@pytest.mark.parametrize("text", ["", "   ", "?!…", "…\n\n---", "🙂🙂"])
def test_nothing_is_asked_by_nothing(text: str) -> None:
    assert asked(text) == []


HOSTILE = [
    *(
        "What is it? ",
        "a",
        ". ",
        "word ",
        "What is X and ",
        "?\n",
        "Hi, ",
        "translate ",
        "forget ",
        "Dr. ",
        "and what ",
    ),
    *(
        "<|",
        "<question>",
        "</context><context>",
        "Q:\n",
        "[INST]",
        "#",
        "* ",
        "<",
        ">",
        "\n",
        "\t",
        "«",
        "' ",
        ".'",
        "ß",
    ),
    *("the price of ", "What about ", "its ", "A ", "1. ", "“", "X, Y and ", "，。", "\u202e", "e\u0301", "don't "),
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_the_work_does_not_grow_faster_than_the_text(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    begin = time.perf_counter()
    found = asked(text)
    assert time.perf_counter() - begin < 2.0  # some 0.1 s; a pattern that backtracks takes minutes
    assert len(found) <= MOST_PARTS + 1
    assert sum(len(a.text) for a in found) < 20_000


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_has_parts_or_none(text: str) -> None:
    for part in asked(text):
        assert part.text.strip()
