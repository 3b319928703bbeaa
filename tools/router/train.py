"""Train the confirming network: facts compete with one another and with there being none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from .lessons import SOURCES, Lessons

HIDDEN, NETWORKS, STEPS, BATCH = 64, 3, 5000, 256
RATE, DECAY, DROPOUT = 4e-3, 1e-3, 0.1
CLIP = 5.0
WEIGHTS = {"tofu": 10.0, "counterfact": 2.0, "near misses": 4.0, "made": 0.6, "worlds": 0.7, "prose": 1.5}
VALIDATED = 10  # every tenth lesson


class Network(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(width, HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, 1)
        self.act, self.drop = nn.SiLU(), nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.last(self.act(self.second(self.drop(self.act(self.first(x))))))
        return h.squeeze(-1)


def train(lessons: Lessons, out: Path, seed: int = 0) -> None:
    held = np.arange(len(lessons.right)) % VALIDATED == VALIDATED - 1
    filled = lessons.groups >= 0
    mean, spread = lessons.features[filled].mean(0), lessons.features[filled].std(0) + 1e-4
    x = torch.from_numpy((lessons.features - mean) / spread).clamp(-CLIP, CLIP)
    networks = [_one(x, lessons, ~held, seed + n) for n in range(NETWORKS)]
    _report(networks, x, lessons, held)
    table = {
        "mean_F": torch.from_numpy(mean),
        "spread_F": torch.from_numpy(spread),
        "first_EFH": torch.stack([n.first.weight.T for n in networks]),
        "first_bias_EH": torch.stack([n.first.bias for n in networks]),
        "second_EHH": torch.stack([n.second.weight.T for n in networks]),
        "second_bias_EH": torch.stack([n.second.bias for n in networks]),
        "last_EH": torch.stack([n.last.weight[0] for n in networks]),
        "last_bias_E": torch.stack([n.last.bias[0] for n in networks]),
    }
    save_file({name: t.detach().float().contiguous() for name, t in table.items()}, out)


def _one(x: Tensor, lessons: Lessons, chosen: NDArray[np.bool_], seed: int) -> Network:
    torch.manual_seed(seed)
    network = Network(x.shape[-1])
    groups, right = torch.from_numpy(lessons.groups), torch.from_numpy(lessons.right)
    weights = torch.tensor([WEIGHTS[SOURCES[s]] for s in lessons.source]) * torch.from_numpy(chosen)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    for _ in range(STEPS):
        rows = torch.multinomial(weights, BATCH, replacement=True)
        loss = -_log_share(network(x[rows]), groups[rows], right[rows]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def _log_share(logits: Tensor, groups: Tensor, right: Tensor) -> Tensor:
    """Log of the share of the right group, or of none. A group's best wording speaks for it."""
    most = logits.shape[1]
    rows = torch.arange(len(logits))
    best = torch.full((len(logits), most + 1), -torch.inf)
    places = torch.where(groups >= 0, groups, most)
    masked = torch.where(groups >= 0, logits, torch.full_like(logits, -torch.inf))
    best = best.scatter_reduce(1, places, masked, "amax")
    best = torch.cat([best[:, :most], torch.zeros(len(logits), 1)], 1)
    wanted = torch.where(right < most, groups[rows, right.clamp_max(most - 1)], torch.full_like(right, most))
    found: Tensor = best.log_softmax(1)[rows, wanted]
    return found


@torch.no_grad()
def _report(networks: list[Network], x: Tensor, lessons: Lessons, held: NDArray[np.bool_]) -> None:
    """On the lessons kept back, by source: how often the right fact, a wrong one, none has more than 0.6."""
    rows = torch.from_numpy(np.flatnonzero(held))
    groups = torch.from_numpy(lessons.groups)[rows]
    most = groups.shape[1]
    shares = []
    for network in networks:
        masked = torch.where(groups >= 0, network(x[rows]), torch.full(groups.shape, -torch.inf))
        best = torch.full((len(rows), most), -torch.inf)
        best = best.scatter_reduce(1, groups.clamp_min(0), masked, "amax")
        shares.append(torch.cat([best, torch.zeros(len(rows), 1)], 1).softmax(1)[:, :most])
    share, group = torch.stack(shares).mean(0).max(1)
    right = torch.from_numpy(lessons.right)[rows]
    wanted = torch.where(right < most, groups[torch.arange(len(rows)), right.clamp_max(most - 1)], torch.tensor(-1))
    for number, name in enumerate(SOURCES):
        of = torch.from_numpy(lessons.source)[rows] == number
        with_fact, without = of & (right < most), of & (right == most)
        fires = share > 0.6
        if with_fact.any():
            good = (fires & (group == wanted))[with_fact].float().mean()
            bad = (fires & (group != wanted))[with_fact].float().mean()
            print(f"{name}: {int(with_fact.sum())} with a fact, right {good:.3f}, wrong {bad:.3f}")
        if without.any():
            print(f"{name}: {int(without.sum())} without, fired {fires[without].float().mean():.4f}")
