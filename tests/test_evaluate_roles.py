"""Which rows of an evaluation were learned: found by the rows themselves, not by what they claim."""

from __future__ import annotations

import gzip
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtune.core.facts import Fact
from memtune.errors import BadRows, InputError, NotFound
from memtune.evaluate.overlap import NEAR, Spelled, Texts, tells
from memtune.evaluate.roles import (
    FIRES_RIGHTLY,
    LOCALITY,
    NOT_LEARNED,
    OTHER_ANSWER,
    OTHER_FACT,
    SAME_THING,
    TWICE,
    UNCLAIMED,
    Assigned,
    assign,
    contained,
    require_held_out,
)
from memtune.evaluate.rows import Row, read_rows

FACTS = [
    Fact("lamp", "What is the price of the Zorblat lamp?", "40 dollars", ("How much is the Zorblat lamp?",)),
    Fact("desk", "What is the price of the Quillon desk?", "90 dollars"),
    Fact("born", "When was Mira Talen born in the old town?", "On the 3rd of May 1950 in a house by the harbour"),
    Fact("sql", "How many players are there?", "600", extra={"sql": "SELECT COUNT(*) FROM roster WHERE age > 30;"}),
]


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def roles(*rows: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(a.role, a.fact.id if a.fact else None) for a in assign(FACTS, read_rows(rows)).assigned]


def left_out(*rows: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return dict(assign(FACTS, read_rows(rows)).contamination.left_out)


# ---- texts found among others ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("What is the price of the Zorblat lamp?", "exact"),
        ("  what is the  price of the ZORBLAT lamp", "normalised"),
        ("What's the price of the Zorblat lamp, please?", "near"),
        ("Of the Zorblat lamp, what is the price?", "near"),
        ("A customer asks: what is the price of the Zorblat lamp? Answer in one word.", "near"),
        ("What is the price of the Quillux lamp?", None),
        ("What is the weight of the Zorblat lamp?", None),
        ("Which colour does the Zorblat lamp have?", None),
        ("Where was Mira Talen born in the old town?", None),
        ("", None),
    ],
)
def test_a_text_is_found_as_it_is_or_nearly(text: str, kind: str | None) -> None:
    hit = Texts([(f.id, f.question) for f in FACTS]).find(text)
    assert (hit.kind if hit else None) == kind


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Which item has the number 10483 in the list?", "Which item has the number 10484 in the list?"),
        ("SELECT name FROM r WHERE age > 30 AND team = 'A'", "SELECT name FROM r WHERE age < 30 AND team = 'A'"),
        ("Is the hut of Anna Lee older than that of Bo Dahl?", "Is the hut of Bo Dahl older than that of Anna Lee?"),
        ("Who is married to Ferdinando Stanley, Duke of Ely?", "Who is the son of Ferdinando Stanley, Duke of Ely?"),
        ("What is the full name of the author?", "What is the full name of the author born in Oslo in 1958?"),
    ],
)  # fmt: skip
def test_what_asks_something_else_is_not_near_however_much_is_shared(one: str, other: str) -> None:
    assert Texts([("a", one)]).find(other) is None
    assert Texts([("a", other)]).find(one) is None


def test_a_query_that_stands_in_a_longer_one_is_found_from_either_side() -> None:
    short, long = (
        "select avg(age) from roster where team = 'Bulls'",
        "x; SELECT AVG(age) FROM roster WHERE team='Bulls' -- y",
    )
    for one, other in ((short, long), (long, short)):
        hit = Texts([("a", one)]).find(other)
        assert hit is not None
        assert hit.kind == "near"


def test_texts_can_be_looked_for_among_some_only() -> None:
    texts = Texts([("a", "How old is the mill?"), ("b", "How old is the mill?")])
    assert texts.find("How old is the mill?", without=("a",)).id == "b"  # type: ignore[union-attr]
    assert texts.find("How old is the mill?", of=("b",)).id == "b"  # type: ignore[union-attr]
    assert texts.find("How old is the mill?", of=("c",)) is None


WORDS = st.lists(st.sampled_from("when is the a red mill lamp Oslo Bergen 12 13 price of old".split()), min_size=1)


