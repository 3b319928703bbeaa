"""Skills are opened by domain, not by fact: a gate a skill, that tells its requests from everything else.

A gate is a linear discriminant on the encoder's unit vectors: one ridge system with classes of equal weight, solved in
closed form. Its threshold is set on what each text would have scored had the gate been fitted without it, which follows
from the same system.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memtune.core.facts import normalise
from memtune.errors import UsageError
from memtune.router.encoders import Encoder

_FEWEST = 8
"""Examples without which a skill has no domain."""
_RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Relative to the mean square of what is fitted; the one that predicts best what it has not seen is taken."""
_LOW = 0.1
"""Where there is room, the threshold lies halfway to what all but this share of the examples score."""
_NUMBERS = "numbers"

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """What was measured on examples and other texts, each with the gate fitted without it."""

    examples: int
    others: int
    rate: float
    """Of false firing that was asked for."""
    recall: float
    """Share of the examples that open the gate."""
    false_firing: float
    """Share of the other texts that do."""


@dataclass(frozen=True)
class Gate:
    name: str
    encoder: Encoder
    weights: NDArray[np.float32]
    bias: float
    threshold: float
    steepness: float
    """How fast confidence grows with the score: half at the threshold."""
    figures: Figures

    @classmethod
    def fit(cls, name: str, examples: Sequence[str], others: Sequence[str], encoder: Encoder, rate: float) -> Gate:
        """From requests that the skill is for and from texts that it must leave alone (`everything_else`).

        `rate`: the share of other texts that may open the gate.
        """
        if not name.strip():
            raise UsageError("a skill needs a name")
        if not 0 <= rate < 1:
            raise UsageError(f"rate must be at least 0 and below 1, not {rate}")
        wanted = _distinct(examples)
        unwanted = _distinct(others, wanted)
        own, rest = _vectors(encoder, wanted.values()), _vectors(encoder, unwanted.values())
        _require_both(name, len(own), len(rest))
        fitted = _fit(own, rest)
        threshold = _threshold(fitted.own, fitted.rest, rate)
        recall, fired = float((fitted.own >= threshold).mean()), float((fitted.rest >= threshold).mean())
        return cls(
            name=name,
            encoder=encoder,
            weights=fitted.weights[:-1].astype(np.float32),
            bias=float(fitted.weights[-1]),
            threshold=threshold,
            steepness=_steepness(fitted.own, fitted.rest),
            figures=Figures(len(own), len(rest), rate, recall, fired),
        )

    def opens(self, text: str) -> tuple[bool, float]:
        """Whether a text asks for the skill, and how sure that is: from one half on."""
        return self.lets_in(self.encoder.encode([text])[0])

    def lets_in(self, vector: NDArray[np.float32]) -> tuple[bool, float]:
        """The same of a text that the encoder has read already."""
        if not vector.any():
            return False, 0.0
        above = float(vector @ self.weights) + self.bias - self.threshold
        return above >= 0, 1.0 / (1.0 + math.exp(-min(max(self.steepness * above, -50.0), 50.0)))

    # ---- storing ------------------------------------------------------------------------------------------------

    def to_tensors(self) -> dict[str, Tensor]:
        """All of it but the encoder, for safetensors."""
        numbers = {
            "name": self.name,
            "encoder": self.encoder.name,
            "bias": self.bias,
            "threshold": self.threshold,
            "steepness": self.steepness,
            "figures": asdict(self.figures),
        }
        said = np.frombuffer(json.dumps(numbers).encode(), np.uint8).copy()
        return {"weights": torch.from_numpy(self.weights.copy()), _NUMBERS: torch.from_numpy(said)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], encoder: Encoder) -> Gate:
        """The gate that `to_tensors` kept, read by the same encoder."""
        found = json.loads(tensors[_NUMBERS].numpy().tobytes())
        made_with, weights = found.pop("encoder"), tensors["weights"].numpy()
        if (made_with, len(weights)) != (encoder.name, encoder.width):
            raise UsageError(
                f"the skill '{found['name']}' was fitted on the encoder '{made_with}', not on '{encoder.name}'",
                hint="fit it again from its examples",
            )
        return cls(encoder=encoder, weights=weights.copy(), figures=Figures(**found.pop("figures")), **found)


