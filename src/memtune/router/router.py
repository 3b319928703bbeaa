"""From a prompt to the facts it asks for, or to none.

A learned wording is found by its hash. Anything else goes through two looks: a few wordings are proposed (shared rare
words, near vectors), then compared closely and given shares of one probability, the rest of which is that no fact is
meant. A fact is confirmed from a threshold on that is calibrated on the memory's own near misses.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from memtune.config import IndexConfig, RouterConfig
from memtune.core.prompts import Message
from memtune.errors import UsageError
from memtune.router.asked import Asked, form, may_ask, strip
from memtune.router.confirm import confirmer
from memtune.router.encoders import Encoder, make_encoder
from memtune.router.gate import Gate
from memtune.router.hops import FactOf, Hops
from memtune.router.keys import NEVER
from memtune.router.matcher import Judged, Matcher
from memtune.router.reasons import reason_for
from memtune.router.route import LEARNED, Owner, Proposal, Route
from memtune.router.using import Using, joined
from memtune.router.walk import Walk, sound
from memtune.router.words import hashed_words

_ABOUT = 256
_RIVAL = 0.15
"""Share from which a fact that is not confirmed counts as one that may be meant."""


@dataclass(frozen=True)
class Taken:
    """Keys of a segment as they were taken in."""

    segment: int
    keys: Mapping[str, Tensor]
    kept: NDArray[np.bool_]
    """Which of them."""
    first: int
    """The number of the first one; the others follow."""

    @property
    def numbers(self) -> NDArray[np.int64]:
        return np.arange(self.first, self.first + np.count_nonzero(self.kept))


class Router:
    def __init__(
        self,
        config: RouterConfig,
        index: IndexConfig | None = None,
        encoder: Encoder | None = None,
        matcher: Matcher | None = None,
    ) -> None:
        """`matcher`: what finds the keys, where it is not one of this router's own making."""
        encoder = matcher.encoder if matcher is not None else encoder or make_encoder(config.encoder)
        self.config = config
        self.matcher = matcher or Matcher(config, index or IndexConfig(), encoder, confirmer(encoder.family))
        self.threshold = config.threshold
        """Share from which a fact is confirmed; a memory's own calibration sets it."""
        self.gates: dict[str, Gate] = {}
        """Of skills, by name."""
        self.knowing = False
        """Whether facts are held that can be used without being recited; only then is it asked which are needed."""
        self.fact_of: FactOf = lambda owner: None
        """Question and answer of a fact: keys hold only hashes of them, and an answer may have to stand in a text."""
        holding, ask = self.matcher.holding, self._ask_in_passing
        hops = Hops(holding, ask, self._shares, lambda owner: self.fact_of(owner), config.max_hops)
        self._using = Using(holding, ask, hops, config.max_hops, config.max_used)
        self.lock = threading.RLock()
        """Index and keys change together, whoever asks meanwhile."""
        self.taken: dict[int, Taken] = {}
        """What was taken in and is not wholly gone, by its first number: parts of this router begin with it."""
        self.parts: WeakSet[Router] = WeakSet()
        """Routers over some of the facts, which follow this one."""

    def __len__(self) -> int:
        return len(self.matcher.keys)

    # ---- keys ---------------------------------------------------------------------------------------------------

    def add(self, segment: int, keys: Mapping[str, Tensor], dropped: Iterable[int] = ()) -> None:
        """Take a segment's keys in, except those of dropped rows."""
        kept = ~np.isin(keys["rows"].numpy(), list(dropped))
        with self.lock:
            numbers = self.matcher.add(segment, keys, kept)
            if len(numbers):
                self.taken[int(numbers[0])] = Taken(segment, keys, kept, int(numbers[0]))

    def remove(self, owners: Sequence[Owner]) -> None:
        """Take all keys of these facts out."""
        with self.lock:
            self.matcher.remove(self.matcher.keys.of(owners))
            for part in list(self.parts):
                part.remove(owners)
            touched = {segment for segment, _ in owners}
            for taken in [taken for taken in self.taken.values() if taken.segment in touched]:
                if not self.matcher.keys.alive(taken.numbers).any():
                    del self.taken[taken.first]

    def owners(self, segment: int) -> list[Owner]:
        """The facts of a segment that keys lead to."""
        with self.lock:
            return self.matcher.keys.owners(segment)

    def keys_of(self, owners: Sequence[Owner]) -> list[int]:
        """The numbers of the keys that lead to these facts."""
        with self.lock:
            return [int(key) for key in self.matcher.keys.of(owners)]

    def keys_in(self, wording: str) -> list[int]:
        """The numbers of the keys that are this wording."""
        with self.lock:
            return self.matcher.keys.wording(wording)

    def keys_about(self, name: str) -> list[int]:
        """The numbers of keys that hold the rarest word of a name."""
        words = hashed_words(name)
        with self.lock:
            keys = self.matcher.keys
            rarest = min(words.tolist(), key=keys.frequency, default=None)
            return [] if rarest is None else [int(key) for key in keys.holding(rarest, _ABOUT)]

    def index_at_work(self) -> tuple[str, str]:
        """The method that finds the nearest keys, and why it is not the one that was asked for."""
        with self.lock:
            return self.matcher.index.method, self.matcher.index.note

    # ---- skills -------------------------------------------------------------------------------------------------

    def add_gate(self, gate: Gate) -> None:
        """Let a skill be opened by what its gate lets in."""
        with self.lock:
            if gate.name in self.gates:
                raise UsageError(f"there is a skill '{gate.name}' already", hint="remove its gate first")
            self.gates[gate.name] = gate

    def remove_gate(self, name: str) -> None:
        with self.lock:
            if name not in self.gates:
                raise UsageError(f"no skill '{name}'", hint=f"there is: {', '.join(self.gates) or 'none'}")
            del self.gates[name]

    def _skills(self, text: str) -> tuple[tuple[str, float], ...]:
        """The skills that a text asks for, the surest first."""
        read = {id(gate.encoder): gate.encoder for gate in self.gates.values()}  # one, as a rule
        vectors = {key: encoder.encode([text])[0] for key, encoder in read.items()}
        found = {name: gate.lets_in(vectors[id(gate.encoder)]) for name, gate in self.gates.items()}
        opened = [(name, confidence) for name, (opens, confidence) in found.items() if opens]
        return tuple(sorted(opened, key=lambda skill: -skill[1]))

    # ---- routing ------------------------------------------------------------------------------------------------

    def exact(self, wording: str) -> Owner | None:
        """The fact that was learned in this wording."""
        with self.lock:
            return self.matcher.keys.exact(wording)

    def route(self, text: str) -> Route:
        """The facts that a prompt asks for: the whole of it, or each of its questions."""
        return self.route_chat([{"role": "user", "content": text}])

    def route_chat(self, messages: Sequence[Message]) -> Route:
        """The facts that the last message of a chat asks for, by itself or as a follow-up of those before it."""
        with self.lock:
            most = self.config.max_used if self.knowing else 0
            route = Walk(self._look, self.exact, self.config.max_facts, most).through(messages)
            route = self._with_use(route, messages) if self.knowing else route
            if route.note or not self.gates:
                return route
            return replace(route, skills=self._skills(strip(sound(messages[-1]["content"]))))

    def _with_use(self, route: Route, messages: Sequence[Message]) -> Route:
        """With the facts that the last message needs, where it asks for none in a learned wording."""
        text = sound(messages[-1]["content"])
        if route.note or any(p.recite and p.learned for p in route.confirmed):
            return route
        needed = self._using.needed(text)
        barred = self._barred_from(strip(text)) if needed else set()
        return joined(route, [p for p in needed if p.owner not in barred])

    def _ask_in_passing(self, text: str) -> Proposal | None:
        """The fact that a question made of the message's words asks for."""
        found = next((p for p in self._look(Asked(text)) if p.confirmed), None)
        return replace(found, recite=False) if found is not None else None

    def _shares(self, text: str) -> dict[Owner, float]:
        """The facts that a text may ask for, and how likely each is."""
        return {judged.owner: judged.share for judged in self.judge(text)}

    def route_gap(self, prompt: str, name: str) -> Proposal | None:
        """The fact whose wording the prompt and the name of an open gap cover together, if there is just one."""
        with self.lock:
            return self._route_gap(prompt, name)

    def _route_gap(self, prompt: str, name: str) -> Proposal | None:
        said, named = set(hashed_words(prompt).tolist()), set(hashed_words(name).tolist())
        found: dict[Owner, Proposal] = {}
        for key in self.matcher.propose(self.matcher.query(f"{prompt} {name}")).keys.tolist():
            own = self.matcher.keys.words(key)
            if named < own <= said | named:
                owner = self.matcher.keys.owner(key)
                found[owner] = Proposal(owner, 1.0, True, f"the gap '{name}' names it", name)
        return next(iter(found.values())) if len(found) == 1 else None

    def _look(self, part: Asked) -> list[Proposal]:
        owner = self.exact(part.text)
        if owner is not None:
            return [Proposal(owner, 1.0, True, LEARNED, part.text)]
        if not may_ask(part):
            return []
        barred = self._barred_from(part.text)
        found = self.judge(part.text)
        closed = form(part.text) == "closed"
        judged = [j for j in found if j.owner not in barred]
        best = self._best(judged)
        possible = [j for j in judged if j.share >= _RIVAL and not j.digits]
        open_between = best is None and len(possible) > 1 and sum(j.share for j in possible) >= self.threshold
        refused = [j for j in found if j.owner in barred]
        rivals = possible if open_between else []
        return [
            *(self._proposal(j, part, closed, confirmed=j is best, rival=j in rivals) for j in judged),
            *(
                Proposal(j.owner, 0.0, False, "an example says that it must not answer this", part.text)
                for j in refused
            ),
        ]

    def judge(self, text: str, without: frozenset[int] = frozenset()) -> list[Judged]:
        """The facts that a text may ask for, the likeliest first; as if the keys `without` were not there."""
        with self.lock:
            query = self.matcher.query(text)
            if not len(query.words):
                return []
            return self.matcher.confirm(query, self.matcher.propose(query, without))

    def _best(self, judged: Sequence[Judged]) -> Judged | None:
        """The fact to use, if any. Where several have one answer, they share it, and the likeliest speaks for them."""
        best = next((j for j in judged if not j.digits), None)
        return best if best is not None and best.share >= self.threshold else None

    def _barred_from(self, text: str) -> set[Owner]:
        """The facts that this very text is an example for, of what they must not answer."""
        keys = self.matcher.keys
        return {keys.owner(key) for key in keys.wording(text) if keys.tag(key) == NEVER}

    def _proposal(self, judged: Judged, part: Asked, closed: bool, *, confirmed: bool, rival: bool) -> Proposal:
        """`closed`: whether the part is to be answered by yes or no."""
        closed = closed and self.matcher.keys.form(judged.key) != "closed"
        why = "as likely as another fact" if rival else reason_for(judged)
        if self.knowing and confirmed and closed and not self._using.named(part.text, judged.key):
            confirmed, why = False, "the question names something longer"
        return Proposal(judged.owner, judged.share, confirmed, why, part.text, not closed, rival, part.origin)
