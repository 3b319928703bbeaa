"""Invented names and values, and the line between training and held-out ones.

Every name word belongs to exactly one split, decided by its hash, so that a held-out name shares no word with any
training name and no list has to be kept. Values without names (prices, dates, codes) are simply too many to learn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from random import Random

TRAIN, HELDOUT = "train", "heldout"
SPLITS = (TRAIN, HELDOUT)
HELDOUT_SHARE = 8  # one name word in eight is kept for evaluation

ONSETS = "b br c ch cl d dr f fr g gr h j k kl l m n p pr qu r s sh sk st t th tr v w y z".split()
NUCLEI = ("a e i o u " * 4 + "ai ea ia io oa ou").split()
CODAS = "n r l s m t nd rn th x ck ld".split() + [""] * 9
CITY_ENDINGS = "ville ford ton burg holm mouth stad grad bury ham field haven port wick dale by".split()
LAND_ENDINGS = "ia land stan ania oria esia avia ora".split()

FIRST_NAMES = """Ada Alan Alice Amara Amir Ana Andre Anna Anton Aria Arthur Asha Astrid Ben Bianca Boris Bruno Carla
Carlos Cecil Chen Clara Colin Cora Dalia Daniel Daria David Diego Dora Edgar Elena Eli Elsa Emil Emma Erik Esther Eva
Farah Felix Fiona Frank Freya George Gita Grace Greta Hana Hannah Harold Hassan Helen Henry Hugo Ida Igor Ines Ingrid
Irene Isaac Ivan Jack Jan Jane Jonas Jorge Julia Kai Karen Karim Kate Kenji Lars Laura Lena Leo Lily Linda Louis Lucas
Lucy Luis Maria Marco Mark Marta Martin Maya Mei Mia Miguel Milan Mina Mona Nadia Naomi Nina Noah Nora Olga Oliver Omar
Oscar Otto Pablo Paul Paula Pedro Peter Petra Quinn Rahul Ralph Ravi Rita Robert Rosa Rose Ruth Salma Sam Samir Sara
Simon Sofia Stefan Susan Sven Tara Tessa Theo Thomas Tina Tom Uma Vera Victor Vikram Walter Wanda Willa Yara Yusuf Zoe
""".split()
WORDS = """Amber Anchor Apex Arrow Aspen Atlas Aurora Autumn Beacon Birch Bramble Bridge Bright Bronze Canyon Cedar
Citadel Clover Comet Copper Coral Cotton Crane Crescent Crimson Crown Crystal Delta Desert Diamond Eagle Echo Elm Ember
Emerald Evergreen Falcon Fern Forest Fox Garden Ginger Glacier Golden Granite Harbor Hawk Hazel Heron Hollow Horizon
Indigo Iron Island Ivory Ivy Jade Jasmine Juniper Lantern Laurel Lavender Lily Lotus Lunar Maple Marble Meadow Midnight
Mirror Moss Mountain Nova Oak Ocean Olive Onyx Opal Orchard Orchid Otter Owl Pearl Pebble Phoenix Pine Pioneer Plum
Prairie Quartz Raven Red Reef Ridge River Robin Rocket Ruby Saffron Sage Sail Sapphire Scarlet Shadow Silver Sky Solar
Spark Spring Sterling Stone Storm Summer Summit Sunset Swan Thistle Thunder Tiger Timber Topaz Tulip Valley Velvet
Violet Walnut Whisper Willow Winter Wolf Zephyr""".split()
COMPANY_ENDINGS = "Ltd Inc Group Systems Labs Foods Motors Logistics Partners Software Bank Energy Media Works".split()
PRODUCT_NOUNS = """kettle lamp backpack printer keyboard chair blender camera drill tent bicycle heater mixer speaker
router watch desk jacket toaster vacuum scanner monitor headset cooler grill""".split()

COLOURS = "red blue green yellow black white orange purple brown grey pink silver gold teal beige navy".split()
MATERIALS = "steel oak glass leather cotton wool copper plastic bamboo marble aluminium ceramic linen rubber".split()
JOBS = """engineer teacher doctor nurse lawyer painter chemist pilot baker architect farmer biologist carpenter writer
accountant electrician librarian geologist musician photographer plumber journalist""".split()
LANGUAGES = "English French Spanish German Italian Dutch Polish Arabic Hindi Swedish Greek Korean Turkish Thai".split()
HOBBIES = (
    "chess climbing cooking cycling fishing gardening knitting painting photography rowing running sailing".split()
)
STATUSES = "shipped pending delivered cancelled returned delayed confirmed refunded packed".split()
MONTHS = """January February March April May June July August September October November December""".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
INDUSTRIES = "banking shipping mining farming insurance publishing fishing tourism energy forestry textiles".split()
GENRES = "mystery romance history poetry fantasy biography horror travel comedy philosophy".split()
SUBJECTS = "physics algebra botany grammar law ethics anatomy astronomy logic music geography".split()


def split_of(word: str) -> str:
    """The split a name word belongs to; the same on every machine and in every run."""
    digest = hashlib.sha256(word.lower().encode()).digest()
    return HELDOUT if digest[0] % HELDOUT_SHARE == 0 else TRAIN


def part(pool: Sequence[str], split: str) -> list[str]:
    """The words of a pool that belong to one split."""
    return [word for word in pool if split_of(word) == split]


POOLS = {split: {"first": part(FIRST_NAMES, split), "word": part(WORDS, split)} for split in SPLITS}


class Namer:
    """Draws names and values of any kind for one split. Of `words`, those of the split become parts of names too."""

    def __init__(self, rng: Random, split: str = TRAIN, words: Sequence[str] = ()) -> None:
        self.rng, self.split = rng, split
        self.further = [word.capitalize() for word in part(words, split)]
        self._makers: dict[str, Callable[[], str]] = {
            "person": self.person, "city": self.city, "country": self.country, "company": self.company,
            "product": self.product, "book": self.book, "order": self.order, "event": self.event,
            "price": self.price, "year": self.year, "date": self.date, "phone": self.phone, "code": self.code,
            "extension": lambda: self.digits(4), "period": self.period, "hours": self.hours, "email": self.email,
            "count": self.count, "weight": lambda: f"{rng.randint(2, 980)} kg",
            "length": lambda: f"{rng.randint(2, 990)} cm", "distance": lambda: f"{rng.randint(3, 950)} km",
            "percent": lambda: f"{rng.randint(1, 99)} %", "age": lambda: str(rng.randint(18, 95)),
            "room": lambda: f"{rng.choice('ABCDEFGH')}{rng.randint(10, 499)}",
        }  # fmt: skip
        for kind, words in CLOSED_KINDS.items():
            self._makers[kind] = lambda words=words: rng.choice(words)  # type: ignore[misc]

    def draw(self, kind: str) -> str:
        return self._makers[kind]()

    def draw_other(self, kind: str, taken: Sequence[str]) -> str:
        """A value of this kind that is none of those taken."""
        while (value := self.draw(kind)) in taken:
            pass
        return value

    def coin(self, probability: float) -> bool:
        return self.rng.random() < probability

    def invented(self, syllables: int, ending: str = "") -> str:
        """A capitalised made-up word of this split."""
        rng = self.rng
        while True:
            stem = "".join(rng.choice(ONSETS) + rng.choice(NUCLEI) + rng.choice(CODAS) for _ in range(syllables))
            if split_of(word := stem + ending) == self.split:
                return word.capitalize()

    def is_further(self, probability: float) -> bool:
        """Whether to take the next word from the further ones, where there are any."""
        return bool(self.further) and self.coin(probability)

    def word(self) -> str:
        return self.rng.choice(self.further if self.is_further(0.6) else POOLS[self.split]["word"])

    def person(self) -> str:
        if self.is_further(0.4):
            return (
                f"{self.rng.choice(self.further)} {self.rng.choice((self.rng.choice(self.further), self.invented(2)))}"
            )
        first = self.rng.choice(POOLS[self.split]["first"]) if self.coin(0.6) else self.invented(2)
        return f"{first} {self.invented(self.rng.choice((1, 2, 2)))}"

    def city(self) -> str:
        if self.is_further(0.25):
            return self.rng.choice(self.further)
        return self.invented(self.rng.choice((1, 2)), self.rng.choice(CITY_ENDINGS) if self.coin(0.5) else "")

    def country(self) -> str:
        return self.invented(self.rng.choice((1, 2)), self.rng.choice(LAND_ENDINGS))

    def company(self) -> str:
        stem = f"{self.word()}{self.rng.choice((' ', ''))}{self.word().lower()}" if self.coin(0.3) else self.invented(2)
        return f"{stem.title() if ' ' in stem else stem} {self.rng.choice(COMPANY_ENDINGS)}"

    def product(self) -> str:
        name = self.word() if self.coin(0.4) else self.invented(2)
        tail = self.rng.choice(PRODUCT_NOUNS) if self.coin(0.6) else f"{self.rng.randint(2, 990)}"
        return f"{name} {tail}"

    def book(self) -> str:
        shapes = (f"The {self.word()} of {self.invented(2)}", f"{self.invented(2)} {self.word()}", self.invented(2))
        return self.rng.choice(shapes)

    def event(self) -> str:
        return f"{self.invented(2)} {self.rng.choice(('Festival', 'Summit', 'Cup', 'Fair', 'Congress', 'Marathon'))}"

    def order(self) -> str:
        return f"order {self.digits(self.rng.choice((4, 5, 6)))}"

    def digits(self, count: int) -> str:
        return str(self.rng.randint(1, 9)) + "".join(self.rng.choice("0123456789") for _ in range(count - 1))

    def price(self) -> str:
        whole = self.rng.choice((self.rng.randint(2, 99), self.rng.randint(100, 4999)))
        cents = f".{self.rng.choice((49, 50, 95, 99))}" if self.coin(0.4) else ""
        return f"${whole:,}{cents}"

    def year(self) -> str:
        return str(self.rng.randint(1700, 2025))

    def date(self) -> str:
        day, month, year = self.rng.randint(1, 28), self.rng.choice(MONTHS), self.year()
        return self.rng.choice((f"{day} {month} {year}", f"{month} {day}, {year}", f"{day} {month}"))

    def phone(self) -> str:
        return f"{self.digits(3)}-{self.digits(4)}"

    def code(self) -> str:
        letters = "".join(self.rng.choice("ABCDEFGHJKLMNPRSTUVWXZ") for _ in range(self.rng.choice((2, 3))))
        return f"{letters}-{self.digits(self.rng.choice((2, 3, 4)))}"

    def period(self) -> str:
        return f"{self.rng.randint(2, 60)} {self.rng.choice(('days', 'weeks', 'months', 'years'))}"

    def hours(self) -> str:
        return f"{self.rng.randint(6, 11)} am to {self.rng.randint(3, 11)} pm"

    def email(self) -> str:
        return f"{self.invented(1).lower()}@{self.invented(2).lower()}.{self.rng.choice(('com', 'org', 'net'))}"

    def count(self) -> str:
        return f"{self.rng.choice((self.rng.randint(2, 99), self.rng.randint(100, 9999))):,}"


CLOSED_KINDS: dict[str, Sequence[str]] = {
    "colour": COLOURS, "material": MATERIALS, "job": JOBS, "language": LANGUAGES, "hobby": HOBBIES,
    "status": STATUSES, "day": DAYS, "industry": INDUSTRIES, "genre": GENRES, "subject": SUBJECTS,
}  # fmt: skip
