"""The rungs of the ladder on a tiny random model: what each is made of, and what it may and may not see."""

from __future__ import annotations

import builtins
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny

from memtune import Config, MemoryModel
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.errors import ExtraMissing, UsageError
from memtune.evaluate import rungs
from memtune.evaluate.cases import UNKNOWN, Case, Said
from memtune.evaluate.gather import recall_cases
from memtune.evaluate.retrieval import Passages, hits, queries
from memtune.evaluate.rungs import prompt, rag
from memtune.evaluate.rungs.oracle import as_system
from memtune.evaluate.rungs.random import shaped_like
from memtune.evaluate.rungs.tuning import Reached, best
from memtune.evaluate.scores import score
from memtune.evaluate.timing import time_to_first_token
from memtune.evaluate.workbench import Workbench
from memtune.router.encoders import LexicalEncoder

FACTS = [Fact.from_row(row) for row in tiny.facts(12)]
TOLD = [FACTS[i] for i in (2, 5, 9, 11)]
ASKED, TUNING = recall_cases([f for f in FACTS if f not in TOLD]), recall_cases(TOLD)
NOBODY = Case("nobody", "Why do cats purr at night?", (), UNKNOWN, "held-out")
CHAT = Case(
    "chat",
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello there."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": FACTS[4].question},
    ],
    (FACTS[4].answer,),
    facts=(FACTS[4].id,),
)
RAW = Case("raw", FACTS[6].question, (FACTS[6].answer,), facts=(FACTS[6].id,), raw=True)


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryModel]:
    backbone = Backbone(tiny.model(max_position_embeddings=1024), tiny.tokenizer(), name="tiny")
    with MemoryModel(backbone, tmp_path_factory.mktemp("rungs") / "memory") as made:
        assert made.learn(FACTS).learned == len(FACTS)
        yield made


@pytest.fixture
def bench(llm: MemoryModel) -> Workbench:
    return Workbench(llm, FACTS, TUNING, seed=3, longest_reply=24)


class Echo(Workbench):
    """A bench on which the model can read: it says the answers that its prompt holds, else that it does not know."""

    def ask(self, cases: Any, put: Any, *, memory: bool, **decode: Any) -> list[Said]:
        assert not memory
        self.seen: list[tuple[Case, Any]] = [*getattr(self, "seen", []), *((case, put(case)) for case in cases)]
        return [self._said(case, put(case)) for case in cases]

    def _said(self, case: Case, question: Any) -> Said:
        text = question if isinstance(question, str) else "\n".join(m["content"] for m in question)
        known = [self.by_id[fact].answer for fact in case.facts]
        found = [answer for answer in known if answer in text]
        return Said(found[0] if found else "Something else" if "I don't know" not in text else "I don't know.")


@pytest.fixture
def reader(llm: MemoryModel) -> Echo:
    return Echo(llm, FACTS, TUNING, seed=3)


def test_the_ladder_has_its_order_and_refuses_what_it_does_not_have() -> None:
    assert list(rungs.RUNGS) == ["base", "prompt", "rag", "memory", "memory+rag", "lookup", "oracle", "random"]
    with pytest.raises(UsageError, match="no rung 'magic'"):
        rungs.named(["memory", "magic"])


@pytest.mark.parametrize("name", list(rungs.RUNGS))
def test_every_rung_answers_everything_that_can_be_asked(name: str, bench: Workbench) -> None:
    rung = rungs.make(name, bench)
    cases = [*ASKED[:2], CHAT, RAW, NOBODY]
    said = rung.answer(cases)
    assert len(said) == len(cases)
    assert rung.describe()
    if name in ("memory", "memory+rag", "lookup", "random"):
        assert [score(c, s).exact for c, s in zip(cases, said, strict=True)][:4] == [True] * 4
        assert [s.fired for s in said[:4]] == [True] * 4
        assert said[0].facts == ASKED[0].facts
    if name in ("base", "prompt", "rag", "oracle"):
        assert {s.fired for s in said} == {None}  # nothing routes there
    else:
        assert said[4].fired is False
    if name in ("memory", "lookup", "random"):
        assert said[4].abstained
        assert not said[4].fired
    if name != "lookup":
        assert all(s.prompt_tokens for s in said)
    assert all(s.seconds > 0 for s in said)
    assert rung.answer([]) == []


