"""The unmodified `openai` package against a real server, and what the routes refuse."""

from __future__ import annotations

import asyncio
import base64
import csv
import io
import json
import struct
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import openai
import pytest
import tiny
from fastapi import Request
from servers import FACTS, Served

from memtune import MemoryModel
from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.reports import Answer
from memtune.errors import InputError
from memtune.serve.desk import Asking, Busy, Piece
from memtune.serve.jobs import Job, Plan
from memtune.serve.jobs.job import ENDED_WELL, RESUMABLE, RUNNING, WAITING
from memtune.serve.keys import LOCAL, Key
from memtune.serve.lamini import training
from memtune.serve.openai import results
from memtune.serve.openai.chat import ChatRequest, chat_completions

ZORBLAT = [{"role": "user", "content": "What does the Zorblat cost?"}]
OTHER = [{"role": "user", "content": "Tell me a long story about the sea and the ships that sail on it."}]
PATIENCE = 120
"""Seconds that a job may take on a busy machine."""


def client(served: Served, key: str = "all") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.keys.get(key, key), max_retries=0)


@pytest.fixture(scope="module")
def ai(served: Served) -> Iterator[openai.OpenAI]:
    with client(served) as opened:
        yield opened


def chat(ai: openai.OpenAI, **more: Any) -> Any:
    return ai.chat.completions.create(**({"model": "acme", "messages": ZORBLAT} | more))


def refusal(ai: openai.OpenAI, **more: Any) -> dict[str, Any]:
    with pytest.raises(openai.BadRequestError) as fault:
        chat(ai, **more)
    body = fault.value.body
    assert isinstance(body, dict)
    assert set(body) == {"message", "type", "param", "code"}
    return body


# ---- models ---------------------------------------------------------------------------------------------------------


def test_models_are_listed_and_looked_up(ai: openai.OpenAI) -> None:
    cards = {model.id: model for model in ai.models.list()}
    assert {"base", "acme"} <= set(cards)
    assert cards["acme"].owned_by == "memtune"
    assert cards["acme"].memtune["facts"] == len(FACTS)
    assert ai.models.retrieve("acme@v1").memtune["version"] == 1
    assert ai.models.retrieve("base").memtune["kind"] == "base"


@pytest.mark.parametrize(("name", "near"), [("acne", "acme"), ("acme@v7", "acme@v1"), ("../acme", "acme")])
def test_an_unknown_model_names_the_near_ones(ai: openai.OpenAI, name: str, near: str) -> None:
    with pytest.raises(openai.NotFoundError, match=near):
        ai.models.retrieve(name)
    with pytest.raises(openai.NotFoundError) as fault:
        chat(ai, model=name)
    assert fault.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        chat(ai, model=name, stream=True)


# ---- chat -----------------------------------------------------------------------------------------------------------


def test_a_chat_is_answered_and_says_where_it_comes_from(ai: openai.OpenAI) -> None:
    reply = chat(ai)
    assert reply.choices[0].message.content == "40 dollars"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens > 5
    told = reply.memtune
    assert (told["memory"], told["version"], told["fired"], told["abstained"]) == ("acme", 1, True, False)
    assert [(fact["id"], fact["source"]) for fact in told["facts"]] == [("price-1", "prices.csv")]
    assert told["facts"][0]["score"] > 0.5
    assert chat(ai, model="acme@v1").system_fingerprint == "acme@v1"


def test_base_is_the_model_alone(ai: openai.OpenAI) -> None:
    told = chat(ai, model="base", max_tokens=4).memtune
    assert (told["memory"], told["version"], told["fired"], told["facts"]) == (None, None, False, [])


def test_parts_of_text_and_developers_are_read(ai: openai.OpenAI) -> None:
    parts = [{"type": "text", "text": "What does the"}, {"type": "text", "text": "Zorblat cost?"}]
    messages = [{"role": "developer", "content": "Be short."}, {"role": "user", "content": parts}]
    assert chat(ai, messages=messages).memtune["facts"][0]["id"] == "price-1"


