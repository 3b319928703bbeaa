"""Asking a memory, and asking about it: search, explain, certify, evaluate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal

import anyio
import anyio.to_thread
from fastapi import APIRouter, Query

from memtune.core.facts import Fact
from memtune.core.reports import Answer
from memtune.evaluate.made import Learned, near_miss
from memtune.evaluate.stats import Rate
from memtune.life import state_of
from memtune.model import MemoryModel
from memtune.serve.desk import Asking
from memtune.serve.facts import shapes
from memtune.serve.facts.documented import faults
from memtune.serve.facts.doors import Door, ForAsker, ForTeacher, Look
from memtune.serve.facts.facts import After, FactId
from memtune.serve.http.errors import Refused

router = APIRouter(tags=["asking"])

_IN_TEXT = 100_000
"""Facts that one search by text looks at; the next one goes on from there."""
_AT_ONCE = 16
"""Questions of an evaluation that are on their way at one time: others want to ask as well."""
_FOR_NEAR_MISSES = 20_000
"""A near miss is one only if no fact at all is meant, so all are read: in larger memories `memtune eval` does it."""


@router.post("/memories/{name}/ask", responses=faults(), summary="Ask a memory")
async def ask_memory(door: ForAsker, body: shapes.Asking) -> shapes.Reply:
    """One question, and the facts that its answer used. Chats, streams and formats: POST /v1/chat/completions.
    Scope: `ask`."""
    door.path()
    decode = body.model_dump(include={"unknown", "max_new_tokens"}, exclude_none=True)
    with door.plainly():
        answer = await door.house.desk.ask(Asking(door.name, body.question, decode=decode), door.key)
    return shapes.Reply.model_validate(answer.to_json())


@router.post("/memories/{name}/explain", responses=faults(), summary="Explain what the router does")
async def explain_question(door: ForAsker, body: shapes.Question) -> shapes.Explained:
    """What the router makes of a question: what it proposed, what it confirmed, and why or why not. Scope: `ask`."""
    version, found = await _routed(door, body.question)
    return shapes.Explained.model_validate({**found, "version": version})


@router.get("/memories/{name}/search", responses=faults(), summary="Search for facts", response_model_exclude_none=True)
async def search_facts(
    door: ForAsker,
    q: Annotated[str, Query(description="What is looked for.", min_length=1, max_length=2000, examples=["Zorblat"])],
    by: Annotated[
        Literal["text", "router"],
        Query(description="`text`: facts that hold these words; `router`: facts that this could ask for."),
    ] = "text",
    limit: Annotated[int, Query(description="Facts at most.", ge=1, le=200)] = 20,
    after: After = None,
) -> shapes.Hits:
    """Facts by their words, or by what the router would look at if this were asked. Scope: `ask`."""
    if by == "router":
        if after is not None:
            raise Refused(400, "a search by the router has one answer", hint="leave `after` out")
        _, found = await _routed(door, q)
        return await door.read(lambda look: _proposed(look, found, limit))

    words = q.casefold().split()

    def searched(look: Look) -> shapes.Hits:
        page = look.page(None, after, limit, keep=lambda ref, fact: _holds(fact, words), look_at=_IN_TEXT)
        hits = [shapes.Hit(fact=look.told(*row)) for row in page.rows]
        return shapes.Hits(version=look.version, hits=hits, next=page.next)

    return await door.read(searched)


@router.post("/memories/{name}/facts/{fact_id:path}/certify", responses=faults(), summary="Certify a forgotten fact")
async def certify_fact(door: ForTeacher, fact_id: FactId) -> shapes.Certified:
    """Show that a fact is forgotten: at its wordings the model with the memory is the plain model, bit for bit. Said of
    a fact that is there, it tells so. Scope: `teach`."""
    return await _certified(door, fact_id=fact_id)


@router.post("/memories/{name}/certify", responses=faults(), summary="Certify a prompt")
async def certify_prompt(door: ForTeacher, body: shapes.CertifyAsked) -> shapes.Certified:
    """Show that no fact answers a prompt: the logits are the plain model's, bit for bit. Scope: `teach`."""
    return await _certified(door, prompt=body.prompt, max_new_tokens=body.max_new_tokens)


@router.post("/memories/{name}/eval", responses=faults(), summary="Evaluate a memory")
async def evaluate_memory(door: ForTeacher, body: shapes.EvalAsked) -> shapes.Evaluated:
    """Ask for a sample of its facts as users would, and for what is nearly learned and should not fire. The same seed
    draws the same sample. `memtune eval` shows more: other wordings, baselines, contamination. Scope: `teach`."""
    version, sample, misses, remarks = await door.read(lambda look: _drawn(look, body))
    recalled = await _answers(door, [fact.question for fact in sample], {})
    missed = [f.id for f, a in zip(sample, recalled, strict=True) if not _recalled(f, a)]
    beside = await _answers(door, misses, {"max_new_tokens": 1})
    return shapes.Evaluated(
        version=version,
        seed=body.seed,
        recalled=_share(len(sample) - len(missed), len(sample)),
        missed=missed,
        fired_at_near_misses=_share(sum(answer.fired for answer in beside), len(beside)) if misses else None,
        remarks=remarks,
    )


