"""`memtune bench identity`: where no fact is asked for, memory on is memory off, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence

from memtune.config import Config
from memtune.core.backbone import Backbone
from memtune.core.facts import Fact
from memtune.evaluate.identity import IdentityResult, identical, other_prompts
from memtune.evaluate.output import Say, silent
from memtune.evaluate.temporary import learned

__all__ = ["IdentityResult", "measure", "other_prompts"]


def measure(
    backbone: Backbone,
    facts: Sequence[Fact],
    config: Config,
    prompts: Sequence[str],
    *,
    tokens: int = 16,
    say: Say = silent,
) -> IdentityResult:
    """Learn these facts, and compare tokens and logits with the memory and without it."""
    with learned(backbone, facts, config) as made:
        say(f"learned {made.report.learned:,} facts; {len(prompts):,} prompts")
        return identical(made.model, facts, prompts, tokens=tokens, kind=config.learn.kind)