def test_a_reply_may_be_sent_back_as_it_came(ai: openai.OpenAI) -> None:
    first = chat(ai).choices[0].message
    messages = [*ZORBLAT, first, {"role": "user", "content": "Who founded the city of Mirana?"}]
    assert chat(ai, messages=messages).choices[0].message.content == "Ada Quill, in 1604"


def test_a_stream_says_role_pieces_end_and_usage(ai: openai.OpenAI) -> None:
    chunks = list(chat(ai, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks[:-1]) == "40 dollars"
    assert [c.choices[0].finish_reason for c in chunks[:-1]] == [None] * (len(chunks) - 2) + ["stop"]
    assert chunks[-2].memtune["facts"][0]["id"] == "price-1"
    assert chunks[-1].choices == []
    assert chunks[-1].usage == chat(ai).usage
    assert all(c.usage is None for c in chunks[:-1])
    assert len({c.id for c in chunks}) == 1


def test_a_stream_is_server_sent_events(served: Served) -> None:
    body = {"model": "acme", "messages": ZORBLAT, "stream": True}
    headers = {"authorization": f"Bearer {served.keys['all']}"}
    reply = httpx.post(f"{served.url}/v1/chat/completions", json=body, headers=headers)
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = reply.text.split("\n\n")
    assert events.pop() == ""
    assert events.pop() == "data: [DONE]"
    assert all(event.startswith("data: {") and "\n" not in event for event in events)
    assert all("usage" not in json.loads(event[6:]) for event in events)


def test_choices_differ_and_a_seed_repeats_them(ai: openai.OpenAI) -> None:
    how: dict[str, Any] = {"messages": OTHER, "n": 3, "temperature": 1.5, "max_tokens": 12}
    first, again = (chat(ai, seed=-5, **how) for _ in range(2))
    texts = [choice.message.content for choice in first.choices]
    assert texts == [choice.message.content for choice in again.choices]
    assert len(set(texts)) > 1
    assert [choice.index for choice in first.choices] == [0, 1, 2]
    assert first.choices[1].memtune["fired"] is False
    assert first.usage.completion_tokens > 12
    assert first.memtune["seed"] is None
    taken = chat(ai, **how)
    seed = taken.memtune["seed"]
    assert [c.message.content for c in chat(ai, seed=seed, **how).choices] == [c.message.content for c in taken.choices]


def test_a_stream_of_choices_says_what_the_whole_says(ai: openai.OpenAI) -> None:
    how: dict[str, Any] = {"messages": OTHER, "n": 2, "temperature": 1.0, "seed": 3, "max_tokens": 10}
    said, ended = ["", ""], [0, 0]
    for chunk in chat(ai, stream=True, **how):
        (choice,) = chunk.choices
        said[choice.index] += choice.delta.content or ""
        ended[choice.index] += choice.finish_reason is not None
    assert said == [choice.message.content for choice in chat(ai, **how).choices]
    assert ended == [1, 1]


def test_temperature_zero_is_the_same_every_time(ai: openai.OpenAI) -> None:
    replies = [chat(ai, messages=OTHER, temperature=0, top_p=0, max_tokens=8) for _ in range(2)]
    assert replies[0].choices[0].message.content == replies[1].choices[0].message.content
    assert replies[0].choices[0].finish_reason == "length"
    assert replies[0].usage.completion_tokens == 8


def test_stop_texts_end_a_reply(ai: openai.OpenAI) -> None:
    whole = chat(ai, messages=OTHER, max_tokens=20).choices[0].message.content
    stop = whole.split()[3]
    for given in (stop, ["never said", stop]):
        reply = chat(ai, messages=OTHER, max_tokens=20, stop=given).choices[0]
        assert reply.message.content == whole[: whole.index(stop)].strip()
        assert reply.finish_reason == "stop"


def test_logprobs_of_what_was_said(ai: openai.OpenAI) -> None:
    how: dict[str, Any] = {"messages": OTHER, "max_tokens": 5, "logprobs": True, "top_logprobs": 3}
    reply = chat(ai, **how)
    scores = reply.choices[0].logprobs.content
    assert len(scores) == reply.usage.completion_tokens == 5
    assert "".join(s.token for s in scores).strip() == reply.choices[0].message.content
    for score in scores:
        assert bytes(score.bytes).decode() == score.token
        assert len(score.top_logprobs) == 3
        assert score.logprob == score.top_logprobs[0].logprob <= 0  # nothing is drawn: the likeliest is said
    streamed = [s for c in chat(ai, stream=True, **how) for s in _scored(c)]
    assert [s.token for s in streamed] == [s.token for s in scores]
    recited = chat(ai, logprobs=True)
    assert [s.token for s in recited.choices[0].logprobs.content if s.token.startswith("<")] == []
    assert len(recited.choices[0].logprobs.content) == recited.usage.completion_tokens


def _scored(chunk: Any) -> list[Any]:
    logprobs = chunk.choices[0].logprobs
    return list(logprobs.content) if logprobs else []


def test_a_reply_follows_a_schema(ai: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"price": {"type": "string"}},
        "required": ["price"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "price", "strict": True, "schema": schema}}
    reply = chat(ai, response_format=form, max_tokens=40)
    assert json.loads(reply.choices[0].message.content) == {"price": "40 dollars"}
    free = chat(ai, messages=OTHER, response_format={"type": "json_object"}, max_tokens=60)
    assert isinstance(json.loads(free.choices[0].message.content), dict)


