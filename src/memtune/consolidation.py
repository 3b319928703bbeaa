"""Consolidation: facts that are recited come to be known as well, lot by lot, behind everything else.

Each lot gets experts of a knowing kind beside those that it has. What is worked out is kept aside, so that a run that
breaks off goes on; in the end it becomes one version. An exact answer never changes for the worse: a reciting expert
stays what it is, every fact is asked again, and one that was recalled before and is not any more loses its new expert.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from memtune import asked
from memtune.config import ConsolidateConfig, LearnConfig
from memtune.core.experts import Tensors, bytes_of, pick, stack
from memtune.core.facts import Fact
from memtune.core.kinds import make_kinds
from memtune.core.learn import Learner
from memtune.core.reports import Failed
from memtune.errors import UsageError
from memtune.learning import Progress
from memtune.router.gate import ordinary
from memtune.store import Writer
from memtune.store.unfinished import Unfinished, clear

if TYPE_CHECKING:
    from memtune.memory import Memory


@dataclass
class Consolidated:
    """One run."""

    facts: int = 0
    """Facts that were recited only."""
    known: int = 0
    """Those of them that are known now."""
    resumed: int = 0
    """Those of them that an earlier run had worked out."""
    left: int = 0
    """Those that the budget did not reach."""
    failed: list[Failed] = field(default_factory=list)
    """Those that stay as they were, and why."""
    touched: int = 0
    """Ordinary prompts, of a sample, to which the memory's reply came to be another one: none."""
    seconds: float = 0.0
    read_seconds: float = 0.0
    """One plain pass over the same facts."""
    bytes_per_fact: float = 0.0
    """Of the new experts."""
    version: int = 0

    @property
    def times_reading(self) -> float:
        """What it cost, in plain passes over the same facts."""
        return self.seconds / self.read_seconds if self.read_seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "times_reading": self.times_reading}


