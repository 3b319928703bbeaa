"""Measuring data never enters training data: corpora lose the lines, generators and copies stop the mixing."""

from __future__ import annotations

import gzip
import json
import sqlite3
import sys
from pathlib import Path

import pytest

pytest.importorskip("tomllib", reason="the pretraining tools need Python 3.11")
sys.path.insert(0, str(Path(__file__).parents[1]))  # tools/ is no part of the package

from tools.pretrain.config import SourceConfig
from tools.pretrain.contamination import Contaminated, Forbidden, measuring_texts
from tools.pretrain.mix import Shard, mix, without_measuring_data
from tools.pretrain.text.document import Part, Piece
from tools.pretrain.tokenizer import train_tokenizer

WIKI = "The lobster Homarus gammarus lives in the eastern Atlantic Ocean and in parts of the Black Sea too.\n"
QUESTION = "In which small town was the painter Anselm Brückner born in 1871?"
HARMLESS = "Plants take up water through their roots and lose most of it again through their leaves.\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder of the expected shape, with something of every kind to measure."""
    for folder in ("corpora", "facts", "sql", "pdf"):
        (tmp_path / folder).mkdir()
    (tmp_path / "corpora/wikitext2_valid.txt.gz").write_bytes(gzip.compress(WIKI.encode()))
    (tmp_path / "facts/facts.jsonl").write_text(json.dumps({"question": QUESTION, "answers": ["Kleinburg"]}) + "\n")
    (tmp_path / "pdf/questions.csv").write_text("question,answer\nHow much cash did the Apple board return in Q3,9\n")
    with sqlite3.connect(tmp_path / "sql/data.sqlite") as connection:
        connection.execute("CREATE TABLE singers (name TEXT, city TEXT)")
        connection.execute("INSERT INTO singers VALUES ('Ten Little Words In One Cell Of A Table', 'Rome')")
    connection.close()
    return tmp_path


@pytest.fixture
def forbidden(data: Path) -> Forbidden:
    return Forbidden.of(measuring_texts(data))


@pytest.mark.parametrize(
    "text",
    [
        f"Once more: {QUESTION}",
        "in WHICH small town — was the painter, Anselm Brückner; born!",
        WIKI,
        "how much cash did the Apple board return in q3",
        "Ten little words in one cell of a table",
    ],
)
def test_shared_runs_are_found_in_every_kind_of_file(forbidden: Forbidden, text: str) -> None:
    assert any(forbidden.hits(text))


@pytest.mark.parametrize("text", [HARMLESS, "In which small town was the mayor born?", "", "lobster"])
def test_other_text_passes(forbidden: Forbidden, text: str) -> None:
    assert not any(forbidden.hits(text))


def test_a_generated_text_with_a_measured_fact_is_named(forbidden: Forbidden) -> None:
    assert "Anselm" in (forbidden.named_run(f"Question: {QUESTION}") or "")


def test_phrases_without_a_name_are_anyone_s() -> None:
    forbidden = Forbidden.of(["what is the population of the capital of the state"])
    assert forbidden.named_run("Question: What is the population of the capital of the state?") is None


@pytest.mark.parametrize(("measured", "stops"), [(1, False), (20, True)])
def test_generated_documents(data: Path, measured: int, stops: bool) -> None:
    """A chance hit is dropped; a generator that draws from measuring data stops the mixing."""
    source = SourceConfig("made", generator="talk", tokens=1)
    documents = [(Piece(QUESTION, Part.ANSWER),)] * measured + [(Piece(HARMLESS, Part.ANSWER),)] * 50
    checked = without_measuring_data(source, iter(documents), Forbidden.of(measuring_texts(data)))
    if stops:
        with pytest.raises(Contaminated, match="made"):
            list(checked)
    else:
        assert list(checked) == documents[measured:]


def write_corpus(data: Path, lines: list[str]) -> SourceConfig:
    (data / "corpora/book.txt.gz").write_bytes(gzip.compress("".join(lines).encode()))
    return SourceConfig("book", corpus="book.txt.gz")


def test_mixing_drops_a_stray_line(data: Path, tmp_path: Path) -> None:
    source, tokenizer = write_corpus(data, [HARMLESS, WIKI] + [HARMLESS] * 20), train_tokenizer([HARMLESS, WIKI], 400)
    mix([source], tokenizer, data, tmp_path / "shards", [], seed=0)
    text = tokenizer.decode(Shard.load(tmp_path / "shards", "book").tokens.tolist(), skip_special_tokens=True)
    assert text == HARMLESS * 21


def test_mixing_fails_on_a_copy(data: Path, tmp_path: Path) -> None:
    source = write_corpus(data, [HARMLESS, WIKI] * 20)
    with pytest.raises(Contaminated, match="copy of measuring data"):
        mix([source], train_tokenizer([HARMLESS], 300), data, tmp_path / "shards", [], seed=0)
    assert not list((tmp_path / "shards").glob("*.npy"))


def test_an_unreadable_kind_of_file_is_not_skipped(data: Path) -> None:
    (data / "facts/facts.parquet").write_bytes(b"?")
    with pytest.raises(ValueError, match=r"facts\.parquet"):
        Forbidden.of(measuring_texts(data))
