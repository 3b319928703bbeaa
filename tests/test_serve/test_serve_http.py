"""What stands before every route: guards, limits, errors in shape, logs and metrics; and bad input to a real server."""

from __future__ import annotations

import asyncio
import errno
import importlib.metadata
import io
import json
import logging
import re
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import tiny
from fastapi import APIRouter
from fastapi.testclient import TestClient
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from starlette import formparsers
from test_serve.conftest import FACTS, Served, serving
from typer.testing import CliRunner

from memtune import MemoryModel, errors
from memtune.cli import app as commands
from memtune.config import Config, ServeConfig
from memtune.core.backbone import Backbone
from memtune.core.reports import Answer
from memtune.serve import tally
from memtune.serve.database import Database
from memtune.serve.desk import Busy
from memtune.serve.house import House
from memtune.serve.http.app import make_app
from memtune.serve.http.body import BodyGuard, parsed
from memtune.serve.http.errors import Refused
from memtune.serve.http.server import Server, bind
from memtune.serve.keys import LOCAL, Forbidden, Keys
from memtune.serve.logs import to_standard_error
from memtune.serve.shelf import UnknownModel

ROOT = Path(__file__).parents[2]
MINE = "What did the aunt of the Zorblat say?"
"""Something that must not stand in a log."""


@dataclass
class Own:
    """A server in this process, with routes that fail in every way."""

    client: TestClient
    house: House
    log: io.StringIO

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


FAULTS = {
    "fault": ValueError(MINE),
    "busy": Busy(7.2),
    "locked": errors.FolderLocked("somebody writes"),
    "damaged": errors.FolderDamaged("a shard is damaged"),
    "elsewhere": errors.BackboneMismatch("the memory was made on another model", hint="load that one"),
    "conflict": errors.ConflictError("two answers"),
    "unknown": UnknownModel("acmee", ["acme"]),
    "version": errors.UnknownVersion("there is no version v99"),
    "forbidden": Forbidden("this key may not"),
    "refused": Refused(418, "no", hint="not so", code="teapot", param="pot", headers={"X-Own": "1"}),
}


def failing() -> APIRouter:
    router = APIRouter()

    @router.get("/v1/fail/{how}")
    @router.get("/v1/train/fail/{how}")
    async def fail(how: str) -> None:
        raise FAULTS[how]

    @router.get("/v1/answer")
    async def answer() -> dict[str, str]:
        tally.first_token()
        tally.answered(Answer("yes", fired=True, tokens=(1, 2, 3), prompt_tokens=11))
        tally.answered(Answer("no", abstained=True, tokens=(4,), prompt_tokens=11))
        return {"said": "yes"}

    return router


@contextmanager
def own(data: Path, *settings: str, client: str = "127.0.0.1") -> Iterator[Own]:
    log = io.StringIO()
    house = House(data, Config().with_settings(settings))
    house.start = lambda: None  # type: ignore[method-assign]
    app = make_app(house)
    app.include_router(failing())
    to_standard_error(log, texts=house.config.serve.log_texts)
    with TestClient(app, base_url="http://localhost", client=(client, 1)) as asking:
        yield Own(asking, house, log)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Own]:
    with own(tmp_path) as found:
        yield found


# ---- errors in the caller's shape -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "status", "kind", "code", "lamini"),
    [
        ("fault", 500, "server_error", None, 500),
        ("busy", 429, "rate_limit_error", "busy", 429),
        ("locked", 409, "invalid_request_error", None, 503),
        ("damaged", 503, "server_error", "unavailable", 503),
        ("elsewhere", 503, "server_error", "unavailable", 503),
        ("conflict", 409, "invalid_request_error", None, 400),
        ("unknown", 404, "not_found_error", "model_not_found", 594),
        ("version", 404, "not_found_error", "model_not_found", 594),
        ("forbidden", 403, "permission_error", None, 403),
        ("refused", 418, "invalid_request_error", "teapot", 418),
    ],
)
def test_a_fault_in_both_shapes(server: Own, how: str, status: int, kind: str, code: str | None, lamini: int) -> None:
    told = server.client.get(f"/v1/fail/{how}")
    assert told.status_code == status
    error = told.json()["error"]
    assert (error["type"], error["code"]) == (kind, code)
    assert set(error) == {"message", "type", "param", "code"}
    there = server.client.get(f"/v1/train/fail/{how}")
    assert there.status_code == lamini
    if how != "fault":
        assert there.json() == {"detail": error["message"]}
        assert str(FAULTS[how])[:20] in error["message"]


