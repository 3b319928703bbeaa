"""From an evaluation to its card: what the memory is, where its facts lie, how the figures can be repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from memtune.core.facts import Fact
from memtune.evaluate import likelihood
from memtune.evaluate.card import ByFact, Card, FactsMap, MemoryNote, project
from memtune.evaluate.cases import LEARNED, OTHER_WORDS
from memtune.evaluate.compare import is_memory
from memtune.evaluate.compare.race import Race
from memtune.evaluate.paired import compare_all
from memtune.evaluate.run import SUBJECT, Evaluation
from memtune.model import MemoryModel

_WEIGHED = 500
"""Facts whose loss is measured, at most."""
_MAPPED = 2_000
"""Facts on the map, at most."""


def card_of(
    found: Evaluation, model: MemoryModel, *, date: str, command: str = "", settings: Mapping[str, object] | None = None
) -> Card:
    """Everything that was found, with what a reader needs to judge it."""
    name = model.memory.folder.path.name
    asked = {fact for case in found.gathered.of(LEARNED) for fact in case.facts}
    facts = [fact for fact in found.facts if fact.id in asked]
    contamination = found.gathered.contamination
    return Card(
        title=f"The memory {name}, version {found.version}",
        date=date,
        memory=_note(found, model, name),
        ladder=found.ladder,
        against=SUBJECT,
        comparisons=found.comparisons,
        router=model.router_report(),
        by_fact=[
            ByFact("loss of the answer with the memory, nats a token", _losses(facts[:_WEIGHED], model)),
            ByFact("tokens of the answer", _lengths(facts, model)),
        ],
        facts_map=_map(facts[:_MAPPED], model),
        contamination=contamination.sheets()[0] if contamination.rows else None,
        sheets=found.further_sheets(),
        notes=found.gathered.remarks,
        command=command,
        settings=dict(settings or {}),
    )


def card_of_race(found: Race, *, date: str, command: str = "", settings: Mapping[str, object] | None = None) -> Card:
    """The race as a card; what it is about is the first memory in it."""
    subject = next((name for name in found.ladder.judged if is_memory(name)), next(iter(found.ladder.judged)))
    knowable = (LEARNED, OTHER_WORDS)  # elsewhere everybody has the backbone to turn to: nothing is right or wrong
    more = len(found.ladder.judged) > 1
    comparisons = compare_all(found.ladder, subject, seed=found.seed, forms=knowable) if more else []
    return Card(
        title=f"{found.facts:,} facts, kept in {len(found.entries):,} ways",
        date=date,
        ladder=found.ladder,
        against=subject,
        unjudged=[form for form in found.ladder.forms if form not in knowable],
        comparisons=comparisons,
        sheets=found.sheets(),
        command=command,
        settings=dict(settings or {}),
    )


def _note(found: Evaluation, model: MemoryModel, name: str) -> MemoryNote:
    identity = model.backbone.identity
    return MemoryNote(name, len(found.facts), found.version, f"{identity.name}, weights {identity.weights[:12]}")


def _losses(facts: Sequence[Fact], model: MemoryModel) -> list[tuple[str, float]]:
    """How unlikely the memory finds each answer behind its learned question."""
    asked = [(fact.question, [fact.answer]) for fact in facts]
    found = likelihood.scores(model.memory.serving(), asked, memory=True)
    return [(fact.id, -one.mean) for fact, (one,) in zip(facts, found, strict=True)]


def _lengths(facts: Sequence[Fact], model: MemoryModel) -> list[tuple[str, float]]:
    if not facts:
        return []
    rows = model.backbone.tokenizer([fact.answer for fact in facts], add_special_tokens=False)["input_ids"]
    return [(fact.id, float(len(row))) for fact, row in zip(facts, rows, strict=True)]


def _map(facts: Sequence[Fact], model: MemoryModel) -> FactsMap | None:
    """Questions as the router's encoder sees them."""
    if len(facts) < 3:
        return None
    vectors = model.memory.router.matcher.encoder.encode([fact.question for fact in facts])
    return FactsMap([fact.id for fact in facts], project(vectors), [fact.group for fact in facts])
