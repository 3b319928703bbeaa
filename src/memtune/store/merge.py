"""Joining two versions: facts that only one of them changed are taken as they are, with the experts they have.

Two branches of one memory are compared with the version that both come from; the memories of two folders share none,
so everything in the other one counts as added. Shards are shared or copied; nothing is learned again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from memtune.core.facts import Fact, wording_hash
from memtune.errors import BackboneMismatch, ConflictError, UsageError
from memtune.store.difference import Located, aside, located
from memtune.store.manifest import FactRef, Manifest, Segment, Segments
from memtune.store.skills import Skill, Skills, changes

if TYPE_CHECKING:
    from memtune.store.folder import MemoryFolder
    from memtune.store.writer import Writer

WORDS = {"error": "error", "ours": "ours", "theirs": "theirs", "keep-first": "ours", "keep-last": "theirs"}
"""How conflicts are settled; the last two are what `learn` calls it."""
_SHOWN = 3
_SHORT = 12
_JOINED = re.compile(r"\(v(\d+), ([0-9a-f]{12})\)$")
"""How the message of a merge names the version of another folder."""


@dataclass(frozen=True)
class Conflict:
    """A fact about which the two do not agree. None: that side does not hold it."""

    id: str
    ours: Fact | None
    theirs: Fact | None

    def to_json(self) -> dict[str, Any]:
        sides = {"ours": self.ours, "theirs": self.theirs}
        return {"id": self.id} | {name: fact.to_row() if fact else None for name, fact in sides.items()}

    def line(self) -> str:
        ours, theirs = (f"'{fact.answer}'" if fact else "forgotten" for fact in (self.ours, self.theirs))
        renamed = f" (as {self.ours.id})" if self.ours and self.ours.id != self.id else ""
        return f"{self.id}: ours {ours}{renamed}, theirs {theirs}"


@dataclass(frozen=True)
class SkillConflict:
    """A skill that both sides changed, each in its own way. None: that side does not hold it."""

    name: str
    ours: Skill | None
    theirs: Skill | None

    def to_json(self) -> dict[str, Any]:
        sides = {"ours": self.ours, "theirs": self.theirs}
        return {"skill": self.name} | {side: skill.to_json() if skill else None for side, skill in sides.items()}

    def line(self) -> str:
        ours, theirs = ("another one" if skill else "forgotten" for skill in (self.ours, self.theirs))
        return f"skill {self.name}: ours {ours}, theirs {theirs}"


class MergeConflict(ConflictError):
    """Two memories do not agree about some facts or skills; nothing was merged."""

    def __init__(self, conflicts: Sequence[Conflict | SkillConflict]) -> None:
        self.conflicts = list(conflicts)
        shown = "; ".join(conflict.line() for conflict in conflicts[:_SHOWN])
        more = f"; and {len(conflicts) - _SHOWN} more" if len(conflicts) > _SHOWN else ""
        what = "skill" if any(isinstance(conflict, SkillConflict) for conflict in conflicts) else "fact"
        many = f"1 {what} conflicts" if len(conflicts) == 1 else f"{len(conflicts)} {what}s conflict"
        super().__init__(f"{many}: {shown}{more}", hint="settle them with --on-conflict ours or theirs")


@dataclass
class Merged:
    """What a merge did."""

    version: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    duplicates: int = 0
    """Facts of the other memory that ask and answer the same as one of ours under another id."""
    conflicts: list[Conflict | SkillConflict] = field(default_factory=list)
    """How they were settled was said with the call."""
    skills: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The names of skills that were added, changed and removed."""

    def to_json(self) -> dict[str, Any]:
        counted = {name: getattr(self, name) for name in ("version", "added", "changed", "removed", "duplicates")}
        said = counted | {"conflicts": [conflict.to_json() for conflict in self.conflicts]}
        return said | ({"skills": {how: list(names) for how, names in self.skills.items()}} if self.skills else {})


@dataclass
class _Plan:
    """What is taken from the other side, and what of ours goes."""

    take: dict[str, Located] = field(default_factory=dict)
    drop: set[str] = field(default_factory=set)
    duplicates: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    archive: tuple[str, ...] = ()
    """Facts that the other side has set aside since."""
    restore: tuple[str, ...] = ()


