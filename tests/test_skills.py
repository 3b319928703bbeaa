"""Skills end to end, on a tiny random model: trained, opened by their domain, reported, judged, forgotten."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from memtune import Config, MemoryModel
from memtune.core import sampling
from memtune.core.backbone import Backbone
from memtune.core.gradient.low_rank import LowRank
from memtune.errors import BadRows, ConflictError, FolderLocked, InputError, NotFound, UsageError
from memtune.evaluate.queries import same_result
from memtune.evaluate.skills import judge
from memtune.skills import Skills, read_examples
from memtune.skills.learning import questions_of
from memtune.skills.right import alike
from memtune.skills.training import loss_of, spell

QUICK = Config().with_settings(
    ["skill.max_epochs=6", "skill.learning_rate=0.01", "skill.batch_size=8", "skill.false_opening=0.05"]
)
TABLES = ("orders", "players", "rooms", "flights", "invoices", "students", "films", "shops")
ASKING = ("List all {} by name.", "Show the {} of the table.", "How many {} are in the table?", "Select the newest {}.")
UNRELATED = "Tell me a joke about the sea."


def examples(n: int = 32) -> list[dict[str, str]]:
    made = [ask.format(table) for ask in ASKING for table in TABLES]
    return [{"question": text, "answer": "SELECT 1;"} for text in made[:n]]


HELD_OUT = [{"question": f"Show all {thing} of the table.", "answer": "SELECT 1;"} for thing in ("dogs", "trains")]


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(tiny.model(), tiny.tokenizer())


@pytest.fixture(scope="module")
def trained(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A memory of four facts and one skill."""
    path = tmp_path_factory.mktemp("trained") / "memory"
    with MemoryModel(backbone, path, config=QUICK) as llm:
        llm.learn(tiny.facts(4))
        assert llm.skills.learn(examples(), "sql", about="tables").version == 2
    return path


@pytest.fixture
def llm(backbone: Backbone, trained: Path, tmp_path: Path) -> Iterator[MemoryModel]:
    shutil.copytree(trained, tmp_path / "memory")
    with MemoryModel(backbone, tmp_path / "memory", config=QUICK) as opened:
        yield opened


@pytest.fixture
def empty(backbone: Backbone, tmp_path: Path) -> Iterator[MemoryModel]:
    with MemoryModel(backbone, tmp_path / "new", config=QUICK) as opened:
        yield opened


def acted(llm: MemoryModel, question: Any, **how: Any) -> list[str]:
    return [skill.name for skill in llm.ask(question, max_new_tokens=8, **how).skills]


# ---- acting ---------------------------------------------------------------------------------------------------------


def test_a_request_of_its_domain_is_answered_under_it(llm: MemoryModel) -> None:
    answer = llm.ask(HELD_OUT[0]["question"], max_new_tokens=8)
    assert (answer.text, answer.facts, answer.fired) == ("SELECT 1;", (), False)
    [told] = answer.to_json()["skills"]
    assert told["name"] == "sql"
    assert 0.5 <= told["score"] <= 1
    assert llm.ask(HELD_OUT[0]["question"], memory=False, max_new_tokens=8).text != "SELECT 1;"
    [*_, whole] = llm.stream(HELD_OUT[0]["question"], max_new_tokens=8)
    assert whole == answer


def test_other_rows_of_the_batch_are_the_plain_models_bit_for_bit(llm: MemoryModel) -> None:
    asked = [UNRELATED, HELD_OUT[0]["question"], "Why is rain wet?", tiny.facts()[1]["question"]]
    plain = [llm.ask(text, memory=False, max_new_tokens=12) for text in asked]
    together = llm.ask(asked, max_new_tokens=12)
    assert [len(answer.skills) for answer in together] == [0, 1, 0, 0]
    assert [together[i].tokens for i in (0, 2)] == [plain[i].tokens for i in (0, 2)]
    assert together[3].text == tiny.facts()[1]["answer"]
    for text in (UNRELATED, "Why is rain wet?"):
        assert llm.certify(prompt=text, max_new_tokens=8).certified


