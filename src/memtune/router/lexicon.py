"""What words mean, roughly: a table of word vectors that ships with memtune (`tools/router` made it)."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

_RARE = 1e-3
"""Words much rarer than this all weigh one in a mean; commoner ones less (Arora et al., 2017)."""


class Lexicon:
    """Vectors of words by the hashes of their stems; a word that is not in the table has none, which is zero."""

    def __init__(self, hashes: NDArray[np.uint32], vectors: NDArray[np.int8], shares: NDArray[np.float32]) -> None:
        self._hashes, self._vectors = hashes, vectors
        self._weights = (_RARE / (_RARE + shares)).astype(np.float32)
        lengths = np.linalg.norm(vectors.astype(np.float32), axis=1)
        self._scales = (1.0 / np.maximum(lengths, 1e-9)).astype(np.float32)

    @property
    def width(self) -> int:
        return int(self._vectors.shape[1])

    def vectors(self, words: NDArray[np.uint32]) -> NDArray[np.float32]:
        """A unit vector for each word, or zero."""
        places, known = self._places(words)
        scales = np.where(known, self._scales[places], np.float32(0))
        found: NDArray[np.float32] = self._vectors[places].astype(np.float32) * scales[:, None]
        return found

    def weights(self, words: NDArray[np.uint32]) -> NDArray[np.float32]:
        """How much each word says in a mean: common words little."""
        places, known = self._places(words)
        found: NDArray[np.float32] = np.where(known, self._weights[places], np.float32(1))
        return found

    def _places(self, words: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        places = np.minimum(np.searchsorted(self._hashes, words), len(self._hashes) - 1)
        return places, self._hashes[places] == words


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    table = load(files("memtune.router").joinpath("lexicon.safetensors").read_bytes())
    return Lexicon(table["hashes"].view(np.uint32), table["vectors"], table["shares"])
