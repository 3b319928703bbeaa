"""All sets of `memtune bench route`, from files and from the seed. `load_sets` is the way in, also for experiments."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memtune.bench import data
from memtune.bench.route_entities import entity_set
from memtune.bench.route_ids import SHAPES, id_set
from memtune.bench.route_nearmiss import Cleaner, Learned, NearMiss, Verdict, numbers
from memtune.bench.route_ordinary import ordinary_groups
from memtune.bench.route_sets import Group, Query, RouteSet, half
from memtune.core.facts import Fact, wording_hash
from memtune.errors import InputError, UsageError
from memtune.ingest import files
from memtune.ingest.readers import reader_for

TOFU, COUNTERFACT, NEAR_MISSES = "TOFU paraphrases", "CounterFact rephrasings", "near misses"
_ASKED_FOR_ONE_TAUGHT = 5
_COUNTERFACT_FIELDS = ("case_id", "prompt", "target_new", "subject", "rephrase_prompt", "locality_prompt")


@dataclass(frozen=True)
class Sources:
    """Files and sizes. Without any file, only what is made from the seed is asked."""

    tofu: Path | None = None
    tofu_paraphrases: Path | None = None
    counterfact: Path | None = None
    wikitext: Path | None = None
    half: str | None = None
    """A or B: only queries whose fact (or near miss) falls into that half by a hash of its id."""
    sample: int | None = None
    """Queries of each kind at most, drawn by the seed."""
    ids: int = 10_000
    entities: int = 2_000
    taught: int = 20
    """Firms, and ids of each kind, whose other wordings are given in a second memory; the rest is asked there."""
    ordinary: int = 4_000


@dataclass
class Sets:
    """What is learned and asked, and what was left out on the way."""

    learned: RouteSet
    """TOFU and CounterFact in one memory, with their queries, near misses and ordinary text."""
    ids: RouteSet
    entities: RouteSet
    taught: list[RouteSet] = field(default_factory=list)
    """The same, where a few have been given other wordings."""
    verdicts: list[Verdict] = field(default_factory=list)
    """Of every near miss, before `half` and `sample`."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Rows that repeat or contradict a learned wording, and queries without a fact."""

    def all(self) -> list[RouteSet]:
        return [s for s in (self.learned, self.ids, self.entities, *self.taught) if s.facts]


def load_sets(sources: Sources, seed: int = 0) -> Sets:
    """Everything that `memtune bench route` asks.

    For experiments:

        sets = load_sets(Sources(tofu=…, tofu_paraphrases=…, counterfact=…, wikitext=…, half="A"))
        facts = sets.learned.facts                     # each with .id, .question, .answer
        for group in sets.learned.groups:              # "CounterFact rephrasings", "near misses", …
            for query in group.queries:                # query.text; query.wanted: place in facts, or None
                outcome(query, fired_places, facts)    # of route_sets: "right", "wrong" or "none"
    """
    if sources.tofu_paraphrases is not None and sources.tofu is None:
        raise UsageError("--tofu-paraphrases says how --tofu is asked, which is missing")
    if sources.half not in (None, "A", "B"):
        raise UsageError(f"--half must be A or B, not '{sources.half}'")
    made = _Memory()
    if sources.tofu is not None:
        made.add_tofu(sources.tofu)
    rows = list(_counterfact(sources.counterfact)) if sources.counterfact is not None else []
    made.add_counterfact(rows)
    learned = RouteSet("TOFU and CounterFact", made.facts)
    if sources.tofu_paraphrases is not None:
        learned.groups.append(Group(TOFU, made.paraphrases(sources.tofu_paraphrases)))
    verdicts: list[Verdict] = []
    if rows:
        cleaner = made.cleaner(rows)
        verdicts = cleaner.sort(_misses(rows))
        learned.groups += [
            Group(COUNTERFACT, made.rephrasings(rows, cleaner.contested())),
            Group(NEAR_MISSES, _kept(verdicts)),
        ]
    learned.groups = [_fewer(group, sources, learned, seed) for group in learned.groups]
    if learned.facts:
        learned.groups += ordinary_groups(sources.ordinary, sources.wikitext, seed)
    ids, entities = id_set(sources.ids, seed), entity_set(sources.entities, seed)
    taught = list(_taught_sets(sources, seed))
    for made_up in (ids, entities, *taught):
        made_up.groups = [_drawn(group, sources.sample, seed) for group in made_up.groups]
    return Sets(learned, ids, entities, taught, verdicts, made.dropped)


