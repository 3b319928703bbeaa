"""Facts that no model can know, learned and then asked for in every form, on every rung."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from memtune.checked import replace
from memtune.config import KIND_NAMES, Config
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.errors import MemtuneError, UsageError
from memtune.evaluate import rungs as ladder
from memtune.evaluate.cases import Case, Said
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.rungs import Rung
from memtune.evaluate.stats import Rate
from memtune.evaluate.temporary import learned
from memtune.evaluate.use.bench import HANDED, SAME_FACTS, UseBench, answers, make
from memtune.evaluate.use.figures import Share
from memtune.evaluate.use.forms import LIKELIEST, NEEDED, cases, chance, needed, one_each
from memtune.evaluate.use.recitation import Recitation, recitation
from memtune.evaluate.use.right import right, share
from memtune.evaluate.use.timing import first_tokens
from memtune.evaluate.use.world import World
from memtune.evaluate.use.world import make as make_world
from memtune.model import MemoryModel

KINDS = KIND_NAMES
ByForm = dict[str, tuple[list[Case], list[Case]]]
"""What is asked in each form, and on what prompts for it are chosen."""
_TUNING = 24
"""Subjects that prompts are chosen on; they are learned too and never reported. Every form can be asked of them."""
_TIMED = 8
_FAILS = 0.2
"""Share of the oracle below which lookup fails in a form."""
_UNTIMED = ("base", "lookup", HANDED)
"""The plain model is timed beside all others; a stored string that is printed has no first token to wait for, and what
is handed over acts as what is found does."""


@dataclass(frozen=True)
class Arm:
    """One rung in one form."""

    right: Rate
    outcomes: tuple[bool, ...]
    held: float | None
    """Mean share of the wanted values in a reply, where several are wanted."""
    fired: Rate
    found: Rate | None
    """Whether all the facts that a question needs were used; None where nothing is looked up."""
    prompt_tokens: float
    first_token_ms: float | None
    """Median, one question at a time."""
    against_base: tuple[float, ...]
    """Time to the first token, divided by the plain model's on the same question a moment before or after."""
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
            "found": self.found and self.found.value,
            "prompt_tokens": round(self.prompt_tokens, 1),
            "first_token_ms": self.first_token_ms,
            "against_base": round(statistics.median(self.against_base), 3) if self.against_base else None,
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

    def shares(self, rung: str) -> list[Share]:
        """Of the forms that the oracle is strong enough to measure by."""
        return [found for form in self.arms if (found := self.share(form, rung)) is not None]

    def mean_share(self, rung: str, *, unlike_lookup: bool = False) -> float | None:
        """Over these forms, none counted above 1; `unlike_lookup`: only over those in which lookup fails."""
        forms = [form for form in self.arms if not unlike_lookup or self.lookup_fails(form)]
        found = [share.value for form in forms if (share := self.share(form, rung)) is not None]
        return statistics.fmean(min(value, 1.0) for value in found) if found else None

    def lookup_fails(self, form: str) -> bool:
        """Whether a printed string gets next to nothing there."""
        found = self.share(form, "lookup")
        return found is not None and found.value < _FAILS

    @property
    def rungs(self) -> list[str]:
        return list(dict.fromkeys(rung for arms in self.arms.values() for rung in arms))

    @property
    def memories(self) -> list[str]:
        """Each memory through its router, and with the right facts handed over."""
        return [name for kind in self.kinds for name in (memory_of(kind), memory_of(kind, HANDED))]

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
            "mean_share": {name: self.mean_share(name) for name in self.rungs if name != "oracle"},
            "mean_share_where_lookup_fails": {
                name: self.mean_share(name, unlike_lookup=True) for name in self.rungs if name != "oracle"
            },
            "forms": forms,
            "recitation": self.recitation,
        }

    def sheets(self) -> list[Sheet]:
        from memtune.evaluate.use.tables import sheets

        return sheets(self)


def memory_of(kind: str, arm: str = "memory") -> str:
    """What an arm of a memory of this kind is called."""
    return f"memory, {kind}{arm.removeprefix('memory')}"


