"""Passes over prompts and answers, up to the stream that the unembedding reads where an answer token is said.

Where experts act from the last token of the prompt on, and in the upper blocks only, all else is constant: the prompt's
cache, and the stream that enters the first of those blocks. It is made once; then only the answers' tokens pass the
upper blocks. How these are called is taken from a plain pass, so nothing depends on the family of the model; and where
a replay does not give what the plain pass gave, rows are read whole.

Shapes: B rows, S positions, P places where an answer token is said, D width.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from memtune.core.backbone import Backbone

_AGREES = 2e-3
"""By what share of its largest value a replay may differ from the plain pass."""
_TRIED = 4
"""Rows that this is looked at with."""
_replays: weakref.WeakKeyDictionary[Any, dict[int, bool]] = weakref.WeakKeyDictionary()
"""Of each model, whether it can be replayed from a block on."""


class Pass(Protocol):
    first_B: Tensor
    """Where the last token of each prompt stands, in the tokens at hand."""

    def run(self) -> Tensor:
        """h_PD, row after row."""


class Whole:
    """Rows read from the beginning."""

    def __init__(self, backbone: Backbone, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]) -> None:
        self.backbone = backbone
        self.ids = backbone.pad_right([[*p, *a[:-1]] for p, a in zip(prompts, answers, strict=True)])
        self.first_B = torch.tensor([len(p) - 1 for p in prompts], device=backbone.device)
        self._lengths = [len(a) for a in answers]

    def run(self) -> Tensor:
        h_BSD = self.backbone.model.base_model(input_ids=self.ids, use_cache=False).last_hidden_state
        return _places(h_BSD, self.first_B, self._lengths)


@dataclass
class Upper:
    """Rows whose prompts, and lower blocks, are behind them."""

    backbone: Backbone
    lowest: int
    first_B: Tensor
    lengths: list[int]
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]]
    """How each upper block was called."""
    closing: list[nn.Module]
    """What the stream passes behind the last block."""
    layers: list[Any]
    before: list[dict[str, Any]]
    """The cache's layers, and what they held when the prompts had been read."""
    plain_PD: Tensor
    """What the plain pass gave."""

    def narrowed(self, rows: Sequence[int]) -> Upper | None:
        """Only these rows of it; None where it cannot be told which numbers belong to which row."""
        all_rows, index = len(self.lengths), torch.tensor(rows, device=self.first_B.device)

        def cut(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value[index] if value.dim() > 1 and len(value) == all_rows else value
            return tuple(map(cut, value)) if isinstance(value, tuple) else value

        kept = torch.zeros(all_rows, dtype=torch.bool)
        kept[index.cpu()] = True
        place_P = torch.repeat_interleave(kept, torch.tensor(self.lengths)).to(self.plain_PD.device)
        part = Upper(
            self.backbone,
            self.lowest,
            self.first_B[index],
            [self.lengths[row] for row in rows],
            [(cut(args), {name: cut(value) for name, value in kwargs.items()}) for args, kwargs in self.calls],
            self.closing,
            self.layers,
            [{name: cut(value) for name, value in state.items()} for state in self.before],
            self.plain_PD[place_P],
        )
        with torch.no_grad():
            return part if _agree(part.run(), part.plain_PD) else None

    def run(self) -> Tensor:
        for layer, state in zip(self.layers, self.before, strict=True):
            vars(layer).clear()
            vars(layer).update(state)
        stream = _stream(*self.calls[0])
        for block, (args, kwargs) in zip(self.backbone.blocks[self.lowest :], self.calls, strict=True):
            out = block(stream, *args[1:], **kwargs) if args else block(**{**kwargs, "hidden_states": stream})
            stream = out[0] if isinstance(out, tuple) else out
        for module in self.closing:
            stream = module(stream)
        return _places(stream, self.first_B, self.lengths)


class Reader:
    """Makes passes: short ones where experts leave the prompt alone and the model can be replayed, else whole ones."""

    def __init__(self, backbone: Backbone, frozen_below: int | None) -> None:
        self.backbone, self.lowest = backbone, frozen_below

    @property
    def replays(self) -> bool | None:
        """Whether only answers pass the upper blocks; None: not looked at yet."""
        if self.lowest is None:
            return False
        return _replays.get(self.backbone.model, {}).get(self.lowest)

    def make(self, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]) -> Pass:
        if self.replays is not False and min(len(p) for p in prompts) > 1:
            if self.replays is None:
                self._try(prompts[:_TRIED], answers[:_TRIED])
            if self.replays:
                return self._capture(prompts, answers)
        return Whole(self.backbone, prompts, answers)

    def narrow(self, work: Pass, rows: Sequence[int]) -> Pass | None:
        """The pass with these rows only, where that is cheaper than making it anew."""
        return work.narrowed(rows) if isinstance(work, Upper) else None

    def _try(self, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]) -> None:
        """Whether replays agree with plain passes."""
        assert self.lowest is not None
        try:
            upper, whole = self._capture(prompts, answers), Whole(self.backbone, prompts, answers)
            with torch.no_grad():  # twice: a cache that is changed in place agrees once only
                agreed = all(_agree(upper.run(), h_PD) for h_PD in (upper.plain_PD, whole.run()))
        except Exception:  # whatever a family of models does with its blocks that is not foreseen here
            agreed = False
        _replays.setdefault(self.backbone.model, {})[self.lowest] = agreed

    @torch.no_grad()
    def _capture(self, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]) -> Upper:
        """The plain pass over the answers behind a cache of their prompts, with all that a replay needs of it."""
        assert self.lowest is not None
        head, mask = self.backbone.pad_left([p[:-1] for p in prompts])
        cache = self._base(head, mask, None).past_key_values
        layers = list(cache.layers)[self.lowest :]
        before = [dict(vars(layer)) for layer in layers]
        tail = self.backbone.pad_right([[p[-1], *a[:-1]] for p, a in zip(prompts, answers, strict=True)])
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        closing: list[nn.Module] = []
        with ExitStack() as stack:
            self._watch(stack, calls, closing)
            h_BSD = self._base(tail, torch.cat([mask, torch.ones_like(tail)], dim=1), cache).last_hidden_state
        for layer in list(cache.layers)[: self.lowest]:
            vars(layer).clear()  # the lower blocks are not called again
        first_B, lengths = torch.zeros(len(prompts), dtype=torch.long, device=tail.device), [len(a) for a in answers]
        plain_PD = _places(h_BSD, first_B, lengths)
        return Upper(self.backbone, self.lowest, first_B, lengths, calls, closing, layers, before, plain_PD)

    def _base(self, ids: Tensor, mask: Tensor, cache: Any) -> Any:
        model = self.backbone.model.base_model
        given: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "use_cache": True, "past_key_values": cache}
        if "position_ids" in inspect.signature(type(model).forward).parameters:
            given["position_ids"] = (mask.cumsum(-1) - 1).clamp(0, self.backbone.context - 1)[:, -ids.shape[1] :]
        return model(**given)

    def _watch(
        self, stack: ExitStack, calls: list[tuple[tuple[Any, ...], dict[str, Any]]], closing: list[nn.Module]
    ) -> None:
        """Note how the upper blocks are called, and which modules come behind the last of them."""
        blocks = self.backbone.blocks
        upper = blocks[self.lowest :]

        def note_call(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            calls.append((args, dict(kwargs)))

        def note_closing(module: nn.Module, _args: Any, _out: Any) -> None:
            if len(calls) == len(upper):
                closing.append(module)

        for block in upper:
            stack.callback(block.register_forward_pre_hook(note_call, with_kwargs=True).remove)
        inside = set(blocks.modules())
        for module in self.backbone.model.base_model.modules():
            if module not in inside and not list(module.children()):
                stack.callback(module.register_forward_hook(note_closing).remove)


def _stream(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    stream: Tensor = args[0] if args else kwargs["hidden_states"]
    return stream


def _places(h_BSD: Tensor, first_B: Tensor, lengths: Sequence[int]) -> Tensor:
    return torch.cat([h_BSD[i, f : f + n] for i, (f, n) in enumerate(zip(first_B.tolist(), lengths, strict=True))])


def _agree(a: Tensor, b: Tensor) -> bool:
    return bool((a - b).abs().max() <= _AGREES * b.abs().max().clamp_min(1e-3))
