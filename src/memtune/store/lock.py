"""One writer at a time, by a lock that the operating system releases when its owner dies."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memtune.errors import FolderLocked
from memtune.store.durable import plain_errors

if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30  # Windows hides a locked byte from readers: lock one that nobody reads

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


class WriterLock:
    """While it is held, the file names its owner; a name in a lock that is free means that its owner died."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.abandoned = False
        """The owner before us did not finish: it may have left files that belong to no version."""
        self.finished = False
        """False at the end asks the next writer to look for what this one left."""
        self._descriptor: int | None = None

    @classmethod
    @contextmanager
    def held(cls, folder: Path) -> Iterator[WriterLock]:
        """The lock of a memory folder, while inside."""
        lock = cls(folder / "writer.lock")
        with plain_errors(folder):
            lock.acquire()
        try:
            yield lock
        finally:
            lock.release()

    def acquire(self) -> None:
        descriptor = self._take()
        if descriptor is None:
            descriptor = self._take_over()
        if descriptor is None:
            raise _locked(self.path)
        try:
            self.abandoned = self.abandoned or os.fstat(descriptor).st_size > 0
            owner = {"pid": os.getpid(), "host": _host(), "time": time.time()}
            _overwrite(descriptor, json.dumps(owner).encode())
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def _take(self) -> int | None:
        """The lock's descriptor, None when somebody has it."""
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                _lock(descriptor)
                if _is_still(self.path, descriptor):
                    return descriptor
            except (BlockingIOError, PermissionError):
                os.close(descriptor)
                return None
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # it was taken over and replaced just now

    def _take_over(self) -> int | None:
        """Where the owner is dead and only a process that it forked keeps the lock, another file takes its place."""
        if not _owner_is_dead(self.path):
            return None
        guard = WriterLock(self.path.with_name(f"{self.path.name}.taken"))
        descriptor = guard._take()  # two at once would remove each other's
        if descriptor is None:
            return None
        try:
            if _owner_is_dead(self.path):
                self.path.unlink(missing_ok=True)
                self.abandoned = True
            return self._take()
        finally:
            guard.path.unlink(missing_ok=True)
            _unlock(descriptor)
            os.close(descriptor)

    def release(self) -> None:
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            if self.finished:
                os.ftruncate(descriptor, 0)
            _unlock(descriptor)  # said aloud: a child that was forked meanwhile shares this lock
        finally:
            os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the file that was locked is the one that others will try to lock."""
    if sys.platform == "win32":  # a file that is open cannot be replaced there
        return True
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _owner_is_dead(path: Path) -> bool:
    """Known only of processes of this machine; an unfinished or foreign name counts as alive."""
    if sys.platform == "win32":
        return False
    try:
        owner = json.loads(path.read_bytes())
        if owner["host"] != _host():
            return False
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return False


def _host() -> str:
    """Where a process has this number: a container may bear its machine's name, and has numbers of its own."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115
    except OSError:
        return socket.gethostname()


def _overwrite(descriptor: int, data: bytes) -> None:
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, data)


def _locked(path: Path) -> FolderLocked:
    """Who holds it, and for how long."""
    try:
        owner = json.loads(path.read_bytes())
        age = _age(time.time() - owner["time"])
        who = f"process {owner['pid']} on {owner['host'].partition(' ')[0]} has been writing for {age}"
    except (OSError, ValueError, KeyError, TypeError):
        who = "another process is writing"
    return FolderLocked(
        f"{path.parent} is locked: {who}",
        hint="wait until it has finished or end that process; the lock goes with it",
    )


def _age(seconds: float) -> str:
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' * (count != 1)}"
    return f"{max(seconds, 0):.0f} s"
