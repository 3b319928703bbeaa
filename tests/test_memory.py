"""The memory end to end, through the public face, on a tiny random model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from memtune import Answer, Config, MemoryModel
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.core.learn import Learner, Lot
from memtune.errors import (
    BackboneMismatch,
    BadRows,
    ConflictError,
    FolderLocked,
    FolderTooNew,
    InputError,
    NotFound,
    UnknownFact,
    UnknownSetting,
    UsageError,
)
from memtune.store import MemoryFolder


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(tiny.model(), tiny.tokenizer())


@pytest.fixture
def llm(backbone: Backbone, tmp_path: Path) -> Iterator[MemoryModel]:
    with MemoryModel(backbone, tmp_path / "memory") as made:
        yield made


def rows(n: int = 12) -> list[dict[str, str]]:
    return tiny.facts(n)


def recalled(llm: MemoryModel, facts: list[dict[str, str]]) -> int:
    return sum(a.text == f["answer"] for a, f in zip(llm.ask([f["question"] for f in facts]), facts, strict=True))


# ---- learning -------------------------------------------------------------------------------------------------------


def test_learning_adds_and_survives_reopening(llm: MemoryModel, backbone: Backbone, tmp_path: Path) -> None:
    assert llm.learn(rows(8)).version == 1
    report = llm.learn(rows(12))
    assert (report.facts, report.learned, report.duplicates, report.version) == (12, 4, 8, 2)
    llm.close()
    again = MemoryModel(backbone, tmp_path / "memory")
    assert recalled(again, rows(12)) == 12
    assert again.verify() == []
    assert [f.to_row() for f in again.facts()] == rows(12)


def test_lots_give_what_one_lot_gives(backbone: Backbone, tmp_path: Path) -> None:
    for size in (5, 100):
        config = Config().with_settings([f"learn.lot_size={size}", "learn.batch_tokens=64"])
        llm = MemoryModel(backbone, tmp_path / str(size), config=config)
        seen = []
        assert llm.learn(rows(13), progress=seen.append).learned == 13
        assert [p.done for p in seen] == ([5, 10, 13] if size == 5 else [13])
        assert recalled(llm, rows(13)) == 13


@pytest.mark.parametrize("kind", ["imprint", "kv", "imprint+kv"])
def test_full_proof_names_what_is_not_recalled(kind: str, llm: MemoryModel) -> None:
    report = llm.learn(rows(6), kind=kind, proof="full")
    if kind == "kv":  # a random model cannot copy: its rows are kept, and the facts named
        assert report.learned + len(report.failed) == 6
        assert report.failed
        assert llm.memory.folder.count() == 6
    else:
        assert (report.learned, report.failed) == (6, [])
    assert report.proof_seconds > 0


def test_a_sampled_fact_that_is_not_recalled_is_taken_out(llm: MemoryModel, monkeypatch: pytest.MonkeyPatch) -> None:
    llm.learn([{"question": "Something first?", "answer": "Yes"}])
    monkeypatch.setattr(llm.memory, "not_recalled", lambda facts: [f for f in facts if f.id == "fact-2"])
    report = llm.learn(rows(4))
    assert [f.id for f in report.failed] == ["fact-2"]
    assert (report.learned, llm.memory.folder.count()) == (3, 4)
    assert not llm.ask(rows()[2]["question"], max_new_tokens=3).fired


def test_long_answers_are_exact(llm: MemoryModel) -> None:
    answer = " ".join(f"Clause {i}: item {i * 37} is sent back within {i} days." for i in range(12)).strip()
    assert llm.learn([{"question": "What is the policy?", "answer": answer}]).learned == 1
    got = llm.ask("What is the policy?")
    assert got.text == answer
    assert len(got.tokens) > 250


def test_what_cannot_be_learned_is_named(llm: MemoryModel) -> None:
    report = llm.learn([*rows(2), {"id": "long", "question": "Too long?", "answer": "word " * 700}])
    assert report.learned == 2
    assert report.failed[0].id == "long"
    assert "learn.max_answer_tokens" in report.failed[0].reason or "context" in report.failed[0].reason


def test_measured_reading_stands_apart(llm: MemoryModel) -> None:
    assert llm.learn(rows(4)).read_seconds is None
    report = llm.learn(rows(12), measure_reading=True)
    assert report.read_seconds is not None
    assert report.read_seconds > 0
    assert report.bytes_per_fact > 0


@pytest.mark.parametrize(
    ("mode", "answer", "learned"), [("keep-first", "first", 1), ("keep-last", "last", 1), ("error", None, 0)]
)
@pytest.mark.parametrize("where", ["file", "memory"])
def test_conflicts(mode: str, answer: str | None, learned: int, where: str, llm: MemoryModel) -> None:
    first, last = ({"question": "What is it?", "answer": a} for a in ("first", "last"))
    if where == "memory":
        llm.learn([first])
    given = [last] if where == "memory" else [first, {"question": "what is  it", "answer": "last"}]
    if answer is None:
        with pytest.raises(ConflictError, match=r"1 question has more than one answer: '[Ww]hat is"):
            llm.learn(given)
        return
    report = llm.learn(given, on_conflict=mode)
    assert report.conflicts == 1
    assert llm.ask("What is it?").text == answer
    assert llm.memory.folder.count() == 1


def test_keep_last_twice_is_keep_last(llm: MemoryModel) -> None:
    given = [{"question": "What is it?", "answer": a} for a in ("first", "last")]
    llm.learn(given, on_conflict="keep-last")
    report = llm.learn(given, on_conflict="keep-last")
    assert (report.learned, llm.memory.folder.count(), llm.ask("What is it?").text) == (0, 1, "last")


def test_what_could_not_be_learned_replaces_nothing(llm: MemoryModel) -> None:
    llm.learn([{"question": "What is it?", "answer": "short"}])
    report = llm.learn([{"question": "What is it?", "answer": "long " * 700}], on_conflict="keep-last")
    assert (report.learned, len(report.failed), llm.ask("What is it?").text) == (0, 1, "short")


@pytest.mark.parametrize(
    "question",
    ["Does it only write novels?", "the cast of don't tell mom", "Just Say Ozzy", "What does the <title> tag do?"],
)
def test_a_learned_wording_is_found_whatever_it_says(question: str, llm: MemoryModel) -> None:
    assert llm.learn([{"question": question, "answer": "yes"}]).learned == 1
    assert llm.ask(question).text == "yes"


def test_a_wording_that_the_router_loses_is_not_learned(llm: MemoryModel, monkeypatch: pytest.MonkeyPatch) -> None:
    llm.learn(rows(1))
    monkeypatch.setattr(llm.memory, "leads_to", lambda question, fact_id: fact_id != "fact-2")
    report = llm.learn(rows(4))
    assert [f.id for f in report.failed] == ["fact-2"]
    assert (report.learned, llm.memory.folder.count()) == (2, 3)


def test_a_phrasing_that_leads_elsewhere_is_a_conflict(llm: MemoryModel) -> None:
    given = [rows()[0], {"id": "x", "question": "Other?", "answer": "no", "phrasings": [rows()[0]["question"]]}]
    with pytest.raises(ConflictError):
        llm.learn(given)
    report = llm.learn(given, on_conflict="keep-last")
    assert (report.learned, llm.ask(rows()[0]["question"]).text) == (2, "10 dollars"), "a phrasing replaces nothing"
    assert llm.ask("Other?").text == "no"
    assert "x (row 2) gives up wordings that lead to row 1" in report.resolved


def test_bad_input_leaves_nothing_behind(llm: MemoryModel, tmp_path: Path) -> None:
    file = tmp_path / "facts.jsonl"
    file.write_text(json.dumps(rows()[0]) + "\n{broken\n")
    with pytest.raises(BadRows, match="line 2"):
        llm.learn(file)
    with pytest.raises(ConflictError):
        llm.learn([{"question": "a?", "answer": "1"}, {"question": "a?", "answer": "2"}])
    assert not (tmp_path / "memory").exists()
    assert llm.learn(file, skip_bad=True).learned == 1


def test_an_id_that_is_taken_is_refused(llm: MemoryModel) -> None:
    llm.learn(rows(1))
    with pytest.raises(InputError, match="'fact-0' is already in the memory"):
        llm.learn([{"id": "fact-0", "question": "Something else?", "answer": "yes"}])


def test_an_interrupted_learning_keeps_finished_lots(backbone: Backbone, tmp_path: Path) -> None:
    llm = MemoryModel(backbone, tmp_path / "m", config=Config().with_settings(["learn.lot_size=4"]))

    def interrupt(progress: Any) -> None:
        if progress.done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        llm.learn(rows(12), progress=interrupt)
    assert recalled(llm, rows(8)) == 8
    assert MemoryFolder.open(tmp_path / "m").count() == 8
    assert llm.learn(rows(12)).learned == 4


# ---- changing -------------------------------------------------------------------------------------------------------


def test_update_phrase_forget(llm: MemoryModel) -> None:
    llm.learn(rows(6), kind="imprint+kv")
    assert llm.update("fact-2", answer="Something quite different") == 2
    assert llm.ask(rows()[2]["question"]).text == "Something quite different"
    assert llm.phrase("fact-2", "Speak of 1002!") == 3
    assert llm.phrase("fact-2", "speak of 1002") == 3  # it leads there already
    assert llm.ask("Speak of 1002").text == "Something quite different"
    with pytest.raises(ConflictError, match="fact-2"):
        llm.phrase("fact-1", "Speak of 1002")
    assert llm.forget("fact-2") == ["fact-2"]
    assert not llm.ask("Speak of 1002", max_new_tokens=3).fired
    with pytest.raises(UnknownFact):
        llm.forget("fact-2")
    with pytest.raises(UnknownFact):
        llm.update("fact-2", answer="x")


def test_forgetting_by_field(llm: MemoryModel) -> None:
    llm.learn([{**r, "group": "even" if i % 2 == 0 else "odd"} for i, r in enumerate(rows(6))])
    assert llm.forget(where={"group": "even"}) == ["fact-0", "fact-2", "fact-4"]
    assert [f.id for f in llm.facts()] == ["fact-1", "fact-3", "fact-5"]
    assert llm.forget(where={"group": "none"}) == []


def test_a_forgotten_fact_leaves_the_plain_logits(llm: MemoryModel) -> None:
    from memtune.core.generate import Decoder, Request

    llm.learn(rows(6), kind="imprint+kv")
    llm.ask(rows()[1]["question"])
    llm.forget("fact-1")
    answering = llm.memory.answering
    request = Request(llm.backbone.template.question(rows()[1]["question"]))
    config = llm.config.decode.__class__(max_new_tokens=6)
    gone = Decoder(llm.backbone, list(answering.kinds.values()), [request], config, keep_logits=True).finish()[0]
    plain = Decoder(llm.backbone, [], [request], config, keep_logits=True).finish()[0]
    assert not answering.route(rows()[1]["question"]).confirmed
    assert torch.equal(torch.stack(gone.logits), torch.stack(plain.logits))


def test_what_another_process_changed_is_taken_up(llm: MemoryModel, backbone: Backbone, tmp_path: Path) -> None:
    llm.learn(rows(4))
    other = MemoryModel(backbone, tmp_path / "memory")
    assert recalled(llm, rows(4)) == recalled(other, rows(4)) == 4
    other.forget("fact-1")
    other.learn(rows(6)[4:])
    assert llm.refresh()
    assert not llm.ask(rows()[1]["question"], max_new_tokens=3).fired
    assert recalled(llm, [*rows(4)[2:], *rows(6)[4:]]) == 4
    other.forget("fact-4", "fact-5")  # a whole segment goes
    assert llm.forget("fact-0") == ["fact-0"]  # a writer catches up by itself
    assert not any(a.fired for a in llm.ask([rows()[i]["question"] for i in (0, 4, 5)], max_new_tokens=3))
    assert recalled(llm, rows(4)[2:]) == 2
    assert not llm.refresh()


# ---- asking ---------------------------------------------------------------------------------------------------------


def test_surfaces(llm: MemoryModel) -> None:
    llm.learn(rows(4))
    question, answer = rows()[1]["question"], rows()[1]["answer"]
    chat = [
        {"role": "system", "content": "You are a clerk. " * 12},
        *[{"role": r, "content": "Well, well."} for _ in range(4) for r in ("user", "assistant")],
        {"role": "user", "content": question},
    ]
    assert llm.ask(chat).text == answer
    assert llm.ask(f"Some text first.\n\nQuestion: {question}\nAnswer:", raw=True).text == answer
    assert llm.ask(f"Hello! {question} Thank you.").text == answer
    assert llm.ask(question, temperature=1.0, top_p=0.9, seed=3).text == answer
    assert llm.ask(question, temperature=1.0, fact_sampling="free").text == answer


def test_two_facts_give_both_answers(llm: MemoryModel) -> None:
    llm.learn(rows(6))
    got = llm.ask(f"{rows()[1]['question']} {rows()[4]['question']}")
    assert got.text == f"{rows()[1]['answer']}\n{rows()[4]['answer']}"
    assert [f.id for f in got.facts] == ["fact-1", "fact-4"]


def test_after_the_answer_the_base_goes_on(llm: MemoryModel) -> None:
    llm.learn(rows(3))
    got = llm.ask(rows()[1]["question"], after_fact="continue", max_new_tokens=24)
    assert got.text.startswith(rows()[1]["answer"])
    assert len(got.text) > len(rows()[1]["answer"])


def test_an_open_json_field_is_filled_and_left(llm: MemoryModel) -> None:
    llm.learn([{"id": "p", "question": "What is the price of the lamp?", "answer": "40 dollars"}])
    got = llm.ask('Describe the lamp as JSON.\n{"price": "', raw=True, max_new_tokens=24)
    assert got.text.startswith("40 dollars")
    assert [f.id for f in got.facts] == ["p"]
    assert len(got.tokens) == 24  # the base model went on
    assert not llm.ask('Describe the lamp as JSON.\n{"colour": "', raw=True, max_new_tokens=4).fired


def test_a_gap_that_opens_while_decoding_is_filled(llm: MemoryModel, monkeypatch: pytest.MonkeyPatch) -> None:
    llm.learn([{"id": "p", "question": "What is the price of the lamp?", "answer": "40 dollars"}])
    said = iter(llm.backbone.tokenizer('{"price": "', add_special_tokens=False)["input_ids"])
    from memtune.core import sampling

    plain = sampling.Sampler.next
    monkeypatch.setattr(sampling.Sampler, "next", lambda self, *given: next(said, plain(self, *given)))
    got = llm.ask("Describe the lamp, as JSON please.", max_new_tokens=24)
    assert got.text.startswith('{"price": "40 dollars')
    assert len(got.tokens) == 24  # the base model went on behind the field
    assert [f.id for f in got.facts] == ["p"]


def test_abstaining_and_the_plain_model(llm: MemoryModel) -> None:
    llm.learn(rows(3))
    unknown = llm.ask("Where is the harbour?", unknown="abstain")
    assert (unknown.text, unknown.abstained, unknown.fired) == ("I don't know.", True, False)
    assert llm.ask(rows()[0]["question"], unknown="abstain").text == rows()[0]["answer"]
    plain = llm.ask(rows()[0]["question"], memory=False, unknown="abstain", max_new_tokens=4)
    assert not plain.abstained
    assert not plain.fired
    assert plain.version is None


@pytest.mark.parametrize(
    "template", [None, tiny.CHAT_TEMPLATE, tiny.CHAT_TEMPLATE.replace("<|assistant|>\n", "<|assistant|>")]
)
def test_a_stream_says_what_the_whole_says(template: str | None, tmp_path: Path) -> None:
    llm = MemoryModel(tiny.model(), tmp_path / "m", tokenizer=tiny.tokenizer(template))
    llm.learn(rows(3))
    for question, given in (
        (rows()[1]["question"], {}),
        ("Where?", {"max_new_tokens": 9}),
        ("Why?", {"unknown": "abstain"}),
    ):
        pieces = list(llm.stream(question, **given))
        whole = llm.ask(question, **given)
        assert isinstance(pieces[-1], Answer)
        assert pieces[-1] == whole
        assert "".join(p for p in pieces if isinstance(p, str)) == whole.text


def test_sampling_depends_on_the_seed_alone(llm: MemoryModel) -> None:
    given = {"temperature": 1.0, "max_new_tokens": 8}
    alone = llm.ask("Where is it?", memory=False, seed=5, **given)
    batch = llm.ask(["Where is it?", "And a longer question about lamps?"], memory=False, seed=5, **given)
    assert alone.tokens == batch[0].tokens
    assert alone.tokens != llm.ask("Where is it?", memory=False, seed=6, **given).tokens


def test_stop_strings_and_limits(llm: MemoryModel) -> None:
    llm.learn(rows(3))
    got = llm.ask(rows()[0]["question"], stop="dollars")
    assert (got.text, got.finish) == (rows()[0]["answer"].split(" dollars")[0], "stop")
    assert llm.ask(rows()[0]["question"], max_new_tokens=2).finish == "length"


def test_explain_says_why(llm: MemoryModel) -> None:
    llm.learn(rows(3))
    found = llm.explain(rows()[1]["question"])
    assert found.to_json()["confirmed"] == ["fact-1"]
    assert any("confirmed" in line and "fact-1" in line for line in found.lines())
    assert "base model answers" in llm.explain("What is known of item 1077?").lines()[-1]
    assert "not to answer" in llm.explain(f"{rows()[1]['question']} Don't answer.").lines()[0]


# ---- wrong use ------------------------------------------------------------------------------------------------------


def test_another_backbone_is_refused_with_both_named(llm: MemoryModel, tmp_path: Path) -> None:
    llm.learn(rows(2))
    llm.close()
    other = MemoryModel(tiny.model(seed=1), tmp_path / "memory", tokenizer=tiny.tokenizer())
    with pytest.raises(BackboneMismatch, match=r"was made on '.*' \(\w{12}\), not on '.*' \(\w{12}\): weights differ"):
        other.ask("?")


def test_the_same_backbone_in_another_precision_is_the_same(llm: MemoryModel, tmp_path: Path) -> None:
    llm.learn(rows(5))
    llm.close()
    model = tiny.model().to(torch.bfloat16)
    assert recalled(MemoryModel(model, tmp_path / "memory", tokenizer=tiny.tokenizer()), rows(5)) == 5


def test_faults_are_named(llm: MemoryModel, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        llm.ask("?")
    with pytest.raises(UsageError, match="no memory was named"):
        MemoryModel(llm.backbone).learn(rows(1))
    with pytest.raises(UsageError, match="kind must be one of imprint, kv, "):
        MemoryModel(llm.backbone, tmp_path / "k", config=Config()).learn(rows(1), kind="imprnt")
    with pytest.raises(UnknownSetting, match="unknown setting 'temprature'"):
        llm.ask("?", memory=False, temprature=1)
    with pytest.raises(InputError, match="more than the model's context"):
        llm.ask("word " * 700, memory=False)
    with pytest.raises(UsageError, match="last message"):
        llm.ask([{"role": "assistant", "content": "x"}], memory=False)
    with pytest.raises(InputError, match="empty"):
        llm.ask("", memory=False, raw=True)


def test_two_writers_and_newer_formats(llm: MemoryModel, backbone: Backbone, tmp_path: Path) -> None:
    llm.learn(rows(2))
    other = MemoryModel(backbone, tmp_path / "memory")
    with MemoryFolder.open(tmp_path / "memory").writer(), pytest.raises(FolderLocked):
        other.learn(rows(4))
    llm.close()
    other.close()
    header = tmp_path / "memory" / "memory.json"
    header.write_text(header.read_text().replace('"format": 2', '"format": 99'))
    with pytest.raises((FolderTooNew,)):
        MemoryModel(backbone, tmp_path / "memory")


def test_reciting_survives_merging_tokenizers(tmp_path: Path) -> None:
    tokens = tiny.tokenizer(None)
    llm = MemoryModel(tiny.model(), tmp_path / "m", tokenizer=tokens)
    border = [
        {"question": "Ends in space or mark: ", "answer": "40 dollars"},
        {"question": "Path/", "answer": "//usr/lib"},
        {"question": 'Quote "', "answer": '"quoted" text'},
        {"question": "Numbers 12", "answer": "1234567"},
        {"question": "Unicode é", "answer": "naïve 東京 🙂"},
        {"question": "Special", "answer": "<|end|> as text"},
    ]
    assert llm.learn(border).failed == []
    for row in border:
        assert llm.ask(row["question"]).text == row["answer"]
        assert llm.ask(f"Question: {row['question']}\nAnswer:", raw=True).text == row["answer"]


def test_what_another_process_learned_meanwhile_is_a_conflict(
    llm: MemoryModel, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the first look at an input and the writer's lock lies the loading of a model."""
    assert llm._path is not None
    load, path = MemoryModel._seconds_to_load, llm._path

    def later(self: MemoryModel, kinds: str) -> float:
        monkeypatch.setattr(MemoryModel, "_seconds_to_load", load)
        with MemoryModel(backbone, path) as other:
            other.learn([{"id": "theirs", "question": "Who came first?", "answer": "they"}])
        return load(self, kinds)

    llm.learn([{"id": "old", "question": "What was there?", "answer": "this"}])
    monkeypatch.setattr(MemoryModel, "_seconds_to_load", later)
    with pytest.raises(ConflictError, match="Who came first"):
        llm.learn([{"id": "mine", "question": "Who came first?", "answer": "me"}])


def test_nobody_changes_a_fact_while_it_is_being_changed(
    llm: MemoryModel, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an update would take back what another process has made of the fact meanwhile."""
    assert llm._path is not None
    learn, path = Learner.learn, llm._path
    llm.learn([{"id": "one", "question": "What is one?", "answer": "1"}])

    def slowly(self: Learner, facts: list[Fact], **how: bool) -> Lot:
        with MemoryModel(backbone, path) as other, pytest.raises(FolderLocked):
            other.phrase("one", "What would one be?")
        return learn(self, facts, **how)

    monkeypatch.setattr(Learner, "learn", slowly)
    llm.update("one", answer="a single")
    assert llm.ask("What is one?").text == "a single"
