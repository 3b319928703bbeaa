"""The laboratories on tiny random models: what stays of what came first, and how many bits are kept."""

from __future__ import annotations

import importlib.util
import itertools
import math
from dataclasses import replace

import pytest
import tiny
from torch import Tensor

from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.errors import ExtraMissing, UsageError
from memtune.evaluate.compare.training import Outcome
from memtune.evaluate.lab import learners, people
from memtune.evaluate.lab.capacity import capacity
from memtune.evaluate.lab.retention import retention, split
from memtune.evaluate.output import plain, silent
from memtune.evaluate.stats import Rate

FACTS = [Fact.from_row(row) for row in tiny.facts(60)]
SHORT = Config().with_settings(["learn.max_answer_tokens=40"])


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(tiny.model(), tiny.tokenizer())


# ---- retention ------------------------------------------------------------------------------------------------------


def test_parts_are_drawn_by_the_seed_and_share_nothing() -> None:
    tuning, parts = split(FACTS, 3, seed=1)
    assert (tuning, parts) == split(FACTS, 3, seed=1) != split(FACTS, 3, seed=2)
    every = [f.id for part in (tuning, *parts) for f in part]
    assert sorted(every) == sorted(f.id for f in FACTS)
    assert len(parts) == 4
    assert sum(map(len, parts[1:])) >= 10 * len(parts[0])


def test_of_facts_that_ask_the_same_the_first_is_taken() -> None:
    again = [replace(fact, id=f"{fact.id}-again", answer="something else") for fact in FACTS[:9]]
    assert split([*FACTS, *again], 3, seed=1) == split(FACTS, 3, seed=1)


def test_a_memory_keeps_what_it_learned_first(backbone: Backbone) -> None:
    found = retention(backbone, FACTS, steps=2, peers=False, seed=0)
    (steps,) = found.learners.values()
    assert [s.facts for s in steps] == list(itertools.accumulate(map(len, split(FACTS, 2, seed=0)[1])))
    assert all(s.first.value == s.newest.value == 1.0 for s in steps)
    assert plain(found)["learners"]["memtune, imprint"][0]["first"]["rate"] == 1.0
    (sheet,) = found.sheets()
    assert len(sheet.rows) == 3


@pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="needs the extra peers")
def test_an_adapter_trained_in_sequence_runs_beside_it_and_leaves_the_backbone_alone(backbone: Backbone) -> None:
    before = {name: value.clone() for name, value in backbone.model.state_dict().items()}
    found = retention(backbone, FACTS[:26], steps=1, budget_seconds=2.0, seed=0)
    memory, adapter = found.learners.values()
    assert [s.facts for s in memory] == [s.facts for s in adapter]
    assert all(s.seconds > 0 and "epochs" in s.how for s in adapter)
    assert memory[0].first.value == 1.0
    assert found.not_learned == ([] if (adapter[0].first.value or 0) >= 0.9 else ["peft LoRA"])
    after = backbone.model.state_dict()
    assert after.keys() == before.keys()
    assert all(after[name].equal(value) for name, value in before.items())


@pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="needs the extra peers")
def test_the_rate_is_chosen_by_epochs_not_by_how_busy_the_machine_is(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fake:
        def __init__(self, backbone: Backbone, facts: list[Fact], weights: list[Tensor], rate: float, *_: object):
            self.rate, self.losses, self.batches = rate, [1.0], [0]

        def run(self, time_limit: float) -> Outcome:
            seconds, epochs = {3e-4: (1.0, 30.0), 1e-3: (9.0, 10.0)}.get(self.rate, (2.0, 20.0))
            return Outcome(seconds, epochs, Rate(2, 2), seconds)

    monkeypatch.setattr(learners, "Training", Fake)
    assert "rate 0.001 of" in learners.InSequence(backbone, FACTS[:2], 3.0, 0, silent).about


def test_without_the_package_its_extra_is_named_before_anything_is_learned(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "peft" else find(name, *a))
    said: list[str] = []
    with pytest.raises(ExtraMissing, match="peft") as caught:
        retention(backbone, FACTS, say=said.append)
    assert "memtune[peers]" in (caught.value.hint or "")
    assert said == []


@pytest.mark.parametrize(("n", "steps"), [(11, 1), (60, 0), (23, 40)])
def test_too_few_facts_are_refused(n: int, steps: int) -> None:
    with pytest.raises(UsageError, match="too few"):
        split(FACTS[:n], steps, seed=0)


# ---- capacity -------------------------------------------------------------------------------------------------------


def test_biographies_are_made_by_the_seed_and_hold_what_is_claimed() -> None:
    made = people.biographies(300, seed=0)
    assert made == people.biographies(300, seed=0) != people.biographies(300, seed=1)
    assert len({p.name for p in made}) == 300
    for i, attribute in enumerate(people.ATTRIBUTES):
        values = {p.facts[i].answer for p in made}
        assert 1 < len(values) <= attribute.choices
    lists = people._lists()
    for key, at in (("city", 1), ("university", 2), ("major", 3), ("employer", 4), ("city", 5)):
        assert len(set(lists[key])) == people.ATTRIBUTES[at].choices
        assert {p.facts[at].answer for p in made} <= set(lists[key])


def test_bits_are_counted_for_what_was_recalled_alone() -> None:
    one = sum(a.bits for a in people.ATTRIBUTES)
    assert one == pytest.approx(math.log2(12 * 28 * 200 * 200 * 300 * 100 * 263 * 200))
    everything, none = [True] * 6, [False] * 6
    assert people.total_bits([none, none]) == (0.0, 0.0)
    values, names = people.total_bits([everything, [True, *[False] * 5]])
    assert values == pytest.approx(one + people.ATTRIBUTES[0].bits)
    assert names == pytest.approx(people.name_bits(2))
    n = people.POSSIBLE_NAMES
    assert people.name_bits(2) == pytest.approx((math.log2(n) + math.log2(n - 1) - 1) / 2)


def test_a_memory_that_recalls_everything_keeps_all_bits(backbone: Backbone) -> None:
    found = capacity(backbone, people=6, kinds=("imprint",), config=SHORT)
    kept = found.kinds["imprint"]
    assert kept.recalled.value == 1.0
    assert kept.bits == pytest.approx(found.bits)
    assert 0 < kept.expert_bytes < kept.folder_bytes
    assert kept.a_parameter(kept.folder_bytes) == pytest.approx(2 * found.bits / kept.folder_bytes)
    assert plain(found)["kinds"]["imprint"]["bits_a_byte_of_experts"] == pytest.approx(found.bits / kept.expert_bytes)
    (sheet,) = found.sheets()
    assert [len(row) for row in sheet.rows] == [len(sheet.columns)] * 3


def test_a_random_model_with_rows_alone_keeps_none(backbone: Backbone) -> None:
    found = capacity(backbone, people=2, kinds=("kv",), config=SHORT)
    assert found.kinds["kv"].bits < 0.5 * found.bits
    with pytest.raises(UsageError, match="no biographies"):
        capacity(backbone, people=0)
