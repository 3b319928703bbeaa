"""The race: every contender on the same facts and the same backbone, and what each of them costs."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.errors import MemtuneError, UsageError
from memtune.evaluate import compare
from memtune.evaluate.cases import LEARNED, NEAR_MISS, OTHER_WORDS, Case, Said
from memtune.evaluate.compare.contender import Contender, Setting, Took, ask_plainly
from memtune.evaluate.compare.questions import ORDINARY, UNRELATED, Split, beside, cases_of, split
from memtune.evaluate.ladder import Judged, Ladder
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.scores import plain, score
from memtune.evaluate.stats import Rate, figure

BASE = "base"
_KEPT_SAMPLE = 32
"""Other facts that are asked again after one was changed."""

_HANDED = "Other wordings were handed in."
_MADE = "Other wordings are made by rules, of the same family as those that a memory's router is calibrated on."


@dataclass(frozen=True)
class Changed:
    """One fact updated or deleted, and what became of it and of the others."""

    took: Took
    worked: bool
    """The new answer is given; or the deleted one is given no more, unless the backbone gives it too."""
    others: Rate
    """Of a sample of the other facts, those still recalled exactly."""
    short: str = "the new answer is not given exactly"
    """What is wrong where it did not work."""

    @property
    def brief(self) -> str:
        told = "" if self.worked else f", {self.short}"
        over = "" if self.took.in_time else ", not finished"
        return f"{figure(self.took.seconds)} s{told}{over}"


@dataclass(frozen=True)
class Near:
    """What is asked beside the facts: all three should be as if nothing had been learned."""

    kept: Rate
    """The reply is the backbone's, or an abstention."""
    fired: Rate
    """Of the replies of those that choose whether to use what they keep."""
    learned: Rate
    """A learned answer is given that the backbone does not give."""

    @classmethod
    def of(cls, cases: Sequence[Case], said: Sequence[Said], base: Sequence[Said], answers: Sequence[str]) -> Near:
        right, at = {plain(answer) for answer in answers}, [i for i, c in enumerate(cases) if c.form == NEAR_MISS]
        return cls(
            Rate.of(said[i].abstained or said[i].text == base[i].text for i in at),
            Rate.of(fired for i in at if (fired := said[i].fired) is not None),
            Rate.of(plain(said[i].text) in right and plain(said[i].text) != plain(base[i].text) for i in at),
        )

    @property
    def fired_brief(self) -> str:
        return "–" if self.kept.n and not self.fired.n else self.fired.brief


@dataclass(frozen=True)
class Entry:
    """What one contender reached, and what it took."""

    name: str
    about: str
    learning: Took | None
    """None: it learns nothing."""
    exposures: float
    stored_bytes: int
    near: Near
    unchanged: Rate
    """Of unrelated prompts, those that get the backbone's reply."""
    bits_per_byte: float | None
    update: Changed | None = None
    delete: Changed | None = None


@dataclass
class Race:
    facts: int
    tuning: int
    """Of them, those that rates and prompts were chosen on; they are not asked for."""
    budget_seconds: float
    about_wordings: str
    seed: int = 0
    ladder: Ladder = field(default_factory=Ladder)
    entries: dict[str, Entry] = field(default_factory=dict)

    def recall(self, name: str, form: str) -> Rate:
        return Rate.of(judged.score.exact for judged in self.ladder.of(name, form))

    def to_json(self) -> dict[str, object]:
        return {
            "facts": self.facts,
            "tuning": self.tuning,
            "budget_seconds": self.budget_seconds,
            "seed": self.seed,
            "about_wordings": self.about_wordings,
            "contenders": {
                name: {**vars(entry), "recall": self.recall(name, LEARNED), "wording": self.recall(name, OTHER_WORDS)}
                for name, entry in self.entries.items()
            },
            **{key: value for key, value in self.ladder.to_json().items() if key == "rungs"},
        }

    def sheets(self) -> list[Sheet]:
        return [self._reached(), self._costs()]

    def _reached(self) -> Sheet:
        columns = ["contender", "learned wording", "other wordings", "near: as base", "near: fired",
                   "near: learned answer", "unrelated: as base", "bits/byte"]  # fmt: skip
        rows = [
            [
                name, self.recall(name, LEARNED).brief, self.recall(name, OTHER_WORDS).brief, e.near.kept.brief,
                e.near.fired_brief, e.near.learned.brief, e.unchanged.brief,
                "not measured" if e.bits_per_byte is None else f"{e.bits_per_byte:.3f}",
            ]
            for name, e in self.entries.items()
        ]  # fmt: skip
        counts = ", ".join(f"{form} {len(self.ladder.of(BASE, form)):,}" for form in self.ladder.forms)
        title = f"The same {self.facts:,} facts for everybody, answers by free decoding, exact; asked: {counts}"
        return Sheet(title, columns, rows, self._note())

    def _costs(self) -> Sheet:
        columns = ["contender", "exposures", "learning s", "search s", "bytes", "bytes/fact",
                   "update one", "others after", "delete one", "others after"]  # fmt: skip
        rows = [[name, *self._cost(entry)] for name, entry in self.entries.items() if entry.learning]
        notes = [_told(entry) for entry in self.entries.values()]
        return Sheet("What it takes", columns, rows, "\n".join(notes))

    def _cost(self, e: Entry) -> list[str]:
        assert e.learning is not None
        over = "" if e.learning.in_time else " (budget over)"
        changes = [
            cell
            for c in (e.update, e.delete)
            for cell in ((c.brief, f"{c.others.hits} of {c.others.n}") if c else ("", ""))
        ]
        return [
            figure(e.exposures), figure(e.learning.seconds) + over, figure(e.learning.search_seconds),
            f"{e.stored_bytes:,}", f"{e.stored_bytes / self.facts:,.0f}", *changes,
        ]  # fmt: skip

    def _note(self) -> str:
        return (
            f"Of the facts, {self.tuning:,} served to choose rates and prompts and are not asked for. Gradient methods "
            f"learn until every fact is recalled exactly, or for {self.budget_seconds:g} s; they have as long for "
            "searching, for an update (until the new answer is given, and 99 % of all) and for a deletion. "
            f"{self.about_wordings} "
            "lookup prints stored strings and oracle is told the fact: what they reach is not knowledge."
        )


