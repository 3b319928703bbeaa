"""The backbone that ships with memtune, and the check that it arrived whole.

`bundled/` is in Hugging Face layout and loads like any other model folder; see docs/backbone.md for what it is.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NoReturn

from memtune.errors import BackboneDamaged

BUNDLED = Path(__file__).parent / "bundled"
CHECKSUMS = "checksums.json"
REPAIR = (
    "reinstall it: pip install --force-reinstall --no-deps memtune; in a checkout: git checkout src/memtune/backbones"
)


def bundled_folder() -> Path:
    """The folder of the bundled backbone, after comparing every file with its recorded size and SHA-256."""
    check_folder(BUNDLED)
    return BUNDLED


def check_folder(folder: Path) -> None:
    """Raise BackboneDamaged unless every recorded file is there, byte for byte."""
    for name, recorded in _recorded_files(folder).items():
        path = folder / name
        if not path.is_file():
            _damaged(f"{name} is missing from {folder}")
        if path.stat().st_size != recorded.get("bytes"):
            _damaged(f"{name} has {path.stat().st_size:,} bytes instead of {recorded.get('bytes')}")
        if _sha256(path) != recorded.get("sha256"):
            _damaged(f"the contents of {name} were altered")


def _recorded_files(folder: Path) -> dict[str, dict[str, int | str]]:
    try:
        table = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        _damaged(f"{CHECKSUMS} is missing from {folder}")
    except ValueError:
        _damaged(f"{CHECKSUMS} cannot be read")
    if not isinstance(table, dict) or not all(isinstance(row, dict) for row in table.values()):
        _damaged(f"{CHECKSUMS} cannot be read")
    return table


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _damaged(what: str) -> NoReturn:
    raise BackboneDamaged(f"the bundled backbone is damaged: {what}", hint=REPAIR)
