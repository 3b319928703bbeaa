"""The life of a fact, once the input was surveyed: learn, prove and commit, lot by lot."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memtune.config import LearnConfig
from memtune.core.experts import bytes_of
from memtune.core.facts import Fact
from memtune.core.kinds import make_kinds
from memtune.core.learn import Learner, Lot
from memtune.core.reports import Failed, LearnReport
from memtune.core.sources import FactSource
from memtune.store import Writer
from memtune.survey import Survey, in_lots, survey, trim

if TYPE_CHECKING:
    from memtune.memory import Memory

_SAMPLE_AT_ONCE = 32


@dataclass(frozen=True)
class Progress:
    """How far learning is."""

    done: int
    total: int
    seconds: float
    failed: int = 0
    """Facts so far that could not be learned."""
    loss: float | None = None
    """Of the last lot, where its kind learns by gradients."""
    margin: float | None = None
    """By how much, at least, the answer tokens of the last lot lead all others, where its kind can tell."""


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
        self._learners: dict[str, Learner] = {}
        """By the kinds of experts that they make."""
        self.report = LearnReport(read_seconds=0.0 if measure_reading else None)
        self._measure, self._progress = measure_reading, progress
        self._draw, self._to_check = random.Random(0), list[Fact]()
        """Facts that recite and are to be asked for."""
        self._to_try: list[Fact] = []
        """Facts that are only known, and are to be asked for."""
        self._aside: list[str] = []
        """Facts that are to be archived once they are proved."""
        self._bytes = self._stored = 0
        self._lots: list[Lot] = []
        """What became of the facts that were last told of, for whoever follows."""
        self._reservoir = random.Random(0)
        self._sample_size = memory.history.admission.sample
        self.learned: list[Fact] = []
        """A sample of what was learned, as large as the memory's admission asks for."""
        self._start = since

    def run(self, source: FactSource, found: Survey) -> LearnReport:
        with self.memory.writing() as writer:
            if found.at != self.memory.folder.manifest.point:  # somebody has written since it was looked at
                found = survey(self.memory.folder, source, self.config.on_conflict, self.config.lot_size)
            self._tell_of(source, found)
            for start, facts in in_lots(source, self.config.lot_size):
                places = [at for at in range(start, start + len(facts)) if at not in found.left_out]
                kept = [(at, trim(facts[at - start], found.trimmed.get(at, ()))) for at in places]
                superseded = {f.id: found.superseded.get(at, ()) for at, f in kept}
                for kinds, chosen in self._by_kinds([f for _, f in kept]):
                    self._learn_lot(writer, kinds, chosen, superseded)
                self._tell(start + len(facts), found.count)
            self._check_by_decoding(writer)
        if aside := self.memory.folder.find(self._aside):
            self.memory.history.archive(*aside)
        return self._finish()

    def _tell_of(self, source: FactSource, found: Survey) -> None:
        self.report.facts, self.report.skipped = found.count, list(source.skipped)
        self.report.duplicates, self.report.conflicts = found.duplicates, len(found.conflicts)
        self.report.resolved = [conflict.settled for conflict in found.conflicts]

    def _by_kinds(self, facts: Sequence[Fact]) -> Iterator[tuple[str, list[Fact]]]:
        """The facts that get experts of the same kinds; each may name its own."""
        groups: dict[str, list[Fact]] = {}
        for fact in facts:
            groups.setdefault(fact.expert or self.config.kind, []).append(fact)
        yield from groups.items()

    def _learner(self, kinds: str) -> Learner:
        if kinds not in self._learners:
            self._learners[kinds] = Learner(self.memory.backbone, make_kinds(kinds, self.memory.config), self.config)
        return self._learners[kinds]

    def _learn_lot(
        self, writer: Writer, kinds: str, facts: list[Fact], superseded: Mapping[str, Sequence[str]]
    ) -> None:
        learner = self._learner(kinds)
        recites = any(kind.recites for kind in learner.kinds)
        lot = learner.learn(facts, measure_reading=self._measure)
        if self._measure:
            self.report.read_seconds = (self.report.read_seconds or 0.0) + lot.read_seconds
        self.report.failed += lot.failed
        self._lots.append(Lot(loss=lot.loss, margin=lot.margin))
        replaced = [old for fact in lot.facts for old in superseded[fact.id]]  # what failed replaces nothing
        self.memory.commit(writer, lot, drop=replaced, message=f"learn {len(lot.facts)} facts")
        self._require_routes(writer, lot.facts)
        self.report.learned += len(lot.facts)
        self._bytes += bytes_of(lot.rooms.values())
        self._aside += [fact.id for fact in lot.facts if fact.state == "archived"]
        for fact in lot.facts:
            self._sample(fact)
        full = self.config.proof == "full" or not recites
        chosen = lot.facts if full else self._draw.sample(lot.facts, min(len(lot.facts), self.config.proof_sample))
        (self._to_check if recites else self._to_try).extend(chosen)
        if full or len(self._to_check) >= _SAMPLE_AT_ONCE:
            self._check_by_decoding(writer)

    def _sample(self, fact: Fact) -> None:
        """Each fact is as likely to stay in the sample as any other."""
        self._stored += 1
        size = self._sample_size
        if len(self.learned) < size:
            self.learned.append(fact)
        elif (place := self._reservoir.randrange(self._stored)) < size:
            self.learned[place] = fact

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
        recited, known = self._still_held(self._to_check), self._still_held(self._to_try)
        self._to_check, self._to_try = [], []
        wrong = {fact.id for fact in self.memory.not_recalled([*recited, *known])}
        lost = [fact for fact in recited if fact.id in wrong]
        self._take_out(writer, lost, "free decoding through the router does not give the answer exactly")
        used = [fact for fact in known if fact.id in wrong]
        self._name(used, "it is kept for use, but free decoding does not give its answer exactly")
        self.report.proof_seconds += time.perf_counter() - begin

    def _still_held(self, facts: Sequence[Fact]) -> list[Fact]:
        held = self.memory.folder.find([fact.id for fact in facts])
        return [fact for fact in facts if fact.id in held]

    def _tell(self, done: int, total: int) -> None:
        if self._progress:
            losses = [lot.loss for lot in self._lots if lot.loss is not None]
            margins = [lot.margin for lot in self._lots if lot.margin is not None]
            seconds, failed = time.perf_counter() - self._start, len(self.report.failed)
            loss = sum(losses) / len(losses) if losses else None
            self._progress(Progress(done, total, seconds, failed, loss, min(margins, default=None)))
        self._lots.clear()

    def _finish(self) -> LearnReport:
        report = self.report
        report.seconds = time.perf_counter() - self._start - (report.read_seconds or 0.0)
        if self.config.proof == "full":
            report.seconds -= report.proof_seconds
        report.bytes_per_fact = self._bytes / max(1, self._stored)
        report.version = self.memory.folder.version
        return report
