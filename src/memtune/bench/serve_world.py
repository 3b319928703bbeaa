"""What the server of `memtune bench serve` is asked: memories with the same questions and other answers."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memtune.bench import engine
from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.errors import UsageError
from memtune.model import MemoryModel

NORTH, SOUTH, OLD, BASE = "north", "south", "north@v1", "base"
_SPREAD = 4
"""Answers are so many tokens shorter or longer, that not all end at one time."""
_MADE = "amber brass cedar clay copper glass granite ivory linen marble oak paper pearl silver stone velvet".split()
_THINGS = "anchor basket bell boat bridge candle clock crown door drum kettle lamp mirror ring spoon wheel".split()
_PLACES = "castle desert forest garden harbour meadow mill valley".split()


@dataclass
class World:
    """Memories in a data folder, and what their versions say."""

    data: Path
    questions: list[str]
    steps: list[int]
    """Tokens that the answer to each question takes, its end included."""
    says: dict[str, list[str]] = field(default_factory=dict)
    """The answers, by the model's name and in the order of the questions."""
    versions: dict[str, int] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        return self.data / "memories" / name

    def asked(self, model: str, places: Sequence[int] | None = None, *, called: str = "") -> list[dict[str, Any]]:
        """Requests to a model by name, with what is expected of the answer. `called`: another server's name for it."""
        return [self._one(model, place, called) for place in places or range(len(self.questions))]

    def _one(self, model: str, place: int, called: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": called or model,
            "messages": [{"role": "user", "content": self.questions[place]}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0,
        }
        if model in self.versions:
            expected = {"memory": model.partition("@")[0], "version": self.versions[model], "fired": True}
            if model in self.says:
                return {"body": body, **expected, "text": self.says[model][place]}
            return {"body": body | {"max_tokens": self.steps[place]}, **expected}
        expected = {} if called else {"memory": None, "version": None, "fired": False}
        return {"body": body | {"max_tokens": self.steps[place]}, **expected}


def make(backbone: Backbone, data: Path, config: Config, *, facts: int, tokens: int, seed: int, even: int = 0) -> World:
    """Two memories of imprints, one of them with two versions. All answers to a question have the same length.

    `even`: so many of the first facts differ in nothing but what they say.
    """
    drawn = random.Random(seed)
    questions = _questions(backbone, facts, tokens + _SPREAD, drawn)
    spread = [0 if place < even else drawn.randint(-_SPREAD, _SPREAD) for place in range(facts)]
    world = World(data, questions, [tokens + more for more in spread])
    for name in (OLD, NORTH, SOUTH):
        answers = _answers(backbone, world.steps, drawn)
        world.says[name] = answers
        world.versions[name] = learn(backbone, world, name.partition("@")[0], answers, config, "imprint")
    return world


def add(backbone: Backbone, world: World, kind: str, config: Config) -> str:
    """A memory of another kind with the facts of the northern one; what it says is not compared word by word."""
    world.versions[kind] = learn(backbone, world, kind, world.says[NORTH], config, kind)
    return kind


def learn(backbone: Backbone, world: World, name: str, answers: Sequence[str], config: Config, kind: str) -> int:
    rows: list[Mapping[str, Any] | Fact] = [
        {"id": f"fact-{i}", "question": question, "answer": answer}
        for i, (question, answer) in enumerate(zip(world.questions, answers, strict=True))
    ]
    with MemoryModel(backbone, world.path(name), config=config) as model:
        report = model.learn(rows, kind=kind, on_conflict="keep-last")
        engine.require_learned(report, lambda found: kind == "kv" or found.learned == found.facts)
        return model.version


def _questions(backbone: Backbone, n: int, longest: int, drawn: random.Random) -> list[str]:
    """To which the model alone would say as much as a fact does: so all are the same work to a server."""
    every = [f"Tell a story about the {m} {t} in the {p}." for m in _MADE for t in _THINGS for p in _PLACES]
    drawn.shuffle(every)
    alone, found = MemoryModel(backbone), list[str]()
    for part in engine.in_batches(every):
        answers = alone.ask(list(part), memory=False, max_new_tokens=longest, batch_size=engine.BATCH)
        found += [question for question, answer in zip(part, answers, strict=True) if answer.finish == "length"]
        if len(found) >= n:
            return found[:n]
    raise UsageError(f"this model says as much as a fact to {len(found)} questions, not {n}", hint="fewer --facts")


def _answers(backbone: Backbone, steps: Sequence[int], drawn: random.Random) -> list[str]:
    """Made-up sentences of these lengths, none twice."""
    words = [*_MADE, *_THINGS, *_PLACES]
    tail = backbone.template.question("?").tail

    def sentences() -> Iterator[str]:
        while True:
            yield " ".join(drawn.choice(words) for _ in range(drawn.randint(2, max(3, max(steps))))).capitalize() + "."

    wanted: dict[int, list[int]] = {}
    for place, length in enumerate(steps):
        wanted.setdefault(length - 1, []).append(place)
    found, seen, made = [""] * len(steps), set[str](), sentences()
    for _ in range(400):
        tried = [text for text in itertools.islice(made, 256) if text not in seen]
        for text, ids in zip(tried, backbone.writer.tokens(tried, tail), strict=True):
            places = wanted.get(len(ids or ()))
            if places and text not in seen:
                found[places.pop()] = text
                seen.add(text)
        if not any(wanted.values()):
            return found
    raise UsageError("no answers of this length could be made up", hint="another --tokens")
