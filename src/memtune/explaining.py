"""What the router made of a question, for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memtune.answering import Answering
from memtune.router.route import Proposal, Route


@dataclass(frozen=True)
class Explanation:
    """What the router made of a question."""

    found: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        return dict(self.found)

    def lines(self) -> list[str]:
        """For people: what was asked, what was looked at, what was decided and why."""
        if self.found["note"]:
            return [f"nothing was looked for: {self.found['note']}"]
        lines = [f"asked ({part['from']}): {part['text']}" for part in self.found["asked"]]
        for row in self.found["proposals"]:
            mark = "confirmed" if row["confirmed"] else "refused"
            lines.append(f"{mark:>9}  {row['id']}  {row['score']:.3f}  {row['why']}")
        lines = list(dict.fromkeys(lines))  # a question is looked up whole and in parts, which may be the same
        lines += [f"{'skill':>9}  {row['name']}  {row['confidence']:.3f}" for row in self.found["skills"]]
        if self.found["confirmed"]:
            return lines
        under = ", under the skill" if self.found["skills"] else ""
        return [*lines, f"no fact was confirmed: the base model answers{under}"]


def explanation(route: Route, answering: Answering) -> dict[str, Any]:
    """A route as JSON: what was asked, proposed and confirmed, and why."""
    describe = answering.describe
    silent = {p.owner for p in route.confirmed if not answering.in_force(p.owner)}

    def row(p: Proposal) -> dict[str, Any]:
        return {
            "id": describe(p.owner)[0],
            "score": round(p.score, 4),
            "confirmed": p.confirmed and p.owner not in silent,
            "recite": p.recite,
            "asked": p.asked,
            "from": p.origin,
            "why": f"{p.reason}; it does not hold at this time" if p.owner in silent else p.reason,
        }

    return {
        "asked": [{"text": a.text, "from": a.origin} for a in route.asked],
        "note": route.note,
        "proposals": [row(p) for p in route.proposals],
        "confirmed": [describe(p.owner)[0] for p in route.confirmed if p.owner not in silent],
        "rivals": [describe(p.owner)[0] for p in route.rivals],
        "skills": [{"name": name, "confidence": round(confidence, 4)} for name, confidence in route.skills],
    }
