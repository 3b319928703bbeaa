"""Beside `memtune bench serve`: `transformers serve` with the model alone, and peft with an adapter for each row.

peft runs in a process of its own: `python -m memtune.bench.serve_peers`; see `serve_processes.Child`.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtune.bench.serve_processes import Server, answer_lines, failed, running
from memtune.config import DEFAULT_MODEL

if TYPE_CHECKING:
    from memtune.core.backbone import Backbone

TRANSFORMERS = {"transformers serve": (), "transformers serve, continuous batching": ("--continuous-batching",)}
"""What stands beside the server, by name: further options of its command."""
_START_SECONDS = 120.0


def missing_for_transformers() -> str:
    """Why `transformers serve` cannot run here; empty if it can."""
    wanted = {
        "fastapi": "fastapi",
        "uvicorn": "uvicorn",
        "openai": "openai",
        "transformers.cli.serve": "transformers>=5",
    }
    lacking = [package for module, package in wanted.items() if not _is_there(module)]
    return (
        f"transformers serve is left out: it needs {', '.join(lacking)}; pip install 'transformers[serving]'"
        if lacking
        else ""
    )


def missing_for_peft() -> str:
    return "" if _is_there("peft") else "peft is left out: pip install 'memtune[peers]'"


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


# ---- transformers serve ---------------------------------------------------------------------------------------------


@contextmanager
def serving(name: str, model: str, threads: int) -> Iterator[Server]:
    """The same model behind `transformers serve`, in the precision that memtune gives it."""
    port, where = _free_port(), _folder(model)
    command = [sys.executable, "-c", "from transformers.cli.transformers import app; app()", "serve", where]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    with tempfile.TemporaryDirectory(prefix="memtune-") as folder:
        log = Path(folder) / "log"
        with running(name, [*command, *TRANSFORMERS[name]], threads, log) as process:
            if not _wait_for(port, process):
                raise failed(name, log)
            yield Server(name, port, process.pid, where, peer=True)


def _folder(model: str) -> str:
    from memtune.backbones import bundled_folder

    return str(bundled_folder()) if model == DEFAULT_MODEL else model


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[str]) -> bool:
    until = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
        time.sleep(0.2)
    return False


# ---- peft -----------------------------------------------------------------------------------------------------------


class Adapters:
    """One batch in which each row has an adapter of its own, on the layers where memtune's low-rank experts sit."""

    def __init__(self) -> None:
        self._model: Any = None
        self._backbone: Backbone | None = None

    def answer(self, wanted: dict[str, Any]) -> Mapping[str, Any]:
        return self._open(wanted) if "model" in wanted else self._ask(wanted)

    def _open(self, wanted: dict[str, Any]) -> Mapping[str, Any]:
        from peft import LoraConfig, get_peft_model

        from memtune.backbones.loading import load_backbone
        from memtune.config import Config
        from memtune.core.gradient.sites import find_sites

        config = Config().with_settings(wanted["settings"]).lora
        backbone = load_backbone(wanted["model"])
        blocks = next(name for name, module in backbone.model.named_modules() if module is backbone.blocks)
        targets = [f"{blocks}.{site.name}" for site in find_sites(backbone, config.blocks, config.targets)]
        shape = LoraConfig(
            r=config.r_value, lora_alpha=int(config.alpha), lora_dropout=0.0, target_modules=targets,
            task_type="CAUSAL_LM", init_lora_weights=False,
        )  # fmt: skip
        model = get_peft_model(backbone.model, shape, adapter_name="0")
        for number in range(1, wanted["adapters"]):
            model.add_adapter(str(number), shape)
        self._model, self._backbone = model.eval(), backbone
        return {"ready": True}

    def _ask(self, wanted: dict[str, Any]) -> Mapping[str, Any]:
        """Whole batches of the same length until the time is over; the first, which warms up, is not counted."""
        ids, mask = self._padded(wanted["questions"])
        names = [str(row % wanted["adapters"]) for row in range(len(ids))]
        rounds, spent, worked = 0, 0.0, 0.0
        self._generate(ids, mask, names, wanted["tokens"])
        while spent < wanted["seconds"]:
            begin, began = time.perf_counter(), time.process_time()
            self._generate(ids, mask, names, wanted["tokens"])
            spent, worked = spent + time.perf_counter() - begin, worked + time.process_time() - began
            rounds += 1
        tokens = rounds * len(ids) * wanted["tokens"]
        return {"tokens_per_second": tokens / spent, "tokens_per_processor_second": tokens / worked}

    def _padded(self, questions: Sequence[str]) -> tuple[Any, Any]:
        import torch

        assert self._backbone is not None
        rows = [self._backbone.template.question(question).ids for question in questions]
        width = max(map(len, rows))
        ids = torch.full((len(rows), width), self._backbone.pad_id)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, width - len(row) :], mask[i, width - len(row) :] = torch.tensor(row), 1
        return ids, mask

    def _generate(self, ids: Any, mask: Any, names: Sequence[str], tokens: int) -> None:
        import torch

        assert self._backbone is not None
        with torch.inference_mode():
            self._model.generate(
                input_ids=ids, attention_mask=mask, adapter_names=names, do_sample=False, max_new_tokens=tokens,
                min_new_tokens=tokens, pad_token_id=self._backbone.pad_id,
            )  # fmt: skip


if __name__ == "__main__":
    answer_lines(Adapters().answer)
