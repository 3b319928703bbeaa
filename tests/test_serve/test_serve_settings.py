"""The reference's training arguments: all of them are accepted, and what each does is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from memtune.config import KIND_NAMES, Config, setting_names
from memtune.errors import UsageError
from memtune.serve.jobs import settle
from memtune.serve.jobs.settings import ARGUMENTS, table

REFERENCE: dict[str, Any] = {
    "max_steps": 100, "learning_rate": 9e-4, "gradient_accumulation_steps": 2, "max_finetuning_examples": 500,
    "max_length": 2048, "save_steps": 60, "optim": "adafactor", "r_value": 64, "index_method": "IndexIVFPQ",
    "index_k": 2, "index_max_size": 65536, "index_pq_m": 8, "index_pq_nbits": 8, "index_ivf_nlist": 2048,
    "index_ivf_nprobe": 48, "index_hnsw_m": 32, "index_hnsw_efConstruction": 16, "index_hnsw_efSearch": 8,
    "batch_size": 1, "early_stopping": False, "temperature": 0, "lora_alpha": 1,
}  # fmt: skip
"""Every argument of the reference's documentation, with its default."""


def applied(settings: tuple[str, ...]) -> Config:
    return Config().with_settings(settings)


@pytest.mark.parametrize("kind", KIND_NAMES)
@pytest.mark.parametrize("name", REFERENCE)
def test_each_argument_either_steers_something_or_is_said_to_be_without_effect(kind: str, name: str) -> None:
    found = settle(kind, {name: REFERENCE[name]})
    assert found.settings or found.without_effect
    assert all(told.startswith(f"{name} has no effect: ") for told in found.without_effect)
    applied(found.settings)


def test_the_references_defaults_are_taken_all_at_once() -> None:
    found = settle("lora", REFERENCE, {"gpus": 8, "nodes": 2})
    config = applied(found.settings)
    assert found.slots == 16
    assert (config.lora.max_steps, config.lora.learning_rate, config.lora.r_value) == (100, 9e-4, 64)
    assert (config.lora.stop, config.lora.alpha, config.lora.batch_size) == (0, 1, 1)
    assert (config.lora.gradient_accumulation_steps, config.lora.max_length) == (2, 2048)
    assert (config.index.method, config.index.m, config.index.nbits) == ("IndexIVFPQ", 8, 8)
    assert (config.index.nlist, config.index.nprobe) == (2048, 48)
    unread = {told.split()[0] for told in found.without_effect}
    assert unread == {
        *("save_steps", "optim", "temperature", "index_k", "index_max_size"),
        *("index_hnsw_m", "index_hnsw_efConstruction", "index_hnsw_efSearch"),
    }


def test_a_closed_form_has_no_learning_rate() -> None:
    found = settle("imprint", {"max_steps": 50, "r_value": 32, "learning_rate": 0.0003})
    assert (found.settings, found.slots) == ((), 1)
    assert found.without_effect[1] == (
        "learning_rate has no effect: the expert is found in closed form, without steps of training"
    )
    assert len(found.without_effect) == 3
    both = settle("imprint+lora", {"learning_rate": 0.0003})
    assert (both.settings, both.without_effect) == (("lora.learning_rate=0.0003",), ())


@pytest.mark.parametrize("rate", [9e-4, 3e-4, 9e-5, 3e-5, 9e-6, 3e-6])
def test_every_rate_of_the_references_grid_is_taken(rate: float) -> None:
    assert applied(settle("lora", {"max_steps": 300, "learning_rate": rate}).settings).lora.learning_rate == rate


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"index_ivf_nlist": 16}, (16, 16)),
        ({"index_ivf_nlist": 16, "index_ivf_nprobe": 4}, (16, 4)),
        ({"index_ivf_nprobe": 1000, "index_ivf_nlist": 4096}, (4096, 1000)),
        ({"index_ivf_nprobe": 200}, (256, 200)),
    ],
)
def test_lists_and_those_that_are_searched_fit_together(given: dict[str, int], expected: tuple[int, int]) -> None:
    index = applied(settle("imprint", {"index_method": "IndexIVFPQ", **given}).settings).index
    assert (index.nlist, index.nprobe) == expected


def test_another_kind_can_be_asked_for() -> None:
    found = settle("imprint", {"memtune_kind": "lora", "r_value": 8, "memtune_on_conflict": "keep-last"})
    config = applied(found.settings)
    assert (config.learn.kind, config.lora.r_value, config.learn.on_conflict) == ("lora", 8, "keep-last")
    assert found.without_effect == ()


def test_nothing_given_means_nothing() -> None:
    for given in (None, {}, {"learning_rate": None, "max_steps": None}):
        assert settle("lora", given, {"gpus": None}).settings == ()
    assert settle("lora", {"early_stopping": True}).settings == ()


@pytest.mark.parametrize(
    ("given", "said", "hint"),
    [
        ({"learning_rat": 1e-3}, "knows no 'learning_rat'", "did you mean learning_rate"),
        ({"x" * 500: 1}, "knows no 'xxx", "known: max_steps"),
        ({"learning_rate": 0}, "a number above 0", None),
        ({"learning_rate": float("nan")}, "a number above 0", None),
        ({"learning_rate": "fast"}, "not 'fast'", None),
        ({"learning_rate": True}, "not True", None),
        ({"max_steps": 0}, "from 1 to", None),
        ({"max_steps": 1.5}, "a whole number", None),
        ({"max_steps": 10**30}, "a whole number", None),
        ({"early_stopping": 1}, "true or false", None),
        ({"index_method": "IndexFlat"}, "must not be 'IndexFlat'", "did you mean IndexFlatL2"),
        ({"index_method": ["a"]}, "must not be", "known: "),
        ({"index_pq_nbits": 3}, "from 4 to 12", None),
        ({"index_ivf_nprobe": 5000}, "nprobe must be at most nlist", None),
        ({"optim": "adam_w_torch"}, "must not be", "did you mean adamw_torch"),
        ({"memtune_kind": "imprint+imprint"}, "must be one of", None),
        ({"memtune_kind": 3}, "must be one of", None),
        (["max_steps"], "must be an object", None),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(given: Any, said: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as refused:
        settle("lora", given)
    assert said in refused.value.message
    assert len(refused.value.message) < 250
    assert "\n" not in refused.value.message
    if hint:
        assert hint in str(refused.value.hint)


@pytest.mark.parametrize("given", [{"gpus": 0}, {"gpu": 1}, {"nodes": "two"}, [8]])
def test_what_is_no_machine_is_refused(given: Any) -> None:
    with pytest.raises(UsageError):
        settle("imprint", None, given)


def test_every_setting_that_is_steered_exists() -> None:
    steered = {setting for argument in ARGUMENTS.values() for setting in argument.steers.values()}
    assert steered <= set(setting_names())
    assert REFERENCE.keys() <= ARGUMENTS.keys()


def test_the_documentation_says_the_same() -> None:
    page = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text("utf-8")
    assert table() in page
