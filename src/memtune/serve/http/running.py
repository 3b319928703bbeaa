"""`memtune serve`: what has to hold before a server begins, and what it says when it is ready."""

from __future__ import annotations

import ipaddress
import json
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from memtune import __version__
from memtune.backbones.loading import load_backbone
from memtune.config import Config
from memtune.errors import FolderLocked, UsageError
from memtune.serve.database import usable
from memtune.serve.house import House
from memtune.serve.http.server import Server, bind
from memtune.serve.logs import to_standard_error
from memtune.serve.shelf import BASE, Shelf
from memtune.store import MemoryFolder
from memtune.store.durable import plain_errors
from memtune.store.lock import WriterLock


def serve(
    data: Path,
    config: Config,
    *,
    model: str,
    aliases: Mapping[str, str],
    memories: Mapping[str, Path],
    host: str,
    port: int,
    say: Callable[[str], None],
) -> None:
    """Serve a data folder until the process is told to end. What is wrong is said before the model is loaded."""
    for path in memories.values():
        MemoryFolder.open(path).close()
    with plain_errors(data):
        data.mkdir(parents=True, exist_ok=True)
    with _alone_in(data), bind(host, port) as listening:
        _require_names(data, config, aliases, memories)
        with usable(data / "server.sqlite"):
            house = House(data, config, model=model, aliases=aliases, memories=memories)
        _require_keys_beyond_this_machine(house, listening)
        address = _address(listening)
        to_standard_error(texts=config.serve.log_texts)
        server = Server(house, listening, on_ready=lambda: say(_welcome(house, address)))
        with _passing_through(house.files.folder):
            server.work()


def _require_names(data: Path, config: Config, aliases: Mapping[str, str], memories: Mapping[str, Path]) -> None:
    """Raise for names that stand for something else already, or that no memory could have."""
    for alias in aliases:
        if alias == BASE or "@" in alias:
            raise UsageError(f"'{alias}' cannot be the name of a model", hint="any other will do, without an @")
    for name in memories:
        Shelf(data, config, load_backbone, aliases=aliases).path(name)


@contextmanager
def _alone_in(data: Path) -> Iterator[None]:
    """One server for a data folder: two would work the same jobs off."""
    lock = WriterLock(data / "server.lock")
    try:
        lock.acquire()
    except FolderLocked:
        raise FolderLocked(f"another server is at work in {data}", hint="give this one its own --data") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _passing_through(folder: Path) -> Iterator[None]:
    """Forms are put aside while they come, in files without a name: here, since /tmp may be memory."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def _require_keys_beyond_this_machine(house: House, listening: socket.socket) -> None:
    host = str(listening.getsockname()[0]).partition("%")[0]
    if not ipaddress.ip_address(host).is_loopback and not house.keys.any():
        raise UsageError(
            f"{host} can be reached from other machines, and this server has no keys",
            hint=f"memtune keys add NAME --data {house.data}",
        )


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _welcome(house: House, address: str) -> str:
    """Where the server is and how it is called."""
    names = house.shelf.models()
    asked = {"model": next(iter(house.shelf.memories()), names[0]), "messages": [{"role": "user", "content": "Hello!"}]}
    key = " -H 'authorization: Bearer mt-…'" if house.keys.any() else ""
    return "\n".join(
        [
            f"memtune {__version__} serves {', '.join(names)} at {address}",
            f"  curl {address}/v1/chat/completions{key} -H 'content-type: application/json' -d '{json.dumps(asked)}'",
            f"  OpenAI's client: base_url={address}/v1    Lamini's client: api_url={address}    Ctrl-C ends it",
        ]
    )
