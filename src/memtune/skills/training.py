"""One low-rank expert trained on the examples of a task; the step is kept after which set-aside ones are likeliest.

It acts on all positions of a prompt and of its reply, as an adapter does: that is how it is trained, how it answers,
and what lets it leave as an ordinary adapter.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from memtune.config import SkillConfig
from memtune.core.backbone import Backbone
from memtune.core.experts import batches_by_length
from memtune.core.gradient.low_rank import LowRank
from memtune.core.gradient.passes import Whole
from memtune.core.gradient.sites import find_sites
from memtune.core.gradient.training import Example as Row
from memtune.core.gradient.training import Settings, State, train
from memtune.core.prompts import Prompt
from memtune.core.reports import Failed
from memtune.errors import KindUnsupported
from memtune.learning import Progress
from memtune.skills.examples import Example

KIND = "lora"
_LOOKS = 25
"""Steps between two looks at the set-aside examples, at most; else one look each time through."""
_LEARNED = 1e-3
"""Loss a set-aside token below which there is nothing left to learn."""
_LIKELY = 0.5
"""Where nothing is set aside, training ends when every answer token is this likely."""


@dataclass(frozen=True)
class Spelled:
    """An example as tokens."""

    example: Example
    prompt: Prompt
    answer: tuple[int, ...]


@dataclass
class Trained:
    """An expert, and how it came about."""

    tensors: dict[str, Tensor]
    steps: int
    best_step: int
    loss_before: float | None
    loss: float | None


def spell(backbone: Backbone, examples: Sequence[Example], most: int) -> tuple[list[Spelled], list[Failed]]:
    """Prompts and answers as tokens, and the examples that cannot be had, by their question. `most`: tokens of one."""
    kept, failed = list[Spelled](), list[Failed]()
    end = () if backbone.end_id is None else (backbone.end_id,)
    for example in examples:
        prompt = backbone.template.render(example.messages)
        tokens = backbone.writer.tokens([example.answer], prompt.tail)[0]
        room = min(most, backbone.context)
        if tokens is None:
            failed.append(Failed(example.asked, "the model's tokenizer cannot spell the answer exactly"))
        elif backbone.end_ids & set(tokens):
            failed.append(Failed(example.asked, "the answer holds the model's end token"))
        elif (length := len(prompt.ids) + len(tokens) + len(end)) > room:
            failed.append(Failed(example.asked, f"question and answer have {length} tokens, more than {room}"))
        else:
            kept.append(Spelled(example, prompt, (*tokens, *end)))
    return kept, failed


def train_expert(
    backbone: Backbone, rows: Sequence[Spelled], aside: Sequence[Spelled], config: SkillConfig,
    progress: Callable[[Progress], None] | None = None,
) -> Trained:  # fmt: skip
    sites = find_sites(backbone, config.blocks, config.targets)
    if not sites:
        raise KindUnsupported(
            f"a skill cannot live on '{backbone.name}': it has no linear layers where one would act",
            hint="set skill.blocks and skill.targets otherwise, such as skill.targets=all",
        )
    expert = LowRank.fresh(
        backbone, sites, 1, rank=config.r_value, alpha=config.alpha, seed=config.seed, everywhere=True,
        rate_of_b=config.rate_of_b,
    )  # fmt: skip
    a_time = math.ceil(len(rows) / config.batch_size)
    watch = _Watch(backbone, expert, aside, config, a_time, progress)
    settings = Settings(
        learning_rate=config.learning_rate,
        max_steps=watch.most,
        batch_size=config.batch_size,
        batch_tokens=config.batch_tokens,
        stop=0.0 if aside else _LIKELY,
        clip=config.clip,
        seed=config.seed,
    )
    given = [Row(0, row.prompt.ids, row.answer) for row in rows]
    with backbone.lock:  # nobody decodes on the shared modules meanwhile
        done = train(backbone, expert, given, settings, on_progress=watch, should_stop=lambda: watch.over)
    return watch.result(done.steps[0])


@dataclass
class _Watch:
    """Looks at the set-aside examples now and then, and remembers the expert as it was when they were likeliest."""

    backbone: Backbone
    expert: LowRank
    aside: Sequence[Spelled]
    config: SkillConfig
    a_time: int
    """Steps that go through all examples once."""
    progress: Callable[[Progress], None] | None
    over: bool = False
    best_step: int = 0
    _waited: int = 0
    _best: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.most = self.config.max_epochs * self.a_time
        self._every = min(self.a_time, _LOOKS)
        self.before = self._loss(None) if self.aside else None
        self.loss = self.before
        self._since = time.perf_counter()

    def __call__(self, state: State) -> None:
        last = state.step == self.most
        if self.aside and (last or state.step % self._every == 0):
            self._look(state.step)
        if self.progress:
            self.progress(Progress(state.step, self.most, time.perf_counter() - self._since))

    def _look(self, step: int) -> None:
        loss = self._loss(self.expert)
        if self.loss is None or loss < self.loss:
            self.loss, self.best_step, self._waited = loss, step, 0
            self._best = self.expert.tensors()[0]
        else:
            self._waited += 1
        self.over = self._waited >= self.config.patience or loss < _LEARNED

    def _loss(self, expert: LowRank | None) -> float:
        return loss_of(self.backbone, expert, self.aside, self.config.batch_tokens)

    def result(self, steps: int) -> Trained:
        """The best expert; where no step was better than the plain model, the last one, for what it is worth."""
        if self._best and self.loss is not None:
            return Trained(self._best, steps, self.best_step, self.before, self.loss)
        loss = self._loss(self.expert) if self.aside else None
        return Trained(self.expert.tensors()[0], steps, steps, self.before, loss)


@torch.no_grad()
def loss_of(backbone: Backbone, expert: LowRank | None, rows: Sequence[Spelled], batch_tokens: int = 8192) -> float:
    """Of the answers, a token: under the expert, or by the plain model."""
    total, places = 0.0, 0
    lengths = [len(row.prompt.ids) + len(row.answer) for row in rows]
    for part in batches_by_length(lengths, batch_tokens):
        chosen = [rows[i] for i in part]
        work = Whole(backbone, [row.prompt.ids for row in chosen], [row.answer for row in chosen])
        targets = torch.tensor([t for row in chosen for t in row.answer], device=backbone.device)
        if expert is None:
            h_PD = work.run()
        else:
            with expert.acting(torch.zeros(len(chosen), dtype=torch.long, device=backbone.device), work.first_B):
                h_PD = work.run()
        log_PV = torch.log_softmax(backbone.logits(h_PD).float(), dim=1)
        total -= float(log_PV.gather(1, targets[:, None]).sum())
        places += len(targets)
    return total / places
