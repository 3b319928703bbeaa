"""Every setting and its default. Nothing else in memtune holds a default value of a setting.

Settings are grouped by the room that reads them; on the command line they are written `group.name=value`
(`--set imprint.margin=12`). Unknown names and values of the wrong type are refused.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from memtune.checked import Checked, kinds_of, parse, replace
from memtune.errors import UnknownSetting, UsageError

DEFAULT_MODEL = "bundled"
DEFAULT_DATA = "memtune-data"
"""The folder of a server, or of a program that uses `memtune.lamini` without one."""
KIND_NAMES = ("imprint", "kv", "lora", "distil")
LADDER = ("base", "prompt", "rag", "memory", "memory+rag", "lookup", "oracle", "random")
"""Ways of answering that an evaluation compares."""
RACE = ("imprint", "peft-lora", "full-ft", "locft", "rag", "prompt", "lookup", "oracle", "grace")
"""Ways of keeping facts that a race compares."""
CASES = 200
"""Cases of each form of asking, and facts of a race, at most."""
UNRELATED = 64
"""Prompts about other things that an evaluation compares with the plain model bit for bit."""


@dataclass(frozen=True)
class LearnConfig(Checked):
    """How facts stream through."""

    kind: str = "imprint"
    """A kind of expert, or several joined by `+`."""
    lot_size: int = 512
    """Facts that are read, written and committed together."""
    batch_tokens: int = 8192
    """Padded tokens in one forward pass while reading."""
    max_answer_tokens: int = 1024
    max_answer_chars: int = 100_000
    proof: Literal["replay", "full"] = "replay"
    """`replay` proves every fact on its cached inputs and decodes a sample; `full` decodes every fact."""
    proof_sample: int = 4
    """Facts of every lot that are decoded freely when proof is `replay`."""
    on_conflict: Literal["error", "keep-first", "keep-last"] = "error"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least_one("lot_size", "batch_tokens")
        named = self.kind.split("+")
        if not set(named) <= set(KIND_NAMES) or len(set(named)) < len(named):
            raise UsageError(f"kind must be one of {', '.join(KIND_NAMES)}, or several joined by +, not '{self.kind}'")


@dataclass(frozen=True)
class ImprintConfig(Checked):
    """Exact recital, in closed form."""

    margin: float = 16.0
    """Logits by which each answer token must lead all others in the context that it was learned in."""
    ridge: float = 1e-3
    """Ridge of the dictionary, relative to the mean eigenvalue of the unembedding's Gram matrix."""
    depth: int = 0
    """Where the expert acts: 0 after the last block, n before the last n blocks."""
    rounds: int = 12
    """Corrections at most, for sites below the last block."""


@dataclass(frozen=True)
class KvConfig(Checked):
    """The fact's own key-value rows."""

    form: Literal["sentence", "qa"] = "qa"
    """What is read to make the rows: the bare question and answer, or both with their labels."""
    dtype: Literal["backbone", "bfloat16", "float8"] = "bfloat16"
    """How the rows are stored: as the backbone computes, in half of float32, or in a quarter."""


