"""Settings of learning: how facts stream through, and what each kind of expert is made by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from memtune.checked import Checked
from memtune.errors import UsageError

KIND_NAMES = ("imprint", "kv", "lora", "distil")


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