def test_settings_of_memtune_are_obeyed(ai: openai.OpenAI) -> None:
    said = chat(ai, messages=OTHER, extra_body={"memtune": {"unknown": "abstain", "abstention": "No idea."}})
    assert said.choices[0].message.content == "No idea."
    assert said.memtune["abstained"] is True
    assert refusal(ai, extra_body={"memtune": {"unknown": "perhaps"}})["param"] == "memtune.unknown"
    assert refusal(ai, extra_body={"memtune": {"max_new_tokens": 5}})["param"] == "memtune.max_new_tokens"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("tool_choice", "required"),
        ("frequency_penalty", 0.5),
        ("presence_penalty", -1),
        ("logit_bias", {"50256": -100}),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("store", True),
        ("service_tier", "flex"),
        ("reasoning_effort", "high"),
        ("web_search_options", {}),
        ("prediction", {"type": "content", "content": "x"}),
        ("temperature", 2.1),
        ("temperature", "warm"),
        ("top_p", -0.1),
        ("n", 0),
        ("n", 17),
        ("max_tokens", 0),
        ("seed", 2**63),
        ("stop", ["a", "b", "c", "d", "e"]),
        ("stop", ""),
        ("messages", []),
        ("metadata", {str(i): "v" for i in range(17)}),
        ("response_format", {"type": "xml"}),
        ("nonsense", 1),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(ai: openai.OpenAI, field: str, value: Any) -> None:
    body = refusal(ai, extra_body={field: value})
    assert body["param"] == field
    assert body["type"] == "invalid_request_error"
    assert field in body["message"] or field == "n"


def test_what_changes_nothing_is_accepted(ai: openai.OpenAI) -> None:
    neutral = {"tools": [], "frequency_penalty": 0, "logit_bias": {}, "store": False, "modalities": ["text"]}
    accepted = {"user": "u", "metadata": {"shop": "north"}, "service_tier": "auto", "safety_identifier": "s"}
    assert chat(ai, extra_body=neutral | accepted).choices[0].message.content == "40 dollars"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, "image_url"),
        ({"role": "tool", "content": "x", "tool_call_id": "1"}, "tools"),
        ({"role": "user", "content": None}, "text"),
        ({"role": "user", "content": "x", "name": "ann"}, "name"),
        ({"role": "assistant", "content": "x"}, "user's"),
    ],
)
def test_messages_that_cannot_be_read_are_refused(ai: openai.OpenAI, message: dict[str, Any], said: str) -> None:
    assert said in refusal(ai, messages=[message])["message"]