def _shown_as(name: str, kind: str) -> str:
    if name in ("memory", HANDED):
        return memory_of(kind, name)
    return f"{name} as {kind}" if name == SAME_FACTS else name


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

    `rungs` are asked once, beside the first kind; a memory of each kind is always asked, and beside "rag" also what its
    own router finds, as text: a router looks further where facts are known. Where no forms are picked,
    it is also seen whether a memory recites where nothing was asked for, and whatever stands around a question.
    """
    if n < max(NEEDED):
        raise UsageError(f"{n} subjects are too few", hint=f"at least {max(NEEDED)}: some answers need so many facts")
    if not kinds:
        raise UsageError("no kind of memory was named", hint="kinds=('imprint', 'kv')")
    for kind in kinds:
        replace(config.learn, kind=kind)  # a kind that there is not is named before anything is learned
    names = [name for name in ladder.named(default_rungs() if rungs is None else rungs) if name != "memory"]
    own = ["memory", HANDED, *([SAME_FACTS] if "rag" in names else [])]
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
            for form, name, arm in arms(made.model, world.facts, by_form, [*own, *names], seed):
                shown_as = _shown_as(name, kind)
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


def _by_form(asked: World, tuning: World, seed: int, forms: Sequence[str] | None) -> ByForm:
    found: ByForm = {}
    for part, world in enumerate((asked, tuning)):
        for case in cases(world, seed):
            found.setdefault(case.form, ([], []))[part].append(case)
    unknown = set(forms or ()) - set(found)
    if unknown:
        raise UsageError(f"no form '{min(unknown)}'", hint=f"there is: {', '.join(found)}")
    return {form: both for form, both in found.items() if forms is None or form in forms}


def arms(
    model: MemoryModel, facts: Sequence[Fact], by_form: ByForm, names: Sequence[str], seed: int
) -> Iterator[tuple[str, str, Arm]]:
    """What each of these rungs makes of each form, all timed side by side."""
    for form, (found, tuning) in by_form.items():
        bench = UseBench(model, facts, tuning, seed)
        rungs = {name: make(name, bench) for name in names}
        said = {name: answers(name, rung, bench, found) for name, rung in rungs.items()}
        timed = {name: rung for name, rung in rungs.items() if name not in _UNTIMED}
        times = {} if form == LIKELIEST else first_tokens(bench, {"base": make("base", bench), **timed}, found, _TIMED)
        for name, replies in said.items():
            if replies is not None:
                yield form, name, _arm(found, replies, times.get(name, ()), times.get("base", ()), rungs[name])


def _arm(found: Sequence[Case], said: Sequence[Said], times: Sequence[float], base: Sequence[float], rung: Rung) -> Arm:
    outcomes = tuple(right(case, s.text) for case, s in zip(found, said, strict=True))
    several = [share(case, s.text) for case, s in zip(found, said, strict=True) if "values" in case.extra]
    looked_up = any(s.facts or s.fired is not None for s in said)
    used = Rate.of(set(needed(case)) <= set(s.facts) for case, s in zip(found, said, strict=True))
    return Arm(
        right=Rate.of(outcomes),
        outcomes=outcomes,
        held=statistics.fmean(several) if several else None,
        fired=Rate.of(s.fired for s in said if s.fired is not None),
        found=used if looked_up else None,
        prompt_tokens=statistics.fmean(s.prompt_tokens for s in said),
        first_token_ms=round(statistics.median(times), 2) if times else None,
        against_base=tuple(own / plain for own, plain in zip(times, base, strict=False)),
        about=rung.describe(),
    )


def _in_order(arms: dict[str, Arm]) -> dict[str, Arm]:
    """The backbone first, then memories and what they are compared with, the oracle last."""
    first = [name for name in ("base",) if name in arms]
    memories = [name for name in arms if name.startswith("memory,")]
    rest = [name for name in arms if name not in first and name not in memories]
    return {name: arms[name] for name in (*first, *memories, *rest)}