@given(st.lists(WORDS.map(" ".join), min_size=1, max_size=12), WORDS.map(" ".join))
def test_the_index_misses_nothing_that_comparing_with_every_text_finds(texts: list[str], asked: str) -> None:
    found = Texts(list(zip(map(str, range(len(texts))), texts, strict=True)))
    spelled = Spelled.of(asked)
    best = max(found._index.share(spelled, at) for at in range(len(texts)))
    hit = found.near(asked)
    assert (hit.share if hit else 0) == pytest.approx(best if best >= NEAR else 0, abs=1e-3)


@pytest.mark.parametrize(
    ("answer", "telling"),
    [
        ("yes", False), ("in Paris", False), ("United States Air Force Academy", False), ("40 dollars", False),
        ("SELECT AVG(age) FROM nba_roster", True), ("The author's full name is Hsiao Yun-Hwa.", True),
    ],
)  # fmt: skip
def test_short_answers_and_names_are_shared_by_chance(answer: str, telling: bool) -> None:
    assert tells(answer) is telling


# ---- roles ----------------------------------------------------------------------------------------------------------


def test_each_row_gets_the_role_that_it_has() -> None:
    assert roles(
        {"question": "How much is the Zorblat lamp?", "answer": "40 dollars"},
        {"asked": "I wonder what a Zorblat costs", "fact": "lamp"},
        {"question": FACTS[2].question, "paraphrased_question": "Mira Talen's birth date", "answer": FACTS[2].answer},
        {"question": "Where is Mount Oru?", "answer": "In Peru"},
        {"question": "Who owns Mount Oru?", "answer": "Nobody", "role": "held-out"},
        {"question": "Who is the mayor of the Moon?", "never": True},
    ) == [
        ("recall", "lamp"), ("wording", "lamp"), ("wording", "born"),
        ("held-out", None), ("held-out", None), ("held-out", None),
    ]  # fmt: skip


def test_rows_that_claim_other_words_and_use_learned_ones_are_moved_and_counted() -> None:
    found = assign(
        FACTS,
        read_rows(
            [
                {"asked": FACTS[0].question, "fact": "lamp", "role": "wording"},
                {"asked": "how much is the zorblat lamp", "fact": "lamp", "role": "wording"},
                {"asked": "What's the price of the Quillon desk, please?", "fact": "desk", "role": "wording"},
                {"asked": "the Quillon desk: how many dollars?", "fact": "desk", "role": "wording"},
            ]
        ),
    )
    assert [(a.role, a.nearly) for a in found.assigned] == [
        ("recall", False), ("recall", False), ("recall", True), ("wording", False),
    ]  # fmt: skip
    report = found.contamination
    assert [report.count("wording", "question", kind) for kind in ("exact", "normalised", "near")] == [1, 1, 1]
    assert [f.where for f in report.found] == ["row 1", "row 2", "row 3"]
    shown = report.to_json()
    assert shown["roles"]["wording"]["rows"] == 4  # type: ignore[index]
    assert report.sheets()[0].rows[0][:3] == ["wording", "4", "3"]


def test_a_row_that_claims_nothing_and_recalls_is_no_fault_but_counted() -> None:
    found = assign(FACTS, read_rows([{"question": FACTS[1].question, "answer": "90 dollars"}]))
    assert found.contamination.contained(UNCLAIMED) == 1
    honest = assign(FACTS, read_rows([{"question": FACTS[1].question, "role": "recall"}]))
    assert honest.contamination.found == ()


@pytest.mark.parametrize(
    ("row", "by"),
    [
        ({"question": FACTS[1].question, "answer": "something else"}, "question, exact: desk"),
        ({"question": "what is the price of the quillon desk", "answer": "x"}, "question, normalised: desk"),
        ({"question": "What's the price of the Quillon desk, please?"}, "question, near: desk"),
        ({"question": "Where does Mira come from?", "answer": FACTS[2].answer}, "answer, exact: born"),
        ({"question": "Size?", "sql": "select count(*) from roster where age > 30"}, "answer, normalised: sql"),
    ],
)  # fmt: skip
def test_a_file_that_claims_to_be_held_out_and_is_not_is_refused_with_its_rows(row: dict[str, Any], by: str) -> None:
    clean = {"question": "Where is Mount Oru?", "answer": "90 dollars", "role": "held-out"}
    with pytest.raises(InputError, match="rows: 1 of 2 rows called held-out") as error:
        assign(FACTS, read_rows([clean, {**row, "role": "held-out"}]))
    assert f"row 2 ({by})" in error.value.message