def merge(ours: MemoryFolder, theirs: MemoryFolder, writer: Writer, on_conflict: str) -> Merged:
    """Join what `theirs` stands at into the branch of `ours`, as one version."""
    if on_conflict not in WORDS:
        raise UsageError(f"on_conflict must be one of {', '.join(WORDS)}, not '{on_conflict}'")
    same = ours.path.samefile(theirs.path)
    _require_alike(ours, theirs)
    common = ours.manifests.common(ours.manifest.point, theirs.manifest.point) if same else None
    base = ours.manifests.read(common, ours.manifest) if common else _last_joined(ours, theirs)
    skills, disputed = merge_skills(base.skills, ours.manifest.skills, theirs.manifest.skills, WORDS[on_conflict])
    plan = _plan(ours, theirs, base, WORDS[on_conflict])
    done = Merged(ours.version, duplicates=plan.duplicates, conflicts=[*plan.conflicts, *disputed])
    gone = ours.find(plan.drop)
    held = _without(ours.manifest.held, gone)
    held = _with_shared(held, theirs.manifest, plan) if same else _with_adopted(held, theirs, plan, writer)
    held, turned = _with_states(held, ours, plan)
    differs = changes(ours.manifest.skills, skills)
    if held == ours.manifest.held and not any(differs.values()):
        return done
    for name in () if same else (*differs["added"], *differs["changed"]):
        writer.adopt_skill(skills[name], theirs.shards)
    writer.hold(held, (turned | set(plan.take), turned | set(gone)), skills)
    done.skills = differs if any(differs.values()) else {}
    parents = [theirs.manifest.point] if same else []
    named = theirs.branch or f"v{theirs.version}"
    where = named if same else f"{theirs.path}@{named} (v{theirs.version}, {theirs.manifest.checksum[:_SHORT]})"
    done.version = writer.commit(f"merge {where}", act="merge", parents=parents)
    counts = ours.manifest.commit.counts
    done.added, done.changed, done.removed = counts.added, counts.changed, counts.removed
    return done


def merge_skills(base: Skills, ours: Skills, theirs: Skills, how: str) -> tuple[Skills, list[SkillConflict]]:
    """The skills that hold afterwards: of each name what one side alone has changed, else as conflicts are settled."""
    joined, conflicts = Skills(ours), list[SkillConflict]()
    for name in sorted({*base, *ours, *theirs}):
        before, mine, other = base.get(name), ours.get(name), theirs.get(name)
        if other in (mine, before) or (other is not None and other.acts_as(mine)):
            continue
        if mine != before:
            conflicts.append(SkillConflict(name, mine, other))
            if how != "theirs":
                continue
        if other is None:
            joined.pop(name, None)
        else:
            joined[name] = other
    if conflicts and how == "error":
        raise MergeConflict(conflicts)
    return joined, conflicts


def _require_alike(ours: MemoryFolder, theirs: MemoryFolder) -> None:
    """Experts and keys of one memory serve in another only on the same backbone and with the same settings."""
    a, b = ours.header.backbone, theirs.header.backbone
    if differing := [part for part in ("config", "tokenizer", "weights") if a.get(part) != b.get(part)]:
        raise BackboneMismatch(
            f"{theirs.path} was made on '{b.get('name')}', {ours.path} on '{a.get('name')}': "
            f"{', '.join(differing)} differ",
            hint=f"`memtune facts export --memory {theirs.path}` gives its facts, which can be learned anew",
        )
    kept = [{k: v for k, v in f.header.settings.items() if k != "admission"} for f in (ours, theirs)]
    if kept[0] != kept[1]:
        names = ", ".join(sorted(k for k in {*kept[0], *kept[1]} if kept[0].get(k) != kept[1].get(k)))
        raise UsageError(f"{theirs.path} was made with other settings: {names}", hint="learn its facts anew")


def _plan(ours: MemoryFolder, theirs: MemoryFolder, base: Manifest, how: str) -> _Plan:
    come, went = located(theirs, theirs.manifest, base), located(theirs, base, theirs.manifest)
    plan = _Plan(
        archive=aside(theirs, theirs.manifest, base, come, went),
        restore=aside(theirs, base, theirs.manifest, went, come),
    )
    for id_ in [i for i in come if i in went and come[i].fact == went[i].fact]:
        del come[id_], went[id_]  # it was regrouped only
    mine = {i: ours.at(*ref) for i, ref in ours.find([*come, *went]).items()}
    hashes = [wording_hash(text) for found in come.values() for text in found.fact.wordings]
    taken = ours.by_wording(hashes)
    for id_, found in come.items():
        _place(plan, ours, found, mine.get(id_), went.get(id_), _rivals(found.fact, taken, went, mine), how)
    for id_, before in went.items():
        if id_ in come or id_ not in mine:
            continue
        if mine[id_] == before.fact:
            plan.drop.add(id_)
        else:
            _settle(plan, Conflict(id_, mine[id_], None), how, take=None, drop={id_})
    if plan.conflicts and how == "error":
        raise MergeConflict(plan.conflicts)
    return plan


