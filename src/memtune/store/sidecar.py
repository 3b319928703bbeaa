"""Small files beside the versions that can be made again: what was measured on a memory, not what it holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memtune.store.durable import FORMAT, plain_errors, remove_file, seal, sync_folder, unseal, write_file

CALIBRATION = "calibration.json"
NAMES = (CALIBRATION,)
INBOX = "inbox.jsonl"
"""Kept by memtune/inbox.py, one line a question, unsealed: several processes append to it."""


def read(folder: Path, name: str) -> dict[str, Any] | None:
    """What the file says, or None where there is none."""
    path = folder / name
    with plain_errors(folder):
        try:
            document = unseal(path, path.read_bytes())
        except FileNotFoundError:
            return None
    document.pop("format", None)
    return document


def remove(folder: Path, name: str) -> None:
    """For good: it is durable when this returns."""
    with plain_errors(folder):
        if (folder / name).exists():
            remove_file(folder / name, name)
            sync_folder(folder)


def write(folder: Path, name: str, document: Mapping[str, Any]) -> None:
    """The whole file or none of it."""
    plain = json.loads(json.dumps(document))
    with plain_errors(folder):
        write_file(folder / name, seal({"format": FORMAT, **plain}, indent=1), name)
        sync_folder(folder)
