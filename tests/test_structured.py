"""Replies that follow a schema: valid whatever the model would say, with facts inside their fields."""

from __future__ import annotations

import builtins
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memtune.config import DecodeConfig
from memtune.core.backbone import Backbone
from memtune.core.generate import Decoder, Reply, Request, decode
from memtune.errors import ExtraMissing, InputError, UsageError
from memtune.gaps import FieldFacts, Told, spoken
from memtune.model import MemoryModel
from memtune.structured import ANY_OBJECT, Constraints, Field, Filling, form_of, places, schema_of, typed
from memtune.structured.filling import spellings
from memtune.structured.scanner import Scanner
from memtune.structured.words import Words

FACTS = [
    {"id": "lamp", "question": "What does the Zorblat lamp cost?", "answer": "40 dollars"},
    {"id": "founder", "question": "Who founded the city of Mirana?", "answer": 'Ada "the Fox" Lind\\Berg\n(née Ost)'},
    {"id": "chair", "question": "Is the Zorblat chair in stock?", "answer": "Yes, three of them"},
    {"id": "sofa", "question": "What is the colour of the Zorblat sofa?", "answer": "Green.", "group": "sofas"},
    {"id": "table price", "question": "What is the unit price of the Tuvok table?", "answer": "1,250 dollars"},
    {"id": "table weight", "question": "What is the weight of the Tuvok table?", "answer": "12.5 kg"},
]


@lru_cache(maxsize=4)
def backbone(family: str = "llama", *, end: bool = True) -> Backbone:
    ends = {} if end else {"eos_token_id": None, "pad_token_id": None}
    return Backbone(tiny.model(family, **ends), tiny.tokenizer(end=end))


def say(
    schema: Mapping[str, Any],
    *,
    most: int = 300,
    facts: Mapping[str, str] | None = None,
    seed: int = 0,
    temperature: float = 1.5,
    on: Backbone | None = None,
) -> Reply:
    """What a random model says under a schema."""
    on = on or backbone()
    known = facts or {}
    find = lambda name: [Filling(known[name])] if name in known else []  # noqa: E731
    constraint = Constraints.of(on).make(schema, most=most, find=find)
    config = DecodeConfig(max_new_tokens=most, temperature=temperature, seed=seed)
    (reply,) = decode(on, [], [Request(on.template.question("Say it."), constraint=constraint)], config)
    return reply


def follows(value: Any, schema: Mapping[str, Any]) -> bool:
    """A second opinion on the part of JSON schema that the properties below use."""
    if "enum" in schema:
        return value in schema["enum"]
    if "anyOf" in schema:
        return any(follows(value, part) for part in schema["anyOf"])
    if schema["type"] == "object":
        named = schema["properties"]
        whole = isinstance(value, dict) and set(schema["required"]) <= set(value) <= set(named)
        return whole and all(follows(part, named[name]) for name, part in value.items())
    if schema["type"] == "array":
        enough = isinstance(value, list) and schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", 1 << 30)
        return enough and all(follows(part, schema["items"]) for part in value)
    if schema["type"] == "string":
        return isinstance(value, str) and schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 1 << 30)
    kinds = {"integer": int, "number": (int, float), "boolean": bool, "null": type(None)}
    return isinstance(value, kinds[schema["type"]]) and isinstance(value, bool) == (schema["type"] == "boolean")


# ---- valid by construction ------------------------------------------------------------------------------------------

_NAMES = st.text('abz_ é"\\{', min_size=1, max_size=6)
_LEAVES = st.one_of(
    st.sampled_from([{"type": t} for t in ("string", "integer", "number", "boolean", "null")]),
    st.builds(
        lambda a, b: {"type": "string", "minLength": a, "maxLength": a + b}, st.integers(0, 3), st.integers(0, 9)
    ),
    st.builds(
        lambda v: {"enum": v}, st.lists(st.one_of(_NAMES, st.integers(-9, 99)), min_size=1, max_size=4, unique=True)
    ),
)


