"""One loop that trains the experts of a lot side by side.

Experts share nothing: each has a loss, a normaliser and an order of examples of its own, and Adam goes element by
element. So an expert becomes in a lot what it would become alone; only the products are batched.

Shapes: E experts at hand, P places where an answer token is said, V vocabulary, k likeliest tokens of a teacher.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from memtune.core.backbone import Backbone
from memtune.core.gradient.optimiser import Adam
from memtune.core.gradient.passes import Pass, Reader
from memtune.core.gradient.trainable import Trainable

_REGROUP = 0.75
"""When no more than this share of the experts at hand is still learning, the others leave the batches."""
_PADDED = 1.2
"""How many tokens, for each real one, a batch may have; small ones are not split for it."""
_SMALL = 96


@dataclass(frozen=True)
class Soft:
    """What a teacher would say at each place of an answer: its likeliest tokens and their probabilities. What is left
    of the probability counts as one more token."""

    tokens_Pk: Tensor
    chances_Pk: Tensor
    beside: float = 0.0
    """Weight of the plain loss on the answer's tokens beside the teacher's."""


@dataclass(frozen=True)
class Example:
    """One prompt and what is to be said after it, for one expert."""

    owner: int
    prompt_ids: Sequence[int]
    answer_ids: Sequence[int]
    weight: float = 1.0
    soft: Soft | None = None


@dataclass(frozen=True)
class Settings:
    """How a lot is trained."""

    learning_rate: float
    max_steps: int
    batch_size: int = 8
    """Examples of each expert in one pass."""
    gradient_accumulation_steps: int = 1
    """Such passes before each step."""
    stop: float = 0.0
    """An expert is done when every token of all its answers is at least this likely; 0: never before the last step."""
    batch_tokens: int = 8192
    """Padded tokens that pass the model at once."""
    clip: float = 0.0
    """The largest gradient of an expert, all its tensors together; 0: as it is."""
    seed: int = 0


@dataclass
class Trained:
    """What became of each expert."""

    losses: list[list[float]]
    """Before each of its steps, the mean over the examples of that step."""
    stopped: list[bool]
    """Whether it reached the probability that it was to stop at."""
    seconds: float = 0.0
    replayed: bool = False
    """Whether only answers passed the upper blocks, or every row was read whole in each step."""

    @property
    def steps(self) -> list[int]:
        return [len(losses) for losses in self.losses]


@dataclass(frozen=True)
class State:
    """How far a lot is."""

    step: int
    learning: int
    """Experts that are not done."""
    loss: float
    """Their mean."""


def train(
    backbone: Backbone,
    trainable: Trainable,
    examples: Sequence[Example],
    settings: Settings,
    *,
    on_progress: Callable[[State], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Trained:
    """Train all experts of `trainable` on their examples. It holds what they became; also while `on_progress` looks."""
    begin = time.perf_counter()
    with backbone.lock, torch.inference_mode(False), torch.enable_grad():
        run = _Run(backbone, trainable, examples, settings)
        try:
            for step in range(settings.max_steps):
                if not run.learning or (should_stop and should_stop()):
                    break
                loss = run.step(step)
                if on_progress:
                    run.put_back()
                    on_progress(State(step + 1, len(run.learning), loss))
        finally:
            run.put_back()
    run.trained.seconds, run.trained.replayed = time.perf_counter() - begin, bool(run.reader.replays)
    return run.trained


@dataclass
class _Group:
    """Examples that pass the model together, and the experts they belong to, counted as those at hand."""

    examples: list[int]
    experts: Tensor
    owner_B: Tensor
    work: Pass
    targets_P: Tensor
    row_P: Tensor
    """Which of the group's rows each place belongs to."""
    weight_P: Tensor
    span: slice | None
    """The same experts, where they stand side by side."""


