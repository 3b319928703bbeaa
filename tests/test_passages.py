"""Passages: texts that are known, not recited, from a file into the context's place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny

from memtune import Config, MemoryModel
from memtune.config import LearnConfig
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.core.kinds.kv import KeyValue
from memtune.errors import InputError, UsageError
from memtune.evaluate.cases import Said
from memtune.evaluate.gather import gather
from memtune.evaluate.lab import passages as lab
from memtune.evaluate.lab.pages import STATEMENTS, pages
from memtune.evaluate.output import plain
from memtune.evaluate.retrieval import passage
from memtune.evaluate.use.names import held_out
from memtune.evaluate.use.right import right
from memtune.ingest import open_facts
from memtune.ingest.readers.text import MOST_WORDS
from memtune.store.records import from_line, to_line

ROW = {
    "passage": "The lamps were lit at six.\n\nNobody minded the rain.",
    "title": "An evening in Kallow",
    "questions": ["When were the lamps lit in Kallow?"],
    "source": "diary",
    "page": 7,
}


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(tiny.model(), tiny.tokenizer())


@pytest.fixture
def llm(backbone: Backbone, tmp_path: Path) -> Iterator[MemoryModel]:
    with MemoryModel(backbone, tmp_path / "memory") as made:
        yield made


# ---- as rows --------------------------------------------------------------------------------------------------------


def test_a_row_becomes_a_passage_and_is_the_same_row_again() -> None:
    fact = Fact.from_row(ROW)
    assert (fact.passage, fact.question, fact.answer) == (True, ROW["title"], ROW["passage"])
    assert fact.phrasings == tuple(ROW["questions"])
    assert fact.extra == {"page": 7}
    assert fact.to_row() == {"id": fact.id, **ROW}
    assert Fact.from_row(fact.to_row()) == fact == from_line(to_line(fact))


def test_phrasings_of_a_passage_are_questions_too() -> None:
    fact = Fact.from_row({**ROW, "phrasings": ["When was it lit?"]})
    assert fact.phrasings == (*ROW["questions"], "When was it lit?")


def test_an_evaluation_asks_for_no_passage_word_for_word() -> None:
    told = [Fact.from_row({"passage": f"It is {n}.", "title": f"Page {n}"}) for n in range(12)]
    facts = [Fact.from_row(row) for row in tiny.facts(12)]
    for seed in range(3):
        found = gather([*told, *facts], seed=seed)
        about = {fact for case in (*found.cases, *found.tuning) for fact in case.facts}
        assert about <= {fact.id for fact in facts}
        assert found.tuning
    assert found.remarks[-1].startswith("12 passages: only rows")
    row = {"fact": told[3].id, "question": "Which number is on page 3?", "answer": "3", "form": "about a page"}
    assert [case.answers for case in gather([*told, *facts], [row]).of("about a page")] == [("3",)]
    with pytest.raises(InputError, match="passages alone"):
        gather(told)


def test_a_column_called_passage_beside_a_question_is_only_a_further_field() -> None:
    fact = Fact.from_row({"question": "Why?", "answer": "So.", "passage": "A text.", "title": "T"})
    assert not fact.passage
    assert fact.extra == {"passage": "A text.", "title": "T"}
    with pytest.raises(InputError, match="no 'answer'"):
        Fact.from_row({"question": "Why?", "passage": "A text."})


@pytest.mark.parametrize("row", [{"passage": "  "}, {"passage": 1.5}, {"passage": "x", "questions": "When?"}])
def test_what_is_no_passage_is_refused(row: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Fact.from_row(row)


def test_without_a_title_it_is_called_by_how_it_begins() -> None:
    short, long = Fact.from_row({"passage": "A tale.\nOf old."}), Fact.from_row({"passage": "once more " * 40})
    assert (short.question, short.page) == ("A tale.", "A tale.\nOf old.")
    assert len(long.question) <= 80
    assert long.answer.startswith(long.question)
    assert Fact.from_row(ROW).page.startswith("An evening in Kallow\nThe lamps")


# ---- as files -------------------------------------------------------------------------------------------------------


def read(path: Path) -> list[Fact]:
    return list(open_facts(path, LearnConfig()))


def test_markdown_is_divided_at_its_headings(tmp_path: Path) -> None:
    file = tmp_path / "guide.md"
    file.write_text(
        "Before all.\n\n# Set up\n\nTake it.\n\nPlug it in.\n\n"
        "## Use ##\n```\n# no heading\n```\n# Set up\nAgain.\n# Empty\n"
    )
    found = read(file)
    assert [f.question for f in found] == ["guide", "guide – Set up", "guide – Use", "guide – Set up (2)"]
    assert [f.answer for f in found] == ["Before all.", "Take it.\n\nPlug it in.", "```\n# no heading\n```", "Again."]
    assert all(f.passage and f.source == "guide.md" for f in found)


def test_long_text_is_cut_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    sentences = [f"Sentence {n} is about thing {n} and no other." for n in range(90)]
    words = " ".join(f"w{n}" for n in range(450))
    file = tmp_path / "page.txt"
    file.write_text(" ".join(sentences) + "\n\n" + words + "\n\n# a line, not a heading in plain text\n")
    found = read(file)
    assert max(len(f.answer.split()) for f in found) <= MOST_WORDS
    assert " ".join(f.answer for f in found).split() == file.read_text().split()
    assert len({f.question for f in found}) == len(found) > 5


def test_a_table_called_txt_is_still_a_table(tmp_path: Path) -> None:
    file = tmp_path / "facts.txt"
    file.write_text("question,answer\nWho wrote Dune?,Frank Herbert\n")
    assert [f.passage for f in read(file)] == [False]


@pytest.mark.parametrize(
    "table", ["Passage,title,questions\nOne text.,Tale,When?\n", "title\tpassage\tquestions\nTale\tOne text.\tWhen?\n"]
)
def test_a_table_may_hold_passages(tmp_path: Path, table: str) -> None:
    file = tmp_path / "texts.csv"
    file.write_text(table)
    [fact] = read(file)
    assert (fact.passage, fact.question, fact.answer, fact.phrasings) == (True, "Tale", "One text.", ("When?",))


def test_titles_are_numbered_past_those_that_are_taken_and_code_holds_no_headings(tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_text("# A\none\n# a (2)\ntwo\n# A\n~~~\n```\n# no\n~~~\n# B\nfour\n")
    assert [f.question for f in read(file)] == ["a – A", "a – a (2)", "a – A (3)", "a – B"]


def test_an_empty_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "empty.md"
    file.write_text("# Title\n\n")
    with pytest.raises(InputError, match="no facts"):
        read(file)


# ---- in a memory ----------------------------------------------------------------------------------------------------


def test_a_kind_that_recites_refuses_passages_in_one_line(llm: MemoryModel) -> None:
    with pytest.raises(InputError, match="a passage is known, not recited") as caught:
        llm.learn([ROW, {**ROW, "title": "Another"}, *tiny.facts(2)], kind="imprint")
    assert str(caught.value).count("passage") == 1
    with pytest.raises(InputError, match="not recited"):
        llm.learn([ROW], kind="imprint+kv")


def test_a_passage_may_name_its_own_kind_and_learns_again_from_what_is_exported(
    llm: MemoryModel, tmp_path: Path
) -> None:
    llm.learn([{**ROW, "expert": "kv"}, *tiny.facts(2)])
    rows = [fact.to_row() for fact in llm.memory.folder.exported()]
    assert [row.get("expert") for row in rows] == ["kv", None, None]
    with MemoryModel(llm.backbone, tmp_path / "again") as again:
        again.learn(rows)
        assert list(again.memory.folder.exported()) == list(llm.memory.folder.exported())
        with pytest.raises(InputError, match="imprint cannot learn it"):
            again.learn([{**ROW, "title": "Another", "expert": "imprint"}], kind="kv")


def test_a_passage_is_learned_beside_facts_and_acts_where_it_is_asked_for(llm: MemoryModel) -> None:
    report = llm.learn([ROW, *tiny.facts(3)], kind="kv")
    fact = Fact.from_row(ROW)
    assert fact.id not in [failed.id for failed in report.failed]
    for asked in (ROW["title"], ROW["questions"][0]):
        answer = llm.ask(str(asked), max_new_tokens=4)
        assert [used.id for used in answer.facts] == [fact.id]
    nobody = llm.ask("When were the lamps painted in Kallow?", max_new_tokens=4)
    assert not nobody.fired
    assert nobody.tokens == llm.ask("When were the lamps painted in Kallow?", max_new_tokens=4, memory=False).tokens
    assert llm.fact(fact.id) == fact
    llm.forget(fact.id)
    assert not llm.ask(str(ROW["title"]), max_new_tokens=4).fired


def test_its_rows_are_those_of_its_own_text(backbone: Backbone) -> None:
    fact = Fact.from_row(ROW)
    assert KeyValue(Config()).text(fact) == f"{fact.page}\n"
    assert passage(fact, "with the words Question and Answer") == fact.page


# ---- the laboratory -------------------------------------------------------------------------------------------------


def test_pages_answer_their_questions_and_no_other() -> None:
    made = pages(6, len(STATEMENTS), seed=2)
    assert made == pages(6, len(STATEMENTS), seed=2) != pages(6, len(STATEMENTS), seed=3)
    for page, other in zip(made, made[1:] + made[:1], strict=True):
        assert all(case.answers[0] in page.fact.answer for case in page.cases)
        assert all(right(case, case.answers[0]) for case in page.cases)
        assert not any(right(case, page.fact.answer) or right(case, other.cases[0].answers[0]) for case in page.cases)
        assert all(held_out(word) for word in page.fact.question.split()[2:])


def test_pages_through_all_arms(backbone: Backbone) -> None:
    found = lab.passages(backbone, Config(), n=3, sentences=(1, 2), seed=1)
    assert list(found.arms) == [1, 2]
    assert found.tokens[2] > found.tokens[1]
    assert found.bytes_per_page[2] > found.bytes_per_page[1]
    arms = found.arms[2]
    assert arms["oracle"].same.value == 1.0
    used = {name: arm.found and arm.found.value for name, arm in arms.items()}
    assert {name for name, share in used.items() if share == 1} >= {"memory", "memory, handed over", "rag, same facts"}
    assert (used["oracle"], used["base"]) == (None, None), "nothing is looked for"
    assert arms["oracle"].prompt_tokens > arms["memory"].prompt_tokens == arms["base"].prompt_tokens
    assert all(len(row) == len(sheet.columns) for sheet in found.sheets() for row in sheet.rows)
    assert plain(found)["arms"]["1"]["memory"]["share"] is None, "a random model reads nothing"


def test_what_cannot_be_measured_is_said_first(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "learned", lambda *_: pytest.fail("learned"))
    with pytest.raises(UsageError, match="not recited"):
        lab.passages(backbone, Config(), kind="imprint")
    with pytest.raises(UsageError, match="kind must be"):
        lab.passages(backbone, Config(), kind="magic")
    for sentences in ((), (0,), (99,)):
        with pytest.raises(UsageError, match="sentences"):
            lab.passages(backbone, Config(), sentences=sentences)


def test_the_same_reply_counts_even_where_it_is_wrong() -> None:
    cases = pages(1, 2, seed=0)[0].cases
    told = [Said("nonsense"), Said(cases[1].answers[0])]
    arm = lab._arm(cases, [Said("nonsense"), Said("other")], told, "")
    assert (arm.same.hits, arm.right.hits) == (1, 0)
