"""The wordings that train the confirming network: complete, and none of them under two relations."""

from __future__ import annotations

from random import Random

import pytest

from tools.pretrain.text.names import Namer
from tools.pretrain.text.relations import RELATIONS
from tools.router.paraphrases import CHAT, EXTRA, FURTHER

WORDINGS = FURTHER | {topic.key: topic.wordings for topic in EXTRA}


def test_every_relation_is_covered_and_extra_ones_are_new() -> None:
    assert set(FURTHER) == {relation.key for relation in RELATIONS}
    assert len(WORDINGS) == len(FURTHER) + len(EXTRA)


@pytest.mark.parametrize("key", WORDINGS)
def test_a_relation_has_several_wordings_with_its_subject_once(key: str) -> None:
    assert 7 <= len(WORDINGS[key]) <= 10
    assert all(wording.count("{s}") == 1 and wording.format(s="X") for wording in WORDINGS[key])


def test_no_wording_occurs_twice() -> None:
    new = [wording.lower() for wordings in WORDINGS.values() for wording in wordings]
    assert sorted(new) == sorted(set(new))
    assert not set(new) & {q.lower() for r in RELATIONS for q in r.all_questions + r.requests}


def test_kinds_can_be_drawn_and_small_talk_has_no_subject() -> None:
    namer = Namer(Random(1))
    assert all(namer.draw(topic.subject) and namer.draw(topic.value) for topic in EXTRA)
    assert len(set(CHAT)) == len(CHAT) >= 220
    assert not any("{" in line for line in CHAT)
