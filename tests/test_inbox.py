"""Questions that went unanswered: kept when asked for, redacted, counted, taught."""

from __future__ import annotations

import json
import multiprocessing
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny

from memtune import Config, MemoryModel
from memtune.config import InboxConfig
from memtune.core.backbone import Backbone
from memtune.errors import FolderError, NotFound, UsageError
from memtune.inbox import FILE, Inbox, redacted


def inbox(folder: Path, **settings: object) -> Inbox:
    return Inbox(folder, InboxConfig(keep=True, **settings))  # type: ignore[arg-type]


def test_nothing_is_written_unless_asked_for(tmp_path: Path) -> None:
    Inbox(tmp_path, InboxConfig()).keep("How deep is the sea?", "base")
    assert list(tmp_path.iterdir()) == []
    assert Inbox(tmp_path, InboxConfig()).list() == []


def test_what_is_asked_again_is_counted(tmp_path: Path) -> None:
    kept = inbox(tmp_path)
    for question in ("Why?", "How deep is the sea?", "how deep is  the SEA", " "):
        kept.keep(question, "base")
    first, second = kept.list()
    assert (first.count, first.why, second.question) == (2, "base", "Why?")
    assert first.first <= first.last
    assert kept.show(first.id) == first
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


def test_what_is_dropped_leaves_no_text(tmp_path: Path) -> None:
    kept = inbox(tmp_path)
    for question in ("One secret?", "Two?", "Three?"):
        kept.keep(question, "abstained")
    gone = next(q.id for q in kept.list() if "secret" in q.question)
    assert kept.drop(gone, gone) == (gone,)
    assert "secret" not in (tmp_path / FILE).read_text()
    assert len(kept.list()) == 2
    with pytest.raises(NotFound, match=gone):
        kept.drop(gone)
    assert kept.clear() == 2
    assert ((tmp_path / FILE).read_text(), kept.list(), kept.clear()) == ("", [], 0)
    assert [f.name for f in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Write to jo.kell+x@acme.co.uk now", "Write to [email] now"),
        ("Call +49 (0)30 1234-5678 please", "Call [number] please"),
        ("Call 030/12345678?", "Call [number]?"),
        ("My card is 4111 1111 1111 1111.", "My card is [number]."),
        ("Pay to DE89 3704 0044 0532 0130 00 today", "Pay to [account] today"),
        ("What does part AX-10482 cost?", "What does part AX-10482 cost?"),
        (
            "Who is the contact of customer 10482 since 2024-01-15?",
            "Who is the contact of customer 10482 since 2024-01-15?",
        ),
        ("Is 12.50 right?", "Is 12.50 right?"),
    ],
)
def test_private_numbers_and_addresses_are_masked(text: str, kept: str) -> None:
    assert redacted(text, InboxConfig()) == kept
    assert redacted(text, InboxConfig(redact="none")) == text
    assert not re.search(r"\d", redacted(text, InboxConfig(redact="digits")))


def test_more_may_be_masked_or_nothing_kept(tmp_path: Path) -> None:
    config = InboxConfig(mask=(r"\bAX-\d+", "Zorb\\w*"))
    assert redacted("Is AX-12 a Zorblat?", config) == "Is [masked] a [masked]?"
    kept = inbox(tmp_path, redact="hash")
    kept.keep("Is it AX-12?", "base")
    kept.keep("is it AX-12", "base")
    assert "AX" not in (tmp_path / FILE).read_text()
    assert [(q.question, q.count) for q in kept.list()] == [("", 2)]
    with pytest.raises(UsageError, match="not a regular expression"):
        InboxConfig(mask=("(",))


@pytest.mark.parametrize(
    "text", ["1 " * 50_000, "1" * 100_000, "a@" * 50_000, "a." * 50_000 + "@", "DE12 " * 20_000, "+(" * 50_000]
)
def test_masking_takes_no_longer_for_strange_text(text: str) -> None:
    redacted(text[:20_000], InboxConfig(redact="digits"))


def test_its_size_is_bounded_and_the_newest_stay(tmp_path: Path) -> None:
    kept = inbox(tmp_path, max_bytes=10_000, max_chars=100)
    for i in range(300):
        kept.keep(f"Question {i}? " + "x" * 500, "base")
    assert (tmp_path / FILE).stat().st_size <= 10_300
    assert "Question 299?" in kept.list()[-1].question
    assert all(len(q.question) <= 100 for q in kept.list())


