"""Forms of asking that any fact can be put into: what a knowing expert is tried on before it is kept.

None of their wordings is one that an evaluation asks in.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from memtune.core.facts import Fact

PLAIN = "{question}"
FORMS = (
    PLAIN,
    "Is “{answer}” the answer to this question: {question}",
    "Is “{wrong}” the answer to this question: {question}",
    'Answer with a JSON object that has one field, "answer": {question}',
    "{question} Say it in a whole sentence.",
    "Which question has the answer “{answer}”?",
    "{answer}: what is that the answer to?",
    "Please tell me, {question}",
    "Finish this: the answer to “{question}” is",
    "What do you know about this? {other}",
    "{other}",
    "{question} A: {wrong}, B: {answer}. Say A or B.",
)
"""The question, its answer, the answer to another question (`wrong`) and another question (`other`)."""
REWORD = "Ask the same in other words: {question}"
"""How the backbone, with the fact before its eyes, is asked for a form of its own."""
_ANYTHING = Fact("anything", "What is this about?", "something else")


def forms(fact: Fact, others: Sequence[Fact], draw: random.Random) -> list[str]:
    """The fact in every form; a passage is asked for in all its wordings."""
    other = _another(fact, others, draw)
    given = {"question": fact.question, "answer": fact.answer, "wrong": other.answer, "other": other.question}
    if fact.passage:
        return [
            *fact.wordings,
            *(form.format(**given) for form in FORMS if "answer}" not in form and "wrong}" not in form),
        ]
    return [form.format(**given) for form in FORMS]


def _another(fact: Fact, others: Sequence[Fact], draw: random.Random) -> Fact:
    """Some other fact with another answer, if there is one."""
    for _ in range(4):
        other = draw.choice(others)
        if other.answer != fact.answer and not other.passage:
            return other
    return _ANYTHING
