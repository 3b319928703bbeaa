"""How the routes come to a memory: what a key may see of it, and writers one after the other."""

from __future__ import annotations

import re
import time
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, TypeVar

import anyio
import anyio.to_thread
from fastapi import Depends, Header, Path, Response

from memtune.core.facts import Fact
from memtune.errors import BadRows, ConflictError, FolderError, FolderLocked, NotFound, UnknownFact
from memtune.life import state_of
from memtune.model import MemoryModel
from memtune.serve.facts.shapes import FactOut
from memtune.serve.house import House
from memtune.serve.http.errors import Refused
from memtune.serve.http.guard import Admin, Asker, Teacher, TheHouse
from memtune.serve.keys import Key
from memtune.serve.shelf import UnknownModel
from memtune.store import FactRef, MemoryFolder

T = TypeVar("T")

_AGAIN_SECONDS = 0.1
"""After which a folder that another process is writing to is tried once more."""
_CURSOR = re.compile(r"(\d{1,18})-(\d{1,18})")
_TAG = re.compile(r'(?:W/)?"?v?(\d{1,18})"?')
_writers: weakref.WeakKeyDictionary[House, dict[str, anyio.Lock]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Page:
    """Some facts of a memory, each with where it stands."""

    rows: list[tuple[FactRef, Fact]]
    next: str | None


class Look:
    """A memory as it stands at one version, as far as a key may see it. Facts of a hidden group are not there."""

    def __init__(self, folder: MemoryFolder, name: str, hidden: frozenset[str]) -> None:
        self.folder, self.name, self.hidden = folder, name, hidden
        self.now = time.time()

    @property
    def version(self) -> int:
        return self.folder.version

    def sees(self, fact: Fact) -> bool:
        return fact.group not in self.hidden

    def row(self, fact_id: str) -> tuple[FactRef, Fact]:
        ref = self.folder.find([fact_id]).get(fact_id)
        fact = self.folder.at(*ref) if ref is not None else None
        if ref is not None and fact is not None and self.sees(fact):
            return ref, fact
        if self.hidden:  # near ids may be those of facts that it does not see
            raise UnknownFact(f"no fact '{fact_id}' in this memory")
        raise self.folder.unknown(fact_id)

    def rows(self, where: Mapping[str, str] | None, after: FactRef | None = None) -> Iterator[tuple[FactRef, Fact]]:
        return ((ref, fact) for ref, fact in self.folder.rows(where, after=after) if self.sees(fact))

    def page(
        self,
        where: Mapping[str, str] | None,
        after: str | None,
        limit: int,
        *,
        keep: Callable[[FactRef, Fact], bool] = lambda ref, fact: True,
        look_at: int | None = None,
    ) -> Page:
        """At most `limit` facts behind the place that `after` names. `look_at`: facts that are looked at, at most."""
        found: list[tuple[FactRef, Fact]] = []
        for seen, (ref, fact) in enumerate(self.rows(where, place(after)), 1):
            if keep(ref, fact):
                found.append((ref, fact))
            if len(found) > limit:
                ref = found[limit - 1][0]
                return Page(found[:limit], f"{ref.segment}-{ref.row}")
            if look_at is not None and seen >= look_at:
                return Page(found, f"{ref.segment}-{ref.row}")
        return Page(found, None)

    def told(self, ref: FactRef, fact: Fact) -> FactOut:
        return fact_out(fact, state_of(self.folder, ref, fact, self.now))


def fact_out(fact: Fact, state: str | None = None) -> FactOut:
    return FactOut.model_validate({**fact.to_row(), **({"state": state} if state else {})})


def conditions(where: list[str]) -> dict[str, str]:
    """`["group=prices"]` → `{"group": "prices"}`."""
    wanted: dict[str, str] = {}
    for text in where:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise Refused(400, f"'{text:.80}' is not a condition", hint="write where=field=value, as in group=prices")
        if name in wanted:
            raise Refused(400, f"`where` names '{name:.80}' twice", hint="a fact has one value in each field")
        wanted[name] = value
    return wanted


def place(after: str | None) -> FactRef | None:
    """Where a listing left off."""
    if after is None:
        return None
    found = _CURSOR.fullmatch(after)
    if found is None:
        raise Refused(400, f"'{after:.40}' is not where a listing left off", hint="pass `next` of the last answer")
    return FactRef(int(found[1]), int(found[2]))


@dataclass(frozen=True)
class Door:
    """One memory, for one request."""

    house: House
    key: Key
    name: str
    """With `@` and a version, where not the newest is meant."""
    response: Response
    expected: int | None = None
    """The version that the caller has seen last; the memory must still stand at it."""

    @property
    def memory(self) -> str:
        return self.name.partition("@")[0]

    @property
    def at(self) -> str:
        return self.name.partition("@")[2]

    def path(self) -> FilePath:
        """Where the memory is. One that is closed to the key is as if it were not there."""
        return path_of(self.house, self.key, self.memory)

    # ---- reading ------------------------------------------------------------------------------------------------

    async def read(self, work: Callable[[Look], T]) -> T:
        """Do something with the memory as it stands now. Never waits for a writer."""

        def done() -> tuple[int, T]:
            with self.plainly(), opened(self.house, self.key, self.name) as look:
                return look.version, work(look)

        version, found = await anyio.to_thread.run_sync(done)
        self.tag(version)
        return found

    def tag(self, version: int) -> None:
        self.response.headers["ETag"] = f'"v{version}"'

    def require_all(self) -> None:
        """For what concerns the memory as a whole: a key that may not see all of it may not change it as a whole."""
        if self.key.hidden:
            raise Refused(
                403, "this key may not see every group of facts, so it may not do this", hint="use one that may"
            )

    # ---- writing ------------------------------------------------------------------------------------------------

    async def write(self, work: Callable[[MemoryModel], T]) -> T:
        """Change the memory, after whoever changes it now."""

        def written() -> tuple[int, T]:
            model = self.house.shelf.find(self.name, self.key).model
            model.refresh()
            self.require_expected(model.version)
            model.memory.folder.author = self.key.name
            done = work(model)
            return model.version, done

        self.path()
        version, done = await self.alone(written)
        self.tag(version)
        return done

    async def alone(self, work: Callable[[], T]) -> T:
        """Do something while no other request of this server changes the memory. Another process's turn is waited for
        a little."""
        seconds = self.house.config.serve.wait_seconds
        turn = _turns(self.house, self.memory)
        with anyio.move_on_after(seconds) as waiting:
            await turn.acquire()
        if waiting.cancelled_caught:
            raise _another_writer(self.memory, seconds)
        try:  # what has begun to be written is written, whoever goes away meanwhile
            return await anyio.to_thread.run_sync(lambda: self._patiently(work, seconds))
        finally:
            turn.release()

    def _patiently(self, work: Callable[[], T], seconds: float) -> T:
        until = time.monotonic() + seconds
        while True:
            try:
                with self.plainly():
                    return work()
            except FolderLocked:
                if time.monotonic() > until:
                    raise _another_writer(self.memory, seconds) from None
                time.sleep(_AGAIN_SECONDS)

    def require_expected(self, version: int) -> None:
        """Raise where the memory has moved on since the caller saw it."""
        if self.expected is not None and version != self.expected:
            raise Refused(
                412, f"the memory '{self.memory}' is at v{version}, not at v{self.expected}", code="version_mismatch"
            )

    def without_paths(self, text: str) -> str:
        """What is said of memories, by their names: where they lie is nobody's business."""
        if "/" not in text and "\\" not in text:
            return text
        shelf = self.house.shelf
        for path, name in [(shelf.path(self.memory), self.memory), *((path, n) for n, path in shelf.named.items())]:
            text = text.replace(str(path), name)
        return text.replace(f"{shelf.folder}/", "")

    @contextmanager
    def plainly(self) -> Iterator[None]:
        """Faults of the memory as this key is to read them: it is not told what it may not see, and one that is deleted
        while it is read is not damaged, but gone."""
        try:
            yield
        except ConflictError as fault:
            line = "what the memory holds says something else" if self.key.hidden else fault.message
            raise Refused(409, line, hint="pass `on_conflict`, or change the fact that is there") from fault
        except BadRows as fault:
            raise Refused(400, fault.message, hint="nothing was learned; mend them") from fault
        except (FolderError, NotFound, FileNotFoundError) as fault:
            self.path()  # raises where it is gone
            if isinstance(fault, FileNotFoundError):
                raise Refused(
                    503, f"'{self.memory}' was replaced just now", hint="try again", code="unavailable"
                ) from fault
            raise


def _another_writer(memory: str, seconds: float) -> Refused:
    return Refused(
        409,
        f"somebody else is writing to '{memory}'",
        hint="try again a little later",
        code="locked",
        headers={"Retry-After": str(max(1, round(seconds)))},
    )


def _turns(house: House, memory: str) -> anyio.Lock:
    return _writers.setdefault(house, defaultdict(anyio.Lock))[memory]


def path_of(house: House, key: Key, memory: str) -> FilePath:
    """Where a memory is that the key may use."""
    if memory not in house.shelf.memories(key):
        raise UnknownModel(memory, house.shelf.memories(key))
    return house.shelf.path(memory)


@contextmanager
def opened(house: House, key: Key, name: str) -> Iterator[Look]:
    """A memory's folder at a version, opened for reading. The version is looked up in the memory: it is no path."""
    memory, _, at = name.partition("@")
    path = path_of(house, key, memory)
    with MemoryFolder.open(path) as newest:
        if not at:
            yield Look(newest, name, key.hidden)
            return
        with MemoryFolder(path, newest.header, at) as then:
            yield Look(then, name, key.hidden)


def _version_of(tag: str | None) -> int | None:
    if tag is None or tag.strip() in ("", "*"):
        return None
    found = _TAG.fullmatch(tag.strip())
    if found is None:
        raise Refused(400, f"'{tag:.40}' names no version", hint='write If-Match: "v12"')
    return int(found[1])


Name = Annotated[
    str,
    Path(
        description="A memory's name; `NAME@v12`, `NAME@branch` or `NAME@tag` for one of its versions.",
        max_length=193,
        examples=["acme"],
    ),
]
IfMatch = Annotated[
    str | None,
    Header(
        description='Change the memory only if it still stands at this version, as in `"v12"`; else 412.',
        max_length=64,
        examples=['"v12"'],
    ),
]


def _of_asker(name: Name, house: TheHouse, key: Asker, response: Response) -> Door:
    return Door(house, key, name, response)


def _of_teacher(name: Name, house: TheHouse, key: Teacher, response: Response) -> Door:
    return Door(house, key, name, response)


def _to_teach(name: Name, house: TheHouse, key: Teacher, response: Response, if_match: IfMatch = None) -> Door:
    return Door(house, key, name, response, _version_of(if_match))


def _to_rule(name: Name, house: TheHouse, key: Admin, response: Response, if_match: IfMatch = None) -> Door:
    return Door(house, key, name, response, _version_of(if_match))


ForAsker = Annotated[Door, Depends(_of_asker)]
ForTeacher = Annotated[Door, Depends(_of_teacher)]
ToTeach = Annotated[Door, Depends(_to_teach)]
ToRule = Annotated[Door, Depends(_to_rule)]
