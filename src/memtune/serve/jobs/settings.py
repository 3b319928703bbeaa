"""What the reference's training arguments mean here, kind by kind.

Every argument is checked. It becomes settings of memtune where they have an equal for the kinds that are to be made,
and else it is named with the reason why it changes nothing. `table` writes the same rules down for the documentation.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memtune.config import KIND_NAMES, Config, IndexConfig
from memtune.errors import UsageError

Check = Callable[[str, Any], Any]
"""From an argument's name and value to the value as it is used; raises UsageError."""


@dataclass(frozen=True)
class Settled:
    """Training arguments as settings of memtune."""

    settings: tuple[str, ...]
    """`group.name=value`, as `Config.with_settings` takes them."""
    slots: int = 1
    """Workers that were asked for: gpus x nodes."""
    without_effect: tuple[str, ...] = ()
    """One sentence for each argument that changes nothing for this kind, and why."""


@dataclass(frozen=True)
class Argument:
    """One training argument."""

    check: Check
    steers: Mapping[str, str]
    """The setting that it becomes, by the kind of expert; `*` for all kinds."""
    else_why: str = ""
    """Why it changes nothing for the other kinds."""
    methods: tuple[str, ...] = ()
    """The indexes that read it, where only some do."""
    note: str = ""


# ---- checks -----------------------------------------------------------------------------------------------------