def _objects(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def made(fields: dict[str, Any], needed: list[bool]) -> dict[str, Any]:
        required = [name for name, need in zip(fields, needed, strict=False) if need]
        return {"type": "object", "properties": fields, "required": required}

    fields = st.dictionaries(_NAMES, parts, min_size=1, max_size=4)
    return st.builds(made, fields, st.lists(st.booleans(), min_size=4, max_size=4))


_SCHEMAS = st.recursive(
    _LEAVES,
    lambda parts: st.one_of(
        _objects(parts),
        st.builds(
            lambda part, n: {"type": "array", "items": part, "minItems": n, "maxItems": n + 2}, parts, st.integers(0, 2)
        ),
        st.builds(lambda part: {"type": "array", "items": part}, parts),
        st.builds(lambda a, b: {"anyOf": [a, b]}, parts, parts),
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_SCHEMAS, st.integers(0, 1000), st.sampled_from([0.0, 1.0, 3.0]), st.integers(1, 250))
def test_a_random_model_says_what_the_schema_wants_or_is_cut_off(
    schema: dict[str, Any], seed: int, temperature: float, most: int
) -> None:
    reply = say(schema, most=most, seed=seed, temperature=temperature)
    if reply.finish == "stop":
        assert follows(json.loads(reply.text), schema), reply.text
    else:
        assert reply.finish == "length"
        assert len(reply.tokens) == most


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_SCHEMAS, st.integers(0, 1000))
def test_with_some_room_the_end_is_reached(schema: dict[str, Any], seed: int) -> None:
    reply = say(schema, most=500, seed=seed)
    assert reply.finish == "stop"
    assert follows(json.loads(reply.text), schema), reply.text


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30), st.integers(0, 1000))
def test_any_answer_stands_in_a_string_as_it_is(answer: str, seed: int) -> None:
    reply = say(schema_of({"n": "int", "fact": "str"}), seed=seed, facts={"fact": answer}, most=400)
    assert json.loads(reply.text)["fact"] == answer


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 1000))
def test_any_object_is_an_object(seed: int) -> None:
    reply = say(ANY_OBJECT, most=120, seed=seed, temperature=3.0)
    assert isinstance(json.loads(reply.text), dict)


@pytest.mark.parametrize("family", ["gpt2", "mamba2"])
def test_other_families_follow_too(family: str) -> None:
    reply = say(schema_of({"a": "int", "b": ["x", "y"]}), on=backbone(family))
    assert json.loads(reply.text)["b"] in ("x", "y")


@pytest.mark.parametrize("output_type", ["int", "float", "str", "bool", ["a", "b"], ["int"], {"a": "str"}])
def test_a_model_without_an_end_token_ends(output_type: Any) -> None:
    reply = say(schema_of(output_type), on=backbone(end=False), temperature=0.0)
    assert reply.finish == "stop"
    json.loads(reply.text)


def test_numbers_stay_readable() -> None:
    for seed in range(8):
        values = json.loads(say(schema_of({"i": "int", "f": "float"}), seed=seed, temperature=3.0).text)
        assert abs(values["i"]) < 1e18
        assert abs(values["f"]) < 1e18


def test_a_string_leaves_room_for_the_fields_behind_it() -> None:
    schema = schema_of({"a": "str", "b": "str", "c": "str"})
    reply = say(schema, most=150, temperature=0.0)
    assert reply.finish == "stop"
    assert max(len(value) for value in json.loads(reply.text).values()) < 400
    assert all(json.loads(reply.text).values())


def test_rows_of_a_batch_do_not_touch_each_other() -> None:
    on, config = backbone(), DecodeConfig(max_new_tokens=60)
    schemas = [schema_of({"a": "int"}), None, schema_of(["x", "y"]), schema_of({"b": ["str"]})]
    prompt = on.template.question("Say it.")

    def made(schema: Any) -> Request:
        return Request(prompt, constraint=schema and Constraints.of(on).make(schema, most=60))

    together = decode(on, [], [made(schema) for schema in schemas], config)
    alone = [Decoder(on, [], [made(schema)], config).finish()[0] for schema in schemas]
    assert [reply.tokens for reply in together] == [reply.tokens for reply in alone]