def test_who_has_to_wait_is_told_how_long(server: Own) -> None:
    assert server.client.get("/v1/fail/busy").headers["retry-after"] == "7"
    assert int(server.client.get("/v1/fail/locked").headers["retry-after"]) > 0
    assert server.client.get("/v1/fail/refused").headers["x-own"] == "1"


def test_what_nobody_foresaw_is_logged_and_not_told(server: Own) -> None:
    told = server.client.get("/v1/fail/fault", headers={"X-Request-Id": "abc-1"})
    assert "ValueError" not in told.text
    assert "aunt" not in told.text
    assert "abc-1" in told.json()["error"]["message"]
    (fault,) = (line for line in server.lines() if line["message"] == "fault")
    assert (fault["request"], fault["fault"]) == ("abc-1", "ValueError")
    assert "in fail" in fault["traceback"]
    assert "aunt" not in server.log.getvalue()


def test_a_fault_may_be_quoted_where_texts_are_logged(tmp_path: Path) -> None:
    with own(tmp_path, "serve.log_texts=true") as server:
        server.client.get("/v1/fail/fault")
        assert MINE in server.log.getvalue()


@pytest.mark.parametrize(
    ("method", "path", "status", "lamini"),
    [
        ("GET", "/v1/nothing", 404, False),
        ("GET", "/v1/train/nothing", 404, True),
        ("GET", "/v3/nothing", 404, True),
        ("PUT", "/v1/chat/completions", 405, False),
        ("PUT", "/v1/train", 405, True),
    ],
)
def test_what_is_not_there_is_said_in_shape(server: Own, method: str, path: str, status: int, lamini: bool) -> None:
    told = server.client.request(method, path)
    assert told.status_code == status
    assert path in (told.json()["detail"] if lamini else told.json()["error"]["message"])


@pytest.mark.parametrize(
    ("body", "headers", "lamini"),
    [
        ('{"model": "nix", "prompt": "a"}', {}, False),
        ('{"model_name": "nix", "prompt": "a"}', {}, True),
        ('{"model_name": 3}', {}, True),
        ("{", {}, False),
        ("{", {"Lamini-Version": "3.4.6"}, True),
    ],
)
def test_completions_answer_as_they_were_asked(server: Own, body: str, headers: dict[str, str], lamini: bool) -> None:
    told = server.client.post("/v1/completions", content=body, headers={"Content-Type": "application/json"} | headers)
    assert told.status_code >= 400
    assert ("detail" in told.json()) == lamini


def test_a_field_that_is_wrong_is_named(server: Own) -> None:
    told = server.client.post("/v1/chat/completions", json={"model": "base", "messages": 3})
    assert told.status_code == 400
    assert told.json()["error"]["param"] == "messages"


def test_no_path_of_the_server_is_told(tmp_path: Path) -> None:
    with own(tmp_path) as server:
        server.house.shelf.named["acme"] = Path("/srv/secret/acme")
        for path in (f"{tmp_path}/memories/m", "/srv/secret/acme"):
            FAULTS["damaged"] = errors.FolderDamaged(f"{path}/refs.json is damaged")
            told = server.client.get("/v1/fail/damaged").json()["error"]["message"]
            assert str(tmp_path) not in told
            assert "/srv" not in told
            assert "refs.json is damaged" in told


# ---- bodies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'"\xff"',
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
        b"[" * 65 + b"]" * 65,
        b'{"a":' * 65 + b"1" + b"}" * 65,
        b"1" * 5000,
        b"[" + b"1," * 100_000 + b"1]",
        b"[" + b"[]," * 2_600_000 + b"[]]",
        json.dumps({str(i): i for i in range(100_001)}).encode(),
    ],
    ids=lambda body: f"{body[:12].decode('latin-1')}{len(body)}",
)
def test_a_body_that_is_no_json(server: Own, body: bytes) -> None:
    begin = time.monotonic()
    told = server.client.post("/v1/chat/completions", content=body, headers={"Content-Type": "application/json"})
    assert told.status_code == 400
    assert "the body" in told.json()["error"]["message"]
    assert time.monotonic() - begin < 3  # meanwhile nobody else is answered


