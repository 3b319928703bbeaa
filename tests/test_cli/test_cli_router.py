"""`memtune router`: how the threshold was set, as lines, as a curve, as JSON and as a picture."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
import tiny

from memtune.config import RouterConfig
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.errors import UsageError
from memtune.model import MemoryModel
from memtune.router.calibrate import GRID, Calibration
from memtune.router.entries import Entry, Wording, make_keys
from memtune.router.gate import Gate, everything_else
from memtune.router.report import RouterReport
from memtune.router.router import Router

FALLING = tuple(round(1 - step, 2) for step in GRID)
MEASURED = Calibration(0.71, 400, 500, 600, 0.005, FALLING, tuple(0.02 * x for x in FALLING), (0.0,) * len(GRID))
REPORT = RouterReport(
    encoder="lexical",
    index="exact",
    index_note="",
    keys={"given": 1200, "made": 3, "must_not": 1},
    threshold=0.71,
    bound="",
    calibration=MEASURED,
)
FEW = replace(REPORT, threshold=0.8, calibration=replace(MEASURED, threshold=0.8, near_misses=39))
NEW = replace(REPORT, threshold=0.8, calibration=None)


def test_the_threshold_and_how_it_was_set(memtune, library) -> None:
    library.routing = REPORT
    lines = memtune("router", "report").stdout.splitlines()
    assert lines[:3] == [
        "encoder    lexical",
        "index      exact",
        "keys       1,204: 1,200 given, 3 made, 1 must not",
    ]
    assert lines[3] == (
        "threshold  0.710, calibrated on 500 near misses and 600 wordings for 0.5 % of false firing at most"
    )
    [chosen] = [line.split() for line in lines if "← chosen" in line]
    assert chosen[:7] == ["0.710", "29.0", "%", "0.6", "%", "0.0", "%"]
    assert any("▲" in line for line in lines)


def test_a_bound_that_holds_the_threshold_is_named(memtune, library) -> None:
    library.routing = replace(REPORT, bound="router.highest_threshold")
    assert "at most; router.highest_threshold keeps it from going further\n" in memtune("router", "report").stdout


@pytest.mark.parametrize(
    ("report", "said", "hint"),
    [
        (NEW, "0.800, the default: not calibrated yet", "`memtune router calibrate` measures"),
        (FEW, "0.800, the default: 39 near misses and 600 wordings could be made", "learn more facts"),
        (replace(NEW, keys={"given": 0}), "not calibrated yet", "the memory is empty"),
    ],
)
def test_without_a_calibration_it_says_how_to_get_one(report, said: str, hint: str, memtune, library) -> None:
    library.routing = report
    result = memtune("router", "report")
    assert result.exit_code == 0
    assert said in result.stdout
    assert f"hint: {hint}" in result.stderr


def test_json(memtune, library) -> None:
    library.routing = REPORT
    found = json.loads(memtune("router", "report", "--json").stdout)
    assert (found["set_by"], found["threshold"], found["keys"]["must_not"]) == ("calibration", 0.71, 1)
    assert len(found["calibration"]["thresholds"]) == len(found["calibration"]["right"]) == len(GRID)
    for report, calibration in ((NEW, None), (FEW, 39)):
        library.routing = report
        found = json.loads(memtune("router", "report", "--json").stdout)
        assert found["set_by"] == "default"
        assert (found["calibration"] and found["calibration"]["near_misses"]) == calibration


def test_calibrate_measures_again_and_says_the_same(memtune, library) -> None:
    library.routing = REPORT
    assert memtune("router", "calibrate").stdout == memtune("router", "report").stdout
    assert library.last("calibration").options == {"again": True}
    refused = memtune("router", "calibrate", "--set", "router.calibrate=0")
    assert (refused.exit_code, refused.stderr.startswith("error: router.calibrate is 0")) == (2, True)


def test_the_picture(memtune, library, tmp_path: Path) -> None:
    library.routing = replace(REPORT, index_note="<&>")
    out = tmp_path / "curve.svg"
    assert memtune("router", "report", "--out", out).stderr == f"written to {out}\n"
    picture = ET.fromstring(out.read_text(encoding="utf-8"))
    assert len(picture.findall(".//{*}polyline")) == 3
    texts = ["".join(text.itertext()) for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"threshold", "threshold 0.710 (calibrated)", "right 29 %", "wrong 0.58 %", "near misses fired 0 %"} <= set(
        texts
    )


@pytest.mark.parametrize(
    ("out", "message"),
    [("curve.png", "the picture is an SVG"), ("no/such/curve.svg", "no such folder"), ("a.svg", "no curve to draw")],
)
def test_a_picture_that_cannot_be(out: str, message: str, memtune, library, tmp_path: Path) -> None:
    library.routing = NEW
    result = memtune("router", "report", "--out", tmp_path / out)
    assert (result.exit_code, message in result.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


# ---- in Python --------------------------------------------------------------------------------------------------


def test_keys_are_counted_by_where_they_come_from() -> None:
    router = Router(RouterConfig())
    fact = Fact("a", "What is a?", "one", phrasings=("Say a",), never=("What is b?",))
    router.add(1, make_keys([Entry.of(fact, made_each=1)], router.matcher.encoder, "int8"))
    router.add(2, make_keys([Entry([Wording("What is c?")], "two", "What is c?")], router.matcher.encoder, "int8"))
    assert RouterReport.of(router, None).keys == {"given": 3, "made": 1, "must_not": 1}
    router.remove([(2, 0)])
    report = RouterReport.of(router, None)
    assert (report.keys["given"], report.encoder, report.index) == (2, "lexical", "exact")


def test_a_memory_measures_and_reports(tmp_path: Path) -> None:
    tiny_backbone = Backbone(tiny.model("llama-tied"), tiny.tokenizer())
    words = "lamp table chair door river house engine bridge letter garden".split()
    rows = [
        {"id": f"{thing} {n}", "question": f"What is the {asked} of the {thing}?", "answer": f"answer {thing} {n}"}
        for thing in words
        for n, asked in enumerate(("price", "weight", "colour", "age", "owner"))
    ]
    with MemoryModel(tiny_backbone, tmp_path / "memory") as llm:
        llm.learn(rows)
        llm.calibration(again=True)
        report = llm.router_report()
        assert report.calibrated
        assert report.keys["given"] == len(rows)
        assert report.threshold == llm.memory.router.threshold
        gate = Gate.fit("sql", ["Show all rows of table " + w for w in words], everything_else(), _encoder(llm), 0.005)
        llm.memory.router.add_gate(gate)
        asked = "Show all rows of table window"
        assert [row["name"] for row in llm.explain(asked).to_json()["skills"]] == ["sql"]
        assert any(line.startswith("    skill  sql  ") for line in llm.explain(asked).lines())
        llm.learn([{"question": "What is new?", "answer": "This."}])
    with MemoryModel(tiny_backbone, f"{tmp_path / 'memory'}@v1") as old:
        with pytest.raises(UsageError, match="an old version is not calibrated"):
            old.calibration(again=True)
        assert old.calibration() == old.router_report().calibration


def _encoder(llm: MemoryModel):
    return llm.memory.router.matcher.encoder
