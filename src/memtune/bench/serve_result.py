"""What `memtune bench serve` finds, and how it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from memtune.bench.machine import MEGABYTE, megabytes
from memtune.evaluate.output import Sheet
from memtune.evaluate.stats import Spread, figure

MOST_GROWTH = 0.05
"""Of the server's memory, from a quarter of the time to its end."""
LEAST_SECONDS = 60.0
"""Of a run whose memory is judged."""
_LOOKED_AT = (0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Load:
    """What the clients saw in one run."""

    requests: int
    failed: int
    wrong: int
    problems: list[str]
    """The first few of what went wrong."""
    tokens: int
    tokens_per_second: float
    requests_per_second: float
    first_p50: float | None
    """Seconds to the first piece of an answer; half of the answers begin sooner."""
    first_p95: float | None
    tokens_per_processor_second: float | None = None
    """Of the server's process: what does not depend on what else the machine does."""


@dataclass(frozen=True)
class Resident:
    """The memory of the server while it was asked: at which share of the time, how much."""

    at: list[tuple[float, int]]

    @classmethod
    def of(cls, sizes: Sequence[tuple[float, int]], seconds: float) -> Resident | None:
        """From looks at a process, each with its time."""
        if not sizes:
            return None
        return cls([(share, min(sizes, key=lambda s: abs(s[0] - share * seconds))[1]) for share in _LOOKED_AT])

    @property
    def growth(self) -> float:
        """From a quarter of the time, when all has been used once, to the end."""
        sizes = dict(self.at)
        return sizes[1.0] / sizes[0.25] - 1

    def __str__(self) -> str:
        return ", ".join(f"{100 * share:.0f} %: {megabytes(size)}" for share, size in self.at)

    def to_json(self) -> dict[str, object]:
        sizes = [{"share": share, "megabytes": size / MEGABYTE} for share, size in self.at]
        return {"at": sizes, "growth": self.growth}


@dataclass(frozen=True)
class Soak:
    """Many clients at several memories and versions."""

    clients: int
    seconds: float
    models: list[str]
    load: Load
    resident: Resident | None

    @property
    def faults(self) -> list[str]:
        """What must not be."""
        found = [f"{self.load.failed} requests failed"] if self.load.failed else []
        found += [f"{self.load.wrong} answers are not those of their memory and version"] if self.load.wrong else []
        found += [] if self.load.requests > self.load.failed else ["nothing was answered"]
        long = self.seconds >= LEAST_SECONDS  # before, the batch has not yet had all the room that it comes to need
        if long and self.resident is not None and self.resident.growth > MOST_GROWTH:
            found.append(f"the server's memory grew by {100 * self.resident.growth:.1f} %")
        return found + (self.load.problems if found else [])


@dataclass
class Arm:
    """One way of being asked, in several rounds."""

    name: str
    tokens_per_second: list[float] = field(default_factory=list)
    tokens_per_processor_second: list[float] = field(default_factory=list)
    first_p50: list[float] = field(default_factory=list)
    first_p95: list[float] = field(default_factory=list)
    failed: int = 0
    wrong: int = 0
    problems: list[str] = field(default_factory=list)
    peer: bool = False

    def note(self, tokens_per_second: float, tokens_per_processor_second: float | None) -> None:
        self.tokens_per_second.append(tokens_per_second)
        if tokens_per_processor_second is not None:
            self.tokens_per_processor_second.append(tokens_per_processor_second)

    def add(self, load: Load) -> None:
        self.note(load.tokens_per_second, load.tokens_per_processor_second)
        self.failed, self.wrong = self.failed + load.failed, self.wrong + load.wrong
        self.problems += load.problems
        if load.first_p50 is not None and load.first_p95 is not None:
            self.first_p50.append(load.first_p50)
            self.first_p95.append(load.first_p95)

    def row(self) -> list[str]:
        firsts = [_milliseconds(self.first_p50), _milliseconds(self.first_p95)]
        counted = f"{self.failed} / {self.wrong}" if self.first_p50 else ""
        rates = [self.tokens_per_second, self.tokens_per_processor_second]
        return [self.name, *(str(Spread.of(rate)) if rate else "" for rate in rates), *firsts, counted]


def _milliseconds(seconds: Sequence[float]) -> str:
    return str(Spread.of(1000 * s for s in seconds)) if seconds else ""


@dataclass(frozen=True)
class Share:
    """One arm beside another, round by round."""

    name: str
    value: Spread
    by_processor: Spread | None = None
    """The same by tokens for a second of the processor, which holds on a busy machine as well."""
    target: float | None = None
    at_most: bool = False
    """The target is a bound from above."""

    @property
    def reached(self) -> bool | None:
        if self.target is None:
            return None
        return self.value.median <= self.target if self.at_most else self.value.median >= self.target

    def row(self) -> list[str]:
        bound = "" if self.target is None else f"{'at most' if self.at_most else 'at least'} {figure(self.target)}"
        return [
            self.name,
            str(self.value),
            str(self.by_processor or ""),
            bound,
            {None: "", True: "yes", False: "no"}[self.reached],
        ]


@dataclass
class ServeResult:
    facts: int
    tokens: int
    threads: int
    repeats: int
    soak: Soak | None = None
    arms: list[Arm] = field(default_factory=list)
    shares: list[Share] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def arm(self, name: str) -> Arm:
        """The arm of this name, made when it is first asked for."""
        found = next((arm for arm in self.arms if arm.name == name), None)
        if found is None:
            found = Arm(name)
            self.arms.append(found)
        return found

    def compare(self, name: str, one: str, other: str, *, first: bool = False, target: float | None = None) -> None:
        """Set one arm beside another: by tokens a second, or by the time to the first of them."""
        a, b = self.arm(one), self.arm(other)
        if first:
            value, worked = _ratio(a.first_p50, b.first_p50), None
        else:
            value = _ratio(a.tokens_per_second, b.tokens_per_second)
            worked = _ratio(a.tokens_per_processor_second, b.tokens_per_processor_second)
        if value is not None:
            self.shares.append(Share(name, value, worked, target, at_most=first))

    @property
    def faults(self) -> list[str]:
        """What went wrong with the server that is measured, not how quick it is."""
        found = self.soak.faults if self.soak else []
        bad = [arm for arm in self.arms if not arm.peer and (arm.failed or arm.wrong)]
        return found + [f"{a.name}: {a.failed} failed, {a.wrong} wrong: {a.problems[0]}" for a in bad]

    def sheets(self) -> list[Sheet]:
        sheets = [self._soaked(self.soak)] if self.soak else []
        if self.arms:
            columns = ["arm", "tokens/s", "per s of processor", "first token, ms", "95 % within, ms", "failed / wrong"]
            title = f"Answers of about {self.tokens} tokens, threads: {self.threads}, medians of {self.repeats} rounds"
            sheets.append(Sheet(title, columns, [arm.row() for arm in self.arms], " ".join(self.skipped)))
        if self.shares:
            columns = ["ratio", "median of rounds", "by processor time", "target", "reached"]
            sheets.append(Sheet("Beside each other, round by round", columns, [s.row() for s in self.shares]))
        return sheets

    def _soaked(self, soak: Soak) -> Sheet:
        load = soak.load
        rows = [
            ["answers", f"{load.requests:,}"],
            ["failed", str(load.failed)],
            ["of the wrong memory or version", str(load.wrong)],
            ["tokens/s", figure(load.tokens_per_second)],
            ["answers/s", figure(load.requests_per_second)],
            ["first token, ms (half within; 95 % within)", _pair(load)],
            ["server's memory at a share of the time", str(soak.resident or "not measured")],
            ["growth from a quarter of the time on", f"{100 * soak.resident.growth:+.1f} %" if soak.resident else ""],
        ]
        title = f"{soak.clients} clients, {soak.seconds:g} s, {', '.join(soak.models)}"
        return Sheet(title, ["", ""], rows, "; ".join(soak.faults))


def _ratio(some: Sequence[float], others: Sequence[float]) -> Spread | None:
    """Round by round."""
    values = [one / other for one, other in zip(some, others, strict=False) if other]
    return Spread.of(values) if values else None


def _pair(load: Load) -> str:
    if load.first_p50 is None or load.first_p95 is None:
        return ""
    return f"{figure(1000 * load.first_p50)}; {figure(1000 * load.first_p95)}"
