"""What was said of one fact serves the others: wordings that ask the same, and facts that ask different things."""

from __future__ import annotations

import pytest
from routers import lexical

from memtune.config import RouterConfig
from memtune.router.entries import Entry, Wording, make_keys
from memtune.router.keys import NEVER
from memtune.router.route import Owner, Route
from memtune.router.router import Router

OTHER_WORDS = ("How much must I pay for a {}?", "{}: what does it go for?")
MANY = [f"{a}{b}" for a in ("Zor", "Kel", "Bru", "Tam", "Wex") for b in ("blat", "vor", "dan", "mit", "phon", "lug")]


def prices(taught: int, *, never: str = "", answers: tuple[str, ...] = ()) -> Router:
    """Things with a price and a weight each; the other wordings are given for the first `taught`."""
    entries = []
    for number, name in enumerate(MANY):
        question = f"What is the price of the {name}?"
        given = [Wording(w.format(name)) for w in OTHER_WORDS] if number < taught else []
        if never and number == 1:
            given.append(Wording(never.format(name), NEVER))
        price = answers[number] if answers else f"{number}.50 euros"
        entries.append(Entry([Wording(question), *given], price, question))
        weight = f"What is the weight of the {name}?"
        entries.append(Entry([Wording(weight)], f"{number} kilos", weight))
    return router_over(entries)


def router_over(entries: list[Entry], teachers: int = 1) -> Router:
    router = Router(RouterConfig(teachers=teachers), encoder=lexical())
    router.add(1, make_keys(entries, lexical(), "int8"))
    return router


def fired(route: Route) -> list[Owner]:
    return [proposal.owner for proposal in route.confirmed]


@pytest.mark.parametrize("wording", OTHER_WORDS)
def test_a_wording_given_for_one_serves_all(wording: str) -> None:
    taught, untaught = prices(1), prices(0)
    asked = [(2 * n, wording.format(name)) for n, name in enumerate(MANY) if n]
    assert [fired(taught.route(text)) for _, text in asked] == [[(1, row)] for row, _ in asked]
    assert sum(bool(untaught.route(text).confirmed) for _, text in asked) < len(asked)
    reasons = {p.reason for _, text in asked for p in taught.route(text).confirmed}
    assert reasons == {"asked as wordings of other facts teach"}


def test_things_that_nobody_learned_are_not_found_by_it() -> None:
    router = prices(5)
    for name in ("Quorax", "Zorblatt", "Kelvor 2", "Kel"):
        assert not fired(router.route(OTHER_WORDS[0].format(name))), name


def test_what_was_forgotten_teaches_no_more() -> None:
    router = prices(1)
    text = OTHER_WORDS[0].format(MANY[3])
    assert fired(router.route(text)) == [(1, 6)]
    router.remove([(1, 0)])
    assert router.judge(text)[0].way == ""


def test_a_fact_does_not_teach_itself() -> None:
    router = prices(1)
    own = frozenset(router.keys_in(OTHER_WORDS[0].format(MANY[0])))
    assert all(judged.way != "same" for judged in router.judge(OTHER_WORDS[0].format(MANY[0]), without=own))


def test_an_example_that_must_not_fire_speaks_against_a_wording() -> None:
    text = OTHER_WORDS[0].format(MANY[3])
    assert prices(1).judge(text)[0].way == "same"
    assert prices(1, never=OTHER_WORDS[0]).judge(text)[0].way == ""


def test_where_it_could_be_two_facts_nothing_is_taught() -> None:
    """The same words were given for the price and for the weight."""
    entries = []
    for number, name in enumerate(MANY):
        for kind in ("price", "weight"):
            question = f"What is the {kind} of the {name}?"
            given = [Wording(f"Figures for {name}?" if kind == "price" else f"For {name} figures?")] * (number < 2)
            entries.append(Entry([Wording(question), *given], f"{kind} {number}", question))
    assert all(judged.way != "same" for judged in router_over(entries).judge(f"Figures for {MANY[5]}?"))


def founders(*, alike: bool = False) -> Router:
    """Firms with a founder, some of them with a founding date, the last with a date alone."""
    entries = []
    for number, name in enumerate(MANY):
        who, when = f"Who founded {name}?", f"When was {name} founded?"
        if number < len(MANY) - 1:
            entries.append(Entry([Wording(who)], f"Person {number}", who))
        if number % 3 == 0 or number == len(MANY) - 1:
            entries.append(Entry([Wording(when)], f"Person {number}" if alike else f"in {1900 + number}", when))
    return router_over(entries)


def test_two_facts_about_one_thing_teach_that_they_ask_different_things() -> None:
    judged = founders().judge(f"Who founded {MANY[-1]}?")
    date = next(j for j in judged if j.owner == (1, founders().exact(f"When was {MANY[-1]} founded?")[1]))  # type: ignore[index]
    assert (date.way, date.share) == ("other", 0.0)


def test_facts_with_one_answer_teach_no_difference() -> None:
    assert all(judged.way != "other" for judged in founders(alike=True).judge(f"Who founded {MANY[-1]}?"))


def test_wordings_without_names_teach_nothing() -> None:
    entries = [
        Entry([Wording("What is the refund period?"), Wording("How long can I return things?")], "30 days", "x"),
        Entry([Wording("What is the shipping time?")], "two days", "y"),
    ]
    router = router_over(entries)
    assert not router.matcher.ways.teach
    assert all(judged.way == "" for judged in router.judge("How long does it take to ship?"))


