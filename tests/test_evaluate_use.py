"""Use beyond recall: worlds nobody can know, wordings nobody was trained on, judges that know right from wrong."""

from __future__ import annotations

import ast
import itertools
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
from typer.testing import CliRunner

from memtune.cli import app, opening
from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact, normalise
from memtune.errors import UsageError
from memtune.evaluate.cases import Case, Said
from memtune.evaluate.lab.pages import STATEMENTS, pages
from memtune.evaluate.output import plain
from memtune.evaluate.stats import Rate
from memtune.evaluate.temporary import learned
from memtune.evaluate.use import bench, forms, measure, world
from memtune.evaluate.use.figures import Share, oracle_cell
from memtune.evaluate.use.names import held_out, names
from memtune.evaluate.use.recitation import OTHER_WISHES, recitation
from memtune.evaluate.use.right import right, share
from memtune.evaluate.use.timing import first_tokens
from memtune.router.sentences import sentences

ROOT = Path(__file__).parents[1]
PRETRAIN = ROOT / "tools" / "pretrain" / "text"
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone(tiny.model(), tiny.tokenizer())


@pytest.fixture(scope="module")
def made() -> world.World:
    return world.make(24, seed=3)


@pytest.fixture(scope="module")
def found(made: world.World) -> list[Case]:
    return forms.cases(made, seed=3)


# ---- the world ------------------------------------------------------------------------------------------------------


def test_a_seed_makes_the_world_and_its_cases(made: world.World, found: list[Case]) -> None:
    assert world.make(24, seed=3).facts == made.facts != world.make(24, seed=4).facts
    assert forms.cases(world.make(24, seed=3), seed=3) == found != forms.cases(made, seed=4)


def test_every_question_has_one_answer_and_every_value_one_subject(made: world.World) -> None:
    assert len({normalise(f.question) for f in made.facts}) == len({f.id for f in made.facts}) == len(made.facts) == 120
    for key, values in made.others.items():
        assert len(set(values)) == len(values), key


def test_no_name_is_one_that_the_backbone_can_have_read(made: world.World) -> None:
    words = {w for t in made.things for text in (t.name, t.known[0].value, t.home.value) for w in text.split()}
    assert len(words) > 90
    assert all(held_out(word) for word in words)
    assert not all(held_out(name) for name in itertools.islice(names(random.Random(0)), 50))


@pytest.mark.skipif(not PRETRAIN.is_dir(), reason="the pretraining tools are not here")
def test_the_line_between_names_is_the_one_of_pretraining() -> None:
    pytest.importorskip("tomllib")
    sys.path.insert(0, str(ROOT))
    from tools.pretrain.text.names import HELDOUT, split_of

    some = list(itertools.islice(names(random.Random(1)), 400))
    assert [held_out(name) for name in some] == [split_of(name) == HELDOUT for name in some]


def test_a_world_that_is_too_small_is_refused() -> None:
    with pytest.raises(UsageError, match="too few"):
        world.make(5, seed=0)


# ---- wordings -------------------------------------------------------------------------------------------------------


