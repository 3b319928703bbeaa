"""Facts from files, drawn by a seed. Where a row accepts several answers, the first is the fact's."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from memtune.core.facts import Fact, wording_hash
from memtune.errors import InputError, UsageError
from memtune.evaluate.temporary import write
from memtune.ingest import files
from memtune.ingest.readers import reader_for
from memtune.ingest.rows import Problem


def facts_of(paths: Sequence[Path]) -> Iterator[Fact]:
    """Every row of these files, one after the other."""
    for path in paths:
        files.require_file(path)
        for where, found in reader_for(path).read(path):
            try:
                yield Fact.from_row(_with_one_answer(found))
            except InputError as error:
                raise InputError(f"{path}: {where}: {error.message}") from None


def _with_one_answer(found: Any) -> dict[str, Any]:
    if isinstance(found, Problem):
        raise InputError(found.reason)
    if not isinstance(found, dict):
        raise InputError("not an object with fields")
    given = found.get("answer")
    return {**found, "answer": given[0]} if isinstance(given, list) and given else found


def draw(paths: Sequence[Path], n: int | None, seed: int) -> list[Fact]:
    """n facts at random, or all for None; of two that ask the same, the first is taken."""
    if not paths:
        raise UsageError("no facts were given", hint="--data FILE, as JSONL with question and answer")
    first: dict[int, Fact] = {}
    for fact in facts_of(paths):
        first.setdefault(wording_hash(fact.question), fact)
    distinct = list(first.values())
    if n is not None and n < len(distinct):
        chosen = sorted(random.Random(seed).sample(range(len(distinct)), n))
        distinct = [distinct[i] for i in chosen]
    if not distinct:
        raise InputError(f"{paths[0]}: there are no facts in it")
    return distinct


def write_some(paths: Sequence[Path], n: int, seed: int, keep: Callable[[Fact], None], to: Path) -> int:
    """n rows at random, in their order and repeats included, from file to file: never all of them in memory.

    `keep` sees every row that is written; returns how many there were."""
    total = sum(1 for _ in facts_of(paths))
    chosen = set(random.Random(seed).sample(range(total), min(n, total)))

    def rows() -> Iterator[Fact]:
        for place, fact in enumerate(facts_of(paths)):
            if place in chosen:
                keep(fact)
                yield fact

    write(rows(), to)
    return len(chosen)


class Sampler:
    """A fair sample of a stream, each question once; what asks an earlier question again is passed over."""

    def __init__(self, size: int, seed: int) -> None:
        self.chosen: list[Fact] = []
        self._size, self._random = size, random.Random(seed)
        self._seen: set[int] = set()

    def __call__(self, fact: Fact) -> None:
        question = wording_hash(fact.question)
        if question in self._seen:
            return
        self._seen.add(question)
        if len(self.chosen) < self._size:
            self.chosen.append(fact)
            return
        place = self._random.randrange(len(self._seen))
        if place < self._size:
            self.chosen[place] = fact

    def forget_questions(self) -> None:
        """Give back what telling repeats apart has cost."""
        self._seen.clear()
