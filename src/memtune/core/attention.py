"""Attention with a fact's own key-value rows beside the prompt's.

Every call goes through the model's own attention function, unchanged. For rows of a batch that hold facts, the last
query attends once more, with the facts' rows standing before its own, and that result takes the place of the plain one.
Rows without facts keep the plain result of the plain kernel: they stay bit for bit the base model's.

Shapes: B rows, F rows with facts, H query heads, K key-value heads, S queries, T own keys, N fact keys, d head width.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

_PREFIX = "memtune_"
_local = threading.local()


@dataclass
class FactRows:
    """Facts' rows for a batch: per block k_FKNd and v_FKNd, which batch rows they belong to, which are real."""

    rows: Tensor
    keys: list[Tensor]
    values: list[Tensor]
    real_FN: Tensor


class Recorder:
    """Collects the keys and values of every block during a pass."""

    def __init__(self) -> None:
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}


class FactAttention:
    """Routes a model's attention through this file, where the model allows it."""

    def __init__(self, model: Any, blocks: int) -> None:
        self.blocks = blocks
        self.missing = self._install(model)
        """Why facts' rows cannot be attended on this model; None where they can."""

    def _install(self, model: Any) -> str | None:
        own = getattr(model.config, "_attn_implementation", None)
        if own is None:
            return "it has no attention"
        if not own.startswith(_PREFIX):
            if own not in ("sdpa", "eager"):
                return f"its attention '{own}' cannot be extended"
            _register(own)
            if not getattr(model, "_supports_attention_backend", False):
                return "its attention cannot be extended"
            model.set_attn_implementation(_PREFIX + own)
        return self._probe(model)

    @torch.inference_mode()
    def _probe(self, model: Any) -> str | None:
        with self.recording() as recorder:
            model.base_model(input_ids=torch.ones(1, 2, dtype=torch.long, device=model.device), use_cache=False)
        if len(recorder.keys) != self.blocks:
            return f"{self.blocks - len(recorder.keys)} of its {self.blocks} blocks have no key-value rows"
        return None

    @contextmanager
    def recording(self) -> Iterator[Recorder]:
        recorder = Recorder()
        _local.recorder = recorder
        try:
            yield recorder
        finally:
            _local.recorder = None

    @contextmanager
    def seeing(self, facts: FactRows | None) -> Iterator[None]:
        """While inside, the last position of the rows that hold facts attends to them too."""
        _local.facts = facts
        try:
            yield
        finally:
            _local.facts = None


def _register(own: str) -> None:
    name = _PREFIX + own
    if name in ALL_ATTENTION_FUNCTIONS:
        return

    def attend(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **given: Any) -> Any:
        plain = _eager(module) if own == "eager" else ALL_ATTENTION_FUNCTIONS[own]
        return _attend(plain, module, query, key, value, mask, given)

    ALL_ATTENTION_FUNCTIONS.register(name, attend)
    ALL_MASK_ATTENTION_FUNCTIONS.register(name, ALL_MASK_ATTENTION_FUNCTIONS[own])


def _eager(module: Any) -> Callable[..., Any]:
    """The plain attention that stands in the model's own file."""
    function: Callable[..., Any] = sys.modules[type(module).__module__].eager_attention_forward
    return function


def _attend(
    plain: Callable[..., Any],
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    given: dict[str, Any],
) -> Any:
    recorder: Recorder | None = getattr(_local, "recorder", None)
    if recorder is not None:
        recorder.keys[module.layer_idx], recorder.values[module.layer_idx] = key, value
    facts: FactRows | None = getattr(_local, "facts", None)
    out, weights = plain(module, query, key, value, mask, **given)
    if facts is None:
        return out, weights
    seen = _attend_facts(plain, module, query, key, value, mask, given, facts)
    out = out.clone()
    out[facts.rows, -1:] = seen.to(out.dtype)
    return out, weights


def _attend_facts(
    plain: Callable[..., Any],
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    given: dict[str, Any],
    facts: FactRows,
) -> Tensor:
    rows, block = facts.rows, module.layer_idx
    k = torch.cat([facts.keys[block].to(key.dtype), key[rows]], dim=2)
    v = torch.cat([facts.values[block].to(value.dtype), value[rows]], dim=2)
    own = torch.ones(len(rows), key.shape[2], dtype=torch.bool, device=key.device) if mask is None else None
    if mask is not None:
        last = mask.expand(query.shape[0], *mask.shape[1:])[rows, 0, -1, : key.shape[2]]
        own = last if last.dtype == torch.bool else last > torch.finfo(last.dtype).min / 2
    assert own is not None
    visible = torch.cat([facts.real_FN, own], dim=1)[:, None, None, :]
    additive = torch.zeros_like(visible, dtype=query.dtype).masked_fill(~visible, torch.finfo(query.dtype).min)
    seen: Tensor = plain(module, query[rows][:, :, -1:], k, v, additive, **given)[0]
    return seen
