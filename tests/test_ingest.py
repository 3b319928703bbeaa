"""Files and rows that are facts, and each way in which they are none."""

from __future__ import annotations

import functools
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from memtune.config import LearnConfig
from memtune.core.facts import Fact
from memtune.core.sources import FactSource
from memtune.errors import BadRows, InputError, MemtuneError, NotFound
from memtune.ingest import files, open_facts
from memtune.ingest.readers import json as json_reader

packed = functools.partial(gzip.compress, mtime=0)  # the clock would change the names of the tests

ROW = {"question": "Who wrote Dune?", "answer": "Frank Herbert"}
LINE = json.dumps(ROW).encode() + b"\n"
TABLE = b"question,answer\nWho wrote Dune?,Frank Herbert\n"


def facts_of(origin: Any, **settings: Any) -> list[Fact]:
    return list(open_facts(origin, LearnConfig(), **settings))


@pytest.fixture
def written(tmp_path: Path):
    def write(name: str, content: bytes | str) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def message_of(origin: Any, kind: type[MemtuneError] = InputError, **settings: Any) -> str:
    with pytest.raises(kind) as caught:
        open_facts(origin, LearnConfig(), **settings).check()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("facts.jsonl", LINE),
        ("facts.ndjson", LINE.rstrip()),
        ("facts.JSONL", b"\xef\xbb\xbf" + LINE),
        ("facts.jsonl", b"\r\n\n" + LINE.replace(b"\n", b"\r\n")),
        ("facts.jsonl.gz", packed(LINE)),
        ("facts.jsonl", packed(LINE)),
        ("facts.json", b"[" + LINE + b"]"),
        ("facts.json", LINE),
        (
            "facts.json.gz",
            packed(b'\n[\n{"prompt": "Who wrote Dune?",\n"output": "Frank Herbert"}\n]\n'),
        ),
        ("facts.csv", TABLE),
        ("facts.csv", b"\xef\xbb\xbf" + TABLE.replace(b"\n", b"\r\n")),
        ("facts.csv", TABLE.replace(b"\n", b"\r")),
        ("facts.csv", TABLE.replace(b",", b";")),
        ("facts.csv", b'\n,"Question "," ANSWER"\n\n0,"Who wrote Dune?","Frank Herbert"\n'),
        ("facts.tsv", TABLE.replace(b",", b"\t")),
        ("facts.csv.gz", packed(TABLE)),
        ("facts", LINE),
        ("facts.txt", TABLE),
        ("facts.data", b"[" + LINE + b"]"),
        ("facts.gz", packed(TABLE)),
    ],
)
def test_every_format_gives_the_same_fact(written, name: str, content: bytes) -> None:
    assert facts_of(written(name, content)) == [Fact.from_row(ROW)]


@pytest.mark.parametrize("rows", [[ROW], [Fact.from_row(ROW)], iter([ROW]), ROW, Fact.from_row(ROW), (ROW,)])
def test_rows_in_memory(rows: Any) -> None:
    source = open_facts(rows, LearnConfig())
    source.check()
    assert list(source) == list(source) == [Fact.from_row(ROW)]
    assert source.count == 1


def test_a_source_fits_what_the_memory_asks_for() -> None:
    source: FactSource = open_facts([ROW], LearnConfig())
    assert source.count == 1


def test_all_fields_and_their_order_are_kept(written) -> None:
    rows = [
        {**ROW, "id": "a", "phrasings": ["Dune is by?"], "source": "wiki", "group": "books", "year": 1965},
        {**ROW, "id": 7},
        ROW,
        ROW,
    ]
    content = "\n".join(map(json.dumps, rows))
    found = facts_of(written("f.jsonl", content))
    assert found == [Fact.from_row(row) for row in rows]
    assert found[0].extra == {"year": 1965}
    assert [fact.id for fact in found[:2]] == ["a", "7"]


def test_phrasings_in_a_table(written) -> None:
    table = 'question,answer,phrasings\nQ,A,"[""one"", ""two""]"\nR,B,"one\ntwo"\nS,C,\n'
    assert [fact.phrasings for fact in facts_of(written("f.csv", table))] == [
        ("one", "two"),
        ("one", "two"),
        (),
    ]


