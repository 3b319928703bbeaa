"""Facts that are written to a file in any format come back as they were."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from memtune.config import LearnConfig
from memtune.core.facts import Fact
from memtune.errors import InputError, MemtuneError
from memtune.ingest import open_facts

UNICODE = st.characters(exclude_categories=("Cs",), exclude_characters="\0")
TEXTS = st.text(UNICODE, min_size=1, max_size=40).map(str.strip).filter(bool)
NAMES = TEXTS.filter(lambda name: name.lower() not in {"id", "question", "phrasings", "answer", "source", "group"})
NAMES = NAMES.filter(lambda name: name.lower() not in {"prompt", "completion", "output"})
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))


def facts(extra: st.SearchStrategy[dict[str, Any]], phrasing: st.SearchStrategy[str] = TEXTS):
    return st.lists(
        st.builds(
            Fact,
            id=TEXTS,
            question=TEXTS,
            answer=TEXTS,
            phrasings=st.lists(phrasing, max_size=3).map(tuple),
            source=st.none() | TEXTS,
            group=st.none() | TEXTS,
            extra=extra,
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda fact: fact.id,
    )


def read_back(name: str, content: bytes) -> list[Fact]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        return list(open_facts(path, LearnConfig()))


@given(facts(st.dictionaries(NAMES, VALUES, max_size=3)), st.booleans(), st.booleans())
def test_jsonl(known: list[Fact], ascii_only: bool, packed: bool) -> None:
    lines = [json.dumps(fact.to_row(), ensure_ascii=ascii_only) for fact in known]
    content = "\n".join(lines).encode()
    assert read_back("facts.jsonl", gzip.compress(content, 1) if packed else content) == known


@given(facts(st.dictionaries(NAMES, VALUES, max_size=3)), st.booleans(), st.sampled_from([None, 0, 2]))
def test_json_list(known: list[Fact], ascii_only: bool, indent: int | None) -> None:
    content = json.dumps([fact.to_row() for fact in known], ensure_ascii=ascii_only, indent=indent)
    assert read_back("facts.json", content.encode()) == known


@given(facts(st.just({})), st.sampled_from([",", ";", "\t"]), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_tables(known: list[Fact], delimiter: str, end: str, mark: bool) -> None:
    out = io.StringIO()
    names = ["id", "question", "answer", "phrasings", "source", "group"]
    writer = csv.DictWriter(out, names, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    for fact in known:
        row = fact.to_row()
        writer.writerow(row | {"phrasings": json.dumps(row.get("phrasings", []))})
    assert read_back("facts.csv", out.getvalue().encode("utf-8-sig" if mark else "utf-8")) == known


@given(facts(st.dictionaries(NAMES, VALUES.filter(lambda value: value is not None), max_size=3)))
def test_rows_in_memory(known: list[Fact]) -> None:
    assert list(open_facts([fact.to_row() for fact in known], LearnConfig())) == known


@given(
    st.binary(max_size=300),
    st.sampled_from(["f.jsonl", "f.json", "f.csv", "f.tsv", "f.parquet", "f", "f.jsonl.gz"]),
)
def test_any_bytes_are_facts_or_one_clear_error(content: bytes, name: str) -> None:
    try:
        found = read_back(name, content)
    except MemtuneError as error:
        assert isinstance(error, InputError)
        assert "\n" not in str(error)
        assert str(error).encode()
    else:
        assert found


@given(st.lists(VALUES, max_size=4), st.booleans())
def test_any_json_is_facts_or_one_clear_error(values: list[Any], skip_bad: bool) -> None:
    try:
        found = list(open_facts(values, LearnConfig(), skip_bad=skip_bad))
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert found