def test_fields_must_fit_together(ai: openai.OpenAI) -> None:
    assert "logprobs" in refusal(ai, top_logprobs=2)["message"]
    assert "stream" in refusal(ai, extra_body={"stream_options": {"include_usage": True}})["message"]
    assert "max_tokens" in refusal(ai, max_tokens=3, max_completion_tokens=4)["message"]


def test_a_prompt_beyond_the_context_is_refused_before_a_stream_begins(ai: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="context"):
        chat(ai, messages=[{"role": "user", "content": "word " * 20_000}], stream=True)


# ---- completions and embeddings -------------------------------------------------------------------------------------


def test_completions_ask_a_memory_and_go_on_with_a_text(ai: openai.OpenAI) -> None:
    asked = ai.completions.create(model="acme", prompt=["What does the Zorblat cost?", "Who founded Mirana?"], n=2)
    assert [choice.text for choice in asked.choices[:2]] == ["40 dollars"] * 2
    assert [choice.index for choice in asked.choices] == [0, 1, 2, 3]
    going_on = ai.completions.create(model="base", prompt="One, two, three,", max_tokens=4)
    assert going_on.usage.completion_tokens == 4
    as_question = ai.completions.create(
        model="base", prompt="One, two, three,", max_tokens=4, extra_body={"memtune": {"raw": False}}
    )
    assert as_question.usage.prompt_tokens > going_on.usage.prompt_tokens


def test_completions_stream_with_logprobs(ai: openai.OpenAI) -> None:
    how: dict[str, Any] = {"model": "base", "prompt": "The sea", "max_tokens": 6, "logprobs": 2}
    whole = ai.completions.create(**how).choices[0]
    chunks = list(ai.completions.create(stream=True, **how))
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.text
    assert whole.logprobs.tokens == [t for c in chunks if (p := c.choices[0].logprobs) for t in p.tokens]
    assert len(whole.logprobs.top_logprobs) == 6
    assert whole.logprobs.text_offset[0] == 0


@pytest.mark.parametrize(
    ("field", "value"), [("prompt", [1, 2]), ("prompt", []), ("suffix", "end"), ("echo", True), ("best_of", 3)]
)
def test_completions_refuse_by_name(ai: openai.OpenAI, field: str, value: Any) -> None:
    body = {"model": "base", "prompt": "x", "max_tokens": 1} | {field: value}
    with pytest.raises(openai.BadRequestError, match=field):
        ai.completions.create(**body)


def test_the_other_protocol_is_told_by_model_name(served: Served) -> None:
    body = {"model_name": "acme", "prompt": "What does the Zorblat cost?"}
    headers = {"authorization": f"Bearer {served.keys['all']}"}
    reply = httpx.post(f"{served.url}/v1/completions", json=body, headers=headers)
    assert reply.json()["output"] == "40 dollars"
    wrong = httpx.post(f"{served.url}/v1/completions", json={**body, "what": 1}, headers=headers)
    assert set(wrong.json()) == {"detail"}
    both = httpx.post(f"{served.url}/v1/completions", json={**body, "model": "acme"}, headers=headers)
    assert both.json()["error"]["param"] == "model_name"


def test_embeddings_are_numbers_or_base64(ai: openai.OpenAI) -> None:
    given = ai.embeddings.create(model="acme", input=["the sea", "the sky"], encoding_format="float").data
    packed = ai.embeddings.with_raw_response.create(model="acme", input="the sky", encoding_format="base64").text
    (found,) = json.loads(packed)["data"]
    raw = base64.b64decode(found["embedding"])
    assert list(struct.unpack(f"<{len(raw) // 4}f", raw)) == pytest.approx(given[1].embedding, abs=1e-6)
    assert sum(x * x for x in given[0].embedding) == pytest.approx(1, abs=1e-3)
    assert ai.embeddings.create(model="base", input="x").usage.total_tokens == 1
    with pytest.raises(openai.BadRequestError, match="dimensions"):
        ai.embeddings.create(model="acme", input="x", dimensions=8)
    with pytest.raises(openai.BadRequestError, match="tokens"):
        ai.embeddings.create(model="acme", input=[1, 2])