def test_unicode_separators_do_not_end_a_line(written) -> None:
    row = {"question": "one\u2028two\x85?", "answer": "three\x0bfour\u2029"}
    assert facts_of(written("f.jsonl", json.dumps(row, ensure_ascii=False))) == [Fact.from_row(row)]
    assert (
        facts_of(written("f.csv", f"question,answer\n{row['question']},{row['answer']}"))[0].question == row["question"]
    )


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    import datetime

    path = tmp_path / "facts.parquet"
    table = {
        "question": ["Q1", "Q2"],
        "answer": ["A1", "A2"],
        "phrasings": [["P"], None],
        "price": [float("nan"), 2.5],
        "day": [datetime.date(2024, 2, 29), None],
    }
    parquet.write_table(pyarrow.table(table), path)
    first, second = facts_of(path)
    assert (first.phrasings, dict(first.extra)) == (("P",), {"day": "2024-02-29"})
    assert (second.phrasings, dict(second.extra)) == ((), {"price": 2.5})
    parquet.write_table(pyarrow.table({"question": ["Q1", "Q2"], "answer": ["A1", None]}), path)
    assert "row 2: no 'answer'" in message_of(path, BadRows)
    parquet.write_table(pyarrow.table({"question": ["Q1"]}), path)
    assert "no column 'answer'" in message_of(path)
    path.write_bytes(path.read_bytes()[:-20])
    assert "not a sound Parquet file" in message_of(path)


