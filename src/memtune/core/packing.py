"""Vectors in a few bits a number: whole numbers between -7 and 7, two in a byte, with one scale a vector."""

from __future__ import annotations

import torch
from torch import Tensor

_TOP = 7


def pack(vectors_Nd: Tensor) -> tuple[Tensor, Tensor]:
    """Codes, half as many bytes as numbers, and scales. An odd last number gets a zero beside it."""
    vectors = vectors_Nd.float()
    scales = (vectors.abs().amax(-1) / _TOP).clamp_min(torch.finfo(torch.bfloat16).tiny).bfloat16()
    codes = (vectors / scales.float()[..., None]).round().clamp(-_TOP, _TOP).to(torch.int16) + _TOP
    if codes.shape[-1] % 2:
        codes = torch.nn.functional.pad(codes, (0, 1), value=_TOP)
    return (codes[..., ::2] * 16 + codes[..., 1::2]).to(torch.uint8), scales


def unpack(codes: Tensor, scales: Tensor, width: int) -> Tensor:
    """The vectors, as near as they were kept."""
    both = torch.stack([codes // 16, codes % 16], dim=-1).flatten(-2)[..., :width]
    return (both.float() - _TOP) * scales.float()[..., None]
