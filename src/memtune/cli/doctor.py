"""`memtune doctor` and `memtune verify`: is everything in order?"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from memtune import backbones
from memtune.cli import opening
from memtune.cli.faults import FAULT
from memtune.cli.options import Folder, Json
from memtune.cli.output import counted, print_json
from memtune.errors import MemtuneError

if TYPE_CHECKING:
    from memtune.store import MemoryFolder

SUPPORTED_PYTHON = ((3, 10), (3, 13))


class Finding(NamedTuple):
    """One line of the doctor's report."""

    status: Literal["ok", "warn", "fail"]
    subject: str
    detail: str


def doctor(
    *,
    memory: Annotated[Path | None, typer.Option("--memory", metavar="DIR", help="Look at this memory as well.")] = None,
    as_json: Json = False,
) -> None:
    """Check the installation, the devices and, if given, a memory."""
    failed = False
    for finding in _findings(memory):
        failed = failed or finding.status == "fail"
        if as_json:
            print_json(finding._asdict())
        else:
            print(f"{finding.status:4}  {finding.subject}: {finding.detail}", flush=True)
    if failed:
        raise typer.Exit(FAULT)


def verify(*, as_json: Json = False, folder: Folder) -> None:
    """Check every checksum and invariant of a memory."""
    with folder.open() as memory:
        problems = memory.verify()
    if as_json:
        print_json({"ok": not problems, "problems": problems})
    else:
        print("\n".join(problems) or f"{folder.memory} is in order")
    if problems:
        raise typer.Exit(FAULT)


def _findings(memory: Path | None) -> Iterator[Finding]:
    yield _python()
    torch = _package("torch")
    yield from (torch, _package("transformers"), _package("faiss"))
    if torch.status == "ok":
        yield _threads()
        yield _devices()
    yield _bundled_model()
    yield from _extras()
    if memory is not None:
        yield _memory(memory)


def _python() -> Finding:
    lowest, highest = SUPPORTED_PYTHON
    supported = lowest <= sys.version_info[:2] <= highest
    detail = platform.python_version() if supported else f"{platform.python_version()} is not supported"
    return Finding("ok" if supported else "warn", "python", detail)


def _package(name: str) -> Finding:
    try:
        module = importlib.import_module(name)
    except Exception as fault:  # a broken installation raises anything: OSError, RuntimeError, …
        return Finding("fail", name, f"cannot be imported: {fault}")
    return Finding("ok", name, module.__version__)


def _threads() -> Finding:
    import torch

    used, there = torch.get_num_threads(), _cores()
    detail = f"{counted(used, 'thread')} on {counted(there, 'core')}"
    return Finding("ok" if used <= there else "warn", "threads", detail)


def _cores() -> int:
    """Cores that this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _devices() -> Finding:
    import torch

    cards = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return Finding("ok", "devices", ", ".join(["cpu", *cards, *mps]))


def _bundled_model() -> Finding:
    try:
        return Finding("ok", "bundled model", f"whole, in {backbones.bundled_folder()}")
    except MemtuneError as fault:
        return Finding("fail", "bundled model", f"{fault.message}; {fault.hint}")


def _extras() -> Iterator[Finding]:
    """What `pip install memtune[…]` would add, and whether it is there."""
    for requirement in importlib.metadata.requires("memtune") or ():
        optional = re.match(r"([\w.-]+).*extra == ['\"]([\w-]+)['\"]", requirement)
        if optional and optional[2] != "dev":
            yield _extra(package=optional[1], extra=optional[2])


def _extra(package: str, extra: str) -> Finding:
    try:
        return Finding("ok", f"extra {extra}", f"{package} {importlib.metadata.version(package)}")
    except importlib.metadata.PackageNotFoundError:
        return Finding("ok", f"extra {extra}", f"{package} is not installed (pip install 'memtune[{extra}]')")


def _memory(path: Path) -> Finding:
    try:
        with opening.open_folder(path) as folder:
            return _state(folder)
    except MemtuneError as fault:
        return Finding("fail", "memory", fault.message)


def _state(folder: MemoryFolder) -> Finding:
    if problems := folder.verify():
        return Finding("fail", "memory", "; ".join(problems))
    facts, made_on = counted(folder.count(), "fact"), folder.header.backbone["name"]
    return Finding("ok", "memory", f"{facts}, version {folder.version}, made on {made_on}")
