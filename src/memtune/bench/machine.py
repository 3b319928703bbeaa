"""The machine: what it is, and how much memory this process takes."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import sys
from contextlib import suppress
from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
MEGABYTE = 1 << 20


def describe(device: str, dtype: str) -> dict[str, object]:
    """What a reader needs to know to compare the figures with other ones."""
    import torch
    import transformers

    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "device": device,
        "dtype": dtype,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "transformers": transformers.__version__,
    }


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


class Peak:
    """The resident memory of this process, before and at its highest since; None where nobody counts it."""

    def __init__(self, *, tidy: bool = True) -> None:
        if tidy:
            give_back()
        self.before = resident()
        self._counted = _restart_count()

    @property
    def bytes(self) -> int | None:
        return _field("VmHWM") if self._counted else None

    @property
    def above(self) -> int | None:
        """What was needed on top of what the process held before."""
        return None if self.bytes is None or self.before is None else max(0, self.bytes - self.before)


def resident() -> int | None:
    return _field("VmRSS")


def mapped() -> int | None:
    """The part of the resident memory that is mapped from files: the system takes it back when it needs room."""
    return _field("RssFile")


def give_back() -> None:
    """Free what is not in use, so that the next count starts low."""
    gc.collect()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def _restart_count() -> bool:
    try:
        _RESET.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _field(name: str) -> int | None:
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return None


def megabytes(size: int | None) -> str:
    return "not measured" if size is None else f"{size / MEGABYTE:,.0f} MB"