GOODS = ("Zorblat lamp", "Kelvor table", "Mira chair", "Tambrus scale")


def catalogue() -> Router:
    """Goods whose names end in small words: all have a price, the first has a weight and another wording too."""
    entries = []
    for number, name in enumerate(GOODS):
        question = f"What is the price of the {name}?"
        given = [Wording(f"How much must I pay for the {name}?")] if not number else []
        entries.append(Entry([Wording(question), *given], f"{40 + number} euros", question))
    weight = f"What is the weight of the {GOODS[0]}?"
    return router_over([*entries, Entry([Wording(weight)], "3 kilos", weight)])


@pytest.mark.parametrize("name", GOODS[1:])
def test_what_differs_between_two_wordings_counts_and_not_what_they_share(name: str) -> None:
    router = catalogue()
    assert fired(router.route(f"How much must I pay for the {name}?")) == [(1, GOODS.index(name))]
    for text in (f"What is the weight of the {name}?", f"weight of the {name}"):
        assert not fired(router.route(text))
        price = next(j for j in router.judge(text) if j.owner == (1, GOODS.index(name)))
        assert price.way == "other"


def test_a_given_wording_says_which_relation_it_is_not() -> None:
    """Nobody has both a staff and a phone under the words asked; that staff means employees is known from one firm."""
    entries = []
    for number, name in enumerate(MANY):
        people, phone = f"How many employees does {name} have?", f"What is the phone number of {name}?"
        given = [Wording(f"{name}: number of staff?")] if number == 0 else []
        if number % 3 != 2:
            entries.append(Entry([Wording(people), *given], f"{number} people", people))
        if number % 3:
            entries.append(Entry([Wording(phone)], f"555 {number}", phone))
    router = router_over(entries)
    phones = {router.exact(f"What is the phone number of {name}?"): name for name in MANY[2::3]}
    for owner, name in phones.items():
        judged = next((j for j in router.judge(f"{name}: number of staff?") if j.owner == owner), None)
        assert judged is None or judged.way == "other" or judged.share < 0.1, name


@pytest.mark.parametrize(("teachers", "taught", "found"), [(1, 1, True), (2, 1, False), (2, 2, True), (0, 5, False)])
def test_so_many_facts_must_teach_it(teachers: int, taught: int, found: bool) -> None:
    entries = []
    for number, name in enumerate(MANY):
        question = f"What is the price of the {name}?"
        given = [Wording(OTHER_WORDS[0].format(name))] if number < taught else []
        entries.append(Entry([Wording(question), *given], f"{number} euros", question))
    judged = router_over(entries, teachers).judge(OTHER_WORDS[0].format(MANY[8]))
    assert (judged[0].way == "same") is found


def heads_and_founders(*, apart: bool) -> Router:
    """Firms with a founder; of the first, the head is the same person, and is given as another wording of it."""
    entries = []
    for number, name in enumerate(MANY):
        founder, head = f"Who is the founder of {name}?", f"Who is the head of {name}?"
        given = [Wording(head)] if number == 0 else []
        entries.append(Entry([Wording(founder), *given], f"Person {number}", founder))
        if apart and 1 <= number <= 3:
            entries.append(Entry([Wording(head)], f"Head {number}", head))
    return router_over(entries)


def test_that_facts_differ_counts_for_more_than_what_one_wording_teaches() -> None:
    asked = f"Who is the head of {MANY[9]}?"
    assert heads_and_founders(apart=False).judge(asked)[0].way == "same"
    router = heads_and_founders(apart=True)
    assert not fired(router.route(asked))
    assert all(judged.way != "same" for judged in router.judge(asked))


def test_a_fact_that_is_nearly_certain_stays() -> None:
    entries = []
    for number, name in enumerate(MANY[:12]):
        founding = f"What is the founding date of {name}?"
        given = [Wording(f"What is the opening date of {name}?")] if number == 0 else []
        entries.append(Entry([Wording(founding), *given], f"in {1900 + number}", founding))
    opening = f"What is {MANY[5]}'s opening date?"
    router = router_over([*entries, Entry([Wording(opening)], "on 9 July", opening)])
    assert fired(router.route(f"What is the opening date of {MANY[5]}?")) == [(1, len(entries))]


def test_the_dead_do_not_keep_the_living_from_teaching() -> None:
    names = [f"{name}{end}" for name in MANY for end in ("a", "e", "o")]
    entries = []
    for number, name in enumerate(names):
        question = f"What is the price of the {name}?"
        given = [Wording(OTHER_WORDS[0].format(name))] if number < 80 else []
        entries.append(Entry([Wording(question), *given], f"{number} euros", question))
    router = router_over(entries)
    router.remove([(1, row) for row in range(78)])
    assert router.judge(OTHER_WORDS[0].format(names[85]))[0].way == "same"


def test_a_wording_that_only_says_more_is_taught_too() -> None:
    """It has all the words of the learned one: nothing stands on the other side of the contrast."""
    entries = []
    for number in range(30):
        question = f"What is the balance of account {88000 + 7 * number}?"
        longer = f"Please look up the balance for account number {88000 + 7 * number}."
        entries.append(Entry([Wording(question), *[Wording(longer)] * (number < 2)], f"{number} euros", question))
    judged = router_over(entries, teachers=2).judge(f"Please look up the balance for account number {88000 + 7 * 9}.")
    assert (judged[0].owner, judged[0].way) == ((1, 9), "same")
