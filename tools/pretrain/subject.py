"""The model under measurement: an exported folder, decoded greedily and scored on text."""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer

STRIDE = 512  # text is scored in windows of the whole context that move on by this much


class Subject:
    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).to(device).eval()
        self.device = device

    def continuations(self, prompts: list[str], new_tokens: int, batch: int = 64) -> list[tuple[str, bool]]:
        """Greedy text after each prompt, and whether the end token came in time."""
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        results: dict[int, tuple[str, bool]] = {}
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            results.update(zip(chosen, self._decode([prompts[i] for i in chosen], new_tokens), strict=True))
        return [results[i] for i in range(len(prompts))]

    @torch.inference_mode()
    def _decode(self, prompts: list[str], new_tokens: int) -> list[tuple[str, bool]]:
        inputs = self.tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        out = self.model.generate(
            input_ids=inputs["input_ids"].to(self.device),
            attention_mask=inputs["attention_mask"].to(self.device),
            max_new_tokens=new_tokens,
            do_sample=False,
        )
        return [self._until_end(ids) for ids in out[:, inputs["input_ids"].shape[1] :].tolist()]

    def _until_end(self, ids: list[int]) -> tuple[str, bool]:
        end = self.tokenizer.eos_token_id
        ended = end in ids
        return self.tokenizer.decode(ids[: ids.index(end)] if ended else ids), ended

    @torch.inference_mode()
    def bits_per_byte(self, text: str) -> float:
        """Every token but the first is scored once, with half the context or more before it where there is any."""
        ids = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        context, nats = self.model.config.max_position_embeddings, 0.0
        for start in range(0, len(ids) - 1, STRIDE):
            first = max(0, start + STRIDE - context)
            window = torch.tensor([ids[first : start + STRIDE + 1]], device=self.device)
            logits = self.model(input_ids=window[:, :-1], use_cache=False).logits[0, start - first :].float()
            nats += F.cross_entropy(logits, window[0, start - first + 1 :], reduction="sum").item()
        return nats / math.log(2) / len(self.tokenizer.decode(ids[1:]).encode())