def test_a_rung_says_in_which_setting_it_answers(bench: Workbench) -> None:
    settings = {"base": "parameters only", "rag": "offline retrieval", "memory": "online retrieval"}
    assert all(setting in rungs.make(name, bench).describe() for name, setting in settings.items())


# ---- prompts --------------------------------------------------------------------------------------------------------


def test_the_asked_fact_is_never_among_the_examples(bench: Workbench) -> None:
    examples = prompt.Examples(bench)
    assert len(examples) == len(TUNING)
    for nearest in (False, True):
        for case in TUNING:
            shown = examples.pick(case, 4, nearest=nearest)
            assert len(shown) == 3
            assert case.facts[0] not in {fact.id for fact in shown}
        same_words = Case("same words", f"  {TOLD[0].question.upper()}", ("-",))
        assert TOLD[0].id not in {fact.id for fact in examples.pick(same_words, 4, nearest=nearest)}
    near = Case("near", "What is known of item 1002, please?", ("-",))
    assert examples.pick(near, 1, nearest=True) == [TOLD[0]]


def test_examples_stand_as_turns_behind_the_system_text_or_as_one_text() -> None:
    turns = prompt.Template("Be exact.", "as chat turns")
    chat = turns.put(CHAT, FACTS[:2])
    assert [m["role"] for m in chat] == ["system", *["user", "assistant"] * 2, "user", "assistant", "user"]  # type: ignore[index]
    assert chat[0]["content"] == "Be exact.\n\nBe brief."  # type: ignore[index]
    assert chat[-1] == CHAT.question[-1]
    text = prompt.Template("Be exact.", "as one text").put(ASKED[0], FACTS[:1])
    assert text == f"Be exact.\n\n{FACTS[0].question}\n{FACTS[0].answer}\n\n{ASKED[0].question}"
    assert turns.put(RAW, FACTS[:1]) == f"Be exact.\n\n{FACTS[0].question}\n{FACTS[0].answer}\n\n{RAW.question}"
    assert prompt.Template().put(CHAT, ()) == CHAT.question


def test_the_prompt_is_tuned_on_the_split_alone(reader: Echo) -> None:
    found = rungs.make("prompt", reader)
    assert {case.id for case, _ in reader.seen} == {case.id for case in TUNING}
    assert f"of {len(TUNING)} right" in found.describe()


def test_more_right_answers_win_then_more_right_words_then_the_first() -> None:
    tried = {"a": Reached(1, 0.9, 4), "b": Reached(2, 0.1, 4), "c": Reached(2, 0.3, 4), "d": Reached(2, 0.3, 4)}
    assert best(tried)[0] == "c"


def test_without_a_tuning_split_a_prompt_is_untuned_and_has_no_examples(llm: MemoryModel) -> None:
    found = rungs.make("prompt", Echo(llm, FACTS, ()))
    assert "untuned" in found.describe()
    assert "examples" not in found.describe()


def test_a_prompt_that_is_too_long_loses_its_last_parts(bench: Workbench) -> None:
    def put(parts: Any) -> str:
        return " ".join([*parts, ASKED[0].text])

    long = ["word " * 40] * 50
    question, kept = bench.fitted(ASKED[0], put, long, 24)
    assert 0 < len(kept) < 50
    room = bench.backbone.context - 24
    assert bench.tokens(question, False) <= room < bench.tokens(put(long[: len(kept) + 1]), False)
    assert bench.fitted(ASKED[0], put, ["word " * 3000], 24)[1] == []


