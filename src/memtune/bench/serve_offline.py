"""The same questions without a server, in a process of its own: `python -m memtune.bench.serve_offline`.

The first line names the model and the memories, each further one what to ask; see `serve_processes.Child`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from memtune.bench.serve_processes import answer_lines
from memtune.config import Config
from memtune.model import MemoryModel


class Offline:
    """Asks in batches until the time is over."""

    def __init__(self) -> None:
        self._models: dict[str, MemoryModel] = {}

    def answer(self, wanted: dict[str, Any]) -> Mapping[str, Any]:
        return self._open(wanted) if "memories" in wanted else self._ask(wanted)

    def _open(self, wanted: dict[str, Any]) -> Mapping[str, Any]:
        config = Config().with_settings(wanted["settings"])
        plain = MemoryModel(wanted["model"], config=config)
        for name, path in wanted["memories"].items():
            self._models[name] = MemoryModel(plain.backbone, path, config=config)
        return {"ready": True}

    def _ask(self, wanted: dict[str, Any]) -> Mapping[str, Any]:
        """Whole batches only; the first, which warms up, is not counted."""
        model, batch = self._models[wanted["memory"]], wanted["batch"]
        tokens, spent, worked, place = 0, 0.0, 0.0, -batch
        questions: list[str] = wanted["questions"]
        while spent < wanted["seconds"]:
            asked = [questions[i % len(questions)] for i in range(place + batch, place + 2 * batch)]
            begin, began = time.perf_counter(), time.process_time()
            answers = model.ask(asked, batch_size=batch)
            if place >= 0:
                spent, worked = spent + time.perf_counter() - begin, worked + time.process_time() - began
                tokens += sum(len(answer.tokens) + (answer.finish == "stop") for answer in answers)
            place += batch
        return {"tokens_per_second": tokens / spent, "tokens_per_processor_second": tokens / worked}


if __name__ == "__main__":
    answer_lines(Offline().answer)
