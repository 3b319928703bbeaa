"""Reading the prose corpora, and the hundredth of each that is kept for measuring."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from random import Random

BLOCK_CHARACTERS = 16_000
HELDOUT_EVERY = 100


def read_text(path: Path) -> str:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return file.read()


def blocks(path: Path) -> Iterator[str]:
    """Consecutive stretches of whole lines, about BLOCK_CHARACTERS long."""
    lines: list[str] = []
    size = 0
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            lines.append(line)
            size += len(line)
            if size >= BLOCK_CHARACTERS:
                yield "".join(lines)
                lines, size = [], 0
    if lines:
        yield "".join(lines)


def is_heldout_block(index: int) -> bool:
    return index % HELDOUT_EVERY == HELDOUT_EVERY // 2


def training_blocks(path: Path, seed: int) -> list[str]:
    kept = [block for index, block in enumerate(blocks(path)) if not is_heldout_block(index)]
    Random(seed).shuffle(kept)
    return kept


def heldout_blocks(path: Path) -> list[str]:
    return [block for index, block in enumerate(blocks(path)) if is_heldout_block(index)]