def texts_in(file: Path) -> Iterator[str]:
    """Every string of a source file, with {} for what is filled in."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.value


def templates() -> list[str]:
    files = [PRETRAIN / name for name in ("relations.py", "forms.py", "talk.py")]
    if not all(file.is_file() for file in files):
        pytest.skip("the pretraining tools are not here")
    return [text for file in files for text in texts_in(file)]


def test_no_wording_is_a_template_of_the_pretraining_text(found: list[Case], made: world.World) -> None:
    """Filled in, none reads like one of them filled in."""
    theirs = []
    for text in templates():
        parts = [re.escape(part) for part in _PLACEHOLDER.split(text)]
        if len(parts) > 1 and sum(c.isalpha() for c in "".join(_PLACEHOLDER.split(text))) >= 6:
            theirs.append(re.compile(r"\s*" + "(.+)".join(parts) + r"\s*", re.IGNORECASE))
    assert len(theirs) > 150
    mine = {line for case in found for line in case.text.split("\n")} | {f.question for f in made.facts}
    mine |= {case.text for case in found}
    mine |= {text for page in pages(2, len(STATEMENTS), seed=0) for text in sentences(page.fact.answer)}
    mine |= {case.text for page in pages(2, len(STATEMENTS), seed=0) for case in page.cases}
    assert {(m, t.pattern) for m in mine for t in theirs if t.fullmatch(m)} == set()


def test_the_check_finds_a_template_that_is_there() -> None:
    assert "Which company does {v} run?" in templates()
    assert "What is the {} of {s}?" in templates()


# ---- forms ----------------------------------------------------------------------------------------------------------


def test_every_form_asks_for_every_subject_about_learned_facts(found: list[Case], made: world.World) -> None:
    counted = Counter(case.form for case in found)
    assert len(counted) == len(forms.FORMS) + len(forms.BESIDE) + len(forms.NEEDED) == 14
    assert set(counted.values()) == {24}
    known = {fact.id for fact in made.facts}
    assert all(case.facts and set(case.facts) <= known for case in found)
    learned_wordings = {normalise(fact.question) for fact in made.facts}
    beside = {f"one of {count} facts" for count in forms.BESIDE}
    assert not [c.text for c in found if normalise(c.text) in learned_wordings and c.form not in beside]


def test_yes_and_letters_are_balanced(found: list[Case]) -> None:
    of = {form: [c for c in found if c.form == form] for form in ("yes or no", "choice by letter", "comparison")}
    assert Counter(c.answers for c in of["yes or no"]) == {("Yes",): 12, ("No",): 12}
    assert set(Counter(c.answers for c in of["choice by letter"]).values()) == {6}
    named_first = sum(c.answers[0] == c.options[0] for c in of["comparison"])
    assert 4 <= named_first <= 20
    assert {forms.chance(c) for c in of["yes or no"]} == {0.5}
    assert {forms.chance(c) for c in of["choice by letter"]} == {0.25}


def test_claims_are_true_exactly_where_yes_is_right(found: list[Case], made: world.World) -> None:
    by_id = {fact.id: fact for fact in made.facts}
    for case in found:
        if case.form == "yes or no":
            assert (by_id[case.facts[0]].answer in case.text) == (case.answers == ("Yes",))


def test_comparisons_are_won_by_the_earlier_year(found: list[Case], made: world.World) -> None:
    years = {t.name: int(t.known[1].value) for t in made.things}
    for case in found:
        if case.form == "comparison":
            assert case.answers[0] == min(case.options, key=years.__getitem__)
            assert years[case.options[0]] != years[case.options[1]]


def test_the_second_hop_is_not_in_the_question(found: list[Case], made: world.World) -> None:
    by_id = {fact.id: fact for fact in made.facts}
    for case in found:
        if case.form == "two hops":
            first, second = (by_id[i] for i in case.facts)
            assert first.answer in second.question
            assert first.answer not in case.text
            assert case.answers == (second.answer,)


# ---- judges ---------------------------------------------------------------------------------------------------------


def test_the_right_answer_is_right_in_every_form_and_another_cases_is_not(found: list[Case]) -> None:
    for form in dict.fromkeys(case.form for case in found):
        of = [case for case in found if case.form == form]
        for case, other in zip(of, of[1:] + of[:1], strict=True):
            assert right(case, case.answers[0]), form
            if other.answers != case.answers:
                assert not right(case, other.answers[0]), form
            assert not right(case, "")
            assert not right(case, "I don't know.")


@pytest.mark.parametrize(
    ("judge", "said", "expected"),
    [
        ("first word", "Yes, it does.", True), ("first word", "yes", True), ("first word", "Yesterday", False),
        ("first word", "It does, yes.", False), ("letter", "(B)", True), ("letter", "B) Anna", True),
        ("letter", "A or B", False), ("letter", "Because", False), ("only", "It was Mirana.", True),
        ("only", "Mirana or Tolu", False), ("only", "Miranas", False), ("ends", "Mirana.", True),
        ("ends", "The ferry is moored in Mirana", True), ("ends", "Mirana or Tolu", False),
        ("holds", "In Mirana, I think", True), ("holds", "Miranalo", False),
        ("json", '{"k": "Mirana"}', True), ("json", 'Here: {"k": "Mirana"}.', True), ("json", '{"k": "Tolu"}', False),
        ("json", '{"other": "Mirana"}', False), ("json", "Mirana", False), ("json", '{"k": "Mirana"', False),
        ("all", "It is Mirana, and Tolu too.", True), ("all", "Mirana alone", False),
    ],
)  # fmt: skip
def test_judges(judge: str, said: str, expected: bool) -> None:
    answers = {"first word": ("Yes",), "letter": ("B",)}.get(judge, ("Mirana",))
    extra = {"judge": judge, "key": "k", "value": "Mirana", "values": ["Mirana", "Tolu"]}
    assert right(Case("x", "?", answers, options=("Mirana", "Tolu"), extra=extra), said) is expected


def test_the_share_of_values_is_counted() -> None:
    case = Case("x", "?", ("-",), extra={"judge": "all", "values": ["1911", "Mirana", "40"]})
    assert share(case, "in 1911 at Mirana, 400 of them") == pytest.approx(2 / 3)


# ---- scores ---------------------------------------------------------------------------------------------------------


def test_a_share_is_corrected_for_guessing() -> None:
    memory, oracle = [True] * 75 + [False] * 25, [True] * 90 + [False] * 10
    found = Share.of(memory, oracle, [0.5] * 100)
    assert found is not None
    assert found.value == pytest.approx((0.75 - 0.5) / (0.9 - 0.5))
    assert found.low < found.value < found.high
    assert Share.of(memory, oracle, [0.5] * 100) == found
    same = Share.of(oracle, oracle, [0.5] * 100)
    assert same == Share(1.0, 1.0, 1.0), "paired: no spread is left"


def test_a_weak_oracle_gives_no_share_and_says_its_figure() -> None:
    n = 100
    weak, enough = ([True] * right + [False] * (n - right) for right in (59, 60))
    assert Share.of([True] * n, weak, [0.0] * n) is None
    assert oracle_cell(weak, [0.0] * n).startswith("below 60 %: not shown (59.0 %")
    assert Share.of([True] * n, enough, [0.0] * n) is not None
    assert oracle_cell(enough, [0.0] * n).startswith("60.0 % [")


def test_an_oracle_that_may_be_guessing_gives_no_share() -> None:
    told = [True] * 8 + [False] * 4
    assert Share.of([True] * 12, told, [0.5] * 12) is None
    assert oracle_cell(told, [0.5] * 12).startswith("may be guessing: not shown (66.7 %")
    assert Share.of([True] * 120, told * 10, [0.5] * 120) is not None


# ---- the whole run, on a random model -------------------------------------------------------------------------------

SHORT = Config().with_settings(["learn.max_answer_tokens=40"])
SOME = ("yes or no", "choice by likelihood", "JSON field", "3 facts an answer")


@pytest.fixture
def little_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_TUNING", 10)


@pytest.mark.usefixtures("little_tuning")
def test_every_arm_answers_every_form(backbone: Backbone) -> None:
    found, again = (
        measure.use(backbone, SHORT, kinds=("imprint",), rungs=("base", "lookup", "oracle"), n=10, seed=1, forms=SOME)
        for _ in range(2)
    )
    assert tuple(found.arms) == SOME
    assert found.rungs == ["base", "memory, imprint", "memory, imprint, handed over", "lookup", "oracle"]
    assert all(arm.right.n == 10 for arms in found.arms.values() for arm in arms.values())
    assert found.arms["JSON field"]["lookup"].right.hits == 0, "the stored string is no JSON"
    assert found.arms["JSON field"]["oracle"].prompt_tokens > found.arms["JSON field"]["base"].prompt_tokens + 10
    assert found.arms["3 facts an answer"]["lookup"].held is not None
    assert all(sheet.rows and len(sheet.rows[0]) == len(sheet.columns) for sheet in found.sheets())
    assert [a.outcomes for arms in found.arms.values() for a in arms.values()] == [
        a.outcomes for arms in again.arms.values() for a in arms.values()
    ]
    assert plain(found)["forms"]["yes or no"]["chance"] == 0.5


def test_a_form_or_rung_that_is_not_there_is_named(backbone: Backbone) -> None:
    with pytest.raises(UsageError, match="no form 'riddle'"):
        measure.use(backbone, Config(), n=10, rungs=("base",), forms=("riddle",))
    with pytest.raises(UsageError, match="no rung"):
        measure.use(backbone, Config(), n=10, rungs=("psychic",))


def test_too_few_subjects_are_refused_before_anything_is_learned(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "learned", lambda *_: pytest.fail("learned"))
    for n in range(2, 10):
        with pytest.raises(UsageError, match="too few"):
            measure.use(backbone, Config(), n=n)


def test_the_command_line_knows_how_few_are_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(opening, "load_model", lambda *_: None)
    monkeypatch.setattr(opening, "use", lambda _, *, n, **__: asked.append(n))
    for n in (max(forms.NEEDED) - 1, max(forms.NEEDED)):
        CliRunner().invoke(app, ["lab", "use", "--n", str(n)])
    assert asked == [max(forms.NEEDED)]


def test_ten_facts_an_answer_are_ten_in_the_tuning_split_too() -> None:
    made = world.make(10 + measure._TUNING, seed=2)
    asked, tuning = made.part(made.things[measure._TUNING :]), made.part(made.things[: measure._TUNING])
    for found in measure._by_form(asked, tuning, 2, ["10 facts an answer"])["10 facts an answer"]:
        assert {len(set(case.facts)) for case in found} == {10}


@pytest.mark.usefixtures("little_tuning")
def test_all_forms_and_what_is_recited_beside_them(backbone: Backbone) -> None:
    found = measure.use(backbone, SHORT, kinds=("imprint",), rungs=(), n=10, seed=1)
    assert len(found.arms) == 14
    (recited,) = found.recitation.values()
    assert recited.facts == 10
    assert {w.name for w in recited.wishes} == set(OTHER_WISHES)
    assert {s.name: s.exact for s in recited.surroundings}["system prompt of 0 tokens"] == Rate(10, 10)
    titles = [sheet.title for sheet in found.sheets()]
    assert titles[-2:] == [
        "memory, imprint: recited where none was asked for",
        "memory, imprint: exact, whatever stands around",
    ]
    assert len(plain(found)["recitation"]["memory, imprint"]["wishes"]) == len(OTHER_WISHES)


# ---- how the arms answer --------------------------------------------------------------------------------------------


class Prints:
    """A lookup that prints this."""

    def __init__(self, text: str) -> None:
        self.text = text

    def answer(self, cases: Sequence[Case]) -> list[Said]:
        return [Said(self.text) for _ in cases]

    def describe(self) -> str:
        return ""


@pytest.mark.parametrize(
    ("printed", "chosen"), [("250", "250"), ("In 250, or so", "250"), ("2500", ""), ("tolu nar", "Tolu Nar"), ("", "")]
)
def test_a_lookup_chooses_what_its_string_holds_as_words_of_its_own(printed: str, chosen: str) -> None:
    case = Case("x", "?", ("250",), forms.LIKELIEST, options=("25", "250", "60", "Tolu Nar"))
    (said,) = bench.answers("lookup", Prints(printed), None, [case])  # type: ignore[arg-type, misc]
    assert said.text == chosen


def test_the_oracles_place_is_chosen_by_likelihood_where_that_is_asked(
    backbone: Backbone, made: world.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it would be if facts helped as system text alone: nothing that is decoded would show it."""

    def likeliest(_: object, cases: Sequence[Case], questions: Sequence[object], *, memory: bool) -> list[Said]:
        assert not memory
        return [
            Said(c.answers[0] if isinstance(q, list) else "none of them") for c, q in zip(cases, questions, strict=True)
        ]

    monkeypatch.setattr(bench, "likeliest", likeliest)
    some = [case for case in forms.cases(made, seed=3) if case.form == forms.LIKELIEST]
    with learned(backbone, made.facts[:4], Config()) as memory:
        told = bench.make("oracle", bench.UseBench(memory.model, made.facts, some[:6]))
        assert "as system text" in told.describe()
        assert "6 of 6 right" in told.describe()
        assert all(right(c, s.text) for c, s in zip(some, told.answer(some), strict=True))


