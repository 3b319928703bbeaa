"""Whether a message wants its answer in a form of its own."""

from __future__ import annotations

import pytest

from memtune.router.wishes import own_form


@pytest.mark.parametrize(
    "message",
    [
        "What does the lamp cost? Answer as JSON.",
        'What does the lamp cost? {"price": as json}',
        "What does the lamp cost? Say it in one whole sentence.",
        "What does the lamp cost? Answer in French.",
        "Translate into German: what does the lamp cost?",
        "What does the lamp cost?\nA. 4 dollars\nB. 5 dollars\n",
        "What does the lamp cost? Pick one.",
        "Give its price in two words.",
    ],
)
def test_a_form_is_wanted(message: str) -> None:
    assert own_form(message)


@pytest.mark.parametrize(
    "message",
    [
        "What does the lamp cost?",
        "Please tell me, what does the lamp cost?",
        "What is the B. Braun pump's price?",
        "Who won the French Open in 1990?",
        "How many words does the letter have?",
        "Which sentence did the court pass?",
    ],
)
def test_the_answer_itself_is_wanted(message: str) -> None:
    assert not own_form(message)
