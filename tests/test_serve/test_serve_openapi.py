"""The whole OpenAPI document, tried with made requests: no server error, every error in the documented shape, every
answer as documented. And the document itself: nothing in it goes without saying."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastapi.routing
import pytest
import schemathesis
import tiny
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.model import MemoryModel
from memtune.serve.house import House
from memtune.serve.http.app import make_app
from memtune.serve.jobs import Plan
from memtune.serve.keys import LOCAL

DOCS = Path(__file__).resolve().parents[2] / "docs"
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
OPEN = {"/healthz", "/readyz", "/metrics"}
"""What answers without a key, or asks for one in its own way."""
OF_THE_REFERENCE = {513, 524, 594}
"""Statuses beyond 500 by which the reference tells of a request's own fault."""
_LONGEST = 4
"""Tokens of a reply: a made request may ask for thousands."""
_LENGTHS = ("max_tokens", "max_completion_tokens", "max_new_tokens", "n", "best_of", "sample")


class Tried:
    """A server on a tiny model, with something in it for every route."""

    def __init__(self, data: Path) -> None:
        config = Config().with_settings(
            [f"decode.max_new_tokens={_LONGEST}", "serve.wait_seconds=1", "inbox.keep=true", "serve.at_once=8"]
        )
        self.house = House(data, config)
        self.house.shelf._backbones["bundled"] = Backbone(tiny.model(), tiny.tokenizer())
        self.house.jobs.start = lambda: None  # type: ignore[method-assign]  # jobs wait: workers have tests of their own
        self.app = make_app(self.house)
        self.schema = schemathesis.openapi.from_asgi("/openapi.json", self.app)
        self.upload = ""
        self.stock()
        plan = Plan("made", data / "memories" / "made", "bundled", [self.upload])
        self.house.jobs.add(plan, LOCAL)
        self.answers: dict[str, Counter[int]] = {}
        """By route, how often each status was answered."""

    @property
    def answered(self) -> int:
        return sum(statuses.total() for statuses in self.answers.values())

    def stock(self) -> None:
        """What the last route may have taken away is there again."""
        for name in ("acme", "beta"):
            path = self.house.shelf.path(name)
            with MemoryModel(self.house.shelf.backbone(), path, config=self.house.config) as model:
                model.learn(tiny.facts(6), on_conflict="keep-first")
                if "draft" not in model.memory.folder.refs.branches:
                    model.branch("draft")
                model.ask("Who paints boats?", unknown="abstain")
                self.question = model.inbox.list()[0].id

        if self.upload not in [upload.id for upload in self.house.files.of(LOCAL)]:
            rows = [{"question": "Who is Bo?", "answer": "A pilot"}]
            self.upload = self.house.files.take_rows(rows, name="bo.jsonl", purpose="fine-tune", key=LOCAL).id

    def known(self, name: str) -> list[Any]:
        """Values that stand for something, of a parameter or a field."""
        return {
            "name": ["acme", "beta", "acme@v1", "acme@draft"],
            "new": [f"new-{self.answered}"],
            "memory": ["beta", "acme", "beta@v1"],
            "fact_id": [f"fact-{n}" for n in range(6)],
            "version": ["v1", "draft", "1"],
            "a": ["v1"],
            "b": ["v1", "draft"],
            "at": ["v1"],
            "ref": ["draft"],
            "model": ["acme", "base", "acme@v1"],
            "model_name": ["acme", "base"],
            "file_id": [self.upload],
            "training_file": [self.upload],
            "dataset_id": [self.upload],
            "job_id": ["ftjob-1", "1"],
            "question_id": [self.question],
            "facts": [[{"question": f"Who is guest {n}?", "answer": f"Guest {n}"}] for n in range(6)],
            "where": ["group=prices", "id=fact-1"],
        }.get(name, [])

    def steer(self, case: Any, turn: int) -> None:
        """Of most requests, let names be such that stand for something: else all that is tried is that names are not
        known. And let replies be short."""
        if turn and case.headers:
            case.headers.pop("If-Match", None)
        for held in (case.path_parameters, case.query, case.body):
            for name in list(held) if isinstance(held, dict) else ():
                values = self.known("new" if name == "name" and held is case.body else name)
                if turn and values and (held[name] or held is case.path_parameters):
                    value = values[turn % len(values)]
                    held[name] = [value] if isinstance(held[name], list) and isinstance(value, str) else value
                if name in _LENGTHS and isinstance(held[name], int | float) and held[name] > _LONGEST:
                    held[name] = _LONGEST


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tried]:
    made = Tried(tmp_path_factory.mktemp("tried"))
    yield made
    shutdown_lifespans()


