"""`memtune sweep`: a grid of settings on a sample of the facts, where poor runs stop early.

Successive halving: all runs get a small budget; the better half goes on to twice as much, until the whole budget or one
run is left. The budget is steps of training for peft LoRA, and facts for a memory, which learns in one write. The facts
of the sample are learned, other wordings of them and facts set aside are asked as well; what is chosen here should be
reported on other facts.
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from memtune.config import Config, setting_names
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.errors import UnknownSetting, UsageError
from memtune.evaluate import compare
from memtune.evaluate.cases import LEARNED, NEAR_MISS, OTHER_WORDS, Case, Said
from memtune.evaluate.compare.contender import Setting, ask_plainly
from memtune.evaluate.compare.ours import Ours
from memtune.evaluate.compare.questions import Split, cases_of, split
from memtune.evaluate.compare.training import Training, add_lora, beside, require_peft, size_of
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.scores import plain, score
from memtune.evaluate.stats import Rate, figure

LORA = "peft-lora"
LORA_SETTINGS = {"learning_rate": "1e-3", "r_value": "32", "max_steps": "", "batch": "32"}
"""What can be set of it, and how it is where nothing is said; an empty text is what `sweep` was given."""
_LEAST_STEPS, _LEAST_FACTS = 5, 8
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d{1,2})?")
_NAME = re.compile(r"[A-Za-z_][\w.+-]*")
_OTHER_MEANING = {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"}


@dataclass(frozen=True)
class Point:
    """One run after one budget."""

    budget: int
    learned: Rate
    wording: Rate
    near: Rate
    """Learned answers given beside the facts: the fewer the better."""
    loss: float | None
    """Of the last steps; None where nothing is trained."""
    bytes: int
    seconds: float
    """Of learning so far."""

    @property
    def rank(self) -> tuple[float, float, float, int]:
        """The lower, the better: recall; then other wordings less what is said beside the facts; then loss, then bytes.

        In this order, for a run that learns nothing says nothing beside the facts either."""
        loss = float("inf") if self.loss is None or self.loss != self.loss else self.loss
        return -(self.learned.value or 0.0), (self.near.value or 0.0) - (self.wording.value or 0.0), loss, self.bytes


@dataclass
class Trial:
    """One choice of settings, its points, and the loss of every step."""

    settings: dict[str, str]
    points: list[Point] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        return " ".join(f"{key}={value}" for key, value in self.settings.items())


@dataclass
class Sweep:
    method: str
    sample: int
    budgets: list[int]
    unit: str
    """Of the budgets."""
    trials: list[Trial]

    @property
    def best(self) -> Trial:
        """Of those that went furthest, the one that stands first."""
        furthest = max(len(trial.points) for trial in self.trials)
        return min((t for t in self.trials if len(t.points) == furthest), key=lambda t: t.points[-1].rank)

    def sheets(self) -> list[Sheet]:
        columns = ["settings", "stopped after", LEARNED, OTHER_WORDS, "near: learned answer", "loss", "bytes", "s"]
        order = sorted(self.trials, key=lambda t: (-len(t.points), t.points[-1].rank))
        title = f"{self.method} on {self.sample:,} facts, {len(self.trials)} settings, halved at {self._budgets}"
        ties = [t.name for t in self.trials if t is not self.best and self._ties(t)]
        tied = f" It is not better than {', '.join(ties)}, which came as far by its last step." if ties else ""
        note = f"The winner: {self.best.name}.{tied} It was chosen on these facts: report it on others."
        return [Sheet(title, columns, [self._row(t) for t in order], note), self._curves(order)]

    def to_json(self) -> dict[str, object]:
        return {
            "method": self.method,
            "sample": self.sample,
            "budgets": self.budgets,
            "unit": self.unit,
            "best": self.best.settings,
            "trials": self.trials,
        }

    def yaml(self) -> str:
        """The winner's settings, one a line."""
        point = self.best.points[-1]
        lines = [f"# recall {point.learned} after {point.budget} {self.unit}", f"method: {_scalar(self.method)}"]
        return "\n".join([*lines, *(f"{key}: {_scalar(value)}" for key, value in self.best.settings.items())]) + "\n"

    def _ties(self, trial: Trial) -> bool:
        """Whether nothing told it from the winner where both were last looked at."""
        step = len(trial.points) - 1
        return trial.points[step].rank == self.best.points[step].rank

    @property
    def _budgets(self) -> str:
        return f"{', '.join(map(str, self.budgets))} {self.unit}"

    def _row(self, trial: Trial) -> list[str]:
        last = trial.points[-1]
        return [
            trial.name, f"{last.budget} {self.unit}", last.learned.brief, last.wording.brief, last.near.brief,
            _loss(last.loss), f"{last.bytes:,}", figure(last.seconds),
        ]  # fmt: skip

    def _curves(self, order: Sequence[Trial]) -> Sheet:
        """Recall and loss of each run at each budget; where a run was stopped, its row ends."""
        rows = [[t.name, *(f"{_share(p.learned)} / {_loss(p.loss)}" for p in t.points)] for t in order]
        rows = [row + [""] * (1 + len(self.budgets) - len(row)) for row in rows]
        return Sheet(f"Recall in % / loss, by {self.unit}", ["settings", *map(str, self.budgets)], rows)


