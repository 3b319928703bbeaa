"""What a card holds, that nothing in it can break it, and that its folder is written whole or not at all."""

from __future__ import annotations

import dataclasses
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from cards import HOSTILE, fake_card, fake_ladder
from hypothesis import given
from hypothesis import strategies as st

from memtune.errors import NotFound, UsageError
from memtune.evaluate.card import ByFact, Card, FactsMap, project, require_folder, tables, write_card
from memtune.evaluate.card.facts import binned, groups, outcomes, slips, word_differences
from memtune.evaluate.card.markdown import markdown
from memtune.evaluate.card.markup import Markup, tag
from memtune.evaluate.card.page import page
from memtune.evaluate.card.write import FILES
from memtune.evaluate.cases import LEARNED, NEAR_MISS, Case, Said
from memtune.evaluate.ladder import Judged, Ladder
from memtune.evaluate.scores import score

SECTIONS = (
    "ladder", "figures", "comparisons", "groups", "router", "by-fact", "map", "worst", "contamination", "further",
    "notes", "repeat",
)  # fmt: skip
_EMPTY = {"meta", "link", "br", "hr", "rect", "line", "circle", "path", "col"}


class _Reader(HTMLParser):
    """Checks that what is opened is closed, and keeps what matters."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in _EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    def of(self, *names: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.seen if name in names]


def _judged(said: str, *, right: str | None = "Paris", group: str | None = "g", fact: str = "f") -> Judged:
    case = Case(fact, "Where?", (right,) if right else (), LEARNED, "recall", (fact,), group)
    return Judged(case, Said(said), score(case, Said(said)))


# ---- the page -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hostile", [False, True])
def test_every_section_is_there_and_well_formed(hostile: bool) -> None:
    read = _Reader(page(fake_card(hostile=hostile)))
    assert [attrs["id"] for attrs in read.of("section")] == list(SECTIONS)
    ids = [attrs["id"] for _, attrs in read.seen if "id" in attrs]
    assert len(ids) == len(set(ids))
    linked = [attrs["href"] for attrs in read.of("a")]
    assert linked == [f"#{slug}" for slug in SECTIONS]


def test_pictures_are_told_to_those_who_cannot_see_them() -> None:
    read = _Reader(page(fake_card()))
    known = {attrs.get("id") for attrs in read.of("title", "desc")}
    pictures = read.of("svg")
    assert len(pictures) == 4 + 4 + 2 + 1 + 2 + 1
    for attrs in pictures:
        assert attrs["role"] == "img"
        assert set((attrs["aria-labelledby"] or "").split()) <= known
    assert len(read.of("caption")) == len(read.of("table"))
    assert {attrs["scope"] for attrs in read.of("th")} == {"col", "row"}


def test_the_page_asks_nobody_for_anything() -> None:
    read = _Reader(page(fake_card(hostile=True)))
    assert not read.of("script", "img", "iframe", "link", "object", "embed", "base", "form")
    for _, attrs in read.seen:
        assert not [name for name in attrs if name.startswith("on") or name in ("src", "srcset", "style")]
        assert (attrs.get("href") or "#").startswith("#")
    style = re.search("<style>(.*?)</style>", page(fake_card()), re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    assert [attrs for attrs in read.of("meta") if (attrs.get("content") or "").startswith("default-src 'none'")]


def test_forms_without_a_right_answer_have_no_figure_of_right_and_wrong() -> None:
    whole, card = fake_card(), dataclasses.replace(fake_card(), unjudged=[NEAR_MISS])
    sheet = tables.figures(card.ladder or Ladder(), NEAR_MISS, unjudged=True)
    cells = [dict(zip(sheet.columns, row, strict=True)) for row in sheet.rows]
    assert all({c["exact"], c["normalised"], c["F1"], c["wrong of given"]} == {"–"} for c in cells)
    assert all(c["n"] == "80" and c["abstained"] != "–" for c in cells)
    assert len(_Reader(page(card)).of("svg")) == len(_Reader(page(whole)).of("svg")) - 1, "no bars of exact answers"
    assert markdown(card).count("| – | – | – |") == len(cells)
    assert NEAR_MISS in {slip.form for slip in whole.slips()} - {slip.form for slip in card.slips()}
    given = {key.name: key.rate.n for key in tables.keys(card)}["wrong of all answers given"]
    assert given < {key.name: key.rate.n for key in tables.keys(whole)}["wrong of all answers given"]


def test_any_text_arrives_as_it_is() -> None:
    read = _Reader(page(fake_card(hostile=True)))
    said = "".join(read.said)
    assert HOSTILE[0] in said
    assert HOSTILE[2] in said
    assert "\x00" not in said
    assert "\ud800" not in said


@given(st.text(), st.text())
def test_nothing_leaves_its_element(text: str, attribute: str) -> None:
    read = _Reader(tag("p", text, title=attribute))
    assert [name for name, _ in read.seen] == ["p"]
    assert _Reader(tag("p", Markup("<b>x</b>"))).seen[1][0] == "b"


def test_every_interval_of_the_ladder_is_shown() -> None:
    card = fake_card()
    text, said = markdown(card), html.unescape(re.sub("<[^>]+>", " ", page(card)))
    assert card.ladder is not None
    for rung in card.ladder.judged:
        for form in card.ladder.forms:
            brief = card.ladder.figures(rung, form).exact.brief
            assert brief in said
            assert brief.replace("[", "\\[").replace("]", "\\]") in text


def test_what_is_missing_is_left_out() -> None:
    bare = Card("Nothing but a title")
    read = _Reader(page(bare))
    assert not read.of("section", "nav", "table", "svg")
    assert markdown(bare) == "# Nothing but a title\n"
    empty = dataclasses.replace(
        bare, ladder=Ladder({"memory": []}), by_fact=[ByFact("margin", [])], facts_map=FactsMap([], np.zeros((0, 2)))
    )
    assert not _Reader(page(empty)).of("section")
    for part in ("ladder", "router", "facts_map", "contamination"):
        left = {attrs["id"] for attrs in _Reader(page(dataclasses.replace(fake_card(8), **{part: None}))).of("section")}
        assert len(left) < len(SECTIONS)


def test_a_ladder_without_its_subject() -> None:
    card = dataclasses.replace(fake_card(8), against="imprint", comparisons=())
    ids = {attrs["id"] for attrs in _Reader(page(card)).of("section")}
    assert {"ladder", "figures", "map"} <= ids
    assert not {"worst", "groups", "by-fact"} & ids


# ---- fact by fact ---------------------------------------------------------------------------------------------------


def test_groups_worst_first() -> None:
    judged = [_judged("Paris", group="a"), _judged("Rome", group="b"), _judged("Paris", group="b"), _judged("Paris")]
    found = groups(Ladder({"memory": judged}), "memory")
    assert [(g.name, g.recalled.hits, g.recalled.n) for g in found] == [("b", 1, 2), ("a", 1, 1), ("g", 1, 1)]
    assert groups(Ladder({"memory": [_judged("Paris", group=None)]}), "memory") == []


def test_groups_are_of_learned_wordings_only() -> None:
    ladder = fake_ladder(40)
    assert sum(g.recalled.n for g in groups(ladder, "memory")) == 40


def test_slips_take_turns_and_begin_with_the_worst() -> None:
    ladder = fake_ladder(80)
    found = slips(ladder, "rag")
    wrong = [j for j in ladder.judged["rag"] if not j.score.normalised]
    assert len(found) == len(wrong)
    assert {slip.form for slip in found[:4]} == set(ladder.forms)
    for form in ladder.forms:
        of_form = [slip.f1 for slip in found if slip.form == form]
        assert of_form == sorted(of_form)
    assert slips(ladder, "rag", 50) == found[:50]
    assert all(slip.right == "" for slip in found if slip.form == "never learned")


def test_a_fact_is_recalled_if_it_always_is() -> None:
    ladder = Ladder({"memory": [_judged("Paris"), _judged("Rome"), _judged("Paris", fact="other")]})
    assert outcomes(ladder, "memory") == {"f": False, "other": True}
    assert outcomes(ladder, "rag") == {}


def test_words_that_differ() -> None:
    right, said = word_differences("born in Oslo in 1957", "born in  Rome in 1957 there")
    assert right == [("born in", False), ("Oslo", True), ("in 1957", False)]
    assert said == [("born in", False), ("Rome", True), ("in 1957", False), ("there", True)]


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_word_is_lost(right: str, said: str) -> None:
    for pieces, text in zip(word_differences(right, said), (right, said), strict=True):
        assert " ".join(piece for piece, _ in pieces).split() == text.split()


def test_long_answers_are_compared_as_far_as_they_go() -> None:
    long = " ".join(f"w{n}" for n in range(3000))
    right, said = word_differences(long, long + " more")
    assert not any(differs for _, differs in right + said)
    assert said[-1][0].endswith("more")


def test_bins_keep_equal_values_together() -> None:
    found = binned([(1.0, True)] * 50 + [(2.0, False)] + [(float(n), True) for n in range(3, 20)])
    assert found[0][:2] == (1.0, 1.0)
    assert found[0][2].n == 50
    assert sum(rate.n for _, _, rate in found) == 68
    assert binned([]) == []


def test_projection_keeps_what_spreads_most() -> None:
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(300, 10)) * np.array([9.0, 4.0] + [0.1] * 8)
    found = project(vectors)
    assert found.shape == (300, 2)
    assert abs(np.corrcoef(found[:, 0], vectors[:, 0])[0, 1]) > 0.99
    assert abs(np.corrcoef(found[:, 1], vectors[:, 1])[0, 1]) > 0.99
    assert np.array_equal(found, project(vectors))
    assert np.allclose(found[::-1], project(vectors[::-1]))


@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (5, 1), (3, 2)])
def test_projection_of_little(shape: tuple[int, int]) -> None:
    assert project(np.ones(shape)).shape == (shape[0], 2)


# ---- Markdown -------------------------------------------------------------------------------------------------------


def test_markdown_tables_have_as_many_cells_as_columns() -> None:
    rows = [line for line in markdown(fake_card(hostile=True)).splitlines() if line.startswith("|")]
    width = 0
    for i, row in enumerate(rows):
        cells = len(re.split(r"(?<!\\)(?:\\\\)*\|", row)) - 2
        if i + 1 < len(rows) and set(rows[i + 1]) <= set("|- "):
            width = cells
        assert cells == width, row


def test_markdown_holds_no_markup_of_others() -> None:
    text = markdown(fake_card(hostile=True))
    assert not re.search(r"(?<!\\)<\w", text)
    assert "[link](" not in text.replace("\\[", "")


def test_a_command_stays_within_its_fence() -> None:
    text = markdown(Card("x", command="memtune eval ```\n# not a heading"))
    assert text.count("````") == 2


# ---- the folder -----------------------------------------------------------------------------------------------------


def test_three_files_that_say_the_same_twice(tmp_path: Path) -> None:
    first = write_card(fake_card(hostile=True), tmp_path / "a")
    second = write_card(fake_card(hostile=True), tmp_path / "b")
    assert [path.name for path in first] == list(FILES)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    found = json.loads((tmp_path / "a" / "card.json").read_text())
    figures = found["ladder"]["rungs"]["memory"][LEARNED]
    assert {"n", "exact", "f1", "low", "high"} <= figures.keys()
    assert len(found["comparisons"]["found"]) == 28
    assert len(found["facts_map"]["points"]) == 80
    assert found["command"].startswith("memtune eval")


def test_numbers_that_are_none(tmp_path: Path) -> None:
    card = Card("x", by_fact=[ByFact("margin", [("f", float("nan")), ("g", float("inf"))])], settings={"at": Path("a")})
    write_card(card, tmp_path / "card")
    assert json.loads((tmp_path / "card" / "card.json").read_text())["by_fact"][0]["values"] == [
        ["f", None],
        ["g", None],
    ]


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "card" / "notes.txt"
    kept.parent.mkdir()
    write_card(Card("empty folders are taken"), kept.parent, replace=False)
    for path in kept.parent.iterdir():
        path.unlink()
    kept.write_text("mine")
    with pytest.raises(UsageError, match="exists and is not empty") as caught:
        write_card(Card("x"), kept.parent)
    assert "\n" not in caught.value.message
    assert [path.name for path in kept.parent.iterdir()] == ["notes.txt"]
    write_card(Card("x"), kept.parent, replace=True)
    write_card(Card("y"), kept.parent, replace=True)
    assert kept.read_text() == "mine"
    assert sorted(path.name for path in kept.parent.iterdir()) == sorted([*FILES, "notes.txt"])
    assert "# y" in (kept.parent / "card.md").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["card"]


def test_places_where_no_card_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        require_folder(tmp_path / "file", replace=True)
    with pytest.raises(NotFound, match="no folder"):
        require_folder(tmp_path / "nowhere" / "card")


@pytest.mark.parametrize("at", range(3))
def test_where_one_file_fails_the_old_card_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    folder = tmp_path / "card"
    before = {path.name: path.read_bytes() for path in write_card(Card("old"), folder)}
    real, calls = Path.replace, iter(range(100))

    def failing(self: Path, target: Path) -> Path:
        if next(calls) == at:
            raise OSError("no space left")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OSError, match="no space"):
        write_card(Card("new"), folder, replace=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["card"]


def test_nothing_is_left_where_nothing_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: Path, target: Path) -> Path:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="no space"):
        write_card(Card("new"), tmp_path / "card")
    assert list(tmp_path.iterdir()) == []
