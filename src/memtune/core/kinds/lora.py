"""Lora: low-rank factors on the linear layers of chosen blocks, brought by gradient descent.

A fact's expert holds a and b for each layer. It acts from the last token of the prompt on, or on the prompt too, on its
own row only; where a row has several experts, what they add is added up. The facts of a batch are trained side by side,
each for itself, until it is likely enough (`core/gradient/`).

Shapes: P places where an answer token is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.experts import Batch, Expert, Tensors, least_lead
from memtune.core.gradient.low_rank import LowRank, acts_everywhere, gather
from memtune.core.gradient.passes import Whole
from memtune.core.gradient.sites import Delta, adding, find_sites
from memtune.core.gradient.training import Example, Settings, train
from memtune.core.prompts import Prompt
from memtune.core.recital import move_last
from memtune.errors import KindUnsupported, UsageError

_SAFETY = 4.0
"""A proven margin is at least this many times the drift between prefill and decoding."""
_ROUNDS = 3
"""How often facts that fall short once they are stored are trained further."""


class Lora:
    name = "lora"
    recites = True

    def __init__(self, config: Config) -> None:
        self.config = config.lora
        self._seen: tuple[Sequence[Tensors], dict[int, int]] | None = None
        """What was written last, and what of it falls short: the proof need not replay it once more."""
        self.loss: float | None = None
        self.margin: float | None = None

    def require(self, backbone: Backbone) -> None:
        if self.config.blocks > len(backbone.blocks):
            raise UsageError(f"lora.blocks is {self.config.blocks}, but the model has {len(backbone.blocks)} blocks")
        if not find_sites(backbone, self.config.blocks, self.config.targets):
            raise KindUnsupported(
                f"kind 'lora' cannot live on '{backbone.name}': its last blocks have no linear layer"
                f" among lora.targets={self.config.targets}",
                hint="set lora.targets=all; weights of a mixture of experts are no linear layers",
            )

    # ---- learning -----------------------------------------------------------------------------------------------

    def write(self, batch: Batch) -> list[dict[str, Tensor]]:
        """Train all facts side by side; those that rounding costs their margin are trained further."""
        examples = self._examples(batch)
        experts = self.fresh(batch.backbone, len(batch.facts))
        settings = self.settings()
        trained = train(batch.backbone, experts, examples, settings)
        ends = [losses[-1] for losses in trained.losses if losses]
        self.loss = sum(ends) / len(ends) if ends else None
        written, steps, done = experts.tensors(), trained.steps, set(_numbers(trained.stopped))
        found = self._short(batch, written)
        for _ in range(_ROUNDS):
            short = [i for i in found if i in done]
            left = self.config.max_steps - max((steps[i] for i in short), default=0)
            if not short or left < 1:
                break
            settings = replace(settings, stop=(1 + settings.stop) / 2, max_steps=left)
            again = LowRank.stored(batch.backbone, [written[i] for i in short], rate_of_b=self.config.rate_of_b)
            at = {expert: i for i, expert in enumerate(short)}
            own = [replace(e, owner=at[e.owner]) for e in examples if e.owner in at]
            further = train(batch.backbone, again, own, settings)
            done = {short[i] for i in _numbers(further.stopped)}
            for i, tensors, more in zip(short, again.tensors(), further.steps, strict=True):
                written[i], steps[i] = tensors, steps[i] + more
            found = self._short(batch, written)
        self._seen = (written, found)
        return written

    def fresh(self, backbone: Backbone, experts: int) -> LowRank:
        """Experts as these settings begin them."""
        given = self.config
        return LowRank.fresh(
            backbone,
            find_sites(backbone, given.blocks, given.targets),
            experts,
            rank=given.r_value,
            alpha=given.alpha,
            seed=given.seed,
            everywhere=given.positions == "all",
            rate_of_b=given.rate_of_b,
        )

    def settings(self) -> Settings:
        given = self.config
        return Settings(
            learning_rate=given.learning_rate,
            max_steps=given.max_steps,
            batch_size=given.batch_size,
            gradient_accumulation_steps=given.gradient_accumulation_steps,
            stop=given.stop,
            seed=given.seed,
        )

    def _examples(self, batch: Batch) -> list[Example]:
        """Each fact in its learned wording and in the further ones it was given, as far as they are not too long."""
        examples = []
        for i, (fact, prompt, answer) in enumerate(zip(batch.facts, batch.prompts, batch.answers, strict=True)):
            more = [text for text in fact.wordings if text != fact.question]
            prompts = [prompt, *(batch.backbone.template.question(text) for text in more)]
            fitting = [p for p in prompts if len(p.ids) + len(answer) <= self.config.max_length]
            if not self._too_long(batch, i):
                said = answer if closing(batch.backbone) else _without_end(batch.backbone, answer)
                examples += [Example(i, p.ids, said) for p in fitting[: self.config.max_finetuning_examples]]
        return examples

    def _too_long(self, batch: Batch, i: int) -> bool:
        return len(batch.prompts[i].ids) + len(batch.answers[i]) > self.config.max_length

    # ---- proof --------------------------------------------------------------------------------------------------

    def prove(self, batch: Batch, written: Sequence[Tensors]) -> dict[int, str]:
        reasons = {}
        seen, self._seen = self._seen, None
        short = seen[1] if seen is not None and seen[0] is written else self._short(batch, written)
        for i, place in short.items():
            token = batch.backbone.tokenizer.decode([batch.answers[i][place]])
            reasons[i] = (
                f"answer token {place + 1} ({token!r}) did not become the most likely one with a safe margin"
                f" in {self.config.max_steps} steps"
            )
            if self._too_long(batch, i):
                size = len(batch.prompts[i].ids) + len(batch.answers[i])
                reasons[i] = f"question and answer have {size} tokens; lora.max_length is {self.config.max_length}"
        return reasons

    @torch.inference_mode()
    def _short(self, batch: Batch, written: Sequence[Tensors]) -> dict[int, int]:
        """Facts whose stored tensors do not give the answer with a safe margin, and the place where they are worst."""
        whole = Whole(batch.backbone, [p.ids for p in batch.prompts], batch.answers)
        with acting_on(gather_by_reach(batch.backbone, [[t] for t in written]), len(written), whole.first_B):
            logits_PV = batch.backbone.logits(whole.run()).float()
        own = logits_PV.gather(1, batch.targets_P[:, None])
        lead_P = (own - logits_PV.scatter(1, batch.targets_P[:, None], -torch.inf).amax(1, keepdim=True))[:, 0]
        lead_P = torch.nan_to_num(lead_P, nan=-torch.inf)
        if not closing(batch.backbone):
            lead_P[batch.targets_P == batch.backbone.end_id] = torch.inf
        worst = batch.worst_per_fact(-lead_P)
        short = worst > -_SAFETY * batch.backbone.drift
        self.margin = least_lead(worst, short)
        by_fact = lead_P.split([len(a) for a in batch.answers])
        return {i: int(by_fact[i].argmin()) for i in short.nonzero()[:, 0].tolist()}

    # ---- answering ----------------------------------------------------------------------------------------------

    def act(
        self, backbone: Backbone, prompts: Sequence[Prompt], experts: Sequence[Sequence[Expert]], ends: Sequence[bool]
    ) -> Following:
        following = Following(backbone, len(prompts))
        for row, (prompt, chosen, end) in enumerate(zip(prompts, experts, ends, strict=True)):
            if chosen:
                following.begin(row, chosen, prompt.tail, end=end)
        return following

    def acts_early(self, expert: Expert) -> bool:
        return acts_everywhere(expert.tensors)


ByReach = tuple[list[Delta], list[Delta]]
"""What acts on all positions, and what acts from the last token of the prompt on."""


def gather_by_reach(backbone: Backbone, by_row: Sequence[Sequence[Tensors]]) -> ByReach:
    everywhere = [[e for e in experts if acts_everywhere(e)] for experts in by_row]
    later = [[e for e in experts if not acts_everywhere(e)] for experts in by_row]
    return gather(backbone, everywhere), gather(backbone, later)


@contextmanager
def acting_on(deltas: ByReach, batch: int, first_B: Tensor) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(adding(deltas[0], batch))
        stack.enter_context(adding(deltas[1], batch, first_B))
        yield


@dataclass
class _Path:
    """The answer that a row is saying."""

    tokens: tuple[int, ...]
    experts: list[Expert]
    end: bool
    """Whether the reply ends with it."""
    in_gap: bool
    place: int = 0


class Following:
    """Experts at work on the rows of a batch. A row's answer is followed as it is said: until its end it is recited."""

    def __init__(self, backbone: Backbone, batch: int) -> None:
        self.backbone = backbone
        self._at_work: list[list[Expert]] = [[] for _ in range(batch)]
        self._paths: dict[int, _Path] = {}
        self._finished: set[int] = set()
        self._deltas: ByReach | None = None
        self._last_B = torch.full((batch,), -1, device=backbone.device)

    def begin(self, row: int, experts: Sequence[Expert], tail: str, *, end: bool) -> None:
        """From the prompt on."""
        self._start(row, experts, tail, end=end, in_gap=False)

    def arm(self, row: int, experts: Sequence[Expert], tail: str, *, end: bool) -> None:
        """In a gap, from here on, and no longer than their answer."""
        self._start(row, experts, tail, end=end, in_gap=True)

    def _start(self, row: int, experts: Sequence[Expert], tail: str, *, end: bool, in_gap: bool) -> None:
        self._at_work[row] += experts
        self._deltas = None
        reciting = [e for e in experts if e.answer]
        if len(reciting) == 1:  # what several say together is not known before
            spelled = self.backbone.writer.tokens([reciting[0].answer], tail)[0] or ()
            if spelled:
                self._paths[row] = _Path((*spelled, *(closing(self.backbone) if end else ())), reciting, end, in_gap)

    @contextmanager
    def acting(self) -> Iterator[None]:
        if self._deltas is None:
            self._deltas = gather_by_reach(self.backbone, [[e.tensors for e in row] for row in self._at_work])
        with acting_on(self._deltas, len(self._at_work), self._last_B):
            yield

    def advance(self, tokens: Sequence[int]) -> None:
        self._finished.clear()
        for row, path in list(self._paths.items()):
            followed = tokens[row] == path.tokens[path.place]
            path.place += 1
            if followed and path.place < len(path.tokens):
                continue
            del self._paths[row]
            if followed and path.end:
                self._finished.add(row)
            if followed or path.in_gap:
                self._release(row, path.experts)

    def _release(self, row: int, experts: Sequence[Expert]) -> None:
        self._at_work[row] = [e for e in self._at_work[row] if e not in experts]
        self._deltas = None

    def absorb(self, other: Following, at: int) -> None:
        self._at_work += other._at_work
        self._paths.update({row + at: path for row, path in other._paths.items()})
        self._grow()

    def leave(self, row: int, last: int) -> None:
        self._at_work[row] = self._at_work[last]
        self._at_work.pop()
        move_last(self._paths, row, last)
        self._grow()

    def _grow(self) -> None:
        self._last_B = self._last_B.new_full((len(self._at_work),), -1)
        self._deltas = None

    def reciting(self, row: int) -> bool:
        return row in self._paths

    def finished(self, row: int) -> bool:
        return row in self._finished


def closing(backbone: Backbone) -> tuple[int, ...]:
    """The end token, where the model has one that can win at all: a row of zeros cannot. Else a reply ends by
    release."""
    end = backbone.end_id
    return () if end is None or not backbone.unembedding.weight[end].any() else (end,)


def _without_end(backbone: Backbone, answer: tuple[int, ...]) -> tuple[int, ...]:
    return answer[:-1] if len(answer) > 1 and answer[-1] == backbone.end_id else answer


def _numbers(flags: Sequence[bool]) -> list[int]:
    return [i for i, flag in enumerate(flags) if flag]