def _place(
    plan: _Plan, ours: MemoryFolder, found: Located, mine: Fact | None, before: Located | None,
    rivals: Mapping[str, str], how: str,
) -> None:  # fmt: skip
    """Decide about one fact that the other side added or changed."""
    fact = found.fact
    if mine == fact:
        return
    contrary = [id_ for id_, answer in rivals.items() if answer != fact.answer]
    unchanged = (mine is None and before is None) or (before is not None and mine == before.fact)
    if not unchanged:
        _settle(plan, Conflict(fact.id, mine, fact), how, take=found, drop={fact.id, *contrary})
    elif contrary:
        _settle(plan, Conflict(fact.id, ours.fact(contrary[0]), fact), how, take=found, drop={fact.id, *contrary})
    elif rivals and mine is None:
        plan.duplicates += 1
    else:
        plan.take[fact.id] = found
        plan.drop |= {fact.id} if mine else set()


def _settle(plan: _Plan, conflict: Conflict, how: str, *, take: Located | None, drop: set[str]) -> None:
    plan.conflicts.append(conflict)
    if how == "theirs":
        plan.drop |= drop
        if take is not None:
            plan.take[take.fact.id] = take


def _rivals(
    fact: Fact, taken: Mapping[int, tuple[str, str]], went: Mapping[str, Located], mine: Mapping[str, Fact]
) -> dict[str, str]:
    """Our facts that the wordings of one of theirs lead to, with their answers; the question alone makes a double."""
    found: dict[str, str] = {}
    for text in fact.wordings:
        id_, answer = taken.get(wording_hash(text), (fact.id, ""))
        leaves = id_ in went and mine.get(id_) == went[id_].fact
        if id_ != fact.id and not leaves and (text == fact.question or answer != fact.answer):
            found[id_] = answer
    return found


def _without(held: Segments, gone: Mapping[str, FactRef]) -> Segments:
    left = Segments(held)
    for number, rows in _by_segment(gone.values()):
        left[number] = replace(left[number], dropped=left[number].dropped | rows)
    return left


def _with_shared(held: Segments, theirs: Manifest, plan: _Plan) -> Segments:
    """Rows of segments that this folder has already."""
    joined = Segments(held)
    for number, rows in _by_segment(found.ref for found in plan.take.values()):
        segment = joined.get(number, _bare(theirs.held[number]))
        joined[number] = replace(segment, dropped=segment.dropped - rows)
    return joined


def _with_adopted(held: Segments, theirs: MemoryFolder, plan: _Plan, writer: Writer) -> Segments:
    """Segments of another folder, without the rows that are not wanted."""
    joined = Segments(held)
    for number, rows in _by_segment(found.ref for found in plan.take.values()):
        segment = _bare(theirs.manifest.held[number])
        taken = writer.adopt(replace(segment, dropped=segment.dropped - rows), theirs.shards)
        joined[taken.id] = taken
    return joined


def _with_states(held: Segments, ours: MemoryFolder, plan: _Plan) -> tuple[Segments, set[str]]:
    """What the other side has archived or restored since is so in the rows that stay; the ids of those facts."""
    joined, turned = Segments(held), set[str]()
    silenced = set(plan.archive)
    for id_, (number, row) in ours.find([*plan.archive, *plan.restore]).items():
        segment, own = joined.get(number), frozenset({row})
        if segment is None or not segment.holds(row) or (row in segment.archived) == (id_ in silenced):
            continue
        archived = segment.archived | own if id_ in silenced else segment.archived - own
        joined[number] = replace(segment, archived=archived)
        turned.add(id_)
    return joined, turned


def _last_joined(ours: MemoryFolder, theirs: MemoryFolder) -> Manifest:
    """What another folder held when it was merged last, so that what it changed since then is known as changed."""
    known = {(p.version, p.checksum[:_SHORT]): p for p, _ in theirs.manifests.ancestors(theirs.manifest.point)}
    for _, commit in ours.manifests.ancestors(ours.manifest.point):
        found = _JOINED.search(commit.message) if commit.act == "merge" else None
        if found and (point := known.get((int(found[1]), found[2]))):
            return theirs.manifests.read(point)
    return Manifest()


def _bare(segment: Segment) -> Segment:
    return replace(segment, dropped=frozenset(range(segment.count)))


def _by_segment(refs: Iterable[FactRef]) -> list[tuple[int, frozenset[int]]]:
    rows: dict[int, set[int]] = {}
    for segment, row in refs:
        rows.setdefault(segment, set()).add(row)
    return [(number, frozenset(found)) for number, found in sorted(rows.items())]
