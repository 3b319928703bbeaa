"""A backbone from a name: the bundled one, a folder, or a model of the hub. Never runs code that a model brings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from memtune.backbones import bundled_folder
from memtune.config import DEFAULT_MODEL
from memtune.core.backbone import Backbone
from memtune.errors import BackboneError, ExtraMissing, NotFound, UsageError

_DTYPES = ("float32", "bfloat16", "float16")
_QUANTISED = ("8bit", "4bit")


def load_backbone(model: str | os.PathLike[str], *, device: str | None = None, dtype: str | None = None) -> Backbone:
    """Load a causal language model and its tokenizer, frozen, in `dtype` (default: float32 on a CPU, else bfloat16)."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    where = _resolve(model)
    device = device or _best_device(torch)
    given = _precision(torch, device, dtype)
    logging.disable_progress_bar()
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(where, trust_remote_code=False, **given)
        tokenizer = AutoTokenizer.from_pretrained(where, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise _explained(model, error) from error
    if "quantization_config" not in given:
        loaded = loaded.to(device)
    return Backbone(loaded, tokenizer, name=str(model))


def _resolve(model: str | os.PathLike[str]) -> str:
    name = os.fspath(model)
    if name == DEFAULT_MODEL:
        return str(bundled_folder())
    path = Path(name)
    if path.is_file():
        raise UsageError(f"'{name}' is a file, not a model folder", hint="name the folder that holds config.json")
    if path.is_dir() and not (path / "config.json").is_file():
        raise UsageError(f"'{name}' holds no config.json: it is not a model folder")
    if not path.exists() and (path.is_absolute() or name.startswith(".") or name.count("/") > 1):
        raise NotFound(f"no model folder at '{name}'")
    return name


def _best_device(torch: Any) -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _precision(torch: Any, device: str, dtype: str | None) -> dict[str, Any]:
    if dtype in _QUANTISED:
        return {"quantization_config": _quantisation(dtype), "device_map": device}
    dtype = dtype or ("float32" if device == "cpu" else "bfloat16")
    if dtype not in _DTYPES:
        raise UsageError(f"unknown dtype '{dtype}'", hint=f"one of {', '.join((*_DTYPES, *_QUANTISED))}")
    return {"dtype": getattr(torch, dtype)}


def _quantisation(dtype: str) -> Any:
    from importlib.util import find_spec

    from transformers import BitsAndBytesConfig

    if find_spec("bitsandbytes") is None:
        raise ExtraMissing("bitsandbytes", "quantised")
    return BitsAndBytesConfig(load_in_8bit=dtype == "8bit", load_in_4bit=dtype == "4bit")


def _explained(model: str | os.PathLike[str], error: Exception) -> BackboneError:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    hint = "a model folder needs config.json, tokenizer files and *.safetensors"
    if "trust_remote_code" in str(error):
        hint = "memtune never runs code that a model brings; use a model that transformers knows"
    elif not Path(model).exists():
        hint = "without a network only folders and models already in the local cache can be loaded"
    return BackboneError(f"cannot load the model '{model}': {first:.300}", hint=hint)
