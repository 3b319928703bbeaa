"""Nearest keys by inner product. Exact search; one thin wrapper, so that FAISS is named nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Index:
    """Unit vectors in half precision; a key is its position."""

    def __init__(self, width: int) -> None:
        import faiss

        self._faiss = faiss
        self._index: Any = faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, vectors: NDArray[Any]) -> None:
        self._index.add(np.ascontiguousarray(vectors, dtype=np.float32))

    def remove(self, keys: NDArray[np.int64]) -> None:
        """Take keys out; those behind them move up, as they do in `numpy.delete`."""
        self._index.remove_ids(self._faiss.IDSelectorBatch(keys))

    def search(self, vectors: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Similarities and keys of the k nearest, best first; fewer where the index holds fewer."""
        k = min(k, len(self))
        if not k:
            return np.zeros((len(vectors), 0), np.float32), np.zeros((len(vectors), 0), np.int64)
        scores, keys = self._index.search(np.ascontiguousarray(vectors, dtype=np.float32), k)
        return scores, keys
