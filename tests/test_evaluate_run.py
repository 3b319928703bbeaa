"""From a memory to figures, the card and the recipe, all parts together, on a tiny random model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import tiny

from memtune import MemoryModel
from memtune.config import Config, RouterConfig
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact, normalise
from memtune.errors import InputError, UsageError
from memtune.evaluate.card import write_card
from memtune.evaluate.card.tables import figures
from memtune.evaluate.cases import LEARNED, NEAR_MISS, UNKNOWN
from memtune.evaluate.compare.race import race
from memtune.evaluate.files import cases_from, facts_from, texts_from
from memtune.evaluate.made import MADE_WORDINGS
from memtune.evaluate.output import plain
from memtune.evaluate.present import card_of, card_of_race
from memtune.evaluate.recipe import Recipe, follow
from memtune.evaluate.run import Evaluation, evaluate
from memtune.router.augment import made

FACTS = [Fact.from_row(row) for row in tiny.facts(24)]
RUNGS = ("base", "memory", "lookup", "oracle")


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(tiny.model(max_position_embeddings=1024), tiny.tokenizer(), name="tiny")


@pytest.fixture(scope="module")
def llm(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryModel]:
    with MemoryModel(backbone, tmp_path_factory.mktemp("run") / "memory") as model:
        model.learn(FACTS)
        yield model


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "own.jsonl"
    found = [{"asked": f"Please, {f.question.lower()}", "fact": f.id, "role": "wording"} for f in FACTS[:6]]
    found += [{"question": f"Who keeps the lighthouse of {name}?", "role": "held-out"} for name in ("Orm", "Wex")]
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return path


@pytest.fixture(scope="module")
def found(llm: MemoryModel, rows: Path) -> Evaluation:
    text = rows.with_name("text.txt")
    text.write_text("The lobster is large and lives in the sea. " * 200)
    choices = rows.with_name("choices.jsonl")
    choices.write_text(json.dumps({"question": "Up?", "answer": "The sky", "perturbed_answer": ["The sea"]}) + "\n")
    return evaluate(llm, ladder=RUNGS, data=rows, texts=[text], choices=[choices], unrelated=4, max_n=8)


def test_the_memory_recalls_and_is_silent_elsewhere(found: Evaluation) -> None:
    assert found.ladder.figures("memory", LEARNED).exact.value == 1.0
    assert found.ladder.figures("base", LEARNED).exact.value == 0.0
    assert found.ladder.figures("memory", UNKNOWN).abstained.value == 1.0
    assert found.ladder.figures("memory", UNKNOWN).fired.value == 0.0
    assert set(found.ladder.forms) == {LEARNED, "nearly learned wording", "made wordings", NEAR_MISS, UNKNOWN}


def test_every_part_is_there(found: Evaluation) -> None:
    said = plain(found)
    assert list(said["rungs"]) == list(RUNGS)
    assert said["rungs"]["memory"][LEARNED].keys() >= {"n", "exact", "low", "high", "f1"}
    assert said["contamination"]["roles"].keys() == {"wording", "held-out"}
    assert said["seconds"].keys() == said["about"].keys() == said["first_token_seconds"].keys() == set(RUNGS)
    assert found.identity is not None
    assert found.identity.passed
    assert found.ability is not None
    assert found.ability.unchanged
    assert {c.rung for c in found.comparisons} == {"base", "lookup", "oracle"}
    assert json.dumps(said)


def test_one_seed_gives_the_same_figures_and_another_draws_others(llm: MemoryModel) -> None:
    def figures(seed: int) -> object:
        said = plain(evaluate(llm, ladder=("memory", "lookup"), unrelated=0, max_n=5, seed=seed))
        for forms in said["rungs"].values():
            for form in forms.values():
                del form["tokens_per_second"], form["milliseconds"]
        return said["rungs"], [j.case.question for j in found_cases(seed)]

    def found_cases(seed: int) -> list:  # type: ignore[type-arg]
        return evaluate(llm, ladder=("lookup",), unrelated=0, max_n=5, seed=seed).ladder.judged["lookup"]

    assert figures(3) == figures(3)
    assert figures(3) != figures(4)


def test_the_card_of_an_evaluation_and_the_note(found: Evaluation, llm: MemoryModel, tmp_path: Path) -> None:
    written = write_card(card_of(found, llm, date="2026-01-01", command="memtune eval"), tmp_path / "card")
    assert {path.name for path in written} == {"card.json", "card.md", "card.html"}
    page = (tmp_path / "card" / "card.html").read_text()
    assert "lookup" in page
    assert "2026-01-01" in page
    losses = json.loads((tmp_path / "card" / "card.json").read_text())["by_fact"][0]
    assert losses["name"].startswith("loss")
    assert len(losses["values"]) == 8
    assert all(0 <= loss < 0.7 for _, loss in losses["values"])  # greedy decoding says it: each token has half and more
    assert "learned wording: exact 100.0 %" in found.summary()
    assert found.data()["memory"][LEARNED]["exact"] == 1.0
    json.dumps(found.data())
    llm.note(found.version, found.summary(), found.data())


def test_facts_that_are_archived_or_out_of_their_time_are_not_asked(backbone: Backbone, tmp_path: Path) -> None:
    said: list[str] = []
    with MemoryModel(backbone, tmp_path / "memory") as model:
        model.learn(
            [*FACTS[:8], replace(FACTS[8], valid_until="2020-01-01"), replace(FACTS[9], valid_from="2999-01-01")]
        )
        model.archive(FACTS[0].id)
        served = [fact.id for fact in FACTS[1:8]]
        assert [fact.id for fact in model.served_facts()] == served
        assert len(list(model.facts())) == 10
        found = evaluate(model, ladder=("memory", "lookup"), unrelated=0, say=said.append)
        model.archive(*served)
        with pytest.raises(InputError, match="holds no facts"):
            evaluate(model)
    assert "3 facts are archived or not in force: not asked" in said
    assert [fact.id for fact in found.facts] == served
    assert {fact for case in found.gathered.cases for fact in case.facts} <= set(served)
    assert found.ladder.figures("memory", LEARNED).exact.value == 1.0


def test_wordings_that_the_router_made_are_not_asked_as_others(backbone: Backbone, tmp_path: Path) -> None:
    config = Config(router=RouterConfig(made=6))
    with MemoryModel(backbone, tmp_path / "memory", config=config) as model:
        model.learn(FACTS[:10])
        found = evaluate(model, ladder=("lookup",), unrelated=0)
    keys = {normalise(text) for fact in FACTS for text in made(fact.question, most=6)}
    assert not keys & {normalise(case.text) for case in found.gathered.of(MADE_WORDINGS)}


def test_an_empty_memory_is_nothing_to_evaluate(backbone: Backbone, tmp_path: Path) -> None:
    with MemoryModel(backbone, tmp_path / "memory") as model:
        model.learn(FACTS[:1])
        model.forget(FACTS[0].id)
        with pytest.raises(InputError, match="holds no facts"):
            evaluate(model)
        with pytest.raises(UsageError, match="no rung 'nonsense'"):
            evaluate(model, ladder=("nonsense",))


def test_the_recipe_goes_all_the_way(backbone: Backbone, tmp_path: Path) -> None:
    source = tmp_path / "facts.jsonl"
    source.write_text("".join(json.dumps(fact.to_row()) + "\n" for fact in FACTS))
    recipe = Recipe()
    with MemoryModel(backbone, tmp_path / "memory") as model:
        steps = list(follow(model, source, recipe, max_n=6))
    assert [step.title[:2] for step in steps] == ["1.", "2.", "3.", "4.", "5.", "6.", "7."]
    assert {name: report.learned for name, report in recipe.learned.items()} == {
        "one fact": 1,
        "10 facts": 10,
        "all": 24,
    }
    assert recipe.after is not None
    assert recipe.after.ladder.figures("memory", LEARNED).exact.value == 1.0
    assert any("memtune eval --data" in line for line in recipe.advice)
    assert json.dumps(plain(recipe))


def test_files_become_facts_cases_and_texts(rows: Path, tmp_path: Path) -> None:
    source = tmp_path / "facts.jsonl"
    source.write_text("".join(json.dumps(fact.to_row()) + "\n" for fact in FACTS))
    facts = facts_from(source, Config())
    assert [fact.id for fact in facts] == [fact.id for fact in FACTS]
    assert {case.role for case in cases_from(facts, rows, 0)} <= {"wording", "held-out"}
    assert cases_from(facts, None, 0) == []
    text = tmp_path / "text.txt"
    text.write_text("word " * 20_000)
    assert 20 <= len(texts_from([text])) <= 24
    (tmp_path / "none.jsonl").write_text("")
    with pytest.raises(InputError):
        facts_from(tmp_path / "none.jsonl", Config())


def test_facts_of_a_file_that_are_not_in_force_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    source, said = tmp_path / "facts.jsonl", list[str]()
    changes = ({"state": "archived"}, {"valid_until": "2020-01-01"}, {"valid_from": "2999-01-01"}, {})
    rows = [fact.to_row() | change for fact, change in zip(FACTS, changes, strict=False)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [fact.id for fact in facts_from(source, Config(), said.append)] == [FACTS[3].id]
    assert said == ["3 facts are archived or not in force: not asked"]
    source.write_text(json.dumps(rows[0]) + "\n")
    with pytest.raises(InputError, match="none of its facts is in force"):
        facts_from(source, Config())


def test_a_race_is_handed_every_row_of_a_file(tmp_path: Path) -> None:
    rows = [{"asked": f"The tale of number {1000 + n}", "fact": f"fact-{n}"} for n in range(24)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(cases_from(FACTS, path, 0)) == 24


def test_where_nothing_routes_no_rate_of_firing_is_shown(found: Evaluation) -> None:
    for rung, routed in (("base", False), ("oracle", False), ("memory", True), ("lookup", True)):
        rate = found.ladder.figures(rung, NEAR_MISS).fired
        assert bool(rate.n) == routed
        assert (rate.value is None) == (not routed)
    for sheet in (figures(found.ladder, NEAR_MISS), found.ladder.sheets()[found.ladder.forms.index(NEAR_MISS)]):
        column = {row[0]: row[sheet.columns.index("fired")] for row in sheet.rows}
        assert (column["base"], column["oracle"]) == ("–", "–")
        assert "%" in column["memory"]


def test_a_race_has_a_card_too(backbone: Backbone, tmp_path: Path) -> None:
    found = race(backbone, FACTS, ["imprint", "lookup"], max_n=10)
    write_card(card_of_race(found, date="2026-01-01"), tmp_path / "card")
    assert "imprint" in (tmp_path / "card" / "card.md").read_text()