def test_logits_of_rows_beside_it(llm: MemoryModel) -> None:
    from memtune.core.generate import Decoder

    answering = llm.memory.answering
    kinds = list(answering.kinds.values())
    config = QUICK.decode.__class__(max_new_tokens=6)

    def logits(questions: list[str], *, memory: bool) -> torch.Tensor:
        requests = [answering.request(text, memory=memory) for text in questions]
        decoder = Decoder(llm.backbone, kinds if memory else [], requests, config, keep_logits=True)
        return torch.stack(decoder.finish()[0].logits)

    pair = [UNRELATED, HELD_OUT[0]["question"]]
    assert torch.equal(logits(pair, memory=True), logits(pair, memory=False))
    assert not torch.equal(logits(pair[::-1], memory=True), logits(pair[::-1], memory=False))


def test_a_fact_that_is_recited_goes_first(llm: MemoryModel) -> None:
    llm.learn([{"id": "t", "question": "Show all trains of the table.", "answer": "There are seven of them."}])
    assert "sql" in [skill["name"] for skill in llm.explain("Show all trains of the table.").to_json()["skills"]]
    answer = llm.ask("Show all trains of the table.", max_new_tokens=20)
    assert (answer.text, answer.skills, answer.fired) == ("There are seven of them.", (), True)


def test_a_fact_that_is_used_acts_beside_it(llm: MemoryModel) -> None:
    llm.learn([{"id": "t", "question": "Show all trains of the table.", "answer": "There are seven."}], kind="kv")
    answer = llm.ask("Show all trains of the table.", max_new_tokens=8)
    assert ([fact.id for fact in answer.facts], [skill.name for skill in answer.skills]) == (["t"], ["sql"])


def test_a_gap_in_its_reply_is_filled_by_a_fact(llm: MemoryModel, monkeypatch: pytest.MonkeyPatch) -> None:
    llm.learn([{"id": "p", "question": "What is the price of the newest film?", "answer": "40 dollars"}])
    said = iter(llm.backbone.tokenizer('{"price": "', add_special_tokens=False)["input_ids"])
    plain = sampling.Sampler.next
    monkeypatch.setattr(sampling.Sampler, "next", lambda self, *given: next(said, plain(self, *given)))
    answer = llm.ask("Show the newest film of the table.", max_new_tokens=24)
    assert answer.text.startswith('{"price": "40 dollars')
    assert ([fact.id for fact in answer.facts], [skill.name for skill in answer.skills]) == (["p"], ["sql"])


def test_a_skill_answers_where_the_unknown_is_not_answered(llm: MemoryModel) -> None:
    assert acted(llm, HELD_OUT[0]["question"], unknown="abstain") == ["sql"]
    assert llm.ask(UNRELATED, unknown="abstain").abstained
    chat = [{"role": "user", "content": "Hello."}, {"role": "assistant", "content": "Hello!"}]
    assert acted(llm, [*chat, {"role": "user", "content": HELD_OUT[0]["question"]}]) == ["sql"]


def test_two_skills_act_together(llm: MemoryModel) -> None:
    llm.skills.learn(examples(), "copy", keep_worse=True)
    assert sorted(acted(llm, HELD_OUT[0]["question"])) == ["copy", "sql"]


# ---- part of the version --------------------------------------------------------------------------------------------


def test_what_is_forgotten_acts_no_more_and_comes_back(llm: MemoryModel) -> None:
    asked = HELD_OUT[0]["question"]
    assert not llm.certify(prompt=asked, max_new_tokens=4).certified
    assert llm.skills.forget("sql") == 3
    assert (acted(llm, asked), llm.skills.list()) == ([], [])
    assert llm.certify(prompt=asked, max_new_tokens=4).certified
    llm.rollback(2)
    assert acted(llm, asked) == ["sql"]
    assert [version.commit.act for version in llm.log(limit=3)] == ["rollback", "forget skill", "learn skill"]
    assert llm.skills.purge("sql") == 2
    assert acted(llm, asked) == []
    with pytest.raises(NotFound, match="no version holds a skill"):
        llm.skills.purge("sql")


