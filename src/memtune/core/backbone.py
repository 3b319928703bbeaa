"""The frozen model: its parts found by structure, its identity, and plain passes over batches of tokens.

Shapes: B rows, S positions, D width, V vocabulary.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from memtune.core.attention import FactAttention
from memtune.core.prompts import AnswerWriter, Template
from memtune.errors import BackboneError, BackboneMismatch

_HASHED_PER_TENSOR = 65_536


@dataclass(frozen=True)
class Identity:
    """What a memory is bound to. Weights are hashed by a dense sample of every tensor, rounded to bfloat16, so that
    the same checkpoint loaded in another precision is the same backbone."""

    name: str
    config: str
    tokenizer: str
    weights: str

    def to_json(self) -> dict[str, str]:
        return dict(vars(self))

    def require(self, stored: Mapping[str, str]) -> None:
        """Raise when a memory made on the `stored` backbone is opened on this one."""
        differing = [part for part in ("config", "tokenizer", "weights") if stored[part] != getattr(self, part)]
        if differing:
            raise BackboneMismatch(
                f"the memory was made on '{stored['name']}' ({stored['weights'][:12]}), "
                f"not on '{self.name}' ({self.weights[:12]}): {', '.join(differing)} differ",
                hint="open it with the model it was made on, or learn the facts again into a new memory",
            )


class Backbone:
    """A Hugging Face causal language model, read only."""

    def __init__(self, model: Any, tokenizer: Any, *, name: str | None = None, template: str | None = "own") -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.name = name or getattr(model.config, "_name_or_path", "") or type(model).__name__
        own = template == "own"
        self.template = Template(tokenizer, getattr(tokenizer, "chat_template", None) if own else template)
        self.writer = AnswerWriter(tokenizer)
        self.unembedding = _unembedding(model)
        self.blocks = _blocks(model)
        self.end_id = _end_id(model, tokenizer)
        self.end_ids = _end_ids(model, self.end_id)
        self.pad_id = _first_int(tokenizer.pad_token_id, self.end_id, 0)
        self.context = _context_length(model, tokenizer)
        self.attention = FactAttention(model, len(self.blocks))
        self.lock = threading.RLock()
        self._spellings: dict[int, str] = {}
        self._takes = frozenset(inspect.signature(type(model).forward).parameters)
        self._cache_name = "cache_params" if "cache_params" in self._takes else "past_key_values"
        self._scale, self._softcap = self._find_logit_shape()

    def with_template(self, chat_template: str | None) -> Backbone:
        """The same model behind another chat template: two memories on one model may each have their own."""
        if chat_template == self.template.chat_template:
            return self
        other = copy.copy(self)
        other.template = Template(self.tokenizer, chat_template)
        return other

    @property
    def device(self) -> torch.device:
        return torch.device(next(self.model.parameters()).device)

    @property
    def dtype(self) -> torch.dtype:
        weight: Tensor = self.unembedding.weight
        return weight.dtype

    def site(self, depth: int) -> Any:
        """The module whose input is the stream at this depth: 0 the unembedding, n the last block but n - 1."""
        return self.blocks[len(self.blocks) - depth] if depth else self.unembedding

    @property
    def width(self) -> int:
        return int(self.unembedding.weight.shape[1])

    @property
    def vocabulary(self) -> int:
        return int(self.unembedding.weight.shape[0])

    @cached_property
    def learned_positions(self) -> bool:
        """Whether positions are looked up in a table, which has no rows before zero."""
        tables = [m for m in self.model.modules() if isinstance(m, nn.Embedding)]
        return any(m is not self.model.get_input_embeddings() for m in tables)

    @cached_property
    def identity(self) -> Identity:
        return Identity(
            name=str(self.name),
            config=_hash_config(self.model.config),
            tokenizer=_hash_tokenizer(self.tokenizer),
            weights=_hash_weights(self.model),
        )

    # ---- plain passes -------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def read(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """The stream that the unembedding reads, h_BSD, for rows padded on the right. Causal models never look at
        padding that stands behind."""
        ids = self.pad_right(rows)
        hidden: Tensor = self.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        return hidden

    @torch.inference_mode()
    def read_masked(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The same for rows padded on the left, which end together."""
        given: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
        if "position_ids" in self._takes:
            given["position_ids"] = self._positions(mask)
        hidden: Tensor = self.model.base_model(**given).last_hidden_state
        return hidden

    def _positions(self, mask: Tensor) -> Tensor:
        # Rows that ended at the limit of the context go on beside the others: they must stay on the table.
        return (mask.long().cumsum(-1) - 1).clamp(0, self.context - 1)

    def pad_left(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Tokens and which of them are real."""
        width = max(len(row) for row in rows)
        ids = torch.full((len(rows), width), self.pad_id, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, width - len(row) :], mask[i, width - len(row) :] = torch.tensor(row), 1
        return ids.to(self.device), mask.to(self.device)

    def pad_right(self, rows: Sequence[Sequence[int]]) -> Tensor:
        width = max(len(row) for row in rows)
        ids = torch.full((len(rows), width), self.pad_id, dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
        return ids.to(self.device)

    def scores(self, h: Tensor) -> Tensor:
        """Logits before any soft cap: what a push on the stream moves in proportion."""
        scores: Tensor = self.unembedding(h) * self._scale
        return scores

    def logits(self, h: Tensor) -> Tensor:
        """Logits as the model itself would give them for h."""
        scores = self.scores(h)
        return torch.tanh(scores / self._softcap) * self._softcap if self._softcap else scores

    @property
    def logit_scale(self) -> float:
        """Factor between the unembedding's product and the logits."""
        return self._scale

    @torch.inference_mode()
    def step(self, ids: Tensor, mask: Tensor, cache: Any) -> tuple[Tensor, Any]:
        """One pass over new tokens behind a cache (None: a new one): logits of the last position and the cache."""
        positions = self._positions(mask)[:, -ids.shape[1] :]
        given: dict[str, Any] = {
            "input_ids": ids,
            "attention_mask": mask,
            "use_cache": True,
            self._cache_name: cache,
        }
        if "position_ids" in self._takes:
            given["position_ids"] = positions
        if "logits_to_keep" in self._takes:
            given["logits_to_keep"] = 1
        out = self.model(**given)
        return out.logits[:, -1], getattr(out, self._cache_name)

    @cached_property
    def drift(self) -> float:
        """The largest difference of a logit between one pass over a text and prefill followed by decoding, in this
        precision. Margins must be several times this."""
        ids = torch.arange(8, 40, device=self.device).remainder(self.vocabulary)[None]
        mask = torch.ones_like(ids)
        whole = self.logits(self.read([ids[0].tolist()]))[0].float()
        worst, (_, cache) = 0.0, self.step(ids[:, :16], mask[:, :16], None)
        for n in range(16, ids.shape[1]):
            logits, cache = self.step(ids[:, n : n + 1], mask[:, : n + 1], cache)
            worst = max(worst, float((logits[0].float() - whole[n]).abs().max()))
        return worst

    @cached_property
    def longest_token(self) -> int:
        """Characters of the longest one: no text of so many more than the context has tokens fits it."""
        return max(map(len, self.tokenizer.get_vocab()))

    def spelling(self, token: int) -> str:
        """The text of a single token, remembered."""
        if token not in self._spellings:
            self._spellings[token] = self.tokenizer.decode([token])
        return self._spellings[token]

    @contextmanager
    def hooked(self, module: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
        """While inside, `change` maps the stream that enters `module`."""

        def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if args:
                return (change(args[0]), *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}

        handle = module.register_forward_pre_hook(hook, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    @contextmanager
    def watched(self, module: nn.Module, look: Callable[[Tensor], None]) -> Iterator[None]:
        """While inside, `look` is shown the stream that leaves `module`."""

        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            look(output[0] if isinstance(output, tuple) else output)

        handle = module.register_forward_hook(hook)
        try:
            yield
        finally:
            handle.remove()

    @torch.inference_mode()
    def _find_logit_shape(self) -> tuple[float, float]:
        """How logits follow from the unembedding's product: a factor and a soft cap, checked on a probe."""
        ids = torch.arange(1, 9, device=self.device).remainder(self.vocabulary)[None]
        actual = self.model(input_ids=ids, use_cache=False).logits.float()
        product = self.unembedding(self.model.base_model(input_ids=ids, use_cache=False).last_hidden_state).float()
        scale, cap = float((actual * product).sum() / product.square().sum()), 0.0
        if abs(scale - 1) < 1e-3:
            scale = 1.0
        if not _close(actual, product * scale):
            cap = float(getattr(self.model.config.get_text_config(), "final_logit_softcapping", None) or 0.0)
            scale = 1.0
            if not cap or not _close(actual, torch.tanh(product / cap) * cap):
                raise BackboneError(
                    f"'{self.name}' does more with its logits than scaling and capping: memtune cannot write to it",
                    hint="please report the model's name",
                )
        return scale, cap


def _close(a: Tensor, b: Tensor) -> bool:
    return bool((a - b).abs().max() <= 0.02 * a.abs().max().clamp_min(1e-3))


def _unembedding(model: Any) -> Any:
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    if head is None or not hasattr(head, "weight"):
        raise BackboneError(
            f"{type(model).__name__} has no unembedding: it is not a causal language model",
            hint="load it with AutoModelForCausalLM",
        )
    return head


def _blocks(model: Any) -> nn.ModuleList:
    """The stack of blocks: the longest list of modules of one class, outermost first."""
    stacks = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len({type(x) for x in m}) == 1]
    depth = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    stacks = [m for m in stacks if len(m) == depth] or stacks
    if not stacks:
        raise BackboneError(f"no stack of blocks found in {type(model).__name__}")
    return max(stacks, key=len)


def _first_int(*candidates: Any) -> int:
    return next(int(c) for c in candidates if isinstance(c, int))


def _end_id(model: Any, tokenizer: Any) -> int | None:
    if tokenizer.eos_token_id is not None:
        return int(tokenizer.eos_token_id)
    ends = _end_ids(model, None)
    return min(ends) if ends else None


def _end_ids(model: Any, end_id: int | None) -> frozenset[int]:
    ids: set[int] = {end_id} if end_id is not None else set()
    for holder in (getattr(model, "generation_config", None), model.config):
        given = getattr(holder, "eos_token_id", None)
        ids.update(given if isinstance(given, (list, tuple)) else [given] if given is not None else [])
    return frozenset(i for i in ids if 0 <= i < model.get_output_embeddings().weight.shape[0])


def _context_length(model: Any, tokenizer: Any) -> int:
    config = model.config.get_text_config()
    given = [getattr(config, name, None) for name in ("max_position_embeddings", "n_positions", "max_seq_len")]
    return _first_int(*given, min(int(tokenizer.model_max_length), 1 << 20))


def _hash_config(config: Any) -> str:
    """The numbers that shape the computation: not the version of the library, the name or the precision."""
    loose = (
        "_name_or_path",
        "transformers_version",
        "dtype",
        "torch_dtype",
        "use_cache",
        "_attn_implementation",
    )
    given = {k: v for k, v in config.to_dict().items() if k not in loose}
    return hashlib.sha256(json.dumps(given, sort_keys=True, default=str).encode()).hexdigest()


def _hash_tokenizer(tokenizer: Any) -> str:
    digest = hashlib.sha256(json.dumps(sorted(tokenizer.get_vocab().items())).encode())
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        state = json.loads(backend.to_str())
        # Padding and truncation are how a call was made, not what the tokenizer is.
        digest.update(json.dumps({k: v for k, v in state.items() if k not in ("padding", "truncation")}).encode())
    return digest.hexdigest()


@torch.inference_mode()
def _hash_weights(model: Any) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        flat = tensor.detach().reshape(-1)
        sample = flat[:: max(1, flat.numel() // _HASHED_PER_TENSOR)]
        if sample.is_floating_point():
            sample = sample.to(torch.bfloat16).view(torch.int16)
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(sample.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