def test_a_body_that_is_json() -> None:
    assert parsed(b'[{"a": "\\ud83d\\ude00 \\u00e9"}, 1.5, null]') == [{"a": "😀 é"}, 1.5, None]
    deepest = b"[" * 64 + b"]" * 64
    assert parsed(deepest) == json.loads(deepest)
    assert len(parsed(b"[" + b"[]," * 999 + b"[]]")) == 1000


def test_a_body_is_bounded_while_it_comes(tmp_path: Path) -> None:
    with own(tmp_path, "serve.max_body=1000") as server:
        json_ = {"Content-Type": "application/json"}
        whole = server.client.post("/v1/chat/completions", content=b" " * 1001, headers=json_)
        chunked = server.client.post("/v1/chat/completions", content=iter([b" " * 600] * 2), headers=json_)
        fits = server.client.post("/v1/chat/completions", content=b"{}" + b" " * 998, headers=json_)
    assert [whole.status_code, chunked.status_code, fits.status_code] == [413, 413, 400]
    assert whole.json()["error"]["code"] == "too_large"


def test_a_chat_of_too_many_messages_is_refused_before_it_is_looked_at(tmp_path: Path) -> None:
    with own(tmp_path, "serve.max_messages=3") as server:
        told = server.client.post("/v1/chat/completions", json={"model": "base", "messages": ["nonsense"] * 4})
    assert told.status_code == 400
    assert told.json()["error"]["message"].startswith("a chat of 4 messages is too long")


def test_a_body_of_no_kind_is_looked_at_as_well(server: Own) -> None:
    told = server.client.post("/v1/chat/completions", content=b"[" * 100_000)
    assert (told.status_code, told.json()["error"]["message"]) == (400, "the body is nested more than 64 deep")


def test_bodies_together_are_bounded() -> None:
    """Seventeen clients send a body of the largest size, and none of them comes to its end."""
    guard = BodyGuard(lambda *_: None, Config().with_settings(["serve.max_body=1000"]).serve)  # type: ignore[arg-type]

    async def send_most(told: list[int]) -> None:
        pieces = iter([b" " * 1000])

        async def receive() -> Any:
            if piece := next(pieces, None):
                return {"type": "http.request", "body": piece, "more_body": True}
            return await asyncio.sleep(60)

        async def send(message: Any) -> None:
            told.extend([message["status"]] if "status" in message else [])

        scope: Any = {"type": "http", "path": "/v1/x", "method": "POST", "headers": [], "state": {"key": LOCAL}}
        await guard(scope, receive, send)

    async def all_at_once() -> list[int]:
        told: list[int] = []
        tasks = [asyncio.create_task(send_most(told)) for _ in range(17)]
        await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return told

    assert asyncio.run(all_at_once()) == [503]
    assert guard._held == 0


def test_an_upload_is_bounded_while_it_comes(tmp_path: Path) -> None:
    with own(tmp_path, "serve.max_upload=1000", "serve.max_body=100") as server:
        parts = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        declared = server.client.post("/v1/files", content=parts + b"a" * 2000, headers=kind)
        chunked = server.client.post("/v1/files", content=iter([parts, b"a" * 2000]), headers=kind)
    assert [declared.status_code, chunked.status_code] == [413, 413]