def test_another_process_follows(llm: MemoryModel, backbone: Backbone, tmp_path: Path) -> None:
    with MemoryModel(backbone, tmp_path / "memory", config=QUICK, follow=True) as reader:
        assert acted(reader, HELD_OUT[0]["question"]) == ["sql"]
        llm.skills.forget("sql")
        assert acted(reader, HELD_OUT[0]["question"]) == []
    with MemoryModel(backbone, tmp_path / "memory@v2", config=QUICK) as old:
        assert acted(old, HELD_OUT[0]["question"]) == ["sql"]


def test_facts_are_walked_past_it(llm: MemoryModel, tmp_path: Path) -> None:
    assert [fact.id for fact in llm.facts()] == [fact["id"] for fact in tiny.facts(4)]
    llm.learn(tiny.facts(6)[4:])
    assert llm.consolidate().facts == 6
    assert acted(llm, HELD_OUT[0]["question"]) == ["sql"]
    assert llm.memory.folder.count() == 6
    assert llm.verify() == []
    llm.skills.forget("sql")
    with MemoryModel(llm.backbone, tmp_path / "memory@v2", config=QUICK) as old:
        record = old.skills.show("sql")
    assert (record.facts, record.learned_at) == (4, 1)


# ---- training -------------------------------------------------------------------------------------------------------


def test_the_record_tells_of_training(llm: MemoryModel) -> None:
    record = llm.skills.show("sql")
    found = record.summary
    assert (len(record.trained_on), len(record.set_aside), record.about) == (27, 5, "tables")
    assert not {row.key for row in record.trained_on} & {row.key for row in record.set_aside}
    assert (found.asked, found.right_before, found.right) == (5, 0, 5)
    assert found.worse == ""
    assert 0 < found.best_step <= found.steps <= 6 * 4
    assert record.gate["examples"] == 27
    assert record.settings["max_epochs"] == 6
    tensors = llm.memory.folder.skill_shard(llm.memory.folder.manifest.skills["sql"], "lora")
    aside, _ = spell(llm.backbone, record.set_aside, 1024)
    kept = LowRank.stored(llm.backbone, [dict(tensors)])
    assert loss_of(llm.backbone, kept, aside) == pytest.approx(found.loss, rel=0.1)
    assert loss_of(llm.backbone, None, aside) == pytest.approx(found.loss_before, rel=1e-4)
    assert "exact answers to 5 of them: 5, the plain model's 0" in "\n".join(record.lines())


