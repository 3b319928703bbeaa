"""Opening files: gzip, byte order marks, encodings and lines, the same for every reader of text."""

from __future__ import annotations

import difflib
import gzip
import io
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from memtune.errors import InputError, NotFound

MAX_ROW_CHARS = 16 << 20
"""Longer lines and fields are refused, so that a wrong file cannot fill the memory."""

HEAD_BYTES = 64 << 10
_GZIP = b"\x1f\x8b"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def require_file(path: Path) -> None:
    """Raises unless there is a regular file that has something in it."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise NotFound(f"{path} does not exist", hint=_near_names(path)) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        raise InputError(f"{path} cannot be read: {_reason(error)}") from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{path} is a folder, not a file of facts", hint="name one of the files in it")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} can be read only once", hint="facts are read twice: save them to a file first")
    if status.st_size == 0:
        raise InputError(f"{path} is empty")


def fingerprint(path: Path) -> tuple[int, int]:
    """Changes when the file is written to."""
    with readable(path):
        status = path.stat()
    return status.st_size, status.st_mtime_ns


def head(path: Path) -> bytes:
    """The beginning of a file, unpacked, without its byte order mark."""
    with readable(path), _binary(path) as stream:
        return stream.read(HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")


@contextmanager
def open_text(path: Path, newline: str = "\n") -> Iterator[IO[str]]:
    """UTF-8 text, gzip or plain. Bytes that are not UTF-8 become lone surrogates: `rows` refuses them."""
    with readable(path), _binary(path) as binary:
        stream = io.TextIOWrapper(binary, "utf-8-sig", errors="surrogateescape", newline=newline)
        with stream:
            yield stream


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns what the system says while a file is read into one clear line."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise InputError(f"{path}: the compressed data is damaged or cut short") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {_reason(error)}") from None


def numbered_lines(stream: IO[str], path: Path) -> Iterator[tuple[int, str]]:
    """Every line with its number, one in memory at a time."""
    number = 0
    while line := stream.readline(MAX_ROW_CHARS):
        number += 1
        if len(line) == MAX_ROW_CHARS:
            raise InputError(f"{path}: line {number} has more than {MAX_ROW_CHARS >> 20} million characters")
        yield number, line


def _binary(path: Path) -> IO[bytes]:
    with path.open("rb") as stream:
        start = stream.read(2)
    if start in _UTF16:
        raise InputError(f"{path} is UTF-16 text", hint="save it as UTF-8")
    return gzip.open(path) if start == _GZIP else path.open("rb")  # type: ignore[return-value]


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _near_names(path: Path) -> str | None:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return None
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {path.parent / near[0]}?" if near else None
