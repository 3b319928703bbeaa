"""What commands print: results to standard output, remarks about them to standard error."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from memtune.errors import NotFound, UsageError

if TYPE_CHECKING:
    from memtune.core.reports import Answer, Failed, LearnReport, Used


_NAMED = 3
"""Facts that are named where many share one reason."""


def print_json(row: Mapping[str, Any]) -> None:
    print(json.dumps(row, ensure_ascii=False))


def remark(text: str) -> None:
    typer.secho(text, dim=True, err=True)


def print_answer(answer: Answer, as_json: bool) -> None:
    if as_json:
        print_json(answer.to_json())
        return
    print(answer.text, flush=True)
    remark_source(answer)


def remark_source(answer: Answer) -> None:
    """Say what the answer rests on."""
    for line in sources(answer):
        remark(f"  {line}")


def sources(answer: Answer) -> list[str]:
    if answer.abstained:
        return ["not in the memory"]
    if answer.clarifies:
        return [f"fits alike: {', '.join(answer.clarifies)}"]
    used = [*map(describe, answer.facts), *(f"skill {skill.name} ({skill.score:.2f})" for skill in answer.skills)]
    return used or ["no fact used: the model's own words"]


def describe(used: Used) -> str:
    source = f", {used.source}" if used.source else ""
    return f"fact {used.id} ({used.score:.2f}{source})"


def print_report(report: LearnReport, as_json: bool) -> None:
    for row in report.skipped:
        remark(f"skipped: {row}")
    for conflict in report.resolved:
        remark(f"conflict: {conflict}")
    for reason in report.not_admitted:
        typer.echo(f"not served: {reason}", err=True)
    say_failed("not learned", report.failed)
    if as_json:
        print_json(report.to_json())
    else:
        print(summary(report))


def say_failed(what: str, failed: Sequence[Failed]) -> None:
    """One line a fact; where many share a reason, one line for them."""
    by_reason: dict[str, list[str]] = {}
    for one in failed:
        by_reason.setdefault(one.reason, []).append(one.id)
    for reason, ids in by_reason.items():
        if len(ids) <= _NAMED:
            for fact in ids:
                typer.echo(f"{what}: {fact}: {reason}", err=True)
        else:
            typer.echo(f"{what}: {counted(len(ids), 'fact')} ({', '.join(ids[:_NAMED])}, …): {reason}", err=True)


def summary(report: LearnReport) -> str:
    rate = f", {report.learned / report.seconds:,.0f} facts/s" if report.learned and report.seconds else ""
    parts = [f"learned {report.learned:,} of {counted(report.facts, 'fact')} in {report.seconds:.1f} s{rate}"]
    if report.learned:
        parts.append(f"{report.bytes_per_fact:,.0f} bytes a fact")
    if report.version:
        parts.append(f"version {report.version}")
    if report.read_seconds:
        parts.insert(1, f"{report.seconds / report.read_seconds:.2f} times reading")
    if report.duplicates:
        parts.append(counted(report.duplicates, "duplicate"))
    if report.conflicts:
        parts.append(counted(report.conflicts, "conflict"))
    if report.not_admitted:
        parts.append("it waits as a candidate: `memtune promote` serves it")
    if report.skipped:
        parts.append(f"{counted(len(report.skipped), 'bad row')} skipped")
    return "; ".join(parts)


def counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"


def print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def require_place(out: Path) -> None:
    """Refuse a file that could not be written."""
    if out.is_dir():
        raise UsageError(f"{out} is a folder", hint="name a file to write to")
    if not out.parent.is_dir():
        raise NotFound(f"no such folder: {out.parent}")


def write_lines(out: Path, lines: Iterable[str]) -> int:
    """Write all lines or leave the file as it was; how many there were."""
    require_place(out)
    part = out.with_name(f"{out.name}.part")
    number = 0
    try:
        with part.open("w", encoding="utf-8") as file:
            for line in lines:
                file.write(f"{line}\n")
                number += 1
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return number
