"""The loss curve as a picture, from the log that training writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

SMOOTHED_OVER = 25  # steps


def read_log(path: Path) -> list[dict[str, float]]:
    """Rows by step; where a resumed run repeated steps, the later row counts."""
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    by_step = {row["step"]: row for row in rows}
    return [by_step[step] for step in sorted(by_step)]


def smoothed(values: list[float]) -> np.ndarray:
    width = min(SMOOTHED_OVER, len(values))
    return np.convolve(values, np.ones(width) / width, mode="valid")


def plot_losses(log: Path, out: Path, phase_ends: list[int]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [row for row in read_log(log) if row["row"] <= 256]  # long rows hold another mix
    figure, axes = pyplot.subplots(figsize=(8, 4), dpi=120)
    for key, label in (("loss", "whole loss"), ("answer_loss", "tokens that can be known from the context")):
        values = smoothed([row[key] for row in rows])
        axes.plot([row["tokens"] / 1e6 for row in rows[-len(values) :]], values, label=label, linewidth=1)
    for end in phase_ends:
        axes.axvline(end / 1e6, color="grey", linewidth=0.6, linestyle=":")
    axes.set(xlabel="million tokens", ylabel="nats per token", ylim=(0, None))
    axes.legend(frameon=False)
    figure.tight_layout()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out)
