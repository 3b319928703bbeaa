"""The recipe: what a TOML file under configs/ says, checked once, and nothing decided elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import tomllib

from .model import ModelConfig


@dataclass(frozen=True)
class SourceConfig:
    """One stream of training text: a corpus file, or a generator with its settings."""

    name: str
    corpus: str = ""  # file name in the corpora folder
    generator: str = ""  # name in sources.GENERATORS
    tokens: int = 0  # how much to generate; 0 reads a corpus whole
    settings: Mapping[str, Any] = field(default_factory=dict)
    in_tokenizer: bool = False  # whether the tokenizer is trained on a sample of it

    def __post_init__(self) -> None:
        if bool(self.corpus) == bool(self.generator):
            raise ValueError(f"source {self.name!r} needs either a corpus or a generator")
        if self.generator and self.tokens <= 0:
            raise ValueError(f"source {self.name!r} is endless and needs a number of tokens")


@dataclass(frozen=True)
class Phase:
    """A stretch of training with one mix: shares of rows by source, and how long a row is."""

    until: int  # tokens seen when the phase ends
    row: int
    mix: Mapping[str, float]
    batch_tokens: int = 4096
    long_row: int = 0  # every `long_every`-th step uses rows of this length and `long_mix` instead
    long_every: int = 0
    long_mix: Mapping[str, float] = field(default_factory=dict)

    def is_long(self, step: int) -> bool:
        return self.long_every > 0 and step % self.long_every == self.long_every - 1

    @property
    def sources(self) -> set[str]:
        return set(self.mix) | set(self.long_mix)


@dataclass(frozen=True)
class TrainConfig:
    seed: int = 0
    tokens: int = 20_000_000
    warmup_tokens: int = 500_000
    cooldown_tokens: int = 4_000_000
    matrix_rate: float = 4e-3
    vector_rate: float = 3e-3
    weight_decay: float = 0.05
    momentum: float = 0.95
    answer_weight: float = 2.0
    background_share: float = 0.12
    average_decay: float = 0.998  # per step, of the running average of weights
    clip: float = 1.0


@dataclass(frozen=True)
class Recipe:
    model: ModelConfig
    train: TrainConfig
    sources: Mapping[str, SourceConfig]
    phases: tuple[Phase, ...]

    def __post_init__(self) -> None:
        unknown = {name for phase in self.phases for name in phase.sources} - set(self.sources)
        if unknown:
            raise ValueError(f"phases mix sources that are not defined: {sorted(unknown)}")
        if not self.phases or self.phases[-1].until < self.train.tokens:
            raise ValueError("the last phase must reach the end of training")

    def phase_at(self, tokens: int) -> Phase:
        return next((p for p in self.phases if tokens < p.until), self.phases[-1])


def build(kind: type, table: Mapping[str, Any], where: str) -> Any:
    """A frozen dataclass from a TOML table; unknown keys are refused by name."""
    unknown = set(table) - {f.name for f in fields(kind)}
    if unknown:
        raise ValueError(f"unknown keys in [{where}]: {sorted(unknown)}")
    return kind(**table)


def load_recipe(path: Path) -> Recipe:
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    unknown = set(table) - {"model", "train", "sources", "phases"}
    if unknown:
        raise ValueError(f"unknown tables in {path.name}: {sorted(unknown)}")
    sources = {
        name: build(SourceConfig, {"name": name, **source}, f"sources.{name}")
        for name, source in table["sources"].items()
    }
    phases = tuple(build(Phase, phase, "phases") for phase in table["phases"])
    model = build(ModelConfig, table.get("model", {}), "model")
    return Recipe(model, build(TrainConfig, table.get("train", {}), "train"), sources, phases)
