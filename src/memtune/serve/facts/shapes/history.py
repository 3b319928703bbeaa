"""Versions, skills and the inbox."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from memtune.serve.facts.shapes.common import Asked, Data, Named, Text, example
from memtune.serve.facts.shapes.facts import FactOut


class Counts(BaseModel):
    """Facts that a version added, changed and removed."""

    added: int
    changed: int
    removed: int


class NoteOut(BaseModel):
    """Something said about a version after it was made."""

    time: str
    author: str
    text: str
    data: dict[str, Any] | None = None


class VersionOut(BaseModel):
    """One version. What tells of facts (message, counts, notes) is left out for a key that may not see every group."""

    version: int
    time: str
    author: str
    act: str
    branch: str
    parents: list[int]
    checksum: str
    names: list[str] = Field(description="Branches and tags that stand for it.")
    message: str | None = None
    counts: Counts | None = None
    facts: int | None = None
    notes: list[NoteOut] | None = None


class Log(BaseModel):
    """The versions that this one comes from, newest first."""

    version: int
    versions: list[VersionOut]
    more: bool = Field(description="Whether there are older ones: ask for the log of `NAME@vN`.")
    branches: dict[str, int]
    tags: dict[str, int]
    candidates: dict[str, int]


class ChangedFact(BaseModel):
    """A fact before and after."""

    model_config = ConfigDict(populate_by_name=True)

    id: str
    before: FactOut
    after: FactOut


class SkillChanges(BaseModel):
    """The names of skills that came, that stand for something else, and that went."""

    added: list[str] = []
    changed: list[str] = []
    removed: list[str] = []


class Diff(BaseModel):
    """What lies between two versions."""

    a: str
    b: str
    added: list[FactOut]
    changed: list[ChangedFact]
    removed: list[FactOut]
    archived: list[str]
    restored: list[str]
    skills: SkillChanges
    cut: bool = Field(default=False, description="Whether there is more than `limit` of any of these.")


class VersionDetail(BaseModel):
    """A version, and what it changed."""

    version: VersionOut
    changes: Diff


class Which(Asked):
    """A version: a number, `v12`, a branch or a tag."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"version": "v12"}]})

    version: Named


class Promotion(Asked):
    """The candidate that is to be served; the one that waits where none is named."""

    version: Named | None = None


class Naming(Asked):
    """A name for a version; the present one where none is given."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "spring", "at": "v9"}]})

    name: Named
    at: Named | None = None


class NoteIn(Asked):
    """A remark on a version."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": "shown to the board"}]})

    text: Text
    data: Data | None = None


class MergeAsked(Asked):
    """What is to be joined into this memory: another memory of the server, or a version of this one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"version": "draft"}, {"memory": "beta", "on_conflict": "ours"}]},
    )

    memory: Annotated[str, Field(min_length=1, max_length=193)] | None = Field(
        default=None, description="Its name, with `@` and a version if not the newest. Needs the scope `admin`."
    )
    version: Named | None = Field(default=None, description="A branch, tag or version of this memory.")
    on_conflict: Literal["error", "ours", "theirs"] = "error"


class Merged(BaseModel):
    """What a merge did."""

    model_config = example(
        version=16, added=3, changed=0, removed=0, duplicates=0, conflicts=[], skills={"added": []},
    )  # fmt: skip

    version: int
    added: int
    changed: int
    removed: int
    duplicates: int
    conflicts: list[dict[str, Any]] = Field(description="They were settled as the request said.")
    skills: SkillChanges


class Removed(BaseModel):
    """A branch or tag that is gone, and the version that it stood for."""

    model_config = example(name="spring", version=9)

    name: str
    version: int


class SkillOut(BaseModel):
    """A skill: an expert that is opened by domain, not by a fact."""

    model_config = ConfigDict(extra="allow")

    name: str
    about: str
    kind: str
    examples: int
    set_aside: int


class SkillList(BaseModel):
    """The skills of a memory."""

    version: int
    skills: list[SkillOut]


class UnansweredOut(BaseModel):
    """A question that no fact answered."""

    id: str
    question: str = Field(description="Masked as the server is set.")
    why: str
    count: int
    first: str
    last: str


class InboxOut(BaseModel):
    """Questions that went unanswered, what was asked most often first. Empty unless `inbox.keep` is set."""

    questions: list[UnansweredOut]
    more: bool


class Teaching(Asked):
    """The answer to a question of the inbox."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"answer": "40 dollars"}]})

    answer: Text
    question: Text | None = Field(default=None, description="Its full wording, where it was masked.")


class Dropped(BaseModel):
    """Questions that are gone from the inbox."""

    dropped: list[str]
