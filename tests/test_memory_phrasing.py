"""Wordings that are added to a fact or barred from it, and what a memory measures of its own router."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
from typer.testing import CliRunner

from memtune import Config, MemoryModel
from memtune.cli import app
from memtune.core.backbone import Backbone
from memtune.errors import FolderDamaged, UnknownFact, UsageError
from memtune.router.calibrate import Calibration
from memtune.store import MemoryFolder, sidecar

FACTS = [
    {"id": "lamp", "question": "What does the Zorblat lamp cost?", "answer": "40 dollars"},
    {"id": "city", "question": "Who founded Mirana?", "answer": "Ada Lin"},
    {"id": "end", "question": "When does the warranty end?", "answer": "In November."},
]
OTHER = "Tell me what the Zorblat lamp costs."
NEAR = "What does that Zorblat lamp cost?"
CALIBRATION = "calibration.json"

Opened = Callable[..., MemoryModel]


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(tiny.model(), tiny.tokenizer())


@pytest.fixture
def opened(backbone: Backbone, tmp_path: Path) -> Opened:
    return lambda *given: MemoryModel(backbone, tmp_path / "memory", config=Config().with_settings([*given]))


@pytest.fixture
def llm(opened: Opened) -> MemoryModel:
    made = opened()
    made.learn(FACTS)
    return made


def fires(llm: MemoryModel, text: str) -> list[str]:
    return [used.id for used in llm.ask(text, max_new_tokens=4).facts]


# ---- wordings -------------------------------------------------------------------------------------------------------


def test_a_phrasing_is_found_by_its_hash_and_those_near_it_too(llm: MemoryModel, opened: Opened) -> None:
    assert not fires(llm, "zz lampprice, say?")
    before = llm.memory.version
    assert llm.phrase("lamp", "ZZ lampprice, say!") == before + 1
    assert fires(llm, "zz lampprice, say?") == ["lamp"]
    assert llm.ask("zz lampprice, say").text == "40 dollars"
    llm.close()
    assert fires(opened(), "zz lampprice, say?") == ["lamp"]
    assert next(opened().facts(where={"id": "lamp"})).phrasings == ("ZZ lampprice, say!",)


def test_a_barred_text_fires_no_more_and_all_else_does(llm: MemoryModel, opened: Opened) -> None:
    assert fires(llm, OTHER) == fires(llm, NEAR) == ["lamp"]
    before = llm.memory.version
    assert llm.phrase("lamp", OTHER, never=True) == before + 1
    assert llm.phrase("lamp", OTHER.upper(), never=True) == before + 1  # it is barred already
    for again in (llm, opened()):
        assert fires(again, OTHER) == []
        assert fires(again, OTHER.lower().rstrip(".")) == []
        assert fires(again, FACTS[0]["question"]) == ["lamp"]
        assert fires(again, FACTS[1]["question"]) == ["city"]
        assert again.ask(FACTS[0]["question"]).text == "40 dollars"
        fires(again, NEAR)  # which of the two it is nearer to, is for the network to say
        again.close()


def test_a_learned_wording_cannot_be_barred(llm: MemoryModel) -> None:
    with pytest.raises(UsageError, match="is the learned wording of 'lamp'") as caught:
        llm.phrase("lamp", "what does the zorblat LAMP cost", never=True)
    assert caught.value.hint
    assert fires(llm, FACTS[0]["question"]) == ["lamp"]


@pytest.mark.parametrize("text", ["", "  ", "?", " . "])
@pytest.mark.parametrize("never", [True, False])
def test_a_text_that_says_nothing_is_refused(llm: MemoryModel, text: str, never: bool) -> None:
    before = llm.memory.version
    with pytest.raises(UsageError, match="must not be empty"):
        llm.phrase("lamp", text, never=never)
    with pytest.raises(UnknownFact):
        llm.phrase("none", "anything", never=never)
    assert llm.memory.version == before


def test_a_barred_text_can_be_phrased_again_and_a_phrasing_barred(llm: MemoryModel) -> None:
    llm.phrase("lamp", OTHER, never=True)
    llm.phrase("lamp", OTHER)
    [fact] = llm.facts(where={"id": "lamp"})
    assert (fact.phrasings, fact.never) == ((OTHER,), ())
    assert fires(llm, OTHER) == ["lamp"]
    llm.phrase("lamp", OTHER.lower(), never=True)
    [fact] = llm.facts(where={"id": "lamp"})
    assert (fact.phrasings, fact.never) == ((), (OTHER.lower(),))
    assert fires(llm, OTHER) == []


def test_what_is_barred_from_one_fact_may_be_a_wording_of_another(llm: MemoryModel) -> None:
    llm.phrase("lamp", "Which one is it?", never=True)
    llm.phrase("city", "Which one is it?")
    assert fires(llm, "Which one is it?") == ["city"]


def test_an_update_keeps_what_is_barred(llm: MemoryModel) -> None:
    llm.phrase("lamp", OTHER, never=True)
    llm.update("lamp", answer="50 dollars")
    assert fires(llm, OTHER) == []
    assert llm.ask(FACTS[0]["question"]).text == "50 dollars"


def test_what_is_barred_survives_export_and_learning_anew(llm: MemoryModel, backbone: Backbone, tmp_path: Path) -> None:
    llm.phrase("lamp", OTHER, never=True)
    rows = [json.loads(json.dumps(fact.to_row())) for fact in llm.facts()]
    assert [row.get("never") for row in rows if row["id"] == "lamp"] == [[OTHER]]
    again = MemoryModel(backbone, tmp_path / "again")
    again.learn(rows)
    assert fires(again, OTHER) == []
    assert sorted(f.id for f in again.facts()) == ["city", "end", "lamp"]
    assert [f.never for f in again.facts(where={"id": "lamp"})] == [(OTHER,)]


def test_the_command(tmp_path: Path) -> None:
    model, memory = tmp_path / "model", tmp_path / "memory"
    tiny.model().save_pretrained(model)
    tiny.tokenizer().save_pretrained(model)
    (tmp_path / "facts.jsonl").write_text("".join(json.dumps(fact) + "\n" for fact in FACTS))
    place = ["--memory", str(memory), "--model", str(model)]

    def run(*args: str) -> str:
        done = CliRunner().invoke(app, [*args, *place])
        assert done.exit_code == 0, done.output
        return done.stdout

    run("learn", str(tmp_path / "facts.jsonl"))
    assert json.loads(run("ask", OTHER, "--json", "--max-new-tokens", "4"))["fired"]
    assert run("facts", "phrase", "lamp", OTHER, "--not") == "phrased: lamp; version 2\n"
    assert not json.loads(run("ask", OTHER, "--json", "--max-new-tokens", "4"))["fired"]
    refused = CliRunner().invoke(app, ["facts", "phrase", "lamp", FACTS[0]["question"], "--not", *place])
    assert refused.exit_code == 2
    assert "learned wording" in refused.output
    out = tmp_path / "out.jsonl"
    done = CliRunner().invoke(app, ["facts", "export", "--memory", str(memory), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert OTHER in [text for line in out.read_text().splitlines() for text in json.loads(line).get("never", ())]


# ---- what is measured -----------------------------------------------------------------------------------------------


@pytest.fixture
def measured(opened: Opened) -> MemoryModel:
    made = opened()
    made.learn(tiny.facts(60))
    return made


def calibration(llm: MemoryModel) -> Calibration:
    found = llm.memory.tuning.calibration
    assert found is not None
    assert llm.memory.router.threshold == found.threshold
    return found


def test_learning_measures_and_small_changes_do_not(measured: MemoryModel, opened: Opened, tmp_path: Path) -> None:
    file = tmp_path / "memory" / CALIBRATION
    first, bytes_then = calibration(measured), file.read_bytes()
    assert first.facts == 60
    assert first.near_misses >= 40
    measured.update("fact-3", answer="Something else")
    measured.forget("fact-4", "fact-5")
    measured.phrase("fact-6", "Speak of six!")
    measured.learn(tiny.facts(64)[60:])
    assert calibration(measured) == first
    measured.close()
    again = opened()
    assert calibration(again) == first
    assert file.read_bytes() == bytes_then
    again.learn(tiny.facts(90)[64:])
    assert calibration(again).facts == 88
    assert calibration(opened()) == calibration(again)


def test_the_threshold_is_the_memory_s_whatever_the_default(measured: MemoryModel, opened: Opened) -> None:
    found = calibration(measured)
    measured.close()
    assert opened("router.threshold=0.33").memory.router.threshold == found.threshold
    (opened().memory.folder.path / CALIBRATION).unlink()
    assert opened("router.threshold=0.33").memory.router.threshold == 0.33


def test_another_object_on_the_memory_takes_it_over(opened: Opened) -> None:
    writer, reader = opened(), opened()
    writer.learn(tiny.facts(4))
    early = calibration(reader)
    writer.learn(tiny.facts(60))
    reader.memory.refresh()
    assert calibration(reader) == calibration(writer) != early


def test_nothing_is_measured_where_that_is_not_wanted(opened: Opened, tmp_path: Path) -> None:
    llm = opened("router.calibrate=0")
    llm.learn(tiny.facts(60))
    assert llm.memory.tuning.calibration is None
    assert not (tmp_path / "memory" / CALIBRATION).exists()
    assert llm.memory.router.threshold == Config().router.threshold


def test_archived_facts_are_not_measured_on(measured: MemoryModel) -> None:
    gone = {f"fact-{n}" for n in range(30)}
    measured.memory.archive(*gone)
    drawn = {known.question for known in measured.memory.tuning._drawn()}
    assert drawn == {row["question"] for row in tiny.facts(60) if row["id"] not in gone}


@pytest.mark.parametrize("harm", [b"{", b"", b"[]", b"flip"])
def test_a_damaged_calibration_is_named(measured: MemoryModel, opened: Opened, tmp_path: Path, harm: bytes) -> None:
    measured.close()
    file = tmp_path / "memory" / CALIBRATION
    file.write_bytes(file.read_bytes().replace(b"60", b"61", 1) if harm == b"flip" else harm)
    with pytest.raises(FolderDamaged, match=rf"{CALIBRATION} is damaged") as caught:
        _ = opened().memory
    assert "\n" not in caught.value.message


def test_a_calibration_of_other_fields_is_named(measured: MemoryModel, opened: Opened) -> None:
    measured.close()
    sidecar.write(opened().memory.folder.path, CALIBRATION, {"threshold": 0.5, "of_another_time": 1})
    with pytest.raises(FolderDamaged, match=rf"{CALIBRATION} is damaged") as caught:
        _ = opened().memory
    assert "delete it" in (caught.value.hint or "")


# ---- encoders -------------------------------------------------------------------------------------------------------


def test_a_memory_keeps_its_encoder_whatever_the_settings_say(opened: Opened) -> None:
    llm = opened("router.encoder=backbone")
    llm.learn(FACTS)
    assert fires(llm, FACTS[0]["question"]) == ["lamp"]
    llm.close()
    for settings in ([], ["router.encoder=lexical"], ["router.encoder=no/such"]):
        again = opened(*settings)
        assert again.memory.router.matcher.encoder.name == again.memory.config.router.encoder == "backbone"
        again.phrase("city", f"Mirana, {settings}?")
        assert fires(again, FACTS[1]["question"]) == ["city"]
        assert llm.memory.router.matcher.encoder.width == 64
        again.close()


@pytest.mark.filterwarnings("ignore")
def test_an_unknown_encoder_is_one_clear_line_and_leaves_no_memory(opened: Opened, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    with pytest.raises(UsageError, match="'no/such' is no encoder") as caught:
        opened("router.encoder=no/such").learn(FACTS)
    assert "\n" not in caught.value.message
    assert not (tmp_path / "memory").exists() or not MemoryFolder.exists(tmp_path / "memory")
    llm = opened()
    assert llm.learn(FACTS).learned == 3
    assert llm.memory.router.matcher.encoder.name == "lexical"


@pytest.mark.filterwarnings("ignore")
def test_a_memory_whose_encoder_is_not_here_says_so(backbone: Backbone, opened: Opened, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    settings = {"chat_template": backbone.template.chat_template, "encoder": "no/such"}
    MemoryFolder.create(tmp_path / "memory", backbone=backbone.identity.to_json(), settings=settings).close()
    with pytest.raises(UsageError, match="'no/such' is no encoder"):
        _ = opened().memory
