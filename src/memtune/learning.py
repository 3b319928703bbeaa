"""The life of a fact: survey the whole input, then learn, prove and commit lot by lot."""

from __future__ import annotations

import random
import time
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as change
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
    trimmed: dict[int, set[int]] = field(default_factory=dict)
    """Phrasings of a fact, by hash, that lead to another fact with the same answer already: each leads to one."""
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
    """What holds after the input so far: where each wording leads, each fact's answer in 8 bytes, and the memory's
    facts that have given way."""

    place: dict[int, int] = field(default_factory=dict)
    answers: array[int] = field(default_factory=lambda: array("Q"))
    gone: set[str] = field(default_factory=set)


def _place(
    found: Survey, seen: _Seen, at: int, fact: Fact, known: Mapping[int, tuple[str, str]], on_conflict: str
) -> None:
    """Decide about one fact: learn it, leave it out, or let it take the place of earlier ones."""
    answer, hashes = _answer_hash(fact.answer), [wording_hash(w) for w in fact.wordings]
    seen.answers.append(answer)
    held = _holders(found, seen, hashes, known)
    if held.contradict(fact.answer, answer, seen):
        found.conflicts.append(f"'{fact.question:.60}'")
        if on_conflict != "keep-last":
            found.left_out.add(at)
            return
    if not _said(found, seen, at, fact, hashes, known):
        _replace(found, seen, at, fact, hashes, known)
    if _said(found, seen, at, fact, hashes, known):
        found.duplicates += 1
        found.left_out.add(at)
        seen.gone -= set(found.superseded.pop(at, ()))
        return
    said_elsewhere = {h for h in hashes if _holders(found, seen, [h], known).any}
    if said_elsewhere:
        found.trimmed[at] = said_elsewhere
    seen.place.update(dict.fromkeys(set(hashes) - said_elsewhere, at))


def _said(
    found: Survey, seen: _Seen, at: int, fact: Fact, hashes: Sequence[int], known: Mapping[int, tuple[str, str]]
) -> bool:
    """Whether the fact's question has this answer already."""
    question = _holders(found, seen, hashes[:1], known)
    return question.any and not question.contradict(fact.answer, seen.answers[at], seen)


def _replace(
    found: Survey, seen: _Seen, at: int, fact: Fact, hashes: Sequence[int], known: Mapping[int, tuple[str, str]]
) -> None:
    """Let what contradicts this fact give way; what that would have replaced stands again, unless it does too."""
    differing = {p for p in _holders(found, seen, hashes, known).places if seen.answers[p] != seen.answers[at]}
    found.left_out |= differing
    for place in differing:
        seen.gone -= set(found.superseded.pop(place, ()))
    old = _holders(found, seen, hashes, known).old
    found.superseded[at] = tuple(fact_id for fact_id, said in old.items() if said != fact.answer)
    seen.gone |= set(found.superseded[at])


@dataclass(frozen=True)
class _Held:
    """Who holds some wordings at present: facts of the input by place, facts of the memory by id with their answer."""

    places: set[int]
    old: dict[str, str]

    @property
    def any(self) -> bool:
        return bool(self.places or self.old)

    def contradict(self, answer: str, hashed: int, seen: _Seen) -> bool:
        return any(seen.answers[p] != hashed for p in self.places) or any(said != answer for said in self.old.values())


def _holders(found: Survey, seen: _Seen, hashes: Sequence[int], known: Mapping[int, tuple[str, str]]) -> _Held:
    places = {seen.place[h] for h in hashes if h in seen.place} - found.left_out
    return _Held(places, {i: said for i, said in (known[h] for h in hashes if h in known) if i not in seen.gone})


def trim(fact: Fact, hashes: Collection[int]) -> Fact:
    """The fact without these phrasings."""
    kept = tuple(p for p in fact.phrasings if wording_hash(p) not in hashes)
    return change(fact, phrasings=kept) if hashes else fact


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
                places = [at for at in range(start, start + len(facts)) if at not in found.left_out]
                kept = [(at, trim(facts[at - start], found.trimmed.get(at, ()))) for at in places]
                if kept:
                    self._learn_lot(
                        writer, [f for _, f in kept], {f.id: found.superseded.get(at, ()) for at, f in kept}
                    )
                self._tell(start + len(facts), found.count)
            self._check_by_decoding(writer)
        return self._finish()

    def _learn_lot(self, writer: Writer, facts: list[Fact], superseded: Mapping[str, Sequence[str]]) -> None:
        lot = self.learner.learn(facts, measure_reading=self._measure)
        if self._measure:
            self.report.read_seconds = (self.report.read_seconds or 0.0) + lot.read_seconds
        self.report.failed += lot.failed
        replaced = [old for fact in lot.facts for old in superseded[fact.id]]  # what failed replaces nothing
        self.memory.commit(writer, lot, drop=replaced, message=f"learn {len(lot.facts)} facts")
        self._require_routes(writer, lot.facts)
        self.report.learned += len(lot.facts)
        self._bytes += bytes_of(lot.rooms.values())
        full = self.config.proof == "full" or not self._recites
        self._to_check += (
            lot.facts if full else self._draw.sample(lot.facts, min(len(lot.facts), self.config.proof_sample))
        )
        if full or len(self._to_check) >= _SAMPLE_AT_ONCE:
            self._check_by_decoding(writer)

    def _require_routes(self, writer: Writer, facts: Sequence[Fact]) -> None:
        """A learned wording that the router does not lead to its fact is not learned."""
        lost = [f for f in facts if not self.memory.leads_to(f.question, f.id)]
        self._take_out(writer, lost, "the router does not lead its question to it")

    def _take_out(self, writer: Writer, facts: Sequence[Fact], reason: str) -> None:
        if facts:
            self.memory.drop(writer, [f.id for f in facts], message=f"take out {len(facts)} facts: {reason}")
        self._name(facts, reason)

    def _name(self, facts: Sequence[Fact], reason: str) -> None:
        self.report.learned -= len(facts)
        self.report.failed += [Failed(f.id, reason) for f in facts]

    def _check_by_decoding(self, writer: Writer) -> None:
        """Ask for facts as a user would. What is not recalled is named, and taken out again where it was to recite."""
        begin = time.perf_counter()
        held = self.memory.folder.find([f.id for f in self._to_check])
        facts, self._to_check = [f for f in self._to_check if f.id in held], []
        wrong = self.memory.not_recalled(facts)
        if self._recites:
            self._take_out(writer, wrong, "free decoding through the router does not give the answer exactly")
        else:
            self._name(wrong, "its rows are kept for use, but free decoding does not give the answer exactly")
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
