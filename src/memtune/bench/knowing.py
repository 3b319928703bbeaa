"""`memtune bench kv`: facts that no model can know, in key-value rows against the same text in the context.

Arms: the plain model; the oracle, which has the text of the facts in its prompt at the better of two places; the
memory through its router; and the memory with the right facts handed over, so that the router's share shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from memtune.bench import engine
from memtune.bench.invented import Invented, Task, open_tasks, pair_tasks, use_tasks
from memtune.config import Config, DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.core.generate import Request
from memtune.core.kinds.kv import KeyValue
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.stats import Rate, figure
from memtune.evaluate.temporary import learned
from memtune.model import MemoryModel
from memtune.questions import Question

FORMS, DTYPES = ("qa", "sentence"), ("backbone", "bfloat16", "float8")
KINDS = ("imprint", "kv", "imprint+kv")


@dataclass
class Asked:
    """One form of asking, in every arm."""

    form: str
    base: Rate
    oracle: Rate
    oracle_place: str
    routed: Rate
    handed: Rate

    def cells(self) -> list[str]:
        share = figure((self.routed.value or 0.0) / self.oracle.value) if self.oracle.value else "–"
        rates = [self.base.brief, self.oracle.brief, self.routed.brief, self.handed.brief]
        return [self.form, f"{self.base.n:,}", *rates, share]


@dataclass
class Setting:
    """The key-value rows in one setting."""

    text: str
    dtype: str
    bytes_per_fact: float
    rows_per_fact: float
    asked: list[Asked]


@dataclass
class KindUse:
    """One kind, or both together, with the settings of the run."""

    kind: str
    facts_per_second: float
    to_reading: float
    bytes_per_fact: float
    asked: list[Asked]


@dataclass
class KnowingResult:
    facts: int
    settings: list[Setting] = field(default_factory=list)
    kinds: list[KindUse] = field(default_factory=list)

    def sheets(self) -> list[Sheet]:
        columns = ["rows", "asked", "n", "plain model", "oracle", "memory", "right fact handed", "of oracle", "bytes"]
        rows = [
            [f"{s.text}, {s.dtype}", *a.cells(), f"{s.bytes_per_fact:,.0f}"] for s in self.settings for a in s.asked
        ]
        by_kind = [
            [
                k.kind,
                *a.cells(),
                f"{k.bytes_per_fact:,.0f}",
                f"{figure(k.facts_per_second)} ({figure(k.to_reading)})",
            ]
            for k in self.kinds
            for a in k.asked
        ]
        title, note = (
            f"Key-value rows alone: {self.facts:,} invented facts",
            "of oracle: memory over oracle. bytes: of a fact's experts.",
        )
        return [
            Sheet(title, columns, rows, note),
            Sheet("Kinds", ["kind", *columns[1:], "facts/s (× reading)"], by_kind),
        ]


def measure(
    backbone: Backbone,
    world: Sequence[Invented],
    config: Config,
    *,
    forms: Sequence[str] = FORMS,
    dtypes: Sequence[str] = DTYPES,
    kinds: Sequence[str] = KINDS,
    seed: int = 0,
    say: Say = silent,
) -> KnowingResult:
    """Every setting of the rows on open questions and pairs, then every kind on all forms of use."""
    KeyValue(config).require(backbone)
    bench = _Bench(backbone, world, say)
    result = KnowingResult(len(world))
    open_ones = [*open_tasks(world), *pair_tasks(world)]
    for form in forms:
        for dtype in dtypes:
            result.settings.append(bench.setting(config, form, dtype, open_ones))
    every = [*open_ones, *use_tasks(world, seed)]
    result.kinds = [bench.kind(config, kind, every) for kind in kinds]
    return result


class _Bench:
    """The arms that do not depend on the memory are measured once."""

    def __init__(self, backbone: Backbone, world: Sequence[Invented], say: Say) -> None:
        self.backbone, self.say = backbone, say
        self.facts = [w.fact for w in world]
        longest = engine.longest_answer(backbone, self.facts)
        self.decode = DecodeConfig(max_new_tokens=3 * longest + 16, batch_size=engine.BATCH)
        self._known: dict[tuple[str, str], Any] = {}

    def setting(self, config: Config, form: str, dtype: str, tasks: Sequence[Task]) -> Setting:
        self.say(f"kv rows: {form}, {dtype}")
        config = config.with_settings([f"kv.form={form}", f"kv.dtype={dtype}"])
        with learned(self.backbone, self.facts, config, "kv") as made:
            texts = [KeyValue(config).text(f) for f in self.facts]
            rows = self.backbone.tokenizer(texts, add_special_tokens=False)["input_ids"]
            asked = self.ask(made.model, config, tasks)
            return Setting(form, dtype, made.report.bytes_per_fact, sum(map(len, rows)) / len(rows), asked)

    def kind(self, config: Config, kind: str, tasks: Sequence[Task]) -> KindUse:
        self.say(f"kind {kind}")
        with learned(self.backbone, self.facts, config, kind, measure_reading=True) as made:
            engine.require_learned(made.report, lambda r: kind == "kv" or r.learned == len(self.facts))
            report = made.report
            return KindUse(
                kind=kind,
                facts_per_second=report.facts / report.seconds,
                to_reading=report.seconds / (report.read_seconds or float("nan")),
                bytes_per_fact=report.bytes_per_fact,
                asked=self.ask(made.model, config, tasks),
            )

    def ask(self, model: MemoryModel, config: Config, tasks: Sequence[Task]) -> list[Asked]:
        forms = dict.fromkeys(t.form for t in tasks)
        return [self._ask_form(model, config, form, [t for t in tasks if t.form == form]) for form in forms]

    def _ask_form(self, model: MemoryModel, config: Config, form: str, tasks: Sequence[Task]) -> Asked:
        raw = tasks[0].raw
        prompts = [t.prompt for t in tasks]
        answers = engine.ask(model, prompts, self.decode, raw=raw)
        requests = [engine.handed(model.memory.answering, t.prompt, [f.id for f in t.facts], raw=raw) for t in tasks]
        kinds = list(model.memory.answering.kinds.values())
        given = engine.replies(self.backbone, kinds, requests, self.decode)
        oracle, place = self._once(("oracle " + config.kv.form, form), lambda: self._oracle(config, tasks))
        return Asked(
            form=form,
            base=self._once(("base", form), lambda: self._plain(tasks, prompts)),
            oracle=oracle,
            oracle_place=place,
            routed=_rate(tasks, [a.text for a in answers]),
            handed=_rate(tasks, [r.text for r in given]),
        )

    def _once(self, key: tuple[str, str], measured: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = measured()
        return self._known[key]

    def _plain(self, tasks: Sequence[Task], questions: Sequence[Question]) -> Rate:
        template, raw = self.backbone.template, tasks[0].raw
        prompts = [template.raw(q) if raw and isinstance(q, str) else template.render(_messages(q)) for q in questions]
        said = engine.replies(self.backbone, [], [Request(p) for p in prompts], self.decode)
        return _rate(tasks, [r.text for r in said])

    def _oracle(self, config: Config, tasks: Sequence[Task]) -> tuple[Rate, str]:
        """The text that the rows are made of, in the prompt: the better of two places."""
        text = KeyValue(config).text
        rates = {name: self._plain(tasks, [put(text, t) for t in tasks]) for name, put in _PLACES[tasks[0].raw].items()}
        best = max(rates, key=lambda name: rates[name].hits)
        return rates[best], best


Text = Callable[[Fact], str]


def _joined(text: Text, task: Task) -> str:
    return "".join(text(f) for f in task.facts)


_PLACES: dict[bool, dict[str, Callable[[Text, Task], Question]]] = {
    False: {
        "before the question": lambda text, t: f"{_joined(text, t)}\n{t.prompt}",
        "as system text": lambda text, t: [
            {"role": "system", "content": _joined(text, t).strip()},
            {"role": "user", "content": t.prompt},
        ],
    },
    True: {
        "right before": lambda text, t: _joined(text, t) + t.prompt,
        "with an empty line between": lambda text, t: f"{_joined(text, t)}\n{t.prompt}",
    },
}


def _messages(question: Question) -> Any:
    return [{"role": "user", "content": question}] if isinstance(question, str) else question


def _rate(tasks: Sequence[Task], said: Sequence[str]) -> Rate:
    return Rate.of(t.right(text.strip()) for t, text in zip(tasks, said, strict=True))
