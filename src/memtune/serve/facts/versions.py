"""/v1/memories/{name}/versions: what a memory was, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Query

from memtune.core.facts import Fact
from memtune.errors import UnknownFact
from memtune.history import History
from memtune.model import MemoryModel
from memtune.serve.facts import shapes
from memtune.serve.facts.documented import CHANGING, faults
from memtune.serve.facts.doors import Door, ForAsker, Look, ToTeach, fact_out, path_of
from memtune.serve.http.errors import Refused
from memtune.store import MemoryFolder
from memtune.store.accounts import Version as Told
from memtune.store.difference import Difference

router = APIRouter(tags=["versions"])

Version = Annotated[
    str,
    Path(description="A number, `v12`, a branch or a tag.", min_length=1, max_length=96, examples=["v12"]),
]
Limit = Annotated[int, Query(description="Of each kind of change, at most.", ge=1, le=10_000)]


# ---- looking --------------------------------------------------------------------------------------------------------


@router.get("/memories/{name}/versions", responses=faults(), summary="List versions", response_model_exclude_none=True)
async def list_versions(
    door: ForAsker, limit: Annotated[int, Query(description="Versions at most.", ge=1, le=1000)] = 50
) -> shapes.Log:
    """The versions that this one comes from, newest first, and the names that versions have. Scope: `ask`."""

    def listed(look: Look) -> shapes.Log:
        history = History(look.folder)
        found = list(history.log(limit=limit + 1))
        return shapes.Log(
            version=look.version,
            versions=[_told(door, look, version) for version in found[:limit]],
            more=len(found) > limit,
            branches=history.names("branch"),
            tags=history.names("tag"),
            candidates=history.candidates(),
        )

    return await door.read(listed)


@router.get(
    "/memories/{name}/versions/diff", responses=faults(), summary="Compare versions", response_model_exclude_none=True
)
async def compare_versions(
    door: ForAsker,
    a: Annotated[str, Query(description="The older one.", min_length=1, max_length=96, examples=["v12"])],
    b: Annotated[
        str | None, Query(description="The newer one; the present one if left out.", min_length=1, max_length=96)
    ] = None,
    limit: Limit = 1000,
) -> shapes.Diff:
    """The facts that b holds and a does not, those that differ, and those that are gone. Scope: `ask`."""

    def compared(look: Look) -> shapes.Diff:
        return _diff(look, a, b or f"v{look.version}", History(look.folder).diff(a, b), limit)

    return await door.read(compared)


@router.get(
    "/memories/{name}/versions/{version}",
    responses=faults(),
    summary="Show a version",
    response_model_exclude_none=True,
)
async def show_version(door: ForAsker, version: Version, limit: Limit = 1000) -> shapes.VersionDetail:
    """Who made it when, and what it changed. Scope: `ask`."""

    def shown(look: Look) -> shapes.VersionDetail:
        told, difference = History(look.folder).show(version)
        parent = told.commit.parent or 0
        changes = _diff(look, f"v{parent}", f"v{told.commit.version}", difference, limit)
        return shapes.VersionDetail(version=_told(door, look, told), changes=changes)

    return await door.read(shown)


# ---- changing -------------------------------------------------------------------------------------------------------


@router.post("/memories/{name}/versions/promote", responses=faults(*CHANGING), summary="Promote a candidate")
async def promote_version(door: ToTeach, body: shapes.Promotion) -> shapes.Changed:
    """Serve what was learned and waits. Answers come from it at once. Scope: `teach`."""
    return await _changed(door, lambda model: model.promote(body.version))


@router.post("/memories/{name}/versions/rollback", responses=faults(*CHANGING), summary="Roll back")
async def roll_back(door: ToTeach, body: shapes.Which) -> shapes.Changed:
    """Hold again what a version held, as a new version: nothing is lost. Scope: `teach`."""
    return await _changed(door, lambda model: model.rollback(body.version))


@router.post("/memories/{name}/versions/branches", responses=faults(*CHANGING), summary="Begin a branch")
async def begin_branch(door: ToTeach, body: shapes.Naming) -> shapes.Changed:
    """A line of versions of its own; `NAME@branch` asks it and writes to it. Scope: `teach`."""
    return await _changed(door, lambda model: model.branch(body.name, body.at))


@router.post("/memories/{name}/versions/tags", responses=faults(*CHANGING), summary="Tag a version")
async def tag_version(door: ToTeach, body: shapes.Naming) -> shapes.Changed:
    """Give a version a name that stays with it. Scope: `teach`."""
    return await _changed(door, lambda model: model.tag(body.name, body.at))


@router.delete(
    "/memories/{name}/versions/names/{ref}", responses=faults(*CHANGING), summary="Take a branch or tag away"
)
async def remove_name(
    door: ToTeach, ref: Annotated[str, Path(description="A branch or a tag.", min_length=1, max_length=96)]
) -> shapes.Removed:
    """The versions that it led to go with the next collection, unless something else leads to them. Scope: `teach`."""
    door.require_all()
    return await door.write(lambda model: shapes.Removed(name=ref, version=model.memory.history.delete(ref)))


@router.post("/memories/{name}/versions/{version}/notes", responses=faults(*CHANGING), summary="Note something")
async def note_version(door: ToTeach, version: Version, body: shapes.NoteIn) -> shapes.Changed:
    """Say something about a version without changing it. A note stays, also when facts are purged. Scope: `teach`."""
    return await _changed(door, lambda model: model.note(version, body.text, body.data))


@router.post(
    "/memories/{name}/versions/merge", responses=faults(*CHANGING), summary="Merge", response_model_exclude_none=True
)
async def merge_version(door: ToTeach, body: shapes.MergeAsked) -> shapes.Merged:
    """Join a version of this memory, or another memory of this server on the same backbone, into this one. Nothing is
    learned again. Facts on which they do not agree are refused (409), or settled as asked. Scope: `teach`; `admin`
    where another memory is joined."""
    door.require_all()
    if (body.memory is None) == (body.version is None):
        raise Refused(400, "merge what?", hint="name either a memory of this server or a version of this memory")
    if body.memory is not None and not door.key.may("admin"):
        raise Refused(403, "this key may not admin", hint="joining another memory needs the scope admin")

    def merged(model: MemoryModel) -> shapes.Merged:
        done = model.merge(_address(door, model, body), on_conflict=body.on_conflict).to_json()
        return shapes.Merged.model_validate({"skills": {}, **done})

    return await door.write(merged)


# ---- how ------------------------------------------------------------------------------------------------------------


async def _changed(door: Door, change: Callable[[MemoryModel], int]) -> shapes.Changed:
    door.require_all()
    return await door.write(lambda model: shapes.Changed(version=change(model)))


def _address(door: Door, model: MemoryModel, body: shapes.MergeAsked) -> str:
    """Where the other one is. It is made of names that the server knows, never of a client's path."""
    if body.memory is None:
        model.memory.folder.resolve(str(body.version))  # it is a name of a version, or said to be none
        return f"{door.path()}@{body.version}"
    memory, at, version = body.memory.partition("@")
    path = path_of(door.house, door.key, memory)
    if at:
        with MemoryFolder.open(path) as folder:
            folder.resolve(version)
    return f"{path}@{version}" if at else str(path)


