"""How a version's facts divide among experts, segments and groups, and what that takes on disk."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from memtune.store.verify import stacked

if TYPE_CHECKING:
    from memtune.store.folder import MemoryFolder


@dataclass(frozen=True)
class Stats:
    version: int
    facts: int
    segments: int
    facts_per_segment: tuple[int, float, int]
    """The fewest, the median and the most."""
    dropped: int
    """Rows of these segments that the version does not hold any more."""
    experts: dict[str, int]
    """For each kind, the facts that have an expert of it: one each."""
    without_expert: int
    groups: dict[str, int]
    """Facts of each group, the largest first; "" is none."""
    bytes: dict[str, int]
    """On disk, for each room of this version's segments; `history` is what only other versions need."""
    versions: int
    branches: dict[str, int]
    tags: dict[str, int]
    skills: dict[str, int] = field(default_factory=dict)
    """The bytes of each skill on disk, its examples included."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        low, middle, high = self.facts_per_segment
        experts = ", ".join(f"{kind} {count:,}" for kind, count in self.experts.items()) or "none"
        sizes = ", ".join(f"{room} {size:,}" for room, size in self.bytes.items())
        return [
            f"version {self.version}: {self.facts:,} facts in {self.segments:,} segments "
            f"({low:,} to {high:,} each, median {middle:,.0f}), {self.dropped:,} rows dropped",
            f"facts with an expert, by kind: {experts}; without: {self.without_expert:,}",
            *(f"group {name or '(none)'}: {count:,}" for name, count in self.groups.items()),
            f"bytes: {sizes}",
            *(f"skill {name}: {size:,} bytes" for name, size in self.skills.items()),
            f"{self.versions:,} versions; branches: {_named(self.branches)}; tags: {_named(self.tags) or 'none'}",
        ]


def stats(folder: MemoryFolder) -> Stats:
    manifest = folder.manifest
    sizes, experts, without = Counter[str](), Counter[str](), 0
    per_segment = [segment.facts for segment in manifest.segments]
    for segment in manifest.segments:
        kinds = []
        for room, digest in segment.shards.items():
            file = folder.shards.file(digest)
            sizes[room] += file.stat().st_size
            if stacked(file):
                kinds.append(room)
        experts.update(dict.fromkeys(kinds, segment.facts))
        without += 0 if kinds else segment.facts
    skills = {
        skill.name: sum(folder.shards.file(digest).stat().st_size for digest in skill.shards.values())
        for skill in manifest.skills.values()
    }
    sizes.update({"skills": sum(skills.values())} if skills else {})
    everything = sum(file.stat().st_size for file in folder.path.rglob("*") if file.is_file())
    sizes["history"] = everything - sum(sizes.values())
    groups = Counter({name or "": count for name, count in folder.catalogue.groups(manifest).items()})
    return Stats(
        version=folder.version,
        facts=manifest.facts,
        segments=len(per_segment),
        facts_per_segment=(min(per_segment), statistics.median(per_segment), max(per_segment))
        if per_segment
        else (0, 0, 0),
        dropped=sum(len(segment.dropped) for segment in manifest.segments),
        experts=dict(experts),
        without_expert=without,
        groups=dict(groups.most_common()),
        bytes=dict(sizes),
        skills=skills,
        versions=sum(1 for _ in folder.manifests.files()),
        branches={name: point.version for name, point in folder.refs.branches.items()},
        tags={name: point.version for name, point in folder.refs.tags.items()},
    )


def _named(points: dict[str, int]) -> str:
    return ", ".join(f"{name} v{version}" for name, version in points.items())
