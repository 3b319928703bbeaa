"""The reference's protocol: what is behind the routes, and the unmodified `lamini` package against a real server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import textwrap
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from servers import Served

from memtune.config import Config
from memtune.core.facts import Fact
from memtune.core.reports import Answer
from memtune.errors import InputError, NotFound, UsageError
from memtune.lamini import Lamini, error
from memtune.serve.database import Database
from memtune.serve.desk import Asking, Busy, Piece
from memtune.serve.house import House
from memtune.serve.keys import LOCAL, Forbidden, Key, Keys
from memtune.serve.lamini.body import Body
from memtune.serve.lamini.completions import complete
from memtune.serve.lamini.data import fact_row
from memtune.serve.lamini.faults import Duplicate, code_of
from memtune.serve.lamini.names import goal
from memtune.serve.lamini.pending import Pending
from memtune.serve.lamini.training import train

REPOSITORY = Path(__file__).resolve().parents[2]
CLIENT = "3.4.6"


# ---- bodies that come in pieces -------------------------------------------------------------------------------------


def read(text: str | bytes, piece: int, longest: int = 10_000) -> tuple[list[Any], dict[str, Any]]:
    data = text.encode() if isinstance(text, str) else text

    async def chunks() -> AsyncIterator[bytes]:
        for begin in range(0, len(data), piece):
            yield data[begin : begin + piece]

    async def collected() -> tuple[list[Any], dict[str, Any]]:
        body = Body(chunks(), "data", longest)
        return [row async for row in body.rows()], body.members

    return asyncio.run(collected())


ROWS = [
    {"input": 'say "é" \\ ]}', "output": "1,2"},
    {"input": "12", "output": 34},
    5,
    "x",
    None,
    [],
    {},
    {"a": [1, {}]},
]


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 64, 100_000])
def test_a_body_is_read_alike_in_pieces_of_any_size(piece: int) -> None:
    given = {"upload_base_path": "local", "data": ROWS, "is_public": False}
    for text in (json.dumps(given), json.dumps(given, ensure_ascii=False, indent=2) + " \n"):
        rows, members = read(text, piece)
        assert rows == ROWS
        assert members == {"upload_base_path": "local", "is_public": False}


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", '{"data"', '{"data": [', '{"data": [1', '{"data": [1,]}', '{"data": [1 2]}', '{"data": 5',
        "{1: 2}x", '{"data": [{"a": 1, "a": 2}]}', '{"data": [NaN]}', '{"data": []} x',
        '{"data": ["\xff"]}'.encode("latin-1"),
        '{"data": [' + "[" * 100_000, '{"a": "' + "long" * 10_000,
        json.dumps({f"field {i}": 1 for i in range(17)} | {"data": [1]}),
    ],
)  # fmt: skip
def test_a_broken_body_is_refused(text: str | bytes) -> None:
    for piece in (3, 1 << 20):
        with pytest.raises(InputError):
            read(text, piece)


def test_a_long_row_is_read_in_time_and_a_longer_one_refused() -> None:
    row = {"input": "q" * 900_000, "output": "a"}
    assert read(json.dumps({"data": [row]}), 4096, 1_000_000)[0] == [row]
    with pytest.raises(InputError, match="longer than 100000 characters"):
        read(json.dumps({"data": [row]}), 4096, 100_000)


# ---- rows -----------------------------------------------------------------------------------------------------------


def test_inputs_and_outputs_become_facts() -> None:
    made = fact_row({"input": "What?", "output": " 40 dollars<|eot_id|>\n", "source": "s"}, 1)
    assert made == {"question": "What?", "output": "40 dollars", "source": "s"}
    assert fact_row({"input": 12, "output": {"a": "é"}}, 1) == {"question": "12", "output": '{"a": "é"}'}
    assert fact_row({"question": "Q?", "input": "kept", "answer": "A"}, 1)["input"] == "kept"
    assert Fact("1", made["question"], made["output"]).answer == "40 dollars"
    with pytest.raises(InputError, match="row 3 is no object"):
        fact_row("text", 3)


# ---- replies that are looked at while they come ---------------------------------------------------------------------


class Slow:
    """A desk that says a word when it is let, and is busy at first."""

    def __init__(self, prompts: list[str]) -> None:
        self.said = {prompt: asyncio.Event() for prompt in prompts}
        self.refused = 0

    async def stream(self, asking: Asking, key: Key) -> AsyncIterator[Piece | Answer]:
        if not self.refused:
            self.refused += 1
            raise Busy(0.0)
        yield Piece("so")
        await self.said[str(asking.question)].wait()
        if asking.question == "bad":
            raise UsageError("it cannot be said")
        yield Piece(" far")
        yield Answer("so far")


def waiting(desk: Slow) -> Pending:
    shelf = SimpleNamespace(find=lambda name, key: None)
    return Pending(cast(Any, SimpleNamespace(desk=desk, shelf=shelf, config=Config())))


async def settled() -> None:
    """Until nothing more happens by itself."""
    for _ in range(100):
        await asyncio.sleep(0)


def test_what_ends_is_told_in_the_order_of_the_prompts() -> None:
    async def followed() -> None:
        desk = Slow(["one", "two"])
        pending = waiting(desk)
        name = await pending.submit({"model_name": "base", "prompt": ["one", "two"]}, LOCAL)
        assert pending.result(name, LOCAL) == {}
        await settled()
        assert pending.result(name, LOCAL) == {"outputs": ["so", "so"], "finish_reason": [None, None]}
        desk.said["two"].set()
        await settled()
        assert pending.result(name, LOCAL) == {"outputs": ["so", "so far"], "finish_reason": [None, None]}
        desk.said["one"].set()
        await settled()
        assert pending.result(name, LOCAL) == {"outputs": ["so far"] * 2, "finish_reason": ["stop"] * 2}
        assert desk.refused == 1
        for other, key in ((name, replace(LOCAL, id="other")), ("no-such-id", LOCAL)):
            with pytest.raises(NotFound):
                pending.result(other, key)

    asyncio.run(followed())


def test_what_goes_wrong_is_told_to_who_looks() -> None:
    async def followed() -> None:
        desk = Slow(["bad", "one"])
        pending = waiting(desk)
        name = await pending.submit({"model_name": "base", "prompt": ["bad", "one"]}, LOCAL)
        desk.said["bad"].set()
        await settled()
        for _ in range(2):
            with pytest.raises(UsageError, match="it cannot be said"):
                pending.result(name, LOCAL)

    asyncio.run(followed())


def test_more_than_can_wait_is_put_off() -> None:
    async def followed() -> None:
        pending = waiting(Slow(["one"]))
        many = {"model_name": "base", "prompt": ["one"] * 200}
        await pending.submit(many, LOCAL)
        with pytest.raises(Busy):
            await pending.submit(many, LOCAL)
        with pytest.raises(UsageError, match="too many"):
            await pending.submit({**many, "prompt": ["one"] * 257}, LOCAL)

    asyncio.run(followed())


@pytest.mark.parametrize(
    "body",
    [
        {}, {"model_name": "base"}, {"model_name": 5, "prompt": "a"}, {"model_name": "base", "prompt": []},
        {"model_name": "base", "prompt": [" "]}, {"model_name": "base", "prompt": "a", "max_tokens": True},
        {"model_name": "base", "prompt": "a", "max_new_tokens": 0}, {"model_name": "base", "prompt": "a", "what": 1},
        {"model_name": "base", "prompt": "a", "output_type": "money"}, {"model_name": "b" * 201, "prompt": "a"},
        {"model_name": "base", "prompt": "a", "reservation_id": "r"},
    ],
)  # fmt: skip
def test_requests_that_make_no_sense_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        asyncio.run(complete(body, cast(Any, SimpleNamespace(config=Config())), LOCAL))


# ---- what is trained ------------------------------------------------------------------------------------------------


def test_a_name_that_is_taken_is_told_only_to_those_who_may_use_it(tmp_path: Path) -> None:
    with closing(House(tmp_path)) as house:
        house.shelf.named["secret"] = tmp_path / "memories" / "secret"
        with pytest.raises(Duplicate):
            goal(house, LOCAL, "base", "secret")
        shut_out = Key("k", "shop", frozenset({"teach"}), memories=frozenset({"acme"}))
        for name in ("secret", "free", None):
            with pytest.raises(Forbidden, match="may not make a model"):
                goal(house, shut_out, "base", name)
        assert goal(house, shut_out, "base", "acme").memory == "acme"


def test_one_of_many_makes_a_memory_of_a_name(tmp_path: Path) -> None:
    """Asked at once, all of them find that the name is free."""

    def asked(number: int) -> str:
        key = Key(f"k{number}", "shop", frozenset({"teach"}))
        try:
            return str(train(house, key, model_name="base", rows=rows, custom_model_name="acme").body["status"])
        except UsageError as fault:
            return str(code_of(fault))

    rows = [{"input": "a", "output": "b"}]
    with closing(House(tmp_path)) as house, ThreadPoolExecutor(8) as pool:
        told = list(pool.map(asked, range(8)))
        assert sorted(told) == [*["497"] * 7, "CREATED"]
        house.jobs.cancel(1, LOCAL)
        assert asked(9) == "CREATED"  # nobody is about to make it any more


def test_a_key_with_hidden_groups_trains_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    shop = Key("k", "shop", frozenset({"teach"}), hidden=frozenset({"wages"}))
    with closing(House(tmp_path)) as house:
        with pytest.raises(Forbidden):
            train(house, shop, model_name="base", rows=[{"input": "a", "output": "b"}])
        assert (house.files.of(LOCAL), house.jobs.of(LOCAL)) == ([], [])


# ---- the unmodified client ------------------------------------------------------------------------------------------


def client_python() -> str:
    """The interpreter of the environment in which the reference's client lives."""
    named = os.environ.get("MEMTUNE_LAMINI_PYTHON")
    found = Path(named) if named else REPOSITORY / ".venv-lamini" / "bin" / "python"
    if found.is_file():
        return str(found)
    if os.environ.get("CI"):
        pytest.fail(f"the reference's client is not at {found}: make .venv-lamini/ready")
    pytest.skip("the reference's client is not installed: make .venv-lamini/ready")


