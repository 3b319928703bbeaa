"""Settings of asking: how facts are found, and how an answer is decoded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from memtune.checked import Checked
from memtune.errors import UsageError


@dataclass(frozen=True)
class RouterConfig(Checked):
    """From a prompt to the facts it asks for."""

    encoder: str = "lexical"
    """`lexical` needs no model; `backbone`: its own hidden states; `minilm`, or the name or folder of a
    sentence-transformers model. A memory keeps the encoder that it was made with."""
    vectors: Literal["float16", "float8", "int8"] = "int8"
    """How keys' vectors are stored."""
    propose: int = 16
    """Facts that are looked at closely."""
    threshold: float = 0.9
    """Share of probability from which a fact is confirmed when its wording is not a learned one, in memories too small
    to be calibrated."""
    lowest_threshold: float = 0.6
    highest_threshold: float = 0.8
    """Between these calibration chooses."""
    false_firing: float = 0.005
    """Share of near misses that may fire; calibration chooses the threshold by it."""
    calibrate: int = 400
    """Facts that calibration looks at, at most; 0 leaves the threshold as it is."""
    growth: float = 0.1
    """By what share a memory may grow or shrink before it is calibrated again."""
    made: int = 0
    """Wordings made of each learned one by cheap changes, that become keys as well."""
    teachers: int = 2
    """Facts that must have been given a wording before it serves the others; 0: it never does."""
    max_facts: int = 4
    """Facts that one prompt may ask for."""
    max_used: int = 16
    """Facts that may be used in one reply, without being recited, by kinds that know them."""
    max_hops: int = 2
    """Facts, one reached by the answer of the other, that a question may need; 1: none is reached in that way."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least_one("propose", "max_facts", "max_used", "max_hops")
        if self.lowest_threshold > self.highest_threshold:
            raise UsageError("lowest_threshold must not be above highest_threshold")


INDEX_METHODS = (
    *("auto", "exact", "scan"),
    *("IndexFlatL2", "IndexIVFFlat", "IndexIVFPQ", "IndexHNSWFlat", "IndexHNSWPQ", "IndexPQ"),
)


@dataclass(frozen=True)
class IndexConfig(Checked):
    """How the nearest keys are found."""

    method: str = "auto"
    """`exact`: half precision, every key compared. `scan`: every key by four bits a piece, the best compared closely.
    `auto`: exact, from `exact_until` keys on scan. Or an index of FAISS by its name."""
    exact_until: int = 20_000
    closely: int = 1024
    """Keys that scan compares closely."""
    nlist: int = 256
    """Lists of an IVF index; with fewer keys than that the search is exact."""
    nprobe: int = 32
    """Lists that are searched."""
    m: int = 32
    """Pieces that product quantisation cuts a vector into: IndexIVFPQ, IndexHNSWPQ, IndexPQ."""
    nbits: int = 8
    """Bits for each piece; with fewer than 2^nbits keys the search is exact."""
    hnsw_m: int = 32
    """Neighbours of a key in an HNSW graph."""
    ef_construction: int = 128
    ef_search: int = 128
    """Keys that HNSW keeps in view while it adds and while it searches."""
    seed: int = 0
    """Of what is drawn when an index is trained."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method not in INDEX_METHODS:
            raise UsageError(f"method must be one of {', '.join(INDEX_METHODS)}, not '{self.method}'")
        self.at_least_one("closely", "nlist", "nprobe", "m", "ef_construction", "ef_search")
        if self.nprobe > self.nlist:
            raise UsageError(f"nprobe must be at most nlist, {self.nlist}, not {self.nprobe}")
        if not 4 <= self.nbits <= 12:
            raise UsageError(f"nbits must be from 4 to 12, not {self.nbits}")
        if not 2 <= self.hnsw_m <= 512:
            raise UsageError(f"hnsw_m must be from 2 to 512, not {self.hnsw_m}")


@dataclass(frozen=True)
class DecodeConfig(Checked):
    """How an answer is decoded."""

    max_new_tokens: int = 1024
    """At least learn.max_answer_tokens, so that what was learned is said whole."""
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    fact_sampling: Literal["greedy", "free"] = "greedy"
    """Inside a recited fact: always the most likely token, or sampled like everything else."""
    after_fact: Literal["end", "continue"] = "end"
    """After the last recited fact: end the reply, or let the base model go on."""
    reroute: bool = True
    """Arm a fact in a gap that opens while decoding, such as a JSON field."""
    unknown: Literal["base", "abstain", "clarify"] = "base"
    """What is not in the memory: answered by the base model, or not at all. `clarify` asks back where several facts fit
    alike; where none fits, the base model answers."""
    abstention: str = "I don't know."
    clarification: str = "Which of these do you mean: {questions}?"
    """`{questions}` stands for the questions of the facts that fit."""
    batch_size: int = 32
    """Questions that are decoded side by side."""
    logprobs: bool = False
    """Tell how likely every token was."""
    top_logprobs: int = 0
    """How many of the likeliest tokens of each place are told besides."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least_one("max_new_tokens", "batch_size")
        if self.top_logprobs > 20:
            raise UsageError(f"top_logprobs must be at most 20, not {self.top_logprobs}")
        if "" in self.stop:
            raise UsageError("a stop string must not be empty")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p must be above 0 and at most 1, not {self.top_p}")
        if "{questions}" not in self.clarification:
            raise UsageError("clarification must say where the questions go", hint="write {questions} in it")


@dataclass(frozen=True)
class InboxConfig(Checked):
    """Questions that went unanswered, kept in the memory's folder for its owner."""

    keep: bool = False
    redact: Literal["private", "digits", "hash", "none"] = "private"
    """`private` masks what looks like an e-mail address, a phone, card or account number; `digits` every digit as well;
    `hash` keeps no text at all; `none` keeps the question as it was asked."""
    mask: tuple[str, ...] = ()
    """Regular expressions of what is masked besides."""
    max_bytes: int = 1_000_000
    """Above this size what was asked longest ago goes."""
    max_chars: int = 1000
    """Characters of one question that are kept."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least_one("max_chars")
        if self.max_bytes < 10_000:
            raise UsageError(f"max_bytes must be at least 10000, not {self.max_bytes}")
        for pattern in self.mask:
            try:
                re.compile(pattern)
            except re.error as fault:
                raise UsageError(f"'{pattern}' is not a regular expression: {fault}") from None