# ---- how ------------------------------------------------------------------------------------------------------------


async def _routed(door: Door, question: str) -> tuple[int, dict[str, Any]]:
    """What the router made of a question, as if facts that are hidden from the key were not there."""

    def routed() -> tuple[int, dict[str, Any]]:
        with door.plainly():
            model = _model(door)
            hidden = {"hidden": door.key.hidden} if door.key.hidden else {}
            found = model.explain(question, **hidden)
            return model.version, found.to_json()

    version, found = await anyio.to_thread.run_sync(routed)
    door.tag(version)
    return version, found


def _model(door: Door) -> MemoryModel:
    door.path()
    return door.house.shelf.find(door.name, door.key).model


def _proposed(look: Look, found: dict[str, Any], limit: int) -> shapes.Hits:
    """The facts that were proposed, each once, the surest first."""
    best: dict[str, dict[str, Any]] = {}
    for row in sorted(found["proposals"], key=lambda row: (not row["confirmed"], -row["score"])):
        best.setdefault(row["id"], row)
    there = look.folder.find(best)
    hits = []
    for fact_id, row in best.items():
        if fact_id in there and look.sees(fact := look.folder.at(*there[fact_id])):
            told = look.told(there[fact_id], fact)
            hits.append(shapes.Hit(fact=told, score=row["score"], confirmed=row["confirmed"], why=row["why"]))
    return shapes.Hits(version=look.version, hits=hits[:limit])


def _holds(fact: Fact, words: Sequence[str]) -> bool:
    text = "\n".join((fact.id, *fact.wordings, fact.answer, fact.source or "", fact.group or "")).casefold()
    return all(word in text for word in words)


async def _certified(door: Door, **what: Any) -> shapes.Certified:
    door.require_all()

    def certified() -> shapes.Certified:
        with door.plainly():
            model = _model(door)
            model.refresh()
            found = model.certify(what.pop("fact_id", None), **what)
        said = replace(found, memory=door.name, backbone=Path(found.backbone).name).to_json()
        return shapes.Certified.model_validate(said)

    return await anyio.to_thread.run_sync(certified)


def _drawn(look: Look, body: shapes.EvalAsked) -> tuple[int, list[Fact], list[str], list[str]]:
    """Facts to ask for, and questions that none of them answers."""
    facts, remarks = list[Fact](), list[str]()
    draw = Random(f"evaluation {body.seed}")
    for seen, fact in enumerate(_in_use(look), 1):
        if len(facts) < body.sample:
            facts.append(fact)
        elif (at := draw.randrange(seen)) < body.sample:
            facts[at] = fact
    misses: list[str] = []
    if body.near_misses and look.folder.count() > _FOR_NEAR_MISSES:
        remarks.append(
            f"no near misses: the memory holds more than {_FOR_NEAR_MISSES:,} facts; `memtune eval` asks some"
        )
    elif body.near_misses:
        learned = Learned(fact for _, fact in look.folder.rows())  # also what the key does not see must not be asked
        made = [near_miss(fact, learned, body.seed) for fact in facts]
        misses = [str(case.question) for case in made if case is not None]
        if not misses:
            remarks.append("no near misses: no question names a thing whose name could be exchanged")
    return look.version, facts, misses, remarks


def _in_use(look: Look) -> Iterator[Fact]:
    """Facts that can be asked for word for word."""
    for ref, fact in look.rows(None):
        if not fact.passage and state_of(look.folder, ref, fact, look.now) == "active":
            yield fact


async def _answers(door: Door, questions: Sequence[str], decode: dict[str, Any]) -> list[Answer]:
    """The answers in the order of the questions, through the desk at which everybody asks."""
    found: dict[int, Answer] = {}
    failed: list[Exception] = []
    places = anyio.CapacityLimiter(_AT_ONCE)

    async def one(at: int, question: str) -> None:
        async with places:
            try:
                with door.plainly():
                    found[at] = await door.house.desk.ask(Asking(door.name, question, decode=decode), door.key)
            except Exception as fault:  # the first one is told, as if it had been asked alone
                failed.append(fault)
                asked.cancel_scope.cancel()

    async with anyio.create_task_group() as asked:
        for at, question in enumerate(questions):
            asked.start_soon(one, at, question)
    if failed:
        raise failed[0]
    return [found[at] for at in range(len(questions))]


def _recalled(fact: Fact, answer: Answer) -> bool:
    return answer.text == fact.answer and [used.id for used in answer.facts] == [fact.id]


def _share(n: int, of: int) -> shapes.Share:
    low, high = Rate(n, of).interval or (0.0, 1.0)
    return shapes.Share(n=n, of=of, low=round(low, 4), high=round(high, 4))
