"""A vocabulary as a grammar sees it: what each token says in bytes, and how a text is spelled."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from memtune.core.backbone import Backbone
from memtune.errors import ExtraMissing, UsageError

if TYPE_CHECKING:
    import llguidance

Mask = NDArray[np.bool_]
CLOSING = '}]n"0tf'
"""What ends a value or begins a short one, in this order."""
_Spell = Callable[[bytes], list[int]]


class Words:
    """A backbone's vocabulary as the grammar sees it: bytes."""

    def __init__(self, backbone: Backbone) -> None:
        try:
            import llguidance.hf
        except ImportError:
            raise ExtraMissing("llguidance", "structure") from None
        self.ends = sorted(backbone.end_ids)
        self._stand_in = [] if self.ends else [len(backbone.tokenizer) - 1]  # the grammar wants an end token
        try:
            self.tokenizer = llguidance.hf.from_tokenizer(
                backbone.tokenizer, n_vocab=backbone.vocabulary, eos_token=self.ends or self._stand_in
            )
        except ValueError as fault:
            raise UsageError(f"the model's tokenizer cannot follow a schema: {str(fault)[:120]}") from None
        self.single = {char: self._single(char) for char in CLOSING}

    def _single(self, char: str) -> int | None:
        ids = self.tokenizer.greedy_tokenize(char)
        return ids[0] if len(ids) == 1 else None

    @cached_property
    def said_by(self) -> list[bytes]:
        return [self.tokenizer.decode_bytes([token]) for token in range(self.tokenizer.vocab_size)]

    @cached_property
    def shortest_first(self) -> NDArray[np.int64]:
        return np.array(sorted(range(len(self.said_by)), key=lambda token: len(self.said_by[token])), dtype=np.int64)

    @cached_property
    def with_exponent(self) -> Mask:
        """Tokens that may begin an exponent. A number with one may be too large for any reader."""
        return np.array([b"e" in said or b"E" in said for said in self.said_by])

    @cached_property
    def behind_number(self) -> Mask:
        """Tokens by which a number ends."""
        found = np.array([said[:1] in (b",", b"}", b"]") for said in self.said_by])
        found[self.ends] = True
        return found

    def allowed(self, matcher: llguidance.LLMatcher) -> Mask:
        """The tokens that the grammar allows next."""
        packed = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        bits = np.unpackbits(packed, bitorder="little")[: len(self.said_by)].astype(bool)
        bits[self._stand_in] = False
        return bits

    def spelled(self, text: bytes, matcher: llguidance.LLMatcher) -> list[int] | None:
        """The tokens of a text behind what the matcher has read; None where it may not be said."""
        ways: tuple[_Spell, ...] = (self.tokenizer.tokenize_bytes, self._greedily, self._singly)
        for way in ways:
            tokens = way(text)
            if self.tokenizer.decode_bytes(tokens) == text and matcher.validate_tokens(tokens) == len(tokens):
                return tokens
        return None

    def _greedily(self, text: bytes) -> list[int]:
        return self.tokenizer.greedy_tokenize(_text(text))

    def _singly(self, text: bytes) -> list[int]:
        """Character by character: the name of a special token is text as well."""
        return [token for char in _text(text) for token in self.tokenizer.tokenize_bytes(char.encode())]


def _text(said: bytes) -> str:
    return said.decode("utf-8", "ignore")
