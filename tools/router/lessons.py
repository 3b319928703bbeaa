"""Questions whose fact is known, or known to be missing: what the confirming network is trained on.

From half A of the measuring data (`memtune bench route --half B` reports the other one), from wordings made of learned
ones, and from invented worlds of every size, whose relations have many wordings. A lesson is the features of all
proposals, the group of each, and which group is right; none is where the fact was taken away or never was.
"""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from memtune.bench.route_data import COUNTERFACT, NEAR_MISSES, TOFU, Sources, load_sets
from memtune.bench.route_sets import half
from memtune.config import IndexConfig, RouterConfig
from memtune.core.facts import Fact, normalise
from memtune.router.asked import asked
from memtune.router.augment import made, slipped
from memtune.router.encoders import Encoder
from memtune.router.entries import Entry, make_keys
from memtune.router.features import NAMES
from memtune.router.matcher import Matcher
from memtune.router.route import Owner
from tools.pretrain.text.facts import tidy
from tools.pretrain.text.names import HELDOUT, TRAIN, Namer
from tools.pretrain.text.relations import RELATIONS

from .paraphrases import CHAT, EXTRA, FURTHER, Topic

MOST = 16
_BY_NUMBER = 0.2
MEASURED = frozenset("warranty return_period staff phone hours employer job".split())
"""Relations that `memtune bench route` asks about as well: they keep the backbone's plain wordings only."""
SOURCES = ("tofu", "counterfact", "near misses", "made", "worlds", "prose")


@dataclass
class Lessons:
    """Padded to MOST proposals; `right` is the place of a right proposal, or MOST."""

    features: NDArray[np.float32]
    groups: NDArray[np.int64]
    right: NDArray[np.int64]
    source: NDArray[np.int64]

    def save(self, path: Path) -> None:
        np.savez(path, features=self.features, groups=self.groups, right=self.right, source=self.source)

    @classmethod
    def load(cls, path: Path) -> Lessons:
        with np.load(path) as held:
            return cls(held["features"], held["groups"], held["right"], held["source"])


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
    for text in [*prose(data / "corpora", 2500, draw), *CHAT]:
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
    """Sentences and short passages of textbooks and novels: nothing that a memory of facts should answer to."""
    lines = []
    for name in ("openstax", "novels"):
        with gzip.open(corpora / f"{name}.txt.gz", "rt", encoding="utf-8") as file:
            lines += [line.strip() for _, line in zip(range(60_000), file, strict=False) if 40 < len(line) < 1200]
    found = []
    for line in draw.sample(lines, count):
        sentences = line.split(". ")
        found.append(draw.choice([line, draw.choice(sentences), sentences[0] + "?"]))
    return found


# ---- invented worlds ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """A fact of an invented world."""

    topic: Topic
    subject: str
    value: str

    def asked(self, wording: str) -> str:
        return tidy(wording.format(s=self.subject))


def topics_by_subject() -> dict[str, list[Topic]]:
    """Everything that worlds tell: the backbone's relations with all their wordings, and the further topics."""
    found: dict[str, list[Topic]] = defaultdict(list)
    for relation in RELATIONS:
        further = () if relation.key in MEASURED else FURTHER.get(relation.key, ())
        wordings = dict.fromkeys((*relation.all_questions, *relation.requests, *further))
        found[relation.subject].append(Topic(relation.key, relation.subject, relation.value, tuple(wordings)))
    for topic in EXTRA:
        found[topic.subject].append(topic)
    return found


