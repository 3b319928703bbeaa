"""Where the server is, and the key for it: looked up where the reference's client looks."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

_SECTIONS = {"LOCAL": "local", "STAGING": "staging"}
_FILE = Path(".lamini", "configure.yaml")


def find_url(given: str | None) -> str | None:
    """The address of a server, if anybody named one. Without any, the work is done in this process."""
    found = given or _module("api_url") or _configured("url")
    return found.rstrip("/") if found else None


def find_key(given: str | None) -> str | None:
    return given or _module("api_key") or _configured("key")


def _module(name: str) -> str | None:
    """`memtune.lamini.api_key` or `.api_url`, which hold what the environment says until a program sets them."""
    found: str | None = getattr(importlib.import_module("memtune.lamini"), name, None)
    return found or os.environ.get(f"LAMINI_{name.upper()}")


def _configured(name: str) -> str | None:
    path = Path.home() / _FILE
    if not path.is_file():
        return None
    yaml: Any = importlib.import_module("yaml")
    section = _SECTIONS.get(os.environ.get("LLAMA_ENVIRONMENT", ""), "production")
    held = yaml.safe_load(path.read_text(encoding="utf-8"))
    found = (held.get(section) or {}) if isinstance(held, dict) else {}
    value = found.get(name) if isinstance(found, dict) else None
    return str(value) if value else None
