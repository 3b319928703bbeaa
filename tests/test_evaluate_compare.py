"""The race on a tiny random model: everybody on the same facts, changed fact by fact, the backbone left alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import tiny
import torch

from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact, normalise
from memtune.errors import ExtraMissing, MemtuneError, UsageError
from memtune.evaluate import compare
from memtune.evaluate.cases import LEARNED, NEAR_MISS, OTHER_WORDS, Case, Said
from memtune.evaluate.compare import grace, training
from memtune.evaluate.compare.contender import Setting, Took
from memtune.evaluate.compare.full import Full
from memtune.evaluate.compare.grace import Grace
from memtune.evaluate.compare.local import LateBlock
from memtune.evaluate.compare.lora import Lora
from memtune.evaluate.compare.ours import Ours
from memtune.evaluate.compare.questions import UNRELATED, Split, cases_of, split
from memtune.evaluate.compare.race import Near, Race, bits_per_byte, race, weights_digest
from memtune.evaluate.compare.training import add_lora, beside, size_of
from memtune.evaluate.gather import recall_cases
from memtune.evaluate.output import plain
from memtune.evaluate.present import card_of_race

FACTS = [Fact.from_row(row) for row in tiny.facts(12)]
SHORT = FACTS[:4]


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(tiny.model(), tiny.tokenizer(), name="tiny")


def setting(backbone: Backbone, **given: Any) -> Setting:
    return Setting(backbone, Config(), given.pop("tuning", ()), **given)


def exact(said: Sequence[Said], facts: Sequence[Fact]) -> int:
    return sum(s.text.strip() == f.answer for s, f in zip(said, facts, strict=True))


# ---- what is asked --------------------------------------------------------------------------------------------------


def test_no_fact_is_asked_for_that_was_tuned_on_and_near_misses_are_not_learned() -> None:
    chosen = split(FACTS, 10, 3)
    parts = [{f.id for f in part} for part in (chosen.asked, chosen.tuning, chosen.aside)]
    assert [len(part) for part in parts] == [8, 2, 2]
    assert len(set().union(*parts)) == 12
    assert chosen == split(FACTS, 10, 3)
    assert chosen != split(FACTS, 10, 4)
    whole = split(FACTS, None, 0)
    assert (len(whole.learned), len(whole.aside)) == (10, 2), "near misses are set aside where all are to be learned"
    assert split(FACTS, 200, 0) == whole


def test_other_wordings_are_not_learned_ones_and_can_be_handed_in() -> None:
    chosen = split([replace(f, phrasings=(f.question.lower().rstrip("?"),)) for f in FACTS], 10, 0)
    cases = cases_of(chosen, keys_made=6)
    words = [case for case in cases if case.form == OTHER_WORDS]
    learned = {normalise(wording) for fact in chosen.learned for wording in fact.wordings}
    assert words
    assert not learned & {normalise(case.text) for case in words}
    own = Case("mine", "Item 1000, what of it?", ("x",), OTHER_WORDS, "wording", (chosen.asked[0].id,))
    alien = replace(own, id="alien", facts=(chosen.tuning[0].id,))
    assert [c.id for c in cases_of(chosen, [own, alien]) if c.form == OTHER_WORDS] == ["mine"]
    with pytest.raises(UsageError, match="none of the other wordings"):
        cases_of(chosen, [alien])


def test_what_is_beside_the_facts_counts_against_the_base_models_reply() -> None:
    cases = [Case(str(i), "?", form=NEAR_MISS) for i in range(4)]
    base = [Said(text) for text in ("a", "b", "c", "forty dollars")]
    said = [Said("a"), Said("Forty dollars!", fired=True), Said("", abstained=True), Said("forty dollars")]
    near = Near.of(cases, said, base, ["forty dollars"])
    assert (near.kept.hits, near.fired.hits, near.learned.hits) == (3, 1, 1)
    assert near.fired.n == 1, "of those that can say whether anything stored was used"
    mute = Near.of(cases, [replace(s, fired=None) for s in said], base, [])
    assert (near.fired_brief, mute.fired_brief) == (near.fired.brief, "–")


def test_what_asks_a_learned_fact_in_other_words_is_no_near_miss() -> None:
    learned = [
        Fact("a", "Who wrote Walden Pond?", "Henry Thoreau"),
        Fact("b", "When was the Pharos Company founded?", "1901", ("In which year did the Pharos Company begin?",)),
    ]
    other = [
        Fact("c", "Walden Pond was written by whom?", "henry Thoreau."),
        Fact("d", "in which year did the Pharos Company begin", "in 1901"),
    ]
    near = [
        Fact("e", "Who wrote Ivory Road?", "Henry Thoreau"),
        Fact("f", "Who printed Walden Pond?", "Tom Fields"),
        Fact("g", "When was the Ganymede Company founded?", "1901"),
    ]
    cases = cases_of(Split(learned[:1], learned[1:], [*other, *near]))
    assert [c.id for c in cases if c.form == NEAR_MISS] == ["near e", "near f", "near g"]


def test_bad_input_is_named() -> None:
    with pytest.raises(UsageError, match="too few"):
        split(FACTS[:1], None, 0)
    with pytest.raises(UsageError, match="no contender 'peftlora'") as fault:
        compare.named(["imprint", "peftlora"])
    assert {"peft-lora", "grace", "rag", "imprint", "oracle"} <= set(
        str(fault.value.hint).replace("there is: ", "").replace(";", ",").split(", ")
    )
    assert compare.named(["imprint+kv", "grace", "imprint+kv"]) == ["imprint+kv", "grace"]


def test_a_missing_package_is_named_before_anything_is_learned(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(Ours, "learn", lambda self, facts: pytest.fail("learned too early"))
    with pytest.raises(ExtraMissing, match="peft"):
        race(backbone, FACTS, ["imprint", "peft-lora"])


# ---- contenders -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Full, LateBlock])
def test_weights_learn_update_and_are_learned_again(
    kind: type[Full] | type[LateBlock], backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "rates", (1e30, 5e-3))
    before = weights_digest(backbone)
    made = kind(setting(backbone, tuning=SHORT[:2], budget_seconds=20.0))
    took = made.learn(SHORT)
    assert took.in_time
    assert took.search_seconds > 0
    assert "rate 0.005 of 1e+30, 0.005" in made.about
    assert made.exposures > 1
    assert exact(made.answer(recall_cases(SHORT)), SHORT) == 4
    new = replace(SHORT[1], answer="gone south")
    made.update(new)
    assert exact(made.answer(recall_cases([new, SHORT[2]])), [new, SHORT[2]]) == 2
    assert "cannot delete" in made.delete(SHORT[0].id).how
    rest = [new, *SHORT[2:]]
    assert exact(made.answer(recall_cases(rest)), rest) == 3
    assert made.answer(recall_cases(SHORT[:1]))[0].text.strip() != SHORT[0].answer
    whole = size_of(list(backbone.model.parameters()))
    assert made.stored_bytes == whole if kind is Full else 0 < made.stored_bytes < whole / 2
    assert weights_digest(backbone) == before


def test_learning_and_updates_go_on_until_every_answer_that_must_be_given_is(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Full, "rates", (5e-3,))
    monkeypatch.setattr(training, "RECALL", 0.25)
    monkeypatch.setattr(training, "_WORTH_DECODING", 0.25)
    made = Full(setting(backbone, budget_seconds=20.0))
    assert made.learn(SHORT).in_time
    assert exact(made.answer(recall_cases(SHORT)), SHORT) == 4, "not the first of them alone"
    new = replace(SHORT[1], answer="gone south")
    assert made.update(new).in_time
    assert exact(made.answer(recall_cases([new])), [new]) == 1, "the others alone are enough of all, but not it"


def test_where_a_rate_diverges_the_next_slower_one_has_what_is_left(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Full, "rates", (1e-3, 5e-3, 1e30))
    made = Full(setting(backbone, budget_seconds=20.0))
    made._rate = 1e30
    took = made.learn(SHORT)
    assert took.in_time
    assert took.seconds < 20
    assert "rate 0.005 of" in made.about
    assert "rate 1e+30 diverged" in made.about
    assert exact(made.answer(recall_cases(SHORT)), SHORT) == 4
    made._rate = 1e30
    new = replace(SHORT[0], answer="gone south")
    assert "diverged, all learned again" in made.update(new).how
    rest = [new, *SHORT[1:]]
    assert exact(made.answer(recall_cases(rest)), rest) == 4
    monkeypatch.setattr(Full, "rates", (1e30,))
    lost = Full(setting(backbone, budget_seconds=20.0)).learn(SHORT)
    assert (lost.in_time, lost.how) == (False, "diverged")


@pytest.mark.filterwarnings("ignore")
def test_adapters_begin_as_the_seed_says_and_leave_the_callers_draws_alone(backbone: Backbone) -> None:
    pytest.importorskip("peft")
    before = torch.random.get_rng_state()
    one, same, other = (add_lora(beside(backbone).model, 2, seed) for seed in (1, 1, 2))
    assert torch.random.get_rng_state().equal(before)
    assert all(a.equal(b) for a, b in zip(one, same, strict=True))
    assert not all(a.equal(b) for a, b in zip(one, other, strict=True))


@pytest.mark.filterwarnings("ignore")
def test_lora_takes_the_bytes_that_it_is_given_and_stops_at_its_budget(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("peft")
    monkeypatch.setattr(Lora, "rates", (5e-3,))
    one = size_of(add_lora(beside(backbone).model, 1, seed=0))
    before = weights_digest(backbone)
    made = Lora(setting(backbone, equal_bytes=round(7.3 * one), budget_seconds=20.0))
    assert made.learn(SHORT).in_time
    assert made.stored_bytes == 7 * one
    assert exact(made.answer(recall_cases(SHORT)), SHORT) == 4
    assert weights_digest(backbone) == before
    assert Lora(setting(backbone, equal_bytes=3)).rank == 1
    hurried = Lora(setting(backbone, budget_seconds=0.01)).learn(SHORT)
    assert not hurried.in_time
    assert hurried.seconds < 5


def test_the_codebook_fires_within_its_radius_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grace, "_RATES", (0.1, 0.3))
    monkeypatch.setattr(grace, "_STEPS", 40)
    backbone = Backbone(tiny.model(num_hidden_layers=4), tiny.tokenizer(), name="four blocks")
    made = Grace(setting(backbone, tuning=FACTS[10:], budget_seconds=20.0))
    short = [replace(f, answer=a) for f, a in zip(SHORT, "57AB", strict=True)]
    made.learn(short)
    said = made.answer(recall_cases(short))
    assert [s.facts for s in said] == [(f.id,) for f in short]
    begins = [s.text.startswith(f.answer) for s, f in zip(said, short, strict=True)]
    assert sum(begins) >= 3, "a random model may not let every value through"
    far = Case("far", "SELECT height FROM players WHERE weight > 200, and tell me who founded Mirana?")
    (away,) = made.answer([far])
    assert not away.fired
    made.delete(short[0].id)
    gone, kept = made.answer(recall_cases(short[:2]))
    assert kept == replace(said[1], seconds=kept.seconds)
    assert not gone.fired or gone.facts != (short[0].id,)
    made.update(replace(short[1], answer="up"))
    assert made.answer(recall_cases(short[1:2]))[0].facts == (short[1].id,)
    assert len(made._book) == 3


def test_the_codebook_splits_the_distance_or_widens(backbone: Backbone) -> None:
    made = Grace(setting(backbone))
    made._radius = 1.0

    def key(x: float) -> torch.Tensor:
        return torch.tensor([x, 0.0])

    a, b, c = (Fact(name, f"{name}?", answer) for name, answer in (("a", "one"), ("b", "one"), ("c", "two")))
    assert made._add(a, key(0.0)) is not None
    assert made._add(b, key(1.5)) is None, "the same answer, within both radii: the first key is widened"
    assert (made._book[0].radius, made._book[0].owners) == (1.5, {"a", "b"})
    split = made._add(c, key(2.0))
    assert split is not None
    assert split.radius == 1.0
    assert made._book[0].radius == pytest.approx(1.0, abs=1e-4)
    assert made._nearest(key(0.9)) is made._book[0]
    assert made._nearest(key(1.1)) is split
    assert made._nearest(key(5.0)) is None
    made._remove("a")
    assert len(made._book) == 2, "another fact still needs this key"
    made._remove("b")
    assert [e.owners for e in made._book] == [{"c"}]


def test_what_a_value_costs_is_the_same_without_working_out_the_blocks_below() -> None:
    backbone = Backbone(tiny.model(num_hidden_layers=4), tiny.tokenizer(), name="four blocks")
    made = Grace(setting(backbone))
    rows, answers = map(list, zip(*training.spelled(backbone, SHORT), strict=True))
    values = torch.randn(len(rows), backbone.width, generator=torch.Generator().manual_seed(0))
    costs = made._losses(rows[1:], answers[1:], made._leaving(rows)[1:], values[1:])
    for row, answer, value, cost in zip(rows[1:], answers[1:], values[1:], costs, strict=True):
        place = len(row) - len(answer) - 1
        with grace._replacing(backbone.blocks[made._place], lambda h, at=place, v=value: grace._put(h, [at], v[None])):
            logits = backbone.model(input_ids=torch.tensor([row])).logits[0, place : len(row) - 1]
        right = torch.nn.functional.cross_entropy(logits, torch.tensor(answer), reduction="none")
        assert torch.allclose(cost, right, atol=1e-4)
    assert not any("forward" in vars(block) for block in backbone.blocks)


def test_a_value_that_is_found_takes_no_more_time_and_none_is_left_out(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grace, "_STEPS", 5)
    monkeypatch.setattr(grace, "_BATCH", 2)
    made = Grace(setting(backbone))
    first = [len(answer) for _, answer in training.spelled(backbone, SHORT)]
    looked: list[list[int]] = []

    def losses(rows: Any, answers: Sequence[list[int]], plain: Any, values: torch.Tensor) -> list[torch.Tensor]:
        looked.append([len(answer) for answer in answers])
        found = [0.01 if len(looked) == 1 and at == 0 else 2.0 for at in range(len(answers))]
        return [value.sum() * 0 + cost for value, cost in zip(values, found, strict=True)]

    monkeypatch.setattr(made, "_losses", losses)
    assert made._write(SHORT, 20.0)
    assert looked == [first[:2], *4 * [first[1:2]], *5 * [first[2:]]]
    looked.clear()
    assert not made._write([replace(f, id=f"{f.id} again", question=f"And {f.question}") for f in SHORT], 0.0)
    assert len(looked) == 2, "no time, but every batch was looked at"


def test_text_is_exchanged_and_its_index_made_anew(backbone: Backbone) -> None:
    pytest.importorskip("bm25s")
    made = compare.make("rag", setting(backbone, tuning=SHORT[:1]))
    made.learn(SHORT)
    size, asked = made.stored_bytes, recall_cases(SHORT)
    assert SHORT[1].id in made.answer(asked)[1].facts
    made.update(replace(SHORT[1], answer=SHORT[1].answer + " now"))
    assert made.stored_bytes == size + len(" now")
    made.delete(SHORT[1].id)
    assert made.stored_bytes < size
    assert all(SHORT[1].id not in said.facts for said in made.answer(asked))
    made.close()


# ---- the race -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ran(backbone: Backbone) -> Race:
    return race(
        backbone, FACTS, ["lookup", "imprint", "oracle"], max_n=10, texts=["The warranty lasts two years."],
        unrelated=["Good night!", "Say something kind."],
    )  # fmt: skip


def test_a_race_measures_everybody_on_the_same_cases(ran: Race) -> None:
    assert list(ran.entries) == ["base", "lookup", "imprint", "oracle"]
    assert {form: len(ran.ladder.of("base", form)) for form in ran.ladder.forms} == {
        LEARNED: 8, OTHER_WORDS: 8, NEAR_MISS: 2, UNRELATED: 2,
    }  # fmt: skip
    asked = [[j.case.id for j in judged] for judged in ran.ladder.judged.values()]
    assert all(ids == asked[0] for ids in asked)
    ours = ran.entries["imprint"]
    assert ran.recall("imprint", LEARNED).value == ran.recall("lookup", LEARNED).value == 1.0
    assert ran.recall("base", LEARNED).value == 0.0
    assert ours.unchanged.value == ran.entries["base"].unchanged.value == 1.0
    assert ours.near.learned.hits == 0
    assert ours.bits_per_byte == ran.entries["base"].bits_per_byte
    assert ran.entries["lookup"].stored_bytes < ours.stored_bytes


def test_a_race_changes_one_fact_and_takes_one_out(ran: Race) -> None:
    for name in ("imprint", "lookup"):
        entry = ran.entries[name]
        assert entry.update is not None
        assert entry.delete is not None
        assert entry.update.worked, name
        assert entry.delete.worked, name
        assert (entry.update.others.value, entry.update.others.n) == (1.0, 7)
        assert (entry.delete.others.value, entry.delete.others.n) == (1.0, 6)


def test_a_race_is_a_table_and_json(ran: Race) -> None:
    reached, costs = ran.sheets()
    assert [row[0] for row in reached.rows] == list(ran.entries)
    assert [row[0] for row in costs.rows] == ["lookup", "imprint", "oracle"]
    assert all(len(row) == len(sheet.columns) for sheet in (reached, costs) for row in sheet.rows)
    assert "2 served to choose" in reached.note
    found = json.loads(json.dumps(plain(ran)))
    assert found["contenders"]["imprint"]["recall"]["rate"] == 1.0
    assert found["contenders"]["imprint"]["update"]["worked"] is True
    assert found["rungs"]["imprint"][LEARNED]["exact"] == 1.0
    assert found["tuning"] == 2


def test_the_card_of_a_race_calls_nothing_right_where_nothing_is(ran: Race) -> None:
    card = card_of_race(ran, date="2026-01-01")
    assert {c.form for c in card.comparisons} == {LEARNED, OTHER_WORDS}
    assert set(card.unjudged) == {NEAR_MISS, UNRELATED}
    assert {slip.form for slip in card.slips()} <= {LEARNED, OTHER_WORDS}
    found = json.loads(json.dumps(plain(card)))["ladder"]["rungs"]["imprint"]
    assert found[NEAR_MISS]["exact"] is found[UNRELATED]["hallucinated"] is None
    assert found[LEARNED]["exact"] == 1.0


def test_memories_go_first_where_bytes_are_to_be_equal(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, int | None] = {}

    class Still(Ours):
        def __init__(self, setting: Setting, name: str) -> None:
            super().__init__(setting, "imprint")
            given[name] = setting.equal_bytes

        def learn(self, facts: Sequence[Fact]) -> Took:
            return replace(super().learn(facts), in_time=False)

    monkeypatch.setattr(compare, "make", lambda name, setting: Still(setting, name))
    found = race(backbone, FACTS[:4], ["full-ft", "imprint"], equal_bytes=True, unrelated=["Hello!"])
    assert list(found.entries) == ["base", "imprint", "full-ft"]
    assert given["imprint"] is None
    assert given["full-ft"] == found.entries["imprint"].stored_bytes
    assert "(budget over)" in found.sheets()[1].rows[0][2]
    with pytest.raises(UsageError, match="equal bytes with what"):
        race(backbone, FACTS[:4], ["full-ft"], equal_bytes=True)


def test_whoever_touches_the_backbone_ends_the_race(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Backbone(tiny.model(), tiny.tokenizer(), name="touched")

    class Careless(Ours):
        def delete(self, fact_id: str) -> Took:
            with torch.no_grad():
                own.blocks[0].mlp.up_proj.weight[0, 0] += 1e-3
            return super().delete(fact_id)

    monkeypatch.setattr(compare, "make", lambda name, setting: Careless(setting, name))
    with pytest.raises(MemtuneError, match="imprint changed the weights"):
        race(own, FACTS[:4], ["imprint"], unrelated=["Hello!"])


def test_bits_per_byte_is_what_the_text_costs(backbone: Backbone) -> None:
    text = "The warranty of item 10483 lasts two years."
    ids = torch.tensor([backbone.template.raw(text).ids])
    loss = backbone.model(input_ids=ids, labels=ids).loss * (ids.shape[1] - 1)
    size = len(backbone.tokenizer.decode(ids[0, 1:].tolist()).encode())
    assert bits_per_byte(backbone, [text]) == pytest.approx(float(loss) / 0.693147 / size, rel=1e-4)
    assert bits_per_byte(backbone, []) is None