def race(
    backbone: Backbone,
    facts: Sequence[Fact],
    contenders: Sequence[str],
    *,
    config: Config | None = None,
    max_n: int | None = None,
    seed: int = 0,
    budget_seconds: float = 60.0,
    equal_bytes: bool = False,
    cases: Sequence[Case] = (),
    unrelated: Sequence[str] = ORDINARY,
    texts: Sequence[str] = (),
    say: Say = silent,
) -> Race:
    """`cases` of the forms "other wordings" and "near misses" stand in place of those made here; bits per byte are
    measured on `texts`. `equal_bytes` gives peft-lora the rank whose weights come nearest to the bytes of the first
    memory. The seed fixes every draw; what a budget of seconds ends depends on the machine as well."""
    names = _in_order(compare.named(contenders), equal_bytes)
    chosen = split(facts, max_n, seed)
    setting = Setting(backbone, config or Config(), chosen.tuning, seed, budget_seconds, say=say)
    for name in names:  # what is missing is said before anything is learned
        compare.make(name, setting).close()
    asked = cases_of(chosen, cases, unrelated, seed, setting.config.router.made)
    given = any(case.form == NEAR_MISS for case in cases)
    same = 0 if given else len(chosen.aside) - len(beside(chosen))
    if same:
        say(f"{same:,} facts set aside ask what a learned one asks: no near misses")
    run = _Run(setting, chosen, asked, texts)
    handed = any(case.form == OTHER_WORDS for case in cases)
    found = Race(len(chosen.learned), len(chosen.tuning), budget_seconds, _HANDED if handed else _MADE, seed)
    run.base(found)
    for name in names:
        say(f"contender {name}")
        entry = run.one(name, found)
        if equal_bytes and compare.is_memory(name) and run.setting.equal_bytes is None:
            run.setting = replace(run.setting, equal_bytes=entry.stored_bytes)
    return found


def _put(fact: Fact) -> Case:
    """A fact that was changed, asked for in its own words."""
    return Case(f"changed {fact.id}", fact.question, (fact.answer,), facts=(fact.id,))


def _told(e: Entry) -> str:
    """What a contender is, and how it was changed."""
    changes = [(word, c.took.how) for word, c in (("update", e.update), ("delete", e.delete)) if c and c.took.how]
    return ". ".join([f"{e.name}: {e.about}", *(f"{word.capitalize()}: {how}" for word, how in changes)]) + "."


def _in_order(names: list[str], equal_bytes: bool) -> list[str]:
    """Memories first where others are to take as many bytes."""
    if not equal_bytes:
        return names
    if not any(compare.is_memory(name) for name in names):
        raise UsageError("equal bytes with what?", hint="name a kind of memory among the contenders, such as imprint")
    return sorted(names, key=lambda name: not compare.is_memory(name))