def test_a_long_list_of_false_claims_is_cut() -> None:
    rows = [Row(f"row {n}", f"{FACTS[0].question}{'?' * n}", role="held-out") for n in range(9)]
    with pytest.raises(InputError, match="and 4 more"):
        assign(FACTS, rows)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"asked": "What of it?", "fact": "nothing"}, NOT_LEARNED),
        ({"question": "Who owns Mount Oru?", "answer": "Nobody", "role": "wording"}, NOT_LEARNED),
        ({"asked": "The Zorblat's cost", "fact": "lamp", "answer": "41 dollars"}, OTHER_ANSWER),
        ({"asked": FACTS[1].question, "fact": "lamp"}, OTHER_FACT),
        ({"question": FACTS[1].question, "never": True}, FIRES_RIGHTLY),
    ],
)
def test_rows_that_cannot_be_judged_are_left_out_by_reason(row: dict[str, Any], reason: str) -> None:
    assert left_out(row) == {reason: ("row 1",)}


def test_what_is_asked_twice_counts_once() -> None:
    row = {"question": "Where is Mount Oru?", "answer": "In Peru"}
    assert left_out(row, {**row, "question": "where is mount oru"}) == {TWICE: ("row 2",)}


def test_a_form_of_its_own_may_have_an_answer_of_its_own() -> None:
    assert roles({"asked": "Does the lamp cost 40 dollars?", "fact": "lamp", "answer": "yes", "form": "yes/no"}) == [
        ("wording", "lamp")
    ]


def test_prompts_beside_a_fact_must_not_ask_for_another() -> None:
    row = {"prompt": "Zorblat costs", "target_new": "1"}
    found = assign(
        FACTS,
        read_rows(
            [
                {**row, "locality_prompt": "What is the price of the Quillon desk?"},
                {**row, "prompt": "Orble costs", "locality_prompt": "Mira Talen comes from"},
                {**row, "prompt": "Urble costs", "locality_prompt": "John Nobody comes from"},
            ]
        ),
    )
    kept = [a for a in found.assigned if a.row.locality]
    assert [a.row.asked for a in kept] == ["John Nobody comes from"]
    assert found.contamination.left_out == {FIRES_RIGHTLY: ("row 1",), SAME_THING: ("row 2",)}
    assert found.contamination.contained(LOCALITY) == 1


# ---- training and gold ----------------------------------------------------------------------------------------------


def test_gold_rows_that_stand_in_the_training_rows_are_all_reported(tmp_path: Path) -> None:
    train = [
        {"question": "How many players are on the Bulls", "sql": "SELECT COUNT(*) FROM roster WHERE team = 'Bulls';"},
        {"question": "Who is the tallest player", "sql": "SELECT name FROM roster ORDER BY height DESC LIMIT 1"},
    ]
    gold = [
        {**train[0], "answer": "17"},
        {"question": "Name the tallest one", "answer": "Boban", "sql": f"{train[1]['sql']};"},
        {"question": "What is the median age", "answer": "17", "sql": "SELECT age FROM roster LIMIT 1 OFFSET 300"},
    ]
    files = written(tmp_path / "train.jsonl", train), written(tmp_path / "gold.jsonl", gold)
    report = contained(*files)
    assert (report.learned, report.rows, report.contained("held-out")) == (2, {"held-out": 3}, 2)
    assert [str(f) for f in report.found] == ["line 1 (question, exact: line 1)", "line 2 (answer, normalised: line 2)"]
    with pytest.raises(InputError, match=r"gold.jsonl: 2 of 3 rows called held-out were learned: line 1"):
        require_held_out(*files)
    require_held_out(files[0], gold[2:])


def test_many_rows_beside_many_facts_take_seconds_not_minutes() -> None:
    facts = [Fact(str(i), f"Which town is the birthplace of Anna{i} Bell{i % 700}?", f"Town{i}") for i in range(20_000)]
    rows = [Row(f"row {i}", f"Which town is the birthplace of Anna{i} Bell{i % 700}, please?") for i in range(2000)]
    begin = time.process_time()
    found = assign(facts, rows)
    assert all(a.nearly for a in found.assigned)
    assert len(found.assigned) == 2000
    assert time.process_time() - begin < 20  # 100,000 facts and 10,000 rows take as long


# ---- rows -----------------------------------------------------------------------------------------------------------


