"""No test needs the network, and none depends on how busy the machine is."""

from __future__ import annotations

import os

import torch
from hypothesis import settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
torch.set_num_threads(1)  # tiny models gain nothing from threads, and lose much where others compute beside them
settings.register_profile("memtune", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("memtune")
