"""Experts that leave memtune: low-rank factors that act on all positions, as an ordinary adapter of PEFT.

An adapter is always on: it has no router, and nothing keeps it from what it was not learned for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from memtune.core.backbone import Backbone
from memtune.core.experts import Tensors
from memtune.core.gradient.low_rank import SCALE, acts_everywhere, site_names
from memtune.core.gradient.sites import site_named
from memtune.errors import NotFound, UsageError
from memtune.memory import Memory
from memtune.store.durable import plain_errors
from memtune.store.shards import encode

_WEIGHTS, _CONFIG = "adapter_model.safetensors", "adapter_config.json"
_WHY_NOT = {
    "imprint": "it adds to the stream at the places of one answer",
    "kv": "it is rows of attention, not weights",
    "distil": "it is rows of attention, not weights",
}


@dataclass(frozen=True)
class Adapter:
    """What was written."""

    where: str
    name: str
    rank: int
    layers: int
    """Linear layers that it changes."""
    bytes: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def export_adapter(memory: Memory, name: str, directory: str | os.PathLike[str]) -> Adapter:
    """The expert of a fact, by its id, or of a skill, by its name."""
    tensors = _acting_everywhere(name, _experts_of(memory, name))
    return write_adapter(directory, memory.backbone, tensors, name=name)


def write_adapter(
    directory: str | os.PathLike[str], backbone: Backbone, tensors: Tensors, *, name: str = ""
) -> Adapter:
    """One stored expert of kind lora as `adapter_config.json` and `adapter_model.safetensors`."""
    if not acts_everywhere(tensors):
        raise UsageError(
            f"{name or 'this expert'} acts from the last token of the prompt on, and a PEFT adapter on all positions",
            hint="learn it with --set lora.positions=all",
        )
    folder = Path(directory)
    with plain_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if found := [n for n in (_WEIGHTS, _CONFIG) if (folder / n).exists()]:
            raise UsageError(f"{folder} already holds {found[0]}", hint="name another folder")
        modules = _names_in_model(backbone, tensors)
        weights = encode(_weights(tensors, modules))
        (folder / _WEIGHTS).write_bytes(weights)
        config = _config(backbone, tensors, list(modules.values()))
        (folder / _CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return Adapter(os.fspath(directory), name, config["r"], len(modules), len(weights))


def _experts_of(memory: Memory, name: str) -> dict[str, Tensors]:
    """The stored experts by kind."""
    if ref := memory.folder.find([name]).get(name):
        found = memory.answering.experts((ref.segment, ref.row))
        return {kind: expert.tensors for kind, expert in found.items()}
    skill = memory.folder.manifest.skills.get(name)
    if skill is None:
        raise NotFound(f"no fact and no skill '{name}' in this memory")
    return {kind: memory.folder.skill_shard(skill, kind) for kind in skill.kinds}


def _acting_everywhere(name: str, experts: Mapping[str, Tensors]) -> Tensors:
    if "lora" in experts:
        return experts["lora"]
    reasons = [f"of kind {kind}: {_WHY_NOT.get(kind, 'it is no low-rank factors')}" for kind in experts]
    raise UsageError(
        f"'{name}' cannot become a PEFT adapter; it is {'; and '.join(reasons)}",
        hint="experts of kind lora with lora.positions=all can, and skills",
    )


def _names_in_model(backbone: Backbone, tensors: Tensors) -> dict[str, str]:
    """From the sites of an expert to the full names of their modules."""
    names = {id(module): name for name, module in backbone.model.named_modules()}
    return {site: names[id(site_named(backbone, site).module)] for site in site_names(tensors)}


def _weights(tensors: Tensors, modules: Mapping[str, str]) -> dict[str, Any]:
    parts = {"a": "lora_A", "b": "lora_B"}
    return {
        f"base_model.model.{module}.{theirs}.weight": tensors[f"{site}.{ours}"]
        for site, module in modules.items()
        for ours, theirs in parts.items()
    }


def _config(backbone: Backbone, tensors: Tensors, modules: list[str]) -> dict[str, Any]:
    first = site_names(tensors)[0]
    rank = len(tensors[f"{first}.a"])
    alpha = round(float(tensors[SCALE]) * rank, 6)
    transposed = not hasattr(
        site_named(backbone, first).module, "in_features"
    )  # layers that keep weights the other way
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": backbone.name,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": int(alpha) if alpha.is_integer() else alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": transposed,
        "target_modules": modules,
    }
