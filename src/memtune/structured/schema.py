"""Schemas that replies can follow: JSON schemas, and the short form in which `{"price": "int"}` names types."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memtune.errors import InputError, UsageError

ANY_OBJECT: dict[str, Any] = {"type": "object"}
"""What `json_object` stands for."""

_SHORT: dict[object, str] = {
    "str": "string", "int": "integer", "float": "number", "bool": "boolean",
    str: "string", int: "integer", float: "number", bool: "boolean",
}  # fmt: skip
_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_CHOICES = ("anyOf", "oneOf", "allOf")
_ROOMS = ("properties", "patternProperties", "$defs", "definitions")
"""Keys of a schema under which other schemas stand by name."""
_INSIDE = ("items", "additionalProperties", "additionalItems")
"""Keys under which one other schema stands, or a list of them."""
_LONGEST = 65_536
_DEEPEST = 24
_LARGEST_COUNT = 4096
_LARGEST_LEAST = 1024
_MOST = ("maxLength", "maxItems", "maxProperties")
_LEAST = ("minLength", "minItems", "minProperties")
_SPARE = 8
_SHAPED = 40
"""Characters of a string that follows a pattern, about."""
_MOST_FOLLOWED = 10_000
"""References that are followed while a schema is looked at: a few that point to each other can unfold without end."""
_HINT = "a schema with fewer and simpler parts can be followed"


@dataclass(frozen=True)
class Field:
    """A field that holds one value: no object and no array."""

    name: str
    kinds: tuple[Mapping[str, Any], ...]
    """The schemas that its value may follow."""


@dataclass(frozen=True)
class Form:
    """A schema that was looked at and can be followed."""

    text: str
    """The schema as JSON."""
    fields: tuple[Field, ...]
    """In the order of the schema. A schema that is a single value has one, without a name."""
    spare: int
    """By so many tokens, at most, does the shortest way to the end grow with one token."""

    def kinds(self, name: str) -> tuple[Mapping[str, Any], ...]:
        return tuple(kind for field in self.fields if field.name == name for kind in field.kinds)


# ---- the short form -------------------------------------------------------------------------------------------------


def schema_of(output_type: Any) -> dict[str, Any]:
    """The JSON schema of an output type: a JSON schema itself, a class that can tell its own, or the short form.

    In the short form a type is `"str"`, `"int"`, `"float"` or `"bool"`; a list of one type is an array, a list of
    values a choice, and a mapping an object of which every field is needed.
    """
    if hasattr(output_type, "model_json_schema"):
        return dict(output_type.model_json_schema())
    if isinstance(output_type, Mapping) and _is_schema(output_type):
        return dict(output_type)
    return _short(output_type, 0)


def _is_schema(given: Mapping[str, Any]) -> bool:
    named = given.get("type") in _TYPES if isinstance(given.get("type"), str) else False
    whole = any(isinstance(given.get(key), dict) for key in ("properties", "$defs"))
    return named or whole or any(key in given for key in ("$schema", "$ref"))


def _short(given: Any, depth: int) -> dict[str, Any]:
    if depth > _DEEPEST:
        raise UsageError(f"the output type is nested more than {_DEEPEST} deep", hint=_HINT)
    if isinstance(given, Mapping):
        return _short_object(given, depth)
    if isinstance(given, (list, tuple)):
        return _short_list(given, depth)
    if isinstance(given, (str, type)) and given in _SHORT:
        return {"type": _SHORT[given]}
    raise UsageError(f"{given!r:.60} is no output type", hint="str, int, float, bool, a list of values or an object")


def _short_object(given: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    if not given or not all(isinstance(name, str) for name in given):
        raise UsageError("an output type needs fields that have names", hint='write {"price": "int"}')
    fields = {name: _short(value, depth + 1) for name, value in given.items()}
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def _short_list(given: Sequence[Any], depth: int) -> dict[str, Any]:
    types = [item for item in given if isinstance(item, (Mapping, list, tuple, type)) or item in _SHORT]
    if len(given) == 1 and types:
        return {"type": "array", "items": _short(given[0], depth + 1)}
    if not given or types:
        raise UsageError(f"{given!r:.60} is no output type", hint='["str"] is an array, ["red", "green"] a choice')
    return {"enum": list(given)}


# ---- JSON schemas ---------------------------------------------------------------------------------------------------


def form_of(schema: Mapping[str, Any]) -> Form:
    """A schema made ready to be followed: bounded, and closed against fields that it does not name."""
    if not isinstance(schema, Mapping):
        raise UsageError("a JSON schema is an object", hint='write {"type": "object", "properties": …}')
    try:
        text = json.dumps(schema)
    except (TypeError, ValueError, RecursionError) as fault:
        raise UsageError("the schema is no JSON", hint=str(fault)[:80]) from None
    if len(text) > _LONGEST:
        raise UsageError(f"the schema has {len(text)} characters, more than {_LONGEST}", hint=_HINT)
    try:
        return _form(text)
    except (TypeError, ValueError, AttributeError, RecursionError):
        raise UsageError("the schema is not well formed: a part of it is not of the type it must be") from None


def _form(text: str) -> Form:
    bounded = _bounded(json.loads(text), close='"allOf"' not in text, depth=0)
    root = _Root(bounded)
    return Form(json.dumps(bounded), tuple(_fields(root)), _spare(bounded, root))


def _bounded(schema: Any, *, close: bool, depth: int) -> Any:
    """The schema with all that stands inside it. `close`: nothing else describes the same value, so that fields which
    are not named may be left out."""
    if depth > _DEEPEST:
        raise UsageError(f"the schema is nested more than {_DEEPEST} deep", hint=_HINT)
    if not isinstance(schema, dict):
        return schema
    made = {key: value for key, value in schema.items() if key not in ("x-guidance", "$schema")}
    for key, value in made.items():
        if key in _ROOMS and isinstance(value, dict):
            made[key] = {name: _bounded(part, close=close, depth=depth + 1) for name, part in value.items()}
        elif key in _CHOICES and isinstance(value, list):
            alone = close and not ({"properties", "$ref"} & made.keys()) and sum(k in made for k in _CHOICES) == 1
            made[key] = [_bounded(part, close=alone, depth=depth + 1) for part in value]
        elif key in ("prefixItems", *_INSIDE) and isinstance(value, list):
            made[key] = [_bounded(part, close=close, depth=depth + 1) for part in value]
        elif key in _INSIDE:
            made[key] = _bounded(value, close=close, depth=depth + 1)
        else:
            made[key] = _counted(key, value)
    if close and _can_close(made):
        made["additionalProperties"] = False
    return made


def _counted(key: str, value: Any) -> Any:
    """A count that a schema may name. What may be very much is less; what must be very much is refused."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        if key == "$ref" and not str(value).startswith("#"):
            raise UsageError("the schema points to another document", hint="a $ref must begin with #")
        return value
    if key in _LEAST and value > _LARGEST_LEAST:
        raise UsageError(f"{key} is {value}, more than {_LARGEST_LEAST}", hint=_HINT)
    return min(value, _LARGEST_COUNT) if key in _MOST else value