@pytest.mark.parametrize("name", ["prompt", "rag"])
def test_room_is_left_for_the_longest_reply_of_all_that_are_decoded_together(
    name: str, llm: MemoryModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Workbench(llm, FACTS, TUNING, seed=3)
    rung = rungs.make(name, bench)
    long = dataclasses.replace(ASKED[1], answers=("Item-1 (blue) " * 20,))
    reserved, real = set(), Workbench.fitted

    def fitted(self: Workbench, case: Any, put: Any, parts: Any, reply: int) -> Any:
        reserved.add(reply)
        return real(self, case, put, parts, reply)

    monkeypatch.setattr(Workbench, "fitted", fitted)
    rung.answer([ASKED[0], long])
    assert reserved == {bench.decoding([long]).max_new_tokens}
    assert bench.longest([ASKED[0]]) < bench.longest([ASKED[0], long])


# ---- retrieval ------------------------------------------------------------------------------------------------------


def test_passages_are_found_by_words_and_by_meaning() -> None:
    facts = [
        Fact("a", "What does the Zorblat lamp cost?", "40 dollars"),
        Fact("b", "Who founded Mirana?", "Ada Quell", phrasings=("Mirana's founder?",)),
        Fact("c", "Where is the museum?", "In Norvik"),
    ]
    passages = Passages(facts, LexicalEncoder())
    assert [f.id for f in passages.search(["Zorblat"], 1)] == ["a"]
    assert passages.search(["Who is the founder of Mirana?"], 2)[0].id == "b"
    assert [f.id for f in passages.search(["Zorblat"], 1, without={"a"})] != ["a"]
    assert passages.search(["?"], 3) == []
    assert Passages([], LexicalEncoder()).search(["Zorblat"], 2) == []
    assert hits([(Case("1", "?", facts=("a", "b")), [facts[0]])]) == 0.5


def test_what_words_and_meaning_weigh_is_tuned() -> None:
    passages = Passages(FACTS, LexicalEncoder())

    def found() -> int:
        return sum(passages.search([c.text], 1)[0].id in c.facts for c in ASKED)

    before = found()
    passages.tune(TUNING)
    assert before < found() == len(ASKED)
    passages.tune([])
    assert passages.mix == "words and meaning alike"


def test_a_conversation_is_searched_by_its_end_and_as_a_whole() -> None:
    assert queries(CHAT) == [FACTS[4].question, f"Hello there.\n{FACTS[4].question}"]
    assert queries(RAW) == [RAW.question]


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *given: Any, **named: Any) -> Any:
        if name == "bm25s":
            raise ImportError(name)
        return real(name, *given, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ExtraMissing, match="bm25s") as caught:
        Passages(FACTS, LexicalEncoder())
    assert caught.value.hint == "pip install 'memtune[eval]'"


def test_rag_reads_the_right_passage_and_is_tuned_on_the_split_with_facts_withheld(reader: Echo) -> None:
    found = rag.Rag(reader)
    assert {case.id for case, _ in reader.seen} == {case.id for case in TUNING}
    assert found.way.instruction == rag.INSTRUCTIONS[2]  # the only one that lets this reader say that it does not know
    said = found.answer(ASKED)
    assert all(score(c, s).exact for c, s in zip(ASKED, said, strict=True))
    assert all(c.facts[0] in s.facts and len(s.facts) <= found.way.k for c, s in zip(ASKED, said, strict=True))
    assert "the right fact among them in 100.0 %" in found.describe()
    withheld = [put for case, put in reader.seen if not case.answers]
    assert withheld
    assert not any(TOLD[0].answer in str(put) for put in withheld)


def test_a_near_miss_that_names_its_neighbour_is_not_spared_the_neighbour(reader: Echo) -> None:
    near = dataclasses.replace(ASKED[0], answers=())
    (said,) = rag.Rag(reader).answer([near])
    assert near.facts[0] in said.facts


@pytest.mark.parametrize("name", ["oracle", "rag"])
def test_a_fact_is_told_in_the_wording_that_helps_on_the_split(llm: MemoryModel, name: str) -> None:
    """A reader that only understands facts with their labels."""

    class Labelled(Echo):
        def _said(self, case: Case, question: Any) -> Said:
            text = question if isinstance(question, str) else "\n".join(m["content"] for m in question)
            own = [fact for fact in map(self.by_id.get, case.facts) if fact]
            told = [fact.answer for fact in own if f"Question: {fact.question}\nAnswer: {fact.answer}" in text]
            return Said(told[0] if told else "I don't know.")

    rung = rungs.make(name, Labelled(llm, FACTS, TUNING, seed=3))
    assert "with the words Question and Answer" in rung.describe()
    assert all(score(c, s).exact for c, s in zip(ASKED, rung.answer(ASKED), strict=True))


