"""Settings: what is unknown or of the wrong type is refused, with the near ones named."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtune.checked import replace
from memtune.config import Config, DecodeConfig, LearnConfig, setting_names
from memtune.errors import UnknownSetting, UsageError

GROUPS = {group.name: getattr(Config(), group.name) for group in dataclasses.fields(Config)}


def test_every_field_is_a_setting() -> None:
    fields = [f"{name}.{field.name}" for name, group in GROUPS.items() for field in dataclasses.fields(group)]
    assert setting_names() == fields
    assert len(set(fields)) == len(fields)


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_groups_are_frozen_and_their_defaults_pass_their_own_check(group: Any) -> None:
    assert replace(group, **dataclasses.asdict(group)) == group
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(group, dataclasses.fields(group)[0].name, None)


@pytest.mark.parametrize("name", setting_names())
def test_every_default_can_be_written_as_text(name: str) -> None:
    group, _, key = name.partition(".")
    default = getattr(GROUPS[group], key)
    text = ",".join(default) if isinstance(default, tuple) else str(default)
    assert Config().with_settings([f"{name}={text}"]) == Config()


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("imprint.margin=12", 12.0),
        ("imprint.ridge=1e-4", 1e-4),
        (" learn.lot_size = 64 ", 64),
        ("learn.kind=imprint+kv", "imprint+kv"),
        ("decode.reroute=False", False),
        ("decode.reroute=true", True),
        ("decode.stop=###,END", ("###", "END")),
        ("decode.stop=", ()),
        ("decode.abstention=a=b", "a=b"),
    ],
)
def test_settings_are_applied(assignment: str, value: Any) -> None:
    config = Config().with_settings([assignment])
    group, _, key = assignment.partition("=")[0].strip().partition(".")
    found = getattr(getattr(config, group), key)
    assert (found, type(found)) == (value, type(value))
    others = {name: getattr(config, name) for name in GROUPS if name != group}
    assert others == {name: GROUPS[name] for name in others}


def test_later_settings_win() -> None:
    assert Config().with_settings(["learn.lot_size=1", "learn.lot_size=2"]).learn.lot_size == 2


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("imprint.margn", "imprint.margin"),
        ("lot_size", "learn.lot_size"),
        ("decode.temprature", "decode.temperature"),
    ],
)
def test_an_unknown_setting_names_the_near_ones(name: str, near: str) -> None:
    with pytest.raises(UnknownSetting, match=f"unknown setting '{name}'") as caught:
        Config().with_settings([f"{name}=1"])
    assert near in str(caught.value.hint)
    assert caught.value.exit_code == 2


def test_a_setting_like_no_other_lists_them_all() -> None:
    with pytest.raises(UnknownSetting) as caught:
        Config().with_settings(["zzz=1"])
    assert all(name in str(caught.value.hint) for name in setting_names())


@pytest.mark.parametrize(
    ("assignment", "reason"),
    [
        ("imprint.margin", "is not a setting"),
        ("imprint.margin=high", "imprint.margin must be a number, not 'high'"),
        ("imprint.margin=-1", "margin must be a number that is not negative"),
        ("imprint.margin=nan", "margin must be a number that is not negative"),
        ("learn.lot_size=1.5", "learn.lot_size must be a number"),
        ("learn.lot_size=-1", "lot_size must be a whole number"),
        ("decode.reroute=yes", "decode.reroute must be true or false, not 'yes'"),
        ("decode.top_p=7", "top_p must be above 0 and at most 1"),
        ("learn.lot_size=0", "lot_size must be at least 1"),
        ("learn.kind=imprnt", "kind must be one of imprint, kv, "),
    ],
)
def test_a_wrong_value_is_refused(assignment: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        Config().with_settings([assignment])


@pytest.mark.parametrize(
    "changes",
    [{"lot_size": "64"}, {"lot_size": True}, {"lot_size": 1.0}, {"kind": "other"}, {"on_conflict": None}],
)
def test_replace_checks_values_from_python(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        replace(LearnConfig(), **changes)


def test_replace_names_the_near_ones() -> None:
    with pytest.raises(UnknownSetting) as caught:
        replace(DecodeConfig(), temprature=0.5)
    assert str(caught.value.hint).startswith("did you mean temperature")
    assert replace(DecodeConfig(), temperature=1).temperature == 1


@given(st.text())
def test_any_text_is_a_setting_or_a_clear_refusal(text: str) -> None:
    try:
        Config().with_settings([text])
    except UsageError as error:
        assert error.exit_code == 2


@given(st.sampled_from(setting_names()), st.text())
def test_any_value_keeps_the_type_or_is_refused(name: str, text: str) -> None:
    try:
        config = Config().with_settings([f"{name}={text}"])
    except UsageError:
        return
    group, _, key = name.partition(".")
    kind = typing.get_type_hints(type(GROUPS[group]))[key]
    value = getattr(getattr(config, group), key)
    if kind in (int, float, bool, str):
        assert type(value) is kind