def test_a_line_that_was_cut_short_is_passed_over(tmp_path: Path) -> None:
    kept = inbox(tmp_path)
    kept.keep("One?", "base")
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"id": "q1", "quest\n\xff\xfe\n[]\n{"id": 3}\n')
    kept.keep("Two?", "base")
    assert {q.question for q in kept.list()} == {"One?", "Two?"}


def _ask_much(folder: str, who: int) -> None:
    kept = inbox(Path(folder), max_bytes=1_000_000)
    for i in range(60):
        kept.keep(f"Question {who}-{i}?", "base")
        if i % 20 == 7:
            kept.drop(next(q.id for q in kept.list() if q.question.startswith(f"Question {who}-")))


def test_several_processes_keep_and_drop_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_ask_much, args=(str(tmp_path), who)) for who in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [w.exitcode for w in workers] == [0, 0, 0]
    left = inbox(tmp_path).list()
    assert len(left) == 3 * (60 - 3)
    assert all(q.count == 1 for q in left)


def test_where_it_cannot_be_written_there_is_one_warning(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    kept = inbox(tmp_path)
    with pytest.warns(UserWarning, match=r"the inbox .* cannot be written"):
        kept.keep("One?", "base")
    kept.keep("Two?", "base")  # a second warning would be an error
    with pytest.raises(FolderError):
        kept.list()


# ---- with a memory --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(tiny.model(), tiny.tokenizer())


@pytest.fixture
def llm(backbone: Backbone, tmp_path: Path) -> Iterator[MemoryModel]:
    with MemoryModel(backbone, tmp_path / "m", config=Config().with_settings(["inbox.keep=true"])) as made:
        made.learn(tiny.facts(4))
        yield made


def test_what_no_fact_answers_is_kept_and_taught(llm: MemoryModel, tmp_path: Path) -> None:
    assert not (tmp_path / "m" / FILE).exists()  # what learning asks as a proof is nobody's question
    llm.ask(tiny.facts(4)[1]["question"])
    llm.ask(["How deep is the sea?", "How deep is the sea?"], max_new_tokens=2)
    llm.ask("How high is the tower?", unknown="abstain")
    list(llm.stream("Who was it?", max_new_tokens=2))
    llm.ask("Not of the memory?", memory=False, max_new_tokens=2)
    llm.ask("?!", max_new_tokens=2)
    assert [(q.question, q.why, q.count) for q in llm.inbox.list()] == [
        ("How deep is the sea?", "base", 2),
        ("How high is the tower?", "abstained", 1),
        ("Who was it?", "base", 1),
    ]
    assert llm.inbox.teach(llm.inbox.list()[0].id, "11,034 metres").learned == 1
    assert llm.ask("How deep is the sea?").text == "11,034 metres"
    assert [q.question for q in llm.inbox.list()] == ["How high is the tower?", "Who was it?"]


def test_what_was_masked_is_taught_in_its_full_wording(llm: MemoryModel) -> None:
    llm.ask("Who has the number 030 12345678?", max_new_tokens=2)
    (kept,) = llm.inbox.list()
    with pytest.raises(UsageError, match="was masked"):
        llm.inbox.teach(kept.id, "Jo")
    llm.inbox.teach(kept.id, "Jo", question="Who has the number 030 12345678?")
    assert llm.ask("Who has the number 030 12345678?").text == "Jo"
    assert llm.inbox.list() == []


def test_a_follow_up_is_kept_as_it_was_understood(llm: MemoryModel) -> None:
    chat = ["Where is the Zorblat lamp?", "In the hall.", "And its weight?"]
    llm.ask([{"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(chat)], max_new_tokens=2)
    assert [q.question for q in llm.inbox.list()] == ["What is the weight of the Zorblat lamp?"]


def test_an_answer_does_not_fail_for_the_inbox(llm: MemoryModel, tmp_path: Path) -> None:
    (tmp_path / "m" / FILE).mkdir()
    with pytest.warns(UserWarning, match="cannot be written"):
        assert llm.ask("How deep is the sea?", unknown="abstain").abstained
    assert llm.ask("How deep is the sea?", unknown="abstain").abstained


def test_the_inbox_is_no_damage_to_the_memory(llm: MemoryModel) -> None:
    llm.ask("How deep is the sea?", max_new_tokens=2)
    assert llm.verify() == []


def test_the_command_line_says_the_same(llm: MemoryModel, tmp_path: Path) -> None:
    llm.ask("How deep is the sea?", max_new_tokens=2)
    said = subprocess.run(
        [sys.executable, "-m", "memtune.cli", "inbox", "list", "--json", "--memory", str(tmp_path / "m")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(said.stdout)["question"] == "How deep is the sea?"
