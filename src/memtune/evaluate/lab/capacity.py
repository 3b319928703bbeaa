"""How much is kept, bit for bit, in how many bytes: generated biographies of known content, learned and asked for.

Language models are said to keep about two bits in each of their parameters when they are trained on such biographies
long enough. The same is counted here for what a memory stores, a parameter being two bytes; and, as the measure of
what the bytes are worth, for the same facts as compressed text.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.errors import UsageError
from memtune.evaluate.lab.learners import InMemory
from memtune.evaluate.lab.people import ATTRIBUTES, biographies, name_bits, total_bits
from memtune.evaluate.output import Say, Sheet, silent
from memtune.evaluate.stats import Rate, figure
from memtune.evaluate.temporary import learned

LAW = 2.0
"""Bits in a parameter."""
PARAMETER_BYTES = 2
KINDS = ("imprint", "kv")


@dataclass(frozen=True)
class Kept:
    """What one kind keeps."""

    recalled: Rate
    value_bits: float
    name_bits: float
    """Of persons of whom everything was recalled."""
    expert_bytes: int
    folder_bytes: int
    """Router, facts and history included."""

    @property
    def bits(self) -> float:
        return self.value_bits + self.name_bits

    def a_byte(self, size: int) -> float:
        return self.bits / size if size else 0.0

    def a_parameter(self, size: int) -> float:
        return self.a_byte(size) * PARAMETER_BYTES

    def to_json(self) -> dict[str, object]:
        return {
            **vars(self),
            "bits": self.bits,
            "bits_a_byte_of_experts": self.a_byte(self.expert_bytes),
            "bits_a_byte_of_the_folder": self.a_byte(self.folder_bytes),
            "bits_a_parameter_of_experts": self.a_parameter(self.expert_bytes),
            "bits_a_parameter_of_the_folder": self.a_parameter(self.folder_bytes),
        }


@dataclass
class Capacity:
    people: int
    bits: float
    """All there is to know: values and names."""
    text_bytes: int
    """Of the facts as compressed text."""
    kinds: dict[str, Kept] = field(default_factory=dict)

    def sheets(self) -> list[Sheet]:
        rows = [
            [name, k.recalled.brief, f"{k.bits:,.0f}", where, f"{size:,}", figure(k.a_byte(size)),
             figure(k.a_parameter(size)), f"{figure(k.a_parameter(size) / LAW)} ×"]
            for name, k in self.kinds.items()
            for where, size in (("experts", k.expert_bytes), ("whole folder", k.folder_bytes))
        ]  # fmt: skip
        a_byte = self.bits / self.text_bytes
        rows.append(["compressed text", "", f"{self.bits:,.0f}", "zlib", f"{self.text_bytes:,}", figure(a_byte),
                     figure(a_byte * PARAMETER_BYTES), f"{figure(a_byte * PARAMETER_BYTES / LAW)} ×"])  # fmt: skip
        title = f"Capacity: {self.people:,} biographies, {self.bits:,.0f} bits"
        columns = ["kind", "facts exact", "bits", "stored in", "bytes", "bits/byte", "bits/parameter", "of the law"]
        note = (
            f"A parameter is {PARAMETER_BYTES} bytes; the law: {LAW:g} bits in each. Experts lean on the backbone's"
            " unembedding and on a router that finds them: only the folder stands for itself."
        )
        return [Sheet(title, columns, rows, note)]


def capacity(
    backbone: Backbone,
    *,
    people: int = 200,
    seed: int = 0,
    kinds: Sequence[str] = KINDS,
    config: Config | None = None,
    say: Say = silent,
) -> Capacity:
    """Learn so many biographies with each kind and ask for every value by free decoding."""
    if people < 1:
        raise UsageError("there are no biographies to learn", hint="people=200")
    made = biographies(people, seed)
    facts = [fact for person in made for fact in person.facts]
    text = zlib.compress("\n".join(json.dumps(fact.to_row()) for fact in facts).encode(), 9)
    everything = people * (sum(a.bits for a in ATTRIBUTES) + name_bits(people))
    result = Capacity(people, everything, len(text))
    for kind in kinds:
        say(f"learning {len(facts):,} facts, kind {kind}")
        with learned(backbone, facts, config or Config(), kind) as memory:
            right = InMemory(memory.model, kind).recalled(facts)
            values, whole = total_bits([right[i : i + len(ATTRIBUTES)] for i in range(0, len(right), len(ATTRIBUTES))])
            experts = round(memory.report.bytes_per_fact * sum(1 for _ in memory.model.facts()))
            result.kinds[kind] = Kept(Rate.of(right), values, whole, experts, memory.bytes)
        say(f"{kind}: {result.kinds[kind].recalled}")
    return result