@dataclass(frozen=True)
class DistilConfig(Checked):
    """Of a fact's key-value rows those that matter."""

    share: float = 0.15
    """Of a fact's entries (a row for one head) those that are kept at first; where that is too few, twice as many."""
    tolerance: float = 0.05
    """Nats a token by which the model with what was kept may differ from the model with the fact in its context."""
    least_gain: float = 0.7
    """By how much the fact in the context must raise the logarithm of its answer's probability, a token; else the model
    does not use what stands in its context, and there is nothing to distil."""
    reply_tokens: int = 16
    """Of each reply that the teacher gives."""
    own_forms: bool = True
    """Whether the teacher is asked for a form of asking of its own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least_one("reply_tokens")
        if not 0 < self.share <= 1:
            raise UsageError(f"share must be above 0 and at most 1, not {self.share}")


@dataclass(frozen=True)
class LoraConfig(Checked):
    """Low-rank factors, brought by gradient descent."""

    blocks: int = 2
    """How many of the last blocks; 0: all."""
    targets: Literal["attention", "mlp", "all"] = "all"
    """Which linear layers of a block."""
    positions: Literal["answer", "all"] = "answer"
    """Where they act: from the last token of the prompt on, or on the prompt too."""
    r_value: int = 4
    """Rank."""
    alpha: float = 8.0
    """What is added is multiplied by alpha / r_value."""
    learning_rate: float = 0.005
    rate_of_b: float = 4.0
    """How many times faster b, which begins at zero, learns than a."""
    max_steps: int = 100
    """Of each expert, at most."""
    batch_size: int = 8
    """Examples of one expert in one pass."""
    gradient_accumulation_steps: int = 1
    """Passes before each step."""
    max_length: int = 2048
    """Tokens of one example, prompt and answer together. A longer fact is not learned, and named."""
    max_finetuning_examples: int = 1000
    """Examples of one expert at most: of a fact its learned wording, then further ones."""
    stop: float = 0.5
    """An expert is done when each token of its answers is at least this likely; 0: after max_steps."""
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least_one("r_value", "max_steps", "batch_size", "gradient_accumulation_steps")
        self.at_least_one("max_length", "max_finetuning_examples")
        if self.stop >= 1:
            raise UsageError(f"stop must be below 1, not {self.stop}", hint="no token becomes certain")


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
class AdmissionConfig(Checked):
    """What a bulk commit must reach to be served at once; below it, it waits as a candidate. Kept with the memory."""

    recall: float = 0.0
    """Share of a sample of its facts that must be recalled exactly; 0 asks for nothing."""
    near_miss: float = 1.0
    """Share of questions beside the facts that may fire at most; 1 asks for nothing."""
    ability: float = 0.0
    """General ability that must be left, as a share of the plain backbone's; 0 asks for nothing."""
    sample: int = 64
    """Facts that are asked to measure recall."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least_one("sample")
        for name in ("recall", "near_miss", "ability"):
            if getattr(self, name) > 1:
                raise UsageError(f"{name} must be between 0 and 1, not {getattr(self, name)}")

    @property
    def active(self) -> bool:
        return self.recall > 0 or self.near_miss < 1 or self.ability > 0


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
class SkillConfig(Checked):
    """Skills: experts that are trained on examples of a task."""

    r_value: int = 8
    """Rank of the factors."""
    alpha: float = 16.0
    """What is added is multiplied by alpha / r_value."""
    blocks: int = 0
    """How many of the last blocks an expert changes; 0: all."""
    targets: Literal["attention", "mlp", "all"] = "all"
    learning_rate: float = 0.003
    rate_of_b: float = 4.0
    """How many times faster the second factor learns."""
    batch_size: int = 16
    batch_tokens: int = 8192
    """Padded tokens in one pass."""
    max_epochs: int = 20
    """Times through all examples, at most."""
    clip: float = 1.0
    """The largest gradient; 0: as it is."""
    max_length: int = 1024
    """Tokens of a question and its answer; longer examples are named and left out."""
    held_out: float = 0.15
    """Share of the examples that is set aside: it says when training ends, and whether the skill is worth having."""
    patience: int = 4
    """Looks at the set-aside examples that may show nothing better before training ends."""
    ask: int = 64
    """Set-aside examples that are asked by free decoding, at most."""
    false_opening: float = 0.01
    """Share of other texts that may open the gate."""
    against: int = 2000
    """Facts whose questions the gate is told to leave alone, at most."""
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least_one("r_value", "batch_size", "batch_tokens", "max_epochs", "max_length", "patience")
        if not 0 <= self.held_out <= 0.5:
            raise UsageError(f"held_out must be at most 0.5, not {self.held_out}")


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


@dataclass(frozen=True)
class ConsolidateConfig(Checked):
    """Facts that are recited come to be known."""

    kind: str = "distil"
    """The knowing kind that they get."""
    lot_size: int = 64
    """Facts that are worked out together; what is done of a run that breaks off is kept lot by lot."""
    prompts: int = 8
    """Ordinary prompts at which it is shown that nothing has changed."""
    count_asked: bool = False
    """Note in the memory's folder which facts are used: those that are asked for most are consolidated first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least_one("lot_size")
        if self.kind not in KIND_NAMES:
            raise UsageError(f"kind must be one of {', '.join(KIND_NAMES)}, not '{self.kind}'")


