"""The facts API in process, on the bundled model: what it does, what it refuses, and what a key does not see."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import tiny
from fastapi.testclient import TestClient

from memtune import MemoryModel
from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.serve.house import House
from memtune.serve.http.app import make_app
from memtune.serve.keys import LOCAL, SCOPES, Key
from memtune.store.lock import WriterLock

NUMBERS = count()
ROWS = [
    {"id": "price-1", "question": "What does the Zorblat cost?", "answer": "40 dollars", "group": "prices"},
    {"id": "price-2", "question": "What does the Quixel cost?", "answer": "7 dollars", "group": "prices", "team": "A"},
    {"id": "pay-1", "question": "What does Ann Merrow earn?", "answer": "90 thousand", "group": "hr"},
    {"id": "sub/part", "question": "Who founded Mirana?", "answer": "Jo Vance", "source": "city.pdf"},
]


class Caller:
    """The server with somebody in front of it; who that is can be changed."""

    def __init__(self, house: House, client: TestClient) -> None:
        self.house, self.client, self.key = house, client, LOCAL

    @contextmanager
    def being(self, *scopes: str, **limits: Any) -> Iterator[None]:
        self.key = Key("k", "k", frozenset(scopes or SCOPES), **limits)  # type: ignore[arg-type]
        try:
            yield
        finally:
            self.key = LOCAL

    def __call__(self, method: str, path: str, status: int = 200, **how: Any) -> Any:
        answer = self.client.request(method, f"/v1/memories{path}", **how)
        assert answer.status_code == status, answer.text
        if status >= 400:
            assert set(answer.json()) == {"error"}
            assert answer.json()["error"]["message"]
        assert str(self.house.data) not in answer.text  # where memories lie is nobody's business
        return answer.json()


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    config = Config().with_settings(["serve.wait_seconds=1", "serve.at_once=8", "inbox.keep=true"])
    house = House(tmp_path_factory.mktemp("house"), config)
    house.shelf._backbones["bundled"] = Backbone(tiny.model(), tiny.tokenizer())
    with pytest.MonkeyPatch.context() as patch, TestClient(make_app(house), raise_server_exceptions=False) as client:
        made = Caller(house, client)
        patch.setattr(house.keys, "any", lambda: True)
        patch.setattr(house.keys, "find", lambda secret: made.key)
        client.headers["authorization"] = "Bearer x"
        yield made


@pytest.fixture
def acme(call: Caller) -> str:
    """The name of a memory that holds four facts."""
    name = f"acme-{next(NUMBERS)}"
    call("POST", "", 201, json={"name": name})
    call("POST", f"/{name}/facts", json={"facts": ROWS})
    return name


def ids(listed: Any) -> list[str]:
    return [fact["id"] for fact in listed["facts"]]


# ---- memories -------------------------------------------------------------------------------------------------------


def test_a_memory_comes_is_described_and_goes(call: Caller, acme: str) -> None:
    found = call("GET", f"/{acme}")
    assert (found["version"], found["facts"], found["groups"]) == (1, 4, {"prices": 2, "": 1, "hr": 1})
    assert found["bytes"] > 1000
    assert {"name": acme, "version": 1, "facts": 4, "backbone": found["backbone"]} in call("GET", "")["memories"]
    assert call("POST", f"/{acme}/verify") == {"version": 1, "sound": True, "problems": []}
    call("POST", "", 409, json={"name": acme})
    assert call("DELETE", f"/{acme}") == {"name": acme, "deleted": True}
    call("GET", f"/{acme}", 404)
    assert not [p for p in call.house.shelf.folder.iterdir() if acme in p.name or p.name.startswith(".deleted")]
    call("POST", "", 201, json={"name": acme})  # the name is free again
    assert call("GET", f"/{acme}")["facts"] == 0


@pytest.mark.parametrize("name", ["", "../x", "a/b", "base", "a@b", "-x", "x" * 97, "a\0b"])
def test_a_name_is_no_path(call: Caller, name: str) -> None:
    call("POST", "", 400, json={"name": name})


def test_unknown_names_are_404_and_near_ones_are_named(call: Caller, acme: str) -> None:
    assert acme in call("GET", f"/{acme}x", 404)["error"]["message"]
    assert "price-1" in call("GET", f"/{acme}/facts/price-11", 404)["error"]["message"]
    call("GET", f"/{acme}@v99", 404)
    call("GET", f"/{acme}@..", 404)
    call("POST", "", 404, json={"name": "other", "model": "nowhere/nothing"})


def test_a_memory_that_cannot_be_read_does_not_hide_the_others(call: Caller, acme: str) -> None:
    (call.house.shelf.path(acme) / "refs.json").write_text("{}")
    found = {memory["name"]: memory for memory in call("GET", "")["memories"]}
    assert "damaged" in found[acme]["fault"]
    assert len(found) > 1
    (call.house.shelf.path(acme) / "memory.json").unlink()  # the other tests need not see it


# ---- facts ----------------------------------------------------------------------------------------------------------


def test_what_is_learned_is_recalled_at_once(call: Caller, acme: str) -> None:
    report = call("POST", f"/{acme}/facts", json={"facts": [{"question": "Who runs Mirana?", "answer": "Kim Oro"}]})
    assert (report["learned"], report["version"], len(report["ids"])) == (1, 2, 1)
    answer = call("POST", f"/{acme}/ask", json={"question": "Who runs Mirana?"})
    assert (answer["answer"], answer["fired"], answer["version"]) == ("Kim Oro", True, 2)
    assert [used["id"] for used in answer["facts"]] == report["ids"]
    again = call("POST", f"/{acme}/facts", json={"facts": [{"question": "Who runs Mirana?", "answer": "Kim Oro"}]})
    assert (again["learned"], again["duplicates"], again["version"]) == (0, 1, 2)


def test_facts_are_listed_in_pages(call: Caller, acme: str) -> None:
    first = call("GET", f"/{acme}/facts", params={"limit": 3})
    assert ids(first) == ["price-1", "price-2", "pay-1"]
    rest = call("GET", f"/{acme}/facts", params={"limit": 3, "after": first["next"]})
    assert ids(rest) == ["sub/part"]
    assert "next" not in rest
    assert ids(call("GET", f"/{acme}/facts", params={"where": ["group=prices", "team=A"]})) == ["price-2"]
    assert "next" not in call("GET", f"/{acme}/facts", params={"limit": 4})
    for wrong in ({"after": "x"}, {"where": "group"}, {"where": ["a=1", "a=2"]}, {"limit": 0}, {"state": "odd"}):
        call("GET", f"/{acme}/facts", 400, params=wrong)


def test_one_fact_is_shown_whole(call: Caller, acme: str) -> None:
    found = call("GET", f"/{acme}/facts/price-2")
    assert found["fact"] == {**ROWS[1], "state": "active"}
    assert found["learned"]["version"] == 1
    assert call("GET", f"/{acme}/facts/sub/part")["fact"]["source"] == "city.pdf"
    assert call("GET", f"/{acme}/facts/sub%2Fpart")["fact"]["id"] == "sub/part"


def test_a_fact_is_changed_barred_set_aside_and_forgotten(call: Caller, acme: str) -> None:
    fact = f"/{acme}/facts/price-1"
    assert call("PATCH", fact, json={"answer": "42 dollars"}) == {"version": 2}
    assert call("PATCH", fact, json={"answer": "42 dollars"}) == {"version": 2}
    assert call("POST", f"/{acme}/ask", json={"question": ROWS[0]["question"]})["answer"] == "42 dollars"
    wording = "How dear is a Zorblat?"
    call("PATCH", fact, json={"phrasings": [wording], "never": ["What did the Zorblat cost in 1990?"]})
    found = call("GET", fact)["fact"]
    assert (found["phrasings"], found["never"]) == ([wording], ["What did the Zorblat cost in 1990?"])
    assert call("POST", f"/{acme}/ask", json={"question": wording})["answer"] == "42 dollars"
    call("POST", f"{fact}/archive")
    assert not call("POST", f"/{acme}/ask", json={"question": wording, "max_new_tokens": 2})["fired"]
    assert ids(call("GET", f"/{acme}/facts", params={"state": "archived"})) == ["price-1"]
    call("PATCH", fact, 400, json={"answer": "x"})
    call("POST", f"{fact}/restore")
    assert call("DELETE", fact)["forgotten"] == ["price-1"]
    call("GET", fact, 404)
    call("DELETE", fact, 404)
    call("PATCH", f"/{acme}/facts/price-2", 400, json={})
    call("PATCH", f"/{acme}/facts/price-2", 400, json={"answer": " "})
    call("PATCH", f"/{acme}/facts/price-2", 400, json={"reply": "x"})
    call("PATCH", f"/{acme}/facts/price-2", 400, json={"answer": "a\0b"})


def test_facts_are_forgotten_by_field(call: Caller, acme: str) -> None:
    call("DELETE", f"/{acme}/facts", 400)
    gone = call("DELETE", f"/{acme}/facts", params={"where": "group=prices"})
    assert gone == {"version": 2, "forgotten": ["price-1", "price-2"]}
    assert call("DELETE", f"/{acme}/facts", params={"where": "group=prices"})["forgotten"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"facts": []}, 400),
        ({"facts": [{"question": "Who?"}]}, 400),
        ({"facts": [{"question": "Who?", "answer": "Me", "valid_from": "soon"}]}, 400),
        ({"facts": [{"question": "Who?", "answer": "Me"}], "kind": "lora"}, 400),
        ({"facts": [{"question": "What does the Zorblat cost?", "answer": "1 dollar"}]}, 409),
        ({"facts": [{"id": "price-1", "question": "Who else?", "answer": "Me"}]}, 400),
        ({"facts": [{"question": f"Who is number {i}?", "answer": "Me"} for i in range(9)]}, 413),
        ({"facts": [{"question": "Who?", "answer": "Me"}], "speed": 3}, 400),
    ],
)
def test_what_cannot_be_learned_changes_nothing(call: Caller, acme: str, body: Any, status: int) -> None:
    call("POST", f"/{acme}/facts", status, json=body)
    assert call("GET", f"/{acme}")["version"] == 1


def test_purged_facts_are_in_no_version(call: Caller, acme: str) -> None:
    question = {"question": ROWS[0]["question"], "max_new_tokens": 8}
    call("DELETE", f"/{acme}/facts/price-1")
    assert call("POST", f"/{acme}@v1/ask", json=question)["fired"]
    assert call("POST", f"/{acme}/facts/price-1/certify")["held_by"] == [1]
    call("POST", f"/{acme}@v1/facts/price-1/purge", 400)
    assert call("POST", f"/{acme}/facts/price-1/purge")["ids"] == ["price-1"]
    assert "price-1" not in str(call("GET", f"/{acme}@v1/facts"))
    assert not call("POST", f"/{acme}@v1/ask", json=question)["fired"]  # it was open, and held it
    call("POST", f"/{acme}/facts/price-1/purge", 404)


def test_a_memory_that_goes_while_it_is_asked_is_gone_not_broken(call: Caller, acme: str) -> None:
    said: set[int] = set()
    gone = threading.Event()

    def ask(path: str, body: Any) -> None:
        while not (gone.is_set() and 404 in said):
            said.add(call.client.post(f"/v1/memories/{acme}/{path}", json=body).status_code)

    question = {"question": ROWS[0]["question"]}
    threads = [threading.Thread(target=ask, args=(path, question)) for path in ("ask", "explain")]
    for thread in threads:
        thread.start()
    call("DELETE", f"/{acme}")
    gone.set()
    for thread in threads:
        thread.join()
    assert said <= {200, 404}


# ---- asking ---------------------------------------------------------------------------------------------------------


def test_facts_are_found_by_words_and_by_the_router(call: Caller, acme: str) -> None:
    found = call("GET", f"/{acme}/search", params={"q": "dollars cost"})
    assert [hit["fact"]["id"] for hit in found["hits"]] == ["price-1", "price-2"]
    found = call("GET", f"/{acme}/search", params={"q": "dollars", "limit": 1})
    found = call("GET", f"/{acme}/search", params={"q": "dollars", "limit": 1, "after": found["next"]})
    assert [hit["fact"]["id"] for hit in found["hits"]] == ["price-2"]
    routed = call("GET", f"/{acme}/search", params={"q": "What does the Quixel cost?", "by": "router"})
    assert (routed["hits"][0]["fact"]["id"], routed["hits"][0]["confirmed"]) == ("price-2", True)
    explained = call("POST", f"/{acme}/explain", json={"question": "What does the Quixel cost?"})
    assert (explained["confirmed"], explained["version"]) == (["price-2"], 1)


def test_certificates_say_what_is_so(call: Caller, acme: str) -> None:
    there = call("POST", f"/{acme}/facts/price-1/certify")
    assert (there["certified"], there["memory"]) == (False, acme)
    call("DELETE", f"/{acme}/facts/price-1")
    gone = call("POST", f"/{acme}/facts/price-1/certify")
    assert gone["certified"]
    assert gone["shown"][0]["same"]
    assert call("POST", f"/{acme}/certify", json={"prompt": "Say hello", "max_new_tokens": 4})["certified"]
    known = call("POST", f"/{acme}/certify", json={"prompt": ROWS[1]["question"], "max_new_tokens": 4})
    assert not known["certified"]


def test_an_evaluation_asks_a_sample(call: Caller, acme: str) -> None:
    found = call("POST", f"/{acme}/eval", json={"sample": 3, "seed": 1})
    assert (found["recalled"]["n"], found["recalled"]["of"], found["missed"]) == (3, 3, [])
    assert found == call("POST", f"/{acme}/eval", json={"sample": 3, "seed": 1})
    model = call.house.shelf.find(acme).model
    real = model.memory.answering.route
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model.memory.answering, "route", lambda *a, **k: real("Nothing of the kind", **k))
        worse = call("POST", f"/{acme}/eval", json={"sample": 3, "seed": 1, "near_misses": False})
    assert worse["recalled"]["n"] == 0
    assert len(worse["missed"]) == 3
    assert "fired_at_near_misses" not in worse or worse["fired_at_near_misses"] is None


# ---- versions -------------------------------------------------------------------------------------------------------


def test_history_is_told_compared_and_gone_back_to(call: Caller, acme: str) -> None:
    call("PATCH", f"/{acme}/facts/price-1", json={"answer": "42 dollars"})
    call("DELETE", f"/{acme}/facts/price-2")
    log = call("GET", f"/{acme}/versions", params={"limit": 2})
    assert [(v["version"], v["act"]) for v in log["versions"]] == [(3, "forget"), (2, "update")]
    assert log["more"]
    assert [v["version"] for v in call("GET", f"/{acme}@v1/versions")["versions"]] == [1]
    diff = call("GET", f"/{acme}/versions/diff", params={"a": "v1", "b": "v3"})
    assert (ids({"facts": diff["removed"]}), diff["changed"][0]["after"]["answer"]) == (["price-2"], "42 dollars")
    assert call("GET", f"/{acme}/versions/v2")["changes"]["changed"][0]["id"] == "price-1"
    assert call("POST", f"/{acme}/versions/rollback", json={"version": "v1"}) == {"version": 4}
    assert call("GET", f"/{acme}/facts/price-1")["fact"]["answer"] == "40 dollars"
    assert call("GET", f"/{acme}/versions/v4")["version"]["author"] == LOCAL.name
    call("POST", f"/{acme}/versions/rollback", 404, json={"version": "v77"})
    call("POST", f"/{acme}/versions/promote", 400, json={})
    call("POST", f"/{acme}/versions/v1/notes", json={"text": "the first", "data": {"by": 1}})
    assert call("GET", f"/{acme}/versions/v1")["version"]["notes"][0]["text"] == "the first"
    infinite = {"content": '{"text": "x", "data": {"n": 1e999}}', "headers": {"content-type": "application/json"}}
    call("POST", f"/{acme}/versions/v1/notes", 400, **infinite)
    assert call("POST", f"/{acme}@v1/ask", json={"question": ROWS[0]["question"]})["answer"] == "40 dollars"


def test_a_branch_is_written_to_and_merged(call: Caller, acme: str) -> None:
    call("POST", f"/{acme}/versions/branches", json={"name": "draft"})
    call("POST", f"/{acme}/versions/tags", json={"name": "spring", "at": "v1"})
    call("POST", f"/{acme}/versions/tags", 400, json={"name": "v7"})
    call("POST", f"/{acme}@draft/facts", json={"facts": [{"id": "new", "question": "Who won?", "answer": "Bo"}]})
    assert "new" not in ids(call("GET", f"/{acme}/facts"))
    assert call("POST", f"/{acme}/versions/merge", json={"version": "draft"})["added"] == 1
    assert "new" in ids(call("GET", f"/{acme}/facts"))
    assert call("DELETE", f"/{acme}/versions/names/draft")["name"] == "draft"
    call("POST", f"/{acme}@draft/ask", 404, json={"question": "Who won?"})
    call("POST", f"/{acme}@spring/facts", 400, json={"facts": ROWS[:1]})  # a tag stands still


def test_memories_are_merged_by_name_and_never_by_path(call: Caller, acme: str, tmp_path: Path) -> None:
    other = f"{acme}-b"
    call("POST", "", 201, json={"name": other})
    call("POST", f"/{other}/facts", json={"facts": [{"id": "b1", "question": "Who is Bea?", "answer": "A pilot"}]})
    backbone = call.house.shelf.backbone()
    with MemoryModel(backbone, tmp_path / "outside") as outside:
        outside.learn(ROWS[:1])
    for path in (str(tmp_path / "outside"), "../outside", "outside", f"../{acme}"):
        call("POST", f"/{acme}/versions/merge", 404, json={"memory": path})
        call("POST", f"/{acme}/versions/merge", 404, json={"version": path})
    with call.being("ask", "teach"):
        call("POST", f"/{acme}/versions/merge", 403, json={"memory": other})
    assert call("POST", f"/{acme}/versions/merge", json={"memory": other})["added"] == 1
    assert "b1" in ids(call("GET", f"/{acme}/facts"))
    assert other in call("GET", f"/{acme}/versions")["versions"][0]["message"]
    call("PATCH", f"/{other}/facts/b1", json={"answer": "A sailor"})
    call("PATCH", f"/{acme}/facts/b1", json={"answer": "A painter"})
    call("POST", f"/{acme}/versions/merge", 409, json={"memory": other})
    assert call("POST", f"/{acme}/versions/merge", json={"memory": other, "on_conflict": "theirs"})["changed"] == 1
    call("POST", f"/{acme}/versions/merge", 400, json={})


# ---- writers --------------------------------------------------------------------------------------------------------


def test_if_match_keeps_others_changes(call: Caller, acme: str) -> None:
    seen = call.client.get(f"/v1/memories/{acme}/facts/price-1").headers["etag"]
    assert seen == '"v1"'
    changed = call.client.patch(
        f"/v1/memories/{acme}/facts/price-1", json={"answer": "41 dollars"}, headers={"If-Match": seen}
    )
    assert (changed.status_code, changed.headers["etag"]) == (200, '"v2"')
    for method, path, body in (
        ("PATCH", f"/{acme}/facts/price-1", {"answer": "1 dollar"}),
        ("DELETE", f"/{acme}", None),
        ("DELETE", f"/{acme}/facts/price-1", None),
    ):
        call(method, path, 412, json=body, headers={"If-Match": seen})
    call("PATCH", f"/{acme}/facts/price-1", 400, json={"answer": "1 dollar"}, headers={"If-Match": "yesterday"})
    assert call("GET", f"/{acme}")["version"] == 2


def test_another_writer_is_waited_for_a_little(call: Caller, acme: str) -> None:
    path = call.house.shelf.path(acme)
    with WriterLock.held(path) as lock:
        lock.finished = True
        answer = call.client.patch(f"/v1/memories/{acme}/facts/price-1", json={"answer": "41 dollars"})
        assert (answer.status_code, answer.headers["retry-after"]) == (409, "1")
        call("DELETE", f"/{acme}", 409)
        assert call("GET", f"/{acme}/facts/price-1")["fact"]["answer"] == "40 dollars"  # readers do not wait
    held = WriterLock(path / "writer.lock")
    held.acquire()
    held.finished = True
    threading.Timer(0.3, held.release).start()
    assert call("PATCH", f"/{acme}/facts/price-1", json={"answer": "41 dollars"}) == {"version": 2}


def test_writers_of_one_memory_come_one_after_the_other(call: Caller, acme: str) -> None:
    done: list[int] = []

    def teach(number: int) -> None:
        fact = {"id": f"n{number}", "question": f"Who is guest {number}?", "answer": f"Guest {number}"}
        done.append(call.client.post(f"/v1/memories/{acme}/facts", json={"facts": [fact]}).status_code)

    threads = [threading.Thread(target=teach, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [200] * 4
    assert call("GET", f"/{acme}")["facts"] == 8


# ---- keys -----------------------------------------------------------------------------------------------------------


def test_scopes_are_asked_for(call: Caller, acme: str) -> None:
    with call.being("ask"):
        call("GET", f"/{acme}/facts")
        call("POST", f"/{acme}/explain", json={"question": "Who?"})
        call("POST", f"/{acme}/facts", 403, json={"facts": ROWS[:1]})
        call("DELETE", f"/{acme}/facts/price-1", 403)
        call("GET", f"/{acme}/inbox", 403)
    with call.being("ask", "teach"):
        call("DELETE", f"/{acme}", 403)
        call("POST", f"/{acme}/facts/price-1/purge", 403)
    assert call("GET", f"/{acme}")["facts"] == 4


def test_a_closed_memory_is_not_there(call: Caller, acme: str) -> None:
    with call.being(memories=frozenset({"elsewhere"})):
        assert call("GET", "")["memories"] == []
        for method, path in (
            ("GET", ""),
            ("GET", "/facts"),
            ("DELETE", ""),
            ("GET", "/versions"),
            ("GET", "/search?q=a"),
        ):
            assert "there is no model" in call(method, f"/{acme}{path}", 404)["error"]["message"]
        call("POST", f"/{acme}/ask", 404, json={"question": "Who?"})
        call("POST", "", 403, json={"name": acme})
    other = f"{acme}-c"
    call("POST", "", 201, json={"name": other})
    with call.being(memories=frozenset({other})):
        call("POST", f"/{other}/versions/merge", 404, json={"memory": acme})


def test_a_hidden_group_is_not_there(call: Caller, acme: str) -> None:
    call("DELETE", f"/{acme}/facts/pay-1")
    call("POST", f"/{acme}/facts", json={"facts": [ROWS[2]]})
    with call.being(hidden=frozenset({"hr"})):
        told = [
            call("GET", ""),
            call("GET", f"/{acme}"),
            call("GET", f"/{acme}/facts"),
            call("GET", f"/{acme}/facts", params={"where": "group=hr"}),
            call("GET", f"/{acme}@v1/facts"),
            call("GET", f"/{acme}/search", params={"q": "Merrow"}),
            call("GET", f"/{acme}/search", params={"q": ROWS[2]["question"], "by": "router"}),
            call("GET", f"/{acme}/versions"),
            call("GET", f"/{acme}/versions/v2"),
            call("GET", f"/{acme}/versions/diff", params={"a": "0", "b": "v1"}),
            call("GET", f"/{acme}/facts/pay-2", 404),
            call("POST", f"/{acme}/eval", json={"sample": 8}),
        ]
        said = " ".join(map(str, told))
        assert not any(word in said for word in ("pay-1", "Ann", "90 thousand", "'hr'"))
        assert {memory["name"]: memory.get("facts") for memory in told[0]["memories"]}[acme] == 3
        call("GET", f"/{acme}/facts/pay-1", 404)
        call("PATCH", f"/{acme}/facts/pay-1", 404, json={"answer": "1"})
        call("DELETE", f"/{acme}/facts/pay-1", 404)
        call("POST", f"/{acme}/facts/pay-1/archive", 404)
        assert call("DELETE", f"/{acme}/facts", params={"where": "group=hr"})["forgotten"] == []
        stolen = {**ROWS[2], "group": "prices", "answer": "1 dollar", "id": "mine"}
        for taken in (stolen, {**stolen, "question": "Who else?", "id": "pay-1"}):
            refused = call("POST", f"/{acme}/facts", 409, json={"facts": [taken], "on_conflict": "keep-last"})
            assert "thousand" not in refused["error"]["message"]
        call("POST", f"/{acme}/facts", 403, json={"facts": [{"question": "Who?", "answer": "I", "group": "hr"}]})
        for path, body in (
            ("versions/rollback", {"version": "v1"}),
            ("versions/promote", {}),
            ("versions/merge", {"version": "v1"}),
            ("facts/pay-1/purge", None),
            ("facts/pay-1/certify", None),
            ("certify", {"prompt": ROWS[2]["question"]}),
        ):
            call("POST", f"/{acme}/{path}", 403, json=body)
        call("DELETE", f"/{acme}", 403)
        assert call("POST", f"/{acme}/facts", json={"facts": [{"question": "Who cooks?", "answer": "Al"}]})["learned"]
    assert call("GET", f"/{acme}/facts/pay-1")["fact"]["answer"] == "90 thousand"


def test_the_router_does_not_speak_of_hidden_facts(call: Caller, acme: str) -> None:
    with call.being(hidden=frozenset({"hr"})):
        explained = call("POST", f"/{acme}/explain", json={"question": ROWS[2]["question"]})
        answer = call("POST", f"/{acme}/ask", json={"question": ROWS[2]["question"], "max_new_tokens": 8})
    assert "pay-1" not in str([explained[part] for part in ("proposals", "confirmed", "rivals")])
    assert (answer["fired"], answer["facts"]) == (False, [])
    assert call("POST", f"/{acme}/ask", json={"question": ROWS[2]["question"]})["answer"] == "90 thousand"


# ---- upkeep ---------------------------------------------------------------------------------------------------------


def test_unanswered_questions_are_listed_taught_and_dropped(call: Caller, acme: str) -> None:
    for question in ("Who paints boats?", "Who sells them?"):
        call("POST", f"/{acme}/ask", json={"question": question, "unknown": "abstain"})
    kept = {q["question"]: q["id"] for q in call("GET", f"/{acme}/inbox")["questions"]}
    assert set(kept) == {"Who paints boats?", "Who sells them?"}
    taught = call("POST", f"/{acme}/inbox/{kept['Who paints boats?']}/teach", json={"answer": "Mo Lark"})
    assert taught["learned"] == 1
    assert call("POST", f"/{acme}/ask", json={"question": "Who paints boats?"})["answer"] == "Mo Lark"
    assert call("DELETE", f"/{acme}/inbox/{kept['Who sells them?']}")["dropped"] == [kept["Who sells them?"]]
    assert call("GET", f"/{acme}/inbox") == {"questions": [], "more": False}
    call("DELETE", f"/{acme}/inbox/nothing", 404)
    assert call("GET", f"/{acme}/skills") == {"version": 2, "skills": []}
