"""A memory's history on the command line: what was, what differs, and how to go back, aside or together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memtune.cli import opening
from memtune.cli.options import DEFAULT_MEMORY, Author, Folder, Json
from memtune.cli.output import counted, print_json, print_lines, remark
from memtune.errors import ConflictError, UsageError

if TYPE_CHECKING:
    from memtune.store.merge import Conflict

Version = Annotated[str, typer.Argument(metavar="VERSION", help="A version, such as v12, a branch or a tag.")]
Optional = Annotated[
    str | None, typer.Argument(metavar="VERSION", help="A version, branch or tag; the newest version if not given.")
]
New = Annotated[str | None, typer.Argument(metavar="NAME", help="A new name; all are listed if not given.")]
Delete = Annotated[bool, typer.Option("--delete", help="Take the name away; what it stood for stays until `gc`.")]


def log(
    *,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Versions to list at most.")] = None,
    audit: Annotated[bool, typer.Option("--audit", help="Every act of the audit log instead, oldest first.")] = False,
    as_json: Json = False,
    folder: Folder,
) -> None:
    """List versions, newest first."""
    with folder.open_history() as history:
        if audit:
            for entry in history.audit():
                print_json(entry)
            return
        waiting = {} if as_json else history.candidates()
        for name, version in waiting.items():
            print(f"v{version} ({name}) waits: `memtune promote` serves it")
        for found in history.log(limit=limit):
            if as_json:
                print_json(found.to_json())
            else:
                print_lines(found.lines())


def show(version: Optional = None, *, as_json: Json = False, folder: Folder) -> None:
    """Show a version: who made it, and the facts that it changed."""
    with folder.open_history() as history:
        found, change = history.show(version)
    if as_json:
        print_json({**found.to_json(), **change.to_json()})
    else:
        print_lines([*found.lines(), *change.lines()])


def diff(
    old: Annotated[str, typer.Argument(metavar="A", help="A version, branch or tag.")],
    new: Annotated[str | None, typer.Argument(metavar="B", help="Another; the newest version if not given.")] = None,
    *,
    as_json: Json = False,
    folder: Folder,
) -> None:
    """Show which facts were added (+), changed (~) and removed (-) from version A to version B."""
    with folder.open_history() as history:
        change = history.diff(old, new)
    if as_json:
        print_json(change.to_json())
    else:
        print_lines(change.lines())


def rollback(version: Version, *, as_json: Json = False, author: Author = None, folder: Folder) -> None:
    """Hold again what an old version held. This is a new version; nothing is lost."""
    with folder.open_history(author) as history:
        made = history.rollback(version)
    _print_done(f"as {version} was", made, as_json, rollback=version)


def branch(
    name: New = None,
    *,
    delete: Delete = False,
    as_json: Json = False,
    author: Author = None,
    folder: Folder,
) -> None:
    """Begin a branch (at the newest version, or --at another), or list the branches. DIR@NAME opens it."""
    _name("branch", name, delete, as_json, author, folder)


def tag(
    name: New = None,
    *,
    delete: Delete = False,
    as_json: Json = False,
    author: Author = None,
    folder: Folder,
) -> None:
    """Name a version (the newest, or --at another), or list the tags. DIR@NAME opens it, read-only."""
    _name("tag", name, delete, as_json, author, folder)


def merge(
    other: Annotated[str, typer.Argument(metavar="OTHER", help="A branch, a version, or another memory's folder.")],
    *,
    on_conflict: Annotated[
        str,
        typer.Option(
            "--on-conflict",
            metavar="error|ours|theirs",
            help="About facts on which both differ; keep-first means ours, keep-last theirs.",
        ),
    ] = "error",
    as_json: Json = False,
    author: Author = None,
    folder: Folder,
) -> None:
    """Join another branch or memory into this one. Nothing is learned again."""
    try:
        with folder.open_history(author) as history:
            done = history.merge(other, on_conflict=on_conflict)
    except ConflictError as fault:
        _print_conflicts(getattr(fault, "conflicts", []), as_json)
        raise
    if as_json:
        print_json(done.to_json())
        return
    for conflict in done.conflicts:
        remark(f"settled: {conflict.line()}")
    print_lines(f"skill {name}: {how}" for how, names in done.skills.items() for name in names)
    double = f", {counted(done.duplicates, 'duplicate')}" if done.duplicates else ""
    print(f"added {done.added:,}, changed {done.changed:,}, removed {done.removed:,}{double}; version {done.version}")


def promote(version: Optional = None, *, as_json: Json = False, author: Author = None, folder: Folder) -> None:
    """Serve a candidate: what a bulk commit learned that was not admitted by itself."""
    with folder.open_history(author) as history:
        made = history.promote(version)
    _print_done("promoted", made, as_json, promoted=made)


def note(
    version: Version,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What there is to say about it.")],
    *,
    as_json: Json = False,
    author: Author = None,
    folder: Folder,
) -> None:
    """Say something about a version, without changing it."""
    with folder.open_history(author) as history:
        made = history.note(version, text)
    _print_done("noted", made, as_json, noted=text)


def gc(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    as_json: Json = False,
    author: Author = None,
    folder: Folder,
) -> None:
    """Remove versions that no branch or tag leads to, and the shards that only they hold."""
    with folder.open_history(author) as history:
        done = history.gc(dry_run=dry_run)
    if as_json:
        print_json(done.to_json())
    else:
        verb = "would remove" if dry_run else "removed"
        what = f"{counted(done.versions, 'version')} and {counted(done.shards, 'shard')}"
        print(f"{verb} {what}, {done.bytes:,} bytes")


def stats(*, as_json: Json = False, folder: Folder) -> None:
    """Show how facts divide among experts, segments and groups, and what they take on disk."""
    with folder.open_history() as history:
        found = history.stats()
    if as_json:
        print_json(found.to_json())
    else:
        print_lines(found.lines())


def repair(
    *,
    memory: Annotated[Path, typer.Option("--memory", metavar="DIR", help="The folder of the memory.")] = DEFAULT_MEMORY,
    as_json: Json = False,
) -> None:
    """Make catalogue and references anew from manifests, shards and audit log."""
    done = opening.repair(memory)
    if as_json:
        print_json({"repaired": done})
    else:
        print("\n".join(done))


def admit(
    *,
    recall: Annotated[
        float | None, typer.Option("--recall", metavar="X", help="Share that must be recalled exactly.")
    ] = None,
    near_miss: Annotated[
        float | None, typer.Option("--near-miss", metavar="X", help="Share of near misses that may fire.")
    ] = None,
    ability: Annotated[
        float | None, typer.Option("--ability", metavar="X", help="General ability that must be left.")
    ] = None,
    as_json: Json = False,
    author: Author = None,
    folder: Folder,
) -> None:
    """Show or set what a bulk commit must reach to be served without `promote`."""
    from memtune.checked import replace

    given = {"recall": recall, "near_miss": near_miss, "ability": ability}
    given = {name: value for name, value in given.items() if value is not None}
    with folder.open_history(author) as history:
        if given:
            history.admit(replace(history.admission, **given))
        found = vars(history.admission)
    if as_json:
        print_json(found)
    else:
        print_lines(f"{name}: {value}" for name, value in found.items())


def _name(act: str, name: str | None, delete: bool, as_json: bool, author: str | None, folder: Folder) -> None:
    if delete and name is None:
        raise UsageError(f"delete which {act}?")
    with folder.open_history(author) as history:
        if name is None:
            names = history.names(act)
            print_lines([] if as_json else [f"{name}  v{version}" for name, version in names.items()])
            if as_json:
                print_json(names)
            return
        version = history.delete(name) if delete else getattr(history, act)(name)
    _print_done(f"{act} {name} {'deleted' if delete else 'made'}", version, as_json, **{act: name, "deleted": delete})


def _print_conflicts(conflicts: list[Conflict], as_json: bool) -> None:
    for conflict in conflicts:
        if as_json:
            print_json(conflict.to_json())
        else:
            print(f"conflict: {conflict.line()}")


def _print_done(done: str, version: int, as_json: bool, **details: object) -> None:
    if as_json:
        print_json({**details, "version": version})
    else:
        print(f"{done}; version {version}")
