"""Memories and their facts, as they go in and come out."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from memtune.serve.facts.shapes.common import MOST_TEXTS, Asked, Kinds, Named, Short, Text, example


class MemoryBrief(BaseModel):
    """A memory, in short."""

    name: str
    version: int | None = Field(default=None, description="The newest version; none where the memory cannot be read.")
    facts: int | None = Field(default=None, description="Facts that the key may see.")
    backbone: str | None = Field(default=None, description="The model that it was made on.")
    fault: str | None = Field(default=None, description="Why it cannot be read, where that is so.")


class Memories(BaseModel):
    """The memories that the key may use."""

    model_config = example(memories=[{"name": "acme", "version": 12, "facts": 340, "backbone": "bundled"}])

    memories: list[MemoryBrief]


class NewMemory(Asked):
    """A memory that is to be made."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "acme"}]})

    name: Named = Field(description="Letters, digits and . _ : -, at most 96, beginning with a letter or a digit.")
    model: Short | None = Field(
        default=None, description="An alias of the server's models; the server's own if left out."
    )


class Memory(BaseModel):
    """A memory at one version."""

    model_config = example(
        name="acme", version=12, facts=340, groups={"prices": 300, "": 40}, skills=["sql"], backbone="bundled",
        created="2026-01-02T03:04:05+00:00", bytes=18_400_512, branches={"main": 12}, tags={"spring": 9},
        candidates={},
    )  # fmt: skip

    name: str
    version: int
    facts: int = Field(description="Facts that the key may see.")
    groups: dict[str, int] = Field(description='Facts of each group; "" stands for none.')
    skills: list[str]
    backbone: str
    created: str
    bytes: int = Field(description="On disk, with the history.")
    branches: dict[str, int]
    tags: dict[str, int]
    candidates: dict[str, int] = Field(description="What was learned and waits to be promoted.")


class Deleted(BaseModel):
    """A memory that is gone, with its history."""

    model_config = example(name="acme", deleted=True)

    name: str
    deleted: bool = True


class Verified(BaseModel):
    """Whether every checksum and invariant of the memory holds."""

    model_config = example(version=12, problems=[], sound=True)

    version: int
    sound: bool
    problems: list[str]


class FactIn(BaseModel):
    """A fact to learn. Fields beside these are kept with it. A text to be known has `passage`, `title` and `questions`
    in the place of `question` and `answer`."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {"id": "price-1", "question": "What does the Zorblat cost?", "answer": "40 dollars", "group": "prices"}
            ]
        },
    )

    id: Short | None = Field(default=None, description="Made of question and answer where it is left out.")
    question: Text | None = Field(default=None, description="The wording that is learned.")
    answer: str | None = Field(default=None, description="Recalled word for word.")
    phrasings: list[Text] = Field(default=[], max_length=MOST_TEXTS, description="Other wordings of the question.")
    never: list[Text] = Field(default=[], max_length=MOST_TEXTS, description="Texts that this fact must not answer.")
    source: str | None = Field(default=None, description="Where it comes from.")
    group: str | None = Field(default=None, description="The topic that it belongs to. A key may be kept from a group.")
    valid_from: str | None = Field(default=None, description="A date or time before which it answers nothing.")
    valid_until: str | None = Field(default=None, description="The last day, or the time, at which it answers.")
    state: Literal["active", "archived"] | None = Field(
        default=None, description="`archived` is learned and set aside."
    )
    expert: Kinds | None = Field(
        default=None, description="The kinds of its experts, where other ones than of the rest."
    )


class FactOut(BaseModel):
    """A fact as it can be learned again, with the state that it is in. A passage has `title`, `passage` and `questions`
    in the place of `question` and `answer`. Fields that were given beside these stand among them."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {"id": "price-1", "question": "What does the Zorblat cost?", "answer": "40 dollars", "state": "active"}
            ]
        },
    )

    id: str
    question: str | None = None
    answer: str | None = None
    phrasings: list[str] | None = None
    never: list[str] | None = None
    source: str | None = None
    group: str | None = None
    valid_from: str | None = None
    valid_until: str | None = None
    state: str | None = Field(default=None, description="candidate, active, archived or expired.")


class Facts(BaseModel):
    """Some facts, in the order in which they were learned."""

    version: int
    facts: list[FactOut]
    next: str | None = Field(default=None, description="Pass it as `after` to go on; none at the end.")


class FactDetail(BaseModel):
    """One fact, and the version that its answer came with."""

    version: int
    fact: FactOut
    learned: dict[str, Any] = Field(description="version, time, author and act; empty where that is not known.")


class Lesson(Asked):
    """Facts that are to be learned at once."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"facts": [{"question": "What does the Zorblat cost?", "answer": "40 dollars"}]}]
        },
    )

    facts: list[FactIn] = Field(min_length=1, description="All of them are looked at before any is learned.")
    kind: Kinds | None = Field(default=None, description="The kind of their experts; as the server is set if left out.")
    on_conflict: Literal["error", "keep-first", "keep-last"] | None = Field(
        default=None,
        description="What to do with a question that has another answer: refuse all (409), or keep one of them.",
    )
    proof: Literal["replay", "full"] | None = Field(
        default=None, description="`full` asks for every fact by free decoding."
    )


class NotLearned(BaseModel):
    """A fact that could not be learned, and why."""

    id: str
    reason: str


class Learned(BaseModel):
    """What became of the facts."""

    model_config = example(
        version=13, ids=["price-1"], facts=1, learned=1, failed=[], duplicates=0, conflicts=0, resolved=[],
        not_admitted=[], seconds=0.41,
    )  # fmt: skip

    version: int
    ids: list[str] = Field(description="In the order in which they were sent.")
    facts: int
    learned: int
    failed: list[NotLearned]
    duplicates: int = Field(description="Facts that the memory knew: sending the same twice does no harm.")
    conflicts: int
    resolved: list[str]
    not_admitted: list[str] = Field(description="Why what was learned waits as a candidate.")
    seconds: float


class Patch(Asked):
    """What is to change in a fact. At least one of these."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"answer": "42 dollars"}]})

    answer: Text | None = Field(default=None, description="Another answer; it is learned and proved like a new one.")
    phrasings: list[Text] = Field(
        default=[], max_length=MOST_TEXTS, description="Wordings that are to lead to it as well."
    )
    never: list[Text] = Field(default=[], max_length=MOST_TEXTS, description="Texts that must not lead to it.")


class Changed(BaseModel):
    """The version that holds the change."""

    model_config = example(version=14)

    version: int


class Forgotten(BaseModel):
    """What is gone. The model answers as if it had never learned it."""

    model_config = example(version=15, forgotten=["price-1"])

    version: int
    forgotten: list[str]


class Purged(BaseModel):
    """What was taken out of the whole history."""

    model_config = example(version=15, ids=["price-1"], rows=1, versions=0, questions=0, noted=[])

    version: int
    ids: list[str]
    rows: int = Field(description="Places in which the versions held it.")
    versions: int = Field(description="Versions that nothing led to, and that went with it.")
    questions: int = Field(description="Lines of the inbox that asked for it.")
    noted: list[int] = Field(description="Versions whose notes tell it: notes cannot be changed.")
