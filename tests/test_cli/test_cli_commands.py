"""What each command prints and exits with, over a library that only writes down what it is asked."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import pytest

from memtune.cli import doctor, progress
from memtune.core.facts import Fact
from memtune.core.reports import Answer, Failed, LearnReport


def step(done: int, total: int, seconds: float) -> SimpleNamespace:
    return SimpleNamespace(done=done, total=total, seconds=seconds)


def json_lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


# learn


def test_learn_says_what_it_learned(memtune, library) -> None:
    library.report = LearnReport(
        facts=1200,
        learned=1200,
        seconds=2.0,
        read_seconds=1.6,
        duplicates=1,
        bytes_per_fact=5120.4,
        version=1,
    )
    result = memtune("learn", "facts.jsonl")
    assert result.exit_code == 0
    assert result.stdout == (
        "learned 1,200 of 1,200 facts in 2.0 s, 600 facts/s; 1.25 times reading; "
        "5,120 bytes a fact; version 1; 1 duplicate\n"
    )
    assert library.last("learn").args == (Path("facts.jsonl"),)


def test_learn_names_what_it_could_not_learn_and_exits_with_1(memtune, library) -> None:
    library.report = LearnReport(facts=2, learned=1, failed=[Failed("f2", "no such token")], skipped=["line 3: empty"])
    result = memtune("learn", "facts.jsonl")
    assert result.exit_code == 1
    assert "skipped: line 3: empty" in result.stderr
    assert "not learned: f2: no such token" in result.stderr
    assert "learned 1 of 2 facts" in result.stdout


def test_learn_stopped_by_hand_says_what_is_kept(memtune, library) -> None:
    library.progress, library.fault = [step(512, 4000, 1.0)], KeyboardInterrupt()
    result = memtune("learn", "facts.jsonl", "--memory", "m")
    assert result.exit_code == 130
    assert "stopped: 512 of 4,000 facts went through; what was learned is kept in m, version 1" in result.stderr
    assert "--resume" in result.stderr
    assert result.stdout == ""


# ask, chat, explain


def test_ask_prints_the_answer_alone_and_remarks_the_facts(memtune, library) -> None:
    result = memtune("ask", "up?")
    assert result.stdout == "The sky.\n"
    assert result.stderr == "  fact f1 (0.99, book)\n"


@pytest.mark.parametrize(
    ("answer", "remark"),
    [
        (Answer("Blue."), "no fact used: the model's own words"),
        (Answer("?", abstained=True), "not in the memory"),
        (Answer("Which?", clarifies=("f1", "f2")), "fits alike: f1, f2"),
    ],
)
def test_ask_says_when_no_fact_was_used(memtune, library, answer: Answer, remark: str) -> None:
    library.answer = answer
    assert remark in memtune("ask", "up?").stderr


def test_ask_without_memory_opens_none(memtune, library) -> None:
    assert memtune("ask", "up?", "--no-memory").exit_code == 0
    assert library.last("load").options["memory"] is None


def test_ask_streams_the_pieces(memtune, library) -> None:
    result = memtune("ask", "up?", "--stream")
    assert result.stdout == "The sky.\n"
    assert "fact f1" in result.stderr


def test_questions_from_a_file(memtune, library, tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text('{"question": " one? "}\n\n  two?\n{"question": "three?", "id": 7}\n', encoding="utf-8")
    result = memtune("ask", "--file", file, "--json", "--set", "decode.batch_size=2")
    assert len(json_lines(result.stdout)) == 3
    assert [call.args[0] for call in library.calls if call.verb == "ask"] == [["one?", "two?"], ["three?"]]


def test_questions_from_standard_input(memtune, library) -> None:
    result = memtune("ask", "--file", "-", input="one?\ntwo?\n")
    assert result.stdout == "The sky.\nThe sky.\n"
    assert "> one?" in result.stderr
    assert library.last("ask").args == (["one?", "two?"],)


def test_every_question_gets_the_system_prompt(memtune, library) -> None:
    result = memtune("ask", "--file", "-", "--system", "Be brief.", input="one?\ntwo?\n")
    assert result.exit_code == 0
    prompts = [call.args[0] for call in library.calls if call.verb == "ask"]
    assert [prompt[0]["content"] for prompt in prompts] == ["Be brief.", "Be brief."]
    assert [prompt[1]["content"] for prompt in prompts] == ["one?", "two?"]


def test_chat_remembers_its_turns_and_leaves_on_exit(memtune, library) -> None:
    result = memtune("chat", input="up?\n\nand down?\n/exit\nnever asked\n")
    assert result.exit_code == 0
    turns = [call.args[0] for call in library.calls if call.verb == "stream"]
    assert [[message["content"] for message in turn] for turn in turns] == [
        ["up?"],
        ["up?", "The sky.", "and down?"],
    ]
    assert result.stderr.count("fact f1") == 2


def test_chat_ends_with_its_input(memtune, library) -> None:
    assert memtune("chat", input="up?").exit_code == 0


def test_explain_prints_its_lines(memtune, library) -> None:
    assert memtune("explain", "up?").stdout == "asked: up\nconfirmed: f1\n"


# facts


def test_facts_are_listed_and_shown(memtune, library) -> None:
    assert memtune("facts", "list").stdout == "f1  What is up?  The sky.\n"
    assert "question: What is up?\nanswer: The sky.\nsource: book\n" in memtune("facts", "show", "f1").stdout


def test_a_fact_that_cannot_be_added_exits_with_1(memtune, library) -> None:
    library.report = LearnReport(facts=1, failed=[Failed("f2", "too long")])
    result = memtune("facts", "add", "--question", "q", "--answer", "a")
    assert (result.exit_code, "not learned: f2: too long" in result.stderr) == (1, True)


def test_changes_name_the_facts_and_the_version(memtune, library) -> None:
    assert memtune("facts", "update", "f1", "--answer", "Blue.").stdout == "updated: f1; version 3\n"
    assert memtune("facts", "forget", "f1", "f2").stdout == "forgotten: f1, f2; version 3\n"
    assert memtune("facts", "phrase", "f1", "so?").stdout == "phrased: f1; version 3\n"


def test_export_is_the_inverse_of_import(memtune, library) -> None:
    [row] = json_lines(memtune("facts", "export").stdout)
    assert Fact.from_row(row) == library.fact("f1")


def test_export_to_a_file(memtune, library, tmp_path: Path) -> None:
    out = tmp_path / "facts.jsonl"
    result = memtune("facts", "export", "--out", out)
    assert result.stdout == ""
    assert "1 fact written" in result.stderr
    assert out.read_text(encoding="utf-8") == memtune("facts", "export").stdout


def test_the_model_that_an_adapter_is_for(memtune, library) -> None:
    assert memtune("export", "f1", "--peft", "there", "--model", "other", "--at", "v2").exit_code == 0
    assert library.last("load").options["model"] == "other"
    assert library.last("load").options["memory"] == Path("memory@v2")


def test_an_export_that_fails_leaves_the_file_as_it_was(memtune, library, tmp_path: Path, monkeypatch) -> None:
    def one_then_none(**_):
        yield library.fact("f1")
        raise OSError("the disk is gone")

    monkeypatch.setattr(library, "exported", lambda *_: one_then_none())
    out = tmp_path / "facts.jsonl"
    out.write_text("precious")
    assert memtune("facts", "export", "--out", out).exit_code == 1
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


# verify, doctor, demo, version


def test_verify_exits_with_1_and_names_what_does_not_hold(memtune, library) -> None:
    assert memtune("verify").stdout == "memory is in order\n"
    library.problems = ["shard 3 is damaged"]
    result = memtune("verify")
    assert (result.exit_code, result.stdout) == (1, "shard 3 is damaged\n")


def test_doctor_says_one_line_each(memtune, library) -> None:
    result = memtune("doctor", "--memory", "m")
    assert result.exit_code == 0, result.output
    subjects = re.findall(r"^(?:ok|warn) +([\w ]+):", result.stdout, flags=re.MULTILINE)
    expected = ["python", "torch", "transformers", "faiss", "threads", "devices", "bundled model", "memory"]
    assert [subject for subject in subjects if not subject.startswith("extra")] == expected


def test_doctor_exits_with_1_when_something_is_broken(memtune, library, monkeypatch) -> None:
    library.problems = ["shard 3 is damaged"]
    monkeypatch.setattr(doctor, "_package", lambda name: doctor.Finding("fail", name, "cannot be imported"))
    result = memtune("doctor", "--memory", "m")
    assert result.exit_code == 1
    assert "fail  torch: cannot be imported" in result.stdout
    assert "fail  memory: shard 3 is damaged" in result.stdout


def test_a_package_that_cannot_be_imported_fails() -> None:
    assert doctor._package("no_such_package").status == "fail"


def test_demo_learns_asks_and_forgets(memtune, library) -> None:
    result = memtune("demo")
    assert result.exit_code == 0, result.output
    assert [call.verb for call in library.calls][:3] == ["load", "ask", "learn"]
    assert library.last("forget").args == ("price-halberd-40",)
    assert "exactly what the plain model says" in result.stdout


def test_demo_overwrites_nothing(memtune, library, tmp_path: Path) -> None:
    assert memtune("demo", "--memory", tmp_path).exit_code == 2
    assert library.calls == []


def test_the_demo_facts_are_forty_facts_with_ids_groups_and_sources() -> None:
    text = (files("memtune.cli") / "demo_facts.jsonl").read_text(encoding="utf-8")
    facts = [Fact.from_row(json.loads(line)) for line in text.splitlines()]
    wordings = [wording for fact in facts for wording in fact.wordings]
    assert len({fact.id for fact in facts}) == 40
    assert len(set(wordings)) == len(wordings)
    assert all(fact.group and fact.source for fact in facts)


@pytest.mark.parametrize("args", ["version", "--version"])
def test_version(memtune, args: str) -> None:
    assert re.fullmatch(r"memtune \d+\.\d+.*\n", memtune(args).stdout)


def test_bench_hands_everything_on(memtune) -> None:
    assert "Usage: memtune bench learn" in memtune("bench", "learn", "--help").stdout
    assert memtune("bench", "no-such-benchmark").exit_code == 2


# what they have in common


@pytest.mark.parametrize(
    "args",
    [
        "learn facts.jsonl",
        "ask up?",
        "explain up?",
        "facts list",
        "facts show f1",
        "facts add --question q --answer a",
        "facts update f1 --answer a",
        "facts forget f1",
        "facts phrase f1 so?",
        "facts archive f1",
        "facts restore f1",
        "certify f1",
        "purge f1",
        "export a.memory",
        "export f1 --peft there",
        "import a.memory",
        "push there",
        "pull there",
        "rebase --model other --out new",
        "regroup",
        "migrate",
        "verify",
        "doctor",
    ],
)
def test_json_is_all_that_standard_output_holds(memtune, library, args: str) -> None:
    library.progress = [step(1, 1, 0.1)]
    result = memtune(*args.split(), "--json")
    assert result.exit_code == 0
    assert json_lines(result.stdout)
    assert result.stderr == ""


def test_the_json_of_learn_and_ask_holds_what_is_promised(memtune, library) -> None:
    [learned] = json_lines(memtune("learn", "facts.jsonl", "--json").stdout)
    assert learned.keys() >= {
        "facts",
        "learned",
        "failed",
        "duplicates",
        "conflicts",
        "seconds",
        "read_seconds",
    }
    assert learned.keys() >= {"bytes_per_fact", "version"}
    [answer] = json_lines(memtune("ask", "up?", "--json").stdout)
    assert answer == {
        "answer": "The sky.",
        "facts": [{"id": "f1", "score": 0.9877, "source": "book"}],
        "skills": [],
        "fired": True,
        "abstained": False,
        "clarifies": [],
        "version": 3,
    }


# progress


def test_progress_tells_facts_a_second_and_the_time_left() -> None:
    assert progress.told(step(500, 4000, 0.5)) == "500 of 4,000 facts, 1,000 facts/s, 0:04 left"
    assert progress.told(step(1, 10_001, 1.0)) == "1 of 10,001 facts, 1 facts/s, 2:46:40 left"
    assert progress.told(step(0, 10, 0.0)) == "0 of 10 facts"


def test_a_log_gets_a_line_now_and_then(capsys, monkeypatch) -> None:
    clock = iter([0.0, 1.0, 6.0, 6.0, 7.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.watching(silent=False) as watch:
        for done in (1, 2, 3):
            watch(step(done, 4, 1.0))
    assert capsys.readouterr().err == "went through 2 of 4 facts, 2 facts/s, 0:01 left\n"


def test_a_terminal_gets_a_bar(capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress.watching(silent=False) as watch:
        watch(step(2, 4, 1.0))
    assert "2 of 4 facts, 2 facts/s" in capsys.readouterr().err


def test_beside_json_there_is_no_progress(capsys) -> None:
    with progress.watching(silent=True) as watch:
        watch(step(2, 4, 1.0))
    assert capsys.readouterr().err == ""
    assert watch.last is not None


# inbox


def test_the_inbox_speaks(memtune, library) -> None:
    assert memtune("inbox", "list", "--limit", "5").stdout == "q1  3×  base  How deep is the sea?\n"
    assert json_lines(memtune("inbox", "list", "--json").stdout)[0]["count"] == 3
    assert "why: base" in memtune("inbox", "show", "q1").stdout
    assert memtune("inbox", "drop", "q1", "q2").stdout == "dropped: q1, q2\n"
    assert memtune("inbox", "clear").stdout == "dropped: 3 questions\n"
    assert "learned 1 of 1 fact" in memtune("inbox", "teach", "q1", "--answer", "Deep.").stdout
    assert library.last("teach").options == {"answer": "Deep.", "question": None}
