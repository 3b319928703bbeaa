"""Judging a skill: held-out examples asked as users ask, beside the plain model, and what its gate lets in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from memtune.core.reports import Answer
from memtune.errors import InputError
from memtune.evaluate.identity import other_prompts
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.queries import same_result
from memtune.evaluate.stats import Rate
from memtune.model import MemoryModel
from memtune.skills import Example, Record, read_examples
from memtune.skills.examples import Origin
from memtune.skills.learning import questions_of
from memtune.skills.right import alike

_SLACK = 8
"""Tokens that a reply may be longer than the longest answer before it is cut off."""
_SHOWN = 5


@dataclass
class Judged:
    """What one way of answering made of the examples."""

    exact: Rate
    executed: Rate
    """Queries whose result on the row's own tables is the right one; rows without tables do not count."""

    def to_json(self) -> dict[str, Any]:
        return {"exact": self.exact.to_json(), "executed": self.executed.to_json()}


@dataclass
class SkillReport:
    """A skill on examples that it was not trained on."""

    name: str
    version: int
    where: str
    """Where the examples come from."""
    skill: Judged
    base: Judged
    opened: Rate
    """Examples that open the gate."""
    fired: Rate
    """Prompts about other things that open it."""
    facts: Rate
    """Questions of the memory's own facts that open it, those included that were learned after the skill."""
    trained_on: int = 0
    """Rows that were left out, because the skill was trained on them."""
    wrong: list[dict[str, str]] = field(default_factory=list)
    """Some of the examples that were not answered exactly."""

    def to_json(self) -> dict[str, Any]:
        rates = {name: getattr(self, name).to_json() for name in ("skill", "base", "opened", "fired", "facts")}
        told = {name: getattr(self, name) for name in ("name", "version", "where", "trained_on", "wrong")}
        return told | rates

    def sheets(self) -> list[Sheet]:
        rows = [["with the skill", str(self.skill.exact)], ["plain model", str(self.base.exact)]]
        columns = ["", "exact"]
        if self.skill.executed.n:
            columns.append("right result")
            for row, judged in zip(rows, (self.skill, self.base), strict=True):
                row.append(str(judged.executed))
        left_out = f"; {self.trained_on:,} rows that it was trained on were left out" if self.trained_on else ""
        gate = [
            ["these examples", str(self.opened)],
            ["prompts about other things", str(self.fired)],
            ["questions of the memory's facts", str(self.facts)],
        ]
        return [
            Sheet(f"Skill {self.name}, version {self.version}: {self.where}{left_out}", columns, rows),
            Sheet("Its gate is opened by", ["", "share"], gate),
        ]


def judge(
    model: MemoryModel, name: str, *, data: Origin | None = None, answer_field: str | None = None, others: int = 500,
    max_n: int = 200, seed: int = 0, say: Say = silent,
) -> SkillReport:  # fmt: skip
    """Ask the examples of `data`, or those that were set aside when the skill was trained, through its gate."""
    record = model.skills.show(name)
    examples, left_out = _examples(record, data, answer_field)
    examples = examples[:max_n]
    config: dict[str, Any] = {"temperature": 0.0, "max_new_tokens": _longest(model, examples), "unknown": "base"}
    say(f"asking {len(examples):,} examples with the skill and without it")
    asked = [[dict(message) for message in example.messages] for example in examples]
    with_skill = model.ask(asked, **config)
    plain = model.ask(asked, memory=False, **config)
    say("looking at what else opens the gate")
    return SkillReport(
        name=name,
        version=model.version,
        where=_where(data),
        skill=_judged(examples, with_skill),
        base=_judged(examples, plain),
        opened=Rate.of(any(skill.name == name for skill in answer.skills) for answer in with_skill),
        fired=_opening(model, name, other_prompts(others, seed)),
        facts=_opening(model, name, questions_of(model.memory.folder, others)),
        trained_on=left_out,
        wrong=[
            {"asked": example.asked, "answer": example.answer, "said": answer.text}
            for example, answer in zip(examples, with_skill, strict=True)
            if not alike(answer.text, example.answer)
        ][:_SHOWN],
    )


def _where(data: Origin | None) -> str:
    if data is None:
        return "the examples that were set aside"
    return str(data) if isinstance(data, (str, os.PathLike)) else "given examples"


def _examples(record: Record, data: Origin | None, answer_field: str | None) -> tuple[list[Example], int]:
    """The examples to ask, none of which was trained on, and how many were left out for that."""
    given = list(record.set_aside) if data is None else read_examples(data, answer_field=answer_field).rows
    known = {example.key for example in record.trained_on}
    kept = [example for example in given if example.key not in known]
    if not kept:
        why = "nothing was set aside when it was trained" if data is None else "it was trained on all of these rows"
        raise InputError(f"the skill '{record.name}' cannot be judged: {why}", hint="give other examples with --data")
    return kept, len(given) - len(kept)


def _longest(model: MemoryModel, examples: Sequence[Example]) -> int:
    spelled = model.backbone.tokenizer([example.answer for example in examples], add_special_tokens=False)["input_ids"]
    return max(map(len, spelled)) + _SLACK


def _judged(examples: Sequence[Example], answers: Sequence[Answer]) -> Judged:
    pairs = list(zip(examples, answers, strict=True))
    return Judged(
        Rate.of(alike(answer.text, example.answer) for example, answer in pairs),
        Rate.of(
            same_result(example.schema, answer.text, example.answer) if example.schema else None
            for example, answer in pairs
        ),
    )


def _opening(model: MemoryModel, name: str, texts: Sequence[str]) -> Rate:
    answering = model.memory.serving()
    return Rate.of(any(opened == name for opened, _ in answering.route(text).skills) for text in texts)
