"""How a long run shows that it goes on: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from memtune.cli.output import counted

if TYPE_CHECKING:
    from memtune.learning import Progress

SECONDS_BETWEEN_LINES = 5.0

Show = Callable[["Progress"], None]


class Watch:
    """Follows a run: shows every step and remembers the last one."""

    def __init__(self, show: Show) -> None:
        self._show = show
        self.last: Progress | None = None

    def __call__(self, step: Progress) -> None:
        self.last = step
        self._show(step)


@contextmanager
def watching(silent: bool, thing: str = "fact") -> Iterator[Watch]:
    """`thing`: what is counted."""
    if silent:
        yield Watch(lambda step: None)
    elif sys.stderr.isatty():
        with _bar(thing) as show:
            yield Watch(show)
    else:
        yield Watch(_lines(thing))


def told(step: Progress, thing: str = "fact") -> str:
    """How far it is, and from the first ones on how fast it goes and how long it will take."""
    far = f"{step.done:,} of {counted(step.total, thing)}"
    if not step.done or not step.seconds:
        return far
    rate = step.done / step.seconds
    return f"{far}, {rate:,.0f} {thing}s/s, {_clock((step.total - step.done) / rate)} left"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _lines(thing: str) -> Show:
    latest = time.monotonic()

    def show(step: Progress) -> None:
        nonlocal latest
        if time.monotonic() - latest >= SECONDS_BETWEEN_LINES:
            latest = time.monotonic()
            typer.echo(f"went through {told(step, thing)}", err=True)

    return show


@contextmanager
def _bar(thing: str) -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    with Bar(BarColumn(), TextColumn("{task.description}"), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("getting ready", total=None)
        yield lambda step: bar.update(task, completed=step.done, total=step.total, description=told(step, thing))
