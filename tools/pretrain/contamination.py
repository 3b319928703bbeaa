"""Keeps measuring data out of training data: shared runs of words, compared by hash.

Thirteen words in a row are the usual measure for long texts; eight for questions, which are short. In a corpus a hit
costs the line it stands in. Generators phrase questions as people do ("what is the population of the capital of"), so
of theirs only runs with a name or a number count, and one costs the document: chance may invent a title that exists. A
source with many hits holds a copy of measuring data and stops the mixing.
"""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np

LONG_RUN, SHORT_RUN = 13, 8  # words
MOST_DIRTY = 1e-3  # share of lines, or of generated documents, above which a source holds a copy
WORD = re.compile(r"[A-Za-z0-9]+")
SENTENCE_START = re.compile(r"(?:^|[.?!:>\n]\s*)$")
TABLE_BITS = 24
TABLE_MASK = np.uint64((1 << TABLE_BITS) - 1)
FACTOR = np.uint64(0x9E3779B97F4A7C15)


class Contaminated(Exception):
    """Training text shares long runs of words with data that is only for measuring."""


@lru_cache(maxsize=1 << 20)
def word_hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")


def run_hashes(words: list[str], length: int) -> np.ndarray:
    """One 64-bit hash for every run of `length` words; arithmetic wraps around on purpose."""
    if len(words) < length:
        return np.empty(0, np.uint64)
    hashes = np.fromiter((word_hash(w) for w in words), np.uint64, len(words))
    count, total = len(words) - length + 1, np.zeros(len(words) - length + 1, np.uint64)
    for offset in range(length):
        total = total * FACTOR + hashes[offset : offset + count]
    return total


@dataclass(frozen=True)
class RunSet:
    """A set of run hashes; a table of their low bits answers nearly every question at once."""

    sorted: np.ndarray
    low_bits: np.ndarray

    @staticmethod
    def of(hashes: list[np.ndarray]) -> RunSet:
        known = np.unique(np.concatenate(hashes))
        table = np.zeros(1 << TABLE_BITS, bool)
        table[known & TABLE_MASK] = True
        return RunSet(known, table)

    def places(self, hashes: np.ndarray) -> np.ndarray:
        """Where in `hashes` members stand."""
        likely = np.flatnonzero(self.low_bits[hashes & TABLE_MASK])
        found = np.searchsorted(self.sorted, hashes[likely]).clip(max=len(self.sorted) - 1)
        return likely[self.sorted[found] == hashes[likely]]


@dataclass(frozen=True)
class Forbidden:
    """All runs of words in the measuring data, by run length."""

    runs: dict[int, RunSet]

    @staticmethod
    def of(texts: Iterable[str]) -> Forbidden:
        found: dict[int, list[np.ndarray]] = {LONG_RUN: [], SHORT_RUN: []}
        for text in texts:
            words = words_of(text)
            length = SHORT_RUN if len(words) < 3 * LONG_RUN else LONG_RUN
            found[length].append(run_hashes(words, length))
        return Forbidden({length: RunSet.of(hashes) for length, hashes in found.items() if hashes})

    def hits(self, text: str) -> Iterator[list[re.Match[str]]]:
        """Every run of words that the text shares with measuring data."""
        found = list(WORD.finditer(text))
        words = [match.group().lower() for match in found]
        for length, known in self.runs.items():
            for place in known.places(run_hashes(words, length)):
                yield found[place : place + length]

    def clean(self, text: str) -> tuple[str, int]:
        """The text without its lines that hit, and how many those were."""
        if not any(self.hits(text)):
            return text, 0
        lines = text.splitlines(keepends=True)
        kept = [line for line in lines if not any(self.hits(line))]
        return "".join(kept), len(lines) - len(kept)

    def named_run(self, text: str) -> str | None:
        """The first shared run that names something, in a generated text."""
        for run in self.hits(text):
            if any(is_particular(match) for match in run):
                return text[run[0].start() : run[-1].end()]
        return None


def words_of(text: str) -> list[str]:
    return [word.lower() for word in WORD.findall(text)]


def is_particular(word: re.Match[str]) -> bool:
    """A number, or a capital letter that neither begins a sentence nor a keyword of SQL."""
    if any(character.isdigit() for character in word.group()):
        return True
    if len(word.group()) > 1 and word.group().isupper():
        return False
    before = word.string[max(0, word.start() - 3) : word.start()]
    return word.group()[0].isupper() and not SENTENCE_START.search(before)


def measuring_texts(data: Path) -> Iterator[str]:
    """Everything that is only for measuring: wikitext2, and all of facts/, sql/ and pdf/."""
    yield from read_any(data / "corpora" / "wikitext2_valid.txt.gz")
    for folder in ("facts", "sql", "pdf"):
        for path in sorted((data / folder).rglob("*")):
            if path.is_file() and path.name != "LICENSE":
                yield from read_any(path)


def read_any(path: Path) -> Iterator[str]:
    """The texts of one file; a kind of file that cannot be read here is an error, never skipped."""
    if path.suffix == ".pdf":
        yield from pdf_pages(path)
    elif path.suffix in {".sqlite", ".db"}:
        yield from database_texts(path)
    elif path.suffixes[-2:] == [".jsonl", ".gz"] or path.suffix in {".jsonl", ".json"}:
        yield from json_strings(path)
    elif path.suffix in {".gz", ".txt", ".csv"}:
        yield from (line for line in opened(path).splitlines() if line.strip())
    else:
        raise ValueError(f"cannot read {path.name} to check for contamination")


def opened(path: Path) -> str:
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")


def json_strings(path: Path) -> Iterator[str]:
    text = opened(path)
    rows = [json.loads(text)] if path.suffix == ".json" else map(json.loads, filter(str.strip, text.splitlines()))
    for row in rows:
        yield from strings_in(row)


def strings_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings_in(item)


def pdf_pages(path: Path) -> Iterator[str]:
    from pypdf import PdfReader  # only this check needs it

    for page in PdfReader(path).pages:
        yield page.extract_text()


def database_texts(path: Path) -> Iterator[str]:
    with sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True) as connection:
        tables = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
        for name, create in tables:
            yield create
            for row in connection.execute(f'SELECT * FROM "{name}"'):
                yield " ".join(cell for cell in row if isinstance(cell, str))
