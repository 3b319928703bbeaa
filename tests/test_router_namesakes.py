"""Names that share a word are not yet names of one thing."""

from __future__ import annotations

import pytest
from routers import router_over

from memtune.router.namesakes import namesakes
from memtune.router.words import said

LEARNED = "Who gave Albert Sidney Lane his first break in writing?"


@pytest.mark.parametrize(
    ("asked", "different"),
    [
        ("Who gave Albert Sidney Williams his first break in writing?", True),
        ("Albert Sidney Williams got his first break from whom?", True),
        ("Who gave Linda Lane her first break in writing?", True),
        ("Who gave Lane his first break?", False),
        ("Who gave Mr. Albert Lane his first break?", False),
        ("Who gave the famous Albert Sidney Lane Junior his first break?", False),
        ("Who gave Albert Sydney Lane his first break?", False),
        ("who gave albert sidney lane his break", False),
        ("What happened in Paris?", False),
        ("", False),
    ],
)
def test_another_of_the_same_name(asked: str, different: bool) -> None:
    assert namesakes(said(asked), said(LEARNED)) is different
    assert namesakes(said(LEARNED), said(asked)) is different


@pytest.mark.parametrize(
    ("asked", "learned", "different"),
    [
        ("Where is President Marlo Venn from?", "Where is Mr. Marlo Venn from?", False),
        ("Was Jaime born in Taipei in 1991?", "Was Jaime born in Taipei in 1992?", False),  # digits are looked at apart
        ("Which books did Sara van Sullivan write?", "Which books did Sara van Dyke write?", True),
        ("Where is the Kelvor shop in Paris?", "Where is the Kelvor shop in Rome?", False),  # two names each
    ],
)
def test_titles_numbers_and_several_names(asked: str, learned: str, different: bool) -> None:
    assert namesakes(said(asked), said(learned)) is different


def test_a_namesake_is_refused_and_why() -> None:
    router = router_over([LEARNED, "Where does Orla Venn live?"])
    assert [p.owner for p in router.route("Who gave Albert Sidney Lane his first break?").confirmed] == [(1, 0)]
    refused = router.route("Who gave Albert Sidney Williams his first break in writing?")
    assert not refused.confirmed
    assert {p.owner: p.reason for p in refused.proposals}[1, 0] == "names another of the same name"