def test_worked_examples_of_rag_have_passages_of_their_own() -> None:
    way = rag.Way(k=1, shots=1)
    chat = way.put(way.chat(ASKED[0]), [FACTS[4]], [(FACTS[0], [FACTS[0], FACTS[1]])])
    assert [m["role"] for m in chat] == ["user", "assistant", "user"]  # type: ignore[index]
    assert chat[0]["content"].count(FACTS[0].question) == 2  # type: ignore[index]
    assert chat[1]["content"] == FACTS[0].answer  # type: ignore[index]
    assert as_system("", CHAT) == CHAT.question


def test_retrieval_answers_only_where_the_memory_is_silent(bench: Workbench) -> None:
    rung = rungs.make("memory+rag", bench)
    by_memory, by_rag = rung.answer([ASKED[0], NOBODY])
    assert (by_memory.text, by_memory.facts) == (FACTS[0].answer, ASKED[0].facts)
    assert not by_rag.abstained
    assert by_rag.prompt_tokens > bench.tokens(NOBODY.question, False)


def test_more_passages_are_taken_where_other_words_need_them(llm: MemoryModel) -> None:
    """In learned words the first passage is always the right one; in the others it is the third."""

    class Third(rag.Rag):
        def _found(self, case: Case, k: int) -> list[Fact]:
            own = [self._bench.by_id[fact] for fact in case.facts if not case.extra]
            others = [fact for fact in FACTS if fact not in own]
            return [*own, *others][:k] if case.role == "recall" else [*others[:2], *own, *others[2:]][:k]

    words = [dataclasses.replace(case, id=f"other {case.id}", role="wording") for case in TUNING]
    both = [case for pair in zip(TUNING, words, strict=True) for case in pair]
    assert Third(Echo(llm, FACTS, TUNING)).way.k == 1
    assert Third(Echo(llm, FACTS, both)).way.k == 3
    assert {case.role for case in both[:8:2]} == {"recall"}
    assert {case.role for case in Third(Echo(llm, FACTS, both))._withheld} == {"recall", "wording"}


def test_a_rung_that_is_tuned_already_is_not_tuned_again(reader: Echo) -> None:
    first = rag.Rag(reader)
    asked = len(reader.seen)
    assert rag.Rag(reader).way == first.way
    assert len(reader.seen) == asked


# ---- random weights -------------------------------------------------------------------------------------------------


def test_random_weights_are_others_but_the_same_for_one_seed(llm: MemoryModel) -> None:
    first, again, other = (shaped_like(llm.backbone, seed) for seed in (1, 1, 2))
    assert first.identity.weights == again.identity.weights
    assert len({b.identity.weights for b in (first, other, llm.backbone)}) == 3
    assert first.identity.config == llm.backbone.identity.config


def test_random_weights_learn_what_is_asked_for_and_leave_nothing_behind(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rungs.importlib.import_module("memtune.evaluate.rungs.random"), "_OTHERS", 2)
    rung: Any = rungs.make("random", bench)
    rung.answer(ASKED[:1])
    assert "7 facts" in rung.describe()  # one asked, four of the tuning split, two others
    rung.answer(ASKED)
    assert f"{len(FACTS)} facts" in rung.describe()
    folder = Path(rung._file).parent
    assert folder.exists()
    rung.close()
    assert not folder.exists()


# ---- time -----------------------------------------------------------------------------------------------------------


def test_time_to_the_first_token_is_that_of_one_token_replies(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    real = Workbench.ask

    def ask(self: Workbench, cases: Any, put: Any, **given: Any) -> list[Said]:
        said = real(self, cases, put, **given)
        asked.append(max(s.new_tokens for s in said))
        return said

    monkeypatch.setattr(Workbench, "ask", ask)
    found = time_to_first_token(bench, rungs.make("memory", bench), ASKED, n=3)
    assert found is not None
    assert found.runs == 3
    assert 0 < found.low <= found.median <= found.high
    assert asked == [1] * 4
    assert bench.longest_reply == 24
    assert time_to_first_token(bench, rungs.make("memory", bench), []) is None


def test_two_runs_say_the_same(llm: MemoryModel) -> None:
    def run() -> list[tuple[str, bool]]:
        bench = Workbench(llm, FACTS, TUNING, seed=5, longest_reply=6)
        return [
            (s.text, s.fired) for name in ("prompt", "rag", "random") for s in rungs.make(name, bench).answer(ASKED)
        ]

    assert run() == run()
    assert Config().decode.temperature == 0
