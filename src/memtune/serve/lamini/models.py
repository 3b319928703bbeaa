"""The models that a server has, and its version."""

from __future__ import annotations

from typing import Any

from memtune import __version__
from memtune.errors import UsageError
from memtune.serve.house import House
from memtune.serve.keys import Key
from memtune.serve.shelf import UnknownModel

CLIENT = "3.4.6"
"""The version of the reference's client whose protocol this is."""
MODEL_TYPES = ("transformer", "embedding")
_PATHS = {
    "completions": "/v1/completions",
    "streaming_completions": "/v3/streaming_completions",
    "batch_completions": "/v1/batch_completions",
    "embedding": "/v1/embedding",
    "train": "/v1/train",
    "data": "/v1/local-data",
    "downloaded_models": "/v1alpha/downloaded_models/",
}


def listed(house: House, key: Key) -> list[dict[str, Any]]:
    return [_described(name, MODEL_TYPES[0]) for name in house.shelf.models(key)]


def downloaded(house: House, key: Key, hf_model_name: Any, model_type: Any) -> dict[str, Any]:
    """A model that is here. None is downloaded because a client asks for it: who runs the server names its models."""
    if model_type not in MODEL_TYPES:
        raise UsageError(f"model_type must be {' or '.join(MODEL_TYPES)}")
    if not isinstance(hf_model_name, str) or hf_model_name not in (*house.shelf.models(key), house.shelf.model):
        raise UnknownModel(str(hf_model_name), house.shelf.models(key))
    return _described(hf_model_name, model_type)


def version(client: str | None = None) -> dict[str, Any]:
    return {
        "api": [{"name": name, "path": path} for name, path in _PATHS.items()],
        "server": __version__,
        "client": client or CLIENT,
    }


def _described(name: str, model_type: str) -> dict[str, Any]:
    return {"model_name": name, "model_type": model_type, "is_public": False, "status": "available"}
