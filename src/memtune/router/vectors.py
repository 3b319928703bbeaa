"""Unit vectors in few bytes. Lengths are not kept: a vector is brought back to length one when it is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_SPREAD = 16.0
"""What unit vectors are multiplied with, so that their small entries stay above the least that float8 can say."""


def to_int8(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    """The largest entry of each becomes 127."""
    largest = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), 1e-9)
    codes: NDArray[np.int8] = np.rint(vectors * (127.0 / largest)).astype(np.int8)
    return codes


def from_int8(codes: NDArray[np.int8]) -> NDArray[np.float32]:
    return unit(codes.astype(np.float32))


def stored(vectors: NDArray[np.float32], form: str) -> Tensor:
    """As a tensor of a shard: `float16`, `float8` or `int8`."""
    if form == "int8":
        return torch.from_numpy(to_int8(vectors))
    if form == "float8":
        return (torch.from_numpy(vectors) * _SPREAD).to(torch.float8_e4m3fn)
    return torch.from_numpy(vectors).to(torch.float16)


def restored(tensor: Tensor) -> NDArray[np.float32]:
    """What `stored` was given, but for rounding; the form is the tensor's own."""
    return unit(tensor.float().numpy())


def picked(tensor: Tensor, rows: NDArray[Any]) -> NDArray[np.float32]:
    """Some rows of what `restored` would give. Threads, which torch would wake up, are slower for so few."""
    if tensor.dtype is torch.float8_e4m3fn:
        return restored(torch.from_numpy(tensor.view(torch.uint8).numpy()[rows]).view(torch.float8_e4m3fn))
    return unit(tensor.numpy()[rows].astype(np.float32))


def unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Each of length one; nothing stays nothing."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    scaled: NDArray[np.float32] = vectors / np.maximum(lengths, 1e-9)[:, None].astype(np.float32)
    return scaled