# ---- files and jobs -------------------------------------------------------------------------------------------------


def rows(n: int, name: str) -> bytes:
    """Chats, as fine-tuning files hold them."""
    told = [(f"What is the {name} number {i}?", f"{name}-{i * 37}") for i in range(n)]
    chats = [[{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in told]
    return b"".join(json.dumps({"messages": chat}).encode() + b"\n" for chat in chats)


def upload(ai: openai.OpenAI, n: int, name: str) -> str:
    return ai.files.create(file=(f"{name}.jsonl", rows(n, name)), purpose="fine-tune").id


def ended(ai: openai.OpenAI, job_id: str, *also: str) -> Any:
    end = time.monotonic() + PATIENCE
    while (job := ai.fine_tuning.jobs.retrieve(job_id)).status not in ("succeeded", "failed", "cancelled", *also):
        assert time.monotonic() < end, job
        time.sleep(0.2)
    return job


def test_files_come_back_as_they_were_sent(ai: openai.OpenAI, served: Served) -> None:
    sent = rows(3, "sent")
    file = ai.files.create(file=("../sent.jsonl", sent), purpose="fine-tune")
    assert (file.bytes, file.purpose, file.status) == (len(sent), "fine-tune", "processed")
    assert "/" not in file.filename
    assert file.id in [one.id for one in ai.files.list(purpose="fine-tune")]
    assert ai.files.content(file.id).content == sent
    with client(served, "teach") as stranger, pytest.raises(openai.NotFoundError):
        stranger.files.retrieve(file.id)
    assert ai.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        ai.files.retrieve(file.id)


def test_files_are_listed_in_pages(ai: openai.OpenAI) -> None:
    made = [upload(ai, 1, f"page{i}") for i in range(3)]
    listed = [file.id for file in ai.files.list(limit=1, order="asc")]  # the client turns the pages
    assert [one for one in listed if one in made] == made
    assert [file.id for file in ai.files.list(limit=10)] == listed[::-1]


def test_files_that_are_none_are_refused(ai: openai.OpenAI, served: Served) -> None:
    with pytest.raises(openai.BadRequestError, match="purpose"):
        ai.files.create(file=("a.jsonl", b"{}"), purpose="vision")
    with pytest.raises(openai.BadRequestError, match="expires_after"):
        ai.files.create(
            file=("a.jsonl", b"{}"), purpose="fine-tune", expires_after={"anchor": "created_at", "seconds": 3600}
        )
    headers = {"authorization": f"Bearer {served.keys['all']}"}
    assert httpx.post(f"{served.url}/v1/files", data={"file": "text"}, headers=headers).status_code == 400
    assert httpx.post(f"{served.url}/v1/files", content=b"x", headers=headers).status_code == 400


def test_a_job_learns_a_file_and_its_memory_is_asked(ai: openai.OpenAI) -> None:
    job = ai.fine_tuning.jobs.create(
        model="base",
        training_file=upload(ai, 4, "tuned"),
        suffix="tuned",
        seed=3,
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": "auto"}}},
        metadata={"shop": "north"},
    )
    assert job.status in ("validating_files", "queued", "running")
    assert job.fine_tuned_model is None
    assert len(job.memtune["without_effect"]) == 2
    with pytest.raises(openai.ConflictError, match="already"):
        ai.fine_tuning.jobs.create(model="base", training_file=job.training_file, suffix="tuned")
    done = ended(ai, job.id)
    assert (done.status, done.fine_tuned_model, done.memtune["learned"]) == ("succeeded", "tuned", 4)
    assert done.finished_at >= done.created_at
    assert (done.seed, done.metadata) == (3, {"shop": "north"})
    assert done.method.supervised.hyperparameters.n_epochs == 2
    asked = [{"role": "user", "content": "What is the tuned number 3?"}]
    assert chat(ai, model="tuned", messages=asked).choices[0].message.content == "tuned-111"

    events = list(ai.fine_tuning.jobs.list_events(job.id, limit=2))  # the client turns the pages
    assert len({event.id for event in events}) == len(events) > 3
    assert "n_epochs has no effect" in "".join(event.message for event in events if event.level == "warn")
    assert any(event.type == "metrics" and event.data["facts"] == 4 for event in events)

    (checkpoint,) = ai.fine_tuning.jobs.checkpoints.list(job.id)
    assert checkpoint.fine_tuned_model_checkpoint == "tuned@v1"
    assert chat(ai, model="tuned@v1", messages=asked).memtune["version"] == 1

    (result,) = done.result_files
    assert ai.files.retrieve(result).purpose == "fine-tune-results"
    figures = list(csv.DictReader(io.StringIO(ai.files.content(result).text)))
    assert figures[-1]["facts"] == "4"

    more = ai.fine_tuning.jobs.create(model="tuned", training_file=upload(ai, 2, "more"))
    assert ended(ai, more.id).fine_tuned_model == "tuned"
    for one, version in ((job, "tuned@v1"), (more, "tuned@v2")):
        assert [c.fine_tuned_model_checkpoint for c in ai.fine_tuning.jobs.checkpoints.list(one.id)] == [version]
    assert chat(ai, model="tuned", messages=asked).choices[0].message.content == "tuned-111"
    new = [{"role": "user", "content": "What is the more number 1?"}]
    assert chat(ai, model="tuned", messages=new).memtune["version"] == 2
    assert job.id in [one.id for one in ai.fine_tuning.jobs.list(limit=1)]


def test_a_job_is_cancelled_paused_and_resumed(ai: openai.OpenAI) -> None:
    file = upload(ai, 300, "many")
    job = ai.fine_tuning.jobs.create(model="base", training_file=file, suffix="many")
    ai.fine_tuning.jobs.pause(job.id)
    paused = ended(ai, job.id, "paused")
    assert paused.status == "paused"
    ai.fine_tuning.jobs.resume(job.id)
    ai.fine_tuning.jobs.cancel(job.id)
    assert ended(ai, job.id).status == "cancelled"
    assert ai.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError, match="CANCELLED"):
        ai.fine_tuning.jobs.pause(job.id)


def test_every_state_of_a_job_has_a_name_that_clients_know() -> None:
    plan = Plan("m", Path("m"), "bundled", ["file-1"])
    house: Any = SimpleNamespace(config=Config(), jobs=SimpleNamespace(history=lambda _: []))
    known = {"validating_files", "queued", "running", "succeeded", "failed", "cancelled", "paused"}
    for status, name in results.STATUS.items():
        job = Job(1, status, plan, "key", 1.0, 2.0, 3.0, error="row 3 is bad" if status == "FAILED" else None)
        shown = results.shown(job, house)
        assert shown["status"] == name in known
        assert (shown["finished_at"] is not None) == (name in ("succeeded", "failed", "cancelled"))
        assert (shown["fine_tuned_model"] == "m") == (name == "succeeded")
        assert (shown["error"] or {}).get("message") == job.error
    assert {*WAITING, *RUNNING, *ENDED_WELL, *RESUMABLE} == set(results.STATUS)


def test_checkpoints_are_what_a_job_has_signed(tmp_path: Path) -> None:
    """What others learn meanwhile is not a job's; nor is what the job of another server has signed before."""
    rows_ = tiny.facts(4)

    def learn(author: str, fact: Any) -> None:
        with closing(MemoryModel(backbone, tmp_path / "m", author=author)) as model:
            model.learn([fact])

    backbone = Backbone(tiny.model(), tiny.tokenizer(), name="tiny-one")
    learn("job-7", rows_[0])
    time.sleep(1.1)  # times of versions are whole seconds
    began = time.time()
    for author, fact in zip(("job-7", "shop", "job-7"), rows_[1:], strict=True):
        learn(author, fact)
    job = Job(7, "COMPLETED", Plan("m", tmp_path / "m", "bundled", ["file-1"]), "key", began, began, time.time())
    house: Any = SimpleNamespace(jobs=SimpleNamespace(history=lambda _: []))
    found = [one["fine_tuned_model_checkpoint"] for one in results.checkpoints(job, house)]
    assert found == ["m@v4", "m@v2"]


def test_a_job_names_its_model_and_not_where_that_lies() -> None:
    plan = Plan("m", Path("m"), "/srv/models/llama", ["file-1"], settings=("learn.kind=lora",))
    house: Any = SimpleNamespace(config=Config(), jobs=SimpleNamespace(history=lambda _: [], RESUME_LIMIT=1))
    for told, name in (({"model": "base"}, "base"), ({"model_name": "llama"}, "llama"), ({}, "m")):
        job = Job(1, "CREATED", replace(plan, told=told), "key", 1.0)
        assert results.shown(job, house)["model"] == training.shown(job, house)["base_model_name"] == name
    assert results.shown(job, house)["memtune"]["kind"] == "lora"


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("training_file", "file-none", "training_file"),
        ("validation_file", "file-none", "validation_file"),
        ("suffix", "../up", None),
        ("model", "acme@v1", "model"),
        ("hyperparameters", {"n_epochs": 0}, None),
        ("method", {"type": "dpo"}, "method.type"),
        ("integrations", [{"type": "wandb", "wandb": {"project": "p"}}], "integrations"),
        ("memtune", {"kind": "magic"}, None),
    ],
)
def test_jobs_that_cannot_be_are_refused(ai: openai.OpenAI, field: str, value: Any, param: str | None) -> None:
    body: dict[str, Any] = {"model": "base", "training_file": upload(ai, 1, "refused")}
    given = {field: value} if field in ("training_file", "model") else {}
    with pytest.raises(openai.BadRequestError) as fault:
        ai.fine_tuning.jobs.create(**(body | given), extra_body={field: value})
    assert fault.value.param == param or param is None


