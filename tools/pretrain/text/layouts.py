"""How context, questions and answers are laid out on the page: raw text and chat, in many shapes."""

from __future__ import annotations

import json
from random import Random

from .document import ASSISTANT, END, SYSTEM, USER, Document, Part, Piece
from .facts import World, capitalised
from .forms import Task

INSTRUCTIONS = (
    "Answer from the text.", "Use the passages to answer the question.", "Answer the question using the context below.",
    "You are a helpful assistant. Answer briefly.", "Use only the facts given. If they do not help, say I don't know.",
    "Answer with the facts below.", "Answer from the context. If the answer is not there, say that you don't know.",
)  # fmt: skip
PLAIN_SYSTEMS = (
    "You are a helpful assistant.", "Answer briefly.", "You answer questions in a few words.", "Be short and exact.",
    "You are the support desk. Answer in one line.", "You are an assistant that gives short answers.",
)  # fmt: skip


def sentences(rng: Random, world: World) -> list[str]:
    """Each fact as a sentence of its own, in random order."""
    told = [capitalised(f.fill(rng.choice(f.relation.all_claims))) + "." for f in world]
    rng.shuffle(told)
    return told


def as_records(rng: Random, world: World) -> str:
    """Subjects with their fields, as tables, sheets or JSON lines write them."""
    style, blocks = rng.randrange(3), []
    for subject in dict.fromkeys(f.subject for f in world):
        fields = {f.relation.noun: f.value for f in world if f.subject == subject}
        if style == 0:
            blocks.append("\n".join([f"Name: {subject}", *(f"{capitalised(k)}: {v}" for k, v in fields.items())]))
        elif style == 1:
            blocks.append(" | ".join([subject, *(f"{k}: {v}" for k, v in fields.items())]))
        else:
            blocks.append(json.dumps({"name": subject, **fields}))
    rng.shuffle(blocks)
    return ("\n\n" if style == 0 else "\n").join(blocks)


def as_answers(rng: Random, world: World) -> str:
    """The facts as questions that were answered before."""
    lines = [f"Question: {f.fill(rng.choice(f.relation.all_questions))}\nAnswer: {f.value}" for f in world]
    rng.shuffle(lines)
    return "\n\n".join(lines)


def context_of(rng: Random, world: World) -> str:
    draw = rng.random()
    if draw < 0.10:
        return as_records(rng, world)
    if draw < 0.20:
        return as_answers(rng, world)
    told = sentences(rng, world)
    if draw < 0.40:
        return "\n".join(f"[{i}] {sentence}" for i, sentence in enumerate(told, 1))
    return (" " if draw < 0.70 else "\n").join(told)


class Page:
    """Collects pieces; a mark says whether text can be known from what stands before it."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []

    def told(self, text: str) -> Page:
        self.pieces.append(Piece(text, Part.BACKGROUND))
        return self

    def known(self, text: str) -> Page:
        self.pieces.append(Piece(text, Part.ANSWER))
        return self

    @property
    def document(self) -> Document:
        return tuple(self.pieces)


def raw_page(rng: Random, context: str, tasks: list[Task]) -> Document:
    page = Page()
    label = rng.choice(("", "", "Context: ", "Context:\n", "Facts:\n"))
    page.told(f"{label}{context}{rng.choice((chr(10), chr(10) * 2))}")
    for task in tasks:
        if task.stem and rng.random() < 0.5:
            page.told(task.stem).known(f"{'' if task.form == 'json' else ' '}{task.stem_answer}{END}")
        else:
            page.told(f"Question: {task.question}\nAnswer:").known(f" {task.answer}{END}")
    return page.document


def chat_page(rng: Random, context: str, tasks: list[Task]) -> Document:
    """Context in the system text, before the first question, after it, or in a turn of its own."""
    page, place = Page(), rng.randrange(5)
    instruction = rng.choice(INSTRUCTIONS)
    first, *rest = tasks
    if place == 0:
        page.told(f"{SYSTEM}{instruction}\n{context}{USER}{first.question}{ASSISTANT}")
    elif place == 1:
        page.told(f"{SYSTEM}{instruction}{USER}{context}\n\n{first.question}{ASSISTANT}")
    elif place == 2:
        page.told(f"{USER}{context}\n\nQuestion: {first.question}{ASSISTANT}")
    elif place == 3:
        page.told(f"{USER}{context}\n{first.question}{ASSISTANT}")
    else:
        page.told(f"{USER}{instruction}\n\n{context}\n\n{first.question}{ASSISTANT}")
    page.known(f" {first.answer}{END}")
    for task in rest:
        page.told(f"{USER}{task.question}{ASSISTANT}").known(f" {task.answer}{END}")
    return page.document


def page_of(rng: Random, context: str, tasks: list[Task], chat_share: float = 0.6) -> Document:
    layout = chat_page if rng.random() < chat_share else raw_page
    return layout(rng, context, tasks)
