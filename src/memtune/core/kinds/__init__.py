"""The kinds of experts. A further kind is one new file here and one line in KINDS."""

from __future__ import annotations

from memtune.config import Config
from memtune.core.experts import Kind
from memtune.core.kinds.imprint import Imprint
from memtune.core.kinds.kv import KeyValue
from memtune.errors import UsageError

KINDS: dict[str, type[Kind]] = {"imprint": Imprint, "kv": KeyValue}


def make_kinds(names: str, config: Config) -> list[Kind]:
    """Kinds from their names joined by `+`."""
    unknown = [name for name in names.split("+") if name not in KINDS]
    if unknown:
        raise UsageError(f"unknown kind '{unknown[0]}'", hint=f"kinds: {', '.join(KINDS)}, or several joined by +")
    return [KINDS[name](config) for name in names.split("+")]