def test_a_disk_that_is_full_while_an_upload_comes(server: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(tempfile.SpooledTemporaryFile):  # type: ignore[type-arg]
        def write(self, _: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(formparsers, "SpooledTemporaryFile", Full)
    told = server.client.post("/v1/files", files={"file": ("a.jsonl", b"{}")}, data={"purpose": "fine-tune"})
    assert (told.status_code, "no space left" in told.text) == (507, True)


# ---- who may ask ----------------------------------------------------------------------------------------------------


def test_keys_and_scopes(server: Own) -> None:
    assert server.client.get("/metrics").status_code == 200
    asker, _ = server.house.keys.add("shop", ["ask"])
    admin, _ = server.house.keys.add("boss", ["admin"])

    def status(authorization: str | None, path: str = "/metrics") -> int:
        headers = {"Authorization": authorization} if authorization else {}
        return server.client.get(path, headers=headers).status_code

    assert [status(None), status("Bearer nix"), status(admin), status(f"Basic {admin}")] == [401] * 4
    assert status(f"Bearer {asker}") == 403
    assert status(f"Bearer {admin}") == status(f"bearer  {admin}") == 200
    assert status(None, "/healthz") == status(None, "/readyz") - 503 + 200 == 200
    told = server.client.get("/metrics")
    assert told.headers["www-authenticate"] == "Bearer"
    assert told.json()["error"]["type"] == "authentication_error"
    server.house.keys.revoke("boss")
    assert status(f"Bearer {admin}") == 401
    assert server.house.keys.list()[1].used is not None
    assert admin not in server.log.getvalue()
    assert {line["key"] for line in server.lines()} == {"local", None, "shop", "boss"}


@pytest.mark.parametrize(
    ("path", "lamini"), [("/v1/chat/completions", False), ("/v1/files", False), ("/v1/train", True), ("/v1/x", False)]
)
def test_what_strangers_send_is_not_looked_at(
    server: Own, monkeypatch: pytest.MonkeyPatch, path: str, lamini: bool
) -> None:
    server.house.keys.add("shop", ["ask"], per_minute=2)
    monkeypatch.setattr(BodyGuard, "_plain", lambda *_: 1 / 0)
    monkeypatch.setattr(BodyGuard, "_upload", lambda *_: 1 / 0)
    for headers in ({}, {"Authorization": "Bearer nix"}):
        told = server.client.post(path, content=b"[" * 100_000, headers={"Content-Type": "application/json", **headers})
        assert (told.status_code, "detail" in told.json()) == (401, lamini)


def test_a_request_counts_once(server: Own) -> None:
    secret, _ = server.house.keys.add("shop", ["ask"], per_minute=2)
    headers = {"Authorization": f"Bearer {secret}"}
    told = [server.client.post("/v1/chat/completions", json={}, headers=headers).status_code for _ in range(3)]
    assert told == [400, 400, 429]


def test_metrics_may_be_open(tmp_path: Path) -> None:
    with own(tmp_path, "serve.open_metrics=true") as server:
        server.house.keys.add("boss", ["admin"])
        assert server.client.get("/metrics").status_code == 200


@pytest.mark.parametrize("of", ["key", "server"])
def test_a_key_has_so_many_requests_a_minute(tmp_path: Path, of: str) -> None:
    with own(tmp_path, "serve.per_minute=2" if of == "server" else "serve.per_minute=1") as server:
        secret, _ = server.house.keys.add("boss", ["admin"], per_minute=2 if of == "key" else 0)
        told = [server.client.get("/metrics", headers={"Authorization": f"Bearer {secret}"}) for _ in range(3)]
    assert [one.status_code for one in told] == [200, 200, 429]
    assert 1 <= int(told[2].headers["retry-after"]) <= 30
    assert told[2].json()["error"]["type"] == "rate_limit_error"


def test_without_keys_only_this_machine_is_served(tmp_path: Path) -> None:
    with own(tmp_path, client="192.0.2.1") as server:
        assert server.client.get("/metrics").status_code == 401
        secret, _ = server.house.keys.add("boss", ["admin"])
        assert server.client.get("/metrics", headers={"Authorization": f"Bearer {secret}"}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:80"}, 200),
        ({"Host": "[::1]:80"}, 200),
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:80"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost"}, 200),
        ({"Origin": "https://shop.example"}, 200),
        ({"Origin": "null"}, 403),
    ],
    ids=str,
)
def test_web_pages_do_not_reach_a_server_without_keys(tmp_path: Path, headers: dict[str, str], status: int) -> None:
    with own(tmp_path, "serve.cors=https://shop.example") as server:
        assert server.client.get("/metrics", headers=headers).status_code == status


