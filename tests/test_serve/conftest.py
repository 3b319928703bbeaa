"""A real server process, asked by real clients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from servers import FACTS, Served, serving

from memtune import MemoryModel
from memtune.serve.database import Database
from memtune.serve.keys import SCOPES, Keys, Scope


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with the memory `acme` on the bundled model, and keys with all scopes, with one each, and with limits.

    Tests may add memories to it; `acme` stays as it is.
    """
    data = tmp_path_factory.mktemp("served")
    with MemoryModel(memory=data / "memories" / "acme") as llm:
        assert llm.learn(FACTS).learned == len(FACTS)
    everything: list[tuple[str, list[Scope], dict[str, object]]] = [
        ("all", list(SCOPES), {}),
        ("ask", ["ask"], {}),
        ("teach", ["teach"], {}),
        ("other", ["ask", "teach"], {"memories": ["elsewhere"]}),
        ("slow", ["ask"], {"per_minute": 2}),
    ]
    with closing(Database(data / "server.sqlite")) as database:
        known = Keys(database)
        secrets = {name: known.add(name, scopes, **limits)[0] for name, scopes, limits in everything}  # type: ignore[arg-type]
    with serving(data, keys=secrets) as running:
        yield running
