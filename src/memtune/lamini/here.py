"""This process does the work, in a data folder like a server's."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
import time
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from memtune.config import DEFAULT_DATA
from memtune.errors import BackboneError, MemtuneError, NotFound
from memtune.lamini.error import error_for
from memtune.lamini.link import Row
from memtune.serve.desk import Busy
from memtune.serve.house import House
from memtune.serve.keys import LOCAL
from memtune.serve.lamini import completions, data, models, training
from memtune.serve.lamini.data import Reply
from memtune.serve.lamini.faults import code_of, detail_of
from memtune.serve.shelf import UnknownModel
from memtune.store import MemoryFolder

_POLL_SECONDS = 0.2
_log = logging.getLogger("memtune.lamini")
_houses: dict[Path, House] = {}
_opening = threading.Lock()


class Here:
    """The same functions as behind the routes, without HTTP."""

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self._folder = Path(folder or os.environ.get("MEMTUNE_DATA") or DEFAULT_DATA).resolve()

    @property
    def house(self) -> House:
        return house_in(self._folder)

    def complete(self, body: Mapping[str, Any]) -> Any:
        with _told():
            self._know(body["model_name"])
            return _loop().run(completions.complete(body, self.house, LOCAL))

    def upload(self, rows: Iterable[Row], is_public: bool | None) -> dict[str, Any]:
        with _told():
            return _warned(data.keep(rows, self.house, LOCAL, is_public))

    def train(self, body: Mapping[str, Any]) -> dict[str, Any]:
        with _told():
            self._know(body["model_name"])
            return _warned(training.train(self.house, LOCAL, **body))

    def jobs(self) -> list[dict[str, Any]]:
        with _told():
            return training.jobs(self.house, LOCAL)

    def job(self, job_id: int) -> dict[str, Any]:
        with _told():
            return training.job(self.house, LOCAL, job_id)

    def evaluate(self, job_id: int) -> dict[str, Any]:
        with _told():
            return training.evaluate(self.house, LOCAL, job_id)

    def cancel(self, job_id: int) -> dict[str, Any]:
        with _told():
            return training.cancel(self.house, LOCAL, job_id)

    def cancel_all(self) -> dict[str, Any]:
        with _told():
            return training.cancel_all(self.house, LOCAL)

    def resume(self, job_id: int) -> dict[str, Any]:
        with _told():
            return training.resume(self.house, LOCAL, job_id)

    def models(self) -> list[dict[str, Any]]:
        with _told():
            return models.listed(self.house, LOCAL)

    def download(self, model_name: str, model_type: str) -> dict[str, Any]:
        with _told():
            self._know(model_name)
            return models.downloaded(self.house, LOCAL, model_name, model_type)

    def version(self) -> dict[str, Any]:
        return models.version()

    def _know(self, name: Any) -> None:
        """Whoever works here may use any model that can be loaded: one that is new stands on the shelf from now on."""
        if not isinstance(name, str):
            return  # nor does anybody know it: what takes it says so
        shelf = self.house.shelf
        memory = name.partition("@")[0]
        if memory in shelf.memories():
            with MemoryFolder.open(shelf.path(memory)) as folder:
                name = folder.header.backbone["name"]
        elif memory != name:
            return  # a version of a memory that is not there: whoever looks for it says so
        if name in (*shelf.models(), shelf.model):
            return
        shelf.aliases[name] = name
        try:
            shelf.backbone(name)
        except (BackboneError, NotFound) as fault:
            del shelf.aliases[name]
            if memory in shelf.memories():
                raise
            raise UnknownModel(name, shelf.models()) from fault


def house_in(folder: Path) -> House:
    """The house of a data folder: one in a process, however many objects use it."""
    with _opening:
        if folder not in _houses:
            if not _houses:
                atexit.register(close_all)
            house = House(folder)
            try:
                house.start()
            except MemtuneError:
                house.close()
                raise
            _houses[folder] = house
        return _houses[folder]


def close_all(wait: bool = True) -> None:
    """Close what is open. A program that queued jobs and ends waits for them first, as the reference's service would
    go on with them; interrupted, they go on when the folder is opened again."""
    while _houses:
        _, house = _houses.popitem()
        try:
            if wait:
                _wait(house)
        except KeyboardInterrupt:
            _log.warning("jobs that are not done go on when %s is opened again", house.data)
        finally:
            house.close()


def _wait(house: House) -> None:
    told = False
    while waiting := [job.id for job in house.jobs.of(LOCAL) if not job.over and job.status != "PAUSED"]:
        if not told:
            numbers = ", ".join(map(str, sorted(waiting)))
            _log.warning("waiting for jobs: %s (leave them with Ctrl-C)", numbers)
            told = True
        time.sleep(_POLL_SECONDS)


def _warned(reply: Reply) -> dict[str, Any]:
    for warning in reply.warnings:
        _log.warning("%s", warning)
    return reply.body  # type: ignore[no-any-return]


@contextmanager
def _told() -> Iterator[None]:
    """What goes wrong is raised as the reference's errors, as if a server had answered."""
    try:
        yield
    except (MemtuneError, Busy) as fault:
        raise error_for(code_of(fault), detail_of(fault)) from fault


class _Loop:
    """An event loop in a thread of its own: the desk answers many at one time."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="memtune-lamini", daemon=True).start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


_running: list[_Loop] = []


def _loop() -> _Loop:
    with _opening:
        if not _running:
            _running.append(_Loop())
        return _running[0]