def everything_else(questions: Iterable[str] = ()) -> list[str]:
    """What no skill is for: ordinary prompts of every sort, and the questions of the memory's own facts."""
    return [*ordinary(), *questions]


@lru_cache(maxsize=1)
def ordinary() -> tuple[str, ...]:
    """Chat, instructions and general questions, written by hand."""
    text = files("memtune.router").joinpath("ordinary.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def _distinct(texts: Iterable[str], but: Iterable[str] = ()) -> dict[str, str]:
    """Texts by what they are without case and spacing: the same one twice would vouch for itself."""
    found = {normalise(text): text for text in texts}
    return {plain: text for plain, text in found.items() if plain not in set(but)}


def _vectors(encoder: Encoder, texts: Iterable[str]) -> Doubles:
    """Of those that say anything."""
    found = encoder.encode(list(texts)).astype(np.float64).reshape(-1, encoder.width)
    spoken: Doubles = found[found.any(axis=1)]
    return spoken


def _require_both(name: str, examples: int, others: int) -> None:
    if examples < _FEWEST:
        raise UsageError(
            f"the skill '{name}' has {examples} different examples that say anything; it needs at least {_FEWEST}",
            hint="give requests as people write them; thirty make a gate, a hundred a good one",
        )
    if not others:
        raise UsageError(
            f"the skill '{name}' has examples only, and nothing to tell them from",
            hint="pass `everything_else(questions)` as the other texts",
        )


@dataclass(frozen=True)
class _Fitted:
    weights: Doubles
    own: Doubles
    """What each example scores when it is left out."""
    rest: Doubles


def _fit(own: Doubles, rest: Doubles) -> _Fitted:
    """The ridge system, for the ridge under which texts that are left out are predicted best."""
    x = np.hstack([np.vstack([own, rest]), np.ones((len(own) + len(rest), 1))])
    y = np.r_[np.ones(len(own)), -np.ones(len(rest))]
    share = np.r_[np.full(len(own), 0.5 / len(own)), np.full(len(rest), 0.5 / len(rest))]
    gram = x.T @ (share[:, None] * x)
    best, least = None, math.inf
    for ridge in _RIDGES:
        weights, left_out = _solve(x, y, share, gram, ridge)
        error = float(share @ (left_out - y) ** 2)
        if error < least:
            best, least = _Fitted(weights, left_out[: len(own)], left_out[len(own) :]), error
    assert best is not None
    return best


def _solve(x: Doubles, y: Doubles, share: Doubles, gram: Doubles, ridge: float) -> tuple[Doubles, Doubles]:
    """The weights, and what each text scores under the weights that all others would have given."""
    held = np.full(len(gram), ridge * (np.trace(gram) - 1.0) / (len(gram) - 1))
    held[-1] = 1e-9  # the bias is free
    inverse = np.linalg.inv(gram + np.diag(held))
    weights = inverse @ (x.T @ (share * y))
    leverage = np.minimum(share * np.einsum("nd,de,ne->n", x, inverse, x, optimize=True), 1 - 1e-9)
    scores = x @ weights
    return weights, (scores - leverage * y) / (1.0 - leverage)


def _threshold(own: Doubles, rest: Doubles, rate: float) -> float:
    """The least that lets no more other texts in than allowed; higher, where the examples leave room."""
    highest = np.sort(rest)[::-1]
    needed = float(highest[min(int(rate * len(rest)), len(rest) - 1)]) + 1e-6
    return max(needed, (needed + float(np.quantile(own, _LOW))) / 2)


def _steepness(own: Doubles, rest: Doubles) -> float:
    """Of the odds between two bell curves of one width, which are the scores of examples and of other texts."""
    spread = (float(own.var()) + float(rest.var())) / 2
    return max(float(own.mean() - rest.mean()), 0.0) / max(spread, 1e-6)