def _can_close(schema: Mapping[str, Any]) -> bool:
    named = schema.get("properties")
    if not isinstance(named, dict) or any(key in schema for key in ("$ref", "patternProperties", *_CHOICES)):
        return False
    needed = schema.get("required")
    return "additionalProperties" not in schema and (not isinstance(needed, list) or set(needed) <= set(named))


class _Root:
    """The whole schema, in which references are looked up."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema, self._followed = schema, 0

    def at(self, reference: str) -> Any:
        self._followed += 1
        if self._followed > _MOST_FOLLOWED:
            raise UsageError("the schema's references unfold into too many parts", hint=_HINT)
        return _at(self.schema, reference)


def _fields(root: _Root) -> Iterator[Field]:
    yield from _fields_of(root.schema, "", root, frozenset())


def _fields_of(schema: Any, name: str, root: _Root, seen: frozenset[str]) -> Iterator[Field]:
    """The fields of one value, in the order in which they are said; those of arrays are left out."""
    kinds = list(_kinds(schema, root, seen))
    values = tuple(kind for kind, _ in kinds if _is_value(kind))
    if values:
        yield Field(name, values)
    for kind, passed in kinds:
        named = kind.get("properties")
        for inner, part in named.items() if isinstance(named, dict) else ():
            yield from _fields_of(part, inner, root, passed)


def _kinds(schema: Any, root: _Root, seen: frozenset[str]) -> Iterator[tuple[dict[str, Any], frozenset[str]]]:
    """The schemas that a value may follow, with the references that led there: none is followed round in a circle."""
    if not isinstance(schema, dict):
        return
    for choice in _CHOICES:
        for part in schema.get(choice) or ():
            yield from _kinds(part, root, seen)
    found = schema.get("$ref")
    if isinstance(found, str):
        if found not in seen:
            yield from _kinds(root.at(found), root, seen | {found})
    elif isinstance(schema.get("type"), list):
        yield from (({**schema, "type": one}, seen) for one in schema["type"])
    else:
        yield schema, seen


def _at(root: Any, reference: str) -> Any:
    found = root
    for part in reference.lstrip("#").strip("/").split("/"):
        if part:
            found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found


def _is_value(kind: Mapping[str, Any]) -> bool:
    return "enum" in kind or "const" in kind or kind.get("type") in ("string", "integer", "number", "boolean")


# ---- how much one token can open ------------------------------------------------------------------------------------


def _spare(schema: Any, root: _Root) -> int:
    """A bound from above: what an item, a field that may be left out, or a choice costs at least."""
    if isinstance(schema, list):
        return max((_spare(part, root) for part in schema), default=_SPARE)
    if not isinstance(schema, dict):
        return _SPARE
    opened = [(0, schema[key]) for key in ("items", "additionalProperties") if key in schema]
    opened += [(0, part) for key in (*_CHOICES, "prefixItems") for part in schema.get(key) or ()]
    needed = schema.get("required") or ()
    for room in _ROOMS:
        parts = (schema.get(room) or {}).items()
        opened += [(_size(name), part) for name, part in parts if room != "properties" or name not in needed]
    inside = max((_spare(part, root) for part in _parts(schema)), default=_SPARE)
    return max([inside, *(_SPARE + size + _least(part, root, frozenset()) for size, part in opened)])


def _parts(schema: Mapping[str, Any]) -> Iterator[Any]:
    """The schemas that stand inside this one."""
    for room in _ROOMS:
        yield from schema.get(room, {}).values()
    for key in (*_CHOICES, "prefixItems"):
        yield from schema.get(key, ())
    yield from (schema[key] for key in _INSIDE if key in schema)


def _size(name: str) -> int:
    """Characters that the name of a field takes, with what stands around it."""
    return len(json.dumps(name)) + 4


def _least(schema: Any, root: _Root, seen: frozenset[str]) -> int:
    """Characters of a short value, about."""
    sizes = [_own_least(kind, root, passed) for kind, passed in _kinds(schema, root, seen)]
    return max(sizes, default=_SPARE)


def _own_least(kind: Mapping[str, Any], root: _Root, seen: frozenset[str]) -> int:
    named = kind.get("properties") or {}
    fields = sum(_size(name) + _least(named.get(name), root, seen) for name in kind.get("required") or ())
    items = int(kind.get("minItems") or 0) * (2 + _least(kind.get("items"), root, seen))
    listed = max((len(json.dumps(value)) for value in kind.get("enum", [kind.get("const")])), default=0)
    shaped = _SHAPED if "pattern" in kind or "format" in kind else 0
    return fields + items + listed + shaped + int(kind.get("minLength") or 0)


# ---- reading a reply ------------------------------------------------------------------------------------------------


def typed(text: str, schema: Mapping[str, Any]) -> Any:
    """What a reply says, as Python values; numbers that the schema does not call integers are floats."""
    try:
        found = json.loads(text)
    except ValueError:
        raise InputError(
            "the reply is no whole JSON", hint="it was cut off or the model abstained; give it more max_new_tokens"
        ) from None
    return _as(found, schema, schema, 0)


def _as(value: Any, schema: Any, root: Any, depth: int) -> Any:
    if depth > 4 * _DEEPEST or not isinstance(schema, Mapping):
        return value
    if "$ref" in schema:
        return _as(value, _at(root, str(schema["$ref"])), root, depth + 1)
    if isinstance(value, dict):
        named = schema.get("properties") or {}
        return {name: _as(part, named.get(name), root, depth + 1) for name, part in value.items()}
    if isinstance(value, list):
        return [_as(part, schema.get("items"), root, depth + 1) for part in value]
    whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if whole and schema.get("type") == "number" else value
