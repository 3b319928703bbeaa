"""Facts that no model can know, learned and then asked for in every form, on every rung."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.errors import MemtuneError, UsageError
from memtune.evaluate import rungs as ladder
from memtune.evaluate.cases import Case, Said
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.stats import Rate, Spread, percent
from memtune.evaluate.temporary import learned
from memtune.evaluate.timing import time_to_first_token
from memtune.evaluate.use.bench import UseBench, answers, make
from memtune.evaluate.use.figures import Share, oracle_cell
from memtune.evaluate.use.forms import LIKELIEST, NEEDED, cases, chance, one_each
from memtune.evaluate.use.recitation import Recitation, recitation
from memtune.evaluate.use.right import right, share
from memtune.evaluate.use.world import World
from memtune.evaluate.use.world import make as make_world
from memtune.model import MemoryModel

KINDS = ("imprint", "kv")
_TUNING = 12
"""Subjects that prompts are chosen on; they are learned too and never reported. Every form can be asked of them."""
_TIMED = 8


@dataclass(frozen=True)
class Arm:
    """One rung in one form."""

    right: Rate
    outcomes: tuple[bool, ...]
    held: float | None
    """Mean share of the wanted values in a reply, where several are wanted."""
    fired: Rate
    prompt_tokens: float
    first_token_ms: float | None
    """Median, one question at a time."""
    about: str

    def to_json(self) -> dict[str, object]:
        low, high = self.right.interval or (None, None)
        return {
            "n": self.right.n,
            "right": self.right.value,
            "low": low,
            "high": high,
            "held": self.held,
            "fired": self.fired.value,
            "prompt_tokens": round(self.prompt_tokens, 1),
            "first_token_ms": self.first_token_ms,
            "about": self.about,
        }


@dataclass
class Use:
    """What every arm made of every form."""

    facts: int
    kinds: tuple[str, ...]
    bytes_per_fact: dict[str, float] = field(default_factory=dict)
    chance: dict[str, list[float]] = field(default_factory=dict)
    """Of each case, by form."""
    arms: dict[str, dict[str, Arm]] = field(default_factory=dict)
    """By form, then by rung."""
    recitation: dict[str, Recitation] = field(default_factory=dict)
    """By memory, where all forms were asked."""

    def share(self, form: str, rung: str) -> Share | None:
        """(rung - chance) / (oracle - chance); None where the oracle is too weak for it, or was not asked."""
        oracle = self.arms[form].get("oracle")
        if oracle is None or rung not in self.arms[form]:
            return None
        return Share.of(self.arms[form][rung].outcomes, oracle.outcomes, self.chance[form])

    @property
    def rungs(self) -> list[str]:
        return list(dict.fromkeys(rung for arms in self.arms.values() for rung in arms))

    @property
    def memories(self) -> list[str]:
        return [memory_of(kind) for kind in self.kinds]

    def to_json(self) -> dict[str, object]:
        forms = {}
        for form, arms in self.arms.items():
            shares = {name: self.share(form, name) for name in arms if name != "oracle"}
            forms[form] = {
                "chance": statistics.fmean(self.chance[form]),
                "rungs": {name: arm.to_json() for name, arm in arms.items()},
                "share": {name: found and vars(found) for name, found in shares.items()},
            }
        return {
            "facts": self.facts,
            "bytes_per_fact": self.bytes_per_fact,
            "forms": forms,
            "recitation": self.recitation,
        }

    def sheets(self) -> list[Sheet]:
        recited = [sheet for memory, found in self.recitation.items() for sheet in found.sheets(memory)]
        needed = [self._needed()] if any(form in _NEEDED_FORMS for form in self.arms) else []
        return [self._scores(), self._rates(), self._costs(), *needed, *recited]

    def _scores(self) -> Sheet:
        """What the memories are judged by, with what the other rungs reach on the same scale."""
        names = [name for name in self.rungs if name != "oracle"]
        rows = []
        for form, arms in self.arms.items():
            oracle = oracle_cell(arms["oracle"].outcomes, self.chance[form]) if "oracle" in arms else "not asked"
            guessing = f"{100 * statistics.fmean(self.chance[form]):.0f} %"
            cells = [str(self.share(form, name) or "–") for name in names]
            rows.append([form, f"{len(self.chance[form]):,}", guessing, oracle, *cells])
        note = (
            "(rung - guessing) / (oracle - guessing), where the oracle, which has the facts in its context, is right"
            " often enough to measure by. What lookup also reaches is not use."
        )
        columns = ["form", "n", "guessing", "oracle", *names]
        return Sheet(f"Use beyond recall: {self.facts:,} invented facts", columns, rows, note)

    def _rates(self) -> Sheet:
        rows = [
            [form, *(arms[r].right.brief if r in arms else "–" for r in self.rungs)] for form, arms in self.arms.items()
        ]
        return Sheet("Right replies", ["form", *self.rungs], rows)

    def _costs(self) -> Sheet:
        rows = []
        for name in self.rungs:
            arms = [arms[name] for arms in self.arms.values() if name in arms]
            times = [arm.first_token_ms for arm in arms if arm.first_token_ms is not None]
            fired = Rate(sum(arm.fired.hits for arm in arms), sum(arm.fired.n for arm in arms))
            rows.append([
                name, f"{statistics.fmean(arm.prompt_tokens for arm in arms):.0f}",
                f"{statistics.median(times):.1f}" if times else "–", fired.brief if fired.n else "–",
                f"{self.bytes_per_fact[name]:,.0f}" if name in self.bytes_per_fact else "–",
            ])  # fmt: skip
        columns = ["rung", "prompt tokens", "ms to the first token", "a fact was used", "bytes a fact"]
        return Sheet(
            "What it takes",
            columns,
            rows,
            "Over all forms; times are medians, one question at a time; bytes are those of experts.",
        )

    def _needed(self) -> Sheet:
        forms = [form for form in self.arms if form in _NEEDED_FORMS]
        rows = [
            [name, *(f"{arm.right.brief}; {percent(arm.held or 0.0)} % of values" for form in forms
                     if (arm := self.arms[form].get(name)))]
            for name in self.rungs
        ]  # fmt: skip
        note = "Right: all values are in the reply. A memory uses at most router.max_facts facts in one prompt."
        return Sheet("One, three and ten facts an answer", ["rung", *forms], rows, note)


_NEEDED_FORMS = tuple(f"{count} fact{'s' * (count > 1)} an answer" for count in NEEDED)


def memory_of(kind: str) -> str:
    return f"memory, {kind}"


def use(
    backbone: Backbone,
    config: Config,
    *,
    kinds: Sequence[str] = KINDS,
    rungs: Sequence[str] | None = None,
    n: int = 60,
    seed: int = 0,
    forms: Sequence[str] | None = None,
    say: Say = silent,
) -> Use:
    """Learn an invented world once for each kind, and ask for n subjects in every form, or in these `forms`.

    `rungs` are asked once, beside the first kind; a memory of each kind is always asked. Where no forms are picked,
    it is also seen whether a memory recites where nothing was asked for, and whatever stands around a question.
    """
    if n < max(NEEDED):
        raise UsageError(f"{n} subjects are too few", hint=f"at least {max(NEEDED)}: some answers need so many facts")
    if not kinds:
        raise UsageError("no kind of memory was named", hint="kinds=('imprint', 'kv')")
    names = [name for name in ladder.named(default_rungs() if rungs is None else rungs) if name != "memory"]
    world = make_world(n + _TUNING, seed)
    asked, tuning = world.part(world.things[_TUNING:]), world.part(world.things[:_TUNING])
    result = Use(len(world.facts), tuple(dict.fromkeys(kinds)))
    by_form = _by_form(asked, tuning, seed, forms)
    result.chance = {form: [chance(case) for case in found] for form, (found, _) in by_form.items()}
    for kind in result.kinds:
        say(f"learning {len(world.facts):,} facts, kind {kind}")
        with learned(backbone, world.facts, config, kind) as made:
            if not made.model.version:
                raise MemtuneError(f"kind {kind} could learn none of the facts on this model")
            result.bytes_per_fact[memory_of(kind)] = made.report.bytes_per_fact
            for form, name, arm in _arms(made.model, world, by_form, ["memory", *names], seed):
                shown_as = memory_of(kind) if name == "memory" else name
                result.arms.setdefault(form, {})[shown_as] = arm
                say(f"{form}, {shown_as}: {arm.right}")
            if forms is None:
                recited = [known.fact for known in one_each(asked)]
                result.recitation[memory_of(kind)] = recitation(made.model, recited, seed=seed, say=say)
        names = []
    result.arms = {form: _in_order(arms) for form, arms in result.arms.items()}
    return result


def default_rungs() -> tuple[str, ...]:
    """All that answer without being the memory and without having seen the question's facts beforehand."""
    return tuple(name for name in ("base", "rag", "lookup", "oracle") if name in ladder.RUNGS)


