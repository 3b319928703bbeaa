"""What is told about versions: who made them and when, what was said later, what a purge took out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from memtune.store.manifest import Commit

SKILL_ACTS = ("learn skill", "forget skill")


@dataclass(frozen=True)
class Note:
    """Something said about a version after it was made."""

    time: str
    author: str
    text: str
    data: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Purged:
    """What was taken out of history."""

    ids: list[str]
    rows: int
    """Places in which the versions held them."""
    versions: int
    """Versions that nothing led to, and that went with them."""
    questions: int
    """Lines of the inbox that asked for them."""
    noted: list[int]
    """Versions whose notes tell a question or an answer: that stays in the audit log."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Version:
    """One version as people see it: who made it when, what leads to it, what was said about it."""

    commit: Commit
    checksum: str
    names: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()

    def to_json(self) -> dict[str, Any]:
        notes = [{k: v for k, v in vars(note).items() if v is not None} for note in self.notes]
        return {**self.commit.to_json(), "checksum": self.checksum, "names": list(self.names), "notes": notes}

    def lines(self) -> list[str]:
        commit = self.commit
        names = f" ({', '.join(self.names)})" if self.names else ""
        merged = "".join(f", with v{point.version}" for point in commit.parents[1:])
        return [
            f"v{commit.version}{names}  {commit.time}  {commit.author}  {commit.act}",
            f"    {commit.message}",
            f"    {told(commit)}; from v{commit.parent or 0}{merged}",
            *(f"    note by {note.author}, {note.time}: {note.text}" for note in self.notes),
        ]


def told(commit: Commit) -> str:
    counts = {"+": commit.counts.added, "~": commit.counts.changed, "-": commit.counts.removed}
    nothing = "no fact changed" if commit.act in SKILL_ACTS else "no change"
    return f"{' '.join(f'{sign}{n:,}' for sign, n in counts.items() if n) or nothing}; {commit.facts:,} facts"
