"""What learning and asking give back."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Failed:
    """A fact that could not be learned, and why."""

    id: str
    reason: str


@dataclass
class LearnReport:
    """One call of `learn`."""

    facts: int = 0
    """Facts in the input, duplicates and skipped rows not counted."""
    learned: int = 0
    failed: list[Failed] = field(default_factory=list)
    duplicates: int = 0
    conflicts: int = 0
    resolved: list[str] = field(default_factory=list)
    """Each conflict that was settled: which fact, against which, and which of them stays."""
    not_admitted: list[str] = field(default_factory=list)
    """Why what was learned waits as a candidate instead of being served."""
    skipped: list[str] = field(default_factory=list)
    """Bad rows that were left out, each with its line and reason."""
    seconds: float = 0.0
    read_seconds: float | None = None
    """One plain forward pass over the same tokens in the same batches, if that was measured."""
    proof_seconds: float = 0.0
    """Of `seconds`, what free decoding of the proof took."""
    bytes_per_fact: float = 0.0
    version: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Used:
    """A fact that an answer used."""

    id: str
    score: float
    source: str | None = None
    kind: str = "imprint"
    """The kinds of its experts that acted, joined by `+`; `field` where the answer was written into a form."""
    field: str | None = None
    """The field of the form that it was written into."""


@dataclass(frozen=True)
class UsedSkill:
    """A skill that an answer was written under. It is no source of what the answer says."""

    name: str
    score: float


@dataclass(frozen=True)
class Scored:
    """A token that was said, and how likely it was."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()
    """The likeliest at this place, with the logarithms of their probabilities."""


@dataclass(frozen=True)
class Answer:
    """What `ask` gives back."""

    text: str
    facts: tuple[Used, ...] = ()
    skills: tuple[UsedSkill, ...] = ()
    fired: bool = False
    """Whether a fact was used."""
    abstained: bool = False
    clarifies: tuple[str, ...] = ()
    """Facts that fit alike, where the answer asks which of them is meant."""
    version: int | None = None
    tokens: tuple[int, ...] = ()
    prompt_tokens: int = 0
    finish: str = "stop"
    """`stop` for an end token or a stop string, `length` when max_new_tokens was reached."""
    scores: tuple[Scored, ...] = ()
    """How likely every token was, where that was asked for."""

    def __str__(self) -> str:
        return self.text

    def to_json(self) -> dict[str, Any]:
        return {
            "answer": self.text,
            "facts": [{"id": f.id, "score": round(f.score, 4), "source": f.source} for f in self.facts],
            "skills": [{"name": s.name, "score": round(s.score, 4)} for s in self.skills],
            "fired": self.fired,
            "abstained": self.abstained,
            "clarifies": list(self.clarifies),
            "version": self.version,
        }
