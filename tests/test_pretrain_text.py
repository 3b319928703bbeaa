"""The generators of training text: the same for a seed, right in what they claim, apart in their names."""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path
from random import Random

import pytest

pytest.importorskip("tomllib", reason="the pretraining tools need Python 3.11")
sys.path.insert(0, str(Path(__file__).parents[1]))  # tools/ is no part of the package

from tools.pretrain.evaluate import form_cases, sql_cases
from tools.pretrain.sources import GENERATORS
from tools.pretrain.text.document import ASSISTANT, END, USER, Part, text_of
from tools.pretrain.text.facts import WorldMaker, number_in
from tools.pretrain.text.forms import FORMS, UNKNOWN, Task
from tools.pretrain.text.layouts import chat_page, context_of
from tools.pretrain.text.names import HELDOUT, SPLITS, TRAIN, Namer, split_of
from tools.pretrain.text.relations import RELATIONS
from tools.pretrain.text.sql_pages import drawn_schema
from tools.pretrain.text.sql_queries import Query, same_result
from tools.pretrain.text.sql_schema import SchemaMaker

WORDS = ["apple", "stone", "river", "cloud", "paper", "glass", "chair", "north", "seven"]
SETTINGS = {
    "context": {"facts": [1, 6], "questions": [1, 4], "forms": dict.fromkeys(FORMS, 1)},
    "drill": {},
    "matched": {},
    "sql": {"questions": [1, 3], "joined_share": 0.4},
    "talk": {},
}
NAME_KINDS = ("person", "city", "country", "product", "book", "event")  # a company may join two words into one


def documents(generator: str, seed: int, count: int = 20, split: str = TRAIN) -> list[str]:
    stream = GENERATORS[generator](Random(seed), split, SETTINGS[generator], WORDS)
    return [text_of(document) for document in itertools.islice(stream, count)]


def tasks(form: str, count: int) -> list[tuple[Task, str]]:
    """Tasks of one form with the context that they are asked about."""
    rng = Random(form)
    maker, found = WorldMaker(rng, TRAIN), []
    while len(found) < count:
        world = maker.world(rng.randint(1, 6))
        if (task := FORMS[form](maker, world)) is not None:
            found.append((task, context_of(rng, world)))
    return found


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_seed_decides_every_character(generator: str) -> None:
    assert documents(generator, 5) == documents(generator, 5)
    assert documents(generator, 5) != documents(generator, 6)


def test_settings_cover_every_generator() -> None:
    assert set(SETTINGS) == set(GENERATORS)


def invented_words(split: str) -> set[str]:
    """The name words of many names, as the namer itself splits them off."""
    namer = Namer(Random(1), split)
    drawn = {namer.invented(syllables) for syllables in (1, 2) for _ in range(800)}
    return {word.lower() for word in drawn | {namer.word() for _ in range(800)}}


def test_training_and_held_out_name_words_are_disjoint() -> None:
    train, heldout = invented_words(TRAIN), invented_words(HELDOUT)
    assert len(train) > 300
    assert len(heldout) > 100
    assert not train & heldout


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("kind", NAME_KINDS)
def test_every_name_holds_a_word_of_its_split(kind: str, split: str) -> None:
    namer = Namer(Random(2), split)
    for _ in range(50):
        assert split in {split_of(word) for word in re.findall(r"[A-Za-z]+", namer.draw(kind))}


@pytest.mark.parametrize("form", ["open", "complete", "two_hop", "reverse"])
def test_what_is_asked_for_stands_in_the_context(form: str) -> None:
    for task, context in tasks(form, 60):
        assert task.answer.lower() in context.lower()


def test_the_unanswerable_is_answered_so() -> None:
    assert {task.answer for task, _ in tasks("unanswerable", 40)} == {UNKNOWN}


def test_yes_and_no_are_balanced() -> None:
    said_yes = sum(task.answer == "Yes" for task, _ in tasks("yes_no", 600))
    assert 240 < said_yes < 360


@pytest.mark.parametrize("form", ["choice", "compare"])
def test_the_answer_is_one_of_distinct_options(form: str) -> None:
    for task, _ in tasks(form, 60):
        assert task.answer in task.options
        assert len(set(task.options)) == len(task.options) > 1


def test_a_note_names_three_values() -> None:
    for task, context in tasks("note", 30):
        assert len(task.values) == 3
        assert all(value in task.answer and value.lower() in context.lower() for value in task.values)


@pytest.mark.parametrize(("value", "number"), [("$1,249.50", 1249.5), ("1,200 kg", 1200), ("1899", 1899)])
def test_numbers_are_read_from_values(value: str, number: float) -> None:
    assert number_in(value) == number


def test_no_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="no number"):
        number_in("blue")


def test_every_relation_fills_its_wordings() -> None:
    for relation in RELATIONS:
        wordings = (*relation.all_claims, *relation.all_questions, *relation.all_doubts, *relation.all_reverse)
        assert all("{" not in wording.format(s="S", v="V") for wording in wordings)
        assert relation.gaps
        assert bool(relation.more) == bool(relation.less)


def test_only_what_can_be_known_counts_as_answer() -> None:
    rng = Random(4)
    world = WorldMaker(rng, TRAIN).world(3)
    page = chat_page(rng, "Some context.", [Task("open", "Who?", "Me"), Task("open", "Where?", "Here")])
    assert len(world) >= 3
    assert [piece.text for piece in page if piece.part == Part.ANSWER] == [f" Me{END}", f" Here{END}"]
    assert text_of(page).endswith(f"{USER}Where?{ASSISTANT} Here{END}")


@pytest.mark.parametrize("joined_share", [0.0, 1.0])
def test_every_query_runs_and_returns_something(joined_share: float) -> None:
    maker = SchemaMaker(Random(7), TRAIN)
    for _ in range(40):
        schema, queries = drawn_schema(maker, joined_share, questions=3)
        assert len(schema.tables) == 1 + joined_share
        assert all(schema.run(query.sql) for query in queries)
        schema.connection.close()


def test_results_are_compared_not_wordings() -> None:
    schema = SchemaMaker(Random(8), TRAIN).schema(joined=False)
    table = schema.tables[0]
    column = table.columns[-1].name
    ordered = Query("", f"SELECT {column} FROM {table.name} ORDER BY {column}, rowid;")
    plain = Query("", f"SELECT {column} FROM {table.name};")
    reverse = f"SELECT {column} FROM {table.name} ORDER BY {column} DESC, rowid DESC"
    assert same_result(plain, schema, reverse)
    assert not same_result(ordered, schema, reverse)
    assert not same_result(plain, schema, "SELECT nonsense")
    schema.connection.close()


def test_evaluation_cases_are_fixed_by_seed_and_carry_no_answer() -> None:
    cases = form_cases("open", 20, (1, 3), seed=1)
    assert cases == form_cases("open", 20, (1, 3), seed=1)
    assert cases != form_cases("open", 20, (1, 3), seed=2)
    for case in cases:
        assert case.prompt.endswith((ASSISTANT, "Answer:"))
        assert case.answer == case.task.answer
    for case in sql_cases(6, 0.5, seed=1):
        assert case.query.sql not in case.prompt
        case.schema.connection.close()