def _by_form(
    asked: World, tuning: World, seed: int, forms: Sequence[str] | None
) -> dict[str, tuple[list[Case], list[Case]]]:
    found: dict[str, tuple[list[Case], list[Case]]] = {}
    for part, world in enumerate((asked, tuning)):
        for case in cases(world, seed):
            found.setdefault(case.form, ([], []))[part].append(case)
    unknown = set(forms or ()) - set(found)
    if unknown:
        raise UsageError(f"no form '{min(unknown)}'", hint=f"there is: {', '.join(found)}")
    return {form: both for form, both in found.items() if forms is None or form in forms}


def _arms(
    model: MemoryModel,
    world: World,
    by_form: dict[str, tuple[list[Case], list[Case]]],
    names: Sequence[str],
    seed: int,
) -> Iterator[tuple[str, str, Arm]]:
    for form, (found, tuning) in by_form.items():
        bench = UseBench(model, world.facts, tuning, seed)
        for name in names:
            rung = make(name, bench)
            said = answers(name, rung, bench, found)
            if said is None:
                continue
            timed = name != "lookup" and form != LIKELIEST
            first_token = time_to_first_token(bench, rung, found, _TIMED) if timed else None
            yield form, name, _arm(found, said, first_token, rung.describe())


def _arm(found: Sequence[Case], said: Sequence[Said], first_token: Spread | None, about: str) -> Arm:
    outcomes = tuple(right(case, s.text) for case, s in zip(found, said, strict=True))
    several = [share(case, s.text) for case, s in zip(found, said, strict=True) if "values" in case.extra]
    return Arm(
        right=Rate.of(outcomes),
        outcomes=outcomes,
        held=statistics.fmean(several) if several else None,
        fired=Rate.of(s.fired for s in said if s.fired is not None),
        prompt_tokens=statistics.fmean(s.prompt_tokens for s in said),
        first_token_ms=None if first_token is None else round(1000 * first_token.median, 2),
        about=about,
    )


def _in_order(arms: dict[str, Arm]) -> dict[str, Arm]:
    """The backbone first, then memories and what they are compared with, the oracle last."""
    first = [name for name in ("base",) if name in arms]
    memories = [name for name in arms if name.startswith("memory,")]
    rest = [name for name in arms if name not in first and name not in memories]
    return {name: arms[name] for name in (*first, *memories, *rest)}
