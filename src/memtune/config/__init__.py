"""Every setting and its default. Nothing else in memtune holds a default value of a setting.

Settings are grouped by the room that reads them; on the command line they are written `group.name=value`
(`--set imprint.margin=12`). Unknown names and values of the wrong type are refused.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from memtune.checked import Checked, kinds_of, parse, replace
from memtune.config.asking import INDEX_METHODS, DecodeConfig, InboxConfig, IndexConfig, RouterConfig
from memtune.config.learning import (
    KIND_NAMES,
    ConsolidateConfig,
    DistilConfig,
    ImprintConfig,
    KvConfig,
    LearnConfig,
    LoraConfig,
    SkillConfig,
)
from memtune.config.serving import DEFAULT_DATA, ServeConfig
from memtune.errors import UnknownSetting, UsageError

__all__ = [
    "CASES",
    "DEFAULT_DATA",
    "DEFAULT_MODEL",
    "INDEX_METHODS",
    "KIND_NAMES",
    "LADDER",
    "RACE",
    "UNRELATED",
    "AdmissionConfig",
    "Config",
    "ConsolidateConfig",
    "DecodeConfig",
    "DistilConfig",
    "ImprintConfig",
    "InboxConfig",
    "IndexConfig",
    "KvConfig",
    "LearnConfig",
    "LoraConfig",
    "RouterConfig",
    "ServeConfig",
    "SkillConfig",
    "TransferConfig",
    "setting_names",
]

DEFAULT_MODEL = "bundled"
LADDER = ("base", "prompt", "rag", "memory", "memory+rag", "lookup", "oracle", "random")
"""Ways of answering that an evaluation compares."""
RACE = ("imprint", "peft-lora", "full-ft", "locft", "rag", "prompt", "lookup", "oracle", "grace")
"""Ways of keeping facts that a race compares."""
CASES = 200
"""Cases of each form of asking, and facts of a race, at most."""
UNRELATED = 64
"""Prompts about other things that an evaluation compares with the plain model bit for bit."""


@dataclass(frozen=True)
class AdmissionConfig(Checked):
    """What a bulk commit must reach to be served at once; below it, it waits as a candidate. Kept with the memory."""

    recall: float = 0.0
    """Share of a sample of its facts that must be recalled exactly; 0 asks for nothing."""
    near_miss: float = 1.0
    """Share of questions beside the facts that may fire at most; 1 asks for nothing."""
    ability: float = 0.0
    """General ability that must be left, as a share of the plain backbone's; 0 asks for nothing."""
    sample: int = 64
    """Facts that are asked to measure recall."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least_one("sample")
        for name in ("recall", "near_miss", "ability"):
            if getattr(self, name) > 1:
                raise UsageError(f"{name} must be between 0 and 1, not {getattr(self, name)}")

    @property
    def active(self) -> bool:
        return self.recall > 0 or self.near_miss < 1 or self.ability > 0


@dataclass(frozen=True)
class TransferConfig(Checked):
    """Memories that come from elsewhere."""

    max_bytes: int = 1 << 38
    """What a file may unpack to."""


@dataclass(frozen=True)
class Config:
    learn: LearnConfig = field(default_factory=LearnConfig)
    imprint: ImprintConfig = field(default_factory=ImprintConfig)
    kv: KvConfig = field(default_factory=KvConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)
    distil: DistilConfig = field(default_factory=DistilConfig)
    router: RouterConfig = field(default_factory=RouterConfig)
    index: IndexConfig = field(default_factory=IndexConfig)
    admission: AdmissionConfig = field(default_factory=AdmissionConfig)
    decode: DecodeConfig = field(default_factory=DecodeConfig)
    skill: SkillConfig = field(default_factory=SkillConfig)
    inbox: InboxConfig = field(default_factory=InboxConfig)
    consolidate: ConsolidateConfig = field(default_factory=ConsolidateConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    serve: ServeConfig = field(default_factory=ServeConfig)

    def with_settings(self, assignments: Iterable[str]) -> Config:
        """A copy with `group.name=value` assignments applied."""
        config = self
        for assignment in assignments:
            name, found, text = assignment.partition("=")
            if not found:
                raise UsageError(
                    f"'{assignment}' is not a setting", hint="write group.name=value, as in imprint.margin=12"
                )
            config = config._with(name.strip(), text.strip())
        return config

    def _with(self, name: str, text: str) -> Config:
        if name not in setting_names():
            raise UnknownSetting(name, setting_names())
        group, _, key = name.partition(".")
        changed = replace(getattr(self, group), **{key: parse(name, kinds_of(type(getattr(self, group)))[key], text)})
        return dataclasses.replace(self, **{group: changed})


def setting_names() -> list[str]:
    return [f"{group.name}.{f.name}" for group in dataclasses.fields(Config) for f in _fields(group.name)]


def _fields(group: str) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(typing.get_type_hints(Config)[group])
