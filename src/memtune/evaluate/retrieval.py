"""Finding facts as text: by their words (BM25) and by what they mean (the router's encoder), ranks joined."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from memtune.core.facts import Fact
from memtune.errors import ExtraMissing
from memtune.evaluate.cases import Case
from memtune.router.encoders import Encoder

_DEPTH = 50
"""Places of each ranking that count."""
_EVEN = 60.0
"""Added to every rank before its reciprocal is taken: the first place does not outweigh all others."""

MIXES: dict[str, tuple[float, float]] = {
    "words and meaning alike": (1.0, 1.0),
    "words before meaning": (3.0, 1.0),
    "meaning before words": (1.0, 3.0),
    "words alone": (1.0, 0.0),
    "meaning alone": (0.0, 1.0),
}
"""What a place in the ranking by words and one in that by meaning weigh when the two are joined."""


WORDINGS: dict[str, str] = {
    "question and answer in a row": "{question} {answer}",
    "as a sentence": "{question} {answer}.",
    "with the words Question and Answer": "Question: {question}\nAnswer: {answer}",
}
"""How a fact is told; how much of it a model can use depends on that."""
PLAINLY = next(iter(WORDINGS))


def passage(fact: Fact, wording: str = PLAINLY) -> str:
    """A fact as it is shown to the model. A passage is shown as it stands, under its title."""
    if fact.passage:
        return fact.page
    return WORDINGS[wording].format(question=fact.question, answer=fact.answer)


class Passages:
    """One passage a fact. All its wordings are searched; the learned one is shown."""

    def __init__(self, facts: Sequence[Fact], encoder: Encoder) -> None:
        self._words = _bm25()
        self._facts, self._encoder = facts, encoder
        texts = [" ".join((*fact.wordings, fact.answer)) for fact in facts]
        self._ranker = self._words.BM25()
        if texts:
            self._ranker.index(self._split(texts), show_progress=False)
        self._vectors = encoder.encode(texts)
        self.mix = next(iter(MIXES))

    def tune(self, cases: Sequence[Case]) -> None:
        """Take the mix that puts the facts which these cases ask for nearest to the top; the first of equals."""
        ranks = dict.fromkeys(MIXES, 0.0)
        for self.mix in MIXES:
            ranks[self.mix] = sum(_reciprocal(case, self.search(queries(case), _DEPTH)) for case in cases)
        self.mix = max(ranks, key=ranks.__getitem__)

    def search(self, queries: Sequence[str], k: int, without: Collection[str] = ()) -> list[Fact]:
        """The k best for all these queries together, facts of these ids left out."""
        joined: dict[int, float] = defaultdict(float)
        for query in queries:
            for weight, rank_by in zip(MIXES[self.mix], (self._by_words, self._by_meaning), strict=True):
                for rank, place in enumerate(rank_by(query) if weight else ()):
                    joined[place] += weight / (_EVEN + rank + 1)
        order = sorted(joined, key=lambda place: (-joined[place], place))
        return [self._facts[place] for place in order if self._facts[place].id not in without][:k]

    def _by_words(self, query: str) -> list[int]:
        if not self._facts:
            return []
        places, scores = self._ranker.retrieve(
            self._split([query]), k=min(_DEPTH, len(self._facts)), show_progress=False
        )
        return [int(place) for place, score in zip(places[0], scores[0], strict=True) if score > 0]

    def _by_meaning(self, query: str) -> list[int]:
        near = self._vectors @ self._encoder.encode([query])[0]
        top = np.argpartition(-near, min(_DEPTH, len(near)) - 1)[:_DEPTH] if len(near) else np.empty(0, np.int64)
        return [int(place) for place in sorted(top, key=lambda place: (-near[place], place)) if near[place] > 0]

    def _split(self, texts: Sequence[str]) -> Any:
        return self._words.tokenize(list(texts), stopwords="en", show_progress=False)


def queries(case: Case) -> list[str]:
    """What a case is searched by: what is asked last, and, where more was said before, all that the user said."""
    if isinstance(case.question, str):
        return [case.question]
    said = [message["content"] for message in case.question if message["role"] == "user"]
    return list(dict.fromkeys((said[-1], "\n".join(said))))


def _reciprocal(case: Case, found: Sequence[Fact]) -> float:
    return next((1 / (rank + 1) for rank, fact in enumerate(found) if fact.id in case.facts), 0.0)


def hits(found: Iterable[tuple[Case, Sequence[Fact]]]) -> float:
    """Of the facts that cases ask for, the share that was found."""
    wanted = [(fact, {f.id for f in shown}) for case, shown in found for fact in case.facts]
    return sum(fact in shown for fact, shown in wanted) / max(len(wanted), 1)


def _bm25() -> Any:
    try:
        import bm25s
    except ImportError:
        raise ExtraMissing("bm25s", "eval") from None
    return bm25s
