"""The engine and the desk: many at once, each with its own memory and version; who leaves frees a place."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny

from memtune import MemoryModel
from memtune.config import Config, ServeConfig
from memtune.core.backbone import Backbone
from memtune.core.generate import Decoder
from memtune.core.reports import Answer
from memtune.core.rows import Row
from memtune.errors import InputError, MemtuneError
from memtune.inbox import Inbox
from memtune.serve.desk import Asking, Busy, Desk, Piece
from memtune.serve.engine import EngineFailed
from memtune.serve.keys import LOCAL, Key
from memtune.serve.shelf import Shelf, UnknownModel

FACTS = tiny.facts(6)
LONG = Asking("base", "Tell me everything about lamps.", decode={"max_new_tokens": 400})


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(tiny.model("llama"), tiny.tokenizer())


@pytest.fixture(scope="module")
def memories(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("memories")
    with MemoryModel(backbone, folder / "acme") as llm:
        llm.learn(FACTS)
        llm.update("fact-1", answer="a new answer")
    with MemoryModel(backbone, folder / "other") as llm:
        llm.learn([{**row, "answer": f"other {row['answer']}"} for row in FACTS])
    return folder


def make_desk(memories: Path, backbone: Backbone, **serve: Any) -> Desk:
    config = dataclasses.replace(Config(), serve=ServeConfig(**serve))
    return Desk(Shelf(memories, config, lambda _name: backbone), config)


@pytest.fixture
def desk(memories: Path, backbone: Backbone) -> Iterator[Desk]:
    made = make_desk(memories, backbone)
    yield made
    made.close()


def test_many_at_once_each_with_its_own_memory_and_version(desk: Desk) -> None:
    def expected(model: str, row: dict[str, Any]) -> str:
        if model == "other":
            return f"other {row['answer']}"
        return "a new answer" if model == "acme" and row["id"] == "fact-1" else str(row["answer"])

    asked = [(model, row) for _ in range(4) for model in ("acme", "acme@v1", "other") for row in FACTS]

    async def run() -> list[Answer]:
        return await asyncio.gather(*(desk.ask(Asking(m, row["question"]), LOCAL) for m, row in asked))

    answers = asyncio.run(run())
    assert [a.text for a in answers] == [expected(model, row) for model, row in asked]
    assert [a.version for a in answers] == [{"acme": 2, "acme@v1": 1, "other": 1}[model] for model, _ in asked]
    (load,) = desk.load()
    assert load.prompts == len(asked)
    assert load.tokens > 2 * load.steps, "they were not decoded side by side"


def test_the_base_model_answers_as_it_does_alone(desk: Desk, backbone: Backbone) -> None:
    questions = ["Where is the harbour?", "Why?", "And who?"]
    plain = MemoryModel(backbone)

    async def run() -> list[Answer]:
        return await asyncio.gather(
            *(desk.ask(Asking("base", q, decode={"max_new_tokens": 8}), LOCAL) for q in questions)
        )

    assert [a.tokens for a in asyncio.run(run())] == [plain.ask(q, max_new_tokens=8).tokens for q in questions]


def test_pieces_make_the_answer(desk: Desk) -> None:
    async def run() -> list[Piece | Answer]:
        asking = Asking("base", LONG.question, decode={"max_new_tokens": 60, "logprobs": True, "top_logprobs": 2})
        return [said async for said in desk.stream(asking, LOCAL)]

    *pieces, answer = asyncio.run(run())
    assert isinstance(answer, Answer)
    assert len(pieces) > 1
    assert "".join(p.text for p in pieces if isinstance(p, Piece)) == answer.text
    assert len(answer.scores) == 60
    assert all(len(s.top) == 2 and s.top[0][1] >= s.top[1][1] and s.logprob <= 0 for s in answer.scores)


def test_who_goes_away_frees_a_place(memories: Path, backbone: Backbone) -> None:
    desk = make_desk(memories, backbone, rows=1)

    async def run() -> Answer:
        stream = desk.stream(LONG, LOCAL)
        assert isinstance(await anext(stream), Piece)
        await stream.aclose()
        waiting = asyncio.create_task(desk.ask(LONG, LOCAL))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return await asyncio.wait_for(desk.ask(Asking("acme", FACTS[0]["question"]), LOCAL), 20)

    assert asyncio.run(run()).text == FACTS[0]["answer"]
    assert desk.load()[0].tokens < 400, "the replies that nobody waited for were said to their end"
    desk.close()


def test_a_full_queue_says_when_to_come_back(memories: Path, backbone: Backbone) -> None:
    desk = make_desk(memories, backbone, rows=1, queue=2)

    async def run() -> list[Any]:
        return await asyncio.gather(*(desk.ask(LONG, LOCAL) for _ in range(12)), return_exceptions=True)

    found = asyncio.run(run())
    desk.close()
    busy = [f for f in found if isinstance(f, Busy)]
    assert 0 < len(busy) < 12
    assert all(1 <= b.seconds <= 60 for b in busy)
    assert all(isinstance(f, (Answer, Busy)) for f in found)


def test_what_breaks_down_does_not_stop_the_others(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(desk.ask(Asking("acme", FACTS[0]["question"]), LOCAL))
    plain, broken = Decoder.step, threading.Event()

    def step(self: Decoder) -> None:
        if broken.is_set():
            raise RuntimeError("out of memory")
        plain(self)

    monkeypatch.setattr(Decoder, "step", step)

    async def run() -> None:
        stream = desk.stream(LONG, LOCAL)
        await anext(stream)
        broken.set()
        with pytest.raises(EngineFailed):
            async for _ in stream:
                pass
        broken.clear()
        assert (await desk.ask(Asking("acme", FACTS[0]["question"]), LOCAL)).text == FACTS[0]["answer"]

    asyncio.run(run())


def test_a_model_whose_batch_cannot_change_answers_batch_by_batch(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Decoder, "can_change", False)

    async def run() -> list[Answer]:
        return await asyncio.gather(*(desk.ask(Asking("acme@v1", row["question"]), LOCAL) for row in FACTS * 2))

    assert [a.text for a in asyncio.run(run())] == [row["answer"] for row in FACTS * 2]


def test_a_system_text_is_read_once(desk: Desk) -> None:
    system = {"role": "system", "content": "You sell lamps and tables, and nothing else in the whole wide world. " * 3}

    def chat(row: dict[str, Any]) -> Asking:
        return Asking("acme@v1", [system, {"role": "user", "content": row["question"]}])

    async def run(rows: list[dict[str, Any]]) -> list[Answer]:
        return [await desk.ask(chat(row), LOCAL) for row in rows]

    answers = asyncio.run(run(FACTS))
    assert [a.text for a in answers] == [row["answer"] for row in FACTS]
    (load,) = desk.load()
    assert (load.prefix_hits, load.prefix_misses) == (len(FACTS) - 1, 1)


def test_what_does_not_fit_is_said_at_once(desk: Desk) -> None:
    with pytest.raises(InputError, match="more than the model's context"):
        asyncio.run(desk.ask(Asking("base", "word " * 900), LOCAL))


def test_a_text_that_never_fits_is_refused_unread(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(desk.shelf.backbone().template), "render", lambda *_: pytest.fail("it was read"))
    with pytest.raises(InputError, match="more than the model's context"):
        asyncio.run(desk.ask(Asking("base", "x" * 8_000_000), LOCAL))


@pytest.mark.parametrize("question", ["", "  \n", [{"role": "user", "content": " "}]])
def test_an_empty_question_is_refused(desk: Desk, question: Any) -> None:
    with pytest.raises(InputError, match="the question is empty"):
        asyncio.run(desk.ask(Asking("base", question), LOCAL))


def test_a_memory_that_is_closed_to_a_key_is_not_there(desk: Desk) -> None:
    key = Key("k", "k", frozenset({"ask"}), memories=frozenset({"other"}))
    with pytest.raises(UnknownModel) as unknown:
        asyncio.run(desk.ask(Asking("acme", "Why?"), key))
    assert "acme" not in str(unknown.value.hint)
    assert asyncio.run(desk.ask(Asking("other", FACTS[0]["question"]), key)).text == f"other {FACTS[0]['answer']}"
    with pytest.raises(UnknownModel):  # though it is open by now
        asyncio.run(desk.ask(Asking("acme", "Why?"), LOCAL)) and asyncio.run(desk.ask(Asking("acme", "Why?"), key))


def test_what_is_learned_meanwhile_is_answered_at_once(memories: Path, backbone: Backbone, tmp_path: Path) -> None:
    desk = make_desk(tmp_path, backbone)
    with MemoryModel(backbone, tmp_path / "young") as writer:
        writer.learn(FACTS[:1])
        assert asyncio.run(desk.ask(Asking("young", FACTS[0]["question"]), LOCAL)).text == FACTS[0]["answer"]
        writer.update("fact-0", answer="something else")
        answer = asyncio.run(desk.ask(Asking("young", FACTS[0]["question"]), LOCAL))
        assert (answer.text, answer.version) == ("something else", 2)
    desk.close()


def test_an_old_version_that_was_purged_elsewhere_forgets_too(backbone: Backbone, tmp_path: Path) -> None:
    desk = make_desk(tmp_path, backbone)
    with MemoryModel(backbone, tmp_path / "young") as writer:
        writer.learn(FACTS[:2])
        old = Asking("young@v1", FACTS[0]["question"], decode={"max_new_tokens": 8})
        assert asyncio.run(desk.ask(old, LOCAL)).text == FACTS[0]["answer"]
        writer.purge("fact-0")
        assert not asyncio.run(desk.ask(old, LOCAL)).fired
        assert asyncio.run(desk.ask(Asking("young@v1", FACTS[1]["question"]), LOCAL)).text == FACTS[1]["answer"]
    desk.close()


def test_who_has_no_event_loop_asks_as_well(desk: Desk) -> None:
    assert desk.ask_now(Asking("acme", FACTS[2]["question"]), LOCAL).text == FACTS[2]["answer"]


def test_closing_tells_those_who_wait(memories: Path, backbone: Backbone) -> None:
    desk = make_desk(memories, backbone)
    found: list[Exception] = []

    def ask() -> None:
        try:
            desk.ask_now(LONG, LOCAL)
        except MemtuneError as fault:
            found.append(fault)

    thread = threading.Thread(target=ask)
    thread.start()
    begin = time.monotonic()
    while not (desk.load() and desk.load()[0].rows) and time.monotonic() - begin < 20:
        time.sleep(0.01)
    desk.close()
    thread.join(20)
    assert [str(f) for f in found] == ["the server is ending"]


def test_one_place_in_the_queue_is_enough_for_one(memories: Path, backbone: Backbone) -> None:
    desk = make_desk(memories, backbone, queue=1)
    assert asyncio.run(desk.ask(Asking("acme@v1", FACTS[0]["question"]), LOCAL)).text == FACTS[0]["answer"]
    desk.close()


def test_who_went_away_while_it_waited_takes_no_place_in_the_queue(memories: Path, backbone: Backbone) -> None:
    desk = make_desk(memories, backbone, rows=1, queue=2)

    async def run() -> None:
        stream = desk.stream(LONG, LOCAL)
        await anext(stream)
        for _ in range(6):
            waiting = asyncio.create_task(desk.ask(LONG, LOCAL))
            await asyncio.sleep(0.1)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        await stream.aclose()

    asyncio.run(run())
    desk.close()


@pytest.mark.parametrize("fault", [RuntimeError("out of memory"), BaseException("a library panicked")])
@pytest.mark.parametrize("where", ["absorb", "leave"])
def test_nobody_waits_for_ever_when_joining_or_leaving_breaks_down(
    where: str, fault: BaseException, memories: Path, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk(memories, backbone)

    def broken(*_: Any) -> None:
        raise fault

    async def run() -> list[Any]:
        stream = desk.stream(LONG, LOCAL)
        await anext(stream)
        monkeypatch.setattr(Decoder, where, broken)
        short = [Asking("acme@v1", row["question"]) for row in FACTS]
        found = await asyncio.wait_for(
            asyncio.gather(*(desk.ask(asking, LOCAL) for asking in short), return_exceptions=True), 20
        )
        with pytest.raises(EngineFailed):
            async for _ in stream:
                pass
        monkeypatch.undo()
        assert (await desk.ask(short[0], LOCAL)).text == FACTS[0]["answer"]
        return found

    found = asyncio.run(run())
    desk.close()
    assert all(isinstance(f, (Answer, EngineFailed)) for f in found)


def test_a_fault_of_one_request_is_told_to_it_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Row.reason_to_stop

    def broken(self: Row, *, released: bool) -> str:
        if self.config.seed == 13:
            raise RuntimeError("no such folder")
        return plain(self, released=released)

    monkeypatch.setattr(Row, "reason_to_stop", broken)
    asked = [Asking("acme@v1", row["question"], decode={"seed": 13 if n == 2 else 0}) for n, row in enumerate(FACTS)]

    async def run() -> list[Any]:
        return await asyncio.gather(*(desk.ask(asking, LOCAL) for asking in asked), return_exceptions=True)

    found = asyncio.run(run())
    assert isinstance(found.pop(2), EngineFailed)
    assert [a.text for a in found] == [row["answer"] for n, row in enumerate(FACTS) if n != 2]


def test_a_beginning_is_read_anew_for_experts_that_act_on_it(backbone: Backbone, tmp_path: Path) -> None:
    settings = dataclasses.replace(Config(), lora=dataclasses.replace(Config().lora, positions="all"))
    with MemoryModel(backbone, tmp_path / "early", config=settings) as llm:
        assert llm.learn(FACTS[:1], kind="lora").learned == 1
    desk = make_desk(tmp_path, backbone)
    system = {"role": "system", "content": "You sell lamps and tables, and nothing else in the whole wide world. " * 3}
    for question in ("Why?", "Why?", FACTS[0]["question"]):
        asyncio.run(desk.ask(Asking("early", [system, {"role": "user", "content": question}]), LOCAL))
    (load,) = desk.load()
    desk.close()
    assert (load.prefix_hits, load.prefix_misses) == (1, 1)


def test_who_shares_a_beginning_that_is_read_is_read_together(
    memories: Path, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk(memories, backbone, read_tokens=256)
    system = {"role": "system", "content": "You sell lamps and tables, and nothing else in the whole wide world. " * 4}
    asked = [Asking("acme@v1", [system, {"role": "user", "content": row["question"]}]) for row in FACTS]
    together: list[int] = []
    make = Decoder.__init__

    def noted(self: Decoder, *given: Any, **more: Any) -> None:
        make(self, *given, **more)
        together.append(len(self.rows))

    async def run() -> list[Answer]:
        for asking in asked[:2]:
            await desk.ask(asking, LOCAL)
        monkeypatch.setattr(Decoder, "__init__", noted)
        return await asyncio.gather(*(desk.ask(asking, LOCAL) for asking in asked))

    answers = asyncio.run(run())
    desk.close()
    assert [a.text for a in answers] == [row["answer"] for row in FACTS]
    assert together == [len(FACTS)]


def test_what_is_written_down_of_an_answer_holds_up_nobody(
    memories: Path, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(Config(), inbox=dataclasses.replace(Config().inbox, keep=True))
    desk = Desk(Shelf(memories, config, lambda _name: backbone), config)
    threads: list[str] = []
    monkeypatch.setattr(Inbox, "keep", lambda *_: threads.append(threading.current_thread().name))
    asyncio.run(desk.ask(Asking("acme", "Where is the harbour?", decode={"max_new_tokens": 4}), LOCAL))
    desk.close()
    assert [name.startswith("memtune-prepare") for name in threads] == [True]


def test_the_base_model_does_not_wait_for_a_memory_that_is_opened(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(desk.ask(Asking("base", "Why?", decode={"max_new_tokens": 1}), LOCAL))
    begun, go_on = threading.Event(), threading.Event()

    def slowly(*_: Any) -> Any:
        begun.set()
        go_on.wait(20)
        raise InputError("it is opened no more")

    monkeypatch.setattr(Shelf, "_open", slowly)

    async def run() -> None:
        opening = asyncio.create_task(desk.ask(Asking("acme", "Why?"), LOCAL))
        await asyncio.to_thread(begun.wait, 20)
        await asyncio.wait_for(desk.ask(Asking("base", "Why?", decode={"max_new_tokens": 1}), LOCAL), 10)
        go_on.set()
        with pytest.raises(InputError):
            await opening

    asyncio.run(run())
