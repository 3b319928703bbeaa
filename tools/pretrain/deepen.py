"""A larger model that says the same: every block followed by copies of itself that add nothing yet.

The copies' outputs into the residual stream are zero, so the function is the old one, and training has all the new
weights to use. A substitute for a model that was trained at that size: it has the capacity, not the knowledge.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from .export import CHECKSUMS, WEIGHTS, as_json, put, write_checksums

_BLOCK = re.compile(r"^model\.layers\.(\d+)\.(.+)$")
_OUTPUTS = ("self_attn.o_proj.weight", "mlp.down_proj.weight")


def deepen(source: Path, out: Path, times: int) -> int:
    """Write the model with `times` as many blocks; returns the number of its parameters."""
    settings = json.loads((source / "config.json").read_text(encoding="utf-8"))
    weights = deepened(load_file(source / WEIGHTS), times)
    out.mkdir(parents=True, exist_ok=True)
    for path in source.glob("*.json"):
        if path.name not in ("config.json", CHECKSUMS):
            put(out, path.name, path.read_text(encoding="utf-8"))
    put(out, "config.json", as_json({**settings, "num_hidden_layers": times * settings["num_hidden_layers"]}))
    save_file(weights, out / WEIGHTS, metadata={"format": "pt"})
    write_checksums(out)
    return sum(w.numel() for w in weights.values())


def deepened(weights: dict[str, torch.Tensor], times: int) -> dict[str, torch.Tensor]:
    found = {}
    for name, weight in weights.items():
        block = _BLOCK.match(name)
        if block is None:
            found[name] = weight
            continue
        number, part = int(block[1]), block[2]
        for copy in range(times):
            quiet = copy > 0 and part in _OUTPUTS
            held = torch.zeros_like(weight) if quiet else weight.clone()
            found[f"model.layers.{times * number + copy}.{part}"] = held
    return found
