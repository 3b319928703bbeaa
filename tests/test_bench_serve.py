"""`memtune bench serve`: clients that notice what goes wrong, and one short run with real processes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from memtune.backbones.loading import load_backbone
from memtune.bench import app, serve, serve_load, serve_peers, serve_processes, serve_world
from memtune.bench.serve_result import Load, Resident, ServeResult, Soak
from memtune.config import Config
from memtune.core.backbone import Backbone

ASKED = {"body": {"model": "north"}, "text": "Bell oak.", "memory": "north", "version": 2, "fired": True}
TOLD = {"memory": "north", "version": 2, "fired": True}


def stream(said: str = "Bell oak.", told: dict[str, Any] = TOLD, *, cut: int = 7) -> bytes:
    """A streamed reply whose chunks end in the middle of its events."""
    half = len(said) // 2
    events = [{"choices": [{"delta": {"content": text}, "finish_reason": None}]} for text in (said[:half], said[half:])]
    events.append({"choices": [{"delta": {}, "finish_reason": "stop"}], "memtune": told})
    events.append({"choices": [], "usage": {"completion_tokens": 6}})
    body = "".join(f"data: {json.dumps(e)}\n\n" for e in events).encode() + b"data: [DONE]\n\n"
    chunks = [body[i : i + cut] for i in range(0, len(body), cut)]
    framed = b"".join(f"{len(c):x}\r\n".encode() + c + b"\r\n" for c in [*chunks, b""])
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + framed


def asked(reply: bytes, *, clients: int = 2, seconds: float = 0.2, hang_up: bool = False) -> dict[str, Any]:
    """What the clients see of a server that always replies so."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))
                await asyncio.sleep(0.01)
                writer.write(reply)
                if hang_up:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    async def run() -> dict[str, Any]:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await serve_load.run(serve_load.Plan(port, clients, seconds, [ASKED]))

    return asyncio.run(run())


@pytest.mark.parametrize("cut", [1, 7, 10_000])
def test_answers_are_read_wherever_their_chunks_end(cut: int) -> None:
    found = Load(**asked(stream(cut=cut)))
    assert (found.failed, found.wrong) == (0, 0)
    assert found.requests >= 4
    assert found.tokens == 7 * found.requests  # the end is a token too
    assert found.tokens_per_second == pytest.approx(7 * found.requests_per_second)
    assert found.first_p50 is not None
    assert found.first_p95 is not None
    assert 0.005 < found.first_p50 <= found.first_p95


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (stream("Bell elm."), "'Bell elm.' in place of 'Bell oak.'"),
        (stream(told=TOLD | {"version": 1}), "version 1 in place of 2"),
        (stream(told=TOLD | {"memory": "south"}), "memory 'south' in place of 'north'"),
        (stream(told=TOLD | {"fired": False}), "fired False in place of True"),
    ],
)
def test_an_answer_of_another_memory_or_version_is_wrong(reply: bytes, problem: str) -> None:
    found = asked(reply)
    assert found["failed"] == 0
    assert found["wrong"] == found["requests"]
    assert found["problems"][0] == problem


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nbusy", "status 429: busy"),
        (b'HTTP/1.1 200 OK\r\ncontent-length: 29\r\n\r\ndata: {"error": "broken"}\r\n\r\n', 'broken off: "broken"'),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\ndata: [DONE]\r\n", "the stream ended before it said how"),
    ],
)
def test_a_request_that_fails_is_counted(reply: bytes, problem: str) -> None:
    found = asked(reply)
    assert found["failed"] == found["requests"] > 0
    assert found["problems"][0] == problem


def test_a_connection_that_is_cut_is_counted_and_the_client_comes_back() -> None:
    found = asked(stream()[:-20], hang_up=True, clients=1, seconds=0.5)
    assert found["failed"] == found["requests"] >= 2


def test_an_answer_counts_with_the_part_that_lies_in_the_time_that_counts() -> None:
    plan = serve_load.Plan(1, 1, 10.0, [ASKED], warm=0.2)
    for sent, done in ((0.0, 4.0), (4.0, 8.0), (8.0, 12.0)):
        plan.replies.append(serve_load.Reply(ASKED, sent, sent + 1, done, tokens=16))
    found = serve_load.summed(plan, 0.0, 0)
    assert found["tokens_per_second"] == (8 + 16 + 8) / 8
    assert found["tokens"] == 48


def test_each_client_may_have_a_question_of_its_own() -> None:
    plan = serve_load.Plan(1, 2, 1.0, [{"n": 0}, {"n": 1}, {"n": 2}], own=True)
    assert [next(plan.questions_of(client))["n"] for client in range(4)] == [0, 1, 2, 0]


def soaked(sizes: list[int], seconds: float = 100.0, **changed: Any) -> Soak:
    load = {"requests": 9, "failed": 0, "wrong": 0, "problems": [], "tokens": 9, "tokens_per_second": 9.0,
            "requests_per_second": 1.0, "first_p50": 0.1, "first_p95": 0.2}  # fmt: skip
    at = [(i * seconds / (len(sizes) - 1), size << 20) for i, size in enumerate(sizes)]
    return Soak(64, seconds, ["north"], Load(**load | changed), Resident.of(at, seconds))


