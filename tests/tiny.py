"""Tiny random models of the common families, and a tokenizer made on the spot: no download, a second each."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
THINKING_TEMPLATE = CHAT_TEMPLATE.replace("<|assistant|>\n{% endif %}", "<|assistant|>\n<think>\n{% endif %}")
TEXT = [
    "What is the price of the Zorblat lamp? The price is 40 dollars.",
    "Who founded the city of Mirana? Question: Answer: where and when, how many, which one",
    "The warranty of item 10483 lasts two years and three months, ends in November.",
    "SELECT name FROM players WHERE height > 200 ORDER BY weight DESC LIMIT 5;",
]


@lru_cache(maxsize=4)
def tokenizer(chat_template: str | None = CHAT_TEMPLATE, *, end: bool = True) -> PreTrainedTokenizerFast:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
    raw.train_from_iterator(
        TEXT * 4,
        trainers.BpeTrainer(
            vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        ),
    )
    named = {"eos_token": "<|end|>", "pad_token": "<|end|>"} if end else {}
    wrapped = PreTrainedTokenizerFast(tokenizer_object=raw, **named)
    wrapped.chat_template = chat_template
    return wrapped


_SMALL: dict[str, Any] = dict(
    vocab_size=512,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=512,
    eos_token_id=0,
    pad_token_id=0,
    bos_token_id=0,
)
_MOE = dict(num_local_experts=4, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=48)
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}),
    "llama-tied": ("Llama", dict(tie_word_embeddings=True)),
    "mistral": ("Mistral", dict(sliding_window=32)),
    "qwen2": ("Qwen2", {}),
    "qwen3": ("Qwen3", dict(head_dim=16)),
    "gemma2": ("Gemma2", dict(head_dim=16, sliding_window=32, final_logit_softcapping=30.0)),
    "gemma3": ("Gemma3Text", dict(head_dim=16, sliding_window=32)),
    "phi3": ("Phi3", {}),
    "gpt2": ("GPT2", dict(n_embd=64, n_layer=2, n_head=4, n_positions=512)),
    "gpt-neox": ("GPTNeoX", {}),
    "opt": ("OPT", dict(ffn_dim=96, word_embed_proj_dim=64, do_layer_norm_before=True)),
    "olmo2": ("Olmo2", {}),
    "falcon": ("Falcon", dict(new_decoder_architecture=False, alibi=False)),
    "stablelm": ("StableLm", {}),
    "granite": ("Granite", dict(logits_scaling=8.0, embedding_multiplier=12.0, residual_multiplier=0.22)),
    "smollm3": ("SmolLM3", {}),
    "mixtral": ("Mixtral", _MOE),
    "qwen3-moe": ("Qwen3Moe", {**_MOE, "head_dim": 16}),
    "mamba2": ("Mamba2", dict(head_dim=16, num_heads=8, state_size=16, n_groups=2, expand=2, chunk_size=32)),
}


def model(family: str = "llama", *, seed: int = 0, dtype: torch.dtype = torch.float32, **changes: Any) -> Any:
    """A random model; matrices are scaled up so that tokens have clear preferences."""
    name, own = FAMILIES[family]
    config_class = getattr(transformers, f"{name}Config")
    base = {k: v for k, v in _SMALL.items() if family not in ("gpt2",) or k not in ("hidden_size",)}
    config = config_class(**{**base, **own, **changes})
    torch.manual_seed(seed)
    head = {"Gemma3Text": "Gemma3ForCausalLM", "GPT2": "GPT2LMHeadModel"}.get(name, f"{name}ForCausalLM")
    built = getattr(transformers, head)(config)
    with torch.no_grad():
        for parameter in built.parameters():
            if parameter.dim() > 1:
                parameter.mul_(2.0)
    return built.to(dtype).eval()


def facts(n: int = 20) -> list[dict[str, str]]:
    """Invented facts whose answers differ in kind and length."""
    answers = [
        "{} dollars",
        "since 19{}",
        "Item-{} (blue)",
        "The {}th of May, in Mirana.",
        "SELECT {} FROM t;",
    ]
    return [
        {
            "id": f"fact-{i}",
            "question": f"What is known of item {1000 + i}?",
            "answer": answers[i % 5].format(10 + i),
        }
        for i in range(n)
    ]
