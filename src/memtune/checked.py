"""What settings are made of: frozen dataclasses whose values are checked however they were made."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any, Literal

from memtune.errors import UnknownSetting, UsageError

T = typing.TypeVar("T")
_KINDS: dict[type, dict[str, Any]] = {}


def kinds_of(config: type) -> dict[str, Any]:
    """The type of each setting. They are worked out once: every request to a server changes some."""
    if config not in _KINDS:
        _KINDS[config] = typing.get_type_hints(config)
    return _KINDS[config]


def replace(config: T, **changes: Any) -> T:
    """`dataclasses.replace` that names the near ones when a setting does not exist and checks the values."""
    kinds = kinds_of(type(config))
    for name in changes:
        if name not in kinds:
            raise UnknownSetting(name, kinds)
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]


class Checked:
    """Settings that are of the right type and within bounds however they were made."""

    def __post_init__(self) -> None:
        for name, kind in kinds_of(type(self)).items():
            _check(name, getattr(self, name), kind)

    def at_least_one(self, *names: str) -> None:
        for name in names:
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1")


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


def parse(name: str, kind: Any, text: str) -> Any:
    """What is written for a setting of this type."""
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