def test_experts_are_handed_over_whatever_the_router_finds(backbone: Backbone, made: world.World) -> None:
    """Of a mixture only those that know; of a memory that only recites, what it has."""
    facts = made.facts[:6]
    asked = [Case("a", "Tell me of these.", ("-",), facts=(facts[0].id, facts[3].id)), Case("b", "And this?", ("-",))]
    for kind, acting in (("imprint", "imprint"), ("kv", "kv"), ("imprint+kv", "kv")):
        with learned(backbone, facts, Config(), kind) as memory:
            own = bench.UseBench(memory.model, facts)
            assert not any(said.fired for said in bench.make("memory", own).answer(asked))
            rung = bench.make(bench.HANDED, own)
            both, none = rung.answer(asked)
            assert (both.facts, none.facts) == ((facts[0].id, facts[3].id), ())
            request = rung._answering.request(asked[0].question, memory=True)  # type: ignore[attr-defined]
            assert list(request.experts) == [acting]


def test_retrieval_of_the_same_facts_shows_what_the_router_confirms(backbone: Backbone, made: world.World) -> None:
    facts = made.facts[:4]
    cases = [Case("a", facts[2].question, (facts[2].answer,), facts=(facts[0].id,)), Case("b", "Why?", ("So.",))]
    with learned(backbone, facts, Config()) as memory:
        own = bench.UseBench(memory.model, facts)
        seen: list[object] = []
        own.ask = lambda c, put, **_: seen.extend(map(put, c)) or [Said("-") for _ in c]  # type: ignore[method-assign]
        found, nothing = bench.make(bench.SAME_FACTS, own).answer(cases)
    assert (found.facts, nothing.facts) == ((facts[2].id,), ())
    assert facts[2].answer in str(seen[0])
    assert facts[0].answer not in str(seen[0])
    assert seen[1] == "Why?"


