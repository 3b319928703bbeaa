"""Where no fact is asked for, memory on is memory off, bit for bit: replies, logits, rows beside rows that recite."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from dataclasses import replace as change

from memtune.core.facts import Fact
from memtune.core.generate import Request
from memtune.evaluate.output import Sheet
from memtune.evaluate.replay import BATCH, plain, routed, same_as_plain
from memtune.evaluate.stats import Rate
from memtune.model import MemoryModel

_RECITED = 1024
"""Facts that are put beside other rows, at most."""

_ASKING = (
    "Write a short poem about {}.", "Explain {} to a child.", "What do people like about {}?",
    "Give me three words that go with {}.", "Tell me a joke about {}.", "Why would somebody be afraid of {}?",
    "How would you draw {}?", "Describe {} in one sentence.", "I dreamt of {} last night. What does it mean?",
    "Is {} a good name for a boat?", "Begin a story with {}.", "Make a riddle whose answer is {}.",
    "What sound goes with {}?", "Which colour fits {}, and why?", "Please spell {} backwards.",
    "Compare {} with a bicycle.", "My grandmother always talked about {}. What should I ask her?",
    "How long does it take to get used to {}?", "def draw_{}(canvas):", "Complete: without {} there is",
)  # fmt: skip
_ABOUT = (
    "rain", "an old chair", "the sea", "winter mornings", "a lost key", "bread", "silence", "a red balloon",
    "trains", "an empty street", "mushrooms", "a broken clock", "honey", "the moon", "shoes",
    "a quiet library", "thunder", "a wooden bridge", "soup", "fog", "a green door", "paper boats",
    "the smell of coffee", "a long queue", "sand", "an orchard", "candles", "a rusty nail",
    "the north wind", "buttons", "a paper map", "pillows", "moss", "chalk", "an unlucky umbrella",
    "ladders", "a cup of tea", "footprints", "a lighthouse", "marbles", "dust", "a tall hedge", "wool",
    "an echo", "a small harbour", "spoons", "clouds", "a slow elevator", "dandelions", "the last bus",
    "ink", "a swing",
)  # fmt: skip


@dataclass
class IdentityResult:
    facts: int
    kind: str
    prompts: int
    fired: list[str] = field(default_factory=list)
    """Prompts about other things on which the router confirmed a fact: failures."""
    tokens: Rate = field(default_factory=lambda: Rate(0, 0))
    logits: Rate = field(default_factory=lambda: Rate(0, 0))
    mixed: Rate = field(default_factory=lambda: Rate(0, 0))
    """Rows without facts in batches where every other row recites one."""
    mixed_fired: int = 0
    differing: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.differing

    def sheets(self) -> list[Sheet]:
        rows = [
            ["replies, as users get them", str(self.tokens)],
            ["logits of every step", str(self.logits)],
            [f"logits beside {self.mixed_fired:,} rows that recite", str(self.mixed)],
        ]
        title = f"Memory on against off: {self.facts:,} facts, kind {self.kind}, {self.prompts:,} other prompts"
        note = f"The router fired on {len(self.fired)} of them. " + ("" if self.passed else "NOT IDENTICAL.")
        return [Sheet(title, ["compared", "bit-identical"], rows, note)]


def other_prompts(n: int, seed: int) -> list[str]:
    """n different prompts that ask for no fact."""
    made = [form.format(thing) for form, thing in itertools.product(_ASKING, _ABOUT)]
    random.Random(seed).shuffle(made)
    return made[:n]


def identical(
    model: MemoryModel, facts: Sequence[Fact], prompts: Sequence[str], *, tokens: int = 16, kind: str | None = None
) -> IdentityResult:
    """Tokens and logits with the memory and without it, same batches. `facts`: what the memory holds, or some of it."""
    result = IdentityResult(len(facts), kind or "+".join(kinds_of(model)), len(prompts))
    if prompts:
        _replies(model, prompts, tokens, result)
        _logits(model, prompts, tokens, result)
        recited = [f for f in facts[:_RECITED] if model.memory.router.exact(f.question) is not None]
        _mixed(model, prompts, recited, tokens, result)
    result.differing = list(dict.fromkeys(result.differing))
    return result


def kinds_of(model: MemoryModel) -> list[str]:
    """The kinds of the experts that the memory holds."""
    held = {name for segment in model.memory.folder.segments for name in segment.shards}
    return [name for name in model.memory.answering.kinds if name in held]


def _replies(model: MemoryModel, prompts: Sequence[str], tokens: int, result: IdentityResult) -> None:
    decode = change(model.config.decode, max_new_tokens=tokens, batch_size=BATCH)
    on, off = (model.memory.ask(prompts, decode, raw=False, memory=memory) for memory in (True, False))
    same = [a.tokens == b.tokens and a.text == b.text for a, b in zip(on, off, strict=True)]
    result.tokens = Rate.of(same)
    result.fired = [p for p, a in zip(prompts, on, strict=True) if a.fired or a.skills]
    result.differing += [p for p, equal in zip(prompts, same, strict=True) if not equal]


def _logits(model: MemoryModel, prompts: Sequence[str], tokens: int, result: IdentityResult) -> None:
    on = [routed(model.memory.answering, p) for p in prompts]
    same = same_as_plain(model.memory.answering, on, change(model.config.decode, max_new_tokens=tokens))
    result.logits = Rate.of(same)
    result.differing += [p for p, equal in zip(prompts, same, strict=True) if not equal]


def _mixed(
    model: MemoryModel, prompts: Sequence[str], facts: Sequence[Fact], tokens: int, result: IdentityResult
) -> None:
    answering = model.memory.answering
    mixed: list[Request] = []
    for prompt, fact in zip(prompts, itertools.cycle(facts), strict=False):
        mixed += [plain(routed(answering, prompt)), routed(answering, fact.question)]
    same = same_as_plain(answering, mixed, change(model.config.decode, max_new_tokens=tokens))[::2]
    result.mixed, result.mixed_fired = Rate.of(same), sum(bool(r.experts) for r in mixed)
    result.differing += [f"mixed: {p}" for p, equal in zip(prompts, same, strict=False) if not equal]
