"""Ways of asking, learned from the memory's own wordings: what was said of one fact serves the others.

- Two wordings of one fact teach that what each has and the other has not asks the same. After "What is the price of the
  Kelvor lamp?" and "How much does the Kelvor lamp cost?", the price of the Zorblat chair is found by "How much does the
  Zorblat chair cost?". So many facts must say so as the settings ask for: what is one and the same for a single thing
  (its founder and its head) is not for all.
- Two facts about one thing teach that what they do not share asks different things. Where one firm has a founder and a
  founding date, "Who founded Orbane?" is not answered with the date, though nothing else is known of Orbane.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from memtune.router.columns import Column, Sorted
from memtune.router.evidence import Evidence
from memtune.router.features import Query
from memtune.router.frames import NOTHING, Beside, Bools, Codes, Wordings, both, contrasts, frames_like, mixed
from memtune.router.keys import FORMS, GIVEN, NEVER, Keys
from memtune.router.words import KINDS_ASKED

_ANYTHING = KINDS_ASKED.index("what")
_TEACHERS = 64
"""Wordings that taught two frames, at most, that are looked at."""
_MEANINGS = 4
"""Facts, at most, that say what a wording of theirs means."""
_LOOKED_THROUGH = 1024
_WITNESSES = 128
"""Wordings, at most, among which things are looked for that have two facts."""


class Ways:
    def __init__(self, keys: Keys, evidence: Evidence, teachers: int) -> None:
        self._keys, self._evidence, self._teachers = keys, evidence, teachers
        self._same, self._said = Sorted(np.uint64), Sorted(np.uint64)
        """Numbers of keys: under the contrast, and under the two frames, that they teach to ask the same; under their
        own frame."""
        self._frame, self._about, self._whole = Column(np.uint64), Column(np.uint64), Column(np.uint64)
        self._waiting: list[tuple[Mapping[str, Tensor], Bools, NDArray[np.int64]]] = []

    @property
    def teach(self) -> bool:
        """Whether any two wordings teach that they ask the same."""
        self._catch_up()
        return self._teachers > 0 and bool(len(self._same))

    def add(self, keys: Mapping[str, Tensor], kept: Bools, numbers: NDArray[np.int64]) -> None:
        """Take a segment's wordings in. They are looked at when something is first asked in words of its own: learned
        wordings never need it."""
        if len(numbers):
            self._waiting.append((keys, kept, numbers))

    def _catch_up(self) -> None:
        for keys, kept, numbers in self._waiting:
            self._read(keys, kept, numbers)
        self._waiting.clear()

    def _read(self, keys: Mapping[str, Tensor], kept: Bools, numbers: NDArray[np.int64]) -> None:
        """What the wordings of a segment teach."""
        lengths = keys["lengths"].numpy()
        of_kept = np.repeat(kept, lengths)
        wordings = Wordings.of(
            keys["words"].numpy().view(np.uint32)[of_kept],
            keys["names"].numpy()[of_kept],
            lengths[kept],
            keys["wanted"].numpy()[kept],
            keys["forms"].numpy()[kept],
        )
        tags = keys["tags"].numpy()[kept] if "tags" in keys else np.full(len(numbers), GIVEN)
        later, firsts = _beside_first(keys["rows"].numpy()[kept], (tags == GIVEN) | (tags == NEVER))
        own = wordings.without(wordings.names)
        if len(later):
            pairs = wordings.chosen(later), wordings.chosen(firsts)
            own[later] = frames_like(*pairs)
            for taught in (contrasts(*pairs), both(own[later], own[firsts])):
                self._same.add(taught[taught != NOTHING], numbers[later[taught != NOTHING]])
        own = np.where(tags == GIVEN, own, NOTHING)
        self._frame.append(own)
        self._about.append(wordings.about())
        self._whole.append(wordings.whole())
        self._said.add(own[own != NOTHING], numbers[own != NOTHING])

    def same(self, query: Query, keys: NDArray[np.int64]) -> Bools:
        """Which of these wordings ask the same as the question, as wordings of other facts teach. That facts about one
        thing have different answers to the two counts for more."""
        if not self.teach or not len(keys):
            return np.zeros(len(keys), np.bool_)
        beside = self._beside(query, keys)
        framed = both(beside.frames(), beside.others.without(beside.others.names))
        codes = zip(beside.contrasts(), framed, keys.tolist(), strict=True)
        found = np.array([self._ask_the_same(a, key) or self._ask_the_same(b, key) for a, b, key in codes], np.bool_)
        places = np.flatnonzero(found)
        found[places] = ~self.other(query, keys[places])
        return found

    def other(self, query: Query, keys: NDArray[np.int64]) -> Bools:
        """Which of them ask something else, as facts about one thing teach."""
        if not len(keys):
            return np.zeros(0, np.bool_)
        self._catch_up()
        beside = self._beside(query, keys)
        frames = zip(beside.frames(), beside.others.without(beside.others.names), strict=True)
        return np.array(
            [
                self._framed_otherwise(*pair) or self._contrasted(query, key) or self._meant_otherwise(*pair)
                for pair, key in zip(frames, keys.tolist(), strict=True)
            ],
            np.bool_,
        )

    def _beside(self, query: Query, keys: NDArray[np.int64]) -> Beside:
        form = FORMS.index(query.form)
        asked = Wordings.of(query.words.hashes, query.words.names, [len(query.words)], [query.wants], [form])
        return Beside(asked, self._wordings(keys))

    def _wordings(self, keys: NDArray[np.int64]) -> Wordings:
        return Wordings.of(
            self._keys.words_of(keys),
            self._evidence.names.gather(keys),
            self._keys.word_counts(keys),
            self._evidence.wanted(keys),
            self._keys.forms_of(keys),
        )

    def _ask_the_same(self, pair: np.uint64, key: int) -> bool:
        """Whether enough other facts teach it, and no example of what must not fire is against it."""
        if pair == NOTHING or self._keys.tag(key) == NEVER:
            return False
        own = self._keys.owner(key)
        said = {t: self._keys.owner(t) for t in self._alive(self._same, pair, _TEACHERS).tolist()}
        teachers = {fact for fact in said.values() if fact != own}
        return len(teachers) >= self._teachers and all(self._keys.tag(teacher) != NEVER for teacher in said)

    def _framed_otherwise(self, one: np.uint64, other: np.uint64) -> bool:
        """Whether some thing has two facts with different answers, one in each frame."""
        if one == other or NOTHING in (one, other):
            return False
        ours, theirs = (self._alive(self._said, frame, _WITNESSES) for frame in (one, other))
        return self._differ(ours, theirs, self._about.values[ours], self._about.values[theirs])

    def _meant_otherwise(self, one: np.uint64, other: np.uint64) -> bool:
        """Whether facts that were given a wording of this frame are asked for in frames that ask something else."""
        given = self._alive(self._said, one, _MEANINGS).tolist() if one not in (NOTHING, other) else []
        of_facts = self._keys.of([self._keys.owner(key) for key in given])
        frames = set(self._frame.values[of_facts].tolist()) - {int(NOTHING), int(one)}
        return int(other) not in frames and any(self._framed_otherwise(np.uint64(f), other) for f in frames)

    def _contrasted(self, query: Query, key: int) -> bool:
        """Whether some thing has two facts with different answers whose wordings differ in the same words as these."""
        asked, held = query.words.hashes, self._keys.words_of(np.array([key]))
        one, other = np.setdiff1d(asked, held), np.setdiff1d(held, asked)
        if not len(one) or not len(other):
            return False
        wanted = int(self._evidence.wanted(np.array([key]))[0])
        ours, theirs = self._holding_all(one, query.wants), self._holding_all(other, wanted)
        rests = (self._whole.values[keys] - mixed(words).sum() for keys, words in ((ours, one), (theirs, other)))
        return self._differ(ours, theirs, *rests)

    def _differ(self, ours: NDArray[np.int64], theirs: NDArray[np.int64], one: Codes, other: Codes) -> bool:
        """Whether keys of equal codes, about the same names, lead to different answers."""
        answers: dict[tuple[int, int], set[int]] = defaultdict(set)
        for place, answer in self._coded(theirs, other):
            answers[place].add(answer)
        return any(place in answers and answers[place] != {answer} for place, answer in self._coded(ours, one))

    def _coded(self, keys: NDArray[np.int64], codes: Codes) -> list[tuple[tuple[int, int], int]]:
        """For each key that has names: its code with these, and its answer."""
        about = self._about.values[keys]
        found = zip(codes.tolist(), about.tolist(), self._evidence.answers(keys).tolist(), strict=True)
        return [((code, names), answer) for code, names, answer in found if names != NOTHING]

    def _holding_all(self, words: NDArray[np.uint32], wanted: int) -> NDArray[np.int64]:
        """Wordings that hold all of these words and want this sort of thing, among those that hold the rarest. What
        begins with "what" and what does not even ask want anything."""
        rarest = int(words[self._keys.frequencies(words).argmin()])
        found = self._keys.holding(rarest, _WITNESSES)
        sorts = np.minimum(self._evidence.wanted(found), _ANYTHING)
        found = np.asarray(found[sorts == min(wanted, _ANYTHING)], np.int64)
        if len(words) == 1 or not len(found):
            return found
        held = np.isin(self._keys.words_of(found), words)
        lengths = self._keys.word_counts(found)
        all_of_them = np.add.reduceat(held, np.cumsum(lengths) - lengths, dtype=np.int64) == len(words)
        return np.asarray(found[all_of_them], np.int64)

    def _alive(self, codes: Sorted, code: np.uint64, most: int) -> NDArray[np.int64]:
        """The oldest of the wordings under a code, those passed over that are gone."""
        found = codes.find(code).astype(np.int64)
        living = np.empty(0, np.int64)
        for start in range(0, len(found), _LOOKED_THROUGH):
            part = found[start : start + _LOOKED_THROUGH]
            living = np.concatenate([living, part[self._keys.alive(part)]])
            if len(living) >= most:
                break
        return living[:most]


def _beside_first(rows: NDArray[np.int32], speaking: Bools) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The places of all wordings but each fact's first, and of that first one."""
    places = np.flatnonzero(speaking)
    facts, first = np.unique(rows[places], return_index=True)
    firsts = places[first][np.searchsorted(facts, rows[places])]
    later = places != firsts
    return places[later], firsts[later]