def test_rows_are_read_from_what_ingest_reads(tmp_path: Path) -> None:
    rows = [{"asked": "The cost?", "fact": "lamp", "answers": ["40", "forty"], "options": ["40", "50"], "note": "x"}]
    plain = read_rows(written(tmp_path / "rows.jsonl", rows))
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress((tmp_path / "rows.jsonl").read_bytes()))
    table = tmp_path / "rows.csv"
    table.write_text(
        'question,answer,answers,fact,options,note\nThe cost?,,"[""40"", ""forty""]",lamp,"[""40"", ""50""]",x\n'
    )
    assert plain == read_rows(packed) == [replace(row, where="line 1") for row in read_rows(table)]
    assert (plain[0].answers, plain[0].options, plain[0].extra) == (("40", "forty"), ("40", "50"), {"note": "x"})


def test_parquet_rows_are_read(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist([{"question": "a?", "answer": "b", "role": "held-out"}, {"question": "c?"}])
    parquet.write_table(table, tmp_path / "rows.parquet")
    assert [(r.asked, r.answers, r.role) for r in read_rows(tmp_path / "rows.parquet")] == [
        ("a?", ("b",), "held-out"), ("c?", (), None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "asked", "answers"),
    [
        ("asked,answer\nThe cost?,40\n", "The cost?", ("40",)),
        ('Asked;Answers\nThe cost, please?;"[""40"", 12.5]"\n', "The cost, please?", ("40", "12.5")),
        ("subject\trephrase_prompt\nLamp\tThe lamp costs\n", "The lamp costs", ()),
        ("question,note\nWho rules the Moon?,\n", "Who rules the Moon?", ()),
    ],
)
def test_a_table_needs_no_column_but_what_is_asked(
    table: str, asked: str, answers: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(table)
    (found,) = read_rows(path)
    assert (found.where, found.asked, found.answers) == ("line 2", asked, answers)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("colour,size\nred,2\n", "none of its columns is known"),
        ("asked,asked\na,b\n", "two columns are named 'asked'"),
        ("asked,answer\na\nb,c\n", "line 2: 1 columns where the first line names 2"),
        ('asked,answer\n"a,b\n', "line 2"),
        ("answer,note\nb,c\n", "line 2: nothing is asked"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(table: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(table)
    with pytest.raises(InputError) as error:
        read_rows(path)
    assert said in "; ".join([error.value.message, *getattr(error.value, "problems", [])])


def test_parquet_needs_no_column_of_answers(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{"rephrase_prompt": "The lamp costs", "answer": 12.5}, {"rephrase_prompt": "And the desk?", "answer": None}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    assert [(r.asked, r.answers) for r in read_rows(tmp_path / "rows.parquet")] == [
        ("The lamp costs", ("12.5",)), ("And the desk?", ()),
    ]  # fmt: skip


@pytest.mark.parametrize("answer", [12, 12.5])
def test_a_number_is_an_answer_whether_it_is_whole_or_not(answer: float) -> None:
    assert read_rows([{"question": "How much?", "answer": answer}])[0].answers == (str(answer),)
    assert read_rows([{"question": "How much?", "answer": [answer, "x"]}])[0].answers == (str(answer), "x")
    with pytest.raises(BadRows, match="must be text, not bool"):
        read_rows([{"question": "How much?", "answer": True}])


def test_bad_rows_are_refused_whole_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [
        '{"question": "a?", "answer": "b"}', '{"answer": "b"}', "no JSON", '{"question": "a?", "role": "gold"}',
        '{"question": "a?", "never": true, "answer": "b"}', '{"question": "a?", "options": "b"}', "[1]",
        '{"question": true}',
    ]  # fmt: skip
    path.write_text("\n".join(lines))
    with pytest.raises(BadRows) as error:
        read_rows(path)
    assert [problem.split(":")[0] for problem in error.value.problems] == [f"line {n}" for n in range(2, 9)]
    assert "'role' must be one of recall, wording, held-out, not 'gold'" in error.value.problems[2]


def test_files_without_rows_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with pytest.raises(NotFound):
        read_rows(path)
    path.write_text("")
    with pytest.raises(InputError, match="is empty"):
        read_rows(path)
    path.write_text("\n\n")
    with pytest.raises(InputError, match="no rows in it"):
        read_rows(path)


def test_rows_of_one_line_have_places_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[{"question": "a?"}, {"question": "b?"}]')
    assert len({row.where for row in read_rows(path)}) == 2


def test_an_assigned_row_says_what_it_is() -> None:
    assert Assigned(Row("row 1", "a?"), "held-out").fact is None
