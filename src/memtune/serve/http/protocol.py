"""Which protocol a request speaks: its errors come back in that shape."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

Protocol = Literal["openai", "lamini"]

_LAMINI = re.compile(
    r"/v1/(train|local-data|existing-data|get-upload-base-path|version|embedding|batch_completions)(/.*)?"
    r"|/(v1alpha|v3)(/.*)?"
)
_SHARED = "/v1/completions"
"""Both protocols have it: a body with `model_name` is Lamini's, and so is what its client sends before it is read."""


def protocol_of(scope: Mapping[str, Any], body: Any = None) -> Protocol:
    """What a request speaks, by its address and, where that is not enough, by its body or its headers."""
    path = scope["path"]
    if path == _SHARED:
        if isinstance(body, dict) and ("model" in body or "model_name" in body):
            return "openai" if "model" in body else "lamini"
        return "lamini" if any(name == b"lamini-version" for name, _ in scope["headers"]) else "openai"
    return "lamini" if _LAMINI.fullmatch(path) else "openai"
