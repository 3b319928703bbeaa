"""`memtune router …`: how the router of a memory stands, and its threshold measured again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memtune.cli.commands import command
from memtune.cli.options import Json, Place
from memtune.cli.output import print_json, print_lines, remark, require_place, write_lines
from memtune.errors import UsageError

if TYPE_CHECKING:
    from memtune.router.curves import Curve
    from memtune.router.report import RouterReport

app = typer.Typer(
    help="The router: its keys, its threshold, and what other thresholds would do.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Out = Annotated[Path | None, typer.Option("--out", metavar="FILE.svg", help="Write the curve as a picture as well.")]

_BLOCKS = " ▁▂▃▄▅▆▇█"
_COLOURS = {"right": "green", "wrong": "red", "near misses fired": "yellow"}
_ROWS = 4
"""Lines of the terminal that one curve is high."""


@command(app)
def report(*, out: Out = None, as_json: Json = False, place: Place) -> None:
    """Show the router's keys, its threshold and how it was set, and what other thresholds would do."""
    _check(out)
    with place.load() as model:
        found = model.router_report()
    _publish(found, out, as_json)


@command(app)
def calibrate(*, out: Out = None, as_json: Json = False, place: Place) -> None:
    """Set the threshold anew on near misses made from the memory's own facts, and show what `report` shows."""
    _check(out)
    if not place.config.router.calibrate:
        raise UsageError("router.calibrate is 0: there is nothing to measure on", hint="name how many facts to look at")
    with place.load() as model:
        model.calibration(again=True)
        found = model.router_report()
    _publish(found, out, as_json)


def _check(out: Path | None) -> None:
    """Say before anything is loaded that the picture could not be written."""
    if out is None:
        return
    if out.suffix.lower() != ".svg":
        raise UsageError(f"--out {out}: the picture is an SVG", hint=f"name it {out.with_suffix('.svg')}")
    require_place(out)


def _publish(found: RouterReport, out: Path | None, as_json: bool) -> None:
    if as_json:
        print_json(found.to_json())
    else:
        print_lines(found.lines())
        if found.calibration is not None:
            _draw(found)
        if found.hint:
            remark(f"hint: {found.hint}")
    if out is None:
        return
    if found.calibration is None:
        raise UsageError("there is no curve to draw: the memory is not calibrated yet", hint=found.hint)
    write_lines(out, [found.svg()])
    remark(f"written to {out}")


def _draw(found: RouterReport) -> None:
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    console.print()
    console.print(_table(found))
    for line in _plot(found):
        console.print(line)


def _table(found: RouterReport) -> Any:
    from rich.table import Table

    table = Table("threshold", *(curve.name for curve in found.curves()), "", box=None, padding=(0, 3, 0, 0))
    for column in table.columns[:4]:
        column.justify = "right"
    for row in found.rows():
        shares = (f"{100 * share:.1f} %" for share in (row.right, row.wrong, row.fired))
        chosen = "← chosen" if row.chosen else ""
        table.add_row(f"{row.threshold:.3f}", *shares, chosen, style="bold" if row.chosen else None)
    return table


def _plot(found: RouterReport) -> list[Any]:
    """What is right, and what is wrong on a larger scale, one column a threshold; a mark is below the chosen one."""
    from rich.text import Text

    from memtune.router.curves import errors_top

    right, *errors = found.curves()
    place = int(abs(right.thresholds - found.threshold).argmin())
    lines = [Text()]
    for curve, top in [(right, 1.0), *((curve, errors_top(errors)) for curve in errors)]:
        for number, line in enumerate(_columns(curve, top)):
            scale = f"{top:.0%}" if number == 0 else "0" if number == _ROWS - 1 else ""
            name = f"  {curve.name}" if number == 0 else ""
            lines.append(Text.assemble(f"{scale:>6} ", (f"│{line}", _COLOURS[curve.name]), name))
    width = len(right.thresholds)
    lines.append(Text(f"{'':7}└{'─' * place}▲{'─' * (width - place - 1)}"))
    lines.append(Text(f"{'':8}{'0.02':<{width // 2 - 1}}0.50{'0.98':>{width - width // 2 - 3}}  threshold"))
    return lines


def _columns(curve: Curve, top: float) -> list[str]:
    """The curve in blocks, an eighth of a line at a time; a share that is not zero is never invisible."""
    eighths = [max(round(8 * _ROWS * share / top), int(share > 0)) for share in curve.shares.tolist()]
    return ["".join(_BLOCKS[min(max(e - 8 * row, 0), 8)] for e in eighths) for row in reversed(range(_ROWS))]
