"""Training: bfloat16 compute, float32 masters, exact resume, and a usable average of weights at every checkpoint."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from .config import Recipe, TrainConfig
from .mix import Shard
from .model import Llama
from .optim import Optimizer
from .rows import Batches, RowReader
from .text.document import Part

PICK_MULTIPLE = 512  # scored positions per step are filled up to a multiple, so that few shapes are compiled


def rate_at(config: TrainConfig, tokens: int) -> float:
    """Warm up, stay, then fall linearly towards the end: the share of the peak rate."""
    if tokens < config.warmup_tokens:
        return (tokens + 1) / config.warmup_tokens
    left = (config.tokens - tokens) / config.cooldown_tokens
    return max(0.02, min(1.0, left))


def scored_positions(parts: np.ndarray, config: TrainConfig, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Flat positions that enter the loss, with weights: everything but most of the background."""
    flat = parts.ravel()
    lucky = np.random.default_rng((config.seed, step, 1)).random(flat.size) < config.background_share
    index = np.flatnonzero((flat >= Part.PROSE) | ((flat == Part.BACKGROUND) & lucky))
    weights = np.where(flat[index] == Part.ANSWER, config.answer_weight, 1.0).astype(np.float32)
    filler = -len(index) % PICK_MULTIPLE
    return np.pad(index, (0, filler)), np.pad(weights, (0, filler))


def token_losses(hidden: Tensor, embedding: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy((hidden @ embedding.T).float(), targets, reduction="none")


class Trainer:
    """Owns model, optimizer and data position; `run` goes on from wherever they stand."""

    def __init__(self, recipe: Recipe, shards: Path, pad: int, device: str = "cpu", compiled: bool = True) -> None:
        self.recipe, self.config, self.device = recipe, recipe.train, device
        self.model = Llama(recipe.model, seed=self.config.seed)
        self.optimizer = self._optimizer()
        names = sorted({name for phase in recipe.phases for name in phase.sources})
        readers = {name: RowReader(Shard.load(shards, name), pad) for name in names}
        self.batches = Batches(readers, self.config.seed)
        self.step, self.tokens, self.stopping = 0, 0, False
        self.trunk: Callable[[Tensor], Tensor] = (
            torch.compile(self.model.model, dynamic=False) if compiled else self.model.model
        )
        self.losses_of = torch.compile(token_losses, dynamic=True) if compiled else token_losses

    def _optimizer(self) -> Optimizer:
        """Masters are taken in float32 before the model is rounded."""
        self.model.to(self.device)
        optimizer = Optimizer(self.model, self.config.momentum, self.config.weight_decay)
        self.model.to(torch.bfloat16)
        optimizer.parameters = dict(self.model.named_parameters())
        return optimizer

    def run(self, until: int, log: Callable[[dict[str, Any]], None], save_to: Path | None, save_every_s: float) -> None:
        saved = time.monotonic()
        while self.tokens < until and not self.stopping:
            log(self.train_step())
            if save_to is not None and time.monotonic() - saved > save_every_s:
                self.save(save_to)
                saved = time.monotonic()
        if save_to is not None:
            self.save(save_to)

    def stop(self, *_: object) -> None:
        """Finish the step, save, return: for a signal handler."""
        self.stopping = True

    def train_step(self) -> dict[str, Any]:
        started = time.monotonic()
        phase = self.recipe.phase_at(self.tokens)
        is_long = phase.is_long(self.step)
        length, shares = (phase.long_row, phase.long_mix) if is_long else (phase.row, phase.mix)
        ids, parts = self.batches.batch(self.step, shares, phase.batch_tokens // length, length)
        loss, answer_loss = self._backward(ids, parts)
        rate = rate_at(self.config, self.tokens)
        self.step += 1
        config = self.config
        norm = self.optimizer.step(
            self.step, rate * config.matrix_rate, rate * config.vector_rate, config.clip, config.average_decay
        )
        self.tokens += ids.size - len(ids)
        return {"step": self.step, "tokens": self.tokens, "loss": loss, "answer_loss": answer_loss, "norm": norm,
                "rate": rate, "row": length, "seconds": time.monotonic() - started}  # fmt: skip

    def _backward(self, ids: np.ndarray, parts: np.ndarray) -> tuple[float, float]:
        index, weights = scored_positions(parts[:, 1:], self.config, self.step)
        inputs = torch.from_numpy(ids[:, :-1].copy()).to(self.device)
        targets = torch.from_numpy(ids[:, 1:].ravel()[index]).to(self.device)
        hidden = self.trunk(inputs).flatten(0, 1)[torch.from_numpy(index).to(self.device)]
        embedding = self.model.model.embed_tokens.weight
        losses = self.losses_of(hidden, embedding, targets)
        scale = torch.from_numpy(weights).to(self.device)
        loss = (losses * scale).sum() / scale.sum()
        loss.backward()
        answers = losses.detach()[scale == self.config.answer_weight]
        return loss.item(), answers.mean().item()

    def save(self, folder: Path) -> None:
        """A checkpoint appears whole or not at all; the newest two are kept."""
        folder.mkdir(parents=True, exist_ok=True)
        target, temporary = folder / f"step-{self.step:07d}", folder / ".writing"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        save_file({k: t.contiguous() for k, t in self.optimizer.state().items()}, temporary / "state.safetensors")
        position = {"step": self.step, "tokens": self.tokens, "data": self.batches.state()}
        (temporary / "position.json").write_text(json.dumps(position))
        shutil.rmtree(target, ignore_errors=True)
        temporary.replace(target)
        for old in checkpoints(folder)[:-2]:
            shutil.rmtree(old)

    def restore(self, folder: Path) -> bool:
        """Continue from the newest checkpoint under `folder`; False when there is none."""
        found = checkpoints(folder)
        if not found:
            return False
        position = json.loads((found[-1] / "position.json").read_text())
        self.optimizer.restore(load_file(found[-1] / "state.safetensors", device=self.device))
        self.batches.restore(position["data"])
        self.step, self.tokens = position["step"], position["tokens"]
        return True


def checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


def tokens_seen(checkpoint: Path) -> int:
    return int(json.loads((checkpoint / "position.json").read_text())["tokens"])
