"""The life of a fact: survey the whole input, then learn, prove and commit lot by lot."""

from __future__ import annotations

import random
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING

from memtune.config import LearnConfig
from memtune.core.experts import bytes_of
from memtune.core.facts import Fact, wording_hash
from memtune.core.kinds import make_kinds
from memtune.core.learn import Learner
from memtune.core.reports import Failed, LearnReport
from memtune.core.sources import FactSource
from memtune.errors import ConflictError, InputError
from memtune.store import MemoryFolder, Writer

if TYPE_CHECKING:
    from memtune.memory import Memory

_SAMPLE_AT_ONCE = 32
_SHOWN = 3


@dataclass(frozen=True)
class Progress:
    """How far learning is."""

    done: int
    total: int
    seconds: float


@dataclass
class Survey:
    """What the first pass over the input found: which of its facts to leave out, which old ones give way."""

    left_out: set[int] = field(default_factory=set)
    superseded: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """From the place of a fact in the input to the ids of the memory's facts that it replaces."""
    duplicates: int = 0
    conflicts: list[str] = field(default_factory=list)
    count: int = 0


def survey(folder: MemoryFolder | None, source: FactSource, on_conflict: str, lot_size: int) -> Survey:
    """Read the input once, against itself and the memory, before anything is learned or even created."""
    found, seen = Survey(), _Seen()
    for start, facts in _lots(source, lot_size):
        known = folder.by_wording([wording_hash(w) for f in facts for w in f.wordings]) if folder else {}
        taken = folder.find([f.id for f in facts]) if folder else {}
        for at, fact in enumerate(facts, start):
            held = known.get(wording_hash(fact.question))
            if fact.id in taken and (held is None or held[0] != fact.id):
                raise InputError(
                    f"the id '{fact.id}' is already in the memory, with another question",
                    hint="give the new fact an id of its own, or change the old one with `memtune facts update`",
                )
            _place(found, seen, at, fact, known, on_conflict)
        found.count += len(facts)
    if found.conflicts and on_conflict == "error":
        shown = "; ".join(found.conflicts[:_SHOWN])
        more = len(found.conflicts) - _SHOWN
        many = "1 question has" if len(found.conflicts) == 1 else f"{len(found.conflicts)} questions have"
        raise ConflictError(
            f"{many} more than one answer: {shown}" + (f"; and {more} more" if more > 0 else ""),
            hint="mend them, or pass --on-conflict keep-first or keep-last",
        )
    return found


@dataclass
class _Seen:
    """The input so far: where each wording led first or, where the last one wins, last; 8 bytes an answer."""

    place: dict[int, int] = field(default_factory=dict)
    answers: array[int] = field(default_factory=lambda: array("Q"))


def _place(
    found: Survey, seen: _Seen, at: int, fact: Fact, known: Mapping[int, tuple[str, str]], on_conflict: str
) -> None:
    """Decide about one fact: learn it, leave it out, or let it take the place of earlier ones."""
    answer, hashes = _answer_hash(fact.answer), [wording_hash(w) for w in fact.wordings]
    seen.answers.append(answer)
    earlier = {seen.place[h] for h in hashes if h in seen.place}
    old = dict(known[h] for h in hashes if h in known)
    differing = {e for e in earlier if seen.answers[e] != answer}
    differing_old = {fact_id for fact_id, said in old.items() if said != fact.answer}
    if differing or differing_old:
        found.conflicts.append(f"'{fact.question:.60}'")
        if on_conflict != "keep-last":
            found.left_out.add(at)
            return
        found.left_out |= differing
        for gone in differing:
            found.superseded.pop(gone, None)
        found.superseded[at] = tuple(differing_old)
    elif hashes[0] in seen.place or hashes[0] in known:
        found.duplicates += 1
        found.left_out.add(at)
        return
    seen.place.update(dict.fromkeys(hashes, at))


def _answer_hash(answer: str) -> int:
    return int.from_bytes(blake2b(answer.encode(), digest_size=8).digest(), "little")


def _lots(source: FactSource, size: int) -> Iterator[tuple[int, list[Fact]]]:
    """The input in lots, each with the place of its first fact."""
    start, lot = 0, []
    for fact in source:
        lot.append(fact)
        if len(lot) == size:
            yield start, lot
            start, lot = start + size, []
    if lot:
        yield start, lot


class Learning:
    """One call of `learn`."""

    def __init__(
        self,
        memory: Memory,
        config: LearnConfig,
        *,
        since: float,
        measure_reading: bool,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.memory, self.config = memory, config
        self.kinds = make_kinds(self.config.kind, memory.config)
        self._recites = any(kind.recites for kind in self.kinds)
        self.learner = Learner(memory.backbone, self.kinds, self.config)
        self.report = LearnReport(read_seconds=0.0 if measure_reading else None)
        self._measure, self._progress = measure_reading, progress
        self._draw, self._to_check = random.Random(0), list[Fact]()
        self._bytes = 0
        self._start = since

    def run(self, source: FactSource, found: Survey) -> LearnReport:
        self.report.facts, self.report.skipped = found.count, list(source.skipped)
        self.report.duplicates, self.report.conflicts = found.duplicates, len(found.conflicts)
        with self.memory.folder.writer() as writer:
            for start, facts in _lots(source, self.config.lot_size):
                kept = [(at, f) for at, f in enumerate(facts, start) if at not in found.left_out]
                if kept:
                    replaced = [old for at, _ in kept for old in found.superseded.get(at, ())]
                    self._learn_lot(writer, [f for _, f in kept], list(dict.fromkeys(replaced)))
                self._tell(start + len(facts), found.count)
            self._check_by_decoding(writer)
        return self._finish()

    def _learn_lot(self, writer: Writer, facts: list[Fact], superseded: Sequence[str]) -> None:
        lot = self.learner.learn(facts, measure_reading=self._measure)
        if self._measure:
            self.report.read_seconds = (self.report.read_seconds or 0.0) + lot.read_seconds
        self.report.failed += lot.failed
        self.memory.commit(writer, lot, drop=superseded, message=f"learn {len(lot.facts)} facts")
        self.report.learned += len(lot.facts)
        self._bytes += bytes_of(lot.rooms.values())
        full = self.config.proof == "full" or not self._recites
        self._to_check += (
            lot.facts if full else self._draw.sample(lot.facts, min(len(lot.facts), self.config.proof_sample))
        )
        if full or len(self._to_check) >= _SAMPLE_AT_ONCE:
            self._check_by_decoding(writer)

    def _check_by_decoding(self, writer: Writer) -> None:
        """Ask for facts as a user would. What is not recalled is named and taken out again."""
        begin = time.perf_counter()
        facts, self._to_check = self._to_check, []
        wrong = self.memory.not_recalled(facts)
        if wrong and self._recites:
            self.memory.drop(
                writer, [f.id for f in wrong], message=f"take out {len(wrong)} facts that were not recalled"
            )
            self.report.learned -= len(wrong)
        reason = "free decoding through the router does not give the answer exactly"
        self.report.failed += [Failed(f.id, reason) for f in wrong]
        self.report.proof_seconds += time.perf_counter() - begin

    def _tell(self, done: int, total: int) -> None:
        if self._progress:
            self._progress(Progress(done, total, time.perf_counter() - self._start))

    def _finish(self) -> LearnReport:
        report = self.report
        report.seconds = time.perf_counter() - self._start - (report.read_seconds or 0.0)
        if self.config.proof == "full":
            report.seconds -= report.proof_seconds
        report.bytes_per_fact = self._bytes / max(1, report.learned)
        report.version = self.memory.folder.version
        return report
