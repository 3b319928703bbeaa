"""Uploads: whole or not at all, bounded, under names that the server makes."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from memtune.serve.database import Database
from memtune.serve.files import Files, TooLarge, UnknownFile
from memtune.serve.keys import LOCAL, Key

ANNA = Key("k1", "anna", frozenset({"teach"}))
BERT = Key("k2", "bert", frozenset({"teach"}))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(Database(tmp_path / "server.sqlite"), tmp_path / "files", 3_000_000)


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def left(files: Files) -> list[str]:
    return sorted(path.name for path in files.folder.iterdir())


def test_an_upload_is_kept_byte_for_byte_under_a_name_of_the_servers(files: Files) -> None:
    parts = [os.urandom(700_000), b"", os.urandom(900_001), b"end"]
    upload = asyncio.run(files.take(pieces(*parts), name="Prices.JSONL.gz", purpose="fine-tune", key=ANNA))
    assert files.path(upload).read_bytes() == b"".join(parts)
    assert (upload.bytes, upload.name, upload.purpose) == (1_600_004, "Prices.JSONL.gz", "fine-tune")
    assert left(files) == [f"{upload.id}.jsonl.gz"]
    assert files.find(upload.id, ANNA) == upload


@pytest.mark.parametrize(
    ("name", "shown", "suffix"),
    [
        ("../../etc/passwd", "passwd", ""),
        ("..\\..\\x.csv", "x.csv", ".csv"),
        ("/", "upload", ""),
        ("a\0b\n.json", "ab.json", ".json"),
        ("x.jsonl/../../evil.py", "evil.py", ""),
        ("n" * 5000 + ".md", None, ".md"),
        ("\ud800.txt", ".txt", ""),
    ],
)
def test_names_of_clients_never_touch_the_file_system(files: Files, name: str, shown: str | None, suffix: str) -> None:
    upload = files.take_rows([{"a": 1}], name=name, purpose="p", key=ANNA)
    assert files.path(upload) == files.folder / f"{upload.id}{suffix}"
    assert left(files) == [files.path(upload).name]
    assert shown is None or upload.name == shown
    assert len(upload.name) <= 255


def test_rows_become_lines_of_json(files: Files) -> None:
    rows = [{"input": "Grüße?", "output": "a\nb"}, {"input": "x", "output": "y"}]
    upload = files.take_rows(rows, name="data.jsonl", purpose="fine-tune", key=ANNA)
    assert [json.loads(line) for line in files.path(upload).read_text().splitlines()] == rows


def test_what_is_too_large_leaves_nothing(files: Files) -> None:
    with pytest.raises(TooLarge, match="3,000,000"):
        asyncio.run(files.take(pieces(*[b"x" * 100_000] * 31), name="a.txt", purpose="p", key=ANNA))
    assert (left(files), files.of(LOCAL)) == ([], [])
    exactly = asyncio.run(files.take(pieces(*[b"x" * 100_000] * 30), name="a.txt", purpose="p", key=ANNA))
    assert exactly.bytes == 3_000_000


def test_a_client_that_goes_away_leaves_nothing(files: Files) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        asyncio.run(files.take(broken(), name="a.txt", purpose="p", key=ANNA))
    assert (left(files), files.of(LOCAL)) == ([], [])


def test_an_upload_is_its_senders_and_the_admins(files: Files) -> None:
    first = files.take_rows([{"a": 1}], name="a.jsonl", purpose="fine-tune", key=ANNA)
    second = files.take_rows([{"a": 1}], name="b.jsonl", purpose="batch", key=BERT)
    assert files.of(ANNA) == [first]
    assert files.of(LOCAL) == [second, first]
    assert files.of(LOCAL, "batch") == [second]
    for id_ in (second.id, "file-unknown", "../server.sqlite", "", "file-\ud800", "f" * 10_000):
        with pytest.raises(UnknownFile):
            files.find(id_, ANNA)
        with pytest.raises(UnknownFile):
            files.delete(id_, ANNA)
    shut_out = replace(BERT, scopes=frozenset({"admin"}), id="k9", hidden=frozenset({"wages"}))
    assert files.of(shut_out) == []  # an upload may hold what is hidden from it
    with pytest.raises(UnknownFile):
        files.find(first.id, shut_out)
    files.delete(second.id, LOCAL)
    assert files.of(LOCAL) == [first]
    assert left(files) == [files.path(first).name]


def test_leftovers_of_crashes_are_swept_up_when_they_are_old(files: Files) -> None:
    kept = files.take_rows([{"a": 1}], name="a.jsonl", purpose="p", key=ANNA)
    for name, age in (("file-1.jsonl.tmp", 100_000), ("file-2.jsonl", 100_000), ("file-3.jsonl.tmp", 10)):
        (files.folder / name).write_text("x")
        os.utime(files.folder / name, (time.time() - age,) * 2)
    os.utime(files.path(kept), (0, 0))
    files.sweep()
    assert left(files) == sorted([files.path(kept).name, "file-3.jsonl.tmp"])
