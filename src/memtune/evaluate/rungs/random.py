"""The same facts learned beside random weights: what that also reaches is recital, not knowledge."""

from __future__ import annotations

import copy
import random
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import replace as change
from pathlib import Path

import torch

from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.errors import BackboneError
from memtune.evaluate.cases import Case, Said
from memtune.evaluate.identity import kinds_of
from memtune.evaluate.rungs.memory import WithMemory
from memtune.evaluate.temporary import write
from memtune.evaluate.workbench import Workbench
from memtune.model import MemoryModel

_OTHERS = 1000
"""Facts that are learned beside those that are asked for."""


class RandomWeights:
    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        folder = Path(tempfile.mkdtemp(prefix="memtune-random-"))
        self._model = MemoryModel(shaped_like(bench.backbone, bench.seed), folder / "memory", config=_settings(bench))
        self._facts: dict[str, Fact] = {}
        self._failed = 0
        self._file = folder / "facts.jsonl"
        self.close = weakref.finalize(self, _discard, self._model, folder)
        """Called when nobody holds the rung any more, and at the end of the process."""

    def answer(self, cases: Sequence[Case]) -> list[Said]:
        self._learn(self._needed(cases))
        there = Workbench(self._model, list(self._facts.values()), self._bench.tuning, self._bench.seed)
        there.longest_reply = self._bench.longest_reply
        return WithMemory(there).answer(cases)

    def describe(self) -> str:
        failed = f", {self._failed:,} of them not learned" if self._failed else ""
        return (
            f"the same shape with random weights and a memory of its own: {len(self._facts):,} facts, those asked for, "
            f"those of the tuning split and up to {_OTHERS:,} others{failed}; what it reaches is not knowledge"
        )

    def _needed(self, cases: Sequence[Case]) -> list[Fact]:
        """In the order in which the memory has them, which is how they were learned."""
        asked = {fact for case in (*cases, *self._bench.tuning) for fact in case.facts}
        rest = [fact.id for fact in self._bench.facts if fact.id not in asked]
        drawn = random.Random(f"random weights {self._bench.seed}").sample(rest, min(_OTHERS, len(rest)))
        needed = asked.union(() if self._facts else drawn)
        return [fact for fact in self._bench.facts if fact.id in needed and fact.id not in self._facts]

    def _learn(self, facts: Sequence[Fact]) -> None:
        if facts:
            kind = "+".join(kinds_of(self._bench.model))
            self._failed += len(self._model.learn(write(facts, self._file), kind=kind).failed)
            self._facts |= {fact.id: fact for fact in facts}


def shaped_like(backbone: Backbone, seed: int) -> Backbone:
    """The same network with weights as they are before training, and the same tokenizer."""
    config = copy.deepcopy(backbone.model.config)
    if getattr(config, "quantization_config", None) is not None:
        raise BackboneError(
            "random weights have no quantised form",
            hint="load the model in full precision, or leave out --ladder random",
        )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = type(backbone.model)(config)
    model = model.to(device=backbone.device, dtype=backbone.dtype)
    return Backbone(model, backbone.tokenizer, name="random weights", template=backbone.template.chat_template)


def _settings(bench: Workbench) -> Config:
    """As the memory's own, with the encoder that it keeps; what is learned here is served at once."""
    encoder = bench.model.memory.config.router.encoder
    config = bench.model.config
    return change(config, router=change(config.router, encoder=encoder), admission=type(config.admission)())


def _discard(model: MemoryModel, folder: Path) -> None:
    model.close()
    shutil.rmtree(folder, ignore_errors=True)