def sweep(
    backbone: Backbone,
    facts: Sequence[Fact],
    grid: Mapping[str, Sequence[str]],
    *,
    method: str = LORA,
    config: Config | None = None,
    sample: int | None = None,
    seed: int = 0,
    max_steps: int = 100,
    say: Say = silent,
) -> Sweep:
    """All settings of the grid, each value as text as it stands on the command line."""
    config = config or Config()
    if max_steps < 1:
        raise UsageError("max_steps must be at least 1")
    choices = _choices(grid, method, config)
    if method == LORA:
        require_peft()
    drawn = split(facts, sample, seed)
    chosen = Split(drawn.learned, [], drawn.aside)
    ground = _Ground(backbone, config, chosen, _cases(chosen, choices, config, seed), seed)
    whole, least, unit = (
        (max_steps, _LEAST_STEPS, "steps") if method == LORA else (len(chosen.learned), _LEAST_FACTS, "facts")
    )
    found = Sweep(method, len(chosen.learned), budgets(len(choices), whole, least), unit, [Trial(c) for c in choices])
    runs = {id(t): _LoraRun(ground, t) if method == LORA else _MemoryRun(ground, t, method) for t in found.trials}
    left = found.trials
    for number, budget in enumerate(found.budgets):
        for trial in left:
            trial.points.append(runs[id(trial)].to(budget))
            say(f"{trial.name}: {budget} {unit}: recall {trial.points[-1].learned}")
        if number + 1 < len(found.budgets):
            left = sorted(left, key=lambda t: t.points[-1].rank)[: max(1, (len(left) + 1) // 2)]
            runs = {id(trial): runs[id(trial)] for trial in left}  # what is stopped gives its weights back
    return found


def _cases(chosen: Split, choices: Sequence[Mapping[str, str]], config: Config, seed: int) -> list[Case]:
    """The same for all runs: a wording that any of them would make into a key is not asked as another one."""
    keys_made = max(int(choice.get("router.made", config.router.made)) for choice in choices)
    return cases_of(chosen, unrelated=(), seed=seed, keys_made=keys_made)


def budgets(runs: int, whole: int, least: int) -> list[int]:
    """Doubling, up to the whole; as many as it takes to halve the runs to one, none below the least."""
    found = [whole]
    while 1 << len(found) < 2 * runs and found[0] // 2 >= least:
        found.insert(0, found[0] // 2)
    return found


def _choices(grid: Mapping[str, Sequence[str]], method: str, config: Config) -> list[dict[str, str]]:
    """Every combination, each name known and each value one that can be taken."""
    if not grid or not all(grid.values()):
        raise UsageError("there is nothing to sweep", hint="--set NAME=A,B,… with at least one value")
    if method != LORA and not compare.is_memory(method):
        raise UsageError(
            f"no method '{method}' to sweep", hint=f"there is: {LORA}, and kinds of memory such as imprint"
        )
    known = list(LORA_SETTINGS) if method == LORA else setting_names()
    for name, values in grid.items():
        if name not in known:
            raise UnknownSetting(name, known)
        for value in values:
            _check(name, value, method, config)
    distinct = {name: list(dict.fromkeys(values)) for name, values in grid.items()}
    return [dict(zip(distinct, values, strict=True)) for values in itertools.product(*distinct.values())]


def _check(name: str, value: str, method: str, config: Config) -> None:
    if method != LORA:
        config.with_settings([f"{name}={value}"])
        return
    whole = name != "learning_rate"
    try:
        number = int(value) if whole else float(value)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise UsageError(f"{name} must be a {'whole ' if whole else ''}number above zero, not '{value}'")


@dataclass(frozen=True)
class _Ground:
    """What all runs share."""

    backbone: Backbone
    config: Config
    chosen: Split
    cases: list[Case]
    seed: int

    def point(
        self, budget: int, said: Sequence[Said], cases: Sequence[Case], loss: float | None, size: int, seconds: float
    ) -> Point:
        judged = [(c.form, score(c, s).exact, plain(s.text)) for c, s in zip(cases, said, strict=True)]
        answers = {plain(fact.answer) for fact in self.chosen.learned}
        return Point(
            budget,
            Rate.of(exact for form, exact, _ in judged if form == LEARNED),
            Rate.of(exact for form, exact, _ in judged if form == OTHER_WORDS),
            Rate.of(text in answers for form, _, text in judged if form == NEAR_MISS),
            loss, size, seconds,
        )  # fmt: skip


class _Run(Protocol):
    def to(self, budget: int) -> Point:
        """Go on until so much was spent altogether, and see what came of it."""


class _LoraRun:
    """Adapters that go on learning; the weights below them are one and the same for all runs."""

    def __init__(self, ground: _Ground, trial: Trial) -> None:
        given = LORA_SETTINGS | trial.settings
        self._ground, self._trial = ground, trial
        self._most = int(given["max_steps"]) if given["max_steps"] else None
        self._own = beside(ground.backbone)
        self._weights = add_lora(self._own.model, int(given["r_value"]), ground.seed)
        self._training = Training(
            self._own, ground.chosen.learned, self._weights, float(given["learning_rate"]), int(given["batch"]),
            ground.seed,
        )  # fmt: skip
        trial.losses = self._training.losses
        self._seconds = 0.0

    def to(self, budget: int) -> Point:
        begin = time.perf_counter()
        goal = min(budget, self._most or budget)
        self._training.advance(max(0, goal - len(self._training.losses)))
        self._seconds += time.perf_counter() - begin
        said = ask_plainly(self._own, self._ground.config, self._ground.cases)
        last = self._training.losses[-_LEAST_STEPS:]
        return self._ground.point(
            goal, said, self._ground.cases, sum(last) / len(last), size_of(self._weights), self._seconds
        )


class _MemoryRun:
    """A memory with these settings, made anew for each budget: it takes one write."""

    def __init__(self, ground: _Ground, trial: Trial, kind: str) -> None:
        self._ground, self._kind = ground, trial.settings.get("learn.kind", kind)
        settings = [f"{key}={value}" for key, value in trial.settings.items()]
        self._config = ground.config.with_settings(settings)

    def to(self, budget: int) -> Point:
        facts = self._ground.chosen.learned[:budget]
        ids = {fact.id for fact in facts}
        cases = [case for case in self._ground.cases if set(case.facts) <= ids]
        setting = Setting(self._ground.backbone, self._config, (), self._ground.seed)
        memory = Ours(setting, self._kind)
        try:
            took = memory.learn(facts)
            said = memory.answer(cases)
            return self._ground.point(budget, said, cases, None, memory.stored_bytes, took.seconds)
        finally:
            memory.close()


def _share(rate: Rate) -> str:
    return "none asked" if rate.value is None else f"{100 * rate.value:.1f}"


def _loss(loss: float | None) -> str:
    return "–" if loss is None else f"{loss:.3f}"


def _scalar(text: str) -> str:
    """As every reader of YAML takes it: numbers without a power of ten, names bare, all else quoted as in JSON."""
    if _NUMBER.fullmatch(text):
        return format(Decimal(text), "f")
    bare = _NAME.fullmatch(text) and text.lower() not in _OTHER_MEANING
    return text if bare or text in ("true", "false") else json.dumps(text, ensure_ascii=False)
