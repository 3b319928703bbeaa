"""One answer against what is right: exact, normalised, by shared words; and what it means to be wrong."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from memtune.evaluate.cases import Case, Said
from memtune.evaluate.stats import Rate

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_DOES_NOT_KNOW = re.compile(
    r"^(?:i (?:really )?(?:do not|don't|dont) know|i am not sure|i'm not sure|not (?:in the memory|stated|mentioned)|"
    r"unknown|no answer|i have no information)\b"
)
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def plain(text: str) -> str:
    """As SQuAD compares: small letters, no articles, no punctuation, single spaces."""
    text = unicodedata.normalize("NFKC", text).casefold().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def says_unknown(text: str) -> bool:
    """Whether a reply says in words that it does not know."""
    return bool(_DOES_NOT_KNOW.match(text.strip().casefold().replace("’", "'")))


def f1(said: str, right: str) -> float:
    """Of shared words, each counted as often as both have it."""
    a, b = plain(said).split(), plain(right).split()
    shared = sum((Counter(a) & Counter(b)).values())
    return 2 * shared / (len(a) + len(b)) if shared else float(a == b)


@dataclass(frozen=True)
class Score:
    """One reply, judged. Where nothing can be known, to abstain is right in every respect."""

    exact: bool
    normalised: bool
    f1: float
    given: bool
    """An answer was given at all."""
    wrong: bool
    """An answer was given, and it is not right."""
    fired: bool


def score(case: Case, said: Said) -> Score:
    given = not said.abstained and not says_unknown(said.text)
    if not case.knowable:
        return Score(not given, not given, float(not given), given, given, said.fired)
    exact = any(said.text.strip() == answer for answer in case.answers)
    normalised = any(plain(said.text) == plain(answer) for answer in case.answers)
    best = max(f1(said.text, answer) for answer in case.answers)
    return Score(exact, normalised, best, given, given and not normalised, said.fired)


@dataclass(frozen=True)
class Figures:
    """All cases of one form on one rung."""

    exact: Rate
    normalised: Rate
    f1: float
    abstained: Rate
    hallucinated: Rate
    """Wrong answers among those given."""
    fired: Rate
    prompt_tokens: float
    tokens_per_second: float
    milliseconds: float

    @classmethod
    def of(cls, scores: Sequence[Score], said: Sequence[Said]) -> Figures:
        given = [s for s in scores if s.given]
        seconds = sum(s.seconds for s in said)
        n = max(len(said), 1)
        return cls(
            exact=Rate.of(s.exact for s in scores),
            normalised=Rate.of(s.normalised for s in scores),
            f1=sum(s.f1 for s in scores) / n,
            abstained=Rate.of(not s.given for s in scores),
            hallucinated=Rate.of(s.wrong for s in given),
            fired=Rate.of(s.fired for s in scores),
            prompt_tokens=sum(s.prompt_tokens for s in said) / n,
            tokens_per_second=sum(s.new_tokens for s in said) / seconds if seconds else 0.0,
            milliseconds=1000 * seconds / n,
        )

    def to_json(self) -> dict[str, object]:
        low, high = self.exact.interval or (None, None)
        return {
            "n": self.exact.n,
            "exact": self.exact.value,
            "low": low,
            "high": high,
            "normalised": self.normalised.value,
            "f1": round(self.f1, 4),
            "abstained": self.abstained.value,
            "hallucinated": self.hallucinated.value,
            "given": self.hallucinated.n,
            "fired": self.fired.value,
            "prompt_tokens": round(self.prompt_tokens, 1),
            "tokens_per_second": round(self.tokens_per_second, 1),
            "milliseconds": round(self.milliseconds, 2),
        }