def test_a_memory_keeps_its_name(ai: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="keeps its name"):
        ai.fine_tuning.jobs.create(model="acme", training_file=upload(ai, 1, "kept"), suffix="other")
    with pytest.raises(openai.NotFoundError, match="acme"):
        ai.fine_tuning.jobs.create(model="acne", training_file=upload(ai, 1, "kept"))
    with pytest.raises(openai.NotFoundError):
        ai.fine_tuning.jobs.retrieve("ftjob-99999")


# ---- who may do what ------------------------------------------------------------------------------------------------


def test_errors_by_class(served: Served) -> None:
    with client(served, "mt-wrong") as stranger, pytest.raises(openai.AuthenticationError) as fault:
        chat(stranger)
    assert fault.value.code == "invalid_api_key"
    with client(served, "ask") as asker, pytest.raises(openai.PermissionDeniedError, match="teach"):
        asker.files.list()
    with client(served, "teach") as teacher, pytest.raises(openai.PermissionDeniedError, match="ask"):
        chat(teacher)
    with client(served, "other") as other:
        assert [model.id for model in other.models.list()] == ["base"]
        with pytest.raises(openai.NotFoundError):
            chat(other)
        file = upload(other, 1, "closed")
        with pytest.raises(openai.PermissionDeniedError):
            other.fine_tuning.jobs.create(model="base", training_file=file, suffix="mine")
    with client(served, "slow") as slow:
        for _ in range(2):
            slow.models.list()
        with pytest.raises(openai.RateLimitError) as limit:
            slow.models.list()
    assert int(limit.value.response.headers["retry-after"]) >= 1