def _whole(least: int, most: int) -> Check:
    def check(name: str, value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise UsageError(f"{name} must be a whole number from {least} to {most:,}, not {_short(value)}")
        return value

    return check


def _number(least: float, most: float, *, above: bool = False) -> Check:
    def check(name: str, value: Any) -> float:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not fits or not least <= value <= most or (above and value == least):
            raise UsageError(
                f"{name} must be a number {'above' if above else 'from'} {least:g} to {most:g}, not {_short(value)}"
            )
        return value  # type: ignore[no-any-return]

    return check


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{name} must be true or false, not {_short(value)}")
    return value


def _one_of(*known: str) -> Check:
    def check(name: str, value: Any) -> str:
        if value not in known:
            near = difflib.get_close_matches(str(value), known, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
            raise UsageError(f"{name} must not be {_short(value)}", hint=hint)
        return str(value)

    return check


def _kinds(name: str, value: Any) -> str:
    named = value.split("+") if isinstance(value, str) else []
    if not named or not set(named) <= set(KIND_NAMES) or len(set(named)) < len(named):
        raise UsageError(f"{name} must be one of {', '.join(KIND_NAMES)}, or several joined by +, not {_short(value)}")
    return "+".join(named)


def _short(value: Any) -> str:
    return repr(value)[:80]


# ---- what each argument is --------------------------------------------------------------------------------------

_NO_STEPS = "the expert is found in closed form, without steps of training"
_PQ = ("IndexIVFPQ", "IndexHNSWPQ", "IndexPQ")
_IVF = ("IndexIVFFlat", "IndexIVFPQ")
_HNSW = ("IndexHNSWFlat", "IndexHNSWPQ")
_METHODS = ("IndexFlatL2", "IndexIVFFlat", "IndexIVFPQ", "IndexHNSWFlat", "IndexHNSWPQ", "IndexPQ")
_OPTIMISERS = (
    *("adafactor", "adamw_torch", "adamw_torch_fused", "adamw_hf", "adamw_apex_fused", "adamw_anyprecision"),
    *("adamw_bnb_8bit", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit", "lion_32bit", "lion_8bit"),
    *("adagrad", "rmsprop", "sgd"),
)


def _gradient(check: Check, setting: str, why: str = _NO_STEPS, note: str = "") -> Argument:
    return Argument(check, {"lora": setting}, why, note=note)


def _index(check: Check, setting: str, methods: tuple[str, ...] = ()) -> Argument:
    return Argument(check, {"*": setting}, methods=methods)


ARGUMENTS: Mapping[str, Argument] = {
    "max_steps": _gradient(_whole(1, 10_000_000), "lora.max_steps", note="of each fact's expert"),
    "learning_rate": _gradient(_number(0, 10, above=True), "lora.learning_rate"),
    "gradient_accumulation_steps": _gradient(_whole(1, 65_536), "lora.gradient_accumulation_steps"),
    "batch_size": _gradient(_whole(1, 65_536), "lora.batch_size", note="examples of one expert in one pass"),
    "max_finetuning_examples": _gradient(
        _whole(1, 1_000_000_000),
        "lora.max_finetuning_examples",
        "every row of the data is learned, each from one pass over it",
        "wordings of each fact; every row of the data is learned",
    ),
    "max_length": _gradient(
        _whole(1, 10_000_000), "lora.max_length", "a fact may be as long as the model's context", "tokens"
    ),
    "r_value": _gradient(_whole(1, 65_536), "lora.r_value", "the expert is no product of low-rank factors"),
    "lora_alpha": _gradient(
        _number(0, 1_000_000, above=True), "lora.alpha", "the expert is no product of low-rank factors"
    ),
    "early_stopping": _gradient(
        _flag, "lora.stop", note="false: every step is taken; true: an expert ends when its answer is likely enough"
    ),
    "save_steps": Argument(
        _whole(1, 10_000_000), {}, "every lot is committed when it is learned, and survives a crash"
    ),
    "optim": Argument(
        _one_of(*_OPTIMISERS), {}, "experts that are trained are trained with Adam, the others not at all"
    ),
    "temperature": Argument(_number(0, 100), {}, "it belongs to a request: say it when you ask"),
    "index_method": _index(_one_of(*_METHODS), "index.method"),
    "index_k": Argument(
        _whole(1, 1_000_000), {}, "the router looks at several facts closely and confirms one, or none"
    ),
    "index_max_size": Argument(_whole(1, 1_000_000_000), {}, "the index grows with the memory"),
    "index_pq_m": _index(_whole(1, 4096), "index.m", _PQ),
    "index_pq_nbits": _index(_whole(4, 12), "index.nbits", _PQ),
    "index_ivf_nlist": _index(_whole(1, 10_000_000), "index.nlist", _IVF),
    "index_ivf_nprobe": _index(_whole(1, 10_000_000), "index.nprobe", _IVF),
    "index_hnsw_m": _index(_whole(2, 512), "index.hnsw_m", _HNSW),
    "index_hnsw_efConstruction": _index(_whole(1, 1_000_000), "index.ef_construction", _HNSW),
    "index_hnsw_efSearch": _index(_whole(1, 1_000_000), "index.ef_search", _HNSW),
    "memtune_kind": Argument(_kinds, {"*": "learn.kind"}, note="which kind of expert is made; not in the reference"),
    "memtune_on_conflict": Argument(
        _one_of("error", "keep-first", "keep-last"),
        {"*": "learn.on_conflict"},
        note="one question with two answers; not in the reference",
    ),
}
_GPUS: Mapping[str, Check] = {"gpus": _whole(1, 100_000), "nodes": _whole(1, 100_000)}


def settle(kind: str, finetune_args: Mapping[str, Any] | None, gpu_config: Mapping[str, Any] | None = None) -> Settled:
    """Map and validate. An argument that nobody knows, or a value out of bounds, is a UsageError."""
    given = _checked("finetune_args", finetune_args, {name: a.check for name, a in ARGUMENTS.items()})
    wanted = _checked("gpu_config", gpu_config, _GPUS)
    kinds = str(given.get("memtune_kind", kind)).split("+")
    method = str(given.get("index_method", "auto"))
    settings, told = list[str](), list[str]()
    for name, value in given.items():
        setting, why = _meant(name, kinds, method)
        if setting:
            settings.append(f"{setting}={_written(name, value)}")
        if why:
            told.append(f"{name} has no effect: {why}")
    settled = tuple(_in_order([s for s in settings if s != "lora.stop="]))
    Config().with_settings(settled)
    return Settled(settled, wanted.get("gpus", 1) * wanted.get("nodes", 1), tuple(told))


def _checked(what: str, given: Mapping[str, Any] | None, checks: Mapping[str, Check]) -> dict[str, Any]:
    """The arguments that say something, in their order in the table."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise UsageError(f"{what} must be an object with fields")
    for name in given:
        if name not in checks:
            near = difflib.get_close_matches(str(name), checks, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(checks)}"
            raise UsageError(f"{what} knows no '{str(name)[:80]}'", hint=hint)
    return {name: check(name, given[name]) for name, check in checks.items() if given.get(name) is not None}


def _meant(name: str, kinds: Sequence[str], method: str) -> tuple[str | None, str | None]:
    """The setting that an argument becomes for these kinds, and why it changes nothing, if it does not."""
    argument = ARGUMENTS[name]
    setting = next((argument.steers[k] for k in ("*", *kinds) if k in argument.steers), None)
    if setting is None:
        return None, argument.else_why
    if argument.methods and method not in argument.methods:
        return setting, f"only {', '.join(argument.methods)} read it, and index_method is {method}"
    return setting, None


def _written(name: str, value: Any) -> str:
    if name == "early_stopping":
        return "" if value else "0"  # to stop early is how it is set anyway
    return str(value)


def _in_order(settings: Sequence[str]) -> Iterator[str]:
    """Settings are applied one by one, and nprobe may never be above nlist, not even in between."""
    values = dict(s.split("=", 1) for s in settings)
    if "index.nlist" in values and "index.nprobe" not in values:
        lists, usual = int(values["index.nlist"]), IndexConfig().nprobe
        if lists < usual:
            values = {"index.nprobe": str(lists), **values}
    larger = int(values.get("index.nprobe", 0)) > IndexConfig().nlist
    names = sorted(values, key=lambda name: (name == "index.nprobe") - (name == "index.nlist") if larger else 0)
    if not larger:
        names.sort(key=lambda name: (name == "index.nlist") - (name == "index.nprobe"))
    return (f"{name}={values[name]}" for name in names)


def table() -> str:
    """The rules as a table in Markdown: a row for each argument, a column for each kind."""
    lines = [
        f"| argument | {' | '.join(f'`{kind}`' for kind in KIND_NAMES)} | |",
        "|---|" + "---|" * (len(KIND_NAMES) + 1),
    ]
    for name, argument in ARGUMENTS.items():
        cells = []
        for kind in KIND_NAMES:
            setting = argument.steers.get("*") or argument.steers.get(kind)
            cells.append(f"`{setting}`" if setting else "–")
        remarks = [argument.note] if argument.note else []
        remarks += [f"only {', '.join(argument.methods)} read it"] if argument.methods else []
        remarks += [f"–: {argument.else_why}"] if argument.else_why else []
        lines.append(f"| {name} | {' | '.join(cells)} | {'; '.join(remarks)} |")
    return "\n".join(lines) + "\n"
