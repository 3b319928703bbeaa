"""Short dialogues without a context to copy from: they teach the format, not facts."""

from __future__ import annotations

from random import Random

from .document import ASSISTANT, END, SYSTEM, USER, Document
from .facts import Fact, WorldMaker, capitalised
from .forms import ask
from .layouts import PLAIN_SYSTEMS, Page
from .relations import RELATIONS

SMALL_TALK = (
    ("Hello", "Hello! How can I help you?"), ("Hi there!", "Hello! How can I help you?"),
    ("Good morning", "Good morning! What can I do for you?"), ("Thank you!", "You are welcome."),
    ("Thanks a lot", "You are welcome."), ("Goodbye", "Goodbye!"), ("Say hello.", "Hello!"),
    ("Who are you?", "I am a small language model that comes with memtune."),
    ("What can you do?", "I can answer questions from a text, use facts and write simple SQL."),
    ("Are you a person?", "No, I am a language model."), ("How are you?", "I am fine, thank you."),
)  # fmt: skip
REMARKS = ("Noted.", "Thank you, I will remember that.", "All right.")


def bare_fact(maker: WorldMaker) -> Fact:
    relation = maker.rng.choice(RELATIONS)
    return Fact(relation, maker.namer.draw(relation.subject), maker.namer.draw(relation.value))


def bare_question(maker: WorldMaker) -> Document:
    """Nobody can know the answer; only its kind and its end can be learned."""
    rng, page, fact = maker.rng, Page(), bare_fact(maker)
    if rng.random() < 0.4:
        return page.told(f"Question: {ask(rng, fact)}\nAnswer: {fact.value}").known(END).document
    if rng.random() < 0.5:
        page.told(f"{SYSTEM}{rng.choice(PLAIN_SYSTEMS)}")
    for _ in range(rng.choice((1, 1, 2))):
        page.told(f"{USER}{ask(rng, fact)}{ASSISTANT} {fact.value}").known(END)
        fact = bare_fact(maker)
    return page.document


def told_before(maker: WorldMaker) -> Document:
    """The user states facts, talks of something else, and asks for them again."""
    rng, page = maker.rng, Page()
    facts = maker.world(rng.randint(1, 3))
    if rng.random() < 0.4:
        page.told(f"{SYSTEM}{rng.choice(PLAIN_SYSTEMS)}")
    for fact in facts:
        claim = capitalised(fact.fill(rng.choice(fact.relation.all_claims)))
        page.told(f"{USER}{claim}.{ASSISTANT}").told(f" {rng.choice(REMARKS)}").known(END)
    if rng.random() < 0.5:
        chat(rng, page)
    for fact in rng.sample(facts, len(facts)):
        page.told(f"{USER}{ask(rng, fact)}{ASSISTANT}").known(f" {fact.value}{END}")
    return page.document


def chat(rng: Random, page: Page) -> None:
    said, reply = rng.choice(SMALL_TALK)
    page.told(f"{USER}{said}{ASSISTANT}").known(f" {reply}{END}")


def small_talk(maker: WorldMaker) -> Document:
    page = Page()
    if maker.rng.random() < 0.4:
        page.told(f"{SYSTEM}{maker.rng.choice(PLAIN_SYSTEMS)}")
    for _ in range(maker.rng.choice((1, 2))):
        chat(maker.rng, page)
    return page.document


def few_shot(maker: WorldMaker) -> Document:
    """Examples of one pattern, then some of their inputs again, whose answers can be copied."""
    rng = maker.rng
    style = rng.choice(("Question: {}\nAnswer:", "Q: {}\nA:", "Input: {}\nOutput:"))
    page, pairs = Page(), patterned_pairs(maker)
    shown = rng.sample(pairs, len(pairs))[: rng.randint(2, 5)]
    for asked, reply in shown:
        page.told(f"{style.format(asked)} {reply}\n\n")
    for asked, reply in [pair for pair in shown if rng.random() < 0.6] or shown[:1]:
        page.told(style.format(asked)).known(f" {reply}\n\n")
    return page.told(END).document


def patterned_pairs(maker: WorldMaker) -> list[tuple[str, str]]:
    rng = maker.rng
    draw = rng.random()
    if draw < 0.5:
        relation = rng.choice(RELATIONS)
        wording = rng.choice(relation.all_questions)
        facts = [Fact(relation, maker.namer.draw(relation.subject), maker.namer.draw(relation.value)) for _ in range(6)]
        return [(fact.fill(wording), fact.value) for fact in facts]
    words = [maker.namer.invented(rng.choice((1, 2))) for _ in range(6)]
    if draw < 0.75:
        return [(word, word.upper()) for word in words] if rng.random() < 0.3 else [(w, f"{w}, {w}") for w in words]
    labels = [maker.namer.invented(1) for _ in range(2)]
    return [(word, rng.choice(labels)) for word in words]


TALKS = (bare_question, bare_question, told_before, told_before, few_shot, few_shot, small_talk)


def talk(maker: WorldMaker) -> Document:
    return maker.rng.choice(TALKS)(maker)