@pytest.mark.usefixtures("little_tuning")
def test_retrieval_of_the_same_facts_is_asked_beside_every_kind(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The router of a memory that knows finds facts for a second hop; that of one that recites does not look."""
    monkeypatch.setattr(measure, "first_tokens", lambda *_: {})
    kinds, forms_ = ("imprint", "kv"), ("reversed",)
    found = measure.use(backbone, SHORT, kinds=kinds, rungs=("rag",), n=10, seed=1, forms=forms_).arms["reversed"]
    for kind in kinds:
        same, own = (found[name].found for name in (f"rag, same facts as {kind}", f"memory, {kind}"))
        assert same is not None
        assert same == own
    assert "rag, same facts" not in found


def test_rungs_take_turns_while_time_is_taken(backbone: Backbone, made: world.World) -> None:
    order: list[tuple[str, str]] = []

    class Notes(Prints):
        def answer(self, cases: Sequence[Case]) -> list[Said]:
            order.extend((self.text, case.id) for case in cases)
            return super().answer(cases)

    with learned(backbone, made.facts[:4], Config()) as memory:
        own = bench.UseBench(memory.model, made.facts)
        cases = [Case(f.id, f.question, (f.answer,)) for f in made.facts[:5]]
        times = first_tokens(own, {"a": Notes("a"), "b": Notes("b")}, cases, 3)
    assert {name: len(found) for name, found in times.items()} == {"a": 3, "b": 3}
    assert [name for name, _ in order] == ["a", "b"] * 4, "one round to warm up"
    assert all(first[1] == second[1] for first, second in zip(order[::2], order[1::2], strict=True))


def test_facts_side_by_side_are_of_the_subject_first_and_never_of_the_same_relation(made: world.World) -> None:
    by_id = {k.id: k for thing in made.things for k in (*thing.known, thing.home)}
    subjects = {k.id: thing.name for thing in made.things for k in (*thing.known, thing.home)}
    found = list(forms.one_of(10)(made, random.Random(0)))
    for case in found:
        assert len(set(case.facts)) == 10
        (asked,) = forms.needed(case)
        assert sum(subjects[fact] == subjects[asked] for fact in case.facts) == 5
        assert [fact for fact in case.facts if by_id[fact].relation == by_id[asked].relation] == [asked]
        assert right(case, case.answers[0])
        assert not right(case, " or ".join(case.options))
    assert len({case.facts.index(forms.needed(case)[0]) for case in found}) > 5, "it stands anywhere"


def test_a_use_says_which_facts_were_found_and_what_all_forms_make_together() -> None:
    def arm(hits: int, found: Rate | None) -> measure.Arm:
        outcomes = tuple(i < hits for i in range(100))
        return measure.Arm(Rate.of(outcomes), outcomes, None, Rate(0, 0), found, 9.0, None, (1.0, 1.2, 1.4), "")

    use = measure.Use(10, ("kv",), {"memory, kv": 640.0}, {"a": [0.0] * 100, "b": [0.0] * 100, "c": [0.0] * 100})
    for form, memory, oracle in (("a", 80, 100), ("b", 66, 60), ("c", 50, 59)):
        use.arms[form] = {"memory, kv": arm(memory, Rate(70, 100)), "oracle": arm(oracle, None)}
    assert use.mean_share("memory, kv") == pytest.approx((0.8 + 1.0) / 2), "none above 1; the third oracle is too weak"
    assert use.mean_share("memory, kv", unlike_lookup=True) is None, "lookup was not asked"
    sheets = {sheet.title: sheet for sheet in use.sheets()}
    assert sheets["Use beyond recall, in short"].rows == [["memory, kv", "90 %", "–", "2", "2", "1", "640"]]
    use.arms["b"]["lookup"] = arm(60, None)
    use.arms["a"]["lookup"] = arm(10, None)
    assert use.mean_share("memory, kv", unlike_lookup=True) == pytest.approx(0.8), "lookup does not fail in the second"
    assert [row[1] for row in sheets["The needed facts were used"].rows] == [Rate(70, 100).brief] * 3
    assert sheets["What it takes"].rows[0][3] == "1.20"


def test_a_kind_that_there_is_not_is_named_before_anything_is_learned(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "learned", lambda *_: pytest.fail("learned"))
    with pytest.raises(UsageError, match="kind must be one of"):
        measure.use(backbone, Config(), kinds=("imprint", "kv+magic"), n=10)


def test_the_likeliest_option_says_whether_a_fact_was_used(backbone: Backbone, made: world.World) -> None:
    facts = made.facts[:4]
    options = tuple(fact.answer for fact in facts)
    cases = [
        Case("a", facts[0].question, (facts[0].answer,), forms.LIKELIEST, options=options),
        Case("b", "Why?", (), forms.LIKELIEST, options=options),
    ]
    with learned(backbone, facts, Config()) as memory:
        answering = memory.model.memory.answering
        on, off = (bench.likeliest(answering, cases, [c.text for c in cases], memory=m) for m in (True, False))
    assert [bool(said.fired) for said in on] == [True, False]
    assert not any(said.fired for said in off)
    assert on[0].text == facts[0].answer


def test_replies_are_as_short_as_is_asked_while_time_is_taken(backbone: Backbone, made: world.World) -> None:
    with learned(backbone, made.facts[:4], Config()) as memory:
        own = bench.UseBench(memory.model, made.facts)
        cases = [Case(f.id, f.question, (f.answer,)) for f in made.facts[:4]]
        assert own.decoding(cases).max_new_tokens == bench._ROOM
        with own.replies_of(1):
            assert own.decoding(cases).max_new_tokens == 1


# ---- recitation -----------------------------------------------------------------------------------------------------


def test_recitation_is_told_from_what_was_asked(backbone: Backbone) -> None:
    facts = [Fact.from_row(row) for row in tiny.facts(8)]
    told = replace(facts[0], id="told", question="Is it 40 dollars, yes or no?", answer="40 dollars")
    with learned(backbone, [*facts, told], Config()) as memory:
        found = recitation(memory.model, [*facts, told])
    assert [w.name for w in found.wishes] == list(OTHER_WISHES)
    assert {w.recited.n for w in found.wishes} == {8}, "a question that holds its answer tells nothing"
    hello = found.wishes[0]
    assert (hello.recited.hits, hello.fired.hits, hello.base.hits) == (0, 0, 0)
    around = {s.name: s for s in found.surroundings}
    assert around["system prompt of 0 tokens"].exact == Rate(9, 9)
    assert around["fifth turn of a chat"].exact.hits >= 8
    assert all(s.skipped + s.exact.n == 9 for s in found.surroundings)
    assert around["system prompt of 500 tokens"].skipped == 9, "the tiny model's context is 512"
    assert len(found.sheets()) == 2
