"""Pages learned as one expert each: do they answer questions as the page in the context does?"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from memtune.checked import replace
from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.kinds import make_kinds
from memtune.errors import MemtuneError, UsageError
from memtune.evaluate.cases import Case, Said
from memtune.evaluate.lab.pages import STATEMENTS, Page, pages
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.stats import Rate
from memtune.evaluate.temporary import learned
from memtune.evaluate.use.bench import HANDED, SAME_FACTS, UseBench, answers, make
from memtune.evaluate.use.figures import Share
from memtune.evaluate.use.right import right
from memtune.model import MemoryModel

SENTENCES = (1, 2, 4, 8, len(STATEMENTS))
KIND = "kv"
_TUNING = 8
"""Pages on which the prompt of the page in the context is chosen; they are learned too and never reported."""
_EACH = 3
"""Questions about one page, at most."""
_RUNGS = ("base", "memory", HANDED, SAME_FACTS, "lookup", "oracle")


@dataclass(frozen=True)
class Arm:
    """One way of answering questions about pages of one length."""

    right: Rate
    same: Rate
    """Its reply is the one that is given with the page in the context, be that right or wrong."""
    found: Rate | None
    """The page of the question acted, or stood in the prompt; None where none is looked for."""
    prompt_tokens: float
    share: Share | None
    """Of what the page in the context reaches, however little that is; None where it is nothing."""
    about: str = field(repr=False)


@dataclass
class Passages:
    kind: str
    pages: int
    tokens: dict[int, float] = field(default_factory=dict)
    """Of a page, by its sentences."""
    bytes_per_page: dict[int, float] = field(default_factory=dict)
    arms: dict[int, dict[str, Arm]] = field(default_factory=dict)

    def sheets(self) -> list[Sheet]:
        return [
            self._sheet("Right replies", lambda arm: arm.right.brief),
            self._sheet("Of what the page in the context reaches", lambda arm: str(arm.share or "–")),
            self._sheet("The very reply that is given with the page in the context", lambda arm: arm.same.brief),
            self._sheet("The page was used", lambda arm: arm.found.brief if arm.found else "–"),
            self._sheet("Prompt tokens", lambda arm: f"{arm.prompt_tokens:.0f}"),
        ]

    def _sheet(self, title: str, cell: Callable[[Arm], str]) -> Sheet:
        names = list(dict.fromkeys(name for arms in self.arms.values() for name in arms))
        rows = [
            [str(size), f"{self.tokens[size]:.0f}", f"{arms[names[0]].right.n}", *(cell(arms[name]) for name in names)]
            for size, arms in self.arms.items()
        ]
        about = f"{self.pages} pages, each one expert of kind {self.kind}; asked in questions that a page was given."
        about += " What lookup also reaches is not use."
        note = about if title == "Right replies" else ""
        return Sheet(
            title, ["sentences", "tokens", "questions", *(_SHOWN.get(name, name) for name in names)], rows, note
        )


_SHOWN = {"oracle": "page in the context", SAME_FACTS: "rag, same pages"}


def passages(
    backbone: Backbone,
    config: Config,
    *,
    kind: str = KIND,
    n: int = 40,
    sentences: Sequence[int] = SENTENCES,
    seed: int = 0,
    say: Say = silent,
) -> Passages:
    """Learn n invented pages of each length, one expert a page, and ask a few questions about each."""
    replace(config.learn, kind=kind)
    if reciting := [one.name for one in make_kinds(kind, config) if one.recites]:
        raise UsageError(f"a passage is known, not recited: kind {reciting[0]} can only recite", hint="--kind kv")
    if not sentences or min(sentences) < 1 or max(sentences) > len(STATEMENTS):
        raise UsageError(f"a page has from 1 to {len(STATEMENTS)} sentences")
    result = Passages(kind, n)
    for size in sentences:
        made = pages(n + _TUNING, size, seed)
        facts = [page.fact for page in made]
        lengths = [
            len(ids) for ids in backbone.tokenizer([f.page for f in facts], add_special_tokens=False)["input_ids"]
        ]
        result.tokens[size] = statistics.fmean(lengths)
        with learned(backbone, facts, config, kind) as memory:
            if not memory.model.version:
                reasons = "; ".join(dict.fromkeys(failed.reason for failed in memory.report.failed))
                raise MemtuneError(f"kind {kind} could learn none of the pages of {size} sentences: {reasons}")
            result.bytes_per_page[size] = memory.report.bytes_per_fact
            result.arms[size] = _arms(memory.model, made, seed)
        for name, arm in result.arms[size].items():
            say(f"{size} sentences, {_SHOWN.get(name, name)}: {arm.right}, the same reply {arm.same}")
    return result


def _arms(model: MemoryModel, made: Sequence[Page], seed: int) -> dict[str, Arm]:
    asked, tuning = _questions(made[_TUNING:], seed), _questions(made[:_TUNING], seed)
    bench = UseBench(model, [page.fact for page in made], tuning, seed)
    rungs = {name: make(name, bench) for name in _RUNGS}
    said = {name: answers(name, rung, bench, asked) or [] for name, rung in rungs.items()}
    told = said["oracle"]
    return {name: _arm(asked, replies, told, rungs[name].describe()) for name, replies in said.items()}


def _questions(made: Sequence[Page], seed: int) -> list[Case]:
    draw = random.Random(f"questions {seed}")
    return [case for page in made for case in draw.sample(page.cases, min(_EACH, len(page.cases)))]


def _arm(asked: Sequence[Case], said: Sequence[Said], told: Sequence[Said], about: str) -> Arm:
    looked = any(s.facts or s.fired is not None for s in said)
    used = Rate.of(set(case.facts) <= set(s.facts) for case, s in zip(asked, said, strict=True))
    outcomes, by_context = ([right(c, s.text) for c, s in zip(asked, one, strict=True)] for one in (said, told))
    return Arm(
        right=Rate.of(outcomes),
        same=Rate.of(mine.text == theirs.text for mine, theirs in zip(said, told, strict=True)),
        found=used if looked else None,
        prompt_tokens=statistics.fmean(s.prompt_tokens for s in said),
        share=Share.of(outcomes, by_context, [0.0] * len(asked), least=0.0),
        about=about,
    )