def try_all(tried: Tried, examples: int) -> list[str]:
    """Faults, one line each, of made requests to every route: good ones and bad ones."""
    faults: list[str] = []
    for found in tried.schema.get_all_operations():
        operation = found.ok()
        tried.stock()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            faults += _try(tried, operation, mode, examples if mode is GenerationMode.POSITIVE else -(-examples // 2))
    return list(dict.fromkeys(faults))


def _try(tried: Tried, operation: Any, mode: GenerationMode, examples: int) -> list[str]:
    faults: list[str] = []

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), turn=st.sampled_from([1, 2, 3, 4, 5, 0]))
    def one(case: Any, turn: int) -> None:
        tried.steer(case, turn)
        response = case.call()
        tried.answers.setdefault(operation.label, Counter())[response.status_code] += 1
        said = f"{operation.label} {case.path_parameters} {case.query} {case.body!r:.300}: {response.status_code}"
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as fault:
            faults.extend(f"{said}: {' '.join(str(one).split()):.600}" for one in fault.exceptions)
        if response.status_code >= 500 and response.status_code not in OF_THE_REFERENCE:
            faults.append(f"{said}: {response.text:.300}")
        if response.status_code >= 400 and not _in_shape(response):
            faults.append(f"{said}: not in shape: {response.text:.300}")

    try:
        one()
    except Exception as fault:  # nothing can be made for it: nearly always because the document is wrong
        if "Unsatisfiable" not in type(fault).__name__ and "Unsatisfiable" not in str(fault):
            faults.append(f"{operation.label}: {type(fault).__name__}: {fault}")
    return faults


def _in_shape(response: Any) -> bool:
    body = response.json()
    if set(body) == {"detail"}:
        return isinstance(body["detail"], str)
    return set(body) == {"error"} and set(body["error"]) >= {"message", "type", "param", "code"}


def test_made_requests_are_answered_as_documented(tried: Tried) -> None:
    faults = try_all(tried, 4)
    assert not faults, "\n".join(faults)
    succeeded = [route for route, statuses in tried.answers.items() if any(status < 300 for status in statuses)]
    assert len(succeeded) > 0.75 * len(tried.answers), f"little was tried in earnest: {tried.answers}"


@pytest.mark.slow
def test_many_made_requests_are_answered_as_documented(tried: Tried) -> None:
    faults = try_all(tried, 150)
    assert not faults, "\n".join(faults)


# ---- the document ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def app(tried: Tried) -> FastAPI:
    return tried.app


def operations(app: FastAPI) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in app.openapi()["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def test_every_route_says_what_it_does_and_how_it_fails(app: FastAPI) -> None:
    lacking = []
    for method, path, said in operations(app):
        lacking += [f"{method} {path}: no {part}" for part in ("summary", "description", "tags") if not said.get(part)]
        if path not in OPEN:
            lacking += [
                f"{method} {path}: {n} is not documented" for n in (400, 401) if str(n) not in said["responses"]
            ]
        if "422" in said["responses"]:
            lacking.append(f"{method} {path}: 422 is documented, and never sent")
    assert not lacking, "\n".join(lacking)


def test_every_route_asks_for_a_scope_and_says_so(app: FastAPI) -> None:
    scopes = {}
    for route in getattr(fastapi.routing, "iter_route_contexts", iter)(app.routes):
        if dependant := getattr(route, "dependant", None):
            scopes.update({(method, route.path_format): _scopes(dependant) for method in route.methods})
    wrong = []
    for method, path, said in operations(app):
        asked = scopes[method, path]
        if path not in OPEN and not asked:
            wrong.append(f"{method} {path}: asks for no key")
        if path.startswith("/v1/memories") and f"Scope: `{min(asked)}`" not in " ".join(said["description"].split()):
            wrong.append(f"{method} {path}: does not say that it needs {asked}")
    assert not wrong, "\n".join(wrong)


def _scopes(dependant: Any) -> set[str]:
    """The scopes that the guards among the dependencies ask for."""
    found = set()
    for inner in dependant.dependencies:
        if getattr(inner.call, "__qualname__", "").startswith("caller."):
            found.add(inspect.getclosurevars(inner.call).nonlocals["scope"])
        found |= _scopes(inner)
    return found


def test_the_documentation_names_every_route(app: FastAPI) -> None:
    told = "\n".join(file.read_text() for file in sorted(DOCS.glob("*.md")))
    named = re.sub(r"\{\w+\}", "{}", _SIBLINGS.sub(_each, told))
    lacking = []
    for method, path, _ in operations(app):
        address = re.escape(re.sub(r"\{[^}]*\}", "{}", path).rstrip("/"))
        if not re.search(rf"\b{method} {address}/?(?![\w/{{-])", named):
            lacking.append(f"{method} {path}")
    assert not lacking, "\n".join(lacking)


_SIBLINGS = re.compile(r"`([A-Z]+ \S+)/\w+`((?:, `…/\w+`)+)")
"""Several routes that differ in their last word, as in `POST /jobs/{id}/cancel`, `…/pause`."""


def _each(found: re.Match[str]) -> str:
    others = re.findall(r"/(\w+)", found[2])
    return " ".join([found[0], *(f"{found[1]}/{last}" for last in others)])