def _told(door: Door, look: Look, version: Told) -> shapes.VersionOut:
    said = version.to_json()
    told = {name: said[name] for name in ("version", "time", "author", "act", "branch", "checksum", "names")}
    told["parents"] = [number for number, _ in said["parents"]]
    if look.hidden:  # messages and notes name facts, also those that it may not see
        return shapes.VersionOut.model_validate(told)
    told |= {name: said[name] for name in ("counts", "facts", "notes")}
    return shapes.VersionOut.model_validate({**told, "message": door.without_paths(said["message"])})


def _diff(look: Look, a: str, b: str, found: Difference, limit: int) -> shapes.Diff:
    """The changes that the key may see. What was or is in a hidden group is not told of."""
    added = [fact_out(fact) for fact in found.added.values() if look.sees(fact)]
    removed = [fact_out(fact) for fact in found.removed.values() if look.sees(fact)]
    changed = [
        shapes.ChangedFact(id=fact_id, before=fact_out(before), after=fact_out(after))
        for fact_id, (before, after) in found.changed.items()
        if look.sees(before) and look.sees(after)
    ]
    archived, restored = _seen(look, found.archived), _seen(look, found.restored)
    return shapes.Diff(
        a=a,
        b=b,
        added=added[:limit],
        changed=changed[:limit],
        removed=removed[:limit],
        archived=archived[:limit],
        restored=restored[:limit],
        skills=shapes.SkillChanges.model_validate({how: list(names) for how, names in found.skills.items()}),
        cut=max(len(added), len(changed), len(removed), len(archived), len(restored)) > limit,
    )


def _seen(look: Look, ids: tuple[str, ...]) -> list[str]:
    """Ids of facts that the key may see. Where that cannot be told any more, they are left out for one that may not see
    every group."""
    return [fact_id for fact_id in ids if not look.hidden or _is_seen(look, fact_id)]


def _is_seen(look: Look, fact_id: str) -> bool:
    try:
        fact: Fact = look.row(fact_id)[1]
    except UnknownFact:
        return False
    return look.sees(fact)