@dataclass(frozen=True)
class TransferConfig(Checked):
    """Memories that come from elsewhere."""

    max_bytes: int = 1 << 38
    """What a file may unpack to."""


@dataclass(frozen=True)
class ServeConfig(Checked):
    """The server."""

    rows: int = 64
    """Requests that decode side by side."""
    queue: int = 256
    """Requests that wait for a place at most; one more is told to come back later."""
    prefix_tokens: int = 16_384
    """Tokens of beginnings of prompts, such as a system text, whose reading is kept for later requests; 0: none."""
    read_tokens: int = 2048
    """Padded tokens of prompts that are read in one pass while others wait for their next token."""
    shortest_prefix: int = 32
    """Tokens from which a beginning is worth keeping."""
    flush_ms: int = 40
    """How long pieces of a streamed reply are gathered before they are sent."""
    max_body: int = 8_000_000
    """Bytes of a request that is no upload."""
    max_upload: int = 2_000_000_000
    """Bytes of one upload."""
    max_messages: int = 2048
    """Messages of a chat."""
    max_choices: int = 16
    """Replies to one request, and prompts of a list 16 times as many."""
    per_minute: int = 0
    """Requests of a key in a minute, where the key itself does not say; 0: any number."""
    body_seconds: int = 30
    """How long a client may take to send a request that is no upload."""
    grace_seconds: int = 30
    """How long streams may go on after the server was told to end."""
    slots: int = 0
    """Workers that learn at one time; 0: one for each GPU, without any one for every two processors."""
    lot_size: int = 128
    """Facts that a job learns and commits together: so much is lost at most when it is broken off."""
    keep_jobs_days: int = 30
    """After which a job that is over is forgotten."""
    at_once: int = 256
    """Facts that one request may teach; more are the work of a job."""
    wait_seconds: int = 5
    """How long a change of a memory waits for another writer."""
    connections: int = 1024
    """Connections at one time; one more is closed at once."""
    cors: tuple[str, ...] = ()
    """Web pages that may call from a browser, such as https://shop.example; none unless named."""
    open_metrics: bool = False
    """Tell /metrics without a key."""
    log_texts: bool = False
    """Write prompts and answers to the log."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least_one("rows", "queue", "max_body", "max_upload", "max_messages", "max_choices", "lot_size")


@dataclass(frozen=True)
class Config:
    learn: LearnConfig = field(default_factory=LearnConfig)
    imprint: ImprintConfig = field(default_factory=ImprintConfig)
    kv: KvConfig = field(default_factory=KvConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)
    distil: DistilConfig = field(default_factory=DistilConfig)
    router: RouterConfig = field(default_factory=RouterConfig)
    index: IndexConfig = field(default_factory=IndexConfig)
    admission: AdmissionConfig = field(default_factory=AdmissionConfig)
    decode: DecodeConfig = field(default_factory=DecodeConfig)
    skill: SkillConfig = field(default_factory=SkillConfig)
    inbox: InboxConfig = field(default_factory=InboxConfig)
    consolidate: ConsolidateConfig = field(default_factory=ConsolidateConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    serve: ServeConfig = field(default_factory=ServeConfig)

    def with_settings(self, assignments: Iterable[str]) -> Config:
        """A copy with `group.name=value` assignments applied."""
        config = self
        for assignment in assignments:
            name, found, text = assignment.partition("=")
            if not found:
                raise UsageError(
                    f"'{assignment}' is not a setting", hint="write group.name=value, as in imprint.margin=12"
                )
            config = config._with(name.strip(), text.strip())
        return config

    def _with(self, name: str, text: str) -> Config:
        if name not in setting_names():
            raise UnknownSetting(name, setting_names())
        group, _, key = name.partition(".")
        changed = replace(getattr(self, group), **{key: parse(name, kinds_of(type(getattr(self, group)))[key], text)})
        return dataclasses.replace(self, **{group: changed})


def setting_names() -> list[str]:
    return [f"{group.name}.{f.name}" for group in dataclasses.fields(Config) for f in _fields(group.name)]


def _fields(group: str) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(typing.get_type_hints(Config)[group])
