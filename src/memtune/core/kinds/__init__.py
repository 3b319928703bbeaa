"""The kinds of experts. A further kind is one new file here, its name in config.KIND_NAMES and one line in KINDS."""

from __future__ import annotations

from memtune.config import Config
from memtune.core.experts import Kind
from memtune.core.kinds.distil import Distil
from memtune.core.kinds.imprint import Imprint
from memtune.core.kinds.kv import KeyValue
from memtune.core.kinds.lora import Lora

KINDS: dict[str, type[Kind]] = {"imprint": Imprint, "kv": KeyValue, "lora": Lora, "distil": Distil}


def make_kinds(names: str, config: Config) -> list[Kind]:
    """Kinds from their names joined by `+`."""
    return [KINDS[name](config) for name in names.split("+")]
