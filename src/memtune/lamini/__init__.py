"""A drop-in for the reference's client: `from memtune.lamini import Lamini`.

With an address (given, in LAMINI_API_URL, or in ~/.lamini/configure.yaml) it speaks to a server; without one it works
in this process.
"""

from __future__ import annotations

import os

from memtune.lamini import error
from memtune.lamini.client import DownloadedModel, Lamini, ModelType
from memtune.lamini.error import LaminiError

api_key: str | None = os.environ.get("LAMINI_API_KEY")
"""What is used where a call names no key; programs may set it."""
api_url: str | None = os.environ.get("LAMINI_API_URL")

__all__ = ["DownloadedModel", "Lamini", "LaminiError", "ModelType", "api_key", "api_url", "error"]
