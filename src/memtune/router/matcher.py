"""One thing asked against all keys: propose the nearest wordings, compare them closely, give each fact its share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from memtune.config import IndexConfig, RouterConfig
from memtune.router.asked import form
from memtune.router.confirm import Confirmer
from memtune.router.doubts import DOUBTS, doubt
from memtune.router.encoders import Encoder
from memtune.router.evidence import Evidence
from memtune.router.features import OWN, Comparison, Floats, Proposed, Query, with_margins
from memtune.router.holding import Holding
from memtune.router.index import Index
from memtune.router.keys import NEVER, Keys
from memtune.router.namesakes import namesakes
from memtune.router.route import Owner
from memtune.router.vectors import restored
from memtune.router.ways import Ways
from memtune.router.words import Words, said, wanted

_MANY = 4096
"""So many new keys at once make the index look at all of them before it is trained."""
_SAMPLED = 65_536
_LEFT_OUT = 64
_READ = 50_000
"""Entries of word lists that one question may read."""
_ABOUT = 64
"""Wordings about one thing, at most, that are compared with what is asked of it."""
_LIKELY = 0.1
"""Share from which on it is worth a look whether a wording asks something else."""
_REFUSED = ("other", "name", *DOUBTS)
_SURE = 0.9
"""Share of a fact beside which nothing that is taught of another one counts."""
_TAUGHT_MOST = 8
_TAUGHT = np.float32(0.98)
"""Share of the fact that is asked for in a way which the wordings of other facts teach."""
_MET = (OWN.index("met_key"), OWN.index("met_query"))
_DIGITS = (OWN.index("digits_key"), OWN.index("digits_query"))


@dataclass(frozen=True)
class Judged:
    """One fact as an answer to one thing asked."""

    owner: Owner
    key: int
    """Its best wording."""
    share: float
    """Of all probability, the rest of which goes to the other facts and to there being none."""
    digits: bool
    """Whether a number or id stands on one side only."""
    features: Floats
    way: str = ""
    """`same` or `other`: what the wordings of other facts teach of the way in which it is asked for; `name` where the
    question names another thing of the same name; one of DOUBTS where it asks for less or more than the wording."""

    def meets(self, share: float) -> bool:
        """Whether wording and question meet in nearly all their words, both ways."""
        return bool(min(self.features[_MET[0]], self.features[_MET[1]]) >= share)


class Matcher:
    def __init__(self, config: RouterConfig, index: IndexConfig, encoder: Encoder, confirmer: Confirmer | None) -> None:
        self.config, self.index_config, self.encoder, self._confirmer = config, index, encoder, confirmer
        self.keys, self.evidence = Keys(), Evidence()
        self.ways = Ways(self.keys, self.evidence, config.teachers)
        self.holding = Holding(self.keys, self.evidence)
        self._index = Index(encoder.width, index)
        self._waiting: list[tuple[NDArray[np.int64], Tensor, NDArray[np.bool_]]] = []
        """Keys whose vectors the index does not hold yet: their numbers, their segment's vectors, which of those."""

    # ---- keys ---------------------------------------------------------------------------------------------------

    def add(self, segment: int, keys: Mapping[str, Tensor], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Take those keys of a segment in that `kept` marks. Returns their numbers."""
        numbers = self._take_in(segment, keys, kept)
        self._waiting.append((numbers, keys["vectors"], kept))
        return numbers

    def _take_in(self, segment: int, keys: Mapping[str, Tensor], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
        numbers = self.keys.add(segment, keys, kept)
        self.evidence.add(keys, kept)
        self.ways.add(keys, kept, numbers)
        return numbers

    def remove(self, numbers: NDArray[np.int64]) -> None:
        self.keys.remove(numbers)
        self._index.remove(numbers)

    @property
    def index(self) -> Index:
        """The nearest keys, with all that were added."""
        self._fill_index()
        return self._index

    def _fill_index(self) -> None:
        """The index takes waiting vectors in when it is first asked: learned wordings never need it."""
        if sum(len(numbers) for numbers, _, _ in self._waiting) > _MANY:
            self._index.expect(len(self.keys), self._sample())
        for numbers, vectors, kept in self._waiting:
            alive = self.keys.alive(numbers)
            self._index.add(numbers[alive], restored(vectors)[kept][alive])
        self._waiting.clear()

    def _sample(self) -> NDArray[np.float32]:
        """Some of the vectors that wait, from beginning to end, to train the index on."""
        step = max(1, sum(len(numbers) for numbers, _, _ in self._waiting) // _SAMPLED)
        return np.concatenate([restored(vectors[::step]) for _, vectors, _ in self._waiting])

    # ---- the two looks ------------------------------------------------------------------------------------------

    def query(self, text: str) -> Query:
        return Query(said(text), self.encoder.encode([text])[0], form(text), wanted(text), text)

    def propose(self, query: Query, without: frozenset[int] = frozenset()) -> Proposed:
        """The wordings that share the rarest words and those whose vectors are nearest, in turns; some left out. Beside
        them what other facts' wordings teach to be asked for, which many wordings of that kind may crowd out."""
        most = self.config.propose + min(len(without), _LEFT_OUT)
        by_words = self._by_words(query, most)
        by_vector = self._by_vector(query, most)
        turns = np.empty(2 * most, np.int64)
        turns[:] = -1
        turns[0 : 2 * len(by_words) : 2], turns[1 : 2 * len(by_vector) : 2] = list(by_words), by_vector
        found = list(dict.fromkeys(key for key in turns.tolist() if key >= 0))
        found = [key for key in found if key not in without] if without else found
        found = found[: self.config.propose]
        chosen = np.array([*found, *self._taught(query, without.union(found))], np.int64)
        return Proposed(chosen, np.array([by_words.get(key, 0.0) for key in chosen.tolist()], np.float32))

    def _taught(self, query: Query, without: frozenset[int]) -> list[int]:
        """Among the wordings that hold the rarest of the question's words and names, those known to ask the same."""
        if not self.ways.teach:
            return []
        words, names = query.words.hashes, query.words.names
        rarest = {self._rarest(words), self._rarest(words[names])} - {None}
        near = [self.keys.holding(word, _ABOUT) for word in rarest if word is not None]
        about = np.unique(np.concatenate([np.empty(0, np.int64), *near]))
        about = about[[key not in without for key in about.tolist()]]
        taught: list[int] = about[self.ways.same(query, about)][:_TAUGHT_MOST].tolist()
        return taught

    def _rarest(self, words: NDArray[np.uint32]) -> int | None:
        """Of those that some wording holds."""
        counts = self.keys.frequencies(words)
        known = words[counts > 0]
        return int(known[counts[counts > 0].argmin()]) if len(known) else None

    def _by_words(self, query: Query, most: int) -> dict[int, float]:
        hashes = query.words.hashes
        rarity = self.keys.rarity(hashes) ** 2
        weights = dict(zip(hashes.tolist(), rarity.tolist(), strict=True))
        scores, keys = self.keys.postings.search(weights, most, _READ)
        return dict(zip(keys.tolist(), scores.tolist(), strict=True))

    def _by_vector(self, query: Query, most: int) -> NDArray[np.int64]:
        if not query.vector.any():
            return np.empty(0, np.int64)
        return self._nearest(query.vector, most)

    def _nearest(self, vector: Floats, most: int) -> NDArray[np.int64]:
        _, keys = self.index.search(vector[None], most)
        nearest: NDArray[np.int64] = keys[0][keys[0] >= 0]
        return nearest

    def features(self, query: Query, proposed: Proposed) -> Floats:
        """A row of features for each proposed wording."""
        return self._compared(query, proposed, self.groups(proposed.keys))

    def _compared(self, query: Query, proposed: Proposed, groups: NDArray[np.int64]) -> Floats:
        compared = Comparison(query, proposed, self.keys, self.evidence)
        return with_margins(compared.table(), groups, compared.relations)

    def groups(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """Wordings by what they lead to: facts with one answer stand together, examples that must not fire alone."""
        never = np.array([self.keys.tag(int(key)) == NEVER for key in keys], bool)
        answers = self.evidence.answers(keys)
        _, groups = np.unique(np.where(never, ~answers, answers), return_inverse=True)
        return groups.astype(np.int64)

    def confirm(self, query: Query, proposed: Proposed) -> list[Judged]:
        """Each proposed fact with its share, the likeliest first. Where an example of what a fact must not answer is
        likelier than the fact, it gets nothing."""
        if not len(proposed.keys):
            return []
        assert self._confirmer is not None
        groups = self.groups(proposed.keys)
        features = self._compared(query, proposed, groups)
        logits = self._confirmer.logits(features)
        shares = self._confirmer.shares(logits, groups)[groups]
        ranks = logits.mean(0)
        ways = self._ways(query, proposed.keys, groups, shares)
        if (ways == "same").any():
            shares = np.where(ways == "same", np.maximum(shares, _TAUGHT), shares * (1 - _TAUGHT))
            ranks = np.where(ways == "same", np.inf, ranks)
        return self._by_fact(proposed.keys, features, np.where(np.isin(ways, _REFUSED), 0, shares), ranks, ways)

    def _ways(
        self, query: Query, keys: NDArray[np.int64], groups: NDArray[np.int64], shares: Floats
    ) -> NDArray[np.str_]:
        """What speaks for or against each wording beside the network: `name` for another of the same name; `other` and
        `same` by what facts teach, `same` only of one fact alone, where no other is nearly certain without it."""
        ways = np.full(len(keys), "", "<U6")
        same = self.ways.same(query, keys)
        likely = np.flatnonzero((shares >= _LIKELY) & ~same)
        ways[likely[self.ways.other(query, keys[likely])]] = "other"
        for place in np.flatnonzero((shares >= _LIKELY) | same):
            against = self._against(query, int(keys[place]))
            if against and (not same[place] or against == "name"):
                ways[place], same[place] = against, False
        rivals = (shares >= _SURE) & (ways == "") & ~np.isin(groups, groups[same])
        if len(np.unique(groups[same])) == 1 and not rivals.any():
            ways[same] = "same"
        return ways

    def _against(self, query: Query, key: int) -> str:
        """`name`, a doubt, or nothing."""
        if namesakes(query.words, self._said(key)):
            return "name"
        held = self.holding.wording(key, query.reading.named) if self.keys.tag(key) != NEVER else None
        return doubt(query.reading, held, self.keys.form(key)) if held is not None else ""

    def _said(self, key: int) -> Words:
        """The words of a wording, as they were when it was learned."""
        one = np.array([key])
        return Words(self.keys.words_of(one), self.evidence.names.gather(one), self.evidence.spellings.gather(one))

    def _by_fact(
        self, keys: NDArray[np.int64], features: Floats, shares: Floats, ranks: Floats, ways: NDArray[np.str_]
    ) -> list[Judged]:
        found: dict[Owner, list[int]] = defaultdict(list)
        barred: dict[Owner, float] = defaultdict(float)
        for place, key in enumerate(keys.tolist()):
            owner = self.keys.owner(key)
            if self.keys.tag(key) == NEVER:
                barred[owner] = max(barred[owner], float(shares[place]))
            else:
                found[owner].append(place)
        ranked = ranks.tolist()
        digits: list[bool] = np.any(features[:, list(_DIGITS)], axis=1).tolist()
        judged = []
        for owner, places in found.items():
            best = max(places, key=ranked.__getitem__)
            share = float(shares[best])
            share = share if share > barred[owner] else 0.0
            judged.append(Judged(owner, int(keys[best]), share, digits[best], features[best], str(ways[best])))
        return sorted(judged, key=lambda j: (-j.share, -float(j.features[OWN.index("similar_and_told")])))