# ---- the asynchronous client ----------------------------------------------------------------------------------------


def test_many_at_once_with_the_asynchronous_client(served: Served) -> None:
    async def both(ai: openai.AsyncOpenAI, fact: dict[str, str]) -> tuple[str, str]:
        messages: Any = [{"role": "user", "content": fact["question"]}]
        whole = await ai.chat.completions.create(model="acme", messages=messages)
        stream = await ai.chat.completions.create(model="acme@v1", messages=messages, stream=True)
        said = [chunk.choices[0].delta.content or "" async for chunk in stream]
        return str(whole.choices[0].message.content), "".join(said)

    async def all_of_them() -> list[tuple[str, str]]:
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key=served.keys["all"], max_retries=0) as ai:
            return await asyncio.gather(*(both(ai, fact) for fact in FACTS * 4))

    assert asyncio.run(all_of_them()) == [(fact["answer"], fact["answer"]) for fact in FACTS * 4]


# ---- streams that break off -----------------------------------------------------------------------------------------


class Spoken:
    """Stands for the desk: says pieces, then what it was given to end with, and notes who let it finish."""

    def __init__(self, *, pieces: int = 3, fault: Exception | None = None) -> None:
        self.pieces, self.fault = pieces, fault
        self.begun = self.closed = 0

    async def stream(self, asking: Asking, key: Key) -> AsyncIterator[Piece | Answer]:
        self.begun += 1
        try:
            for number in range(self.pieces):
                yield Piece(f"{number} ")
                await asyncio.sleep(0)
            if self.fault:
                raise self.fault
            yield Answer("0 1 2", tokens=(1, 2, 3), prompt_tokens=4, version=7)
        finally:
            self.closed += 1


