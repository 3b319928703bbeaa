"""/v1/memories/{name}/facts: list, learn, update, forget; set aside, bring back, take out of history."""

from __future__ import annotations

from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Path, Query

from memtune.core.facts import Fact, wording_hash
from memtune.errors import UnknownFact
from memtune.life import life_of, state_of
from memtune.model import MemoryModel
from memtune.serve.facts import shapes
from memtune.serve.facts.documented import CHANGING, faults
from memtune.serve.facts.doors import Door, ForAsker, Look, ToRule, ToTeach, conditions, opened
from memtune.serve.http.errors import Refused

router = APIRouter(tags=["facts"])

FactId = Annotated[str, Path(description="The fact's id.", max_length=512, examples=["price-1"])]
Where = Annotated[
    list[str],
    Query(description="`field=value`; only facts that have all of these.", max_length=16, examples=[["group=prices"]]),
]
After = Annotated[str | None, Query(description="`next` of the last answer, to go on.", max_length=64)]
Limit = Annotated[int, Query(description="Facts at most.", ge=1, le=1000)]
_IN_LISTING = 100_000
"""Facts that one request looks at when it is asked for a state, which nothing indexes."""


# ---- looking --------------------------------------------------------------------------------------------------------


@router.get("/memories/{name}/facts", responses=faults(), summary="List facts", response_model_exclude_none=True)
async def list_facts(
    door: ForAsker,
    limit: Limit = 100,
    after: After = None,
    where: Where = [],  # noqa: B006
    state: Annotated[shapes.State | None, Query(description="Only facts in this state.", examples=["active"])] = None,
) -> shapes.Facts:
    """Facts in the order in which they were learned. Those of a group that is hidden from the key are not there.
    Scope: `ask`."""

    def listed(look: Look) -> shapes.Facts:
        page = look.page(
            conditions(where),
            after,
            limit,
            keep=lambda ref, fact: state is None or state_of(look.folder, ref, fact, look.now) == state,
            look_at=_IN_LISTING,
        )
        return shapes.Facts(version=look.version, facts=[look.told(*row) for row in page.rows], next=page.next)

    return await door.read(listed)


@router.get(
    "/memories/{name}/facts/{fact_id:path}", responses=faults(), summary="Show a fact", response_model_exclude_none=True
)
async def show_fact(door: ForAsker, fact_id: FactId) -> shapes.FactDetail:
    """Everything about one fact: also what has become of it, and who taught it when. Scope: `ask`."""

    def shown(look: Look) -> shapes.FactDetail:
        ref, fact = look.row(fact_id)
        learned = dict(life_of(look.folder, fact_id).learned)
        return shapes.FactDetail(version=look.version, fact=look.told(ref, fact), learned=learned)

    return await door.read(shown)


# ---- changing -------------------------------------------------------------------------------------------------------


@router.post(
    "/memories/{name}/facts", responses=faults(*CHANGING), summary="Learn facts", response_model_exclude_none=True
)
async def learn_facts(door: ToTeach, body: shapes.Lesson) -> shapes.Learned:
    """Learn one fact or a few, at once: they are recalled from the moment of the answer on. All are looked at before
    any is learned. What the memory knows already is counted as a duplicate, so the same request may be sent again. Many
    facts are the work of a job: upload a file and start one. Scope: `teach`."""
    most = door.house.config.serve.at_once
    if len(body.facts) > most:
        raise Refused(
            413, f"{len(body.facts):,} facts; at most {most} are learned at once",
            hint="upload them as a file (POST /v1/files) and start a job (POST /v1/fine_tuning/jobs)",
        )  # fmt: skip
    rows = [fact.model_dump(exclude_none=True, exclude_defaults=True) for fact in body.facts]
    how = body.model_dump(include={"kind", "on_conflict", "proof"})

    def learned(model: MemoryModel) -> shapes.Learned:
        _require_own(door, rows)
        report = model.learn(rows, **how)
        ids = [Fact.from_row(row).id for row in rows]
        return shapes.Learned.model_validate({**report.to_json(), "ids": ids})

    return await door.write(learned)


