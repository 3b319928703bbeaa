"""Fields that open in a reply, and what may be said in them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tiny

from memtune.core.backbone import Backbone
from memtune.evaluate.use.world import make
from memtune.gaps import fits, names_key, open_field
from memtune.model import MemoryModel


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ('{"price": "', "price"),
        ('{"price": ', "price"),
        ("{'unit price':'", "unit price"),
        ('{"price": "4', None),
        ('{"price', None),
        ("the price: ", None),
        ("", None),
    ],
)
def test_the_field_that_is_open(said: str, name: str | None) -> None:
    assert open_field(said) == name


@pytest.mark.parametrize(
    ("answer", "said", "may"),
    [
        ("Ada Lovelace", '{"who": "', True),
        ("Ada Lovelace", '{"who": ', False),
        ('the "Ada"', '{"who": "', False),
        ("it's so", "{'who': '", False),
        ("1830", '{"when": ', False),
        ("1830", '{"when": "', True),
        ("Ada", "who: ", False),
    ],
)
def test_an_answer_stands_in_a_field_as_it_is_or_not_at_all(answer: str, said: str, may: bool) -> None:
    assert fits(answer, said) == may


def test_a_message_names_a_field() -> None:
    assert names_key('Reply as JSON, key "price".', "price")
    assert not names_key("What is the price?", "price")


def test_one_fact_is_recited_in_the_field_that_the_message_names(tmp_path: Path) -> None:
    world = make(6, 3)
    with MemoryModel("bundled", tmp_path / "memory") as llm:
        llm.learn([fact.to_row() for fact in world.facts], kind="imprint+distil")
        known = [thing.known[n] for thing in world.things for n in (0, 1)]
        asked = [f'{k.put(k.relation.asked)} Reply as JSON, key "{k.relation.key}".' for k in known]
        answers = llm.ask(asked)
        recited = [a for a in answers if a.facts and set(a.facts[0].kind.split("+")) == {"distil", "imprint"}]
        assert len(recited) >= 8
        right = [f'"{k.relation.key}": "{k.value}"' in a.text for k, a in zip(known, answers, strict=True)]
        assert sum(right) >= 10
        assert [[use.id for use in a.facts] for a in answers] == [[k.id] for k in known]


def test_nobody_waits_for_a_memory_that_moves_where_no_field_is_open(tmp_path: Path) -> None:
    with MemoryModel(Backbone(tiny.model("llama"), tiny.tokenizer()), tmp_path / "memory") as llm:
        llm.learn(tiny.facts(2))
        answering = llm.memory.answering
        find_gap = answering.request("Why?", memory=True).find_gap
        assert find_gap is not None
        with answering.moving(llm.memory.folder.manifest), ThreadPoolExecutor() as other:
            assert other.submit(find_gap, 'She said: "').result(timeout=20) == {}
