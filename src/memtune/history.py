"""The verbs of a memory's history. The command line and Python have the same ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from memtune import asked
from memtune.config import AdmissionConfig, InboxConfig
from memtune.errors import NotFound, UnknownFact, UsageError
from memtune.inbox import Inbox
from memtune.store import Commit, MemoryFolder, Point, Writer, audit, sidecar, unfinished
from memtune.store.accounts import Note, Purged, Version
from memtune.store.collect import Collected, collect
from memtune.store.difference import Difference, difference
from memtune.store.durable import plain_errors, sync_folder
from memtune.store.layout import read_header, write_header
from memtune.store.manifest import Manifest, Segments
from memtune.store.merge import Merged, merge
from memtune.store.purge import Held, held_anywhere, purge, versions
from memtune.store.refs import MAIN
from memtune.store.regroup import Regrouped, regroup
from memtune.store.stats import Stats, stats


class Candidate:
    """A bulk commit that is being learned beside what is served."""

    def __init__(self, history: History, served: str, waiting: str) -> None:
        self._history, self._served, self._waiting = history, served, waiting
        self._left = False
        self.version = 0
        """The version that waits; 0 when nothing was learned."""

    def leave(self) -> None:
        """Go back to what is served."""
        if self._left:
            return
        self._left = True
        folder = self._history.folder
        before = folder.refs.at(self._served)
        if folder.manifest.point != before:
            self.version = folder.version
        folder.switch(self._served)
        if not self.version:
            self._history.delete(self._waiting)


def candidate_of(branch: str) -> str:
    """The branch on which a bulk commit waits that was not admitted."""
    return "candidate" if branch == MAIN else f"{branch}.candidate"


class History:
    """A memory's versions. `writing` opens its writer; whoever holds a memory in use hands in its own."""

    def __init__(
        self, folder: MemoryFolder, writing: Callable[[], AbstractContextManager[Writer]] | None = None
    ) -> None:
        self.folder = folder
        self._writing = writing or folder.writer

    @classmethod
    def open(cls, path: str | Path, author: str | None = None) -> History:
        folder = MemoryFolder.open(path)
        folder.author = author
        return cls(folder)

    def close(self) -> None:
        self.folder.close()

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- looking ------------------------------------------------------------------------------------------------

    def log(self, *, limit: int | None = None) -> Iterator[Version]:
        """The versions that this one comes from, newest first."""
        names, notes = self._names(), self._notes()
        for number, (point, commit) in enumerate(self.folder.manifests.ancestors(self.folder.manifest.point)):
            if limit is not None and number >= limit:
                return
            yield _version(point, commit, names, notes)

    def names(self, kind: str) -> dict[str, int]:
        """The branches or the tags, and the version that each stands for."""
        refs = self.folder.refs
        return {name: p.version for name, p in (refs.tags if kind == "tag" else refs.branches).items()}

    def candidates(self) -> dict[str, int]:
        """Branches on which something waits to be promoted."""
        branches = self.folder.refs.branches
        return {name: p.version for name, p in branches.items() if name in map(candidate_of, branches)}

    def show(self, version: str | int | None = None) -> tuple[Version, Difference]:
        """A version, and what it changed in the one before."""
        manifest = self._manifest(version)
        parents = manifest.commit.parents
        before = self.folder.manifests.read(parents[0]) if parents else Manifest()
        described = _version(manifest.point, manifest.commit, self._names(), self._notes())
        return described, difference(self.folder, before, manifest)

    def diff(self, a: str | int, b: str | int | None = None) -> Difference:
        """The facts that b holds and a does not, those that differ, and those that b does not hold any more."""
        return difference(self.folder, self._manifest(a), self._manifest(b))

    def stats(self) -> Stats:
        return stats(self.folder)

    def verify(self) -> list[str]:
        return self.folder.verify()

    def audit(self) -> Iterator[dict[str, Any]]:
        """Who did what, oldest first."""
        return audit.read(self.folder.path, self.folder.refs.audit)

    # ---- changing -----------------------------------------------------------------------------------------------

    def rollback(self, version: str | int) -> int:
        """Hold again what a version held. This is a version of its own: nothing is lost."""
        with self._writing() as writer:
            return self.hold_again(writer, self._manifest(version))

    def hold_again(self, writer: Writer, target: Manifest) -> int:
        """A rollback by a writer that is at work: nobody else's version can have come in between."""
        if (target.held, target.skills) == (self.folder.manifest.held, self.folder.manifest.skills):
            return self.folder.version
        change = difference(self.folder, self.folder.manifest, target)
        both = {*change.changed, *change.archived, *change.restored}
        came, went = ({*kept, *both} for kept in (change.added, change.removed))
        writer.hold(target.held, (came, went), target.skills)
        return writer.commit(f"rollback to v{target.version}", act="rollback")

    def archive(self, *ids: str) -> int:
        """Set facts aside: they stay in the memory and answer nothing."""
        return self._set_aside("archive", ids)

    def restore(self, *ids: str) -> int:
        """Let archived facts answer again."""
        return self._set_aside("restore", ids)

    def _set_aside(self, act: str, ids: Sequence[str]) -> int:
        with self._writing() as writer:
            found, held = self.folder.find(ids), Segments(self.folder.manifest.held)
            for id_ in ids:
                if id_ not in found:
                    raise self.folder.unknown(id_)
            changed = {id_ for id_, ref in found.items() if self.folder.is_archived(ref) == (act == "restore")}
            for id_ in changed:
                segment, row = held[found[id_].segment], frozenset({found[id_].row})
                archived = segment.archived | row if act == "archive" else segment.archived - row
                held[segment.id] = replace(segment, archived=archived)
            if not changed:
                return self.folder.version
            writer.hold(held, (changed, changed))
            what = min(changed) if len(changed) == 1 else f"{len(changed)} facts"
            return writer.commit(f"{act} {what}", act=act)

    def regroup(self, most: int) -> Regrouped:
        """Regroup small segments into ones of at most `most` facts. Every row stays as it is, bit for bit."""
        with self._writing() as writer:
            return regroup(self.folder, writer, most)

    def branch(self, name: str, at: str | int | None = None) -> int:
        """A branch that begins at a version: `DIR@name` reads and writes it."""
        return self._name("branch", name, at)

    def tag(self, name: str, at: str | int | None = None) -> int:
        """A name that stays with a version."""
        return self._name("tag", name, at)

    def _name(self, act: str, name: str, at: str | int | None) -> int:
        with self._writing_anywhere() as writer:
            refs = self.folder.refs
            refs.require_free(name)
            point = self._point(at)
            after = refs.tagged(name, point) if act == "tag" else refs.moved(name, point)
            writer.record(act, {act: name, **_said(point)}, after)
            return point.version

    def delete(self, name: str) -> int:
        """Take a branch or a tag away; the version that it stood for."""
        with self._writing_anywhere() as writer:
            refs = self.folder.refs
            if name not in refs.branches and name not in refs.tags:
                raise refs.unknown(name)
            if name in (MAIN, self.folder.branch):
                raise UsageError(f"the branch '{name}' cannot be deleted", hint="it is the one that is in use")
            point = self.folder.resolve(name)
            writer.record("delete", {"branch": name, "version": point.version}, refs.without(name))
            return point.version

    def merge(self, other: str | Path, *, on_conflict: str = "error") -> Merged:
        """Join a branch, a version or another folder's memory into this branch, without learning anything again."""
        with self._opened(other) as theirs, self._writing() as writer:
            return merge(self.folder, theirs, writer, on_conflict)

    def promote(self, version: str | int | None = None) -> int:
        """Serve a candidate: the branch moves on to it, and running readers follow."""
        branch = self._branch()
        with self._writing() as writer:
            refs, waiting = self.folder.refs, candidate_of(branch)
            if version is None and waiting not in refs.branches:
                raise UsageError("no candidate waits to be promoted", hint="`memtune log` lists the versions")
            point, served = self._point(version if version is not None else waiting), self.folder.manifest.point
            if served.version and served not in (p for p, _ in self.folder.manifests.ancestors(point)):
                raise UsageError(
                    f"v{point.version} does not come from v{served.version}, which is served now",
                    hint=f"`memtune merge {self.folder.path}@v{point.version}` joins them; "
                    f"`memtune rollback v{point.version}` goes back to it",
                )
            writer.record("promote", {"branch": branch, **_said(point)}, refs.moved(branch, point))
            if self.folder.refs.branches.get(waiting) == point:
                gone = {"branch": waiting, "version": point.version}
                writer.record("delete", gone, self.folder.refs.without(waiting))
            return point.version

    @contextmanager
    def on_candidate(self, *, resume: bool) -> Iterator[Candidate]:
        """Write beside what is served, until `leave`. One that was broken off is gone on with by `resume`."""
        branch = self._branch()
        waiting = candidate_of(branch)
        with self._writing() as writer:
            refs = self.folder.refs
            if waiting in refs.branches and not resume:
                raise UsageError(
                    f"v{refs.branches[waiting].version} waits as a candidate",
                    hint=f"go on with it by --resume, `memtune promote` it, or `memtune branch --delete {waiting}`",
                )
            if waiting not in refs.branches:
                point = self.folder.manifest.point
                writer.record("branch", {"branch": waiting, **_said(point)}, refs.moved(waiting, point))
        candidate = Candidate(self, branch, waiting)
        self.folder.switch(waiting)
        try:
            yield candidate
        finally:
            candidate.leave()

    def note(self, version: str | int | None, text: str, data: Mapping[str, Any] | None = None) -> int:
        """Say something about a version, without changing it: a remark, the result of an evaluation."""
        with self._writing_anywhere() as writer:
            point = self._point(version)
            writer.record("note", {**_said(point), "text": text} | ({"data": dict(data)} if data else {}))
            return point.version

    def gc(self, *, dry_run: bool = False) -> Collected:
        """Remove versions that no branch or tag leads to, and what only they hold."""
        with self._writing_anywhere() as writer:
            return collect(self.folder, writer, dry_run=dry_run)

    def purge(self, *ids: str, inbox: Inbox | None = None) -> Purged:
        """Take facts out of every version for good. Numbers, notes and authors of the versions stay.

        An interrupted one has happened or has not; what it was to remove, the next writer removes.
        """
        with self._writing_anywhere():
            pass  # finishes what another one may have left
        held = held_anywhere(self.folder, ids)
        if missing := [id_ for id_ in ids if id_ not in {one.fact.id for one in held}]:
            raise UnknownFact(f"no version holds a fact '{missing[0]}'", hint="`memtune diff` and `log` show what was")
        inbox = inbox or Inbox(self.folder.path, InboxConfig())
        questions = inbox.drop_about([text for one in held for text in one.fact.wordings])
        sidecar.remove(self.folder.path, sidecar.CALIBRATION)
        unfinished.clear(self.folder.path)
        asked.tidy(self.folder.path, but=ids)
        collected = self.gc()
        with self._writing_anywhere() as writer:
            purge(self.folder, writer, set(ids))
        with self._writing_anywhere():
            pass  # removes what was replaced
        unfinished.clear(self.folder.path)  # and what another process kept meanwhile
        return Purged(list(dict.fromkeys(ids)), len(held), collected.versions, len(questions), self._noted(held))

    def forget_skill(self, name: str) -> int:
        """Take a skill out of this branch; the version without it."""
        with self._writing() as writer:
            if name not in self.folder.manifest.skills:
                raise NotFound(f"no skill '{name}' in this memory")
            writer.drop_skill(name)
            return writer.commit(f"forget the skill '{name}'", act="forget skill")

    def purge_skill(self, name: str) -> int:
        """Take a skill out of every version for good, with the examples that it was learned from; out of how many."""
        with self._writing_anywhere():
            pass  # finishes what another one may have left
        holding = sum(name in version.skills for version in versions(self.folder))
        if not holding:
            raise NotFound(f"no version holds a skill '{name}'", hint="`memtune log` shows what was learned")
        self.gc()
        with self._writing_anywhere() as writer:
            writer.rewrite("purge", {"skills": [name]}, lambda segment: segment, but=[name])
        with self._writing_anywhere():
            pass  # removes what was replaced
        return holding

    def _noted(self, held: Sequence[Held]) -> list[int]:
        """Versions in whose notes a question or an answer is told: the audit log cannot be changed."""
        texts = {text.strip() for one in held for text in (one.fact.answer, *one.fact.wordings)}
        notes = {number: " ".join(map(_whole, notes)) for number, notes in self._notes().items()}
        return [number for number, said in notes.items() if any(text in said for text in texts)]

    # ---- settings of the memory ---------------------------------------------------------------------------------

    @property
    def admission(self) -> AdmissionConfig:
        """What a bulk commit must reach before it is served."""
        with plain_errors(self.folder.path):  # as it stands there: another process may have set it
            return AdmissionConfig(**read_header(self.folder.path).settings.get("admission", {}))

    def admit(self, admission: AdmissionConfig) -> None:
        """Set what a bulk commit must reach before it is served."""
        with self._writing_anywhere() as writer:
            writer.record("admission", vars(admission))
            with plain_errors(self.folder.path):
                header = read_header(self.folder.path)
                now = replace(header, settings={**header.settings, "admission": vars(admission)})
                write_header(self.folder.path, now)
                sync_folder(self.folder.path)
            self.folder.header = now

    # ---- how ----------------------------------------------------------------------------------------------------

    def _branch(self) -> str:
        if self.folder.branch is None:
            raise UsageError(f"{self.folder.path} is open at v{self.folder.version}, not at a branch")
        return self.folder.branch

    def _point(self, version: str | int | None) -> Point:
        return self.folder.manifest.point if version is None else self.folder.resolve(str(version))

    def _manifest(self, version: str | int | None) -> Manifest:
        return self.folder.manifests.read(self._point(version), self.folder.manifest)

    @contextmanager
    def _writing_anywhere(self) -> Iterator[Writer]:
        """For what makes no version: an old one will do to write from."""
        if self.folder.branch is not None:
            with self._writing() as writer:
                yield writer
            return
        with self.folder.writer(anywhere=True) as writer:
            yield writer

    @contextmanager
    def _opened(self, other: str | Path) -> Iterator[MemoryFolder]:
        """Another folder; or a branch, tag or version of this one."""
        known = {*self.folder.refs.branches, *self.folder.refs.tags}
        path = self.folder.path
        if str(other) in known or not (MemoryFolder.exists(other) or "@" in str(other) or "/" in str(other)):
            other = path.with_name(f"{path.name}@{other}")
        with MemoryFolder.open(other) as opened:
            yield opened

    def _names(self) -> dict[Point, tuple[str, ...]]:
        names: dict[Point, tuple[str, ...]] = {}
        for name, point in [*self.folder.refs.branches.items(), *self.folder.refs.tags.items()]:
            names[point] = (*names.get(point, ()), name)
        return names

    def _notes(self) -> dict[int, tuple[Note, ...]]:
        """By number: that stays when history is rewritten."""
        notes: dict[int, tuple[Note, ...]] = {}
        for entry in audit.read(self.folder.path, self.folder.refs.audit, act="note"):
            note = Note(entry["time"], entry["who"], entry["text"], entry.get("data"))
            notes[entry["version"]] = (*notes.get(entry["version"], ()), note)
        return notes


def _whole(note: Note) -> str:
    return note.text if note.data is None else f"{note.text} {json.dumps(note.data, ensure_ascii=False)}"


def _said(point: Point) -> dict[str, Any]:
    """A version in the audit log."""
    return {"version": point.version, "manifest": point.checksum}


def _version(
    point: Point, commit: Commit, names: Mapping[Point, tuple[str, ...]], notes: Mapping[int, tuple[Note, ...]]
) -> Version:
    return Version(commit, point.checksum, names.get(point, ()), notes.get(commit.version, ()))
