"""A memory that is learned for a measurement and gone after it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.core.reports import LearnReport
from memtune.model import MemoryModel


@dataclass(frozen=True)
class Learned:
    """A memory that was just learned."""

    model: MemoryModel
    report: LearnReport
    folder: Path

    @property
    def bytes(self) -> int:
        """Of everything that the memory's folder holds."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())


@contextmanager
def learned(
    backbone: Backbone,
    facts: Sequence[Fact],
    config: Config,
    kind: str | None = None,
    *,
    measure_reading: bool = False,
) -> Iterator[Learned]:
    """A memory of these facts, gone at the end. Facts that could not be learned are in its report."""
    with tempfile.TemporaryDirectory(prefix="memtune-") as name:
        folder = Path(name) / "memory"
        source = write(facts, Path(name) / "facts.jsonl")
        with MemoryModel(backbone, folder, config=config) as model:
            yield Learned(model, model.learn(source, kind=kind, measure_reading=measure_reading), folder)


def write(facts: Iterable[Fact], path: Path) -> Path:
    """A JSONL file that `learn` reads."""
    with path.open("w", encoding="utf-8") as file:
        for fact in facts:
            file.write(json.dumps(fact.to_row(), ensure_ascii=False) + "\n")
    return path
