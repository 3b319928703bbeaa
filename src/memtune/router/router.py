"""From a prompt to the facts it asks for, or to none.

A learned wording is found by its hash. Any other is proposed by the nearest sketches and confirmed by what the words
have in common, weighted by their rarity, both ways. A word with a digit on one side only refuses the fact.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from memtune.config import RouterConfig
from memtune.router.asked import Asked, asked, form, strip
from memtune.router.index import Index
from memtune.router.keys import Keys
from memtune.router.route import Owner, Proposal, Route
from memtune.router.words import has_digit, hashed_words, sketches


class Router:
    def __init__(self, config: RouterConfig) -> None:
        self.config = config
        self._keys = Keys()
        self._index = Index(config.width)
        self._waiting: list[NDArray[Any]] = []
        self._lock = threading.RLock()
        """Index and keys change together, whoever asks meanwhile."""

    def __len__(self) -> int:
        return len(self._keys)

    # ---- keys ---------------------------------------------------------------------------------------------------

    def add(self, segment: int, keys: Mapping[str, Tensor], dropped: Iterable[int] = ()) -> None:
        """Take a segment's keys in, except those of dropped rows."""
        kept = ~np.isin(keys["rows"].numpy(), list(dropped))
        with self._lock:
            self._keys.add(segment, keys, kept)
            self._waiting.append(keys["sketches"].numpy()[kept])

    def remove(self, owners: Sequence[Owner]) -> None:
        """Take all keys of these facts out."""
        with self._lock:
            self._fill_index()
            gone = self._keys.of(owners)
            self._index.remove(gone)
            self._keys.remove(gone)

    def owners(self, segment: int) -> list[Owner]:
        """The facts of a segment that keys lead to."""
        with self._lock:
            return self._keys.owners(segment)

    def _fill_index(self) -> None:
        """The index takes waiting sketches in when it is first asked: learned wordings never need it."""
        for vectors in self._waiting:
            self._index.add(vectors)
        self._waiting.clear()

    # ---- routing ------------------------------------------------------------------------------------------------

    def exact(self, wording: str) -> Owner | None:
        """The fact that was learned in this wording."""
        with self._lock:
            return self._keys.exact(wording)

    def route(self, text: str) -> Route:
        """The facts that a prompt asks for: the whole of it, or each of its questions."""
        with self._lock:
            return self._route(text)

    def _route(self, text: str) -> Route:
        for wording in (text, strip(text)):
            owner = self.exact(wording)
            if owner is not None:
                found = Proposal(owner, 1.0, True, "a learned wording", wording)
                return Route((wording,), (found,), (found,))
        parts = asked(text)
        if not parts:
            return Route(note="the prompt says not to answer" if text.strip() else "nothing is asked")
        proposals: list[Proposal] = []
        chosen: dict[Owner, Proposal] = {}
        for part in parts:
            looked_at = self._look(part)
            proposals += looked_at
            for proposal in looked_at:
                if proposal.confirmed:
                    chosen.setdefault(proposal.owner, proposal)
            if part.whole and chosen:
                break
        return Route(
            tuple(p.text for p in parts),
            tuple(list(chosen.values())[: self.config.max_facts]),
            tuple(sorted(proposals, key=lambda p: -p.score)),
        )

    def route_gap(self, prompt: str, name: str) -> Proposal | None:
        """The fact whose wording the prompt and the name of an open gap cover together, if there is just one."""
        with self._lock:
            return self._route_gap(prompt, name)

    def _route_gap(self, prompt: str, name: str) -> Proposal | None:
        said, named = set(hashed_words(prompt).tolist()), set(hashed_words(name).tolist())
        found: dict[Owner, Proposal] = {}
        for key, _ in self._nearest(f"{prompt} {name}"):
            own = self._keys.words(key)
            if named < own <= said | named:
                owner = self._keys.owner(key)
                found[owner] = Proposal(owner, 1.0, True, f"the gap '{name}' names it", name)
        return next(iter(found.values())) if len(found) == 1 else None

    def _look(self, part: Asked) -> list[Proposal]:
        owner = self.exact(part.text)
        if owner is not None:
            return [Proposal(owner, 1.0, True, "a learned wording", part.text)]
        return self._confirm(part.text)

    def _nearest(self, text: str) -> list[tuple[int, float]]:
        self._fill_index()
        scores, keys = self._index.search(sketches([text], self.config.width), self.config.propose)
        return [(int(key), float(score)) for key, score in zip(keys[0], scores[0], strict=True) if key >= 0]

    def _confirm(self, text: str) -> list[Proposal]:
        """The nearest facts, each with its confidence; at most the best one is confirmed."""
        query, query_form = set(hashed_words(text).tolist()), form(text)
        best: dict[Owner, Proposal] = {}
        for key, similarity in self._nearest(text):
            proposal = self._judge(query, query_form, key, similarity, text)
            if proposal.owner not in best or proposal.score > best[proposal.owner].score:
                best[proposal.owner] = proposal
        ranked = sorted(best.values(), key=lambda p: -p.score)
        if ranked and ranked[0].score >= self.config.threshold:
            if len(ranked) > 1 and ranked[1].score >= ranked[0].score - 1e-6:
                return [replace(p, reason="as likely as another fact") for p in ranked[:2]] + ranked[2:]
            ranked[0] = replace(ranked[0], confirmed=True)
        return ranked

    def _judge(self, query: set[int], query_form: str, key: int, similarity: float, text: str) -> Proposal:
        """One key against what is asked. A closed question holds the fact's words and more: it is used, not recited."""
        own, owner = self._keys.words(key), self._keys.owner(key)
        closed = query_form == "closed" and self._keys.form(key) != "closed"
        one_sided = own - query if closed else own ^ query
        if any(has_digit(word) for word in one_sided):
            return Proposal(owner, 0.0, False, "a number or id stands on one side only", text)
        shared = self._weight(query & own)
        covered, asked_for = shared / max(self._weight(own), 1e-9), shared / max(self._weight(query), 1e-9)
        asked_for = covered if closed else asked_for
        least, most = sorted((covered, asked_for))
        score = 0.6 * least + 0.2 * most + 0.2 * max(similarity, 0.0)
        why = f"covers {covered:.0%} of the fact's words, {asked_for:.0%} of what is asked"
        return Proposal(owner, score, False, why + (", as a yes-or-no question" if closed else ""), text, not closed)

    def _weight(self, words: set[int]) -> float:
        total = len(self) + 1
        return sum(math.log(1.0 + total / (1 + self._keys.frequency(word))) for word in words)