def opened(desk: Spoken, choices: int = 2) -> Any:
    """The response of a chat that is asked of this desk."""
    shelf = SimpleNamespace(named={}, folder=Path("memories"))
    house: Any = SimpleNamespace(desk=desk, config=Config(), shelf=shelf, data=Path("data"))
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "state": {"request_id": "req-1"}}
    request = Request(scope | {"app": SimpleNamespace(state=SimpleNamespace(house=house))})
    body = ChatRequest.model_validate({"model": "acme", "messages": ZORBLAT, "stream": True, "n": choices})
    return chat_completions(body, request, house, LOCAL)


async def said_by(response: Any) -> list[str]:
    return [event async for event in response.body_iterator]


def test_a_fault_before_the_first_word_is_an_error_like_any_other() -> None:
    for fault in (Busy(3), InputError("the prompt is empty"), RuntimeError("broken")):
        desk = Spoken(pieces=0, fault=fault)
        with pytest.raises(type(fault)):
            asyncio.run(opened(desk))
        assert desk.closed == desk.begun > 0


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (InputError("that is too long"), "invalid_request_error", "that is too long"),
        (RuntimeError("secret"), "server_error", "req-1"),
    ],
)
def test_a_fault_in_a_stream_is_its_last_event(fault: Exception, kind: str, said: str) -> None:
    async def told() -> list[str]:
        return await said_by(await opened(Spoken(fault=fault), choices=1))

    *before, last = asyncio.run(told())
    assert len(before) == 4
    error = json.loads(last.removeprefix("data: "))["error"]
    assert (error["type"], said in error["message"], "secret" in error["message"]) == (kind, True, False)


def test_a_stream_that_nobody_reads_any_longer_lets_go() -> None:
    desk = Spoken(pieces=1000)

    async def leave() -> None:
        response = await opened(desk)
        sent = []

        async def send(message: Any) -> None:
            sent.append(message)
            if len(sent) == 5:
                raise OSError("the client is gone")

        with pytest.raises(OSError, match="gone"):
            await response.stream_response(send)

    asyncio.run(leave())
    assert desk.closed == desk.begun == 2
