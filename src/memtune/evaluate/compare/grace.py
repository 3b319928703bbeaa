"""GRACE: a codebook at one block. A prompt whose state lies within the radius of a key gets that key's value.

As its authors describe it: the key is what enters the block at the prompt's last token, the value replaces what leaves
it there, found by a few steps of gradient descent. A new key that falls among another one's widens that one's radius
where the answer is the same, and splits the distance with it where the answer differs. The weights never change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.evaluate.cases import Case, Said
from memtune.evaluate.compare.contender import Setting, Took, ask_plainly
from memtune.evaluate.compare.training import answer_places, decoded, spelled

_DEPTH = 0.5
"""Where the block stands: enough blocks have read the prompt, and enough can still read the value."""
_STEPS = 200
"""For one value, at most; one whose answer is likely enough needs no more."""
_LIKELY = 0.1
"""What every token of the answer may still cost then."""
_RATES = (0.1, 0.3, 1.0)
"""As shares of what a number in the block's output is large, for streams differ in scale."""
_BATCH = 32
_SHARE_OF_DISTANCE = 0.5
"""The radius to begin with, of the median distance between a tuning question and its nearest neighbour."""
_TOUCHING = 1e-5
"""Radii that were split do not quite meet."""


@dataclass
class _Entry:
    """One key with its value and radius, and the facts that it answers for."""

    key: Tensor
    value: Tensor
    radius: float
    answer: str
    wording: str
    owners: set[str]


