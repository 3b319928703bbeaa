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
from collections.abc import Callable, Iterator, Sequence
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
    """Facts' rows for a batch: per block k_FKNd and v_FKNd, which batch rows they belong to, which are real: real_FKN,
    or real_F1N where it is the same for all heads. N may differ from block to block."""

    rows: Tensor
    keys: list[Tensor]
    values: list[Tensor]
    real: list[Tensor]
    reach_F: Tensor
    """How many tokens at the end of each prompt see the facts; those that are decoded later always do."""
    _own: tuple[Tensor | None, tuple[int, int], Tensor] | None = None
    """What the queries may see of the prompt, and of which mask and size that was made: blocks of a pass share it."""
    _joined: tuple[FactRows, FactRows] | None = None
    """The facts that stood beside these last, and all of them together."""

    @cached_property
    def longest_reach(self) -> int:
        return int(self.reach_F.max())

    @cached_property
    def hidden(self) -> list[Tensor]:
        """What is added to the scores of rows: nothing where they are real."""
        lowest = torch.finfo(self.keys[0].dtype).min
        return [torch.zeros(r.shape, dtype=k.dtype, device=k.device).masked_fill(~r, lowest)
                for r, k in zip(self.real, self.keys, strict=True)]  # fmt: skip

    def beside(self, other: FactRows) -> FactRows:
        """These facts and others, of another kind perhaps."""
        if self._joined is None or self._joined[0] is not other:
            self._joined = (other, self._join(other))
        return self._joined[1]

    def _join(self, other: FactRows) -> FactRows:
        rows = torch.cat([self.rows, other.rows]).unique()
        reach = torch.zeros_like(rows)
        for part in (self, other):
            reach[torch.searchsorted(rows, part.rows)] = part.reach_F

        def joined(mine: Tensor, theirs: Tensor, heads: int) -> Tensor:
            parts = []
            for part, x in ((self, mine), (other, theirs)):
                x = x.expand(-1, heads, *x.shape[2:])
                parts.append(x.new_zeros(len(rows), *x.shape[1:]))
                parts[-1][torch.searchsorted(rows, part.rows)] = x
            return torch.cat(parts, dim=2)

        blocks = range(len(self.keys))
        heads = [self.keys[b].shape[1] for b in blocks]
        keys = [joined(self.keys[b], other.keys[b], heads[b]) for b in blocks]
        values = [joined(self.values[b], other.values[b], heads[b]) for b in blocks]
        real = [joined(self.real[b], other.real[b], heads[b]) for b in blocks]
        return FactRows(rows, keys, values, real, reach)

    def shifted(self, by: int) -> FactRows:
        """The same facts for rows so much further on."""
        return FactRows(self.rows + by, self.keys, self.values, self.real, self.reach_F)

    def followed_by(self, other: FactRows) -> FactRows:
        """These, and behind them those of rows further on."""

        def both(mine: list[Tensor], theirs: list[Tensor]) -> list[Tensor]:
            return [torch.cat(_of_one_length(a, b)) for a, b in zip(mine, theirs, strict=True)]

        return FactRows(
            torch.cat([self.rows, other.rows]),
            both(self.keys, other.keys),
            both(self.values, other.values),
            both(self._real_by_head(), other._real_by_head()),
            torch.cat([self.reach_F, other.reach_F]),
        )

    def only(self, places: Sequence[int], rows: Sequence[int]) -> FactRows:
        """The facts at these places, for these rows; no longer than the longest of them."""
        chosen = torch.tensor(places, device=self.rows.device)
        real = [r[chosen] for r in self._real_by_head()]
        lengths = [int(r.any(0).any(0).sum()) for r in real]  # what is real stands in front

        def kept(held: list[Tensor]) -> list[Tensor]:
            return [x[chosen, :, :length] for x, length in zip(held, lengths, strict=True)]

        return FactRows(
            torch.tensor(rows, device=self.rows.device),
            kept(self.keys),
            kept(self.values),
            [r[:, :, :length] for r, length in zip(real, lengths, strict=True)],
            self.reach_F[chosen],
        )

    def _real_by_head(self) -> list[Tensor]:
        return [r.expand(-1, k.shape[1], -1) for r, k in zip(self.real, self.keys, strict=True)]

    def seeing_FR(self, queries: int) -> Tensor:
        """Which of the last R queries see the facts."""
        places = torch.arange(max(queries - self.longest_reach, 0), queries, device=self.reach_F.device)
        return places >= queries - self.reach_F[:, None]

    def mask_over(self, mask: Tensor | None, query: Tensor, length: int) -> Tensor:
        """Which of the prompt's tokens the last R queries may see, to be added to their scores: m_F1RT."""
        size = (query.shape[2], length)
        if self._own is None or self._own[0] is not mask or self._own[1] != size:
            self._own = (mask, size, self._make_mask(mask, query, length))
        return self._own[2]

    def _make_mask(self, mask: Tensor | None, query: Tensor, length: int) -> Tensor:
        queries = query.shape[2]
        reach = min(queries, self.longest_reach)
        own = torch.ones(queries, length, dtype=torch.bool, device=query.device).tril(length - queries)[-reach:]
        own = own.expand(len(self.rows), reach, length)
        if mask is not None:
            given = mask.expand(query.shape[0], *mask.shape[1:])[self.rows, 0, -reach:, :length]
            own = given if given.dtype == torch.bool else given > torch.finfo(given.dtype).min / 2
        lowest = torch.finfo(query.dtype).min
        return torch.zeros(own.shape, dtype=query.dtype, device=query.device).masked_fill(~own, lowest)[:, None]

    def mask_of_facts(self, block: int, reach: int, queries: int) -> Tensor:
        """The same for the rows of the facts: m_FKRN, or m_F1RN."""
        hidden = self.hidden[block][:, :, None]
        if queries == 1:
            return hidden
        unseen = ~self.seeing_FR(queries)[:, None, :, None]
        return hidden.expand(-1, -1, reach, -1).masked_fill(unseen, torch.finfo(hidden.dtype).min)


