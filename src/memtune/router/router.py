"""From a prompt to the facts it asks for, or to none.

A learned wording is found by its hash. Any other is proposed by the nearest sketches and confirmed by what the words
have in common, weighted by their rarity, both ways. A word with a digit on one side only refuses the fact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memtune.config import RouterConfig
from memtune.core.facts import wording_hash
from memtune.router.asked import Asked, asked, form
from memtune.router.index import Index
from memtune.router.words import has_digit, hashed_words, sketches

Owner = tuple[int, int]
"""Segment and row: where a fact lives."""


@dataclass(frozen=True)
class Proposal:
    """A fact that was looked at, how sure the router is, and what decided."""

    owner: Owner
    score: float
    confirmed: bool
    reason: str
    asked: str
    recite: bool = True
    """Whether the stored answer is what is asked for; else the fact may be used, but not recited."""


@dataclass(frozen=True)
class Route:
    """What the router made of one prompt."""

    asked: tuple[str, ...] = ()
    confirmed: tuple[Proposal, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    """Everything that was looked at, best first."""
    note: str = ""
    """Why nothing was looked at, where nothing was."""


@dataclass
class _Keys:
    """One entry a wording; the columns are kept in step."""

    owners: list[Owner] = field(default_factory=list)
    words: list[NDArray[np.uint32]] = field(default_factory=list)
    forms: list[str] = field(default_factory=list)


_FORMS = ("open", "closed", "other")


def make_keys(wordings: Sequence[tuple[int, str]], width: int) -> dict[str, Tensor]:
    """The router's tensors for a segment, from (row, wording) pairs."""
    texts = [text for _, text in wordings]
    words = [hashed_words(text) for text in texts]
    starts = np.cumsum([0, *(len(w) for w in words)])
    return {
        "rows": torch.tensor([row for row, _ in wordings], dtype=torch.int32),
        "hashes": torch.from_numpy(np.array([wording_hash(t) for t in texts], dtype=np.uint64).view(np.int64).copy()),
        "words": torch.from_numpy(np.concatenate([*words, np.empty(0, np.uint32)]).view(np.int32).copy()),
        "words.starts": torch.from_numpy(starts.astype(np.int64)),
        "forms": torch.tensor([_FORMS.index(form(t)) for t in texts], dtype=torch.uint8),
        "sketches": torch.from_numpy(sketches(texts, width)).to(torch.float16),
    }


class Router:
    def __init__(self, config: RouterConfig) -> None:
        self.config = config
        self._exact: dict[int, Owner] = {}
        self._keys = _Keys()
        self._frequency: dict[int, int] = {}
        self._index = Index(config.width)
        self._waiting: list[NDArray[Any]] = []

    def __len__(self) -> int:
        return len(self._keys.owners)

    # ---- keys ---------------------------------------------------------------------------------------------------

    def add(self, segment: int, keys: Mapping[str, Tensor], dropped: Iterable[int] = ()) -> None:
        """Take a segment's keys in, except those of dropped rows."""
        gone = set(dropped)
        rows = keys["rows"].tolist()
        kept = [i for i, row in enumerate(rows) if row not in gone]
        words = keys["words"].numpy().view(np.uint32)
        starts = keys["words.starts"].tolist()
        hashes = keys["hashes"].numpy().view(np.uint64).tolist()
        forms = keys["forms"].tolist()
        for i in kept:
            owner, own_words = (segment, rows[i]), words[starts[i] : starts[i + 1]].copy()
            self._exact[hashes[i]] = owner
            self._keys.owners.append(owner)
            self._keys.words.append(own_words)
            self._keys.forms.append(_FORMS[forms[i]])
            self._count(own_words, 1)
        self._waiting.append(keys["sketches"].numpy()[kept])

    def remove(self, owners: Iterable[Owner]) -> None:
        """Take all keys of these facts out."""
        gone = set(owners)
        self._fill_index()
        at = [i for i, owner in enumerate(self._keys.owners) if owner in gone]
        for i in at:
            self._count(self._keys.words[i], -1)
        self._index.remove(np.array(at, dtype=np.int64))
        kept = [i for i in range(len(self)) if self._keys.owners[i] not in gone]
        self._keys = _Keys(*([column[i] for i in kept] for column in vars(self._keys).values()))
        self._exact = {h: owner for h, owner in self._exact.items() if owner not in gone}

    def _count(self, words: NDArray[np.uint32], by: int) -> None:
        for word in words.tolist():
            self._frequency[word] = self._frequency.get(word, 0) + by

    def _fill_index(self) -> None:
        for vectors in self._waiting:
            self._index.add(vectors)
        self._waiting.clear()

    # ---- routing ------------------------------------------------------------------------------------------------

    def exact(self, wording: str) -> Owner | None:
        """The fact that was learned in this wording."""
        return self._exact.get(wording_hash(wording))

    def route(self, text: str) -> Route:
        """The facts that a prompt asks for: the whole of it, or each of its questions."""
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
        said, named = set(hashed_words(prompt).tolist()), set(hashed_words(name).tolist())
        found: dict[Owner, Proposal] = {}
        for key, _ in self._nearest(f"{prompt} {name}"):
            own = set(self._keys.words[key].tolist())
            if named < own <= said | named:
                owner = self._keys.owners[key]
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
        own, owner = set(self._keys.words[key].tolist()), self._keys.owners[key]
        closed = query_form == "closed" and self._keys.forms[key] != "closed"
        one_sided = own - query if closed else own ^ query
        if any(has_digit(word) for word in one_sided):
            return Proposal(owner, 0.0, False, "a number or id stands on one side only", text)
        shared = self._weight(query & own)
        covered, asked_for = shared / max(self._weight(own), 1e-9), shared / max(self._weight(query), 1e-9)
        asked_for = covered if closed else asked_for
        score = 0.5 * math.sqrt(covered * asked_for) + 0.3 * min(covered, asked_for) + 0.2 * max(similarity, 0.0)
        why = f"covers {covered:.0%} of the fact's words, {asked_for:.0%} of what is asked"
        return Proposal(owner, score, False, why + (", as a yes-or-no question" if closed else ""), text, not closed)

    def _weight(self, words: set[int]) -> float:
        total = len(self) + 1
        return sum(math.log(1.0 + total / (1 + self._frequency.get(word, 0))) for word in words)
