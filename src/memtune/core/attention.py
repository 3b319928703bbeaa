"""Attention with a fact's own key-value rows beside the prompt's.

Every call goes through the model's own attention function, unchanged. For rows of a batch that hold facts, the queries
of the last turn attend once more, with the facts' rows standing before their own, and that result takes the place of
the plain one. Rows without facts keep the plain result of the plain kernel: they stay bit for bit the base model's.

Shapes: B rows, F rows with facts, H query heads, K key-value heads, S queries, R of them in reach of facts, T own keys,
N fact keys, d head width.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

_PREFIX = "memtune_"
_EXTRAS = ("softcap", "s_aux", "position_bias", "head_mask")
"""What some models add to attention: theirs goes through their own function."""
_local = threading.local()


@dataclass
class FactRows:
    """Facts' rows for a batch: per block k_FKNd and v_FKNd, which batch rows they belong to, which are real."""

    rows: Tensor
    keys: list[Tensor]
    values: list[Tensor]
    real_FN: Tensor
    reach_F: Tensor
    """How many tokens at the end of each prompt see the facts; those that are decoded later always do."""
    _mask: tuple[Tensor | None, tuple[int, int], Tensor] | None = None
    """The last mask, what it was made of, and its size: the blocks of a pass share it."""

    @cached_property
    def longest_reach(self) -> int:
        return int(self.reach_F.max())

    def seeing_FR(self, queries: int) -> Tensor:
        """Which of the last R queries see the facts."""
        first = queries - self.longest_reach
        places = torch.arange(max(first, 0), queries, device=self.reach_F.device)
        return places >= queries - self.reach_F[:, None]

    def mask_over(self, mask: Tensor | None, query: Tensor, length: int) -> Tensor:
        """What the last R queries may see: the facts' rows where they do, and of the prompt's what `mask` allows."""
        size = (query.shape[2], length)
        if self._mask is None or self._mask[0] is not mask or self._mask[1] != size:
            self._mask = (mask, size, self._make_mask(mask, query, length))
        return self._mask[2]

    def _make_mask(self, mask: Tensor | None, query: Tensor, length: int) -> Tensor:
        queries = query.shape[2]
        seeing = self.seeing_FR(queries)
        reach = seeing.shape[1]
        own = torch.ones(queries, length, dtype=torch.bool, device=query.device).tril(length - queries)[-reach:]
        own = own.expand(len(self.rows), reach, length)
        if mask is not None:
            given = mask.expand(query.shape[0], *mask.shape[1:])[self.rows, 0, -reach:, :length]
            own = given if given.dtype == torch.bool else given > torch.finfo(given.dtype).min / 2
        visible = torch.cat([self.real_FN[:, None] & seeing[:, :, None], own], dim=2)[:, None]
        hidden = torch.finfo(query.dtype).min
        return torch.zeros_like(visible, dtype=query.dtype).masked_fill(~visible, hidden)


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
        """While inside, the rows that hold facts attend to them too, as far as the facts reach."""
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
    if facts is None:
        return plain(module, query, key, value, mask, **given)
    seen = facts.mask_over(mask, query, key.shape[2])
    if query.shape[2] == 1 and len(facts.rows) == query.shape[0]:  # every row holds facts: no plain result is needed
        return _beside(plain, module, facts, query, key, value, seen, given), None
    out, weights = plain(module, query, key, value, mask, **given)
    rows, seeing_FR = facts.rows, facts.seeing_FR(query.shape[2])
    reach = seeing_FR.shape[1]
    fired = _beside(plain, module, facts, query[rows][:, :, -reach:], key[rows], value[rows], seen, given)
    out = out.clone()
    own = out[rows, -reach:]
    out[rows, -reach:] = torch.where(seeing_FR[:, :, None, None], fired.to(own.dtype), own)
    return out, weights


def _beside(
    plain: Callable[..., Any],
    module: Any,
    facts: FactRows,
    query_FHRd: Tensor,
    key_FKTd: Tensor,
    value_FKTd: Tensor,
    mask: Tensor,
    given: dict[str, Any],
) -> Tensor:
    """Attention of the last queries to the facts' rows and their own."""
    fact_k, fact_v = facts.keys[module.layer_idx], facts.values[module.layer_idx]
    if all(given.get(extra) is None for extra in _EXTRAS):
        scaling = given.get("scaling") or query_FHRd.shape[-1] ** -0.5
        return _two_parts(query_FHRd, fact_k, key_FKTd, fact_v, value_FKTd, mask, scaling)
    k, v = torch.cat([fact_k, key_FKTd], dim=2), torch.cat([fact_v, value_FKTd], dim=2)
    seen: Tensor = plain(module, query_FHRd, k, v, mask, **given)[0]
    return seen


def _two_parts(
    query_FHRd: Tensor,
    fact_k: Tensor,
    own_k: Tensor,
    fact_v: Tensor,
    own_v: Tensor,
    mask: Tensor,
    scaling: float,
) -> Tensor:
    """One softmax over both parts; only scores are joined, since joining the keys would copy the whole cache."""
    rows, heads, reach, width = query_FHRd.shape
    shared = heads // own_k.shape[1]
    q = query_FHRd.reshape(rows, own_k.shape[1], shared * reach, width)  # queries of one key-value head side by side
    scores = torch.cat([q @ fact_k.transpose(-1, -2), q @ own_k.transpose(-1, -2)], dim=-1)
    chances = torch.softmax(scores * scaling + mask.repeat(1, 1, shared, 1), dim=-1, dtype=torch.float32).to(q.dtype)
    split = fact_k.shape[2]
    seen = chances[..., :split] @ fact_v + chances[..., split:] @ own_v
    return seen.reshape(rows, heads, reach, width).transpose(1, 2)
