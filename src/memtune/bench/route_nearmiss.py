"""Which near misses are fair: locality prompts less those that ask for a learned fact after all.

CounterFact gives with every fact a prompt of the same relation about another subject, on which no fact may fire. Some
of these subjects have learned facts of their own. A prompt is read as a template and a subject, and the template as
the families of questions that it may belong to; a template such as `{}, in` belongs to several. Taken out is

- `repeated`: a prompt that an earlier row has already asked,
- `identical`: a prompt that is a learned wording,
- `same question`: a learned fact has this subject, and both templates belong to the same one family,
- `may be the same`: a learned fact has this subject, and the templates have a family in common among others,
- `same name`: the subject is a learned one but for a form of state or company, or the maker's name, and as above,
- `unread`: no template fits, and the prompt names a learned subject.

What is left names another subject, or asks something else of the same one.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from memtune.core.facts import normalise

_SOMEWHERE = (
    "{} is located in", "{}, in", "{} is in", "{} can be found in", "{}, located in", "{}, which is located in",
    "{} is within", "The location of {} is", "Where is {}? It is located in",
)  # fmt: skip
_FROM = ("{}, from", "{} from", "{} is from", "{} was from", "{}, that was from", "{} originated from")
_PLAYS = ("{} plays", "{}, who plays", "What does {} play? They play", "{}, the", "{} performs", "{} plays the")
_LANGUAGE_OF = ("The language of {} is", "The language of {} was")

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "country": (*_SOMEWHERE, "{} is located in the country of"),
    "continent": (
        *_SOMEWHERE, "{} is located in the continent", "{} belongs to the continent of",
        "{} is a part of the continent of",
    ),
    "place": _SOMEWHERE,
    "headquarters": (
        *_SOMEWHERE, "The headquarter of {} is located in", "The headquarters of {} is in",
        "The headquarter of {} is in", "{}, whose headquarters are in", "{}'s headquarters are in",
        "{} is headquartered in", "{} is based in",
    ),
    "origin": (
        *_FROM, "{} originates from", "{} was born in", "{} is native to", "{} was native to",
        "{} is originally from", "{} was originally from", "{}, that was created in", "{}, created in",
        "{} originated in", "{} was created in", "{}, that originated in", "{} formed in", "{}, that was started in",
        "{} was created in the country of", "{} that was founded in", "{}, that was formed in",
        "{} was formulated in", "{} was formed in", "{} started in", "{}, that was formulated in",
        "{} was developed in", "{}, formulated in", "{}, founded in", "{} was started in", "{}, developed in",
        "{} was founded in", "{}, that was developed in",
    ),
    "citizenship": (
        *_FROM, "{} holds a citizenship from", "{} has a citizenship from", "{}, a citizen of",
        "{}, who is a citizen of", "{} is a citizen of", "{}, who has a citizenship from",
        "{}, who holds a citizenship from",
    ),
    "owner": ("{}, from", "{} is from", "{} is owned by", "{}'s owner", "{} owner", "{}, by"),
    "maker": (
        "{}, by", "{}, created by", "{}, developed by", "{} is created by", "{} is developed by", "{} is a product of",
        "{} is produced by", "{}, produced by", "{}, a product manufactured by", "{}, a product created by",
        "{}, a product of", "{} was a product of", "{} was created by", "{} was developed by",
        "{}, a product developed by",
    ),
    "official language": (
        *_LANGUAGE_OF, "The law in {} declares the language", "The official language of {} is",
        "In {}, they understand", "In {}, the language spoken is", "In {}, an official language is",
    ),
    "language of a work": (
        *_LANGUAGE_OF, "The original language of {} is", "The original language of {} was", "{} is written in",
        "{} was written in",
    ),
    "language of a person": (
        "{} speaks the language", "The language used by {} is", "{} speaks", "{} writes in",
        "The mother tongue of {} is", "The native language of {} is", "{} spoke the language", "{}, a native",
        "{} is a native speaker of", "{}, speaker of",
    ),
    "twin city": ("{} is a twin city of", "What is the twin city of {}? It is", "The twin city of {} is"),
    "position on the field": (
        "{}, the", "{}, who plays the position", "{} plays as", "Which position does {} play? They play as",
        "{} plays in the position of", "{}'s position is", "{} plays",
    ),
    "sport": (*_PLAYS, "{} is a professional", "{} professionally plays the sport",
              "What sport does {} play? They play"),
    "instrument": (
        *_PLAYS, "{} plays the instrument", "{}, playing the", "{}, performing on the", "{} performs on the",
    ),
    "genre": (*_PLAYS, "The genre played by {} is", "{} is known for performing"),
    "occupation": (
        "{} is a", "The occupation of {} is", "{} works as", "{}'s profession is a", "{}'s profession is an",
        "{}, who works as", "The profession of {} is", "{}'s occupation is", "{}'s expertise is",
        "The expertise of {} is", "The domain of work of {} is", "The domain of activity of {} is",
        "{} works in the field of",        "{} works in the area of",
        "{}'s area of work is", "{}'s domain of activity is", "{}'s domain of work is",
        "{} specializes in", "{} is a professional",
    ),
    "office": (
        "{}, the", "{} is a", "{} holds the title of", "{}'s position is", "{}, who holds the position of",
        "{} holds the position of", "{}, whose position is that of", "{}, who has the position of",
        "{} has the position of",
    ),
    "place of work": (
        "{} was employed in", "{} used to work in", "{} worked in the city of", "{} found employment in",
        "{} worked in", "{} took up work in",
    ),
    "employer": ("{} works for", "{} is employed by", "{}, of", "{}, who is employed by", "{}, who works for"),
    "place of death": (
        "{} died at", "{} died in the city of", "{}'s life ended in", "{} died in", "{} passed away in",
        "{} passed away at", "{} expired at", "{} lost their life at", "{} succumbed at",
    ),
    "broadcaster": (
        "{} debuted on", "{} premieres on", "{} was released on", "{} was originally aired on", "{} is to debut on",
        "{} premiered on",
    ),
    "religion": (
        "{} follows the religion of", "The official religion of {} is", "{} is follower of",
        "{} is affiliated with the religion",
    ),
    "membership": (
        "{} is affiliated with", "{} is a part of the", "{} belongs to the organization of",
        "{} is affiliated with the", "{} is a member of",
    ),
    "namesake": (
        "{} is called after", "{}, which was named for", "{} is named after", "{} was named for",
        "{}, which is named after", "{}, which is called after", "{}, called after", "{}, named after",
        "{} was called after", "{} was named after", "{} is named for", "{}, which was named after",
        "{}, which is named for", "{}, named for", "{}, which was called after",
    ),
    "capital": (
        "The capital of {} is", "{}, which has the capital", "{}'s capital is", "{}, which has the capital city",
        "{}'s capital,", "{}'s capital city,", "{}'s capital city is", "The capital city of {} is",
    ),
    "label": (
        "{}, released by", "{} is represented by record label", "{}'s record label is", "{}, that is represented by",
        "The music label that is representing {} is", "{} is represented by music label",
        "{}, which is represented by", "{} recorded for", "The music label representing {} is",
        "{}'s record company is", "{} label :", "{} is represented by", "{}'s label is", "{}'s music label is",
    ),
}  # fmt: skip

_OF_TEMPLATE: dict[str, frozenset[str]] = {
    template: frozenset(name for name, members in FAMILIES.items() if template in members)
    for members in FAMILIES.values()
    for template in members
}
_PATTERNS = [
    (re.compile(re.escape(template).replace(r"\{\}", "(.+)"), re.IGNORECASE), families)
    for template, families in sorted(_OF_TEMPLATE.items(), key=lambda item: -len(item[0]))
]


@dataclass(frozen=True)
class Reading:
    """A prompt as a subject and the families of questions that it may belong to."""

    subject: str
    families: frozenset[str]


def read(prompt: str) -> Reading | None:
    """By the template that says most; None where none fits."""
    for pattern, families in _PATTERNS:
        found = pattern.fullmatch(prompt.strip())
        if found:
            return Reading(found.group(1), families)
    return None


def read_about(prompt: str, subject: str) -> Reading | None:
    """The same where the subject is known."""
    families = _OF_TEMPLATE.get(prompt.strip().replace(subject, "{}", 1))
    return Reading(subject, families) if families else None


@lru_cache(maxsize=65_536)
def plain_name(subject: str) -> str:
    """Without accents, case, marks and a leading article: names that differ in nothing else are one."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", subject) if not unicodedata.combining(c))
    words = re.findall(r"\w+", bare.casefold())
    return " ".join(words[1:] if words[:1] == ["the"] and len(words) > 1 else words)


