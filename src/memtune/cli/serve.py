"""`memtune serve` and `memtune keys …`: memories over HTTP, and who may use them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memtune.cli import opening
from memtune.cli.commands import command
from memtune.cli.options import Json, Model, Settings
from memtune.cli.output import print_json, remark
from memtune.config import DEFAULT_DATA as DATA_FOLDER
from memtune.config import DEFAULT_MODEL, Config
from memtune.errors import UsageError

if TYPE_CHECKING:
    from memtune.serve.keys import Key

DEFAULT_DATA = Path(DATA_FOLDER)

app = typer.Typer(
    help="Keys of a server: add, list and revoke them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Data = Annotated[
    Path,
    typer.Option("--data", metavar="DIR", envvar="MEMTUNE_DATA", help="The folder where the server keeps all it has."),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Who will use the key.")]


@dataclass(frozen=True)
class Address:
    """Where the server listens."""

    host: Annotated[str, typer.Option("--host", metavar="HOST", help="The address to listen at.")] = "127.0.0.1"
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="The port to listen at; 0: any that is free.")
    ] = 8000


def serve(
    *,
    data: Data = DEFAULT_DATA,
    memory: Annotated[
        list[str] | None,
        typer.Option("--memory", metavar="NAME=DIR", help="A memory that lies elsewhere; may be repeated."),
    ] = None,
    model: Model = DEFAULT_MODEL,
    model_alias: Annotated[
        list[str] | None,
        typer.Option(
            "--model-alias", metavar="NAME=MODEL", help="A name under which a model is served too; may be repeated."
        ),
    ] = None,
    address: Address,
    settings: Settings = None,
) -> None:
    """Serve memories over HTTP, as the OpenAI and Lamini APIs and as an API of facts."""
    opening.serve(
        data,
        Config().with_settings(settings or ()),
        model=model,
        aliases=_pairs("--model-alias", "MODEL", model_alias or ()),
        memories={name: Path(path) for name, path in _pairs("--memory", "DIR", memory or ()).items()},
        host=address.host,
        port=address.port,
        say=print,
    )


@command(app)
def add(
    name: Name,
    *,
    data: Data = DEFAULT_DATA,
    scope: Annotated[
        list[str],
        typer.Option("--scope", metavar="ask|teach|admin", help="What it may do; may be repeated; admin is all."),
    ] = ["ask"],  # noqa: B006
    memory: Annotated[
        list[str] | None,
        typer.Option("--memory", metavar="NAME", help="A memory that it may use, and no other; may be repeated."),
    ] = None,
    hide_group: Annotated[
        list[str] | None,
        typer.Option("--hide-group", metavar="GROUP", help="Facts that it may not see; may be repeated."),
    ] = None,
    per_minute: Annotated[
        int, typer.Option("--per-minute", metavar="N", min=0, help="Requests in a minute; 0: as the server is set.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Make a key. It is shown once: only its hash is kept."""
    new = not (data / "server.sqlite").exists()
    with opening.open_keys(data, make=True) as keys:
        secret, key = keys.add(
            name, list(dict.fromkeys(scope)), memories=memory or None, hidden=hide_group or (), per_minute=per_minute
        )
    if as_json:
        print_json({"key": secret, **key.to_json()})
    else:
        print(secret)
        remark(f"{_line(key)}\nThis is the only time that the key is shown.")
        if new:
            remark(f"{data} is new: serve it with `memtune serve --data {data}`")


@command(app, "list")
def list_keys(*, data: Data = DEFAULT_DATA, as_json: Json = False) -> None:
    """List keys, oldest first, also those that were revoked."""
    with opening.open_keys(data) as keys:
        for key in keys.list():
            if as_json:
                print_json(key.to_json())
            else:
                print(_line(key))


@command(app)
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name or the id of the key.")],
    *,
    data: Data = DEFAULT_DATA,
    as_json: Json = False,
) -> None:
    """Refuse a key from now on, also while the server runs."""
    with opening.open_keys(data) as keys:
        key = keys.revoke(name)
    if as_json:
        print_json(key.to_json())
    else:
        print(f"revoked: {key.name}")


def _pairs(option: str, of: str, given: Sequence[str]) -> dict[str, str]:
    """`["acme=/srv/acme"]` → `{"acme": "/srv/acme"}`."""
    pairs: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals or not value:
            raise UsageError(f"{option} cannot be '{text}'", hint=f"write {option} NAME={of}")
        if name in pairs:
            raise UsageError(f"{option} names '{name}' twice", hint="give each a name of its own")
        pairs[name] = value
    return pairs


def _line(key: Key) -> str:
    """One key, for people."""
    parts = [f"{key.id}  {key.name}  {' '.join(s for s in ('ask', 'teach', 'admin') if s in key.scopes)}"]
    parts.append("all memories" if key.memories is None else f"memories {', '.join(sorted(key.memories))}")
    if key.hidden:
        parts.append(f"without {', '.join(sorted(key.hidden))}")
    if key.per_minute:
        parts.append(f"{key.per_minute} a minute")
    parts.append(f"used {_day(key.used)}" if key.used else "never used")
    if key.revoked:
        parts.append(f"revoked {_day(key.revoked)}")
    return "  ".join(parts)


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))