def test_other_origins_only_where_they_are_named(server: Own, tmp_path: Path) -> None:
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in server.client.options("/v1/models", headers=asked).headers
    with own(tmp_path / "other", "serve.cors=https://shop.example") as named:
        allowed = named.client.options("/v1/models", headers=asked)
        assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
        evil = named.client.options("/v1/models", headers=asked | {"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in evil.headers


# ---- headers, logs and metrics --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/healthz", "/nothing", "/v1/fail/fault", "/metrics"])
def test_every_answer_tells_browsers_to_keep_off(server: Own, path: str) -> None:
    headers = server.client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "server" not in headers


@pytest.mark.parametrize(("given", "kept"), [("abc-1.X_", True), ("a b", False), ("a" * 65, False), ("", False)])
def test_the_id_of_a_request(server: Own, given: str, kept: bool) -> None:
    told = server.client.get("/healthz", headers={"X-Request-Id": given}).headers["x-request-id"]
    assert (told == given) == kept
    assert re.fullmatch(r"[\w.-]{1,64}", told)
    assert server.lines()[-1]["request"] == told


def test_one_line_a_request_and_no_text(server: Own) -> None:
    server.client.post("/v1/chat/completions", json={"model": "nix", "messages": [{"role": "user", "content": MINE}]})
    server.client.get("/v1/answer")
    first, second = server.lines()
    assert first["route"] == "/v1/chat/completions"
    assert (first["status"], first["key"], first["method"]) == (404, "local", "POST")
    assert (second["tokens"], second["prompt_tokens"], second["fired"], second["abstained"]) == (4, 22, 1, 1)
    assert second["ms"] > 0
    assert "aunt" not in server.log.getvalue()


def test_a_route_is_named_as_clients_call_it(server: Own) -> None:
    for path in ("/v1/memories/secret/facts", "/v1/models/secret", "/v1/train/jobs/7", "/secret"):
        server.client.get(path)
    routes = ["/v1/memories/{name}/facts", "/v1/models/{model:path}", "/v1/train/jobs/{job_id}", "(unknown)"]
    assert [line["route"] for line in server.lines()] == routes
    figures = server.client.get("/metrics").text
    assert all(f'route="{route}",status="404"' in figures for route in routes)
    assert "secret" not in figures + server.log.getvalue()


def test_texts_are_logged_where_that_is_asked_for(tmp_path: Path) -> None:
    with own(tmp_path, "serve.log_texts=true") as server:
        server.client.post(
            "/v1/chat/completions", json={"model": "nix", "messages": [{"role": "user", "content": MINE}]}
        )
        (line,) = server.lines()
    assert MINE in line["asked"]
    assert "there is no model" in line["said"]


def test_metrics_count_by_template_and_not_by_name(server: Own) -> None:
    for how in ("busy", "locked"):
        server.client.get(f"/v1/fail/{how}")
    server.client.get("/v1/answer")
    server.client.request("BREW", "/pot")
    text = server.client.get("/metrics").text
    assert 'memtune_requests_total{method="GET",route="/v1/fail/{how}",status="429"} 1.0' in text
    assert 'memtune_requests_total{method="OTHER",route="(unknown)",status="404"} 1.0' in text
    assert 'memtune_tokens_total{kind="completion"} 4.0' in text
    assert 'memtune_answers_total{outcome="fired"} 1.0' in text
    assert 'memtune_answers_total{outcome="abstained"} 1.0' in text
    assert "memtune_first_token_seconds_count 1.0" in text
    for name in ("queue", "rows", "prefixes_total", "request_seconds_bucket"):
        assert f"memtune_{name}" in text


def test_readiness_follows_the_house(tmp_path: Path) -> None:
    with own(tmp_path) as server:
        app = server.client.app
        assert server.client.get("/readyz").status_code == 503, "no engine runs"
        server.house.desk = SimpleNamespace(ready=True, close=lambda: None)  # type: ignore[assignment]
        assert server.client.get("/readyz").json() == {"status": "ready"}
        app.state.ending = True  # type: ignore[attr-defined]
        assert server.client.get("/readyz").json()["error"]["code"] == "ending"
        app.state.fault = errors.BackboneDamaged(f"{tmp_path}/model is damaged")  # type: ignore[attr-defined]
        told = server.client.get("/readyz")
        assert (told.status_code, told.json()["error"]["message"]) == (503, "model is damaged")
        assert server.client.get("/healthz").status_code == 200


# ---- a memory whose model is not there ------------------------------------------------------------------------------


def test_a_memory_whose_backbone_is_missing(tmp_path: Path) -> None:
    other = Backbone(tiny.model(), tiny.tokenizer(), name="tiny-one")
    with closing(MemoryModel(other, tmp_path / "memories" / "acme")) as model:
        model.learn(tiny.facts(2))
    with own(tmp_path) as server:
        told = server.client.post(
            "/v1/chat/completions", json={"model": "acme", "messages": [{"role": "user", "content": "hi"}]}
        )
    assert told.status_code == 503, told.text
    assert "tiny-one" in told.json()["error"]["message"]
    assert str(tmp_path) not in told.text


def test_a_memory_that_was_named_and_cannot_be_opened_ends_the_start(tmp_path: Path) -> None:
    with closing(MemoryModel(Backbone(tiny.model(), tiny.tokenizer(), name="tiny-one"), tmp_path / "m")) as model:
        model.learn(tiny.facts(1))
    house = House(tmp_path / "data", memories={"acme": tmp_path / "m"})
    house.start = lambda: None  # type: ignore[method-assign]
    faults: list[Exception] = []
    with TestClient(make_app(house, warm=True, on_fault=faults.append)) as client:
        ends = time.monotonic() + 30
        while not faults and time.monotonic() < ends:
            assert client.get("/readyz").status_code == 503
            time.sleep(0.05)
    assert isinstance(faults[0], errors.BackboneMismatch)


# ---- the command ----------------------------------------------------------------------------------------------------


def run(*args: str) -> Any:
    return CliRunner().invoke(commands, ["serve", *args])


def test_a_port_in_use(tmp_path: Path) -> None:
    with bind("127.0.0.1", 0) as held:
        port = held.getsockname()[1]
        result = run("--data", str(tmp_path), "--port", str(port))
    assert result.exit_code == 1
    assert re.search(rf"error: 127.0.0.1:{port} cannot be used: .*in use\nhint: .*--port", result.output)


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["--host", "0.0.0.0"], 2, r"no keys\nhint: memtune keys add NAME"),
        (["--host", "no such host"], 2, "there is no address"),
        (["--memory", "acme"], 2, "--memory NAME=DIR"),
        (["--memory", "acme=nowhere"], 2, "nowhere"),
        (["--memory", "=x"], 2, "cannot be '=x'"),
        (["--model-alias", "a=b", "--model-alias", "a=c"], 2, "names 'a' twice"),
        (["--set", "serve.rows=0"], 2, "rows must be at least 1"),
        (["--port", "70000"], 2, "65535"),
    ],
    ids=str,
)
def test_what_cannot_be_served_is_said_in_a_line(tmp_path: Path, options: list[str], code: int, told: str) -> None:
    result = run("--data", str(tmp_path / "data"), "--port", "0", *options)
    assert (result.exit_code, bool(re.search(told, result.output))) == (code, True), result.output


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--memory", "base=MEMORY"], "'base' cannot be the name of a memory"),
        (["--memory", "../a=MEMORY"], "'../a' cannot be the name of a memory"),
        (["--memory", "gpt=MEMORY", "--model-alias", "gpt=bundled"], "'gpt' cannot be the name of a memory"),
        (["--model-alias", "base=bundled"], "'base' cannot be the name of a model"),
    ],
    ids=str,
)
def test_names_that_are_taken(tmp_path: Path, options: list[str], told: str) -> None:
    with closing(MemoryModel(Backbone(tiny.model(), tiny.tokenizer(), name="tiny-one"), tmp_path / "m")) as model:
        model.learn(tiny.facts(1))
    result = run("--data", str(tmp_path), "--port", "0", *(o.replace("MEMORY", str(tmp_path / "m")) for o in options))
    assert (result.exit_code, told in result.output) == (2, True), result.output