_FORMS_OF_A_NAME = frozenset(
    "the of a kingdom republic state colony protectorate dominion principality commonwealth city county grand duchy "
    "first second third fourth fifth studios studio inc incorporated ltd limited company "
    "corporation corp co group sir dame".split()
)
_WORDS_AROUND = 3
"""By how many words two names of one thing differ at most."""
_OTHER_NAMES = {
    "kyiv": "kiev",
    "lodhi dynasty": "lodi dynasty",
    "usman ibn affan": "uthman ibn affan",
    "karel van mander the elder": "karel van mander i",
    "mcdonnell douglas dc 9": "dc 9",
    "organisation for economic cooperation and development": "organisation for economic co operation and development",
}
"""Names of one thing that were found by reading all pairs of similar ones."""


@dataclass(frozen=True)
class Learned:
    """What the rule needs to know of a learned fact. `truth`: what CounterFact holds to be true of its subject."""

    row: int
    wording: str
    subject: str
    answer: str = ""
    truth: str = ""


@dataclass(frozen=True)
class NearMiss:
    """A prompt on which no fact may fire, and the row that it came with."""

    row: int
    prompt: str
    truth: str = ""


@dataclass(frozen=True)
class Verdict:
    """`reason` is empty where the prompt is kept; `of` is the learned row that it asks for."""

    miss: NearMiss
    reason: str = ""
    of: int | None = None
    near: bool = False
    """Kept, though it shares its subject or part of it with a learned fact."""


