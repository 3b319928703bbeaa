"""Questions to a memory and about it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from memtune.serve.facts.shapes.common import Asked, Text, example
from memtune.serve.facts.shapes.facts import FactOut


class Hit(BaseModel):
    """A fact that was found."""

    fact: FactOut
    score: float | None = Field(default=None, description="How sure the router is; none in a search by text.")
    confirmed: bool | None = Field(default=None, description="Whether the router would let it answer.")
    why: str | None = None


class Hits(BaseModel):
    """What was found, the best first."""

    version: int
    hits: list[Hit]
    next: str | None = Field(default=None, description="In a search by text: pass it as `after` to go on.")


class Question(Asked):
    """What is asked."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"question": "What does the Zorblat cost?"}]}
    )

    question: Text


class Asking(Question):
    """What is asked, and how it is to be answered."""

    unknown: Literal["base", "abstain", "clarify"] | None = Field(
        default=None, description="What is not in the memory: the base model answers, nobody does, or it is asked back."
    )
    max_new_tokens: int | None = Field(default=None, ge=1, le=4096)


class UsedFact(BaseModel):
    """A fact that the answer used."""

    id: str
    score: float
    source: str | None = None


class UsedSkill(BaseModel):
    """A skill under which the answer was written."""

    name: str
    score: float


class Reply(BaseModel):
    """An answer, and what it was made of."""

    model_config = example(
        answer="40 dollars", facts=[{"id": "price-1", "score": 1.0, "source": "prices.csv"}], skills=[], fired=True,
        abstained=False, clarifies=[], version=12,
    )  # fmt: skip

    answer: str
    facts: list[UsedFact]
    skills: list[UsedSkill]
    fired: bool
    abstained: bool
    clarifies: list[str]
    version: int | None = None


class Proposal(BaseModel):
    """A fact that the router looked at."""

    model_config = ConfigDict(extra="allow")

    id: str
    score: float
    confirmed: bool
    why: str


class Explained(BaseModel):
    """What the router saw, proposed and confirmed, and why."""

    version: int
    asked: list[dict[str, Any]]
    note: str | None = None
    proposals: list[Proposal]
    confirmed: list[str]
    rivals: list[str]
    skills: list[dict[str, Any]]


class CertifyAsked(Asked):
    """What is to be certified: that no fact answers this prompt."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"prompt": "What is 2 and 2?"}]})

    prompt: Text
    max_new_tokens: int = Field(default=64, ge=1, le=1024)


class Shown(BaseModel):
    """One prompt, decoded with the memory and without it, with the SHA-256 of all logits."""

    prompt: str
    same: bool
    first: str
    whole: str
    plain_first: str
    plain_whole: str
    tokens: int
    reply: str
    used: list[str]


class Certified(BaseModel):
    """Whether the model with the memory is the plain model at these prompts, bit for bit; what was found, and what
    stands against it."""

    certified: bool
    id: str | None
    memory: str
    version: int
    manifest: str
    backbone: str
    weights: str
    computed: str
    shown: list[Shown]
    held_by: list[int]
    fitted: list[str]
    against: list[str]


class EvalAsked(Asked):
    """How much is to be asked."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"sample": 32, "near_misses": True}]})

    sample: int = Field(default=32, ge=1, le=256, description="Facts that are asked for, drawn by the seed.")
    near_misses: bool = Field(default=True, description="Ask also what is nearly learned, and should not fire.")
    seed: int = Field(default=0, ge=0, le=2**31 - 1)


class Share(BaseModel):
    """So many of so many, with the 95 % interval of the share."""

    n: int
    of: int
    low: float
    high: float


class Evaluated(BaseModel):
    """What a sample showed, asked as users ask."""

    model_config = example(
        version=12, seed=0, recalled={"n": 32, "of": 32, "low": 0.89, "high": 1.0}, missed=[],
        fired_at_near_misses={"n": 0, "of": 30, "low": 0.0, "high": 0.11}, remarks=[],
    )  # fmt: skip

    version: int
    seed: int
    recalled: Share = Field(description="Facts of the sample whose answer was exactly recalled, and no other used.")
    missed: list[str] = Field(description="The ids of the others.")
    fired_at_near_misses: Share | None = Field(
        default=None, description="Questions that no fact answers, and that fired."
    )
    remarks: list[str]