def test_a_damaged_database_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "server.sqlite").write_text("garbage " * 99)
    for result in (
        run("--data", str(tmp_path), "--port", "0"),
        CliRunner().invoke(commands, ["keys", "list", "--data", str(tmp_path)]),
    ):
        assert result.exit_code == 1
        assert re.match(r"error: .*server.sqlite cannot be used: .*\nhint: put back a copy", result.output)


def test_forms_are_put_aside_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen = tempfile.gettempdir(), list[str]()
    monkeypatch.setattr(Server, "work", lambda self: seen.append(tempfile.gettempdir()))
    for logger in ("memtune.serve", "uvicorn.error"):
        monkeypatch.setattr(logging.getLogger(logger), "handlers", [])
    result = run("--data", str(tmp_path), "--port", "0")
    assert (result.exit_code, seen) == (0, [str(tmp_path / "files")]), result.output
    assert tempfile.gettempdir() == before


def test_a_missing_package_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from memtune.cli import opening

    monkeypatch.setattr(opening, "find_spec", lambda name: None if name == "multipart" else object())
    result = run("--data", str(tmp_path))
    assert result.exit_code == 1
    assert "'python-multipart', which is not installed\nhint: pip install 'memtune[serve]'" in result.output


# ---- what is written down -------------------------------------------------------------------------------------------


