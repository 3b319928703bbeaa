"""What a memory keeps of a skill beside its tensors: what it is for, how it was trained, and its examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from memtune.errors import FolderDamaged
from memtune.skills.examples import Example, to_example


@dataclass(frozen=True)
class Summary:
    """What training and the set-aside share showed."""

    steps: int
    """Of training, all told."""
    best_step: int
    """The step that was kept: the one after which the set-aside examples were the likeliest; 0 is the plain model."""
    loss_before: float | None
    """Of the set-aside answers, a token, by the plain model; None where nothing could be set aside."""
    loss: float | None
    asked: int
    """Set-aside examples that were asked by free decoding."""
    right_before: int
    """Of these, answered exactly by the plain model."""
    right: int
    """And under the skill, the gate held open."""
    seconds: float
    bytes: int
    """Of its expert and its gate."""

    @property
    def worse(self) -> str:
        """Why the plain model is to be preferred; nothing where it is not."""
        if self.loss is None or self.loss_before is None:
            return ""
        if not self.loss < self.loss_before:  # also where it is no number any more
            return f"its loss a set-aside token is {self.loss:.3f}, the plain model's {self.loss_before:.3f}"
        if self.right < self.right_before:
            return (
                f"of {self.asked} set-aside examples it answers {self.right} exactly, the plain model "
                f"{self.right_before}"
            )
        return ""

    def lines(self) -> list[str]:
        if self.loss is None:
            return ["  too few examples to set some aside: it is not known whether it is better than the plain model"]
        return [
            f"  set-aside examples: loss a token {self.loss:.3f}, the plain model's {self.loss_before:.3f}",
            f"  exact answers to {self.asked:,} of them: {self.right:,}, the plain model's {self.right_before:,}",
        ]


@dataclass(frozen=True)
class Record:
    """A skill, told of."""

    name: str
    about: str
    """What it is for, in words."""
    kind: str
    settings: Mapping[str, Any]
    """Of its training, as they stood."""
    learned_at: int
    """The version of the memory whose facts its gate was fitted against."""
    facts: int
    """How many those were."""
    summary: Summary
    gate: Mapping[str, Any]
    """What was measured when its gate was fitted."""
    trained_on: tuple[Example, ...] = field(default=(), repr=False)
    set_aside: tuple[Example, ...] = field(default=(), repr=False)

    def to_json(self) -> dict[str, Any]:
        """Without the examples, which are counted."""
        said = {name: getattr(self, name) for name in ("name", "about", "kind", "learned_at", "facts")}
        counted = {"examples": len(self.trained_on), "set_aside": len(self.set_aside)}
        return said | counted | {
            "settings": dict(self.settings), "summary": asdict(self.summary), "gate": dict(self.gate),
        }  # fmt: skip

    def stored(self) -> dict[str, Any]:
        examples = {name: [row.to_row() for row in getattr(self, name)] for name in ("trained_on", "set_aside")}
        return {**self.to_json(), **examples}

    @classmethod
    def from_stored(cls, document: Mapping[str, Any]) -> Record:
        try:
            told = {n: document[n] for n in ("name", "about", "kind", "settings", "learned_at", "facts", "gate")}
            trained_on, set_aside = (tuple(map(to_example, document[n])) for n in ("trained_on", "set_aside"))
            summary = Summary(**document["summary"])
            return cls(**told, summary=summary, trained_on=trained_on, set_aside=set_aside)
        except (KeyError, TypeError):
            raise FolderDamaged("what is told of a skill cannot be read") from None

    def lines(self) -> list[str]:
        """For people."""
        found = self.summary
        return [
            f"{self.name}: {self.about or '(not described)'}",
            f"  kind {self.kind}, {found.bytes:,} bytes; {found.seconds:.1f} s, {found.steps} steps, "
            f"kept as it was after {found.best_step}",
            f"  trained on {len(self.trained_on):,} examples, {len(self.set_aside):,} set aside",
            *found.lines(),
            f"  gate: opened by {100 * self.gate['recall']:.0f} % of {self.gate['examples']:,} examples, by "
            f"{100 * self.gate['false_firing']:.1f} % of {self.gate['others']:,} other texts, each left out in turn",
            f"  the gate was fitted at version {self.learned_at}, against {self.facts:,} facts",
        ]