BAD_LINES = [
    (b'{"question": "Q"}', "no 'answer'"),
    (b'{"answer": "A"}', "no 'question'"),
    (b'{"question": "Q", "answer": null}', "no 'answer'"),
    (b'{"question": "Q", "answer": ""}', "'answer' is empty"),
    (b'{"question": "Q", "answer": " \\n\\u00a0"}', "'answer' is empty"),
    (b'{"question": "\\t", "answer": "A"}', "'question' is empty"),
    (b'{"question": "Q", "answer": []}', "'answer' must be text, not list"),
    (b'{"question": "Q", "answer": [["A"], "B"]}', "'answer' must be text, not list"),
    (b'{"question": ["Q", "R"], "answer": "A"}', "'question' must be text, not list"),
    (b'{"question": "Q", "answer": 2.50}', "write the number as text"),
    (b'{"question": "Q", "answer": "A", "phrasings": "P"}', "'phrasings' must be a list of texts"),
    (b'{"question": "Q", "answer": "A", "phrasings": 5}', "'phrasings' must be a list of texts"),
    (b'{"question": "Q", "answer": "A", "phrasings": [" "]}', "'phrasings' must be a list of texts"),
    (b'{"question": "Q", "answer": "A", "id": " "}', "'id' is missing or empty"),
    (b'{"question": "Q", "answer": A}', "broken JSON at column 29: Expecting value"),
    (b'{"question": "Q", "answer": "A"', "broken JSON at column 32"),
    (b'{"question": "Q", "answer": "A"} {}', "broken JSON at column 34: Extra data"),
    (b'{"question": "Q", "answer": "A", "answer": "B"}', "field 'answer' stands twice"),
    (b'{"question": "Q", "answer": NaN}', "NaN is not JSON"),
    (b'{"question": "Q", "answer": ' + b"9" * 5000 + b"}", "broken JSON: Exceeds the limit"),
    (b"[" * 200_000, "broken JSON: "),
    (b'["Q", "A"]', "not an object with fields, but a list"),
    (b'"Q"', "not an object with fields, but text"),
    (b"12", "not an object with fields, but a number"),
    (b"null", "not an object with fields, but null"),
    (b'{"question": "Q", "answer": "caf\xe9"}', "not UTF-8: byte 0xe9 at column 33"),
    (b'{"question": "Q", "answer": "A", "note": ["caf\xe9"]}', "not UTF-8: byte 0xe9 at column 47"),
    (b'{"question": "Q", "answer\xff": "A"}', "not UTF-8: byte 0xff at column 26"),
    (b"\xff\x80{", "not UTF-8: byte 0xff at column 1"),
    (b'{"question": "Q", "answer": "\\ud83d"}', "'answer' holds half of a surrogate pair"),
    (b'{"question": "Q", "answer": "A", "\\ud83d": 1}', "'\\ud83d' holds half of a surrogate pair"),
    (b'{"question": "Q\\u0000", "answer": "A"}', "'question' holds a NUL character"),
    (b'{"question": "Q\0", "answer": "A"}', "broken JSON at column 16: Invalid control character"),
    (
        b'{"question": "Q", "answer": "' + b"x" * 1_000_000 + b'"}',
        "'answer' has 1,000,000 characters; at most 100,000",
    ),
]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES, ids=range(len(BAD_LINES)))
def test_a_bad_line_is_named(written, line: bytes, reason: str) -> None:
    path = written("facts.jsonl", LINE + b"\n" + line + b"\n" + LINE)
    message = message_of(path, BadRows)
    assert message.startswith(f"{path}: 1 bad row: line 3: ")
    assert reason in message
    assert message.encode()
    source = open_facts(path, LearnConfig(), skip_bad=True)
    assert list(source) == [Fact.from_row(ROW)] * 2
    assert source.count == 2
    assert len(source.skipped) == 1
    assert source.skipped[0].startswith("line 3: ")


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"question,answer\nQ,A\n\nQ\n", 4, "1 columns where the first line names 2"),
        (b"question,answer\nQ,A\nQ,A,x\n", 3, "3 columns where the first line names 2"),
        (b'question,answer\n"Q\n\nR",A\nQ,\n', 5, "no 'answer'"),
        (b"question,answer\nQ,A\nQ,   \n", 3, "'answer' is empty"),
        (b"question,answer\nQ,A\nQ,\xff\n", 3, "'answer' is not UTF-8 (byte 0xff)"),
        (b"question,answer\nQ,A\nQ,A\0\n", 3, "NUL"),
        (b'question,answer\nQ,A\nQ,"A"x\n', 3, "expected after"),
        (b'question,answer\nQ,A\nQ,"A\nQ,A\n', 3, "a quote is opened here and never closed"),
        (b"question,answer\nQ,A\nQ," + b"x" * 1_000_000, 3, "'answer' has 1,000,000 characters"),
    ],
)
def test_a_bad_record_of_a_table_is_named(written, content: bytes, line: int, reason: str) -> None:
    path = written("facts.csv", content)
    message = message_of(path, BadRows)
    assert f"1 bad row: line {line}: " in message
    assert reason in message
    assert len(facts_of(path, skip_bad=True)) >= 1


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("f.jsonl", b"", "is empty"),
        ("f.jsonl", b"\n \n", "there are no facts in it"),
        ("f.jsonl.gz", packed(b""), "there are no facts in it"),
        ("f.jsonl.gz", packed(LINE * 1000)[:-12], "the compressed data is damaged or cut short"),
        ("f.jsonl.gz", b"\x1f\x8b" + b"x" * 20, "the compressed data is damaged or cut short"),
        ("f.jsonl", LINE.decode().encode("utf-16"), "is UTF-16 text"),
        ("f.json", b"[]", "there are no facts in it"),
        (
            "f.json",
            b'[\n{"question": "Q", "answer": "A"},\n{"question": Q}]',
            "broken JSON on line 3, column 14",
        ),
        ("f.json", b'[{"question": "Q", "answer": "A"}', "broken JSON on line 1, column 34: expected ']'"),
        (
            "f.json",
            b'[{"question": "Q", "answer": "A"},]',
            "broken JSON on line 1, column 35: Expecting value",
        ),
        (
            "f.json",
            b'[{"question": "Q", "answer": "A"} {}]',
            "broken JSON on line 1, column 35: expected ']'",
        ),
        (
            "f.json",
            b'[{"question": "Q", "answer": "A"}]\n\nx',
            "broken JSON on line 3, column 1: there is more",
        ),
        ("f.json", b'[{"question": "Q", "answer": NaN}]', "broken JSON on line 1, column 2: NaN is not JSON"),
        ("f.csv", b"question,answer\n", "there are no facts in it"),
        ("f.csv", b"Who wrote Dune?,Frank Herbert\n", "no column 'question'"),
        ("f.csv", b"question,reply\nQ,A\n", "no column 'answer'"),
        ("f.csv", b"question,answer,answer\nQ,A,B\n", "two columns are named 'answer'"),
        ("f.csv", b'"question,answer\nQ,A\n', "a quote is opened here and never closed"),
        ("f.parquet", b"PAR1 not really", "not a sound Parquet file"),
        ("f.pdf", b"%PDF-1.7 ...", "is in no format that memtune reads"),
        ("f", b"\x00\x01\x02", "is in no format that memtune reads"),
    ],
)
def test_a_file_that_is_no_file_of_facts(written, name: str, content: bytes, reason: str) -> None:
    path = written(name, content)
    for skip_bad in (False, True):
        message = message_of(path, skip_bad=skip_bad)
        assert message.startswith(str(path))
        assert reason in message


def test_a_file_that_is_not_there(written, tmp_path: Path) -> None:
    path = written("facts.jsonl", LINE)
    with pytest.raises(NotFound, match="does not exist") as caught:
        open_facts(tmp_path / "fact.jsonl", LearnConfig()).check()
    assert caught.value.hint == f"did you mean {path}?"
    assert "does not exist" in message_of(str(tmp_path / "nowhere" / "f.jsonl"), NotFound)
    assert "is a folder" in message_of(tmp_path)
    assert "cannot be read" in message_of(str(tmp_path / "a\0b"))