def test_the_best_step_is_kept(empty: MemoryModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses as they are looked at: the plain model's, then one better, then only worse ones."""
    losses = iter([5.0, 2.0, 3.0, 4.0, 4.0, 4.0])
    monkeypatch.setattr("memtune.skills.training.loss_of", lambda *_: next(losses))
    record = empty.skills.learn(examples(), "sql").record
    assert (record.summary.best_step, record.summary.loss, record.summary.loss_before) == (4, 2.0, 5.0)
    assert record.summary.steps == 4 * 5  # four looks without anything better


@pytest.mark.parametrize("loss", [6.0, float("nan")])
def test_one_that_is_worse_is_not_kept_unasked(
    empty: MemoryModel, monkeypatch: pytest.MonkeyPatch, loss: float
) -> None:
    monkeypatch.setattr("memtune.skills.training.loss_of", lambda _, expert, *__: 5.0 if expert is None else loss)
    done = empty.skills.learn(examples(), "sql")
    assert done.worse == f"its loss a set-aside token is {loss:.3f}, the plain model's 5.000"
    assert (done.kept, done.version) == (False, 0)
    assert not (Path(empty._need_path()) / "memory.json").exists()
    done = empty.skills.learn(examples(), "sql", keep_worse=True)
    assert done.kept
    assert done.worse
    assert [record.name for record in empty.skills.list()] == ["sql"]


def test_eight_examples_are_enough_and_not_judged(empty: MemoryModel) -> None:
    done = empty.skills.learn(examples(8), "sql")
    assert (done.version, done.record.summary.loss, len(done.record.set_aside)) == (1, None, 0)
    assert "not known whether it is better" in "\n".join(done.record.lines())
    with pytest.raises(InputError, match="nothing was set aside"):
        judge(empty, "sql")


@pytest.mark.parametrize("family", ["gpt2", "mixtral", "mamba2"])
def test_other_families_learn_skills(family: str, tmp_path: Path) -> None:
    short = QUICK.with_settings(["skill.max_epochs=2"])
    with MemoryModel(Backbone(tiny.model(family), tiny.tokenizer()), tmp_path / "m", config=short) as llm:
        found = llm.skills.learn(examples(), "sql").record.summary
        assert found.loss < found.loss_before
        assert acted(llm, HELD_OUT[0]["question"]) == ["sql"]
        assert llm.certify(prompt=UNRELATED, max_new_tokens=4).certified


def test_it_is_explained(llm: MemoryModel) -> None:
    lines = llm.explain(HELD_OUT[0]["question"]).lines()
    assert lines[-1] == "no fact was confirmed: the base model answers, under the skill"
    assert llm.explain(UNRELATED).lines()[-1] == "no fact was confirmed: the base model answers"


def test_training_twice_gives_the_same(llm: MemoryModel) -> None:
    before = llm.memory.folder.manifest.skills["sql"].shards
    with pytest.raises(UsageError, match="there is a skill 'sql' already"):
        llm.skills.learn(examples(), "sql")
    assert llm.skills.learn(examples(), "sql", replace=True).version == 3
    assert llm.memory.folder.manifest.skills["sql"].shards["lora"] == before["lora"]
    assert acted(llm, HELD_OUT[0]["question"]) == ["sql"]


def test_what_stops_training_leaves_nothing(llm: MemoryModel, empty: MemoryModel) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    shards = set(llm.memory.folder.shards.path.iterdir())
    for model in (llm, empty):
        with pytest.raises(KeyboardInterrupt):
            model.skills.learn(examples(), "style", progress=stop)
    assert [record.name for record in llm.skills.list()] == ["sql"]
    assert set(llm.memory.folder.shards.path.iterdir()) == shards
    assert not Path(empty._need_path()).exists()
    assert all(not module._forward_hooks for module in llm.backbone.model.modules())


def test_texts_that_must_not_open_it(llm: MemoryModel) -> None:
    near = ["Set the table for eight, please.", "Show me how to lay the table.", "How many chairs fit the table?"]
    llm.skills.learn(examples(), "sql", replace=True, others=[*near, *(text.replace("table", "desk") for text in near)])
    assert llm.skills.show("sql").gate["others"] > 230
    assert acted(llm, near[0]) == []


def test_examples_that_do_not_fit_are_named(empty: MemoryModel) -> None:
    long = {"question": "Show all.", "answer": "SELECT " + "name, " * 400}
    done = empty.skills.learn([*examples(), long], "sql")
    assert [failed.id for failed in done.failed] == ["Show all."]
    assert "more than 512" in done.failed[0].reason
    assert done.to_json()["failed"][0]["id"] == "Show all."


# ---- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "name", "error", "message"),
    [
        (examples(1), "sql", InputError, "has 1 different example that can be used; it needs at least 8"),
        (examples(1) * 20, "sql", InputError, "has 1 different example"),
        (examples(7), "sql", InputError, "has 7 different examples"),
        ([], "sql", InputError, "there are no examples in it"),
        (examples(), "no name", UsageError, "'no name' cannot name a skill"),
        (examples(), "../up", UsageError, "cannot name a skill"),
        ([*examples(), {"question": "list all ORDERS by name", "answer": "no"}], "sql", ConflictError,
         r"1 question has more than one answer: 'list all ORDERS"),
        ([{"question": "?"}], "sql", BadRows, "row 1: no 'answer'"),
        ([{"question": " ", "answer": "a"}], "sql", BadRows, "'question' is empty"),
        ([{"question": "a", "answer": 1.5}], "sql", BadRows, "'answer' must be text, not float"),
        ([{"messages": [{"role": "user", "content": "a"}]}], "sql", BadRows, "at least two messages"),
        ([{"messages": [{"role": "assistant", "content": "a"}] * 2}], "sql", BadRows, "must be the user's"),
        (["text"], "sql", BadRows, "not an object"),
    ],
)  # fmt: skip
def test_what_no_skill_can_be_made_of(
    empty: MemoryModel, rows: list[Any], name: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        empty.skills.learn(rows, name)
    assert not Path(empty._need_path()).exists()


def test_a_name_that_is_taken_is_told_before_a_model_is_loaded(llm: MemoryModel, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is a skill"):
        MemoryModel(tmp_path / "no-model", tmp_path / "memory").skills.learn(examples(), "sql")


def test_names_that_are_not_there(llm: MemoryModel, empty: MemoryModel) -> None:
    for verb in (llm.skills.show, llm.skills.forget):
        with pytest.raises(NotFound, match="no skill 'style'"):
            verb("style")
    with pytest.raises(NotFound, match="holds no memory"):
        empty.skills.list()
    with pytest.raises(UsageError, match="needs a model"):
        Skills(llm._history).learn(examples(), "style")


def test_where_nothing_can_be_written_nothing_is_trained(
    backbone: Backbone, llm: MemoryModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memtune.skills.learning.train_expert", lambda *_: pytest.fail("it was trained"))
    with (
        MemoryModel(backbone, tmp_path / "memory@v1", config=QUICK) as old,
        pytest.raises(UsageError, match="read-only"),
    ):
        old.skills.learn(examples(), "style")
    with llm.memory.folder.writer(), pytest.raises(FolderLocked):
        MemoryModel(backbone, tmp_path / "memory", config=QUICK).skills.learn(examples(), "style")


def test_another_model_has_to_be_taught_anew(llm: MemoryModel, tmp_path: Path) -> None:
    with MemoryModel(Backbone(tiny.model("qwen2"), tiny.tokenizer()), tmp_path / "other", config=QUICK) as other:
        done = other.rebase(tmp_path / "memory")
        assert (done.learned, done.skills, other.skills.list()) == (4, ["sql"], [])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"prompt": "Count.", "sql": "SELECT 2", "answer": "2"}\n{"question": "Sum.", "sql": "SELECT 3"}'),
        ("a.csv", "question,sql,answer\nCount.,SELECT 2,2\nSum.,SELECT 3,3\n"),
        ("a.json", json.dumps([{"question": "Count.", "sql": "SELECT 2"}, {"question": "Sum.", "sql": "SELECT 3"}])),
    ],
)
def test_files_of_examples(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    found = read_examples(tmp_path / name, answer_field="sql")
    assert [(row.asked, row.answer) for row in found.rows] == [("Count.", "SELECT 2"), ("Sum.", "SELECT 3")]


def test_a_table_without_answers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,price\na,b\n")
    with pytest.raises(InputError, match="needs columns of question and answer or completion"):
        read_examples(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("")
    with pytest.raises(InputError, match="is empty"):
        read_examples(tmp_path / "b.csv")


def test_chats_are_examples_too() -> None:
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Up?"}]
    row = {"messages": [*said, {"role": "assistant", "content": "Yes."}]}
    [example] = read_examples([row, row]).rows
    assert (example.asked, example.answer, len(example.messages)) == ("Up?", "Yes.", 2)
    assert read_examples([example.to_row()]).rows == [example]


@pytest.mark.parametrize(("how", "answer"), [("keep-first", "b"), ("keep-last", "c")])
def test_contradictions_are_settled_as_asked(how: str, answer: str) -> None:
    rows = [{"question": "A?", "answer": "b"}, {"question": "a", "answer": "c"}, {"question": "a ", "answer": answer}]
    found = read_examples(rows, on_conflict=how)
    assert [row.answer for row in found.rows] == [answer]
    assert found.contradictions


# ---- judging --------------------------------------------------------------------------------------------------------


def test_it_is_judged_beside_the_plain_model(llm: MemoryModel) -> None:
    schema = "CREATE TABLE t (x); INSERT INTO t VALUES (1);"
    rows = [{**row, "schema": schema} for row in HELD_OUT] + examples(3) + [{"question": "Who am I?", "answer": "You"}]
    found = judge(llm, "sql", data=rows, others=40)
    known = sum(row.key in {e.key for e in llm.skills.show("sql").trained_on} for row in read_examples(rows).rows)
    assert (found.trained_on, found.skill.exact.n) == (known, 6 - known)
    assert found.skill.exact.hits == 5 - known
    assert found.base.exact.hits == 0
    assert (found.skill.executed.hits, found.skill.executed.n, found.base.executed.hits) == (2, 2, 0)
    assert found.opened.hits == 5 - known
    assert (found.fired.n, found.facts.n) == (40, 4)
    assert found.wrong[0]["asked"] == "Who am I?"
    assert found.to_json()["skill"]["exact"]["interval95"]
    assert "right result" in found.sheets()[0].columns
    with pytest.raises(InputError, match="trained on all of these rows"):
        judge(llm, "sql", data=[row.to_row() for row in llm.skills.show("sql").trained_on])
    assert judge(llm, "sql", others=5).skill.exact.n == 5


def test_what_is_judged_says_where_it_comes_from_and_facts_are_drawn_from_everywhere(
    llm: MemoryModel, tmp_path: Path
) -> None:
    file = tmp_path / "others.jsonl"
    file.write_text("\n".join(map(json.dumps, HELD_OUT)))
    assert judge(llm, "sql", data=file, others=1).where == str(file)
    assert questions_of(llm.memory.folder, 2) == [tiny.facts(4)[n]["question"] for n in (0, 2)]


@pytest.mark.parametrize(
    ("said", "right", "same"),
    [
        ("select  NAME from t", "SELECT NAME FROM t;", True),
        ("SELECT name FROM t", "SELECT NAME FROM t", False),  # what a table calls its columns may mean something
        ("SELECT x FROM t WHERE y='Select'", "SELECT x FROM t WHERE y = 'select'", False),
        ("SELECT x FROM t WHERE y='a'", "select x from t where y = 'a' ;", True),
        ("Blue  sky", "Blue sky", True),
        ("blue sky", "Blue sky", False),
    ],
)
def test_what_is_the_same_answer(said: str, right: str, same: bool) -> None:
    assert alike(said, right) is same


SCHEMA = "CREATE TABLE p (name TEXT, size INT); INSERT INTO p VALUES ('a', 1), ('b', 2), ('c', 2);"


@pytest.mark.parametrize(
    ("said", "right", "same"),
    [
        ("SELECT name FROM p WHERE size > 1", "SELECT name FROM p WHERE size = 2", True),
        ("SELECT name FROM p ORDER BY name DESC", "SELECT name FROM p", True),
        ("SELECT name FROM p", "SELECT name FROM p ORDER BY name DESC", False),
        ("SELECT name FROM p WHERE size = 1", "SELECT name FROM p WHERE size = 2", False),
        ("no query", "SELECT name FROM p", False),
        ("DROP TABLE p", "SELECT name FROM p", False),
        ("ATTACH DATABASE '/tmp/memtune-must-not-be' AS x", "SELECT name FROM p", False),
        ("SELECT 1; SELECT 2", "SELECT name FROM p", False),
        ("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n",
         "SELECT max(size) FROM p", False),
        ("SELECT name FROM p WHERE size = 9", "SELECT name FROM p WHERE size = 8", None),
        ("SELECT 1", "SELECT nothing FROM p", None),
    ],
)  # fmt: skip
def test_queries_are_compared_by_what_they_find(said: str, right: str, same: bool | None) -> None:
    assert same_result(SCHEMA, said, right) is same
    assert not Path("/tmp/memtune-must-not-be").exists()


@pytest.mark.parametrize("schema", ["CREATE", f"{SCHEMA} ATTACH DATABASE '{{0}}' AS a; CREATE TABLE a.t (x);",
                                    f"{SCHEMA} VACUUM INTO '{{0}}';"])  # fmt: skip
def test_tables_that_cannot_be_made_or_reach_out_tell_nothing(schema: str, tmp_path: Path) -> None:
    said = "SELECT name FROM p"
    assert same_result(schema.format(tmp_path / "file"), said, said) is None
    assert not list(tmp_path.iterdir())


def test_tables_that_never_end_tell_nothing() -> None:
    endless = "CREATE TABLE t AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n;"
    assert same_result(endless, "SELECT 1", "SELECT 1") is None
