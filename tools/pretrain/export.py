"""A checkpoint to a folder in Hugging Face layout, written beside and moved into place file by file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from .model import ModelConfig
from .text.document import END, PAD
from .tokenizer import tokenizer_settings

WEIGHTS = "model.safetensors"
CHECKSUMS = "checksums.json"


def llama_settings(model: ModelConfig, tokenizer: Tokenizer) -> dict[str, object]:
    """config.json, as `transformers.LlamaConfig` reads it."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": model.vocab_size,
        "hidden_size": model.width,
        "intermediate_size": model.mlp_width,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.heads,
        "head_dim": model.head_size,
        "max_position_embeddings": model.context,
        "rms_norm_eps": model.norm_eps,
        "rope_theta": model.rope_theta,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": tokenizer.token_to_id(END),
        "pad_token_id": tokenizer.token_to_id(PAD),
        "dtype": "bfloat16",
    }


def generation_settings(tokenizer: Tokenizer) -> dict[str, object]:
    eos, pad = tokenizer.token_to_id(END), tokenizer.token_to_id(PAD)
    return {"do_sample": False, "max_new_tokens": 64, "eos_token_id": eos, "pad_token_id": pad}


def read_weights(checkpoint: Path, part: str) -> dict[str, torch.Tensor]:
    """The `master` weights of a checkpoint or their running `average`, in bfloat16."""
    state = load_file(checkpoint / "state.safetensors")
    prefix = f"{part}/"
    return {k.removeprefix(prefix): t.bfloat16().contiguous() for k, t in state.items() if k.startswith(prefix)}


def put(folder: Path, name: str, content: str) -> None:
    temporary = folder / f".{name}.writing"
    temporary.write_text(content, encoding="utf-8")
    temporary.replace(folder / name)


def as_json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def export(checkpoint: Path, tokenizer: Tokenizer, model: ModelConfig, out: Path, part: str = "average") -> None:
    out.mkdir(parents=True, exist_ok=True)
    put(out, "config.json", as_json(llama_settings(model, tokenizer)))
    put(out, "generation_config.json", as_json(generation_settings(tokenizer)))
    put(out, "tokenizer.json", tokenizer.to_str() + "\n")
    put(out, "tokenizer_config.json", as_json(tokenizer_settings(model.context)))
    temporary = out / f".{WEIGHTS}.writing"
    save_file(read_weights(checkpoint, part), temporary, metadata={"format": "pt"})
    temporary.chmod(0o644)
    temporary.replace(out / WEIGHTS)
    write_checksums(out)


def write_checksums(folder: Path) -> None:
    """Size and SHA-256 of every file, for the check that memtune makes before it loads the folder."""
    names = sorted(p.name for p in folder.iterdir() if p.suffix in {".json", ".safetensors"} and p.name != CHECKSUMS)
    table = {name: {"bytes": (folder / name).stat().st_size, "sha256": digest(folder / name)} for name in names}
    put(folder, CHECKSUMS, as_json(table))


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