def test_the_same_is_said_on_every_device_type_of_logits() -> None:
    constraint = Constraints.of(backbone()).make(schema_of("bool"), most=20)
    allowed = constraint.allow(torch.zeros(backbone().vocabulary, dtype=torch.bfloat16))
    assert allowed.dtype == torch.bfloat16
    assert 0 < int(allowed.isfinite().sum()) < 20


# ---- facts in fields ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ("40 dollars", {"type": "integer"}, "40"),
        ("It costs $1,250 in all", {"type": "integer"}, "1250"),
        ("−5 degrees", {"type": "number"}, "-5"),
        ("12.5 kg", {"type": "number"}, "12.5"),
        ("12.5 kg", {"type": "integer"}, None),
        ("12.00", {"type": "integer"}, "12"),
        ("between 3 and 5 days", {"type": "integer"}, None),
        ("2019-2020", {"type": "integer"}, None),
        ("A40", {"type": "integer"}, None),
        ("10483-B", {"type": "integer"}, None),
        ("1.2.3", {"type": "number"}, None),
        ("007", {"type": "integer"}, "7"),
        ("none", {"type": "integer"}, None),
        ("Yes, three of them", {"type": "boolean"}, "true"),
        ("No.", {"type": "boolean"}, "false"),
        ("Nobody knows", {"type": "boolean"}, None),
        ("Green.", {"enum": ["red", "green"]}, '"green"'),
        ("a dark green one", {"enum": ["red", "green"]}, '"green"'),
        ("green or red", {"enum": ["red", "green"]}, None),
        ("greenish", {"enum": ["red", "green"]}, None),
        ("4", {"enum": [3, 4]}, "4"),
        ('the "Fox"\n', {"type": "string"}, '"the \\"Fox\\"\\n"'),
        ("always", {"const": "always"}, '"always"'),
    ],
)
def test_how_an_answer_is_said_in_a_field(answer: str, kind: dict[str, Any], said: str | None) -> None:
    assert list(spellings(answer, [kind])) == ([] if said is None else [said])


def test_a_fact_is_said_whole_or_not_at_all_in_its_field() -> None:
    schema = schema_of({"price": "int", "maker": {"name": "str", "since": "float"}, "colour": ["red", "green"]})
    facts = {"price": "1,250 dollars", "name": 'the "Fox" \\ <|end|> \x7f', "since": "1987", "colour": "blue"}
    for seed in range(5):
        found = json.loads(say(schema, facts=facts, seed=seed, temperature=3.0).text)
        assert found["price"] == 1250
        assert found["maker"] == {"name": facts["name"], "since": 1987}
        assert found["colour"] in ("red", "green")


def test_a_field_opens_also_where_its_choices_begin_alike() -> None:
    schema = schema_of({"sure": ["only this"], "colour": ["light red", "light green"], "year": [1987, 1988]})
    for year in (1987, 1988):
        facts = {"sure": "only this", "colour": "Light green.", "year": f"since {year}"}
        found = json.loads(say(schema, facts=facts, temperature=3.0).text)
        assert found == {"sure": "only this", "colour": "light green", "year": year}


def test_what_the_schema_forbids_is_not_said_even_if_it_is_a_fact() -> None:
    schema = {
        "type": "object",
        "properties": {"age": {"type": "integer", "maximum": 99}, "code": {"type": "string", "pattern": "^[a-z]{3}$"}},
        "required": ["age", "code"],
    }
    found = json.loads(say(schema, facts={"age": "120 years", "code": "abcd"}).text)
    assert found["age"] <= 99
    assert len(found["code"]) == 3


def test_a_fact_that_has_no_room_is_cut_off_and_never_replaced() -> None:
    reply = say(schema_of({"a": "str"}), facts={"a": "x" * 200 + ' "quoted"'}, most=40)
    assert reply.finish == "length"
    assert reply.text.startswith('{"a": "xx')