def test_every_setting_stands_in_the_docs_with_its_default() -> None:
    text = (ROOT / "docs" / "server.md").read_text("utf-8").partition("## Settings")[2]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.MULTILINE)
    told = {name: value.replace(",", "") for name, value in rows}
    for setting in fields(ServeConfig):
        value = getattr(ServeConfig(), setting.name)
        assert told[setting.name] == ("none" if value == () else str(value).lower()), setting.name
    assert {name for name, _ in rows} - {setting.name for setting in fields(ServeConfig)} == set()


def test_all_that_the_server_brings_along_is_pinned() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    extra = re.search(r"^serve = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert extra is not None
    pins = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    needed: set[str] = set()
    ahead = [Requirement(line) for line in re.findall(r'"(.+?)"', extra[1])]
    while ahead:
        name = canonicalize_name(ahead.pop().name)
        if name in needed:
            continue
        needed.add(name)
        further = map(Requirement, importlib.metadata.requires(name) or ())
        ahead += [one for one in further if one.marker is None or one.marker.evaluate({"extra": ""})]
    assert {"fastapi", "starlette", "uvicorn", "h11", "llguidance"} <= needed
    assert needed - {canonicalize_name(name) for name in pins} == set()


# ---- a real server --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that has little patience."""
    data = tmp_path_factory.mktemp("impatient")
    with closing(MemoryModel(memory=data / "memories" / "acme")) as model:
        model.learn(FACTS)
    with closing(Database(data / "server.sqlite")) as database:
        secrets = {name: Keys(database).add(name, [name])[0] for name in ("ask", "admin")}
        secrets["closed"] = Keys(database).add("closed", ["ask"], memories=["other"])[0]
    with serving(data, "--set", "serve.body_seconds=1", "--set", "serve.connections=40", keys=secrets) as found:
        yield found


def chat(real: Served, model: str = "acme", key: str = "ask", **more: Any) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "What does the Zorblat cost?"}]}
    return httpx.post(f"{real.url}/v1/chat/completions", json=body | more, headers=bearer(real, key))


def bearer(real: Served, key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {real.keys.get(key, key)}"}


def connected(real: Served) -> socket.socket:
    url = httpx.URL(real.url)
    found = socket.create_connection((url.host, url.port))
    found.settimeout(10)
    return found


def log_of(real: Served, route: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (real.data / "server.log").read_text().splitlines())
    return [line for line in lines if line.get("route") == route]


def test_wrong_keys_and_models_at_a_real_server(real: Served) -> None:
    assert chat(real).json()["choices"][0]["message"]["content"] == "40 dollars"
    assert [chat(real, key=key).status_code for key in ("wrong", "mt-")] == [401, 401]
    assert httpx.get(f"{real.url}/metrics").status_code == 401
    assert httpx.get(f"{real.url}/metrics", headers=bearer(real, "ask")).status_code == 403
    unknown = chat(real, model="acmee")
    assert unknown.status_code == 404
    assert "did you mean acme" in unknown.json()["error"]["message"]
    closed = chat(real, key="closed")
    assert closed.status_code == 404
    assert "mean acme" not in closed.text


def test_a_key_is_made_and_revoked_while_the_server_runs(real: Served) -> None:
    made = CliRunner().invoke(commands, ["keys", "add", "late", "--data", str(real.data), "--json"])
    secret = json.loads(made.output)["key"]
    assert chat(real, key=secret).status_code == 200
    assert CliRunner().invoke(commands, ["keys", "revoke", "late", "--data", str(real.data)]).exit_code == 0
    assert chat(real, key=secret).status_code == 401
    listed = CliRunner().invoke(commands, ["keys", "list", "--data", str(real.data)]).output
    assert re.search(r"late  ask  all memories  used .*revoked", listed)
    assert secret not in listed


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_a_hundred_megabytes(real: Served, chunked: bool) -> None:
    pieces: Any = (b" " * 1_000_000 for _ in range(100)) if chunked else b" " * 100_000_000
    headers = bearer(real, "ask") | {"Content-Type": "application/json"}
    told = httpx.post(f"{real.url}/v1/chat/completions", content=pieces, headers=headers, timeout=60)
    assert (told.status_code, told.json()["error"]["code"]) == (413, "too_large")


def test_a_chat_of_a_million_messages(real: Served) -> None:
    body = b'{"model":"acme","messages":[' + b"{}," * 1_000_000 + b"{}]}"
    headers = bearer(real, "ask") | {"Content-Type": "application/json"}
    told = httpx.post(f"{real.url}/v1/chat/completions", content=body, headers=headers, timeout=60)
    assert told.status_code == 400
    assert "the body holds more than 100,000 values" in told.json()["error"]["message"]


def test_headers_that_do_not_end(real: Served) -> None:
    with connected(real) as slow:
        began = time.monotonic()
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        while time.monotonic() - began < 8:
            try:
                slow.sendall(b"X-A: b\r\n")
                slow.settimeout(0.2)
                if not slow.recv(100):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert 0.8 < time.monotonic() - began < 6
    assert chat(real).status_code == 200


def test_a_connection_that_says_nothing(real: Served) -> None:
    with connected(real) as silent:
        began = time.monotonic()
        with _ended():
            assert silent.recv(10) == b""
        assert time.monotonic() - began < 6


@contextmanager
def _ended() -> Iterator[None]:
    """The other side closed, with or without ceremony."""
    with suppress(ConnectionResetError):
        yield


def test_a_body_that_does_not_end(real: Served) -> None:
    with connected(real) as slow:
        known = b"Authorization: Bearer " + real.keys["ask"].encode()
        slow.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + known + b"\r\nContent-Length: 100\r\n\r\n{")
        told = slow.recv(10_000)
    assert told.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in told


