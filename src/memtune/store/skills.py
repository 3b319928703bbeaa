"""What a version holds of a skill: a name, and a shard for each of its rooms.

Skills stand beside the segments, never among them: what walks the facts of a version cannot meet one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

ABOUT = "about"
"""The room that tells of the skill: settings, figures, and the examples that it was learned from."""
GATE = "gate"
"""The room of its gate; every other room is named by the kind of the expert that it holds."""
_SAID = "said"
_NAME_CHARACTERS = 64


@dataclass(frozen=True)
class Skill:
    """Two skills of one name are the same if their shards are."""

    name: str
    shards: Mapping[str, str]
    """From the room's name to the SHA-256 of its shard."""

    @property
    def kinds(self) -> list[str]:
        """The kinds of its experts."""
        return [room for room in self.shards if room not in (ABOUT, GATE)]

    def acts_as(self, other: Skill | None) -> bool:
        """Whether the other one has the same gate and experts, whatever is told of how they came about."""
        return other is not None and _without_record(self) == _without_record(other)

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "shards": dict(self.shards)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Skill:
        name, shards = data["name"], data["shards"]
        if not is_name(name) or not {ABOUT, GATE} < shards.keys():
            raise ValueError(f"a skill {name!r}")
        return cls(name, dict(shards))


def _without_record(skill: Skill) -> dict[str, str]:
    return {room: digest for room, digest in skill.shards.items() if room != ABOUT}


Skills = dict[str, Skill]
"""Skills by name."""


def is_name(text: Any) -> bool:
    """Letters, digits and . _ -, beginning with a letter or a digit: it stands in commands and in answers."""
    if not isinstance(text, str) or not 0 < len(text) <= _NAME_CHARACTERS:
        return False
    return text[0].isalnum() and all(character.isalnum() or character in "._-" for character in text)


def changes(old: Mapping[str, Skill], new: Mapping[str, Skill]) -> dict[str, tuple[str, ...]]:
    """The names that came, that stand for something else now, and that went."""
    return {
        "added": tuple(sorted(new.keys() - old.keys())),
        "changed": tuple(sorted(name for name in new.keys() & old.keys() if new[name] != old[name])),
        "removed": tuple(sorted(old.keys() - new.keys())),
    }


def encode_text(document: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """What is told of a skill, as a tensor of bytes: shards hold nothing else."""
    import torch

    return {_SAID: torch.frombuffer(bytearray(json.dumps(document, ensure_ascii=False).encode()), dtype=torch.uint8)}


def decode_text(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(tensors[_SAID].numpy().tobytes())
    return document


def digests(skills: Iterable[Skill]) -> set[str]:
    return {digest for skill in skills for digest in skill.shards.values()}