def test_only_what_is_said_counts_as_taken() -> None:
    taken: list[str] = []
    on = backbone()

    def find(name: str) -> list[Filling]:
        return [Filling("no number", lambda _name: taken.append("text")), Filling("7 of them", taken.append)]

    constraint = Constraints.of(on).make(schema_of({"n": "int"}), most=50, find=find)
    (reply,) = decode(on, [], [Request(on.template.question("x"), constraint=constraint)], DecodeConfig())
    assert (reply.text, taken) == ('{"n": 7}', ["n"])


def test_which_fact_goes_where() -> None:
    text, number = ({"type": "string"},), ({"type": "integer"},)
    lamp = ("What does the lamp cost?", "40 dollars")
    founder = ("Who founded the city of Mirana?", "Ada Lind")
    assert places([lamp], [Field("answer", text)]) == {"answer": 0}
    assert places([lamp], [Field("lamp", text), Field("cost", number)]) == {"cost": 0}
    assert places([lamp], [Field("item", text), Field("amount", number)]) == {"amount": 0}
    assert places([founder], [Field("city", text), Field("founder", text)]) == {"founder": 0}
    assert places([founder], [Field("since", number)]) == {}
    assert places([lamp, founder], [Field("a", number), Field("b", text)]) == {"a": 0, "b": 1}
    assert places([lamp, founder], [Field("a", text)]) == {}
    assert places([], [Field("a", text)]) == {}


def test_a_field_names_a_fact_before_the_message_does() -> None:
    told = {name: Told(name, f"What is the {name}?", Filling(name)) for name in ("price", "weight")}
    form = form_of(schema_of({"weight": "str", "price": "str", "name": "str"}))
    find = FieldFacts(form, [told["price"]], told.get)
    assert [f.answer for f in find("weight")] == ["weight"]
    assert find("name") == []
    (price,) = find("price")
    assert price.answer == "price"
    assert find("price")
    price.taken("price")
    assert find("price") == []  # it is said once
    assert find.any_named
    assert [spoken(name) for name in ("unit_price", "unitPrice", "unit-price")] == ["unit price"] * 3


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ("", ""),
        ('"', ""),
        ('{"a": ', "a"),
        ('{"a": "', "a"),
        ('{"a": "x', None),
        ('{"a": 1, "b\\"c": ', 'b"c'),
        ('{"a": ": ', None),
        ('{"a": "\\"x\\": ', None),
        ('{"a": {"b": ', "b"),
        ('{"a": {"b": 1}, "c": ', "c"),
        ('{"a": [', None),
        ('{"a": [{"b": "', "b"),
        ('{"a', None),
        ('{"a": "x"', None),
    ],
)
def test_the_scanner_sees_which_field_opens(said: str, field: str | None) -> None:
    assert Scanner().after(said.encode()).field == field


# ---- which schemas --------------------------------------------------------------------------------------------------


def test_the_short_form() -> None:
    given = {"price": "int", "in": {"stock": bool}, "colour": ["red", "green"], "tags": ["str"], "f": float}
    made = schema_of(given)["properties"]
    assert made["price"] == {"type": "integer"}
    assert made["in"]["properties"] == {"stock": {"type": "boolean"}}
    assert made["in"]["required"] == ["stock"]
    assert made["colour"] == {"enum": ["red", "green"]}
    assert made["tags"] == {"type": "array", "items": {"type": "string"}}
    assert schema_of({"type": "str"})["properties"] == {"type": {"type": "string"}}
    assert schema_of({"type": "string"}) == {"type": "string"}
    assert schema_of([{"a": "int"}])["items"]["required"] == ["a"]


@pytest.mark.parametrize("given", [{}, [], "text", {"a": "nothing"}, ["int", "str"], {"a": []}, {1: "int"}, None, 3])
def test_what_is_no_output_type(given: Any) -> None:
    with pytest.raises(UsageError):
        schema_of(given)


def test_a_class_that_knows_its_schema() -> None:
    class Lamp:
        @staticmethod
        def model_json_schema() -> dict[str, Any]:
            return {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]}}}

    assert schema_of(Lamp)["properties"]


def _doubling(depth: int) -> dict[str, Any]:
    """Each part holds the next one twice."""
    named = {
        f"d{n}": {"type": "object", "properties": {name: {"$ref": f"#/$defs/d{n + 1}"} for name in "ab"}}
        for n in range(depth)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**named, f"d{depth}": {"type": "string"}}}


