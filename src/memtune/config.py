"""Every setting and its default. Nothing else in memtune holds a default value of a setting.

Settings are grouped by the room that reads them; on the command line they are written `group.name=value`
(`--set imprint.margin=12`). Unknown names and values of the wrong type are refused.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from memtune.errors import UnknownSetting, UsageError

DEFAULT_MODEL = "bundled"
KIND_NAMES = ("imprint", "kv")


class _Checked:
    """Settings that are of the right type and within bounds however they were made."""

    def __post_init__(self) -> None:
        for name, kind in _kinds(type(self)).items():
            _check(name, getattr(self, name), kind)

    def _at_least_one(self, *names: str) -> None:
        for name in names:
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1")


@dataclass(frozen=True)
class LearnConfig(_Checked):
    """How facts stream through."""

    kind: str = "imprint"
    """A kind of expert, or several joined by `+`."""
    lot_size: int = 512
    """Facts that are read, written and committed together."""
    batch_tokens: int = 8192
    """Padded tokens in one forward pass while reading."""
    max_answer_tokens: int = 1024
    max_answer_chars: int = 100_000
    proof: Literal["replay", "full"] = "replay"
    """`replay` proves every fact on its cached inputs and decodes a sample; `full` decodes every fact."""
    proof_sample: int = 4
    """Facts of every lot that are decoded freely when proof is `replay`."""
    on_conflict: Literal["error", "keep-first", "keep-last"] = "error"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least_one("lot_size", "batch_tokens")
        if not set(self.kind.split("+")) <= set(KIND_NAMES):
            raise UsageError(f"kind must be one of {', '.join(KIND_NAMES)}, or several joined by +, not '{self.kind}'")


@dataclass(frozen=True)
class ImprintConfig(_Checked):
    """Exact recital, in closed form."""

    margin: float = 16.0
    """Logits by which each answer token must lead all others in the context that it was learned in."""
    ridge: float = 1e-3
    """Ridge of the dictionary, relative to the mean eigenvalue of the unembedding's Gram matrix."""
    depth: int = 0
    """Where the expert acts: 0 after the last block, n before the last n blocks."""
    rounds: int = 12
    """Corrections at most, for sites below the last block."""


@dataclass(frozen=True)
class KvConfig(_Checked):
    """The fact's own key-value rows."""

    form: Literal["sentence", "qa"] = "qa"
    """What is read to make the rows: the bare question and answer, or both with their labels."""
    dtype: Literal["backbone", "bfloat16", "float8"] = "bfloat16"
    """How the rows are stored: as the backbone computes, in half of float32, or in a quarter."""


@dataclass(frozen=True)
class RouterConfig(_Checked):
    """From a prompt to the facts it asks for."""

    width: int = 256
    """Dimensions of the lexical sketch."""
    propose: int = 16
    """Facts that are looked at closely."""
    threshold: float = 0.8
    """Confidence from which a fact is confirmed when its wording is not a learned one."""
    max_facts: int = 4
    """Facts that one prompt may ask for."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least_one("width", "propose", "max_facts")


@dataclass(frozen=True)
class DecodeConfig(_Checked):
    """How an answer is decoded."""

    max_new_tokens: int = 1024
    """At least learn.max_answer_tokens, so that what was learned is said whole."""
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    fact_sampling: Literal["greedy", "free"] = "greedy"
    """Inside a recited fact: always the most likely token, or sampled like everything else."""
    after_fact: Literal["end", "continue"] = "end"
    """After the last recited fact: end the reply, or let the base model go on."""
    reroute: bool = True
    """Arm a fact in a gap that opens while decoding, such as a JSON field."""
    unknown: Literal["base", "abstain"] = "base"
    """What is not in the memory: answered by the base model, or not at all."""
    abstention: str = "I don't know."
    batch_size: int = 32
    """Questions that are decoded side by side."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least_one("max_new_tokens", "batch_size")
        if "" in self.stop:
            raise UsageError("a stop string must not be empty")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p must be above 0 and at most 1, not {self.top_p}")


@dataclass(frozen=True)
class Config:
    learn: LearnConfig = field(default_factory=LearnConfig)
    imprint: ImprintConfig = field(default_factory=ImprintConfig)
    kv: KvConfig = field(default_factory=KvConfig)
    router: RouterConfig = field(default_factory=RouterConfig)
    decode: DecodeConfig = field(default_factory=DecodeConfig)

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
        changed = replace(getattr(self, group), **{key: _parse(name, text)})
        return dataclasses.replace(self, **{group: changed})


T = typing.TypeVar("T")


def _kinds(config: type) -> dict[str, Any]:
    return typing.get_type_hints(config)


def replace(config: T, **changes: Any) -> T:
    """`dataclasses.replace` that names the near ones when a setting does not exist and checks the values."""
    kinds = _kinds(type(config))
    for name in changes:
        if name not in kinds:
            raise UnknownSetting(name, kinds)
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]


def setting_names() -> list[str]:
    return [f"{group.name}.{f.name}" for group in dataclasses.fields(Config) for f in _fields(group.name)]


def _fields(group: str) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(typing.get_type_hints(Config)[group])


def _parse(name: str, text: str) -> Any:
    group, _, key = name.partition(".")
    kind = typing.get_type_hints(typing.get_type_hints(Config)[group])[key]
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise UsageError(f"{name} must be true or false, not '{text}'")
        return text.lower() == "true"
    if typing.get_origin(kind) is tuple:
        return tuple(part for part in text.split(",") if part)
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            raise UsageError(f"{name} must be a number, not '{text}'") from None
    return text


def _check(name: str, value: Any, kind: Any) -> None:
    origin = typing.get_origin(kind)
    if origin is Literal and value not in typing.get_args(kind):
        raise UsageError(f"{name} must be one of {', '.join(map(str, typing.get_args(kind)))}, not '{value}'")
    if kind is int and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise UsageError(f"{name} must be a whole number that is not negative, not '{value}'")
    if kind is float and (
        not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value) or value < 0
    ):
        raise UsageError(f"{name} must be a number that is not negative, not '{value}'")
    if isinstance(kind, types.UnionType) or origin in (tuple, Literal) or kind in (int, float):
        return
    if isinstance(kind, type) and not isinstance(value, kind):
        raise UsageError(f"{name} must be {kind.__name__}, not '{value}'")
