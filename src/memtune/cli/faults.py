"""What a person sees when something goes wrong: one line, a hint, and an exit code that scripts can trust."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from memtune.errors import MemtuneError

FAULT, INTERRUPTED = 1, 130
LONGEST = 500
"""Characters of a fault, which may quote a whole file; hints are memtune's own and stay whole."""


_ctrl_c = threading.Event()


def notice_ctrl_c() -> None:
    """Remember it, because a library that is interrupted may turn it into an error of its own."""

    def stop(_: int, frame: object) -> None:
        _ctrl_c.set()
        raise KeyboardInterrupt

    _ctrl_c.clear()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, stop)


def stopped_by_hand(fault: BaseException) -> bool:
    return isinstance(fault, KeyboardInterrupt) or _ctrl_c.is_set()


@contextmanager
def told_in_a_line(debug: bool) -> Iterator[None]:
    """Turn what a command raises into lines on standard error and an exit code."""
    try:
        yield
        sys.stdout.flush()
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt as interrupt:
        _say("stopped", str(interrupt))
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        _drop_standard_output()
        raise typer.Exit(FAULT) from None
    except Exception as fault:
        if stopped_by_hand(fault):
            _say("stopped", "")
            raise typer.Exit(INTERRUPTED) from None
        if debug:
            traceback.print_exc()
        raise typer.Exit(_tell(fault)) from None


WrongUsage: type[Exception] = typer.BadParameter.__bases__[0]
"""What typer raises for an option or a command that does not exist; it has no public name there."""


class Commands(TyperGroup):
    """Commands whose wrong usage is told in a line, like every other fault."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        with usage_in_a_line():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        with usage_in_a_line():
            return super().invoke(ctx)


@contextmanager
def usage_in_a_line() -> Iterator[None]:
    try:
        yield
    except WrongUsage as fault:
        told: Any = fault
        if told.ctx is None or type(fault).__name__ == "NoArgsIsHelpError":
            raise  # its message is the help
        _say("error", told.format_message())
        _say("hint", f"{told.ctx.command_path} --help")
        raise typer.Exit(told.exit_code) from None


def _tell(fault: Exception) -> int:
    """Print the fault; its exit code."""
    if isinstance(fault, MemtuneError):
        _say("error", fault.message)
        if fault.hint:
            _say("hint", fault.hint)
        return fault.exit_code
    _say("error", f"{type(fault).__name__}: {fault}")
    _say("hint", "this should not happen; run it again with --debug to see where")
    return FAULT


def _say(what: str, text: str) -> None:
    line = " ".join(f"{what}: {text}".split())
    if what != "hint" and len(line) > LONGEST:
        line = f"{line[:LONGEST]}…"
    typer.echo(line.removesuffix(":"), err=True)


def _drop_standard_output() -> None:
    """The reader has left (`memtune facts list | head`): keep Python from complaining as it closes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
