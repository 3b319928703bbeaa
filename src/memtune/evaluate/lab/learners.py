"""Who learns one part after the other: a memory, and one low-rank adapter that is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.evaluate.compare.training import Outcome, Training, add_lora, beside, decoded, require_peft
from memtune.evaluate.output import Say
from memtune.evaluate.stats import Rate
from memtune.model import MemoryModel

_RANK, _BATCH, _RATES = 32, 32, (3e-4, 1e-3, 2e-3)
_SEARCH = 0.2
"""Of the budget, for choosing the rate."""
_SLACK = 8
"""Tokens that a reply may have beyond the longest answer."""


class Learner(Protocol):
    name: str

    def learn(self, part: Sequence[Fact], share: float) -> tuple[float, str]:
        """Learn one more part, for which there is this share of the budget; the seconds, and how it went."""

    def exact(self, facts: Sequence[Fact]) -> Rate:
        """How many of these free decoding gives word for word."""

    @property
    def about(self) -> str: ...


class InMemory:
    """Every part goes into one memory."""

    def __init__(self, model: MemoryModel, kind: str) -> None:
        self._model, self._kind = model, kind
        self.name = f"memtune, {kind}"

    def learn(self, part: Sequence[Fact], share: float) -> tuple[float, str]:
        report = self._model.learn(part, kind=self._kind)
        return report.seconds, f"{report.learned:,} of {report.facts:,} learned"

    def exact(self, facts: Sequence[Fact]) -> Rate:
        return Rate.of(self.recalled(facts))

    def recalled(self, facts: Sequence[Fact]) -> list[bool]:
        """Of each, whether free decoding through the router gives it word for word."""
        backbone = self._model.backbone
        spelled = backbone.writer.tokens([f.answer for f in facts], backbone.template.question("?").tail)
        room = max(len(ids or ()) for ids in spelled) + _SLACK
        answers = self._model.ask([f.question for f in facts], max_new_tokens=room)
        return [a.text == f.answer for a, f in zip(answers, facts, strict=True)]

    @property
    def about(self) -> str:
        return "all parts in one memory, asked through its router"


class InSequence:
    """One adapter, trained on one part after the other; what came before is not shown again.

    Each part is trained until 99 % of it are decoded exactly, or its share of the budget is over."""

    name = "peft LoRA"

    def __init__(self, backbone: Backbone, tuning: Sequence[Fact], budget_seconds: float, seed: int, say: Say) -> None:
        require_peft()
        self._budget, self._seed = budget_seconds * (1 - _SEARCH), seed
        self._rate = self._choose(backbone, tuning, budget_seconds * _SEARCH / len(_RATES), say)
        self._own = beside(backbone)
        self._weights = add_lora(self._own.model, _RANK, seed)

    def learn(self, part: Sequence[Fact], share: float) -> tuple[float, str]:
        _, found = self._train(self._own, part, self._weights, self._rate, self._budget * share)
        over = ", diverged" if found.diverged else ", ended by the budget"
        ended = "" if found.reached_seconds is not None else over
        return found.seconds, f"{found.epochs:.1f} epochs{ended}"

    def exact(self, facts: Sequence[Fact]) -> Rate:
        return decoded(self._own, facts)

    @property
    def about(self) -> str:
        tried = ", ".join(f"{rate:g}" for rate in _RATES)
        return f"rank {_RANK}, all linear layers, AdamW, batch {_BATCH}, rate {self._rate:g} of {tried}"

    def _choose(self, backbone: Backbone, tuning: Sequence[Fact], seconds: float, say: Say) -> float:
        """The rate that learns facts which are in no part in the fewest epochs, which do not depend on how busy the
        machine is; where none does, the one with the lowest loss."""
        found: dict[float, tuple[float, float]] = {}
        for rate in _RATES:
            own = beside(backbone)
            run, outcome = self._train(own, tuning, add_lora(own.model, _RANK, self._seed), rate, seconds)
            last = run.losses[-len(run.batches) :]
            loss = sum(last) / len(last) if last else float("inf")
            epochs = outcome.epochs if outcome.reached_seconds is not None else float("inf")
            found[rate] = epochs, loss if loss == loss else float("inf")
            say(f"{self.name}, rate {rate:g}: {outcome.recall} after {outcome.seconds:.0f} s, loss {loss:.3f}")
        return min(found, key=found.__getitem__)

    def _train(
        self, own: Backbone, facts: Sequence[Fact], weights: list[Tensor], rate: float, seconds: float
    ) -> tuple[Training, Outcome]:
        run = Training(own, facts, weights, rate, _BATCH, self._seed)
        return run, run.run(seconds)
