"""`memtune export`, `import`, `push` and `pull`: memories on the move."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memtune.checked import replace
from memtune.cli import opening
from memtune.cli.options import DEFAULT_MEMORY, Folder, Json, Place, setting
from memtune.cli.output import counted, print_json
from memtune.config import DEFAULT_MODEL, TransferConfig

if TYPE_CHECKING:
    from memtune.transfer import Moved

Target = Annotated[Path, typer.Option("--memory", metavar="DIR", help="The folder of the memory.")]


def export(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="The file to write, such as prices.memory; with --peft the expert."),
    ],
    *,
    peft: Annotated[
        Path | None,
        typer.Option("--peft", metavar="DIR", help="Write one expert, by a fact's id or a skill's name, for PEFT."),
    ] = None,
    model: Annotated[str, typer.Option("--model", metavar="M", help="The model, which --peft needs.")] = DEFAULT_MODEL,
    as_json: Json = False,
    folder: Folder,
) -> None:
    """Write a memory, with the history that leads to it, into one file; or one expert as a PEFT adapter."""
    if peft is not None:
        _export_adapter(str(file), peft, model, folder, as_json)
        return
    done = opening.export(folder.address, file)
    _print(
        f"{counted(done.facts, 'fact')} at version {done.version} written to {file}, {done.bytes:,} bytes",
        done,
        as_json,
    )


def _export_adapter(name: str, directory: Path, model: str, folder: Folder, as_json: bool) -> None:
    place = Place(folder.memory, folder.at, model)
    with place.load() as loaded:
        done = loaded.export_adapter(name, directory)
    if as_json:
        print_json(done.to_json())
    else:
        print(f"{name} written to {directory}: rank {done.rank}, {counted(done.layers, 'layer')}, {done.bytes:,} bytes")


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `memtune export` wrote.")],
    *,
    max_bytes: Annotated[int | None, setting(TransferConfig, "max_bytes", "What it may unpack to.")] = None,
    as_json: Json = False,
    memory: Target = DEFAULT_MEMORY,
) -> None:
    """Make a memory of such a file, in a new or an empty folder. Everything in it is checked first."""
    config = TransferConfig() if max_bytes is None else replace(TransferConfig(), max_bytes=max_bytes)
    done = opening.import_memory(file, memory, config)
    _print(f"{counted(done.facts, 'fact')} at version {done.version} in {memory}", done, as_json)


def push(
    to: Annotated[str, typer.Argument(metavar="TO", help="A folder, or hf://owner/name on the Hugging Face hub.")],
    *,
    as_json: Json = False,
    folder: Folder,
) -> None:
    """Bring a copy of a memory up to date, or make one, with a model card."""
    done = opening.push(folder.address, to)
    _print(
        f"{counted(done.facts, 'fact')} at version {done.version} in {to}; {counted(done.new, 'version')} new",
        done,
        as_json,
    )


def pull(
    source: Annotated[str, typer.Argument(metavar="FROM", help="A folder, or hf://owner/name on the hub.")],
    *,
    as_json: Json = False,
    memory: Target = DEFAULT_MEMORY,
) -> None:
    """Bring a memory up to date with where it comes from, or make a copy."""
    done = opening.pull(source, memory)
    _print(
        f"{counted(done.facts, 'fact')} at version {done.version} in {memory}; {counted(done.new, 'version')} new",
        done,
        as_json,
    )


def _print(text: str, done: Moved, as_json: bool) -> None:
    if as_json:
        print_json(done.to_json())
    else:
        print(text)