@dataclass
class _Run:
    setting: Setting
    chosen: Split
    cases: list[Case]
    texts: Sequence[str]

    def __post_init__(self) -> None:
        self._digest = weights_digest(self.setting.backbone)
        self._base: list[Said] = []

    def base(self, found: Race) -> None:
        """The backbone alone, which all others are compared with."""
        begin = time.perf_counter()
        self._base = ask_plainly(self.setting.backbone, self.setting.config, self.cases)
        self._judge(BASE, "the backbone alone", self._base, begin, found)
        bits = bits_per_byte(self.setting.backbone, self.texts)
        found.entries[BASE] = Entry(
            BASE, "the backbone alone", None, 0.0, 0, self._near(self._base), self._unchanged(self._base), bits
        )

    def one(self, name: str, found: Race) -> Entry:
        """Learn, ask, weigh, change; then see that the backbone is what it was."""
        contender = compare.make(name, self.setting)
        try:
            learning = contender.learn(self.chosen.learned)
            begin = time.perf_counter()
            said = contender.answer(self.cases)
            self._judge(name, contender.about, said, begin, found)
            entry = Entry(
                name, contender.about, learning, contender.exposures, contender.stored_bytes, self._near(said),
                self._unchanged(said), bits_per_byte(contender.reader, self.texts),
            )  # fmt: skip
            found.entries[name] = replace(entry, update=self._update(contender), delete=self._delete(contender))
        finally:
            contender.close()
        if weights_digest(self.setting.backbone) != self._digest:
            raise MemtuneError(f"{name} changed the weights of the backbone: no later figure of this race would hold")
        return found.entries[name]

    def _judge(self, name: str, about: str, said: Sequence[Said], begin: float, found: Race) -> None:
        found.ladder.judged[name] = [Judged(c, s, score(c, s)) for c, s in zip(self.cases, said, strict=True)]
        found.ladder.about[name], found.ladder.seconds[name] = about, time.perf_counter() - begin

    def _near(self, said: Sequence[Said]) -> Near:
        return Near.of(self.cases, said, self._base, [fact.answer for fact in self.chosen.learned])

    def _unchanged(self, said: Sequence[Said]) -> Rate:
        pairs = zip(self.cases, said, self._base, strict=True)
        return Rate.of(s.text == base.text for case, s, base in pairs if case.form == UNRELATED)

    # ---- changing one fact ------------------------------------------------------------------------------------------

    def _update(self, contender: Contender) -> Changed:
        """The first fact that is asked for is given another answer."""
        fact = self.chosen.asked[0]
        new = replace(fact, answer=self._another(fact))
        took = contender.update(new)
        said, others = self._after(contender, new, but=(fact.id,))
        return Changed(took, said.text.strip() == new.answer, others)

    def _delete(self, contender: Contender) -> Changed:
        """The last one goes."""
        fact = self.chosen.asked[-1]
        took = contender.delete(fact.id)
        said, others = self._after(contender, fact, but=(self.chosen.asked[0].id, fact.id))
        (base,) = ask_plainly(self.setting.backbone, self.setting.config, [_put(fact)])
        gone = plain(said.text) != plain(fact.answer) or plain(base.text) == plain(fact.answer)
        return Changed(took, gone, others, "still given")

    def _another(self, fact: Fact) -> str:
        """An answer of the same sort: that of a fact nobody learned, else of one that others did."""
        given = [f.answer for f in (*self.chosen.aside, *self.chosen.learned) if plain(f.answer) != plain(fact.answer)]
        return given[0] if given else f"not {fact.answer}"

    def _after(self, contender: Contender, fact: Fact, but: Sequence[str]) -> tuple[Said, Rate]:
        others = [case for case in self.cases if case.form == LEARNED and case.facts[0] not in but][:_KEPT_SAMPLE]
        first, *rest = contender.answer([_put(fact), *others])
        return first, Rate.of(score(case, said).exact for case, said in zip(others, rest, strict=True))


@torch.no_grad()
def bits_per_byte(backbone: Backbone, texts: Sequence[str]) -> float | None:
    """What ordinary text costs the model, one pass over each; None without a text."""
    nats, size = 0.0, 0
    for text in texts:
        ids = list(backbone.template.raw(text).ids)[: backbone.context]
        if len(ids) < 2:
            continue
        logits = backbone.model(input_ids=backbone.pad_right([ids]), use_cache=False).logits[0, :-1].float()
        nats += float(
            torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:], device=logits.device), reduction="sum")
        )
        size += len(backbone.tokenizer.decode(ids[1:]).encode())
    return nats / math.log(2) / size if size else None


def weights_digest(backbone: Backbone) -> str:
    """Of every bit of every weight."""
    digest = hashlib.blake2b()
    for name, tensor in sorted(backbone.model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
