"""One prompt, looked up part by part: what it says itself, then what its follow-ups stand for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from memtune.core.prompts import Message
from memtune.router.asked import Asked, asked, strip, withheld
from memtune.router.conversation import elliptic, follows, readings
from memtune.router.route import LEARNED, Owner, Proposal, Route
from memtune.router.transcript import Turn, dialogue

_NEARLY = 0.8
"""Score from which another reading's fact leaves it open which one is meant."""
_MOST_READINGS = 18
"""Readings of all follow-ups of one prompt that are looked up."""

Look = Callable[[Asked], Sequence[Proposal]]
"""The facts that one thing asked leads to, best first: those to use are `confirmed`, those that fit alike `rival`."""


class Walk:
    """The way through one prompt, and what was found on it."""

    def __init__(self, look: Look, exact: Callable[[str], Owner | None], max_facts: int, max_used: int = 0) -> None:
        """`max_used`: so many facts may be used, where that is more than may be recited."""
        self._look, self._exact, self._max_facts, self._max_used = look, exact, max_facts, max_used
        self._asked: list[Asked] = []
        self._seen: list[Proposal] = []
        self._chosen: dict[Owner, Proposal] = {}
        self._open: dict[Owner, Proposal] = {}
        self._without_the_rest: set[Owner] = set()
        self._readings_left = _MOST_READINGS

    def through(self, messages: Sequence[Message]) -> Route:
        """The facts that the last message asks for, by itself or with the messages before it."""
        messages = [{**m, "content": sound(m["content"])} for m in messages]
        text = messages[-1]["content"]
        for wording in dict.fromkeys((text, strip(text))):
            owner = self._exact(wording)
            if owner is not None:
                found = Proposal(owner, 1.0, True, LEARNED, wording)
                return Route((Asked(wording, "whole"),), (found,), (found,))
        before = dialogue(messages)[:-1]
        parts = asked(text)
        if not parts:
            return Route(note="the prompt says not to answer" if withheld(text) else "nothing is asked")
        if before and elliptic(parts[0].text):
            self._in_context(parts[:1], before, alone=True)
        else:
            self._in_parts(parts, before)
        return self._route()

    def _in_parts(self, parts: Sequence[Asked], before: Sequence[Turn]) -> None:
        """The whole and its parts. Parts that lead to several facts say more than a whole that leads to one."""
        whole = [p for part in parts if part.whole for p in self._try(part)]
        self._of_the_parts([part for part in parts if not part.whole])
        self._in_context(parts, before, alone=not self._chosen and not any(p.confirmed for p in whole))
        if len(self._chosen) < 2 and any(p.confirmed for p in whole):
            self._chosen.clear()
        if not self._chosen:
            self._take(whole)

    def _of_the_parts(self, parts: Sequence[Asked]) -> None:
        groups: dict[int, list[Sequence[Proposal]]] = {}
        for part in parts:
            found = self._try(part)
            if part.together:
                groups.setdefault(part.together, []).append(found)
            else:
                self._take(found)
        for found_together in groups.values():
            # "X and Y" may be one name: it is two things only if both are known.
            if all(any(p.confirmed for p in found) for found in found_together):
                for found in found_together:
                    self._take(found)
            else:
                self._without_the_rest |= {p.owner for found in found_together for p in found if p.confirmed}

    def _in_context(self, parts: Sequence[Asked], before: Sequence[Turn], *, alone: bool) -> None:
        """Follow-ups lean on the sentences before them; on earlier turns only where the message alone led nowhere."""
        own = [p for p in parts if not p.whole and not p.together] or list(parts[:1])
        settled = {p.asked for p in self._chosen.values()}
        for i, part in enumerate(own):
            said = [Turn("user", p.text) for p in own[:i] if p.text != part.text]
            lies_before = [*(before if alone else ()), *said]
            if part.text not in settled and follows(part.text, lies_before):
                self._read(part, lies_before)

    def _read(self, part: Asked, before: Sequence[Turn]) -> None:
        for tier in readings(part.text, before):
            confirmed: dict[Owner, Proposal] = {}
            nearly: dict[Owner, Proposal] = {}
            tier, self._readings_left = tier[: self._readings_left], max(0, self._readings_left - len(tier))
            for text in tier:
                for proposal in self._try(Asked(text, "context")):
                    if proposal.confirmed:
                        confirmed.setdefault(proposal.owner, proposal)
                    elif proposal.rival:
                        self._open.setdefault(proposal.owner, proposal)
                    elif proposal.score >= _NEARLY and proposal.recite:
                        nearly.setdefault(proposal.owner, proposal)
            possible = {**nearly, **confirmed}
            if len(possible) == len(confirmed) == 1:
                self._chosen.update(confirmed)
            for owner, proposal in possible.items() if confirmed and len(possible) > 1 else ():
                why = "it stays open what the question leans on"
                self._open[owner] = replace(proposal, confirmed=False, rival=True, reason=why)
            if confirmed:
                return

    def _try(self, part: Asked) -> Sequence[Proposal]:
        self._asked.append(part)
        found = [p if p.origin == part.origin else replace(p, origin=part.origin) for p in self._look(part)]
        self._seen += found
        return found

    def _take(self, found: Sequence[Proposal]) -> None:
        for proposal in found:
            if proposal.confirmed:
                self._chosen.setdefault(proposal.owner, proposal)
            elif proposal.rival:
                self._open.setdefault(proposal.owner, proposal)

    def _route(self) -> Route:
        found = tuple(self._chosen.values())
        used = tuple(replace(p, recite=False) for p in found[self._max_facts : self._max_used])
        chosen = (*found[: self._max_facts], *used)
        kept = {p.owner for p in chosen}
        seen = [p if not p.confirmed or p.owner in kept else self._passed_over(p) for p in self._seen]
        return Route(
            tuple(dict.fromkeys(self._asked)),
            chosen,
            tuple(sorted(seen, key=lambda p: -p.score)),
            () if chosen else tuple(sorted(self._open.values(), key=lambda p: -p.score)),
        )

    def _passed_over(self, proposal: Proposal) -> Proposal:
        """A fact that its own part confirmed and the prompt as a whole does not use, with the reason."""
        if proposal.owner in self._open:
            return self._open[proposal.owner]
        why = "another reading of the prompt was taken"
        if proposal.owner in self._chosen:
            why = "one fact more than router.max_facts"
        elif proposal.owner in self._without_the_rest:
            why = "what it was asked together with is not known"
        return replace(proposal, confirmed=False, reason=why)


def sound(text: str) -> str:
    """The text without halves of characters, which no encoding can spell."""
    return text.encode("utf-8", "replace").decode("utf-8")