class Recorder:
    """Collects the keys and values of every block during a pass."""

    def __init__(self) -> None:
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}


class Scale:
    """Weighs facts' rows: the squares of the attention that each was paid, summed over a pass."""

    def __init__(self) -> None:
        self.squares: dict[int, Tensor] = {}
        """Per block, s_FKN."""

    def add(self, block: int, chances_FKQN: Tensor) -> None:
        found = chances_FKQN.float().square().sum(2)
        self.squares[block] = self.squares[block] + found if block in self.squares else found


class FactAttention:
    """Routes a model's attention through this file, where the model allows it."""

    def __init__(self, model: Any, blocks: int) -> None:
        self.blocks = blocks
        self.heads: list[int] = []
        """Key-value heads of each block."""
        self.head_width = 0
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
        if len({x.shape for x in (*recorder.keys.values(), *recorder.values.values())}) > 1:
            return "its keys and values are not all of one size"
        self.heads = [recorder.keys[block].shape[1] for block in sorted(recorder.keys)]
        self.head_width = recorder.keys[0].shape[-1]
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
    def weighing(self) -> Iterator[Scale]:
        """While inside, it is noted how much attention the facts' rows are paid."""
        scale = Scale()
        _local.scale = scale
        try:
            yield scale
        finally:
            _local.scale = None

    @contextmanager
    def seeing(self, facts: FactRows | None) -> Iterator[None]:
        """While inside, the rows that hold facts attend to them too, as far as the facts reach; beside those that they
        see already."""
        before: FactRows | None = getattr(_local, "facts", None)
        _local.facts = before.beside(facts) if before is not None and facts is not None else facts or before
        try:
            yield
        finally:
            _local.facts = before