def test_a_file_without_permission(written, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = written("facts.jsonl", LINE)
    monkeypatch.setattr(Path, "open", refuse)
    assert message_of(path) == f"{path} cannot be read: Permission denied"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_refused_since_facts_are_read_twice(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "can be read only once" in message_of(tmp_path / "pipe")


def test_a_file_that_changes_between_the_passes(written) -> None:
    path = written("facts.jsonl", LINE)
    source = open_facts(path, LearnConfig())
    source.check()
    path.write_bytes(LINE * 2)
    with pytest.raises(InputError, match="was changed while it was read"):
        list(source)


def test_an_id_that_is_used_for_two_facts(written) -> None:
    other = {**ROW, "answer": "Isaac Asimov"}
    rows = [
        {**ROW, "id": "y"},
        {**ROW, "id": "x"},
        ROW,
        {**other, "id": "x"},
        {**ROW, "id": "x"},
        {"id": "x"},
    ]
    path = written("facts.jsonl", "\n".join(map(json.dumps, rows)))
    assert "2 bad rows: line 4: id 'x' was used on line 2; line 6: no 'question'" in message_of(path, BadRows)
    source = open_facts(path, LearnConfig(), skip_bad=True)
    assert [(fact.id, fact.answer) for fact in source] == [
        ("y", "Frank Herbert"),
        ("x", "Frank Herbert"),
        (Fact.from_row(ROW).id, "Frank Herbert"),
        ("x", "Frank Herbert"),
    ]
    assert source.skipped == ["line 4: id 'x' was used on line 2", "line 6: no 'question'"]
    assert "row 4: id 'x' was used on row 2" in message_of(rows, BadRows)


def test_duplicates_and_conflicts_without_ids_are_left_to_the_memory() -> None:
    rows = [ROW, ROW, {**ROW, "answer": "Isaac Asimov"}, {**ROW, "source": "elsewhere"}]
    assert open_facts(rows, LearnConfig()).count == 4


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("Q", "not an object with fields, but text"),
        (("Q", "A"), "not an object with fields, but tuple"),
        ({**ROW, "answer": float("nan")}, "no 'answer'"),
        ({**ROW, "seen": {1, 2}}, "'seen' cannot be kept as JSON"),
        ({**ROW, "rate": [float("inf")]}, "'rate' cannot be kept as JSON"),
        (Fact(id="f", question="Q\0", answer="A"), "'question' holds a NUL character"),
    ],
)
def test_a_bad_row_in_memory_is_named(row: Any, reason: str) -> None:
    assert f"rows: 1 bad row: row 2: {reason}" in message_of([ROW, row], BadRows)
    assert "there are no facts in it" in message_of([])


def test_nothing_left_after_skipping(written) -> None:
    with pytest.raises(BadRows) as caught:
        open_facts([{}], LearnConfig(), skip_bad=True).check()
    assert caught.value.hint == "not one row can be used"


def test_only_the_first_bad_rows_are_read_and_shown(written) -> None:
    message = message_of(written("f.jsonl", b"x\n" * 5000), BadRows)
    assert "(not read beyond 1000 bad rows)" in message
    assert message.count("line ") == BadRows.SHOWN
    assert message.endswith("and 995 more")


def test_one_endless_line_is_refused(written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_ROW_CHARS", 1000)
    assert "line 2 has more than" in message_of(written("f.jsonl", LINE + b'{"question": "' + b"x" * 5000))


def test_a_list_is_read_in_pieces(written, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"question": f"Q {i}\n\u00e9", "answer": "A" * (i % 50 + 1), "n": i} for i in range(200)]
    path = written("f.json", json.dumps(rows, indent=1, ensure_ascii=False))
    for chunk in (1, 7, 64, 1 << 20):
        monkeypatch.setattr(json_reader, "CHUNK", chunk)
        assert facts_of(path) == [Fact.from_row(row) for row in rows]
    monkeypatch.setattr(json_reader, "CHUNK", 64)
    monkeypatch.setattr(json_reader, "MAX_ROW_CHARS", 500)
    row = json.dumps(rows[0])
    assert "broken JSON on line 2, column" in message_of(written("g.json", f'[{row},\n{{"question": "{"x" * 5000}"}}]'))


def test_memory_stays_flat(written) -> None:
    import tracemalloc

    path = written(
        "f.jsonl.gz",
        packed(b"".join(b'{"question": "Q%d", "answer": "%s"}\n' % (i, b"a" * 500) for i in range(20_000))),
    )
    tracemalloc.start()
    source = open_facts(path, LearnConfig())
    assert sum(1 for _ in source) == 20_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000