REASONS = ("repeated", "identical", "same question", "may be the same", "same name", "unread")


class Cleaner:
    """The rule above, over the facts of one memory."""

    def __init__(self, learned: Sequence[Learned]) -> None:
        self._wordings = {normalise(fact.wording): fact.row for fact in learned}
        self._by_name: dict[str, list[tuple[Learned, Reading | None]]] = defaultdict(list)
        self._by_part: dict[str, set[str]] = defaultdict(set)
        for fact in learned:
            name = plain_name(fact.subject)
            self._by_name[name].append((fact, read_about(fact.wording, fact.subject)))
            for part in _parts(name):
                self._by_part[part].add(name)

    def sort(self, misses: Sequence[NearMiss]) -> list[Verdict]:
        """A verdict for each, in their order."""
        seen: dict[str, int] = {}
        verdicts = []
        for miss in misses:
            first = seen.setdefault(normalise(miss.prompt), miss.row)
            verdicts.append(self.judge(miss) if first == miss.row else Verdict(miss, "repeated", first))
        return verdicts

    def judge(self, miss: NearMiss) -> Verdict:
        wording = self._wordings.get(normalise(miss.prompt))
        if wording is not None:
            return Verdict(miss, "identical", wording)
        reading = read(miss.prompt)
        if reading is None:
            return self._unread(miss)
        name = plain_name(reading.subject)
        name = _OTHER_NAMES.get(name, name)
        for fact, known in self._by_name.get(name, ()):
            reason = _same(known, reading)
            if reason:
                return Verdict(miss, reason, fact.row)
        for other in self._alike(name):
            for fact, known in self._by_name[other]:
                if _same(known, reading) and _one_thing(name, other, fact.truth if fact.truth == miss.truth else ""):
                    return Verdict(miss, "same name", fact.row)
        return Verdict(miss, near=name in self._by_name or bool(self._alike(name)))

    def contested(self) -> set[int]:
        """Rows whose subject has another learned answer to what may be the same question: data that contradict
        themselves in two wordings, so that no router can be right about both."""
        return {
            fact.row
            for alike in self._by_name.values()
            for fact, known in alike
            if any(known and other.answer != fact.answer and _same(others, known) for other, others in alike)
        }

    def _unread(self, miss: NearMiss) -> Verdict:
        for part in _parts(plain_name(miss.prompt)):
            for fact, _ in self._by_name.get(part, ()):
                return Verdict(miss, "unread", fact.row)
        return Verdict(miss)

    def _alike(self, name: str) -> list[str]:
        """Learned names that hold this one or stand in it, word for word."""
        within = [part for part in _parts(name) if part in self._by_name]
        return sorted({*within, *self._by_part.get(name, ())} - {name})


def _parts(name: str) -> Iterator[str]:
    words = name.split()
    for start in range(len(words)):
        for end in range(start + 1, len(words) + 1):
            yield " ".join(words[start:end])


def _same(known: Reading | None, asked: Reading) -> str:
    """Whether two prompts about one subject ask the same: surely, perhaps, or (empty) not."""
    if known is None:
        return "may be the same"
    if not known.families & asked.families:
        return ""
    return "same question" if len(known.families) == len(asked.families) == 1 else "may be the same"


def _one_thing(name: str, other: str, maker: str) -> bool:
    """Whether two names differ only in what a form of state, company or address adds, or in the maker's name."""
    more = Counter(name.split()), Counter(other.split())
    extra = (more[0] - more[1]) + (more[1] - more[0])
    return extra.total() <= _WORDS_AROUND and set(extra) <= _FORMS_OF_A_NAME | set(plain_name(maker).split())


def numbers(verdicts: Sequence[Verdict]) -> dict[str, list[int]]:
    """The list as it may be published: row numbers by reason, without a word of the data."""
    found: dict[str, list[int]] = {reason: [] for reason in REASONS}
    for verdict in verdicts:
        if verdict.reason:
            found[verdict.reason].append(verdict.miss.row)
    return found