def record_worlds(recorder: Recorder, encoder: Encoder, seed: int) -> None:
    """Worlds of a few facts and of thousands, dense (many facts about one thing) and thin, and of one sort or many."""
    draw, topics = Random(f"worlds {seed}"), topics_by_subject()
    sizes = [draw.choice((1, 2, 3, 4, 5, 6, 8, 12, 20, 40, 80)) for _ in range(220)] + [400] * 8 + [4000] * 3
    for number, size in enumerate(sizes):
        namer = Namer(draw, draw.choice((TRAIN, HELDOUT)))
        sorts = draw.sample(list(topics), draw.choice((1, 1, 2, 4, len(topics))))
        few = {sort: draw.sample(topics[sort], min(len(topics[sort]), draw.choice((5, 8, 14, 99)))) for sort in sorts}
        world = list(_world(namer, draw, size, few, dense=draw.random() < 0.7))
        learned = [told.asked(draw.choice(told.topic.wordings)) for told in world]
        entries = [
            Entry.of(Fact(f"{number}-{row}", question, told.value))
            for row, (told, question) in enumerate(zip(world, learned, strict=True))
        ]
        matcher = matcher_of(entries, encoder)
        for row in draw.sample(range(size), min(size, 350)):
            _record_told(recorder, matcher, namer, world, learned[row], row, topics, draw)
        for text in draw.sample(CHAT, 8):
            recorder.add(matcher, text, None, "prose")


def _world(
    namer: Namer, draw: Random, size: int, topics: Mapping[str, Sequence[Topic]], *, dense: bool
) -> Iterator[Told]:
    left, by_number = size, draw.random() < _BY_NUMBER
    while left:
        sort = draw.choice(list(topics))
        subject = _numbered(sort, draw) if by_number else namer.draw(sort)
        for topic in draw.sample(topics[sort], min(len(topics[sort]), left, draw.randint(2, 6) if dense else 1)):
            yield Told(topic, subject, namer.draw(topic.value))
            left -= 1


def _mixed(one: str, other: str) -> str:
    """A name of the beginning of one and the end of another: both halves are known, the thing is not."""
    first, last = one.split(), other.split()
    if min(len(first), len(last)) < 2 or first[-1] == last[-1] or first[0] == last[0]:
        return ""
    return " ".join([*first[:-1], last[-1]])


def _numbered(sort: str, draw: Random) -> str:
    """A thing that is known by its number alone."""
    noun = {"person": "customer", "company": "supplier", "city": "site", "country": "region"}.get(sort, sort)
    letters = "".join(draw.choice("ABCDEFGHKLMNPRSTUVXZ") for _ in range(draw.choice((1, 2, 2, 3))))
    number = draw.randrange(100, 10 ** draw.randint(4, 6))
    return f"{noun} {draw.choice((str(number), f'{letters}-{number}', f'{letters}{number}'))}"


def _record_told(
    recorder: Recorder,
    matcher: Matcher,
    namer: Namer,
    world: Sequence[Told],
    learned: str,
    row: int,
    topics: Mapping[str, Sequence[Topic]],
    draw: Random,
) -> None:
    told = world[row]

    def other(of: Told) -> str:
        text = of.asked(draw.choice(of.topic.wordings))
        return text.lower() if draw.random() < 0.1 else text

    for _ in range(2):
        recorder.add(matcher, other(told), (0, row), "worlds")
    recorder.add(matcher, draw.choice([*made(learned, seed=row), slipped(learned, draw)]), (0, row), "made")
    has = {o.topic.key for o in world if o.subject == told.subject}
    for topic in draw.sample(topics[told.topic.subject], min(2, len(topics[told.topic.subject]))):
        if topic.key not in has:
            recorder.add(matcher, other(Told(topic, told.subject, "")), None, "worlds")
    recorder.add(matcher, other(Told(told.topic, namer.draw(told.topic.subject), "")), None, "worlds")
    mixed = _mixed(told.subject, draw.choice(world).subject)
    if mixed and mixed not in {o.subject for o in world}:
        recorder.add(matcher, other(Told(told.topic, mixed, "")), None, "worlds")
    if draw.random() < 0.4:
        same = [(0, i) for i, o in enumerate(world) if normalise(o.value) == normalise(told.value)]
        recorder.add(matcher, draw.choice([learned, other(told)]), None, "worlds", same)
