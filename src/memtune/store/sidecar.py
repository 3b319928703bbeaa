"""Small files beside the versions that can be made again: what was measured on a memory, not what it holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memtune.store.durable import FORMAT, plain_errors, seal, sync_folder, unseal, write_file

NAMES = ("calibration.json",)


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


def write(folder: Path, name: str, document: Mapping[str, Any]) -> None:
    """The whole file or none of it."""
    plain = json.loads(json.dumps(document))
    with plain_errors(folder):
        write_file(folder / name, seal({"format": FORMAT, **plain}, indent=1), name)
        sync_folder(folder)