class Grace:
    name = "grace"

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self.reader: Backbone = setting.backbone
        last = len(setting.backbone.blocks) - 1
        self._place = min(last, max(1, int(_DEPTH * last)))  # what enters the first block is one token alone
        self._cost = 0.0
        """Of all values that were looked for last, what a token of their answers costs, summed."""
        self._in_tuple = False
        """Whether blocks of this model give their stream within a tuple."""
        self._book: list[_Entry] = []
        self._rate, self._radius, self._steps, self._merged = _RATES[1], 1.0, 0.0, 0

    def learn(self, facts: Sequence[Fact]) -> Took:
        search = self._choose(self._setting.tuning or facts[:_BATCH])
        begin = time.perf_counter()
        in_time = self._write(facts, self._setting.budget_seconds)
        seconds = time.perf_counter() - begin
        self._setting.say(f"grace: {len(self._book)} keys after {seconds:.1f} s")
        return Took(seconds, f"{_STEPS} steps at most for each value", in_time, search)

    def answer(self, cases: Sequence[Case]) -> list[Said]:
        with self._acting():
            said = ask_plainly(self.reader, self._setting.config, cases)
        found = [self._nearest(key) for key in self._keys([self._prompt(case) for case in cases])]
        return [
            replace(s, fired=bool(e), facts=tuple(sorted(e.owners)) if e else ())
            for s, e in zip(said, found, strict=True)
        ]

    def update(self, fact: Fact) -> Took:
        begin = time.perf_counter()
        self._remove(fact.id)
        in_time = self._write([fact], self._setting.budget_seconds)
        return Took(time.perf_counter() - begin, "its keys removed, new ones written", in_time)

    def delete(self, fact_id: str) -> Took:
        begin = time.perf_counter()
        self._remove(fact_id)
        return Took(time.perf_counter() - begin, "its keys removed")

    def close(self) -> None:
        self._book = []

    @property
    def stored_bytes(self) -> int:
        return sum(
            e.key.numel() * e.key.element_size() + e.value.numel() * e.value.element_size() + 4 for e in self._book
        )

    @property
    def exposures(self) -> float:
        return self._steps

    @property
    def about(self) -> str:
        tried = ", ".join(f"{rate:g}" for rate in _RATES)
        return (
            f"codebook of {len(self._book)} keys at block {self._place + 1} of {len(self.reader.blocks)}, "
            f"{self._merged} wordings within another key; Adam, rate {self._rate:g} of {tried}, and first radius "
            f"{self._radius:.3g}, half the median distance of neighbours, both by tuning facts"
        )

    # ---- the codebook -----------------------------------------------------------------------------------------------

    def _write(self, facts: Sequence[Fact], seconds: float) -> bool:
        """Keys one after the other, as the rule wants it; then the new values, which do not depend on each other."""
        rows = [replace(fact, question=wording) for fact in facts for wording in fact.wordings]
        prompts = [p.ids for p in self.reader.template.questions([row.question for row in rows])]
        new: list[_Entry] = []
        for row, key in zip(rows, self._keys(prompts), strict=True):
            entry = self._add(row, key)
            if entry is not None:
                new.append(entry)
        return self._find_values(new, time.perf_counter() + seconds)

    def _add(self, fact: Fact, key: Tensor) -> _Entry | None:
        """A new key; None where one that gives the same answer was widened instead."""
        entry = _Entry(key, torch.zeros_like(key), self._radius, fact.answer, fact.question, {fact.id})
        if self._book:
            distances = self._distances(key)
            at = int(distances.argmin())
            near, distance = self._book[at], float(distances[at])
            if distance <= self._radius + near.radius:
                if near.answer == fact.answer:
                    near.radius = max(near.radius, distance)
                    near.owners.add(fact.id)
                    self._merged += 1
                    return None
                near.radius, entry.radius = max(0.0, min(near.radius, distance / 2 - _TOUCHING)), distance / 2
        self._book.append(entry)
        return entry

    def _remove(self, fact_id: str) -> None:
        for entry in self._book:
            entry.owners.discard(fact_id)
        self._book = [entry for entry in self._book if entry.owners]

    def _distances(self, key: Tensor) -> Tensor:
        away: Tensor = torch.linalg.vector_norm(torch.stack([e.key for e in self._book]) - key, dim=1)
        return away

    def _nearest(self, key: Tensor) -> _Entry | None:
        """The entry within whose radius this state lies."""
        if not self._book:
            return None
        distances = self._distances(key)
        entry = self._book[int(distances.argmin())]
        return entry if float(distances.min()) <= entry.radius else None

    # ---- values -----------------------------------------------------------------------------------------------------

    def _find_values(self, entries: Sequence[_Entry], deadline: float) -> bool:
        """Values that make the answers likely; False where the budget ended before all had been looked for."""
        steps, cut, self._cost = 0, False, 0.0
        asked = [Fact("-", e.wording, e.answer) for e in entries]
        fits = [i for i, fact in enumerate(asked) if spelled(self.reader, [fact])]
        parts = [fits[start : start + _BATCH] for start in range(0, len(fits), _BATCH)]
        for number, part in enumerate(parts):
            now = time.perf_counter()  # what is left is shared: no value may be left as it was for want of time
            until = now + (deadline - now) / (len(parts) - number)
            spelt = spelled(self.reader, [asked[i] for i in part])
            made, in_time = self._descend([entries[i] for i in part], spelt, until)
            steps, cut = steps + made, cut or not in_time
        self._steps = steps / max(1, len(fits))
        return len(fits) == len(entries) and not cut

    def _descend(
        self, entries: Sequence[_Entry], spelt: Sequence[tuple[list[int], list[int]]], deadline: float
    ) -> tuple[int, bool]:
        """Adam on the values of one batch, each on its own loss, from what the block gives without them. A value that
        makes its answer likely is done and takes no more time; of the others the best is kept. How many steps all took
        together, and whether none was cut short."""
        rows, answers = [row for row, _ in spelt], [answer for _, answer in spelt]
        places = [len(row) - len(answer) - 1 for row, answer in spelt]
        plain = self._leaving(rows)
        values = plain[range(len(rows)), places].float().requires_grad_(True)
        optimiser = torch.optim.Adam([values], lr=self._rate * float(values.detach().square().mean().sqrt()))
        best = [(float("inf"), value) for value in values.detach().clone()]
        left, steps, late = list(range(len(rows))), 0, False
        for _ in range(_STEPS):
            each = self._losses([rows[i] for i in left], [answers[i] for i in left], plain[left], values[left])
            steps += len(left)
            for i, loss in zip(left, each, strict=True):
                cost = float(loss.detach().mean())
                if cost < best[i][0]:
                    best[i] = cost, values.detach()[i].clone()
            going = [k for k, loss in enumerate(each) if not float(loss.detach().max()) < _LIKELY]
            left = [left[k] for k in going]
            late = time.perf_counter() > deadline
            if not left or late:
                break
            optimiser.zero_grad()
            torch.stack([each[k].mean() for k in going]).sum().backward()
            optimiser.step()
        for entry, (cost, value) in zip(entries, best, strict=True):
            entry.value = value
            self._cost += cost
        return steps, not (left and late)

    def _losses(
        self, rows: Sequence[list[int]], answers: Sequence[list[int]], plain: Tensor, values: Tensor
    ) -> Sequence[Tensor]:
        """What each token of each answer costs with these values in their places of what leaves the block."""
        places = [len(row) - len(answer) - 1 for row, answer in zip(rows, answers, strict=True)]
        stream = _put(plain[:, : max(map(len, rows))], places, values)
        with _known(list(self.reader.blocks[: self._place + 1]), stream, self._in_tuple):
            h = self.reader.model.base_model(input_ids=self.reader.pad_right(rows), use_cache=False).last_hidden_state
        logits = self.reader.logits(answer_places(h, rows, answers)).float()
        targets = torch.tensor([t for a in answers for t in a], device=logits.device)
        costs = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
        each: Sequence[Tensor] = costs.split([len(answer) for answer in answers])
        return each

    # ---- choosing ---------------------------------------------------------------------------------------------------

    def _choose(self, tuning: Sequence[Fact]) -> float:
        """Rate and first radius, on the tuning facts alone; the seconds that it took."""
        begin = time.perf_counter()
        keys = self._keys([p.ids for p in self.reader.template.questions([f.question for f in tuning])])
        if len(keys) > 1:
            apart = torch.cdist(torch.stack(keys), torch.stack(keys)).fill_diagonal_(float("inf")).min(1).values
            self._radius = _SHARE_OF_DISTANCE * float(apart.median())
        found: dict[float, tuple[int, float]] = {}
        for self._rate in _RATES:
            self._book = []
            self._write(tuning, self._setting.budget_seconds / len(_RATES))
            with self._acting():
                recall = decoded(self.reader, tuning)
            found[self._rate] = recall.hits, -self._cost  # where as many are right, the likelier answers
            self._setting.say(f"grace, rate {self._rate:g} on tuning facts: recall {recall}")
        self._rate = max(found, key=found.__getitem__)
        self._book, self._merged = [], 0
        return time.perf_counter() - begin

    # ---- the block --------------------------------------------------------------------------------------------------

    def _prompt(self, case: Case) -> Sequence[int]:
        template = self.reader.template
        if isinstance(case.question, str):
            return (template.raw(case.question) if case.raw else template.question(case.question)).ids
        return template.render(case.question).ids

    @torch.no_grad()
    def _keys(self, prompts: Sequence[Sequence[int]]) -> list[Tensor]:
        """What enters the block at the last token of each prompt."""
        found: list[Tensor] = []
        for start in range(0, len(prompts), _BATCH):
            part = prompts[start : start + _BATCH]
            seen: list[Tensor] = []
            with self.reader.hooked(self.reader.blocks[self._place], _shown_to(seen)):
                self.reader.model.base_model(input_ids=self.reader.pad_right(part), use_cache=False)
            found += [seen[0][i, len(ids) - 1].float() for i, ids in enumerate(part)]
        return found

    @torch.no_grad()
    def _leaving(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """What leaves the block without any value."""
        seen: list[Any] = []
        handle = self.reader.blocks[self._place].register_forward_hook(lambda _m, _args, output: seen.append(output))
        try:
            self.reader.model.base_model(input_ids=self.reader.pad_right(rows), use_cache=False)
        finally:
            handle.remove()
        self._in_tuple = isinstance(seen[0], tuple)
        leaving: Tensor = seen[0][0] if self._in_tuple else seen[0]
        return leaving.clone()

    @contextmanager
    def _acting(self) -> Iterator[None]:
        """While inside, prompts that are read find their values. Padded on the left, all end at the last place."""
        entering: list[Tensor] = []

        def act(leaving: Tensor) -> Tensor:
            states = entering.pop()[:, -1].float()
            if leaving.shape[1] == 1:  # one new token of a reply, not a prompt
                return leaving
            found = [self._nearest(state) for state in states]
            fired = [row for row, entry in enumerate(found) if entry is not None]
            if fired:
                leaving = leaving.clone()
                leaving[fired, -1] = torch.stack([e.value for e in found if e is not None]).to(leaving.dtype)
            return leaving

        block = self.reader.blocks[self._place]
        with self.reader.hooked(block, _shown_to(entering)), _replacing(block, act):
            yield


def _shown_to(seen: list[Tensor]) -> Callable[[Tensor], Tensor]:
    def look(h: Tensor) -> Tensor:
        seen.append(h)
        return h

    return look


def _put(h: Tensor, places: Sequence[int], values: Tensor) -> Tensor:
    """These values at one place of each row."""
    there = torch.zeros(h.shape[:2], dtype=torch.bool, device=h.device)
    there[range(len(places)), list(places)] = True
    return torch.where(there[..., None], values[:, None].to(h.dtype), h)


@contextmanager
def _replacing(module: Any, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """While inside, `change` maps the stream that leaves `module`."""

    def hook(_module: Any, _args: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (change(output[0]), *output[1:])
        return change(output)

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _known(blocks: Sequence[Any], leaving: Tensor, in_tuple: bool) -> Iterator[None]:
    """While inside, what leaves the last of these blocks is given, and none of them is worked out."""
    given = (leaving,) if in_tuple else leaving
    before = [vars(block).get("forward") for block in blocks]
    for block in blocks:
        block.forward = lambda *_args, **_kwargs: given
    try:
        yield
    finally:
        for block, own in zip(blocks, before, strict=True):
            del block.forward
            if own is not None:
                block.forward = own
