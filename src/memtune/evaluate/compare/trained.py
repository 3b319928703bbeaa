"""What all contenders share that keep facts in weights: a search for the rate, training, and training again."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.evaluate.cases import Case, Said
from memtune.evaluate.compare.contender import Setting, Took, ask_plainly
from memtune.evaluate.compare.training import Outcome, Training, copy_of, size_of
from memtune.evaluate.stats import Rate

_BATCH = 32


class Trained:
    """Facts by gradient descent, each wording an example of its own."""

    name = ""
    rates: tuple[float, ...] = ()
    """What the search tries; the middle one where there is nothing to try on."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._facts: dict[str, Fact] = {}
        self._rate = self.rates[len(self.rates) // 2]
        self._own: Backbone | None = None
        self._weights: list[Tensor] = []
        self._exposures = 0.0

    # ---- what the methods differ in ---------------------------------------------------------------------------------

    def copied(self) -> Backbone:
        """A model whose weights may be changed."""
        return copy_of(self._setting.backbone)

    def free(self, own: Backbone) -> list[Tensor]:
        """Set free the weights that learn, and name them."""
        raise NotImplementedError

    def describe(self) -> str:
        """What learns."""
        raise NotImplementedError

    # ---- taking part ------------------------------------------------------------------------------------------------

    def learn(self, facts: Sequence[Fact]) -> Took:
        search = self._choose_rate()
        self._facts = {fact.id: fact for fact in facts}
        took = self._from_the_start()
        return dataclasses.replace(took, search_seconds=search)

    def answer(self, cases: Sequence[Case]) -> list[Said]:
        return ask_plainly(self.reader, self._setting.config, cases)

    def update(self, fact: Fact) -> Took:
        """Training goes on among all facts, so that the others are not lost."""
        self._facts[fact.id] = fact
        run = self._train(self.reader, self._weights, list(self._facts.values()))
        return _took(run, "training goes on among all facts")

    def delete(self, fact_id: str) -> Took:
        """Weights cannot be asked to forget: everything else is learned again."""
        del self._facts[fact_id]
        took = self._from_the_start()
        return dataclasses.replace(took, how=f"cannot delete; all others learned again from the start, {took.how}")

    def close(self) -> None:
        self._own, self._weights = None, []

    @property
    def stored_bytes(self) -> int:
        return size_of(self._weights)

    @property
    def exposures(self) -> float:
        return self._exposures

    @property
    def about(self) -> str:
        tried = ", ".join(f"{rate:g}" for rate in self.rates)
        return f"{self.describe()}; AdamW, batch {_BATCH}, rate {self._rate:g} of {tried}, chosen on tuning facts alone"

    @property
    def reader(self) -> Backbone:
        assert self._own is not None, "it has learned nothing yet"
        return self._own

    # ---- training ---------------------------------------------------------------------------------------------------

    def _choose_rate(self) -> float:
        """The rate at which the tuning facts, alone on a copy, are learned first or best; the seconds of finding it."""
        tuning = self._setting.tuning
        if not tuning or len(self.rates) == 1:
            return 0.0
        begin, runs = time.perf_counter(), dict[float, Outcome]()
        for rate in self.rates:
            own = self.copied()
            run = Training(own, _examples(tuning), self.free(own), rate, _BATCH, self._setting.seed)
            runs[rate] = run.run(self._setting.budget_seconds / len(self.rates))
            self._setting.say(f"{self.name}, rate {rate:g} on tuning facts: recall {runs[rate].recall}")
        self._rate = min(runs, key=lambda rate: _standing_by_epochs(runs[rate]))
        return time.perf_counter() - begin

    def _from_the_start(self) -> Took:
        self._own = None  # not two copies at a time
        self._own = self.copied()
        self._weights = self.free(self._own)
        run = self._train(self._own, self._weights, list(self._facts.values()))
        self._exposures = run.epochs
        return _took(run, f"{run.epochs:.0f} epochs")

    def _train(self, own: Backbone, weights: list[Tensor], facts: Sequence[Fact]) -> Outcome:
        setting = self._setting
        run = Training(own, _examples(facts), weights, self._rate, _BATCH, setting.seed).run(setting.budget_seconds)
        setting.say(f"{self.name}: {run.recall} after {run.seconds:.1f} s")
        return run


class Run(Protocol):
    @property
    def reached_seconds(self) -> float | None: ...
    @property
    def recall(self) -> Rate: ...


def standing(run: Run) -> tuple[float, int]:
    """The lower, the better: who got there first; where none did, who recalls most."""
    return run.reached_seconds or float("inf"), -run.recall.hits


def _standing_by_epochs(run: Outcome) -> tuple[float, int]:
    """The same by epochs, which do not depend on how busy the machine is."""
    return run.epochs if run.reached_seconds is not None else float("inf"), -run.recall.hits


def _examples(facts: Sequence[Fact]) -> list[Fact]:
    return [dataclasses.replace(fact, question=wording) for fact in facts for wording in fact.wordings]


def _took(run: Outcome, how: str) -> Took:
    return Took(run.seconds, how, run.reached_seconds is not None)