@dataclass
class _Run:
    backbone: Backbone
    trainable: Trainable
    examples: Sequence[Example]
    settings: Settings
    trained: Trained = field(init=False)

    def __post_init__(self) -> None:
        leaves = self.trainable.leaves
        self._whole = [leaf.value.detach().clone() for leaf in leaves]
        count = len(self._whole[0])
        self.trained = Trained([[] for _ in range(count)], [False] * count)
        self._of: list[list[int]] = [[] for _ in range(count)]
        for i, example in enumerate(self.examples):
            self._of[example.owner].append(i)
        self.learning = [e for e in range(count) if self._of[e]]
        self.present = sorted(self.learning, key=self._longest)
        """The experts at hand, some of them done: they leave together. By length, as batches are: then those of a
        batch stand side by side, and need not be copied."""
        self._adam = Adam(self._rows_of(self.present), [leaf.rate for leaf in leaves], self.settings.clip)
        self.reader = Reader(self.backbone, self.trainable.frozen_below)
        self._likely = [False] * len(self.examples)
        at_once = self.settings.batch_size * self.settings.gradient_accumulation_steps
        self._all_at_once = all(len(own) <= at_once for own in self._of)
        self._orders = [self._order(own, at_once) for own in self._of]
        self._groups: list[_Group] | None = None

    def _rows_of(self, experts: Sequence[int]) -> list[Tensor]:
        rows = torch.tensor(experts, dtype=torch.long, device=self._whole[0].device)
        return [whole[rows] for whole in self._whole]

    def _longest(self, expert: int) -> int:
        return max(len(self.examples[i].answer_ids) for i in self._of[expert])

    def _order(self, own: list[int], at_once: int) -> Iterator[list[int]]:
        """The examples of an expert's next step, again and again, drawn anew each time round."""
        draw, waiting = random.Random(self.settings.seed), list[int]()
        while True:
            while len(waiting) < min(at_once, len(own)):
                waiting += draw.sample(own, len(own))
            chosen, waiting = waiting[:at_once], waiting[at_once:]
            yield chosen

    # ---- one step -----------------------------------------------------------------------------------------------

    def step(self, number: int) -> float:
        """One step of every expert that is not done; the mean of their losses."""
        groups = self._next_groups()
        grads = [
            torch.zeros_like(v) if leaf.rate else None
            for v, leaf in zip(self._adam.values, self.trainable.leaves, strict=True)
        ]
        weight_E = self._weights(groups)
        loss_E = torch.zeros_like(weight_E)
        for group in groups:
            self._pass(group, weight_E, loss_E, grads)
        losses: list[float] = loss_E.tolist()
        at = {expert: i for i, expert in enumerate(self.present)}
        for expert in self.learning:
            self.trained.losses[expert].append(losses[at[expert]])
        mean = sum(losses[at[e]] for e in self.learning) / len(self.learning)
        self._let_go()
        alive = set(self.learning)
        alive_E = torch.tensor([e in alive for e in self.present], device=weight_E.device)
        self._adam.step(grads, self.settings.learning_rate, alive_E)
        if len(self.learning) <= _REGROUP * len(self.present):
            self._leave()
        return mean

    def _pass(self, group: _Group, weight_E: Tensor, loss_E: Tensor, grads: list[Tensor | None]) -> None:
        """One pass forth and back; losses and gradients are added to what other groups gave."""
        leaves = self.trainable.leaves
        for leaf, value in zip(leaves, self._adam.values, strict=True):
            own = value[group.span].detach() if group.span else value[group.experts]
            leaf.value = own.requires_grad_() if leaf.rate else own
        with self.trainable.acting(group.owner_B, group.work.first_B):
            logits_PV = self.backbone.logits(group.work.run()).float()
        log_PV = torch.log_softmax(logits_PV, dim=1)
        own_P = log_PV.gather(1, group.targets_P[:, None])[:, 0]
        expert_P = group.experts[group.owner_B][group.row_P]
        share_P = group.weight_P / weight_E[expert_P]
        loss_P = self._loss(group, log_PV, own_P) * share_P
        loss_P.sum().backward()
        loss_E.index_add_(0, expert_P, loss_P.detach())
        for leaf, grad in zip(leaves, grads, strict=True):
            if grad is not None and leaf.value.grad is not None:
                if group.span:
                    grad[group.span] += leaf.value.grad
                else:
                    grad.index_add_(0, group.experts, leaf.value.grad)
                leaf.value.grad = None
        self._note_likely(group, own_P.detach())

    def _loss(self, group: _Group, log_PV: Tensor, own_P: Tensor) -> Tensor:
        rows = [self.examples[i] for i in group.examples]
        if all(row.soft is None for row in rows):
            return -own_P
        parts = []
        lengths = [len(row.answer_ids) for row in rows]
        for row, log, own in zip(rows, log_PV.split(lengths), own_P.split(lengths), strict=True):
            parts.append(-own if row.soft is None else _distance(row.soft, log) - row.soft.beside * own)
        return torch.cat(parts)

    def _note_likely(self, group: _Group, own_P: Tensor) -> None:
        least_B = torch.zeros(len(group.examples), device=own_P.device).scatter_reduce(0, group.row_P, own_P, "amin")
        for example, chance in zip(group.examples, least_B.exp().tolist(), strict=True):
            self._likely[example] = chance >= self.settings.stop

    def _let_go(self) -> None:
        """Experts whose every example was likely enough when it was last looked at are done, as they stand."""
        if self.settings.stop:
            for expert in self.learning:
                self.trained.stopped[expert] = all(self._likely[i] for i in self._of[expert])
            self.learning = [e for e in self.learning if not self.trained.stopped[e]]

    # ---- batches ------------------------------------------------------------------------------------------------

    def _next_groups(self) -> list[_Group]:
        """The groups of the next step; the same as before where every expert always sees all its examples."""
        if self._groups is None or not self._all_at_once:
            chosen = [i for expert in self.present for i in next(self._orders[expert])]
            if self._all_at_once:
                chosen.sort()  # drawn in whatever order: a step is the same
            self._groups = [self._group(part) for part in self._parts(chosen)]
        return self._groups

    def _parts(self, chosen: list[int]) -> Iterator[list[int]]:
        """Of each expert no more than a batch in one pass."""
        turns: dict[int, list[int]] = {}
        seen: dict[int, int] = {}
        for i in chosen:
            owner = self.examples[i].owner
            turns.setdefault(seen.get(owner, 0) // self.settings.batch_size, []).append(i)
            seen[owner] = seen.get(owner, 0) + 1
        for turn in turns.values():
            yield from self._even(turn)

    def _even(self, turn: list[int]) -> Iterator[list[int]]:
        """In parts of at most so many tokens, with little padding: of what passes the model in each step."""
        short = self.reader.replays is not False
        batch, real, longest = list[int](), 0, 0
        standing = {expert: n for n, expert in enumerate(self.present)}
        for i in sorted(turn, key=lambda i: (self._length(i, short), standing[self.examples[i].owner], i)):
            length, longest = self._length(i, short), max(longest, self._length(i, False))
            padded = (len(batch) + 1) * length
            uneven = real >= _SMALL and padded > _PADDED * (real + length)
            if batch and (uneven or (len(batch) + 1) * longest > self.settings.batch_tokens):
                yield batch
                batch, real, longest = [], 0, self._length(i, False)
            batch.append(i)
            real += length
        if batch:
            yield batch

    def _length(self, i: int, short: bool) -> int:
        example = self.examples[i]
        return len(example.answer_ids) + (0 if short else len(example.prompt_ids))

    def _group(self, chosen: list[int], work: Pass | None = None) -> _Group:
        rows, device = [self.examples[i] for i in chosen], self._whole[0].device
        at = {expert: i for i, expert in enumerate(self.present)}
        experts = sorted({row.owner for row in rows}, key=lambda e: at[e])
        here = {expert: i for i, expert in enumerate(experts)}
        low, high = at[experts[0]], at[experts[-1]]
        lengths = torch.tensor([len(row.answer_ids) for row in rows], device=device)
        row_P = torch.repeat_interleave(torch.arange(len(rows), device=device), lengths)
        return _Group(
            chosen,
            torch.tensor([at[e] for e in experts], device=device),
            torch.tensor([here[row.owner] for row in rows], device=device),
            work or self.reader.make([row.prompt_ids for row in rows], [row.answer_ids for row in rows]),
            torch.tensor([t for row in rows for t in row.answer_ids], device=device),
            row_P,
            torch.tensor([row.weight for row in rows], device=device)[row_P],
            slice(low, high + 1) if high - low + 1 == len(experts) else None,
        )

    def _weights(self, groups: Sequence[_Group]) -> Tensor:
        """What the losses of each expert's places are divided by in this step."""
        weight_E = torch.zeros(len(self.present), device=self._whole[0].device)
        for group in groups:
            weight_E.index_add_(0, group.experts[group.owner_B][group.row_P], group.weight_P)
        return weight_E

    # ---- experts that are done ----------------------------------------------------------------------------------

    def _leave(self) -> None:
        """Only those that still learn stay at hand."""
        self._write_back()
        still = set(self.learning)
        self._adam.keep([i for i, expert in enumerate(self.present) if expert in still])
        self.present = [expert for expert in self.present if expert in still]
        if self._groups is not None and self._all_at_once:
            thinner = [self._thinner(group, still) for group in self._groups]
            self._groups = [group for group in thinner if group is not None]

    def _thinner(self, group: _Group, still: set[int]) -> _Group | None:
        rows = [row for row, i in enumerate(group.examples) if self.examples[i].owner in still]
        chosen = [group.examples[row] for row in rows]
        if not rows:
            return None
        return self._group(chosen, group.work if chosen == group.examples else self.reader.narrow(group.work, rows))

    def _write_back(self) -> None:
        rows = torch.tensor(self.present, dtype=torch.long, device=self._whole[0].device)
        for whole, value in zip(self._whole, self._adam.values, strict=True):
            whole[rows] = value.detach()

    def put_back(self) -> None:
        self._write_back()
        for leaf, whole in zip(self.trainable.leaves, self._whole, strict=True):
            leaf.value = whole


def _distance(soft: Soft, log_PV: Tensor) -> Tensor:
    """From the teacher's chances to the student's, what the teacher does not name being one token."""
    named = log_PV.gather(1, soft.tokens_Pk.to(log_PV.device))
    chances = soft.chances_Pk.to(log_PV.device, torch.float32)
    rest = (1 - chances.sum(1)).clamp_min(1e-6)
    own_rest = (1 - named.exp().sum(1)).clamp_min(1e-6)
    apart = (chances * (chances.clamp_min(1e-9).log() - named)).sum(1)
    return apart + rest * (rest.log() - own_rest.log())
