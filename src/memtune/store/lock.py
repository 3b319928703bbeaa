"""One writer at a time, by a lock that the operating system releases when its owner dies."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path

from memtune.errors import FolderLocked

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
        self._descriptor: int | None = None

    def acquire(self) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                _lock(descriptor)
            except (BlockingIOError, PermissionError):
                raise _locked(self.path) from None
            self.abandoned = os.fstat(descriptor).st_size > 0
            owner = {"pid": os.getpid(), "host": socket.gethostname(), "time": time.time()}
            _overwrite(descriptor, json.dumps(owner).encode())
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self, *, finished: bool = True) -> None:
        """`finished=False` asks the next writer to look for what this one left."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            if finished:
                os.ftruncate(descriptor, 0)
            _unlock(descriptor)  # said aloud: a child that was forked meanwhile shares this lock
        finally:
            os.close(descriptor)


def _overwrite(descriptor: int, data: bytes) -> None:
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, data)


def _locked(path: Path) -> FolderLocked:
    """Who holds it, and for how long."""
    try:
        owner = json.loads(path.read_bytes())
        age = _age(time.time() - owner["time"])
        who = f"process {owner['pid']} on {owner['host']} has been writing for {age}"
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
