"""Forgetting that can be shown, and purging: no byte of the folder tells what was purged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny

from memtune import Config, MemoryModel
from memtune.core.backbone import Backbone
from memtune.errors import UnknownFact, UsageError
from memtune.store import sidecar

SECRET = {
    "id": "secret",
    "question": "What is the number of the safe?",
    "phrasings": ["Which number opens the safe?"],
    "answer": "Zebra 774-19",
    "source": "the vault book",
    "group": "vault",
}
KEEP = Config().with_settings(["inbox.keep=true"])


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(tiny.model(), tiny.tokenizer())


@pytest.fixture
def llm(backbone: Backbone, tmp_path: Path) -> Iterator[MemoryModel]:
    with MemoryModel(backbone, tmp_path / "m", config=KEEP) as made:
        made.learn([*tiny.facts(4), SECRET], kind="imprint+kv")
        yield made


def certify(llm: MemoryModel, fact_id: str | None = None, **how: object):
    return llm.certify(fact_id, max_new_tokens=5, **how)


def test_what_is_not_forgotten_is_not_certified(llm: MemoryModel) -> None:
    found = certify(llm, "secret")
    assert not found.certified
    assert found.against[0] == "the fact is NOT forgotten: version 1 holds it"
    assert "answered from the memory, by secret" in found.against[1]
    assert not found.shown[0].same
    assert any("NOT certified" in line for line in found.lines())


def test_what_is_forgotten_is_the_plain_model_bit_for_bit(llm: MemoryModel) -> None:
    llm.tag("gold")
    llm.forget("secret")
    found = certify(llm, "secret")
    assert found.certified, found.against
    assert [one.prompt for one in found.shown] == [SECRET["question"], *SECRET["phrasings"]]
    for one in found.shown:
        assert one.tokens == 5
        assert len({one.first, one.plain_first}) == len({one.whole, one.plain_whole}) == 1
        assert one.first != one.whole
    assert found.held_by == [1]
    assert any("measured at v1, which held it" in said for said in found.fitted)
    assert "still held by v1" in "\n".join(found.lines())
    assert json.loads(json.dumps(found.to_json()))["certified"] is True
    assert SECRET["answer"] not in json.dumps(found.to_json())


def test_a_prompt_is_certified_by_itself(llm: MemoryModel) -> None:
    assert certify(llm, prompt="Write a poem about rain.").certified
    found = certify(llm, prompt=tiny.facts(1)[0]["question"])
    assert not found.certified
    assert found.shown[0].used == ("fact-0",)
    assert certify(llm, "nobody", prompt="Who is nobody?").certified
    unknown = certify(llm, "nobody")
    assert not unknown.certified
    assert "name a prompt" in unknown.against[0]
    with pytest.raises(UsageError, match="certify what"):
        llm.certify()


def everything(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_after_purging_no_byte_tells_of_it(llm: MemoryModel, backbone: Backbone, tmp_path: Path) -> None:
    llm.learn([{"id": "later", "question": "What came later?", "answer": "Much"}])
    llm.update("secret", answer="Zebra 774-20")
    llm.branch("side", 1)
    llm.ask("Please tell me: which number opens the safe??", unknown="abstain", stop=["x"], max_new_tokens=2)
    llm.memory.answering.inbox.keep("Which number opens the safe", "base")
    llm.memory.answering.inbox.keep("How deep is the sea?", "base")
    with MemoryModel(backbone, tmp_path / "m", follow=True) as reader:
        assert reader.ask(SECRET["question"]).text == "Zebra 774-20"
        keys = llm.memory.folder.shard(1, "router")["hashes"]
        secret_hash = keys[-2:].numpy().tobytes()[:8]
        before = [v.commit for v in llm.log()]
        done = llm.purge("secret")
        assert (done.rows, done.questions, done.noted) == (2, 1, [])
        assert not reader.ask(SECRET["question"], max_new_tokens=2).fired
        assert [reader.ask(f["question"]).text for f in tiny.facts(4)] == [f["answer"] for f in tiny.facts(4)]
    llm.memory.folder.close()
    texts = [SECRET["question"], SECRET["phrasings"][0], "Zebra", "774-20", "vault"]
    for name, data in everything(tmp_path / "m").items():
        for text in texts:
            assert text.encode() not in data, (name, text)
            assert text.casefold().encode() not in data.lower(), (name, text)
        assert secret_hash not in data, name
    assert b"How deep is the sea" in everything(tmp_path / "m")["inbox.jsonl"]
    acts = [entry for entry in llm.memory.history.audit() if entry["act"] == "purge"]
    assert [entry["ids"] for entry in acts] == [["secret"]]
    assert [(c.version, c.author, c.time, c.message) for c in before] == [
        (v.commit.version, v.commit.author, v.commit.time, v.commit.message) for v in llm.log()
    ]
    assert llm.verify() == []
    found = certify(llm, "secret", prompt=SECRET["question"])
    assert found.certified
    assert (found.held_by, found.fitted) == ([], [])
    with MemoryModel(backbone, tmp_path / "m@v1") as old:
        assert [old.ask(f["question"]).text for f in tiny.facts(4)] == [f["answer"] for f in tiny.facts(4)]
        assert not old.ask(SECRET["question"], max_new_tokens=2).fired
        assert old.verify() == []
    with pytest.raises(UnknownFact, match="no version holds a fact 'secret'"):
        llm.purge("secret")
    assert llm.learn([SECRET]).learned == 1
    assert llm.ask(SECRET["question"]).text == SECRET["answer"]


def test_purging_refits_what_was_measured(llm: MemoryModel) -> None:
    llm.learn(tiny.facts(60)[4:])
    assert llm.calibration(again=True).facts == 61
    llm.purge("secret", "fact-7")
    assert llm.calibration().facts == 59
    assert sidecar.read(llm.memory.folder.path, sidecar.CALIBRATION)["facts"] == 59


def test_a_note_that_tells_it_is_named(llm: MemoryModel) -> None:
    llm.note(1, "Zebra 774-19 is wrong")
    assert llm.purge("secret").noted == [1]
