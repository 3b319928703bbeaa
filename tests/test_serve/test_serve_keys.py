"""Keys: what is kept of them, what they may do, and how often."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from memtune.errors import NotFound, UsageError
from memtune.serve import keys as room
from memtune.serve.database import Database
from memtune.serve.keys import LOCAL, Keys
from memtune.serve.limits import Buckets


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[Keys]:
    with closing(Database(tmp_path / "server.sqlite")) as database:
        yield Keys(database)


def test_a_key_is_found_again_with_all_that_was_said_of_it(keys: Keys) -> None:
    secret, made = keys.add("shop", ["ask", "teach"], memories=["acme"], hidden=["wages"], per_minute=7)
    found = keys.find(secret)
    assert found == made
    assert found.scopes == {"ask", "teach"}
    assert found.may_use("acme")
    assert not found.may_use("other")
    assert found.hidden == {"wages"}
    assert found.per_minute == 7


@pytest.mark.parametrize("change", ["", "mt-", "x", "mt-000000000000-" + "a" * 43])
def test_no_other_text_is_a_key(keys: Keys, change: str) -> None:
    secret, _ = keys.add("shop", ["ask"])
    assert keys.find(change) is None
    assert keys.find(f"{secret}x") is None
    assert keys.find(secret[:-1]) is None
    assert keys.find(secret[:-1] + ("a" if secret[-1] != "a" else "b")) is None


def test_the_secret_of_one_key_does_not_open_another(keys: Keys) -> None:
    one, _ = keys.add("one", ["ask"])
    _, two = keys.add("two", ["ask"])
    assert keys.find(f"mt-{two.id}-{one.split('-', 2)[2]}") is None


def test_the_secret_is_not_kept(keys: Keys, tmp_path: Path) -> None:
    secret, _ = keys.add("shop", ["ask"])
    assert keys.find(secret)
    held = b"".join(p.read_bytes() for p in tmp_path.iterdir())
    assert b"shop" in held
    assert secret.encode() not in held
    assert secret.split("-", 2)[2].encode() not in held


def test_secrets_are_compared_in_constant_time(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr(room.hmac, "compare_digest", compare)
    secret, _ = keys.add("shop", ["ask"])
    for shown in (secret, secret[:-1] + "~", "nonsense", "mt-000000000000-" + "a" * 43):
        keys.find(shown)
    assert compared == [(32, 32)] * 4


def test_a_revoked_key_is_refused_and_still_listed(keys: Keys) -> None:
    secret, key = keys.add("shop", ["ask"])
    keys.revoke("shop")
    assert keys.find(secret) is None
    assert [(k.id, k.revoked is not None) for k in keys.list()] == [(key.id, True)]
    with pytest.raises(NotFound):
        keys.revoke("shop")
    again, _ = keys.add("shop", ["ask"])
    assert keys.find(again)


def test_to_revoke_the_last_key_does_not_open_the_server(keys: Keys) -> None:
    assert not keys.any()
    keys.add("shop", ["ask"])
    keys.revoke("shop")
    assert keys.any()


def test_a_change_by_another_process_is_noticed_at_once(keys: Keys, tmp_path: Path) -> None:
    with closing(Database(tmp_path / "server.sqlite")) as elsewhere:
        secret, _ = Keys(elsewhere).add("shop", ["ask"])
        assert keys.any()
        assert keys.find(secret)
        Keys(elsewhere).revoke("shop")
        assert keys.find(secret) is None


def test_an_admin_may_do_everything(keys: Keys) -> None:
    _, admin = keys.add("boss", ["admin"])
    _, asker = keys.add("shop", ["ask"])
    assert [admin.may(scope) for scope in room.SCOPES] == [True, True, True]
    assert [asker.may(scope) for scope in room.SCOPES] == [True, False, False]


@pytest.mark.parametrize(
    ("name", "scopes", "per_minute", "told"),
    [
        ("", ["ask"], 0, "a name"),
        ("a\nb", ["ask"], 0, "a name"),
        ("a", [], 0, "a scope"),
        ("a", ["rule"], 0, "no scope 'rule'"),
        ("a", ["ask"], -1, "-1"),
        ("held", ["ask"], 0, "already"),
    ],
)
def test_a_key_that_makes_no_sense(keys: Keys, name: str, scopes: list[str], per_minute: int, told: str) -> None:
    keys.add("held", ["ask"])
    with pytest.raises(UsageError, match=told):
        keys.add(name, scopes, per_minute=per_minute)
    assert len(keys.list()) == 1


def test_when_it_was_used_is_written_down_once_a_minute(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, fresh = keys.add("shop", ["ask"])
    assert keys.is_stale(fresh)
    keys.note_use(fresh)
    used = keys.find(secret)
    assert used is not None
    assert used.used is not None
    assert not keys.is_stale(used)
    monkeypatch.setattr(room.time, "time", lambda: used.used + 61)
    assert keys.is_stale(used)
    assert not keys.is_stale(LOCAL)


def test_a_name_is_data_and_not_sql(keys: Keys) -> None:
    name = "x'); drop table keys; --"
    keys.add(name, ["ask"])
    assert [key.name for key in keys.list()] == [name]
    with closing(sqlite3.connect(keys.database.path)) as connection:
        assert connection.execute("select count(*) from keys").fetchone() == (1,)


# ---- how often ------------------------------------------------------------------------------------------------------


def test_a_bucket_holds_a_minute_and_fills_evenly() -> None:
    now = [100.0]
    buckets = Buckets(lambda: now[0])
    assert [buckets.take("shop", 3) for _ in range(3)] == [0, 0, 0]
    assert buckets.take("shop", 3) == pytest.approx(20)
    assert buckets.take("other", 3) == 0
    now[0] += 19
    assert buckets.take("shop", 3) == pytest.approx(1)
    now[0] += 1.001
    assert buckets.take("shop", 3) == 0
    now[0] += 10_000
    assert [buckets.take("shop", 3) > 0 for _ in range(4)] == [False, False, False, True]


def test_no_limit_is_no_limit() -> None:
    buckets = Buckets(lambda: 0.0)
    assert {buckets.take("shop", 0) for _ in range(1000)} == {0.0}


# ---- the file they are kept in --------------------------------------------------------------------------------------


def test_threads_that_end_leave_no_connection_open(keys: Keys) -> None:
    def look() -> None:
        keys.any()

    for _ in range(20):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert len(keys.database._opened) == 1  # this thread's


def test_a_change_that_the_file_gave_up_says_why(keys: Keys) -> None:
    """On a full disk SQLite goes back by itself: then there is nothing to go back from."""

    def gives_up() -> None:
        with keys.database.changing() as connection:
            connection.execute("rollback")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        gives_up()
    keys.add("shop", ["ask"])


def test_a_change_that_cannot_be_committed_does_not_stay_open(keys: Keys) -> None:
    with keys.database.changing() as connection:
        connection.execute("create table a (id integer primary key)")
        connection.execute("create table b (a integer references a (id) deferrable initially deferred)")
    keys.database._connection.execute("pragma foreign_keys = on")
    with pytest.raises(sqlite3.IntegrityError), keys.database.changing() as connection:
        connection.execute("insert into b values (7)")
    keys.add("shop", ["ask"])


@pytest.mark.parametrize(
    ("scopes", "more", "all_"),
    [
        (["admin"], {}, True),
        (["admin"], {"memories": ["acme"]}, False),
        (["admin"], {"hidden": ["wages"]}, False),
        (["ask", "teach"], {}, False),
    ],
)
def test_who_sees_what_others_do(keys: Keys, scopes: list[str], more: dict[str, list[str]], all_: bool) -> None:
    assert keys.add("boss", scopes, **more)[1].sees_all == all_  # type: ignore[arg-type]
