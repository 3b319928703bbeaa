"""`memtune chat`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from memtune.cli.ask import print_stream
from memtune.cli.options import Decoding, KeepUnanswered, Place, System
from memtune.cli.output import remark

LEAVE = "/exit"


def chat(*, system: System = None, inbox: KeepUnanswered = False, decoding: Decoding, place: Place) -> None:
    """Talk with the model and its memory; /exit leaves."""
    messages = [{"role": "system", "content": system}] if system else []
    with place.keeping(unanswered=inbox).load() as model:
        remark(f"{LEAVE} leaves the chat")
        for text in _typed():
            messages.append({"role": "user", "content": text})
            answer = print_stream(model, messages, decoding.given)
            messages.append({"role": "assistant", "content": answer.text})


def _typed() -> Iterator[str]:
    """What the person types, until `/exit` or the end of the input."""
    at_a_terminal = sys.stdin.isatty()
    if at_a_terminal:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  (gives `input` its line editing)
    while True:
        try:
            text = input("> " if at_a_terminal else "").strip()
        except EOFError:
            return
        if text == LEAVE:
            return
        if text:
            yield text
