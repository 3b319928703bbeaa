"""What may not be seen is as if it had never been learned: in the router, in answers, in explanations."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from routers import lexical

from memtune import Answer, Config, MemoryModel, residents
from memtune.config import IndexConfig, RouterConfig
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.errors import UnknownFact, UsageError
from memtune.router.entries import Entry, make_keys
from memtune.router.index import Index
from memtune.router.part import Part
from memtune.router.route import Owner, Proposal, Route
from memtune.router.router import Router
from memtune.serve.desk import Asking
from memtune.serve.house import House
from memtune.serve.keys import Key

GROUPS = (None, "hr", "legal")
_NO, _HR = frozenset[str](), frozenset({"hr"})
_THINGS = ("Zorblat lamp", "Kelvor lamp", "Kelvor chair", "Mirana", "ferry Alma", "Orbane Ltd", "Brusk", "Tovik 7")
_ASKED = {
    "price": ("What is the price of the {}?", "How much does the {} cost?", "What must one pay for the {}?"),
    "founder": ("Who founded {}?", "Who is the founder of {}?", "By whom was {} set up?"),
    "year": ("When was {} founded?", "In which year was {} set up?", "Since when does {} exist?"),
    "place": ("Where does {} stand?", "Which town is {} in?", "In what place can {} be found?"),
    "skipper": ("Who steers {}?", "Who is the skipper of {}?", "Who is at the helm of {}?"),
}
_PEOPLE = ("Anna Brusk", "Tom Velm", "Ida Orrin", "Mirana", "ferry Alma")


def _memory(seed: int, size: int = 26) -> list[Fact]:
    """Facts about few things, with names, answers and wordings that several of them share."""
    chance = random.Random(seed)
    about = [*_THINGS, *_PEOPLE]
    chosen = chance.sample([(thing, asked) for thing in about for asked in _ASKED], size)
    facts = []
    for number, (thing, asked) in enumerate(chosen):
        first, *others = (wording.format(thing) for wording in _ASKED[asked])
        answer = chance.choice(_PEOPLE) if asked in ("founder", "skipper") else f"{asked} {chance.randrange(5)}"
        phrasings = tuple(other for other in others if chance.random() < 0.4)
        never = (f"Who paid for the {thing}?",) if chance.random() < 0.2 else ()
        group = chance.choice(GROUPS)
        facts.append(Fact(f"f{number}", first, answer, phrasings, never, group=group))
    return facts


def _questions(facts: Sequence[Fact]) -> list[list[dict[str, str]]]:
    """Learned wordings, others, several in one, texts that need facts, and follow-ups."""
    about = [*_THINGS, *_PEOPLE]
    single = [w.format(thing) for thing in about[:6] for wordings in _ASKED.values() for w in wordings[::2]]
    single += [fact.question for fact in facts]
    single += [text for fact in facts for text in fact.never]
    single += [
        "What are the price and the founder of Orbane Ltd?",
        "Who founded Mirana and Brusk?",
        "Is the Zorblat lamp cheaper than the Kelvor lamp?",
        "When was the founder of Brusk founded?",
        "Where does the skipper of the ferry Alma stand?",
        "Write a note on Mirana that names the founder and the year.",
        "Who founded the lamp?",
        "What is the price?",
    ]
    chats = [[first, "reply", second] for first, second in zip(single[::9], single[4::9], strict=False)]
    chats += [["Who founded Mirana?", "reply", "And Brusk?"], ["Where does Brusk stand?", "reply", "Who founded it?"]]
    return [_chat(said) for said in ([text] for text in single)] + [_chat(said) for said in chats]


def _chat(said: Sequence[str]) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]


def _taken_in(router: Router, facts: Sequence[Fact], lot: int = 10, first: int = 1) -> dict[Owner, Fact]:
    """Facts in lots, each a segment, and where each fact is."""
    for start in range(0, len(facts), lot):
        entries = [Entry.of(fact, 1) for fact in facts[start : start + lot]]
        router.add(first + start // lot, make_keys(entries, lexical(), RouterConfig().vectors))
    return {(first + i // lot, i % lot): fact for i, fact in enumerate(facts)}


def _router(facts: Sequence[Fact], knowing: bool) -> tuple[Router, dict[Owner, Fact]]:
    router = Router(RouterConfig(), encoder=lexical())
    at = _taken_in(router, facts)
    router.knowing = knowing
    router.fact_of = lambda owner: (at[owner].question, at[owner].answer)
    return router, at


def _part(router: Router, at: Mapping[Owner, Fact], hidden: Sequence[str]) -> Part:
    part = Part(router, lambda number: [row for (s, row), f in at.items() if s == number and f.group in hidden])
    part.knowing = router.knowing
    part.follow()
    return part


def _named(route: Route, at: Mapping[Owner, Fact]) -> list[Any]:
    """A route with facts by their ids, whatever number they have."""

    def row(p: Proposal) -> tuple[Any, ...]:
        return (at[p.owner].id, replace(p, owner=(0, 0)))

    return [route.asked, route.note, *(list(map(row, one)) for one in (route.confirmed, route.proposals, route.rivals))]


@pytest.mark.parametrize("knowing", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_routes_are_those_of_a_memory_that_never_held_the_hidden_facts(seed: int, knowing: bool) -> None:
    facts = _memory(seed)
    whole, at = _router(facts, knowing)
    part = _part(whole, at, ["hr"])
    never, at_never = _router([fact for fact in facts if fact.group != "hr"], knowing)
    confirmed = otherwise = 0
    for chat in _questions(facts):
        found = part.route_chat(chat)
        assert _named(found, at) == _named(never.route_chat(chat), at_never), chat
        assert all(at[p.owner].group != "hr" for p in (*found.proposals, *found.confirmed, *found.rivals))
        confirmed += bool(found.confirmed)
        otherwise += _named(found, at) != _named(whole.route_chat(chat), at)
    assert confirmed > 10  # these are questions with answers, and what is hidden made a difference
    assert otherwise > 10


@pytest.mark.parametrize("knowing", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_a_part_follows_what_comes_and_goes(seed: int, knowing: bool) -> None:
    facts = _memory(seed)
    chance = random.Random(seed)
    whole, at = _router(facts[:13], knowing)
    part = _part(whole, at, ["hr", "legal"])
    part.route("Who founded Mirana?")  # its index is made before the rest comes
    at |= _taken_in(whole, facts[13:], first=5)
    gone = [owner for owner in at if chance.random() < 0.2]
    whole.remove(gone)
    held = [fact for owner, fact in at.items() if owner not in gone]
    part.catch_up()
    fresh, at_fresh = _router([fact for fact in held if fact.group is None], knowing)
    for chat in _questions(facts)[::4]:
        assert _named(part.route_chat(chat), at) == _named(fresh.route_chat(chat), at_fresh), chat
    assert len(part) == len(fresh)
    led = [owner for fact in facts if (owner := part.exact(fact.question))]
    assert led
    assert all(at[owner].group is None for owner in led)  # a wording may be that of a fact that is seen as well


def test_what_is_not_known_yet_is_not_seen() -> None:
    """A segment whose groups nobody can tell stays out until somebody can."""
    facts = _memory(0)
    whole, at = _router(facts[:10], knowing=False)
    known = {1}
    part = Part(whole, lambda number: [] if number in known else None)
    at |= _taken_in(whole, facts[10:20], first=2)
    part.catch_up()
    assert len(part) == len(whole.keys_of([owner for owner in at if owner[0] == 1]))
    assert part.exact(facts[10].question) is None
    known.add(2)
    part.catch_up()
    assert part.exact(facts[10].question) == (2, 0)
    assert len(part) == len(whole)


def test_a_gap_is_not_filled_with_what_is_hidden() -> None:
    facts = [
        Fact("a", "What is the price of the Zorblat lamp?", "40 dollars", group="hr"),
        Fact("b", "What is the weight of the Zorblat lamp?", "3 kilos"),
    ]
    whole, at = _router(facts, knowing=False)
    asked = "Describe what is the Zorblat lamp as JSON."
    price, weight = (whole.route_gap(asked, name) for name in ("price", "weight"))
    assert price is not None
    assert weight is not None
    part = _part(whole, at, ["hr"])
    assert part.route_gap(asked, "price") is None
    assert part.route_gap(asked, "weight") == weight


@pytest.mark.parametrize("method", ["exact", "scan", "IndexFlatL2", "IndexIVFFlat", "IndexHNSWFlat", "IndexPQ"])
def test_hidden_neighbours_never_displace_visible_ones(method: str) -> None:
    """Though all of the nearest are hidden, as many are found as were asked for, and none of those that are hidden."""
    config = IndexConfig(method=method, nlist=4, nprobe=1, m=8, nbits=4, hnsw_m=8, closely=16)
    chance = np.random.default_rng(0)
    given = chance.normal(size=(600, 16)).astype(np.float32)
    given /= np.linalg.norm(given, axis=1, keepdims=True)
    index = Index(16, config)
    index.add(np.arange(600), given)
    index.remove(np.arange(0, 600, 7))
    query = given[1]
    nearest = np.argsort(-(given @ query))
    shown = np.array(sorted(key for key in nearest[300:].tolist() if key % 7), np.int64)
    _, found = index.search(query[None], 12, index.only(shown))
    assert set(found[0].tolist()) <= set(shown.tolist())
    assert len(set(found[0].tolist())) == 12
    if method in ("exact", "IndexFlatL2"):
        assert found[0].tolist() == [key for key in nearest.tolist() if key in set(shown.tolist())][:12]
    before = index.state
    index.remove(shown[:1])
    assert index.state != before  # whoever keeps places looks at them again
    assert shown[0] not in index.search(query[None], 12, index.only(shown))[1]


# ---- answers --------------------------------------------------------------------------------------------------------

SALARIES = [
    {"id": "lamp", "question": "What is the price of the Zorblat lamp?", "answer": "40 dollars"},
    {"id": "weight", "question": "What is the weight of the Zorblat lamp?", "answer": "3 kilos", "group": "hr"},
    {"id": "heavy", "question": "What is the weight of the Kelvor table?", "answer": "Item-9 (blue)"},
    {"id": "steers", "question": "Who steers the ferry Alma?", "answer": "Ida Orrin", "group": "hr"},
    {"id": "grew", "question": "Where did Ida Orrin grow up?", "answer": "Vessing"},
    {"id": "mayor", "question": "Who is the mayor of Vessing?", "answer": "Ulla Brandt", "group": "legal"},
]
OPEN = _chat(["Is the Zorblat lamp better than the Kelvor table?", "Yes.", "What is its weight?"])
HOP = "Where did the skipper of the ferry Alma grow up?"


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(tiny.model(), tiny.tokenizer())


@pytest.fixture
def llm(backbone: Backbone, tmp_path: Path) -> Iterator[MemoryModel]:
    config = Config().with_settings(["inbox.keep=true"])
    with MemoryModel(backbone, tmp_path / "memory", config=config) as made:
        made.learn(SALARIES, kind="imprint+kv")
        yield made


def _question(name: str) -> str:
    return next(fact["question"] for fact in SALARIES if fact["id"] == name)


def _everything(llm: MemoryModel, hidden: Sequence[str]) -> str:
    """All that is told of what was asked, in one text."""
    told = [llm.explain(fact["question"], hidden=hidden) for fact in SALARIES]
    told += [llm.explain(asked, hidden=hidden) for asked in (OPEN, HOP, "How heavy is the Zorblat lamp?")]
    asked = [llm.ask(fact["question"], hidden=hidden, max_new_tokens=8) for fact in SALARIES]
    asked += [llm.ask(OPEN, hidden=hidden, unknown=how, max_new_tokens=8) for how in ("clarify", "abstain", "base")]
    proposals = [{k: v for k, v in row.items() if k != "asked"} for t in told for row in t.to_json()["proposals"]]
    named = [[t.to_json()["confirmed"], t.to_json()["rivals"]] for t in told]
    return repr([proposals, named, [(a.facts, a.clarifies) for a in asked]])


def test_a_hidden_fact_falls_to_the_base_model_bit_for_bit(llm: MemoryModel) -> None:
    answering = llm.memory.answering
    config = replace(llm.config.decode, max_new_tokens=8)
    for name, hidden in (("weight", {"hr"}), ("steers", {"hr"}), ("mayor", {"legal", "nobody"})):
        base, _ = answering.reply(_question(name), config, memory=False, raw=False)
        found, used = answering.reply(_question(name), config, memory=True, raw=False, hidden=frozenset(hidden))
        seen, _ = answering.reply(_question(name), config, memory=True, raw=False)
        assert not used
        assert torch.equal(torch.stack(base.logits), torch.stack(found.logits))
        assert found.tokens == base.tokens != seen.tokens
    got = llm.ask(_question("weight"), hidden=("hr",), max_new_tokens=8)
    assert (got.fired, got.facts) == (False, ())
    assert llm.ask(_question("weight"), hidden=("hr",), unknown="abstain").abstained
    assert [*llm.stream(_question("weight"), hidden=("hr",), max_new_tokens=8)][-1] == got


def test_what_may_be_seen_is_recalled_as_before(llm: MemoryModel) -> None:
    asked = [fact["question"] for fact in SALARIES if fact.get("group") != "hr"]
    right = [fact["answer"] for fact in SALARIES if fact.get("group") != "hr"]
    assert [a.text for a in llm.ask(asked, hidden=("hr",))] == right
    assert [a.text for a in llm.ask(_all())] == [fact["answer"] for fact in SALARIES]
    assert [a.fired for a in llm.ask(_all(), hidden=("hr", "legal"), max_new_tokens=4)] == [
        "group" not in fact for fact in SALARIES
    ]


def _all() -> list[str]:
    return [fact["question"] for fact in SALARIES]


def test_nothing_names_a_hidden_fact(llm: MemoryModel) -> None:
    told = _everything(llm, ("hr",))
    assert "'lamp'" in told
    assert not any(f"'{fact['id']}'" in told for fact in SALARIES if fact.get("group") == "hr")
    assert "'weight'" in _everything(llm, ())


def test_clarify_never_names_a_hidden_fact(llm: MemoryModel) -> None:
    assert llm.ask(OPEN, unknown="clarify").clarifies == ("weight", "heavy")
    got = llm.ask(OPEN, unknown="clarify", hidden=("hr",), max_new_tokens=4)
    assert "weight" not in got.clarifies
    assert "Zorblat" not in got.text
    assert llm.explain(OPEN, hidden=("hr",)).to_json()["rivals"] == []


def test_no_fact_is_reached_over_a_hidden_one(llm: MemoryModel) -> None:
    assert {"steers", "grew"} <= set(llm.explain(HOP).to_json()["confirmed"])
    assert llm.explain(HOP, hidden=("hr",)).to_json()["confirmed"] == []
    assert not llm.ask(HOP, hidden=("hr",), max_new_tokens=4).fired
    assert {"steers", "grew"} <= set(llm.explain(HOP, hidden=("legal",)).to_json()["confirmed"])


def test_a_memory_without_knowing_facts_in_sight_routes_like_one_that_has_none(
    backbone: Backbone, tmp_path: Path
) -> None:
    """Whether facts can be used at all is asked of those that may be seen."""
    with MemoryModel(backbone, tmp_path / "memory") as llm:
        llm.learn(SALARIES[:2], kind="imprint")
        llm.learn([fact | {"group": "hr"} for fact in SALARIES[3:5]], kind="kv")
        answering = llm.memory.answering
        hidden = answering._router_for(frozenset({"hr"}))
        assert answering.router is not None
        assert (answering.router.knowing, hidden.knowing) == (True, False)


def test_permissions_follow_the_memory(llm: MemoryModel) -> None:
    """New facts, other answers, forgetting, archiving and going back: after each, hidden is hidden, seen is seen."""

    def fires(question: str, *hidden: str) -> bool:
        got = llm.ask(question, hidden=hidden, max_new_tokens=4)
        assert isinstance(got, Answer)
        return got.fired

    assert not fires(_question("steers"), "hr")  # the routers for these askers are there from now on
    assert not fires(_question("mayor"), "legal")
    new = [
        {"id": "bonus", "question": "What bonus does Tom Velm get?", "answer": "7 dollars", "group": "hr"},
        {"id": "desk", "question": "Where is the desk of Tom Velm?", "answer": "in Mirana"},
    ]
    version = llm.version
    llm.learn(new)
    assert fires(new[0]["question"])
    assert fires(new[0]["question"], "legal")
    assert not fires(new[0]["question"], "hr")
    assert fires(new[1]["question"], "hr")
    assert fires(new[1]["question"], "hr", "legal")
    llm.update("bonus", answer="8 dollars")
    assert llm.ask(new[0]["question"], hidden=("legal",)).text == "8 dollars"
    assert not fires(new[0]["question"], "hr")
    llm.phrase("bonus", "How much is Tom Velm given on top?")
    assert fires("How much is Tom Velm given on top?", "legal")
    assert not fires("How much is Tom Velm given on top?", "hr")
    llm.memory.archive("desk")
    assert not fires(new[1]["question"], "hr")
    llm.memory.restore("desk")
    assert fires(new[1]["question"], "hr")
    llm.forget("mayor")
    assert not fires(_question("mayor"), "hr")
    llm.rollback(version)
    assert fires(_question("mayor"), "hr")
    assert not fires(_question("mayor"), "legal")
    assert not fires(new[1]["question"], "hr")
    llm.regroup()
    assert not fires(_question("steers"), "hr")
    assert fires(_question("steers"), "legal")


def test_a_fact_that_changes_its_group_changes_who_sees_it(llm: MemoryModel) -> None:
    question = _question("steers")
    assert not llm.ask(question, hidden=("hr",), max_new_tokens=4).fired
    llm.forget("steers")
    llm.learn([SALARIES[3] | {"group": "legal"}])
    assert llm.ask(question, hidden=("hr",)).text == "Ida Orrin"
    assert not llm.ask(question, hidden=("legal",), max_new_tokens=4).fired


def test_groups_that_no_fact_is_in_cost_nothing(llm: MemoryModel) -> None:
    answering = llm.memory.answering
    assert answering._router_for(frozenset({"sales"})) is answering.router
    hidden = answering._router_for(frozenset({"hr"}))
    assert answering._router_for(frozenset({"hr", "sales"})) is hidden


def test_routers_of_askers_are_made_once_and_only_so_many_are_kept(
    llm: MemoryModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(residents, "_VIEWS", 2)
    answering = llm.memory.answering
    first, second = (answering._router_for(frozenset({name})) for name in ("hr", "legal"))
    read = dict(answering._residents._groups)
    llm.learn([{"question": "Where is the desk of Tom Velm?", "answer": "in Mirana"}])
    assert answering._router_for(frozenset({"hr"})) is first
    now = answering._residents._groups
    assert all(now[shard] is rows for shard, rows in read.items())  # nobody looked through these facts again
    answering._router_for(frozenset({"hr", "legal"}))
    assert answering._router_for(frozenset({"hr"})) is first
    assert answering._router_for(frozenset({"legal"})) is not second
    assert [a.fired for a in llm.ask(_all(), hidden=("legal",), max_new_tokens=4)] == [
        fact.get("group") != "legal" for fact in SALARIES
    ]


def test_what_is_hidden_stays_so_while_another_thread_writes(llm: MemoryModel) -> None:
    """Askers to whom something is hidden, and a writer who keeps adding such facts and taking them away."""
    wrong: list[str] = []
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        answering = llm.memory.answering
        while not done.wait(0.005):
            for hidden in ("hr", "legal"):
                for proposal in answering.route("Which bonus does person 1 get?", frozenset({hidden})).proposals:
                    with suppress(UnknownFact):
                        seen.add(hidden)
                        if answering._residents.record(proposal.owner).group == hidden:
                            wrong.append(hidden)

    askers = [threading.Thread(target=look) for _ in range(2)]
    for asker in askers:
        asker.start()
    try:
        for lot in range(3):
            rows = [
                {"id": f"{g}{lot}", "question": f"Which bonus does person {lot} get of {g}?", "answer": "7", "group": g}
                for g in ("hr", "legal")
            ]
            llm.learn(rows, kind="imprint")
            llm.forget(f"hr{lot}")
    finally:
        done.set()
        for asker in askers:
            asker.join()
    assert not wrong
    assert seen == {"hr", "legal"}


def test_one_text_is_no_list_of_groups(llm: MemoryModel) -> None:
    with pytest.raises(UsageError, match="list of names"):
        llm.ask(_question("steers"), hidden="hr")
    with pytest.raises(UsageError, match="list of names"):
        llm.explain(_question("steers"), hidden="hr")


def test_the_owner_is_not_told_to_teach_what_was_only_hidden(llm: MemoryModel) -> None:
    llm.ask([_question("steers"), "Where is the harbour?"], hidden=("hr",), max_new_tokens=4)
    assert [one.question for one in llm.inbox.list()] == ["Where is the harbour?"]


# ---- over the server's desk -----------------------------------------------------------------------------------------


def test_a_key_sees_no_fact_of_a_group_that_is_hidden_from_it(tmp_path: Path) -> None:
    """Two keys ask the same server the same things at the same time, as text, in pieces and in a form."""
    with MemoryModel(memory=tmp_path / "memories" / "acme") as llm:
        llm.learn(SALARIES)
    house = House(tmp_path)
    every, some = (Key(name, name, frozenset({"ask"}), hidden=hidden) for name, hidden in (("all", _NO), ("some", _HR)))
    form = {"type": "object", "properties": {"weight": {"type": "string"}}, "required": ["weight"]}
    how = {"max_new_tokens": 12}
    asked = [
        Asking("acme", _question("weight"), decode=how),
        Asking("acme", f'{_question("weight")} Reply as JSON, key "weight".', decode=how, schema=form),
    ]

    async def together() -> list[Answer]:
        return await asyncio.gather(*(house.desk.ask(one, key) for one in asked for key in (every, some)))

    house.start()
    try:
        text, without, filled, empty = asyncio.run(together())
        plain = house.desk.ask_now(Asking("base", _question("weight"), decode=how), every)
    finally:
        house.close()
    assert (text.text, [use.id for use in text.facts]) == ("3 kilos", ["weight"])
    assert (without.text, without.facts, without.tokens) == (plain.text, (), plain.tokens)
    assert [use.id for use in filled.facts] == ["weight"]
    assert "3 kilos" in filled.text
    assert empty.facts == ()
    assert "3 kilos" not in empty.text