def test_headers_that_are_too_long(real: Served) -> None:
    with connected(real) as sender, _ended():
        sender.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 100_000)
        assert sender.recv(100).startswith(b"HTTP/1.1 400")
    assert httpx.get(f"{real.url}/healthz").status_code == 200


def test_too_many_connections(real: Served) -> None:
    held = [connected(real) for _ in range(60)]
    time.sleep(0.2)
    for one in held:
        one.close()
    time.sleep(0.2)
    assert httpx.get(f"{real.url}/healthz").status_code == 200


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_is_gone_frees_its_place(real: Served, stream: bool) -> None:
    body = {"model": "base", "prompt": "Once upon a time", "max_tokens": 900, "stream": stream}
    before = len(log_of(real, "/v1/completions"))
    with connected(real) as leaving:
        data = json.dumps(body).encode()
        key = f"Authorization: Bearer {real.keys['ask']}\r\nContent-Type: application/json\r\n"
        head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\n{key}Content-Length: {len(data)}\r\n\r\n"
        leaving.sendall(head.encode() + data)
        if stream:
            assert leaving.recv(100).startswith(b"HTTP/1.1 200")
        else:
            time.sleep(0.3)
    ends = time.monotonic() + 5
    while len(log_of(real, "/v1/completions")) == before and time.monotonic() < ends:
        time.sleep(0.05)
    line = log_of(real, "/v1/completions")[-1]
    assert line["status"] == 499
    time.sleep(0.1)
    figures = httpx.get(f"{real.url}/metrics", headers=bearer(real, "admin")).text
    assert "memtune_rows 0.0" in figures


def test_a_second_server_in_the_same_folder(real: Served) -> None:
    result = run("--data", str(real.data), "--port", "0")
    assert result.exit_code == 1
    assert "another server is at work" in result.output


def test_told_twice_it_ends_at_once(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        body = {"model": "base", "prompt": "Once upon a time", "max_tokens": 2000, "stream": True}
        with httpx.stream("POST", f"{server.url}/v1/completions", json=body, timeout=60) as reply:
            pieces = reply.iter_text()
            next(pieces)
            began = time.monotonic()
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.2)
            server.process.send_signal(signal.SIGINT)
            with pytest.raises(httpx.HTTPError):
                "".join(pieces)
        assert server.process.wait(timeout=10) == 130
        assert time.monotonic() - began < 4


def test_streams_end_before_the_server_does(real: Served) -> None:
    """The last test of this server."""
    body = {"model": "base", "prompt": "Once upon a time", "max_tokens": 150, "stream": True}
    key = bearer(real, "ask")
    with httpx.stream("POST", f"{real.url}/v1/completions", json=body, headers=key, timeout=60) as reply:
        pieces = reply.iter_text()
        text = next(pieces)
        real.process.send_signal(signal.SIGTERM)
        text += "".join(pieces)
    assert text.rstrip().endswith("data: [DONE]")
    assert real.process.wait(timeout=30) == 0
