"""The options that several commands share, each written once; defaults come from `memtune.config`."""

from __future__ import annotations

import dataclasses
import typing
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer
from typer.models import OptionInfo

from memtune.checked import replace
from memtune.cli import opening
from memtune.config import DEFAULT_MODEL, Config, DecodeConfig, LearnConfig
from memtune.errors import UsageError

if TYPE_CHECKING:
    from memtune.history import History
    from memtune.inbox import Inbox
    from memtune.model import MemoryModel
    from memtune.store import MemoryFolder

DEFAULT_MEMORY = Path("memory")

Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]
Author = Annotated[
    str | None, typer.Option("--author", metavar="NAME", help="Who signs the change; user@host if not given.")
]
System = Annotated[str | None, typer.Option("--system", metavar="TEXT", help="A system prompt before the question.")]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="K=V", help="Facts whose field K is V, such as group=prices; may be repeated."),
]
Model = Annotated[str, typer.Option("--model", metavar="M", help="The model: a folder, a hub name, or 'bundled'.")]
KeepUnanswered = Annotated[
    bool, typer.Option("--inbox", help="Keep questions that no fact answers in the memory's inbox.")
]
Seed = Annotated[int, typer.Option("--seed", help="Of every draw.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting, such as imprint.margin=12; may be repeated."),
]

_STANDS_FOR = {int: "N", float: "X"}


def setting(group: type, name: str, about: str) -> OptionInfo:
    """An option that overrides one setting: its default and its choices are read from the setting itself."""
    kind = typing.get_type_hints(group)[name]
    default = getattr(group, name)
    choices = typing.get_args(kind) if typing.get_origin(kind) is Literal else ()
    option: OptionInfo = typer.Option(
        f"--{name.replace('_', '-')}",
        help=about if default == () else f"{about} [default: {default}]",
        metavar="|".join(choices) or _STANDS_FOR.get(kind, "TEXT"),
    )
    return option


@dataclass(frozen=True)
class Folder:
    """The memory, for commands that need no model."""

    memory: Annotated[Path, typer.Option("--memory", metavar="DIR", help="The folder of the memory.")] = DEFAULT_MEMORY
    at: Annotated[
        str | None, typer.Option("--at", metavar="VERSION", help="A version, branch or tag of it: DIR@VERSION.")
    ] = None

    @property
    def address(self) -> Path:
        """`DIR`, or `DIR@VERSION`."""
        return self.memory if self.at is None else opening.address(self.memory, self.at)

    def open(self) -> MemoryFolder:
        return opening.open_folder(self.address)

    def inbox(self) -> Inbox:
        """The questions that the memory could not answer."""
        return opening.open_inbox(self.address)

    def open_history(self, author: str | None = None) -> History:
        return opening.open_history(self.address, author)


@dataclass(frozen=True)
class Place(Folder):
    """The memory, the model that it is for, and the settings of this run."""

    model: Model = DEFAULT_MODEL
    settings: Settings = None

    @property
    def config(self) -> Config:
        return Config().with_settings(self.settings or ())

    def keeping(self, unanswered: bool) -> Place:
        """The same place, with questions that go unanswered kept if that is asked for."""
        wanted = [*(self.settings or ()), "inbox.keep=true"] if unanswered else self.settings
        return dataclasses.replace(self, settings=wanted)

    def load(self, author: str | None = None) -> closing[MemoryModel]:
        """The model with its memory, which has to be there: said before anybody waits for the model."""
        self.open().close()
        return self.load_to_learn(author)

    def load_to_learn(self, author: str | None = None) -> closing[MemoryModel]:
        """The model with a memory that is made if it is not there."""
        return closing(opening.load_model(self.model, self.address, self.config, author))

    def load_plain(self) -> closing[MemoryModel]:
        """The model alone."""
        return closing(opening.load_model(self.model, None, self.config))


@dataclass(frozen=True)
class Measuring:
    """How a measurement runs: what its draws come from, and how much of the machine it takes."""

    seed: Seed = 0
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Of the processor; default: those of torch.")
    ] = None

    def begin(self) -> None:
        """Before anything is loaded."""
        if self.threads:
            opening.use_threads(self.threads)


@dataclass(frozen=True)
class Measured(Measuring):
    """A measurement that makes its memories itself, on a model and with the settings of this run."""

    model: Model = DEFAULT_MODEL
    settings: Settings = None

    @property
    def config(self) -> Config:
        return Config().with_settings(self.settings or ())

    def load(self) -> MemoryModel:
        """The model alone."""
        self.begin()
        return opening.load_model(self.model, None, self.config)


@dataclass(frozen=True)
class Overrides:
    """Settings of one group that have options of their own; what is not given is left to the configuration."""

    group: ClassVar[type]

    def __post_init__(self) -> None:
        replace(self.group(), **self.given)  # refuses a wrong value before anything is loaded

    @property
    def given(self) -> dict[str, Any]:
        """The settings that were given, by the names that the configuration has for them."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
            if value is not None
        }


@dataclass(frozen=True)
class Learning(Overrides):
    """How facts are learned."""

    group = LearnConfig

    kind: Annotated[
        str | None, setting(LearnConfig, "kind", "How facts are kept: imprint recites, kv knows, imprint+kv does both.")
    ] = None
    on_conflict: Annotated[
        str | None, setting(LearnConfig, "on_conflict", "What to do about one question with two answers.")
    ] = None
    proof: Annotated[
        str | None, setting(LearnConfig, "proof", "Prove by replay and a sample, or decode every fact.")
    ] = None


@dataclass(frozen=True)
class Decoding(Overrides):
    """How an answer is decoded."""

    group = DecodeConfig

    unknown: Annotated[
        str | None,
        setting(DecodeConfig, "unknown", "Who answers the unknown: the base model, nobody, or a question back."),
    ] = None
    temperature: Annotated[
        float | None, setting(DecodeConfig, "temperature", "0 takes the likeliest token, more is freer.")
    ] = None
    top_p: Annotated[float | None, setting(DecodeConfig, "top_p", "Sample from the likeliest tokens of this mass.")] = (
        None
    )
    seed: Annotated[int | None, setting(DecodeConfig, "seed", "The seed of the sampling.")] = None
    max_new_tokens: Annotated[int | None, setting(DecodeConfig, "max_new_tokens", "Tokens of one answer at most.")] = (
        None
    )
    stop: Annotated[
        list[str] | None, setting(DecodeConfig, "stop", "End the answer before this text; may be repeated.")
    ] = None


def conditions(where: list[str] | None) -> dict[str, str] | None:
    """`["group=prices"]` → `{"group": "prices"}`; None when nothing is asked for."""
    wanted: dict[str, str] = {}
    for text in where or ():
        field, equals, value = text.partition("=")
        if not field or not equals:
            raise UsageError(f"'{text}' is not a condition", hint="write field=value, as in --where group=prices")
        if field in wanted:
            raise UsageError(f"--where names '{field}' twice", hint="a fact has one value in each field")
        wanted[field] = value
    return wanted or None
