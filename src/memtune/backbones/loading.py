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
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_HUB_SECONDS = 10
_NEEDS = "a model folder needs config.json, tokenizer files and *.safetensors"


def load_backbone(model: str | os.PathLike[str], *, device: str | None = None, dtype: str | None = None) -> Backbone:
    """Load a causal language model and its tokenizer, frozen, in `dtype` (default: float32 on a CPU, else bfloat16)."""
    import torch
    from safetensors import SafetensorError
    from transformers.utils import logging

    where = _resolve(model)
    device = device or _best_device(torch)
    given = _precision(torch, device, dtype)
    logging.disable_progress_bar()
    try:
        loaded, tokenizer = _read(where, given) if Path(where).is_dir() else _read_from_hub(where, given)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise _explained(model, error) from error
    if "quantization_config" not in given:
        loaded = loaded.to(device)
    return Backbone(loaded, tokenizer, name=str(model))


def _read(where: str, given: dict[str, Any]) -> tuple[Any, Any]:
    """The model and its tokenizer; a model whose weights are not all there would be filled up at random."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    read: Any = AutoModelForCausalLM.from_pretrained
    loaded, found = read(where, trust_remote_code=False, output_loading_info=True, **given)
    missing = sorted(found["missing_keys"])
    if missing:
        raise BackboneError(
            f"the weights of '{where}' lack {len(missing)} tensors, such as {missing[0]}",
            hint="it is no causal language model, or its files are incomplete",
        )
    return loaded, AutoTokenizer.from_pretrained(where, trust_remote_code=False)


def _read_from_hub(name: str, given: dict[str, Any]) -> tuple[Any, Any]:
    """The copy in the local cache if it is whole: it needs no network and does not change from day to day."""
    from huggingface_hub import snapshot_download

    try:
        return _read(snapshot_download(name, local_files_only=True), given)
    except (OSError, ValueError):
        _require_on_hub(name)
    return _read(name, given)


def _require_on_hub(name: str) -> None:
    """One question to the hub: left to itself, its library tries for a minute before it gives up."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        HfApi().model_info(name, timeout=_HUB_SECONDS)
    except (HFValidationError, RepositoryNotFoundError):
        raise NotFound(
            f"no model '{name}': there is no such folder, and the hub knows none that you may read",
            hint="a private or gated model needs `hf auth login` first",
        ) from None
    except Exception as error:  # what the network library of the day raises
        raise BackboneError(
            f"cannot load the model '{name}': it is not in the local cache, and the hub cannot be reached",
            hint=f"without a network, name a folder or a model that is in the cache ({_first_line(error):.120})",
        ) from None


def _resolve(model: str | os.PathLike[str]) -> str:
    name = os.fspath(model)
    if name == DEFAULT_MODEL:
        return str(bundled_folder())
    path = Path(name)
    if path.is_file():
        raise UsageError(f"'{name}' is a file, not a model folder", hint="name the folder that holds config.json")
    if path.is_dir() and not (path / "config.json").is_file():
        raise UsageError(f"'{name}' holds no config.json: it is not a model folder", hint=_NEEDS)
    if path.is_dir() and not any(file for pattern in _WEIGHTS for file in path.glob(pattern)):
        raise BackboneError(f"the model folder '{name}' holds no weights", hint=_NEEDS)
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
    reason, hint = _first_line(error), _NEEDS
    if "backend tokenizer" in reason:
        reason = "it has no tokenizer that can be read"
    elif "trust_remote_code" in str(error):
        hint = "memtune never runs code that a model brings; use a model that transformers knows"
    elif type(error).__name__ == "SafetensorError":
        hint = "its weights are damaged or cut short: fetch them again"
    return BackboneError(f"cannot load the model '{model}': {reason:.300}", hint=hint)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
