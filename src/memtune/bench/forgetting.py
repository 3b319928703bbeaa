"""`memtune bench forget`: how long forgetting and updating take, and that nothing else moves."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as change

from memtune.bench import engine
from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.stats import Rate, Spread, figure
from memtune.evaluate.temporary import learned
from memtune.model import MemoryModel

_STEPS = 16


@dataclass
class ForgetResult:
    facts: int
    kind: str
    forget_seconds: Spread
    plain_again: Rate
    """Forgotten prompts whose logits are bit-identical to the plain path."""
    neighbours: Rate
    """Other facts that are still recalled exactly, of those that were before."""
    update_seconds: Spread
    updated: Rate
    """Updated facts that give their new answer exactly."""
    failures: list[str]

    @property
    def passed(self) -> bool:
        return self.plain_again.hits == self.plain_again.n

    def sheets(self) -> list[Sheet]:
        rows = [
            ["forget one fact", _times(self.forget_seconds), f"plain model again: {self.plain_again}"],
            ["all others", "", f"still exact: {self.neighbours}"],
            ["update one fact", _times(self.update_seconds), f"new answer exact: {self.updated}"],
        ]
        title = f"Changing a memory of {self.facts:,} facts in an open process, kind {self.kind}"
        return [Sheet(title, ["", "ms: median (max)", "afterwards"], rows)]


def _times(seconds: Spread) -> str:
    return f"{figure(1000 * seconds.median)} ({figure(1000 * seconds.high)})"


def measure(
    backbone: Backbone,
    facts: Sequence[Fact],
    config: Config,
    *,
    changes: int = 20,
    sample: int = 500,
    seed: int = 0,
    say: Say = silent,
) -> ForgetResult:
    """Forget and update facts one by one, then look at `sample` of their neighbours (0 for all)."""
    say(f"learning {len(facts):,} facts")
    with learned(backbone, facts, config) as made:
        model, draw = made.model, random.Random(seed)
        held = {f.id for f in model.facts()}
        shuffled = draw.sample([f for f in facts if f.id in held], len(held))
        changes = max(1, min(changes, len(shuffled) // 3))
        gone, changed, others = shuffled[:changes], shuffled[changes : 2 * changes], shuffled[2 * changes :]
        others = others[: sample or None]
        exact_before = _exact(model, others)
        say(f"forgetting {changes}, updating {changes}")
        forget_seconds = [_timed_forget(model, f) for f in gone]
        plain_again = _plain_again(model, gone)
        updated = [change(f, answer=other.answer) for f, other in zip(changed, gone, strict=True)]
        update_seconds = [_timed_update(model, f) for f in updated]
        kept = [f for f, exact in zip(others, exact_before, strict=True) if exact]
        still, new = _exact(model, kept), _exact(model, updated)
    named = zip([*gone, *kept, *updated], [*plain_again, *still, *new], strict=True)
    return ForgetResult(
        facts=len(facts),
        kind=config.learn.kind,
        forget_seconds=Spread.of(forget_seconds),
        plain_again=Rate.of(plain_again),
        neighbours=Rate.of(still),
        update_seconds=Spread.of(update_seconds),
        updated=Rate.of(new),
        failures=[f.id for f, right in named if not right],
    )


def _timed_forget(model: MemoryModel, fact: Fact) -> float:
    start = time.perf_counter()
    model.forget(fact.id)
    return time.perf_counter() - start


def _timed_update(model: MemoryModel, fact: Fact) -> float:
    start = time.perf_counter()
    model.update(fact.id, answer=fact.answer)
    return time.perf_counter() - start


def _exact(model: MemoryModel, facts: Sequence[Fact]) -> list[bool]:
    answers = engine.ask_for(model, facts)
    return [a.text == f.answer for a, f in zip(answers, facts, strict=True)]


def _plain_again(model: MemoryModel, facts: Sequence[Fact]) -> list[bool]:
    """Whether the router stays silent at each prompt, and every logit is the plain model's."""
    requests = [engine.routed(model.memory.answering, f.question) for f in facts]
    decode = change(model.config.decode, max_new_tokens=_STEPS)
    same = engine.same_as_plain(model.memory.answering, requests, decode)
    return [equal and not request.experts for request, equal in zip(requests, same, strict=True)]
