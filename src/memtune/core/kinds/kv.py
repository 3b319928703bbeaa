"""Kv: the fact's own key-value rows.

The fact is read once, alone, as the beginning of a user's turn, at the positions just before zero; the keys and values
that its own tokens leave in every block are kept, those of labels apart.
From the beginning of what is asked last they stand before the prompt's own, as if the fact stood there in the context,
while the cache of all that came before stays the backbone's. Several facts stand side by side.

Shapes: N fact tokens, L blocks, K key-value heads, d head width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.beside import Entries, SideBySide
from memtune.core.experts import Batch, Expert, Tensors
from memtune.core.facts import Fact
from memtune.core.prompts import Prompt
from memtune.errors import KindUnsupported

_ASKED, _ANSWERED = "Question:", "\nAnswer:"
_FORMS = {"sentence": "{question} {answer}\n", "qa": f"{_ASKED} {{question}}{_ANSWERED} {{answer}}\n"}


class KeyValue:
    name = "kv"
    recites = False

    def __init__(self, config: Config) -> None:
        self.config = config.kv

    def require(self, backbone: Backbone) -> None:
        require_rows(self.name, backbone)

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
        kept = self._kept(backbone, batch.facts, texts)
        return [{"rows": stacked[i, [len(opening) + at for at in places]]} for i, places in enumerate(kept)]

    def _kept(self, backbone: Backbone, facts: Sequence[Fact], texts: Sequence[list[int]]) -> list[list[int]]:
        """Which tokens of each text leave rows. Labels tell how to read the fact; once it is read they only draw
        attention away from it. The mark before the answer stays."""

        def encoded(beginnings: list[str]) -> list[list[int]]:
            return list(backbone.tokenizer(beginnings, add_special_tokens=False)["input_ids"])

        asked = encoded([f"{_ASKED} {fact.question}" for fact in facts])
        marked = encoded([f"{_ASKED} {fact.question}{_ANSWERED}" for fact in facts])
        (label,) = encoded([_ASKED])
        kept = []
        for fact, text, question, mark in zip(facts, texts, asked, marked, strict=True):
            plain = fact.passage or self.config.form != "qa" or question[: len(label)] != label
            if plain or text[: len(mark)] != mark or mark[: len(question)] != question:  # tokens that join beginnings
                kept.append(list(range(len(text))))
            else:
                kept.append([*range(len(label), len(question)), *range(len(mark) - 1, len(text))])
        return kept

    def text(self, fact: Fact) -> str:
        if fact.passage:
            return f"{fact.page}\n"
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
        return SideBySide(backbone, prompts, experts, self.entries)

    def entries(self, expert: Expert) -> Entries:
        """All rows for all heads."""
        rows = expert.tensors["rows"]
        n, blocks, _, heads, width = rows.shape
        both = rows.permute(2, 0, 1, 3, 4).reshape(2, -1, width)
        block = torch.arange(blocks)[None, :, None].expand(n, blocks, heads)
        head = torch.arange(heads)[None, None].expand(n, blocks, heads)
        return Entries(both[0], both[1], block.reshape(-1), head.reshape(-1))


def require_rows(kind: str, backbone: Backbone) -> None:
    """Raise where facts' rows cannot be attended."""
    if backbone.attention.missing:
        raise KindUnsupported(
            f"kind '{kind}' cannot live on '{backbone.name}': {backbone.attention.missing}", hint="use kind 'imprint'"
        )