def _of_one_length(a_FKN: Tensor, b_FKN: Tensor) -> tuple[Tensor, Tensor]:
    """The shorter one with nothing behind it."""
    length = max(a_FKN.shape[2], b_FKN.shape[2])
    a, b = (torch.nn.functional.pad(x, (0, 0) * (x.dim() - 3) + (0, length - x.shape[2])) for x in (a_FKN, b_FKN))
    return a, b


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
    if facts is None or not facts.keys[module.layer_idx].shape[2]:  # of what is distilled many blocks hold nothing
        return plain(module, query, key, value, mask, **given)
    own = facts.mask_over(mask, query, key.shape[2])
    if query.shape[2] == 1 and len(facts.rows) == query.shape[0]:  # every row holds facts: no plain result is needed
        return _beside(plain, module, facts, query, key, value, own, 1, given), None
    out, weights = plain(module, query, key, value, mask, **given)
    rows, seeing_FR = facts.rows, facts.seeing_FR(query.shape[2])
    reach = seeing_FR.shape[1]
    last = query[rows][:, :, -reach:]
    fired = _beside(plain, module, facts, last, key[rows], value[rows], own, query.shape[2], given)
    out = out.clone()
    before = out[rows, -reach:]
    out[rows, -reach:] = torch.where(seeing_FR[:, :, None, None], fired.to(before.dtype), before)
    return out, weights


def _beside(
    plain: Callable[..., Any],
    module: Any,
    facts: FactRows,
    query_FHRd: Tensor,
    key_FKTd: Tensor,
    value_FKTd: Tensor,
    own_F1RT: Tensor,
    queries: int,
    given: dict[str, Any],
) -> Tensor:
    """Attention of the last of so many queries to the facts' rows and their own."""
    block: int = module.layer_idx
    fact_k, fact_v = facts.keys[block], facts.values[block]
    scaling = given.get("scaling") or query_FHRd.shape[-1] ** -0.5
    beside = facts.mask_of_facts(block, query_FHRd.shape[2], queries)
    scale: Scale | None = getattr(_local, "scale", None)
    special = any(given.get(extra) is not None for extra in _EXTRAS)
    if scale is not None or not special:
        chances = _chances(query_FHRd, fact_k, key_FKTd, beside, own_F1RT, scaling)
        if scale is not None:
            scale.add(block, _seen(chances[..., : fact_k.shape[2]], beside))
    if special:
        return _by_its_own(
            plain, module, query_FHRd, (fact_k, key_FKTd), (fact_v, value_FKTd), (beside, own_F1RT), given
        )
    split = fact_k.shape[2]
    both = chances[..., :split] @ fact_v + chances[..., split:] @ value_FKTd
    return both.reshape(query_FHRd.shape).transpose(1, 2)


def _seen(chances: Tensor, beside: Tensor) -> Tensor:
    """Without those of queries that see nothing at all, of padding: a softmax gives them something of everything."""
    unseen = beside <= torch.finfo(beside.dtype).min / 2
    return chances.masked_fill(unseen.repeat(1, 1, chances.shape[2] // beside.shape[2], 1), 0.0)


def _by_its_own(
    plain: Callable[..., Any],
    module: Any,
    query_FHRd: Tensor,
    keys: tuple[Tensor, Tensor],
    values: tuple[Tensor, Tensor],
    masks: tuple[Tensor, Tensor],
    given: dict[str, Any],
) -> Tensor:
    """By the model's own function, which does more than a softmax."""
    heads, reach = query_FHRd.shape[1:3]
    by_head = [m.expand(-1, keys[0].shape[1], reach, -1) for m in masks]
    mask = torch.cat([m.repeat_interleave(heads // m.shape[1], 1) for m in by_head], dim=-1)
    seen: Tensor = plain(module, query_FHRd, torch.cat(keys, 2), torch.cat(values, 2), mask, **given)[0]
    return seen


def _chances(
    query_FHRd: Tensor, fact_k: Tensor, own_k: Tensor, beside: Tensor, own_F1RT: Tensor, scaling: float
) -> Tensor:
    """One softmax over both parts; only scores are joined, since joining the keys would copy the whole cache.

    Queries that share a key-value head stand side by side.
    """
    rows, heads, reach, width = query_FHRd.shape
    shared = heads // own_k.shape[1]
    q = query_FHRd.reshape(rows, own_k.shape[1], shared * reach, width)
    parts = [(fact_k, beside), (own_k, own_F1RT)]
    scores = [
        (q @ k.transpose(-1, -2)) * scaling + (mask if mask.shape[2] == 1 else mask.repeat(1, 1, shared, 1))
        for k, mask in parts
    ]
    return torch.softmax(torch.cat(scores, dim=-1), dim=-1, dtype=torch.float32).to(q.dtype)