class Consolidation:
    """One run over one memory."""

    def __init__(
        self,
        memory: Memory,
        config: ConsolidateConfig,
        *,
        where: Mapping[str, str] | None = None,
        seconds: float | None = None,
        progress: Callable[[Progress], None] | None = None,
        but: Sequence[str] = (),
    ) -> None:
        if seconds is not None and seconds <= 0:
            raise UsageError("a budget of nothing leaves no time for a single fact", hint="--budget takes minutes")
        self.memory, self.config, self._but = memory, config, frozenset(but)
        self._kind = make_kinds(config.kind, memory.config)[0]
        if self._kind.recites:
            raise UsageError(f"kind '{config.kind}' recites: it makes nothing known", hint="use kind distil or kv")
        self._kind.require(memory.backbone)
        memory.folder.require_branch()
        self._where, self._progress = where, progress
        self._start = time.perf_counter()
        self._end = None if seconds is None else self._start + seconds
        self._learner = Learner(memory.backbone, [self._kind], LearnConfig())
        self._aside = Unfinished(memory.folder.path, self._make())
        self._facts: dict[str, Fact] = {}
        """Facts as they stood when they were worked out."""
        self.report = Consolidated()

    def _make(self) -> str:
        """What the new experts depend on, beside the fact itself."""
        backbone, config = self.memory.backbone, self.memory.config
        settings = [vars(getattr(config, name)) for name in (self.config.kind, "kv")]  # distil is taught by kv
        made = [self.config.kind, settings, backbone.identity.weights, str(backbone.dtype)]
        return json.dumps(made, default=str, sort_keys=True)

    def run(self) -> Consolidated:
        """Work through the facts in the order of their worth until the budget ends, then commit once."""
        if self._where and not self.memory.folder.count(self._where):
            said = ", ".join(f"{name} {value}" for name, value in self._where.items())
            raise UsageError(f"no fact has {said}", hint="`memtune stats` shows the groups")
        lots = list(self._lots())
        self.report.facts = sum(map(len, lots))
        made: dict[str, Tensors] = {}
        self.report.left = self.report.facts
        for lot in lots:
            if self._end is not None and time.perf_counter() >= self._end:
                break
            made |= self._worked_out(lot)
            self.report.left -= len(lot)
            self._tell(self.report.facts - self.report.left)
        if made:
            self._commit(made)
        self.report.version = self.memory.version
        self.report.seconds = time.perf_counter() - self._start - self.report.read_seconds
        return self.report

    # ---- which facts --------------------------------------------------------------------------------------------

    def _lots(self) -> Iterator[list[Fact]]:
        """Facts that are only recited. Those of one group stand together; groups that are asked for most come first."""
        counts = asked.counts(self.memory.folder.path)
        groups: dict[str, list[Fact]] = {}
        for fact in self._waiting():
            groups.setdefault(fact.group or "", []).append(fact)
        ranked = sorted(groups.values(), key=lambda facts: -sum(counts[f.id] for f in facts))
        queue = [f for facts in ranked for f in sorted(facts, key=lambda f: -counts[f.id])]
        size = self.config.lot_size
        yield from (queue[start : start + size] for start in range(0, len(queue), size))

    def _waiting(self) -> Iterator[Fact]:
        segments = self.memory.folder.manifest.held
        knowing = {name for name, kind in self.memory.answering.kinds.items() if not kind.recites}
        for ref, fact in self.memory.folder.rows(self._where):
            segment = segments.get(ref.segment)  # another thread may have moved the memory on
            if segment is None or knowing & segment.shards.keys() or ref.row in segment.archived:
                continue
            if fact.id not in self._but:
                yield fact

    # ---- one lot ------------------------------------------------------------------------------------------------

    def _worked_out(self, facts: Sequence[Fact]) -> dict[str, Tensors]:
        """The new expert of each fact of a lot that can have one, by the fact's id."""
        with self.memory.holding():
            facts = self._unchanged(facts)
        made = self._aside.found(facts)
        self.report.resumed += len(made)
        left = [fact for fact in facts if fact.id not in made]
        if left:
            lot = self._learner.learn(left, measure_reading=True)
            self.report.read_seconds += lot.read_seconds
            self.report.failed += lot.failed
            new = {fact.id: pick(lot.rooms[self._kind.name], row) for row, fact in enumerate(lot.facts)}
            with self.memory.holding():  # nothing is put down of one that was forgotten while it was worked out
                kept = self._unchanged(lot.facts)
                if kept:
                    self._aside.keep(kept, [new[fact.id] for fact in kept])
            made |= {fact.id: new[fact.id] for fact in kept}
        self._facts |= {fact.id: fact for fact in facts}
        return made

    def _unchanged(self, facts: Sequence[Fact]) -> list[Fact]:
        """Those of them that nobody has changed, forgotten or set aside meanwhile."""
        folder, segments = self.memory.folder, self.memory.folder.manifest.held
        places = {i: (segments.get(ref.segment), ref.row) for i, ref in folder.find([f.id for f in facts]).items()}

        def same(fact: Fact) -> bool:
            segment, row = places.get(fact.id, (None, 0))
            return segment is not None and row not in segment.silent and folder.records(segment)[row] == fact

        return [fact for fact in facts if same(fact)]

    # ---- the new version ----------------------------------------------------------------------------------------

    def _commit(self, made: dict[str, Tensors]) -> None:
        """One version in which the facts have the new experts beside the old ones; proved, or not at all."""
        with self.memory.writing() as writer:
            before = self.memory.folder.manifest
            held = {fact.id: fact for fact in self._unchanged([self._facts[i] for i in made])}
            exact = self._exact(held)
            untouched = self._plain_prompts()
            while held:
                try:
                    self._write(writer, held, made)
                    lost = (exact & held.keys()) - self._exact(held)
                    self.report.touched = len(untouched - self._plain_prompts())
                except BaseException:  # broken off before it was proved
                    self.memory.take_back(writer, before)
                    raise
                if not lost and not self.report.touched:
                    break
                self.memory.take_back(writer, before)
                reason = "its exact answer" if lost else "the reply to an ordinary prompt"
                worse = lost or set(held)
                self.report.failed += [Failed(i, f"{reason} would not have stayed what it is") for i in sorted(worse)]
                held = {i: fact for i, fact in held.items() if i not in worse}
            clear(self.memory.folder.path)
        self.report.known = len(held)
        self.report.bytes_per_fact = bytes_of([made[i] for i in held]) / max(1, len(held))

    def _exact(self, held: Mapping[str, Fact]) -> set[str]:
        """Facts whose learned wording gives their answer exactly, of those that recite or did before."""
        recited = [fact for fact in held.values() if not fact.passage]
        wrong = {fact.id for fact in self.memory.not_recalled(recited)}
        return {fact.id for fact in recited} - wrong

    def _plain_prompts(self) -> set[str]:
        """Of a sample of ordinary prompts those at which nothing acts, so that the backbone answers bit for bit."""
        sample = ordinary()[:: max(1, len(ordinary()) // self.config.prompts)] if self.config.prompts else ()
        requests = ((text, self.memory.answering.request(text, memory=True)) for text in sample)
        return {text for text, request in requests if not any(request.experts.values())}

    def _write(self, writer: Writer, held: Mapping[str, Fact], made: Mapping[str, Tensors]) -> None:
        lots = [(facts, self._rooms(kinds, facts, made)) for kinds, facts in self._regrouped(held)]
        writer.drop(list(held))
        for facts, rooms in lots:
            self.memory.add(writer, facts, rooms)
        writer.commit(f"consolidate {len(held)} facts", act="consolidate")
        self.memory.catch_up()

    def _rooms(self, kinds: Sequence[str], facts: Sequence[Fact], made: Mapping[str, Tensors]) -> dict[str, Tensors]:
        rooms: dict[str, Tensors] = {self._kind.name: stack([made[fact.id] for fact in facts])}
        held = [self.memory.experts_of(fact.id) for fact in facts]
        return rooms | {name: stack([experts[name].tensors for experts in held]) for name in kinds}

    def _regrouped(self, held: Mapping[str, Fact]) -> Iterator[tuple[tuple[str, ...], list[Fact]]]:
        """Facts that keep reciting experts of the same kinds, in lots as learning makes them."""
        groups: dict[tuple[str, ...], list[Fact]] = {}
        for fact in held.values():
            recite = (name for name in self.memory.experts_of(fact.id) if self.memory.answering.kinds[name].recites)
            groups.setdefault(tuple(recite), []).append(fact)
        size = self.memory.config.learn.lot_size
        for kinds, facts in groups.items():
            yield from ((kinds, facts[start : start + size]) for start in range(0, len(facts), size))

    def _tell(self, done: int) -> None:
        if self._progress:
            self._progress(Progress(done, self.report.facts, time.perf_counter() - self._start))


class Behind:
    """Consolidates what is learned, now and then, in a thread of its own, while the memory answers."""

    def __init__(self, run: Callable[[Sequence[str]], Consolidated], every: float) -> None:
        if every <= 0:
            raise UsageError(f"every {every:g} minutes is no time to wait", hint="name more than 0 minutes")
        self.runs: list[Consolidated] = []
        """Those that found anything to do."""
        self.fault: BaseException | None = None
        """What ended it, if it was not `stop`."""
        self._run, self._every = run, 60 * every
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="memtune consolidate", daemon=True)
        self._thread.start()

    def _go_on(self) -> None:
        try:
            while not self._stopped.is_set():
                done = self._run([failed.id for run in self.runs for failed in run.failed])
                if done.facts:
                    self.runs.append(done)
                self._stopped.wait(self._every)
        except BaseException as fault:
            self.fault = fault

    def stop(self) -> None:
        """After what is being worked on."""
        self._stopped.set()
        self._thread.join()

    def __enter__(self) -> Behind:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