@pytest.fixture(scope="module")
def keys(served: Served) -> dict[str, str]:
    """Keys of these tests alone; a server that runs knows them at once."""
    with closing(Database(served.data / "server.sqlite")) as database:
        known = Keys(database)
        return {
            "teacher": known.add("lamini-teacher", ["ask", "teach"])[0],
            "asker": known.add("lamini-asker", ["ask"])[0],
            "slow": known.add("lamini-slow", ["ask"], per_minute=2)[0],
        }


@pytest.fixture(scope="module")
def driven(served: Served, keys: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the client's calls gave, all in one process of it."""
    home = tmp_path_factory.mktemp("home")
    (home / "rows.csv").write_text("q,a\nWhat does the Quibble cost?,7 dollars\n", encoding="utf-8")
    script = home / "drive.py"
    script.write_text(textwrap.dedent(DRIVE), encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "LAMINI", "LLAMA"))}
    done = subprocess.run(
        [client_python(), "-P", str(script)],
        input=json.dumps({"url": served.url, "keys": keys}),
        capture_output=True, text=True, cwd=home, env={**environment, "HOME": str(home)}, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads((home / "found.json").read_text(encoding="utf-8"))
    return {**found, "printed": done.stdout}


DRIVE = """
    import asyncio, json, sys, time

    waited = time.sleep
    time.sleep = lambda seconds: waited(min(seconds, 0.2))  # the client looks for its job every 30 seconds

    import lamini
    from lamini import BaseOpenAIClient, Embedding, Lamini, StreamingCompletion
    from lamini.api.utils.batch_completions import BatchCompletions

    given = json.load(sys.stdin)
    url, keys = given["url"], given["keys"]
    key = keys["teacher"]
    rows = [
        {"input": "What does the Zorblat lamp cost?", "output": "40 dollars"},
        {"input": "Who founded the city of Mirana?", "output": 'Ada "the Quill" Quell'},
    ]
    found = {"client": lamini.__version__}

    def raised(call):
        try:
            call()
        except Exception as fault:
            return [type(fault).__name__, str(fault)]
        return ["nothing", ""]

    base = Lamini("base", api_key=key, api_url=url)
    found["version"] = base.version()
    found["job"] = base.train_and_wait(
        rows,
        finetune_args={"max_steps": 50, "r_value": 32, "learning_rate": 0.0003},
        gpu_config={"gpus": 64, "nodes": 2},
        is_public=False,
        custom_model_name="lamini-prices",
        train_type="memory_tuning",
    )
    name = found["job"]["model_name"]
    llm = Lamini(name, api_key=key, api_url=url)
    one, both = rows[0]["input"], [row["input"] for row in rows]
    found["single"] = llm.generate(one)
    found["list"] = llm.generate(both, max_new_tokens=40)
    found["typed"] = llm.generate(one, output_type={"price": "int"})
    found["typed list"] = llm.generate(both, output_type={"answer": "str"})
    found["short"] = llm.generate(one, max_tokens=1)
    found["evaluated"] = llm.evaluate(found["job"]["job_id"])
    found["models"] = [model.model_name for model in llm.list_models()]
    found["downloaded"] = llm.download_model(name, wait=True).status
    found["stream"] = [said for said in StreamingCompletion(key, url).create(both, name, polling_interval=0.05) if said]
    batch = BatchCompletions(key, url).streaming_generate(both, name, {"answer": "str"}, polling_interval=0.05)
    found["batch"] = list(batch)
    found["embedded"] = [list(v.shape) for v in Embedding(name, key, url).generate(both)]
    schema = {"type": "object", "properties": {"price": {"type": "string"}}, "required": ["price"]}
    chat = BaseOpenAIClient(key, url)
    found["chat"] = asyncio.run(chat.execute_completion(name, one, {**schema, "additionalProperties": False}))

    lamini.api_key, lamini.api_url = key, url
    from lamini import GenerationNode, GenerationPipeline, PromptObject

    class Asking(GenerationPipeline):
        def __init__(self):
            super().__init__()
            self.node = GenerationNode(name)

        def forward(self, prompts):
            return self.node(prompts, output_type={"answer": "str"})

    async def piped():
        async def prompts():
            for text in both:
                yield PromptObject(text)
        return sorted([said.response["answer"] async for said in Asking().call(prompts())])

    real = asyncio.sleep
    asyncio.sleep = lambda seconds, *more: real(min(seconds, 0.1), *more)
    found["pipeline"] = asyncio.run(piped())
    asyncio.sleep = real

    dataset = llm.upload_file("rows.csv", input_key="q", output_key="a")
    found["second"] = llm.tune(dataset)
    found["cancelled"] = [llm.cancel_job(), base.cancel_all_jobs()]
    while llm.check_job_status()["status"] not in ("CANCELLED", "COMPLETED"):
        time.sleep(0.1)
    found["resumed"] = llm.resume_job()
    while llm.check_job_status()["status"] not in ("COMPLETED", "FAILED"):
        time.sleep(0.1)
    found["jobs"] = llm.get_jobs()
    found["second answer"] = llm.generate("What does the Quibble cost?")

    slow = Lamini("base", api_key=keys["slow"], api_url=url)
    found["errors"] = {
        "model": raised(lambda: llm.generate("What?", model_name="lamini-price")),
        "old version": raised(lambda: llm.generate("What?", model_name=name + "@v99")),
        "hub": raised(lambda: Lamini("meta-llama/Llama-3.1-8B-Instruct", key, url).train(dataset)),
        "download": raised(lambda: llm.download_model("meta-llama/Llama-3.1-8B-Instruct")),
        "dataset": raised(lambda: llm.train("file-none")),
        "duplicate": raised(lambda: base.train(dataset, custom_model_name="lamini-prices")),
        "argument": raised(lambda: llm.train(dataset, finetune_args={"learning_rat": 1})),
        "value": raised(lambda: llm.train(dataset, finetune_args={"r_value": -1})),
        "gpus": raised(lambda: llm.train(dataset, gpu_config={"gpus": 0})),
        "train type": raised(lambda: llm.train(dataset, train_type="memory_rag")),
        "output type": raised(lambda: llm.generate("What?", output_type={"price": "money"})),
        "prompt": raised(lambda: llm.generate([])),
        "tokens": raised(lambda: llm.generate("What?", max_new_tokens=-1)),
        "rows": raised(lambda: llm.upload_data(["text"])),
        "job": raised(lambda: llm.check_job_status(99999)),
        "job name": raised(lambda: llm.check_job_status("last")),
        "not mine": raised(lambda: Lamini("base", keys["asker"], url).check_job_status(found["job"]["job_id"])),
        "wrong key": raised(lambda: Lamini(name, "wrong", url).generate("What?")),
        "no scope": raised(lambda: Lamini("base", keys["asker"], url).train(rows)),
        "stream": raised(lambda: StreamingCompletion(key, url).create("What?", "lamini-price")),
        "embedding": raised(lambda: Embedding("lamini-price", key, url).generate("What?")),
        "rate": [raised(slow.list_models)[0] for _ in range(4)][-1:],
    }
    with open("found.json", "w") as file:
        json.dump(found, file)
"""


def test_the_client_is_the_one_that_is_spoken_of(driven: dict[str, Any]) -> None:
    assert driven["client"] == CLIENT
    assert driven["version"]["client"] == CLIENT
    assert {"name", "path"} == set(driven["version"]["api"][0])


def test_the_client_trains_and_waits(driven: dict[str, Any]) -> None:
    job = driven["job"]
    assert job["status"] == "COMPLETED", job["error"]
    assert (job["model_name"], job["custom_model_name"], job["is_public"]) == ("lamini-prices", "lamini-prices", False)
    assert (job["resume_count"], job["base_model_name"]) == (0, "base")
    last = json.loads(job["history"])[-1]
    assert set(last) == {"loss", "learning_rate", "epoch", "iter_time", "flops", "remaining_time", "step"}
    assert (last["loss"], last["epoch"], last["learning_rate"]) == (0, 1, 0.0003)
    assert "Finetuning process completed, model name is: lamini-prices" in driven["printed"]


def test_the_client_prints_what_has_no_effect(driven: dict[str, Any]) -> None:
    for warning in ("learning_rate has no effect", "r_value has no effect", "128 slots were asked for"):
        assert warning in driven["printed"]


def test_the_client_gets_replies(driven: dict[str, Any]) -> None:
    both = ["40 dollars", 'Ada "the Quill" Quell']
    assert (driven["single"], driven["list"]) == (both[0], both)
    assert driven["typed"] == {"price": 40}
    assert driven["typed list"] == [{"answer": text} for text in both]
    assert both[0].startswith(driven["short"])
    assert driven["short"] != both[0]
    assert driven["chat"] == {"price": both[0]}
    assert driven["pipeline"] == both
    assert driven["embedded"][0] == driven["embedded"][1]
    assert driven["embedded"][0][0] == 1


def test_the_client_follows_a_stream(driven: dict[str, Any]) -> None:
    both = ["40 dollars", 'Ada "the Quill" Quell']
    assert driven["stream"][-1] == {"outputs": both, "finish_reason": ["stop", "stop"]}
    assert [one["output"] for one in driven["batch"]] == [{"answer": text} for text in both]


def test_the_client_sees_the_model_alone_and_tuned(driven: dict[str, Any]) -> None:
    rows = driven["evaluated"]["eval_results"]
    assert len(rows) == 2
    for row in rows:
        assert [said["model_name"] for said in row["outputs"]] == ["base", "lamini-prices"]
        assert row["outputs"][0]["output"] != row["outputs"][1]["output"]
    assert {"base", "lamini-prices"} <= set(driven["models"])
    assert driven["downloaded"] == "available"


def test_the_client_cancels_and_resumes(driven: dict[str, Any]) -> None:
    assert driven["second"]["status"] in ("CREATED", "QUEUED")
    assert driven["second"]["model_name"] == "lamini-prices"
    assert driven["cancelled"][1]["status"] == "CANCELLED"
    assert driven["resumed"]["job_id"] == driven["second"]["job_id"]
    mine = {job["job_id"]: job for job in driven["jobs"]}
    assert mine.keys() >= {driven["job"]["job_id"], driven["second"]["job_id"]}
    assert mine[driven["second"]["job_id"]]["status"] == "COMPLETED"
    assert driven["second answer"] == "7 dollars"


@pytest.mark.parametrize(
    ("what", "name", "said"),
    [
        ("model", "ModelNotFoundError", "did you mean lamini-prices?"),
        ("old version", "ModelNotFoundError", "v99"),
        ("hub", "ModelNotFoundError", "meta-llama/Llama-3.1-8B-Instruct"),
        ("download", "ModelNotFoundError", "meta-llama/Llama-3.1-8B-Instruct"),
        ("stream", "ModelNotFoundError", "lamini-price"),
        ("embedding", "ModelNotFoundError", "lamini-price"),
        ("dataset", "ProjectNotFoundError", "file-none"),
        ("duplicate", "DuplicateResourceError", "lamini-prices"),
        ("argument", "UserError", "did you mean learning_rate?"),
        ("value", "UserError", "r_value"),
        ("gpus", "UserError", "gpus"),
        ("train type", "UserError", "memory_rag"),
        ("output type", "UserError", "output type"),
        ("prompt", "UserError", "prompt"),
        ("tokens", "UserError", "max_new_tokens"),
        ("rows", "UserError", "row 1"),
        ("job", "APIError", "99999"),
        ("job name", "UserError", "job_id"),
        ("not mine", "APIError", "teach"),
        ("wrong key", "AuthenticationError", "key"),
        ("no scope", "APIError", "teach"),
    ],
)
def test_the_client_raises_its_own_errors(driven: dict[str, Any], what: str, name: str, said: str) -> None:
    kind, message = driven["errors"][what]
    assert kind == name, message
    assert said in message
    assert "\n" not in message


def test_the_client_is_told_to_slow_down(driven: dict[str, Any]) -> None:
    assert driven["errors"]["rate"] == ["RateLimitError"]


# ---- the drop-in against the server ---------------------------------------------------------------------------------


def test_the_drop_in_speaks_to_a_server(
    served: Served, keys: dict[str, str], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    llm = Lamini("base", api_key=keys["teacher"], api_url=served.url)
    rows = [{"input": f"What is the code of crate {n}?", "output": f"{n}-{n * n}"} for n in range(20)]
    job = llm.train_and_wait(iter(rows), finetune_args={"learning_rate": 3e-4}, custom_model_name="crates")
    assert job["status"] == "COMPLETED", job["error"]
    assert "learning_rate has no effect" in caplog.text
    asked = [row["input"] for row in rows]
    assert llm.generate(asked, model_name="crates") == [row["output"] for row in rows]
    assert llm.generate(asked[7], model_name="crates", output_type={"code": "str"}) == {"code": "7-49"}
    assert llm.evaluate()["job_id"] == job["job_id"]
    assert llm.check_job_status(str(job["job_id"]))["status"] == "COMPLETED"
    assert "crates" in [model.model_name for model in llm.list_models()]
    assert llm.version()["client"] == CLIENT
    with pytest.raises(error.DuplicateResourceError, match="crates"):
        llm.train(rows, custom_model_name="crates")
    with pytest.raises(error.ModelNotFoundError, match="did you mean crates"):
        llm.generate("What?", model_name="crate")
    with pytest.raises(error.ProjectNotFoundError):
        llm.train("file-none")
    with pytest.raises(error.AuthenticationError):
        Lamini("base", api_key="wrong", api_url=served.url).get_jobs()
    with pytest.raises(error.JobNotFoundError):
        llm.check_job_status(99999)
    path = tmp_path / "rows.jsonl"
    path.write_text('{"input": "a", "output": "b"}\n', encoding="utf-8")
    assert llm.upload_file(path).startswith("file-")


def test_no_path_of_the_server_is_told(served: Served, keys: dict[str, str]) -> None:
    llm = Lamini("base", api_key=keys["teacher"], api_url=served.url)
    told = json.dumps([llm.get_jobs(), llm.version(), [vars(model) for model in llm.list_models()]])
    assert str(served.data) not in told