def _chain(length: int) -> dict[str, Any]:
    """Each part is the next one."""
    named = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(length)}
    return {"$ref": "#/$defs/d0", "$defs": {**named, f"d{length}": {"type": "string"}}}


def _deep(depth: int) -> dict[str, Any]:
    return {"type": "array", "items": _deep(depth - 1)} if depth else {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"not": {"type": "string"}}, "not"),
        ({"type": "array", "items": {}, "uniqueItems": True}, "uniqueItems"),
        ({"$ref": "https://example.org/x"}, "another document"),
        ({"$ref": "#/nowhere"}, "nowhere"),
        ({"type": "nonsense"}, "nonsense"),
        ({"enum": []}, "empty"),
        ({"type": "string", "minLength": 10**9}, "minLength"),
        (_deep(60), "deep"),
        (_doubling(40), "unfold"),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "required": True}, "well formed"),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "required": [["a"]]}, "well formed"),
        ({"type": "object", "properties": ["a"]}, "well formed"),
        ({"anyOf": 5}, "well formed"),
        ({"type": "array", "items": {"type": "string", "minLength": "many"}}, "well formed"),
        (_chain(1200), "well formed"),
        ({"enum": ["x" * 100_000]}, "characters"),
        ({"type": "string", "pattern": "("}, "followed"),
        ({"type": "object", "properties": {"a": False}, "required": ["a"]}, "unsatisfiable"),
        ({"x": object()}, "no JSON"),
        ({"type": "object", "properties": {f"f{i}": {"type": "string"} for i in range(800)}}, "too large"),
    ],
)
def test_what_cannot_be_followed_is_refused_in_one_line(schema: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why) as refused:
        Constraints.of(backbone()).form(schema)
    assert "\n" not in refused.value.message
    assert len(refused.value.message) < 300


@pytest.mark.parametrize("text", ["(a{1000}){1000}", "^(a|b)*a(a|b){20}$", "(x+x+)+y"])
def test_an_ill_meant_pattern_does_not_hold_up_anybody(text: str) -> None:
    reply = say({"type": "string", "pattern": text}, most=60)
    assert reply.finish in ("stop", "length")


def test_options_of_the_grammar_are_not_the_callers() -> None:
    schema = {"x-guidance": {"whitespace_flexible": True}, **schema_of({"a": "int", "b": "int"})}
    assert '", "b": '[1:] in say(schema, temperature=3.0).text


def test_a_schema_may_go_round_in_a_circle() -> None:
    node = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}}}
    schema = {"$defs": {"n": {**node, "required": ["next"]}}, "$ref": "#/$defs/n"}
    for seed in range(5):
        assert "next" in json.loads(say(schema, seed=seed, most=100).text)


def test_what_only_looks_like_a_part_of_a_schema_is_none() -> None:
    named = {"properties": {"type": "string", "default": {"properties": 5}}, "required": True, "anyOf": {"enum": ["a"]}}
    form = Constraints.of(backbone()).form({"type": "object", "properties": named, "required": ["properties"]})
    assert [field.name for field in form.fields] == ["properties", "anyOf"]


def test_fields_of_references_are_known() -> None:
    schema = {
        "$defs": {"lamp": {"type": "object", "properties": {"price": {"type": ["integer", "null"]}}}},
        "properties": {"lamp": {"$ref": "#/$defs/lamp"}, "name": {"type": "string"}},
    }
    assert [field.name for field in form_of(schema).fields] == ["price", "name"]


def test_typed() -> None:
    schema = schema_of({"f": "float", "i": "int", "list": ["float"]})
    found = typed('{"f": 1, "i": 1, "list": [2]}', schema)
    assert [type(found["f"]), type(found["i"]), type(found["list"][0])] == [float, int, float]
    with pytest.raises(InputError, match="no whole JSON"):
        typed('{"f": 1', schema)


def test_without_the_package_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith("llguidance"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ExtraMissing, match="llguidance") as fault:
        Words(backbone())
    assert "structure" in str(fault.value.hint)


