"""The folder of a card: all three files, or none."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from memtune.errors import NotFound, UsageError
from memtune.evaluate.card.card import Card
from memtune.evaluate.card.markdown import markdown
from memtune.evaluate.card.page import page
from memtune.evaluate.output import plain

FILES = ("card.json", "card.md", "card.html")


def write_card(card: Card, folder: Path, *, replace: bool = False) -> list[Path]:
    """Make everything beside its place, then put it there by renaming.

    A folder that is replaced keeps what else is in it.
    """
    require_folder(folder, replace=replace)
    folder = folder.resolve()
    texts = (_json(card), markdown(card), page(card))
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, text in zip(FILES, texts, strict=True):
            _write(fresh / name, text)
        if folder.is_dir() and any(folder.iterdir()):
            _exchange(fresh, folder)
        else:
            fresh.chmod(0o755)
            fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return [folder / name for name in FILES]


def require_folder(folder: Path, *, replace: bool = False) -> None:
    """Say before an hour of measuring that its card could not be written."""
    if not folder.absolute().parent.is_dir():
        raise NotFound(f"no folder '{folder.absolute().parent}' to put the card into")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"'{folder}' is a file, and a card is a folder")
    if folder.is_dir() and any(folder.iterdir()) and not replace:
        raise UsageError(
            f"'{folder}' exists and is not empty", hint="name another folder, or add --replace (replace=True)"
        )


def _exchange(fresh: Path, folder: Path) -> None:
    """File by file; where one cannot be put in place, the old ones come back."""
    old = fresh / "old"
    old.mkdir()
    for name in FILES:
        if (folder / name).exists():
            shutil.copy2(folder / name, old / name)
    try:
        for name in FILES:
            (fresh / name).replace(folder / name)
    except OSError:
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
            if (old / name).exists():
                (old / name).replace(folder / name)
        raise


def _write(path: Path, text: str) -> None:
    with path.open("wb") as file:
        file.write(text.encode("utf-8", "replace"))
        file.flush()
        os.fsync(file.fileno())


def _json(card: Card) -> str:
    return json.dumps(_finite(plain(card.to_json())), indent=1, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """JSON knows no infinity and nothing that is not a number."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int)) else str(value)
