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
        self._diverged: list[float] = []

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
        took = self._from_the_start([self._rate, *self._slower], self._setting.budget_seconds)
        return dataclasses.replace(took, search_seconds=search)

    def answer(self, cases: Sequence[Case]) -> list[Said]:
        return ask_plainly(self.reader, self._setting.config, cases)

    def update(self, fact: Fact) -> Took:
        """Training goes on among all facts, so that the others are not lost, until the new answer is given too."""
        self._facts[fact.id] = fact
        budget = self._setting.budget_seconds
        run = self._train(self.reader, self._weights, must=[fact], seconds=budget)
        how = "training goes on among all facts"
        if not run.diverged:
            return _took(run, how)
        again = self._from_the_start(self._slower, budget - run.seconds)
        how = f"{how}; it diverged, all learned again from the start, {again.how}"
        return dataclasses.replace(again, how=how, seconds=again.seconds + run.seconds)

    def delete(self, fact_id: str) -> Took:
        """Weights cannot be asked to forget: everything else is learned again."""
        del self._facts[fact_id]
        took = self._from_the_start([self._rate, *self._slower], self._setting.budget_seconds)
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
        failed = "".join(f"; rate {rate:g} diverged on all facts" for rate in self._diverged)
        chosen = f"rate {self._rate:g} of {tried}, chosen on tuning facts alone{failed}"
        return f"{self.describe()}; AdamW, batch {_BATCH}, {chosen}"

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
        self._rate = min(runs, key=lambda rate: standing_by_epochs(runs[rate]))
        return time.perf_counter() - begin

    @property
    def _slower(self) -> list[float]:
        """Rates of the grid below the present one, the fastest first."""
        return sorted((rate for rate in self.rates if rate < self._rate), reverse=True)

    def _from_the_start(self, rates: Sequence[float], budget: float) -> Took:
        """All facts on a fresh copy, until every one is recalled. Where the loss leaves all bounds, the next of these
        rates has what is left of the budget."""
        facts, spent = list(self._facts.values()), 0.0
        run: Outcome | None = None
        for self._rate in rates:
            self._own, self._weights = None, []  # not two copies at a time
            self._own = self.copied()
            self._weights = self.free(self._own)
            run = self._train(self._own, self._weights, must=facts, seconds=budget - spent)
            spent += run.seconds
            if not run.diverged:
                break
            self._diverged.append(self._rate)
            if spent >= budget:
                break
        if run is None:
            return Took(0.0, "no slower rate is left", in_time=False)
        self._exposures = run.epochs
        told = "diverged" if run.diverged else f"{run.epochs:.0f} epochs"
        return dataclasses.replace(_took(run, told), seconds=spent)

    def _train(self, own: Backbone, weights: list[Tensor], must: Sequence[Fact], seconds: float) -> Outcome:
        facts, setting = _examples(list(self._facts.values())), self._setting
        run = Training(own, facts, weights, self._rate, _BATCH, setting.seed, _examples(must)).run(seconds)
        told = "diverged" if run.diverged else str(run.recall)
        setting.say(f"{self.name}, rate {self._rate:g}: {told} after {run.seconds:.1f} s")
        return run


class Run(Protocol):
    @property
    def reached_seconds(self) -> float | None: ...
    @property
    def recall(self) -> Rate: ...
    @property
    def diverged(self) -> bool: ...


def standing(run: Run) -> tuple[bool, float, int]:
    """The lower, the better: who got there first; where none did, who recalls most; last who diverged."""
    return run.diverged, run.reached_seconds or float("inf"), -run.recall.hits


def standing_by_epochs(run: Outcome) -> tuple[bool, float, int]:
    """The same by epochs, which do not depend on how busy the machine is."""
    return run.diverged, run.epochs if run.reached_seconds is not None else float("inf"), -run.recall.hits


def _examples(facts: Sequence[Fact]) -> list[Fact]:
    return [dataclasses.replace(fact, question=wording) for fact in facts for wording in fact.wordings]


def _took(run: Outcome, how: str) -> Took:
    return Took(run.seconds, how, run.reached_seconds is not None)