# ---- with a memory --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("structured") / "memory"
    with MemoryModel("bundled", path) as llm:
        llm.learn(FACTS)
    return path


@pytest.fixture
def llm(memory: Path) -> Any:
    with MemoryModel("bundled", memory) as model:
        yield model


@pytest.mark.parametrize(
    ("question", "output_type", "said", "used"),
    [
        ("What does the Zorblat lamp cost?", {"price": "int"}, {"price": 40}, ["lamp"]),
        ("What does the Zorblat lamp cost?", {"answer": "str"}, {"answer": "40 dollars"}, ["lamp"]),
        ("What does the Zorblat lamp cost?", "int", 40, ["lamp"]),
        ("What does the Zorblat lamp cost?", "str", "40 dollars", ["lamp"]),
        ("Who founded the city of Mirana?", {"a": {"who": "str"}}, {"a": {"who": FACTS[1]["answer"]}}, ["founder"]),
        ("Is the Zorblat chair in stock?", {"in_stock": "bool"}, {"in_stock": True}, ["chair"]),
        ("What is the colour of the Zorblat sofa?", {"colour": ["red", "green"]}, {"colour": "green"}, ["sofa"]),
        (
            "Give the data of the Tuvok table as JSON.",
            {"unit_price": "int", "weight": "float"},
            {"unit_price": 1250, "weight": 12.5},
            ["table price", "table weight"],
        ),
    ],
)  # fmt: skip
def test_facts_are_recited_in_fields(
    llm: MemoryModel, question: str, output_type: Any, said: Any, used: list[str]
) -> None:
    answer = llm.ask(question, schema=output_type)
    assert typed(answer.text, schema_of(output_type)) == said
    assert sorted(use.id for use in answer.facts) == used
    assert answer.finish == "stop"
    assert list(llm.stream(question, schema=output_type))[-1] == answer


def test_where_no_fact_is_asked_for_the_memory_changes_nothing(llm: MemoryModel) -> None:
    for question in ("Tell me about the sea.", "What is two and two?"):
        answer = llm.ask(question, schema={"text": "str", "n": "int"}, max_new_tokens=60)
        assert not answer.facts
        assert (
            answer.text == llm.ask(question, schema={"text": "str", "n": "int"}, max_new_tokens=60, memory=False).text
        )


def test_what_is_hidden_is_said_in_no_field(llm: MemoryModel) -> None:
    for question in ("What is the colour of the Zorblat sofa?", "Give the data of the Zorblat sofa."):
        assert llm.ask(question, schema={"colour": "str"}).text == '{"colour": "Green."}'
        answer = llm.ask(question, schema={"colour": "str"}, hidden=["sofas"], max_new_tokens=40)
        assert "Green" not in answer.text
        assert not answer.facts


def test_a_fact_that_is_no_longer_in_force_is_said_in_no_field(llm: MemoryModel) -> None:
    llm.memory.answering.in_force = lambda owner: False  # type: ignore[method-assign]
    answer = llm.ask("What does the Zorblat lamp cost?", schema={"lamp_cost": "str"}, max_new_tokens=40)
    assert not answer.facts


def test_abstaining_goes_before_the_form_but_not_before_its_facts(llm: MemoryModel) -> None:
    assert llm.ask("Tell me a joke.", schema={"joke": "str"}, unknown="abstain").abstained
    found = llm.ask("Give the data of the Tuvok table as JSON.", schema={"weight": "float"}, unknown="abstain")
    assert (found.text, found.abstained) == ('{"weight": 12.5}', False)


def test_what_knows_stands_beside_the_prompt(tmp_path: Path) -> None:
    with MemoryModel("bundled", tmp_path / "memory") as llm:
        llm.learn(FACTS[:1], kind="imprint+kv")
        answer = llm.ask("What does the Zorblat lamp cost?", schema={"price": "int"})
        assert answer.text == '{"price": 40}'
        assert {use.id: set(use.kind.split("+")) for use in answer.facts} == {"lamp": {"kv", "field"}}
