"""Kv: the fact's own key-value rows.

The fact is read once, alone, as the beginning of a user's turn, at the positions just before zero; the keys and values
that its own tokens leave in every block are kept.
From the beginning of what is asked last they stand before the prompt's own, as if the fact stood there in the context,
while the cache of all that came before stays the backbone's. Several facts stand side by side.

Shapes: N fact tokens, L blocks, K key-value heads, d head width, F rows with facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from memtune.config import Config
from memtune.core.attention import FactRows
from memtune.core.backbone import Backbone
from memtune.core.experts import Batch, Expert, Tensors
from memtune.core.facts import Fact
from memtune.core.prompts import Prompt
from memtune.errors import KindUnsupported

_FORMS = {"sentence": "{question} {answer}\n", "qa": "Question: {question}\nAnswer: {answer}\n"}


class KeyValue:
    name = "kv"
    recites = False

    def __init__(self, config: Config) -> None:
        self.config = config.kv

    def require(self, backbone: Backbone) -> None:
        if backbone.attention.missing:
            raise KindUnsupported(
                f"kind 'kv' cannot live on '{backbone.name}': {backbone.attention.missing}",
                hint="use kind 'imprint'",
            )

    @torch.inference_mode()
    def write(self, batch: Batch) -> list[dict[str, Tensor]]:
        backbone = batch.backbone
        opening = backbone.template.opening()
        texts = backbone.tokenizer([self.text(f) for f in batch.facts], add_special_tokens=False)["input_ids"]
        rows = [[*opening, *text] for text in texts]
        ids = backbone.pad_right(rows)
        positions = torch.arange(ids.shape[1]) - torch.tensor([[len(r)] for r in rows])
        if backbone.learned_positions:
            positions = positions - positions[:, :1]
        with backbone.attention.recording() as recorder:
            backbone.model.base_model(input_ids=ids, position_ids=positions.to(ids.device), use_cache=False)
        dtype = {"bfloat16": torch.bfloat16, "float8": torch.float8_e4m3fn}.get(self.config.dtype, backbone.dtype)
        halves = torch.bfloat16 if dtype == torch.float8_e4m3fn else dtype
        by_block = [
            torch.stack([recorder.keys[block].to(halves).cpu(), recorder.values[block].to(halves).cpu()])
            for block in sorted(recorder.keys)
        ]
        stacked = torch.stack(by_block).permute(2, 4, 0, 1, 3, 5).to(dtype)  # L 2 B K N d -> B N L 2 K d
        return [{"rows": stacked[i, len(opening) : len(row)].clone()} for i, row in enumerate(rows)]

    def text(self, fact: Fact) -> str:
        return _FORMS[self.config.form].format(question=fact.question, answer=fact.answer)

    def prove(self, batch: Batch, written: Sequence[Tensors]) -> dict[int, str]:
        """Rows promise use, not recital: only free decoding can tell, and `learn` does that."""
        return {}

    def act(
        self,
        backbone: Backbone,
        prompts: Sequence[Prompt],
        experts: Sequence[Sequence[Expert]],
        ends: Sequence[bool],
    ) -> SideBySide:
        return SideBySide(backbone, prompts, experts)


class SideBySide:
    """Facts' rows beside the prompts of a batch."""

    def __init__(self, backbone: Backbone, prompts: Sequence[Prompt], experts: Sequence[Sequence[Expert]]) -> None:
        self.backbone = backbone
        self.facts = self._gather([len(p.ids) - p.asked_from for p in prompts], experts)

    def _gather(self, reach: Sequence[int], experts: Sequence[Sequence[Expert]]) -> FactRows | None:
        fired = [i for i, chosen in enumerate(experts) if chosen]
        if not fired:
            return None
        joined = [torch.cat([e.tensors["rows"].to(self.backbone.dtype) for e in experts[i]]) for i in fired]
        longest = max(len(rows) for rows in joined)
        padded = torch.zeros(len(fired), longest, *joined[0].shape[1:], dtype=self.backbone.dtype)
        real = torch.zeros(len(fired), longest, dtype=torch.bool)
        for i, rows in enumerate(joined):
            padded[i, : len(rows)], real[i, : len(rows)] = rows, True
        device = self.backbone.device
        by_part = padded.to(device).permute(2, 3, 0, 4, 1, 5).contiguous()  # F N L 2 K d -> L 2 F K N d
        return FactRows(
            torch.tensor(fired, device=device),
            [x[0] for x in by_part],
            [x[1] for x in by_part],
            real.to(device),
            torch.tensor([reach[i] for i in fired], device=device),
        )

    @contextmanager
    def acting(self) -> Iterator[None]:
        with self.backbone.attention.seeing(self.facts):
            yield

    def advance(self, tokens: Sequence[int]) -> None:
        """The rows act on whatever is said."""

    def arm(self, row: int, experts: Sequence[Expert], tail: str, *, end: bool) -> None:
        """Rows are attended from the question on; a gap that opens later adds nothing to them."""

    def reciting(self, row: int) -> bool:
        return False

    def finished(self, row: int) -> bool:
        return False