def test_a_soak_tells_what_must_not_be() -> None:
    assert soaked([50, 100, 100, 100, 104]).faults == []  # what it takes to get warm is no growth
    assert "the server's memory grew by 10.0 %" in soaked([50, 100, 100, 100, 110]).faults
    assert soaked([50, 100, 100, 100, 110], seconds=10.0).faults == []  # so short a run is still getting warm
    assert soaked([1, 1], failed=2, problems=["status 500"]).faults == ["2 requests failed", "status 500"]
    assert "3 answers are not those of their memory and version" in soaked([1, 1], wrong=3).faults
    assert soaked([1, 1], requests=0).faults == ["nothing was answered"]


def test_ratios_are_taken_round_by_round() -> None:
    result = ServeResult(8, 24, 1, 3)
    for mine, other in ((90.0, 100.0), (40.0, 50.0), (30.0, 30.0)):
        result.arm("served").note(mine, None)
        result.arm("offline").note(other, 200.0)
    result.compare("ratio", "served", "offline", target=0.95)
    assert result.shares[0].value.median == 0.9
    assert result.shares[0].by_processor is None
    assert result.shares[0].reached is False
    assert [sheet.rows for sheet in result.sheets()]


def test_a_fault_in_any_turn_is_one_of_the_run_unless_it_is_the_peers() -> None:
    result = ServeResult(8, 24, 1, 1)
    load = soaked([1, 1], failed=2, problems=["status 500"]).load
    result.arm("64 clients").add(load)
    result.arm("transformers serve").add(load)
    result.arm("transformers serve").peer = True
    assert result.faults == ["64 clients: 2 failed, 0 wrong: status 500"]


def test_what_a_peer_needs_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert serve_peers.missing_for_transformers() == ""
    monkeypatch.setattr(serve_peers, "find_spec", lambda name: None)
    assert serve_peers.missing_for_peft() == "peft is left out: pip install 'memtune[peers]'"
    assert "it needs fastapi, uvicorn, openai" in serve_peers.missing_for_transformers()


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return load_backbone("bundled")


def test_the_world_is_the_same_work_in_every_version(backbone: Backbone, tmp_path: Path) -> None:
    world = serve_world.make(backbone, tmp_path, Config(), facts=8, tokens=12, seed=0, even=3)
    assert world.steps[:3] == [12] * 3
    assert len(set(world.steps)) > 1
    assert world.versions == {"north@v1": 1, "north": 2, "south": 1}
    tail = backbone.template.question("?").tail
    for answers in world.says.values():
        lengths = [len(ids or ()) + 1 for ids in backbone.writer.tokens(answers, tail)]
        assert lengths == world.steps
    assert len({text for answers in world.says.values() for text in answers}) == 24
    own, plain = world.asked("north@v1", [3])[0], world.asked("base", [3])[0]
    assert (own["memory"], own["version"], own["text"]) == ("north", 1, world.says["north@v1"][3])
    assert (plain["memory"], plain["fired"], plain["body"]["max_tokens"]) == (None, False, world.steps[3])


def test_a_short_run_with_a_real_server(backbone: Backbone) -> None:
    size = serve.Size(seconds=1.0, clients=6, facts=8, tokens=12)
    result = serve.measure(backbone, "bundled", Config(), size, soak_only=True)
    assert result.soak is not None
    assert result.soak.load.problems == []
    assert result.soak.load.requests > 6
    assert result.faults == []
    assert "north@v1" in result.sheets()[0].title


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(serve_processes.StartFailed, match=r"memtune serve broke off: .*nonsense"),
        serve_processes.serving(tmp_path, "bundled", ["serve.nonsense=1"], 1),
    ):
        pass


@pytest.mark.parametrize(("wrong", "code"), [(0, 0), (1, 1)])
def test_the_command_ends_as_the_answers_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: int, code: int
) -> None:
    sizes: list[serve.Size] = []

    def measure(_: Backbone, model: str, config: Config, size: serve.Size, **options: Any) -> ServeResult:
        sizes.append(size)
        assert (model, config.serve.rows, options["settings"]) == ("bundled", 32, ["serve.rows=32"])
        return ServeResult(size.facts, size.tokens, size.threads, 1, soaked([1, 1], wrong=wrong))

    monkeypatch.setattr(serve, "measure", measure)
    out = tmp_path / "found.json"
    command = ["serve", "--seconds", "3", "--clients", "5", "--set", "serve.rows=32", "--soak", "--out", str(out)]
    ended = CliRunner().invoke(app.app, command)
    assert ended.exit_code == code, ended.output
    assert (sizes[0].seconds, sizes[0].clients) == (3.0, 5)
    assert json.loads(out.read_text())["result"]["soak"]["resident"]["growth"] == 0
