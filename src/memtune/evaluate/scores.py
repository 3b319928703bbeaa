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
_BEFORE = (
    r"(?:(?:(?:i'm |i am )?(?:very |so )?sorry|i apologi[sz]e|i'm afraid|i am afraid|unfortunately|well|hmm|oh)[,.:;!]*"
    r"(?: but| that)? )*"
)
"""What politeness puts in front."""
_THING = r"(?:information|info|answer|data|details?|knowledge|idea|clue|records?|mention|facts?)"
_TOLD = r"(?:mentioned|stated|specified|given|provided|known|listed|included|recorded|documented|available|disclosed)"
_TEXT = r"(?:texts?|passages?|lines?|context|facts|information|memory|documents?|sources?|notes|prompt)"
_HOW = r"(?: (?:really|honestly|actually|currently|yet|simply|just|also|explicitly))?"
_NOT = r"(?:do not|don't|dont|does not|doesn't|did not|didn't)"
_CANNOT = r"(?:can't|cant|cannot|can not|could not|couldn't|am unable to|'m unable to|am not able to|'m not able to)"
_IS_NOT = r"(?:is not|isn't|isnt|was not|wasn't|are not|aren't|were not|weren't)"
_END = r"(?=[.,;:!?]|$)"
_DOES_NOT_KNOW = re.compile(
    rf"{_BEFORE}(?:"
    rf"i{_HOW} {_NOT}{_HOW} (?:know|remember|recall)\b|"
    rf"i{_HOW} {_NOT}{_HOW} have (?:that|this|the|any|an|enough|such)(?: \w+)? {_THING}\b|"
    rf"i ?{_CANNOT}{_HOW} (?:say|tell|find|answer|know|recall|determine|help)"
    rf"(?:{_END}| (?:you|that|this|it|the|any|an|what|who|when|where|which|whether|if|how|with|for sure)\b)|"
    rf"i(?: am|'m) (?:not (?:sure|certain|aware)|unsure|uncertain)\b|"
    rf"(?:i have|there is|there's|i've got|i've) no (?:such )?{_THING}\b|"
    rf"(?:it|this|that|the answer|the information) {_IS_NOT}{_HOW} "
    rf"(?:{_TOLD}|in (?:the|these|my) {_TEXT})(?:{_END}| (?:in|by|here|from|anywhere|to me)\b)|"
    rf"(?:the|his|her|its|their) \w+(?: \w+)? {_IS_NOT}{_HOW} {_TOLD}{_END}|"
    rf"(?:the|these|this|those|my)(?: \w+)? {_TEXT} {_NOT}{_HOW} (?:say|tell|mention|state|hold|contain|specify|"
    rf"provide|give|include|answer)\b|"
    rf"not (?:in the memory\b|sure\b|{_TOLD}(?:{_END}| (?:in|by|here|anywhere)\b))|"
    rf"(?:it is |it's |that is |that's |this is )?unknown{_END}|no (?:answer|idea|information|clue){_END}|"
    rf"(?:no one|nobody) knows\b)"
)
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def plain(text: str) -> str:
    """As SQuAD compares: small letters, no articles, no punctuation, single spaces."""
    text = unicodedata.normalize("NFKC", text).casefold().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def says_unknown(text: str) -> bool:
    """Whether a reply begins by saying that it does not know; a title that only begins alike does not."""
    return bool(_DOES_NOT_KNOW.match(" ".join(text.casefold().replace("’", "'").strip(" \n\t\"'“”").split())))


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
    routed: bool = True
    """There is a router that could have fired."""


def score(case: Case, said: Said) -> Score:
    given = not said.abstained and not says_unknown(said.text)
    fired, routed = bool(said.fired), said.fired is not None
    if not case.knowable:
        return Score(not given, not given, float(not given), given, given, fired, routed)
    exact = any(said.text.strip() == answer for answer in case.answers)
    normalised = any(plain(said.text) == plain(answer) for answer in case.answers)
    best = max(f1(said.text, answer) for answer in case.answers)
    given = given or exact or normalised  # what is right was given, even where it reads like "unknown"
    return Score(exact, normalised, best, given, given and not (exact or normalised), fired, routed)


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
    """Of the replies that a router had a say in."""
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
            fired=Rate.of(s.fired for s in scores if s.routed),
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
