"""The benchmark of routing: what it asks, which near misses are fair, what counts as right, and one small run."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from typer.testing import CliRunner

from memtune.bench import route, route_rivals
from memtune.bench.route_data import COUNTERFACT, NEAR_MISSES, TOFU, Sources, load_sets, write_lists
from memtune.bench.route_entities import ASKED, FACTS_EACH, LACKING, UNHEARD, entity_set
from memtune.bench.route_ids import IN_OTHER_WORDS, OTHER_CASE, OTHER_SPACING, SHAPES, UNKNOWN, id_set
from memtune.bench.route_memory import RoutedMemory, Timing
from memtune.bench.route_nearmiss import FAMILIES, Cleaner, Learned, NearMiss, numbers, plain_name, read
from memtune.bench.route_ordinary import PASSAGES, ordinary_groups
from memtune.bench.route_rivals import ALLOWED, Nearest, measure_rival
from memtune.bench.route_sets import Group, Query, RouteSet, half, outcome
from memtune.cli import app
from memtune.config import Config
from memtune.core.facts import Fact
from memtune.errors import ExtraMissing, InputError, UsageError

# ---- outcomes ---------------------------------------------------------------------------------------------------

FACTS = [Fact("a", "Who runs A?", "Ann Lee"), Fact("b", "Who leads A?", "ann lee."), Fact("c", "Who runs C?", "Cy")]


@pytest.mark.parametrize(
    ("wanted", "fired", "expected"),
    [
        (0, [], "none"),
        (0, [0], "right"),
        (0, [1], "right"),
        (0, [0, 1], "right"),
        (0, [2], "wrong"),
        (0, [0, 2], "wrong"),
        (None, [], "none"),
        (None, [0], "wrong"),
    ],
)
def test_a_fact_with_an_equal_answer_is_right_and_one_wrong_fact_is_wrong(
    wanted: int | None, fired: list[int], expected: str
) -> None:
    assert outcome(Query("q", "?", wanted), fired, FACTS) == expected


def test_halves_are_of_the_name_alone_and_about_equal() -> None:
    halves = [half(f"fact-{i}") for i in range(1000)]
    assert 450 < halves.count("A") < 550
    assert set(halves) == {"A", "B"}
    assert halves != [half(f"fact-{i}", "salt") for i in range(1000)]


# ---- ids --------------------------------------------------------------------------------------------------------


def test_ids_differ_in_one_character_and_unknown_ones_are_unknown() -> None:
    ids = id_set(200, seed=1)
    assert len({f.question for f in ids.facts}) == len(ids.facts) == len({f.answer for f in ids.facts}) == 200
    known = [f.id.split(": ")[1] for f in ids.facts if f.id.startswith(f"{SHAPES[0].name}:")]
    close = [any(_apart(a, b) == 1 for b in known if b != a) for a in known]
    assert sum(close) >= 0.9 * len(known)
    taken = {f.id.split(": ")[1] for f in ids.facts}
    assert 190 <= len(ids.group(UNKNOWN).queries) <= 200
    assert not taken & {q.id.split(" / ")[0] for q in ids.group(UNKNOWN).queries}


def test_known_ids_are_asked_in_five_other_wordings_and_in_other_case_and_spacing() -> None:
    ids = id_set(50, seed=0)
    asked = ids.group(IN_OTHER_WORDS).queries
    assert len(asked) == 5 * 50
    learned = {f.question for f in ids.facts}
    assert not learned & {q.text for q in asked}
    for query in [*asked, *ids.group(OTHER_CASE).queries]:
        assert query.wanted is not None
        assert ids.facts[query.wanted].id.split(": ")[1].lower() in query.text.lower()
    spaced = {q.text for q in ids.group(OTHER_SPACING).queries}
    assert not any(f.id.split(": ")[1] in text for f in ids.facts if "-" in f.id for text in spaced)
    assert ids.group(UNKNOWN).silent
    assert not ids.group(OTHER_CASE).silent


def _apart(a: str, b: str) -> int:
    return sum(x != y for x, y in zip(a, b, strict=True))


# ---- entities ---------------------------------------------------------------------------------------------------


def test_firms_have_five_facts_and_are_asked_for_others_too() -> None:
    firms = entity_set(40, seed=2)
    assert len(firms.facts) == 40 * FACTS_EACH == len(firms.group(ASKED).queries)
    assert len({f.answer for f in firms.facts}) >= 0.99 * len(firms.facts)
    learned = {f.question for f in firms.facts}
    known = {f.id for f in firms.facts}
    assert not learned & {q.text for name in (ASKED, LACKING, UNHEARD) for q in firms.group(name).queries}
    assert not known & {q.id for q in firms.group(LACKING).queries}
    for query in firms.group(ASKED).queries:
        assert query.wanted is not None
        assert firms.facts[query.wanted].id == query.id
        assert str(firms.facts[query.wanted].group) in query.text


@pytest.mark.parametrize("make", [id_set, entity_set])
def test_things_that_teach_other_wordings_are_not_asked_about(make: Any) -> None:
    plain, taught = make(50, 3), make(50, 3, 2)
    teachers = {place for place, fact in enumerate(taught.facts) if fact.phrasings}
    assert 0 < len(teachers) <= len(taught.facts) / 4
    assert [(f.question, f.answer) for f in taught.facts] == [(f.question, f.answer) for f in plain.facts]
    asked = [query for group in taught.groups for query in group.queries]
    assert asked
    assert not teachers & {query.wanted for query in asked}
    before = {(query.text, query.wanted) for group in plain.groups for query in group.queries}
    assert {(query.text, query.wanted) for query in asked} < before


def test_a_large_enough_run_asks_both_with_and_without_given_wordings() -> None:
    names = [s.name for s in load_sets(Sources(ids=100, entities=100, ordinary=2, taught=3)).all()]
    assert names == ["ids", "entities", "ids, wordings of 3 a kind given", "entities, wordings of 3 given"]
    assert len(load_sets(Sources(ids=100, entities=100, ordinary=2, taught=0)).all()) == 2


@pytest.mark.parametrize("make", [id_set, entity_set])
def test_the_seed_makes_the_set(make: Any) -> None:
    assert make(30, 5) == make(30, 5)
    assert make(30, 5) != make(30, 6)


# ---- ordinary text ----------------------------------------------------------------------------------------------


@pytest.fixture
def wikitext(tmp_path: Path) -> Path:
    line = " Homarus gammarus , known as the European lobster , is large . It lives in the Atlantic ( mostly ) . \n"
    path = tmp_path / "wiki.txt"
    path.write_text(" = Lobster = \n\n" + "".join(line.replace("large", f"{i} cm long") for i in range(60)))
    return path


def test_ordinary_text_is_passages_openings_and_instructions(wikitext: Path) -> None:
    groups = ordinary_groups(80, wikitext, seed=0)
    assert [len(g.queries) for g in groups] == [40, 20, 20]
    texts = [q.text for g in groups for q in g.queries]
    assert len(set(texts)) == 80
    assert not any("{" in text and "}" in text.split("{")[1] and "expected" not in text for text in texts)
    assert all(g.silent for g in groups)
    assert groups[0].name == PASSAGES
    assert "Homarus gammarus, known as the European lobster, is" in " ".join(q.text for q in groups[0].queries)
    assert groups == ordinary_groups(80, wikitext, seed=0) != ordinary_groups(80, wikitext, seed=1)


def test_without_a_text_there_are_no_passages_and_an_empty_one_is_refused(tmp_path: Path) -> None:
    assert [len(g.queries) for g in ordinary_groups(60, None, seed=0)] == [30, 30]
    (tmp_path / "empty.txt").write_text(" = Title = \n")
    with pytest.raises(InputError, match="no passage"):
        ordinary_groups(60, tmp_path / "empty.txt", seed=0)


# ---- near misses ------------------------------------------------------------------------------------------------

LEARNED = [
    Learned(1, "The twin city of Zürich is", "Zürich", "Oslo"),
    Learned(2, "Zürich is in", "Zürich", "Asia"),
    Learned(3, "The official language of Peru is", "Peru", "Danish"),
    Learned(4, "Mojang's owner", "Mojang", "Sony"),
    Learned(5, "Toyota Camry is produced by", "Toyota Camry", "Apple"),
    Learned(6, "Zurich is a twin city of", "Zurich", "Rome"),
]


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("the twin city of ZÜRICH  is", "identical"),
        ("What is the twin city of Zurich? It is", "same question"),
        ("Zürich, in", "may be the same"),
        ("The headquarters of Zürich is in", "may be the same"),
        ("Mojang Studios, by", "same name"),
        ("In Republic of Peru, they understand", "may be the same name"),
        ("Peru asks nobody", "unread"),
        ("The capital of Peru is", ""),
        ("The twin city of Bern is", ""),
        ("Toyota Camry XV20 is developed by", ""),
        ("Camry Estate is developed by", ""),
        ("Chile asks nobody", ""),
    ],
)
def test_a_near_miss_that_asks_for_a_learned_fact_is_taken_out(prompt: str, reason: str) -> None:
    verdict = Cleaner(LEARNED).judge(NearMiss(9, prompt))
    assert verdict.reason == ("same name" if reason == "may be the same name" else reason)
    assert (verdict.of is None) == (not reason)


def test_what_is_kept_though_it_shares_a_name_is_marked() -> None:
    cleaner = Cleaner(LEARNED)
    assert cleaner.judge(NearMiss(9, "The capital of Peru is")).near
    assert cleaner.judge(NearMiss(9, "Toyota Camry XV20 is developed by")).near
    assert not cleaner.judge(NearMiss(9, "The twin city of Bern is")).near


def test_a_repeated_near_miss_is_asked_once_and_only_numbers_are_published() -> None:
    misses = [
        NearMiss(7, "The twin city of Bern is"),
        NearMiss(8, "the twin city of bern is"),
        NearMiss(9, "Zürich, in"),
    ]
    verdicts = Cleaner(LEARNED).sort(misses)
    assert [v.reason for v in verdicts] == ["", "repeated", "may be the same"]
    assert {k: v for k, v in numbers(verdicts).items() if v} == {"repeated": [8], "may be the same": [9]}


def test_facts_that_contradict_each_other_in_two_wordings_are_known() -> None:
    assert Cleaner(LEARNED).contested() == {1, 6}


def test_every_template_can_be_read() -> None:
    for family, templates in FAMILIES.items():
        for template in templates:
            reading = read(template.format("Foo Bar"))
            assert reading is not None
            assert reading.subject == "Foo Bar"
            assert family in reading.families
    assert plain_name("The  Café-Bar’s") == "cafe bar s"


# ---- files to sets ----------------------------------------------------------------------------------------------


def _row(case: int, subject: str, target: str, near: str, template: str = "The twin city of {} is") -> dict[str, Any]:
    return {
        "case_id": case,
        "prompt": template.format(subject),
        "target_new": target,
        "subject": subject,
        "ground_truth": "Kiel",
        "rephrase_prompt": f"{subject} is a twin city of",
        "locality_prompt": f"The twin city of {near} is",
        "locality_ground_truth": "Kiel",
    }


@pytest.fixture
def sources(tmp_path: Path, wikitext: Path) -> Sources:
    names = ["Adorf", "Bedorf", "Cedorf", "Dedorf", "Edorf", "Efdorf"]
    rows = [_row(i, name, f"Town {i}", f"Nowhere {i}") for i, name in enumerate(names)]
    rows += [_row(90, "Adorf", "Elsewhere", "Bedorf"), _row(91, "Bedorf", "Town 1", "Nowhere 1")]
    facts = [{"id": f"t{i}", "question": f"Who wrote book {i}?", "answer": f"Author {i}"} for i in range(5)]
    asked = [
        {"question": f["question"], "paraphrased_question": f"The author of book {i}?"} for i, f in enumerate(facts)
    ]
    asked.append({"question": "What is unknown?", "paraphrased_question": "Unknown is what?"})
    made = {"counterfact": rows, "tofu": facts, "paraphrases": asked}
    for name, lines in made.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Sources(
        tofu=tmp_path / "tofu.jsonl",
        tofu_paraphrases=tmp_path / "paraphrases.jsonl",
        counterfact=tmp_path / "counterfact.jsonl",
        wikitext=wikitext,
        ids=20,
        entities=4,
        ordinary=20,
    )


def test_of_two_facts_that_ask_the_same_the_first_is_learned_and_asked(sources: Sources, tmp_path: Path) -> None:
    sets = load_sets(sources)
    assert sets.dropped == {"repeats": 1, "conflicts": 1, "queries without a fact": 3}
    assert len(sets.learned.facts) == 11
    assert [len(sets.learned.group(name).queries) for name in (TOFU, COUNTERFACT, NEAR_MISSES)] == [5, 6, 6]
    for query in sets.learned.group(COUNTERFACT).queries:
        assert query.wanted is not None
        assert sets.learned.facts[query.wanted].answer.startswith("Town")
    kept, removed, published = write_lists(sets.verdicts, tmp_path / "lists")
    assert [json.loads(line)["reason"] for line in removed.read_text().splitlines()] == ["identical", "repeated"]
    assert len(kept.read_text().splitlines()) == 6
    found = json.loads(published.read_text())
    assert (found["rows"], found["kept"], found["removed"]["repeated"]) == (8, 6, [91])


def test_two_halves_are_the_whole_and_a_sample_is_no_more_than_asked(sources: Sources) -> None:
    import dataclasses

    def queries(**changes: Any) -> list[set[str]]:
        groups = load_sets(dataclasses.replace(sources, **changes)).learned.groups[:3]
        return [{q.id for q in group.queries} for group in groups]

    for whole, a, b in zip(queries(), queries(half="A"), queries(half="B"), strict=True):
        assert a | b == whole
        assert not a & b
    assert all(len(ids) <= 2 for ids in queries(sample=2))


def test_wrong_use_of_the_files_is_said(sources: Sources, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="A or B"):
        load_sets(Sources(half="C"))
    with pytest.raises(UsageError, match="--tofu"):
        load_sets(Sources(tofu_paraphrases=sources.tofu_paraphrases))
    (tmp_path / "bad.jsonl").write_text('{"case_id": 1, "prompt": "x"}\n')
    with pytest.raises(InputError, match="target_new"):
        load_sets(Sources(counterfact=tmp_path / "bad.jsonl"))


# ---- rivals -----------------------------------------------------------------------------------------------------


def test_a_rival_gets_the_threshold_of_one_half_and_is_judged_on_the_other() -> None:
    facts = [Fact(str(i), f"What is thing {i}?", f"answer {i}") for i in range(10)]
    questions = [Group("asked", [Query(str(i), str(i), i) for i in range(10)])]
    misses = [Query(f"miss {i}", f"-{i / 1000}") for i in range(1000)]
    asked = RouteSet("set", facts, questions)

    def make(keys: Sequence[str]) -> route_rivals.Ask:
        def ask(texts: Sequence[str]) -> Nearest:
            values = np.array([float(t) for t in texts], np.float32)
            wanted = np.maximum(values, 0).astype(np.int64)
            return np.where(values > 0, 2.0, np.abs(values)).astype(np.float32), wanted

        return ask

    rival = measure_rival("toy", make, asked, questions, misses)
    assert rival.threshold is not None
    assert 0.98 < rival.threshold < 1.0
    assert rival.near_misses.n < 600
    assert rival.near_misses.hits <= 4 * ALLOWED * rival.near_misses.n
    (group,) = rival.groups
    assert (group.first.hits, group.right.hits, group.wrong.hits) == (10, 9, 0)
    alone = measure_rival("toy", make, asked, questions, [])
    assert alone.threshold is None
    assert alone.groups[0].right.hits == 0
    assert math.isclose(alone.groups[0].first.value or 0, 1.0)


@pytest.mark.parametrize("name", ["BM25", "TF-IDF cosine"])
def test_the_lexical_rivals_find_the_nearest_wording(name: str) -> None:
    pytest.importorskip({"BM25": "bm25s"}.get(name, "sklearn"))
    ask = dict(route_rivals.RIVALS)[name](["where is the red house", "who feeds the old cat", "when is lunch"])
    scores, keys = ask(["the cat is fed by who", "red house"])
    assert keys.tolist() == [1, 0]
    assert (scores > 0).all()


# ---- the whole --------------------------------------------------------------------------------------------------


def _missing(keys: Sequence[str]) -> route_rivals.Ask:
    raise ExtraMissing("bm25s", "bench")


def test_a_run_counts_everything_and_names_what_was_left_out(sources: Sources) -> None:
    sets = load_sets(sources)
    result = route.measure(sets, Config(), rivals=[("BM25", _missing)])
    by_name = {(a.memory, a.group): a for a in result.asked}
    assert len(by_name) == len(result.asked) == 6 + 4 + 3
    for asked in result.asked:
        assert asked.right.hits + asked.wrong.hits + asked.none.hits == asked.right.n
        assert len(asked.failures) == asked.right.n - (asked.none.hits if asked.silent else asked.right.hits)
    assert result.times["route"].n == 5 + 6 + 6
    assert [r.name for r in result.rivals] == ["memtune"]
    assert "memtune[bench]" in result.skipped[0]
    outcomes, beside = result.sheets()
    assert len(outcomes.rows) == 13
    assert all(len(row) == len(sheet.columns) for sheet in (outcomes, beside) for row in sheet.rows)
    assert "Near misses: 6 kept" in outcomes.note


def test_learned_wordings_fire_and_stages_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = RoutedMemory(FACTS, Config())
    assert [memory.ask(f.question).fired for f in FACTS] == [{0}, {1}, {2}]
    assert memory.ask("").fired == frozenset()
    assert len(memory.take_times()["route"]) == 4
    assert memory.take_times() == {}
    assert Timing.of([0.001, 0.002, 0.009]) == Timing(2.0, 2.0, 3)


def test_the_command_writes_its_table_and_json(sources: Sources, tmp_path: Path) -> None:
    tiny.model().save_pretrained(tmp_path / "model")
    tiny.tokenizer().save_pretrained(tmp_path / "model")
    command = ["bench", "route", "--model", str(tmp_path / "model"), "--counterfact", str(sources.counterfact)]
    command += ["--ids", "10", "--entities", "2", "--ordinary", "10", "--no-rivals", "--half", "A"]
    out = tmp_path / "route.json"
    run = CliRunner().invoke(app, [*command, "--lists", str(tmp_path / "lists"), "--out", str(out)])
    assert run.exit_code == 0, run.output
    assert "unknown ids" in run.stdout
    found = json.loads(out.read_text())
    assert found["benchmark"] == "route"
    assert found["result"]["half"] == "A"
    assert found["result"]["asked"][0]["right"]["interval95"]
    assert "median" in found["result"]["milliseconds"]["route"]
    assert (tmp_path / "lists" / "near-misses.json").is_file()
    wrong = CliRunner().invoke(app, [*command, "--half", "C"])
    assert wrong.exit_code == 2
