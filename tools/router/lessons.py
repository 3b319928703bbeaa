"""Questions whose fact is known, or known to be missing: what the confirming network is trained on.

From half A of the measuring data (`memtune bench route --half B` reports the other one), from wordings made of learned
ones, and from invented worlds of every size, whose relations have many wordings. A lesson is the features of all
proposals, the group of each, and which group is right; none is where the fact was taken away or never was.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from memtune.bench.route_data import COUNTERFACT, NEAR_MISSES, TOFU, Sources, load_sets
from memtune.bench.route_sets import half
from memtune.config import IndexConfig, RouterConfig
from memtune.core.facts import normalise
from memtune.router.asked import asked
from memtune.router.augment import made, slipped
from memtune.router.encoders import Encoder
from memtune.router.entries import Entry, make_keys
from memtune.router.features import NAMES
from memtune.router.matcher import Matcher
from memtune.router.route import Owner
from tools.pretrain.text.facts import Fact as WorldFact
from tools.pretrain.text.facts import WorldMaker
from tools.pretrain.text.names import HELDOUT, TRAIN
from tools.pretrain.text.relations import BY_SUBJECT

MOST = 16
SOURCES = ("tofu", "counterfact", "near misses", "made", "worlds", "prose")


@dataclass
class Lessons:
    """Padded to MOST proposals; `right` is the place of a right proposal, or MOST."""

    features: NDArray[np.float32]
    groups: NDArray[np.int64]
    right: NDArray[np.int64]
    source: NDArray[np.int64]


class Recorder:
    def __init__(self) -> None:
        self._rows: list[tuple[NDArray[np.float32], NDArray[np.int64], int, int]] = []

    def add(self, matcher: Matcher, text: str, owner: Owner | None, source: str, without: Iterable[Owner] = ()) -> None:
        query = matcher.query(text)
        if not len(query.words):
            return
        proposed = matcher.propose(query, frozenset(int(key) for key in matcher.keys.of(list(without))))
        if not len(proposed.keys):
            return
        table = matcher.features(query, proposed)
        groups = matcher.groups(proposed.keys)
        right = MOST
        if owner is not None:
            owners = [matcher.keys.owner(int(key)) for key in proposed.keys]
            if owner not in owners:
                return
            right = owners.index(owner)
        self._rows.append((table, groups, right, SOURCES.index(source)))

    def lessons(self) -> Lessons:
        count = len(self._rows)
        features = np.zeros((count, MOST, len(NAMES)), np.float32)
        groups = np.full((count, MOST), -1, np.int64)
        for row, (table, group, _, _) in enumerate(self._rows):
            features[row, : len(table)], groups[row, : len(table)] = table, group
        right, source = ([r[i] for r in self._rows] for i in (2, 3))
        return Lessons(features, groups, np.array(right), np.array(source))


def matcher_of(entries: Sequence[Entry], encoder: Encoder) -> Matcher:
    matcher = Matcher(RouterConfig(), IndexConfig(), encoder, None)
    keys = make_keys(entries, encoder, RouterConfig().vectors)
    matcher.add(0, keys, np.ones(len(keys["rows"]), np.bool_))
    return matcher


# ---- real questions -------------------------------------------------------------------------------------------------


def record_real(recorder: Recorder, encoder: Encoder, data: Path, seed: int) -> None:
    facts_folder = data / "facts"
    sets = load_sets(
        Sources(
            tofu=facts_folder / "tofu_full.jsonl",
            tofu_paraphrases=facts_folder / "tofu_paraphrases_dev.jsonl",
            counterfact=facts_folder / "counterfact_dev.jsonl.gz",
            half="A",
            ids=0,
            entities=0,
            ordinary=0,
        ),
        seed,
    )
    facts, draw = sets.learned.facts, Random(seed)
    matcher = matcher_of([Entry.of(fact) for fact in facts], encoder)
    for query in sets.learned.group(TOFU).queries:
        assert query.wanted is not None
        recorder.add(matcher, query.text, (0, query.wanted), "tofu")
        recorder.add(matcher, query.text, None, "tofu", [(0, query.wanted)])
    for query in sets.learned.group(COUNTERFACT).queries:
        assert query.wanted is not None
        if query.contested:
            continue
        *others, last = list(asked(query.text)) or [None]
        for part in {p.text: p for p in asked(query.text)}.values():
            is_noise = not part.whole and part != last and len(others) > 1
            recorder.add(matcher, part.text, None if is_noise else (0, query.wanted), "counterfact")
        if draw.random() < 0.5:
            recorder.add(matcher, last.text, None, "counterfact", [(0, query.wanted)])
    for query in sets.learned.group(NEAR_MISSES).queries:
        recorder.add(matcher, query.text, None, "near misses")
    _record_made(recorder, matcher, [(row, f.question) for row, f in enumerate(facts) if half(f.id) == "A"], draw)
    for text in prose(data / "corpora", 2500, draw):
        recorder.add(matcher, text, None, "prose")


def _record_made(recorder: Recorder, matcher: Matcher, wordings: Sequence[tuple[int, str]], draw: Random) -> None:
    """Wordings made of learned ones, and the same where their fact was taken away."""
    for row, question in draw.sample(wordings, min(2500, len(wordings))):
        variants = [*made(question, seed=row), slipped(question, draw)]
        for text in draw.sample(variants, min(2, len(variants))):
            recorder.add(matcher, text, (0, row), "made")
    for row, question in draw.sample(wordings, min(1200, len(wordings))):
        recorder.add(matcher, question, None, "made", [(0, row)])


def prose(corpora: Path, count: int, draw: Random) -> list[str]:
    """Sentences and short passages of the textbooks: nothing that a memory of facts should answer to."""
    with gzip.open(corpora / "openstax.txt.gz", "rt", encoding="utf-8") as file:
        lines = [line.strip() for _, line in zip(range(60_000), file, strict=False) if 40 < len(line) < 1200]
    found = []
    for line in draw.sample(lines, count):
        sentences = line.split(". ")
        found.append(draw.choice([line, draw.choice(sentences), sentences[0] + "?"]))
    return found


# ---- invented worlds ------------------------------------------------------------------------------------------------


def record_worlds(recorder: Recorder, encoder: Encoder, seed: int) -> None:
    """Worlds of a few facts and of thousands, dense (many facts about one thing) and thin."""
    draw = Random(f"worlds {seed}")
    sizes = [draw.choice((1, 2, 3, 5, 8, 12, 20, 40, 80)) for _ in range(140)] + [400] * 6 + [4000] * 2
    for number, size in enumerate(sizes):
        maker = WorldMaker(draw, draw.choice((TRAIN, HELDOUT)))
        world = list(_world(maker, draw, size, dense=draw.random() < 0.6))
        asked_of = {(f.relation.key, f.subject): _questions(f, draw) for f in world}
        entries = [
            Entry.of(_as_fact(f, asked_of[f.relation.key, f.subject][0], number, i)) for i, f in enumerate(world)
        ]
        matcher = matcher_of(entries, encoder)
        for row in draw.sample(range(size), min(size, 400)):
            _record_world_fact(recorder, matcher, maker, world, asked_of, row, draw)


def _world(maker: WorldMaker, draw: Random, size: int, *, dense: bool) -> Iterator[WorldFact]:
    made_count = 0
    while made_count < size:
        kind = draw.choice(list(BY_SUBJECT))
        subject = maker.namer.draw(kind)
        relations = BY_SUBJECT[kind]
        for relation in draw.sample(relations, min(len(relations), draw.randint(2, 6) if dense else 1)):
            if made_count < size:
                yield WorldFact(relation, subject, maker.namer.draw(relation.value))
                made_count += 1


def _questions(fact: WorldFact, draw: Random) -> list[str]:
    """All wordings of a question in random order: the first is learned, the others are asked."""
    relation = fact.relation
    wordings = list(dict.fromkeys((*relation.all_questions, *relation.requests)))
    draw.shuffle(wordings)
    return [fact.fill(w) for w in wordings]


def _as_fact(fact: WorldFact, question: str, world: int, row: int):  # type: ignore[no-untyped-def]
    from memtune.core.facts import Fact

    return Fact(f"{world}-{row}", question, fact.value)


def _record_world_fact(
    recorder: Recorder,
    matcher: Matcher,
    maker: WorldMaker,
    world: Sequence[WorldFact],
    asked_of: dict[tuple[str, str], list[str]],
    row: int,
    draw: Random,
) -> None:
    fact = world[row]
    learned, *others = asked_of[fact.relation.key, fact.subject]
    if others:
        text = draw.choice(others)
        recorder.add(matcher, text.lower() if draw.random() < 0.15 else text, (0, row), "worlds")
    recorder.add(matcher, draw.choice([*made(learned, seed=row), slipped(learned, draw)]), (0, row), "worlds")
    has = {f.relation.key for f in world if f.subject == fact.subject}
    lacking = [r for r in BY_SUBJECT[fact.relation.subject] if r.key not in has]
    if lacking:
        missing = WorldFact(draw.choice(lacking), fact.subject, "")
        recorder.add(matcher, draw.choice(_questions(missing, draw)), None, "worlds")
    stranger = WorldFact(fact.relation, maker.new_subject(fact.relation.subject, tuple(world)), "")
    recorder.add(matcher, draw.choice(_questions(stranger, draw)), None, "worlds")
    if draw.random() < 0.3:
        same = [(0, i) for i, f in enumerate(world) if normalise(f.value) == normalise(fact.value) and f is not fact]
        recorder.add(matcher, learned, None, "worlds", [(0, row), *same])