@router.patch("/memories/{name}/facts/{fact_id:path}", responses=faults(*CHANGING), summary="Change a fact")
async def change_fact(door: ToTeach, fact_id: FactId, body: shapes.Patch) -> shapes.Changed:
    """Give a fact another answer, further wordings, or texts that it must not answer. Each is a version of its own;
    what is so already makes none. Scope: `teach`."""
    if body.answer is None and not body.phrasings and not body.never:
        raise Refused(400, "nothing is to change", hint="give answer, phrasings or never")

    def changed(model: MemoryModel) -> shapes.Changed:
        _require_seen(door, fact_id)
        if body.answer is not None and body.answer.strip() != model.fact(fact_id).answer:
            model.update(fact_id, answer=body.answer)
        for text in body.phrasings:
            model.phrase(fact_id, text)
        for text in body.never:
            model.phrase(fact_id, text, never=True)
        return shapes.Changed(version=model.version)

    return await door.write(changed)


@router.delete("/memories/{name}/facts/{fact_id:path}", responses=faults(*CHANGING), summary="Forget a fact")
async def forget_fact(door: ToTeach, fact_id: FactId) -> shapes.Forgotten:
    """Afterwards the model answers as if it had never learned it. Older versions still hold it: see purge.
    Scope: `teach`."""

    def forgotten(model: MemoryModel) -> shapes.Forgotten:
        _require_seen(door, fact_id)
        return shapes.Forgotten(forgotten=model.forget(fact_id), version=model.version)

    return await door.write(forgotten)


@router.delete("/memories/{name}/facts", responses=faults(*CHANGING), summary="Forget facts by field")
async def forget_facts(door: ToTeach, where: Where) -> shapes.Forgotten:
    """All facts that have these values, as far as the key may see them. Scope: `teach`."""
    wanted = conditions(where)
    if not wanted:
        raise Refused(400, "forget which facts?", hint="pass where=field=value")

    def forgotten(model: MemoryModel) -> shapes.Forgotten:
        with opened(door.house, door.key, door.name) as look:
            ids = [fact.id for _, fact in look.rows(wanted)]
        return shapes.Forgotten(forgotten=model.forget(*ids), version=model.version)

    return await door.write(forgotten)


@router.post("/memories/{name}/facts/{fact_id:path}/archive", responses=faults(*CHANGING), summary="Set a fact aside")
async def archive_fact(door: ToTeach, fact_id: FactId) -> shapes.Changed:
    """It stays in the memory and answers nothing. Scope: `teach`."""

    def archived(model: MemoryModel) -> shapes.Changed:
        _require_seen(door, fact_id)
        return shapes.Changed(version=model.archive(fact_id))

    return await door.write(archived)


@router.post(
    "/memories/{name}/facts/{fact_id:path}/restore", responses=faults(*CHANGING), summary="Bring an archived fact back"
)
async def restore_fact(door: ToTeach, fact_id: FactId) -> shapes.Changed:
    """Let it answer again. Scope: `teach`."""

    def restored(model: MemoryModel) -> shapes.Changed:
        _require_seen(door, fact_id)
        return shapes.Changed(version=model.restore(fact_id))

    return await door.write(restored)


@router.post(
    "/memories/{name}/facts/{fact_id:path}/purge", responses=faults(*CHANGING), summary="Take a fact out of history"
)
async def purge_fact(door: ToRule, fact_id: FactId) -> shapes.Purged:
    """Out of every version, for good; what was measured while it was there is measured anew. Scope: `admin`."""
    door.require_all()
    if door.at:
        raise Refused(400, "a fact is taken out of every version at once", hint="name the memory alone")

    def purged(model: MemoryModel) -> shapes.Purged:
        done = model.purge(fact_id)
        return shapes.Purged.model_validate({**done.to_json(), "version": model.version})

    done = await door.write(purged)
    await anyio.to_thread.run_sync(door.house.shelf.drop, door.memory)  # open versions still hold it in memory
    return done


# ---- what a key may touch -------------------------------------------------------------------------------------------


def _require_seen(door: Door, fact_id: str) -> None:
    with opened(door.house, door.key, door.name) as look:
        look.row(fact_id)


def _require_own(door: Door, rows: list[dict[str, Any]]) -> None:
    """Nothing is learned into a group that is hidden from the key, nor in the place of a fact of such a group."""
    if not door.key.hidden:
        return
    facts = [Fact.from_row(row) for row in rows]
    for fact in facts:
        if fact.group in door.key.hidden:
            raise Refused(403, f"this key may not see the group '{fact.group}', so it may not teach it")
    with opened(door.house, door.key, door.name) as look:
        hashes = [wording_hash(text) for fact in facts for text in fact.wordings]
        held = {fact_id for fact_id, _ in look.folder.by_wording(hashes).values()}
        for fact_id in look.folder.find([*held, *(fact.id for fact in facts)]):
            try:
                look.row(fact_id)
            except UnknownFact:
                raise Refused(409, "an id or a wording is taken by a fact that this key may not see") from None
