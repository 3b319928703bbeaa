"""Invented firms with five facts each: the asked relation, one that this firm's facts lack, one that nobody has.

Asked once with no other wording known than the learned one, and once where the wordings are given for a few firms that
are not asked about."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from memtune.bench.route_sets import Group, Query, RouteSet
from memtune.core.facts import Fact
from memtune.evaluate.use.names import names

FACTS_EACH = 5
_LACKING_EACH, _UNHEARD_EACH = 2, 2
ASKED, LACKING, UNHEARD = "asked relation", "relation not learned for it", "relation of nobody"
_MONTHS = "January February March April May June July August September October November December".split()


@dataclass(frozen=True)
class Relation:
    """What is said of a firm {}: the learned wording, others that are only asked, and how a value is drawn."""

    name: str
    learned: str
    asked: tuple[str, ...]
    value: Callable[[random.Random, Iterator[str]], str]


def _person(draw: random.Random, new: Iterator[str]) -> str:
    return f"{next(new)} {next(new)}"


def _place(draw: random.Random, new: Iterator[str]) -> str:
    return f"{next(new)}, in the district of {next(new)}"


def _date(draw: random.Random, new: Iterator[str]) -> str:
    return f"on {draw.randint(1, 28)} {draw.choice(_MONTHS)} {draw.randint(1850, 2019)}, in {next(new)}"


def _number(draw: random.Random, new: Iterator[str]) -> str:
    return f"{draw.randint(1_000, 9_999_999):,}"


def _days(draw: random.Random, new: Iterator[str]) -> str:
    return f"{draw.randint(2, 90)} days, by the rule of {next(new)}"


def _address(draw: random.Random, new: Iterator[str]) -> str:
    return f"{next(new).lower()}@{next(new).lower()}.example"


def _hours(draw: random.Random, new: Iterator[str]) -> str:
    return f"from {draw.randint(6, 10)} to {draw.randint(15, 21)}, except on {next(new)} Day"


def _thing(draw: random.Random, new: Iterator[str]) -> str:
    return f"the {next(new)} {draw.choice('lamp pump scale saw kettle press loom drill'.split())}"


RELATIONS = (
    Relation("founder", "Who founded {}?",
             ("Who is the founder of {}?", "By whom was {} started?", "Tell me who set up {}."), _person),
    Relation("founded", "When was {} founded?",
             ("In which year did {} start?", "What is the founding date of {}?", "Since when has {} existed?"), _date),
    Relation("headquarters", "Where is the headquarters of {}?",
             ("In which town is {} based?", "Where does {} have its head office?", "{}'s main office is where?"),
             _place),
    Relation("head", "Who is the chief executive of {}?",
             ("Who runs {}?", "What is the name of {}'s CEO?", "Who leads {} today?"), _person),
    Relation("employees", "How many employees does {} have?",
             ("How many people work at {}?", "What is the size of {}'s staff?", "{}: number of employees?"), _number),
    Relation("product", "What is the main product of {}?",
             ("What does {} mostly make?", "Which product is {} best known for?", "What is {}'s chief product?"),
             _thing),
    Relation("phone", "What is the phone number of {}?",
             ("Which number do I dial for {}?", "How can I call {}?", "{}'s telephone number, please."), _number),
    Relation("returns", "What is the return period of {}?",
             ("How long can I send things back to {}?", "Until when does {} take goods back?",
              "How many days do I have to return something to {}?"), _days),
    Relation("delivery", "How long does delivery by {} take?",
             ("When will a parcel from {} arrive?", "What is the delivery time of {}?", "How fast does {} ship?"),
             _days),
    Relation("hours", "What are the opening hours of {}?",
             ("When is {} open?", "At what time does {} open and close?", "{}: opening times?"), _hours),
    Relation("warranty", "How long is the warranty of {}?",
             ("What guarantee does {} give?", "For how long does {} warrant its goods?",
              "How many days of warranty do I get from {}?"), _days),
    Relation("mail", "What is the support address of {}?",
             ("To which e-mail address do I write for help from {}?", "How do I reach {}'s support by mail?",
              "Support e-mail of {}?"), _address),
    Relation("revenue", "What is the yearly revenue of {}?",
             ("How much does {} turn over in a year?", "What are {}'s annual sales?", "How much money does {} make?"),
             _number),
    Relation("auditor", "Who audits the books of {}?",
             ("Which auditor does {} have?", "By whom are {}'s accounts checked?", "Who is {}'s auditor?"), _person),
)  # fmt: skip
NOBODYS = (
    "What is the mascot of {}?", "Which colour is the logo of {}?", "Who insures the buildings of {}?",
    "How many parking spaces does {} have?", "What is the dress code at {}?", "Who cooks in the canteen of {}?",
    "Which football club does {} sponsor?", "What is the tax number of {}?", "Does {} allow dogs in the office?",
    "When is the summer party of {}?", "How tall is the tower of {}?", "Which bank does {} use?",
)  # fmt: skip


def entity_set(n: int, seed: int, taught: int = 0) -> RouteSet:
    """n firms. Every fact is asked once in other words; two lacking relations and two of nobody for every firm. Of the
    first `taught` all wordings are given, and nothing is asked."""
    draw = random.Random(f"entities {seed}")
    new = names(draw)
    facts: list[Fact] = []
    asked: list[Query] = []
    lacking: list[Query] = []
    unheard: list[Query] = []
    for number in range(n):
        firm = next(new) if number % 2 else f"{next(new)} {next(new)}"
        drawn = draw.sample(RELATIONS, len(RELATIONS))
        teaches = number < taught
        for relation in drawn[:FACTS_EACH]:
            answer = relation.value(draw, new)
            asked.append(Query(f"{firm} / {relation.name}", _other(relation, firm, draw), len(facts)))
            given = tuple(wording.format(firm) for wording in relation.asked) if teaches else ()
            question = relation.learned.format(firm)
            facts.append(Fact(f"{firm} / {relation.name}", question, answer, given, group=firm))
        for relation in drawn[FACTS_EACH : FACTS_EACH + _LACKING_EACH]:
            wording = draw.choice((relation.learned, *relation.asked)).format(firm)
            lacking.append(Query(f"{firm} / {relation.name}", wording))
        for wording in draw.sample(NOBODYS, _UNHEARD_EACH):
            unheard.append(Query(f"{firm} / {wording}", wording.format(firm)))
    of_others = (asked[FACTS_EACH * taught :], lacking[_LACKING_EACH * taught :], unheard[_UNHEARD_EACH * taught :])
    groups = [Group(name, queries) for name, queries in zip((ASKED, LACKING, UNHEARD), of_others, strict=True)]
    return RouteSet(f"entities, wordings of {taught} given" if taught else "entities", facts, groups)


def _other(relation: Relation, firm: str, draw: random.Random) -> str:
    return draw.choice(relation.asked).format(firm)