def _taught_sets(sources: Sources, seed: int) -> Iterator[RouteSet]:
    """The same ids and firms; of some of them other wordings are given. Most of them are left to be asked for."""
    kinds = ((id_set, sources.ids, sources.ids // len(SHAPES)), (entity_set, sources.entities, sources.entities))
    for make, n, things in kinds:
        taught = min(sources.taught, things // _ASKED_FOR_ONE_TAUGHT)
        if taught:
            yield make(n, seed, taught)


class _Memory:
    """Facts as they come in: of two that ask the same, the first is kept."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.dropped = {"repeats": 0, "conflicts": 0, "queries without a fact": 0}
        self._places: dict[int, int] = {}
        self._rows: dict[int, int] = {}
        """Place of the fact of each CounterFact row that was kept."""

    def add_tofu(self, path: Path) -> None:
        for fact in data.facts_of([path]):
            self._add(fact)

    def add_counterfact(self, rows: Sequence[dict[str, Any]]) -> None:
        for row in rows:
            place = self._add(Fact(f"counterfact-{row['case_id']}", row["prompt"], row["target_new"]))
            if place is not None:
                self._rows[row["case_id"]] = place

    def _add(self, fact: Fact) -> int | None:
        """Its place, or None where its question was there before."""
        place = self._places.setdefault(wording_hash(fact.question), len(self.facts))
        if place == len(self.facts):
            self.facts.append(fact)
            return place
        self.dropped["repeats" if self.facts[place].answer == fact.answer else "conflicts"] += 1
        return None

    def paraphrases(self, path: Path) -> list[Query]:
        """Paraphrased questions; rows name their fact by its question."""
        found = []
        for where, row in _rows_of(path, ("question", "paraphrased_question")):
            place = self._places.get(wording_hash(row["question"]))
            if place is None:
                self.dropped["queries without a fact"] += 1
            else:
                found.append(Query(f"paraphrase, {where}", row["paraphrased_question"], place))
        return found

    def rephrasings(self, rows: Sequence[dict[str, Any]], contested: set[int]) -> list[Query]:
        kept = [row for row in rows if row["case_id"] in self._rows]
        self.dropped["queries without a fact"] += len(rows) - len(kept)
        return [
            Query(
                f"rephrasing {row['case_id']}",
                row["rephrase_prompt"],
                self._rows[row["case_id"]],
                row["case_id"] in contested,
            )
            for row in kept
        ]

    def cleaner(self, rows: Sequence[dict[str, Any]]) -> Cleaner:
        return Cleaner(
            [
                Learned(row["case_id"], row["prompt"], row["subject"], row["target_new"], row.get("ground_truth", ""))
                for row in rows
                if row["case_id"] in self._rows
            ]
        )


def _misses(rows: Sequence[dict[str, Any]]) -> list[NearMiss]:
    return [NearMiss(r["case_id"], r["locality_prompt"], r.get("locality_ground_truth", "")) for r in rows]


def _kept(verdicts: Sequence[Verdict]) -> list[Query]:
    return [Query(f"near miss {v.miss.row}", v.miss.prompt) for v in verdicts if not v.reason]


def _counterfact(path: Path) -> Iterator[dict[str, Any]]:
    return (row for _, row in _rows_of(path, _COUNTERFACT_FIELDS))


def _rows_of(path: Path, fields: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows that have these fields, with where they stand."""
    files.require_file(path)
    for where, row in reader_for(path).read(path):
        missing = [name for name in fields if not isinstance(row, dict) or row.get(name) in (None, "")]
        if missing:
            raise InputError(f"{path}: {where}: no '{missing[0]}'")
        yield where, row


def _fewer(group: Group, sources: Sources, of: RouteSet, seed: int) -> Group:
    """The half that is asked for, and a sample of it."""
    queries = list(group.queries)
    if sources.half is not None:
        queries = [q for q in queries if half(q.id if q.wanted is None else of.facts[q.wanted].id) == sources.half]
    return _drawn(Group(group.name, queries), sources.sample, seed)


def _drawn(group: Group, n: int | None, seed: int) -> Group:
    if n is None or n >= len(group.queries):
        return group
    chosen = sorted(random.Random(f"{group.name} {seed}").sample(range(len(group.queries)), n))
    return Group(group.name, [group.queries[i] for i in chosen])


def write_lists(verdicts: Sequence[Verdict], folder: Path) -> list[Path]:
    """Near misses kept and removed, to be read, as JSONL; and row numbers by reason alone, which may be published."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "near-misses-kept.jsonl": "".join(_line(v) for v in verdicts if not v.reason),
        "near-misses-removed.jsonl": "".join(_line(v) for v in verdicts if v.reason),
        "near-misses.json": _numbers(verdicts),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def _numbers(verdicts: Sequence[Verdict]) -> str:
    """One line a reason."""
    kept = sum(not v.reason for v in verdicts)
    lines = ",\n".join(f'"{reason}": {json.dumps(rows)}' for reason, rows in numbers(verdicts).items())
    return f'{{"rows": {len(verdicts)}, "kept": {kept}, "removed": {{\n{lines}\n}}}}\n'


def _line(verdict: Verdict) -> str:
    line: dict[str, Any] = {"case_id": verdict.miss.row, "prompt": verdict.miss.prompt}
    line |= {"reason": verdict.reason, "of": verdict.of} if verdict.reason else {"shares_a_name": verdict.near}
    return json.dumps(line, ensure_ascii=False) + "\n"
