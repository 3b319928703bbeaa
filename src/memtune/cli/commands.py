"""How a function becomes a command: options in groups, faults in a line."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Iterator
from inspect import Parameter
from typing import Annotated, Any, TypeVar

import typer

from memtune.cli.faults import told_in_a_line

Function = TypeVar("Function", bound=Callable[..., None])
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of a fault.")]


def command(app: typer.Typer, name: str | None = None, **details: Any) -> Callable[[Function], Function]:
    """Register a function as a command of `app`.

    A parameter whose type is a dataclass stands for one option per field. Every command gets `--debug`.
    """

    def register(function: Function) -> Function:
        app.command(name or function.__name__, **details)(_runnable(function))
        return function

    return register


def _runnable(function: Function) -> Callable[..., None]:
    signature = inspect.signature(function, eval_str=True)
    groups: dict[str, Any] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if dataclasses.is_dataclass(parameter.annotation)
    }

    @functools.wraps(function)
    def run(*, debug: bool, **values: Any) -> None:
        with told_in_a_line(debug):
            for name, group in groups.items():
                values[name] = group(**{field.name: values.pop(field.name) for field in dataclasses.fields(group)})
            function(**values)

    options = [p for parameter in signature.parameters.values() for p in _flat(parameter)]
    options.append(Parameter("debug", Parameter.KEYWORD_ONLY, default=False, annotation=Debug))
    run.__signature__ = signature.replace(parameters=options)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in options}
    return run


def _flat(parameter: Parameter) -> Iterator[Parameter]:
    """The parameter itself, or one for each field of its dataclass."""
    if not dataclasses.is_dataclass(parameter.annotation):
        yield parameter.replace(kind=Parameter.KEYWORD_ONLY)
        return
    kinds = typing.get_type_hints(parameter.annotation, include_extras=True)
    for field in dataclasses.fields(parameter.annotation):
        yield Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=kinds[field.name])
