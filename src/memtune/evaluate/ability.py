"""General ability with the memory on against the memory off: bits per byte of a text, and choices by likelihood.

Experts act from the last token of a prompt on, and only where the router confirms a fact. What confirms none has the
plain model's likelihood by construction, so the memory-on figure is computed anew only for what fires; all of that is
counted and named.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from memtune.answering import Answering
from memtune.core.backbone import Backbone
from memtune.core.experts import batches_by_length
from memtune.errors import BadRows, InputError
from memtune.evaluate import likelihood
from memtune.evaluate.gather import stratified
from memtune.evaluate.output import Sheet
from memtune.evaluate.stats import Rate
from memtune.ingest import files
from memtune.model import MemoryModel
from memtune.questions import Question

_WINDOW = 256
"""Tokens of one passage of a text."""
_PASSAGES = 64
_BATCH_TOKENS = 8192
_SHOWN = 60

Row = tuple[Sequence[int], Sequence[int]]
"""What is read, and what is to follow it."""


@dataclass(frozen=True)
class Choice:
    """A question with answers to choose among."""

    question: str
    right: str
    others: tuple[str, ...]
    group: str | None = None

    @property
    def options(self) -> tuple[str, ...]:
        return (self.right, *self.others)


@dataclass(frozen=True)
class Perplexity:
    """Of one text, cut into passages."""

    name: str
    passages: int
    bytes: int
    off: float
    """Bits per byte, memory off."""
    on: float
    fired: list[str] = field(default_factory=list)
    """Beginnings of the passages on which the router confirmed a fact, somewhere at their half or at their end."""


@dataclass(frozen=True)
class Choosing:
    """One file of choices: the option that is likeliest byte for byte is taken."""

    name: str
    off: Rate
    on: Rate
    chance: float
    fired: list[str] = field(default_factory=list)
    """Questions on which the router confirmed a fact."""


@dataclass
class AbilityResult:
    texts: list[Perplexity] = field(default_factory=list)
    choices: list[Choosing] = field(default_factory=list)

    @property
    def unchanged(self) -> bool:
        """Whether the memory left every figure as it was."""
        return all(t.on == t.off for t in self.texts) and all(c.on == c.off for c in self.choices)

    @property
    def left(self) -> float:
        """Share of the plain model's ability to choose that is left with the memory on; 1 where nothing was asked."""
        off, on = (sum(getattr(c, name).hits for c in self.choices) for name in ("off", "on"))
        return on / off if off else 1.0

    def sheets(self) -> list[Sheet]:
        rows = [
            [f"{t.name}, bits per byte", f"{t.off:.4f}", f"{t.on:.4f}", "", f"{len(t.fired)} of {t.passages:,}"]
            for t in self.texts
        ]
        rows += [
            [f"{c.name}, choices", c.off.brief, c.on.brief, f"{100 * c.chance:.0f} %", f"{len(c.fired)} of {c.off.n:,}"]
            for c in self.choices
        ]
        fired = [text for t in self.texts for text in t.fired] + [text for c in self.choices for text in c.fired]
        note = f"A fact was confirmed on: {'; '.join(fired[:10])}" if fired else "No fact was confirmed anywhere."
        return [Sheet("General ability", ["measured", "memory off", "memory on", "chance", "fired"], rows, note)]


def ability(
    model: MemoryModel, texts: Sequence[Path] = (), choices: Sequence[Path] = (), *, passages: int = _PASSAGES,
    max_n: int | None = None, seed: int = 0,
) -> AbilityResult:  # fmt: skip
    """What the plain model can do, and whether it still can with the memory on; of each file, `max_n` drawn choices."""
    rows = [(path.name, _drawn(path, max_n, seed)) for path in choices]  # a bad file is refused before anything runs
    read = [(path.name, read_text(path)) for path in texts]
    answering = model.memory.answering
    return AbilityResult(
        [perplexity(answering, name, text, passages) for name, text in read],
        [choose(answering, name, asked) for name, asked in rows],
    )


# ---- a text ---------------------------------------------------------------------------------------------------------


def perplexity(answering: Answering, name: str, text: str, passages: int = _PASSAGES) -> Perplexity:
    """Bits per byte, passages from all over the text, each read on its own.

    With the memory on, the first half of a passage is the prompt and the second half what follows."""
    backbone = answering.backbone
    cut = _passages(backbone, text, passages)
    rows: list[Row] = [([opening(backbone)], ids) for ids in cut]
    off = [total for total, _ in likelihoods(backbone, rows)]
    on, fired = list(off), []
    for i, ids in enumerate(cut):
        first, second = (backbone.tokenizer.decode(part) for part in (ids[: len(ids) // 2], ids[len(ids) // 2 :]))
        if fires(answering, first, raw=True) or fires(answering, first + second, raw=True):
            fired.append(f"{first:.{_SHOWN}}")
            on[i] += _moved(answering, first, second)
    size = sum(len(backbone.tokenizer.decode(ids).encode()) for ids in cut)
    bits = [-sum(found) / math.log(2) / max(size, 1) for found in (off, on)]
    return Perplexity(name, len(cut), size, bits[0], bits[1], fired)


def _moved(answering: Answering, prompt: str, rest: str) -> float:
    """By how much the memory moves the log-likelihood of what follows a prompt."""
    off, on = (likelihood.score(answering, prompt, [rest.strip()], memory=m, raw=True)[0].total for m in (False, True))
    return on - off


def _passages(backbone: Backbone, text: str, n: int) -> list[list[int]]:
    """Windows of tokens at even distances, whole ones where the text is long enough."""
    window = min(_WINDOW, backbone.context - 1)
    ids = list(backbone.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
    starts = list(range(0, max(len(ids) - window, 0) + 1, window))
    chosen = [starts[len(starts) * k // min(n, len(starts))] for k in range(min(n, len(starts)))]
    return [ids[start : start + window] for start in chosen if len(ids[start : start + window]) > 1]


def opening(backbone: Backbone) -> int:
    """What stands before the first token of a text."""
    first = backbone.tokenizer.bos_token_id
    return int(next(i for i in (first, backbone.end_id, backbone.pad_id) if i is not None))


# ---- choices --------------------------------------------------------------------------------------------------------


def choose(answering: Answering, name: str, asked: Sequence[Choice]) -> Choosing:
    """How often the right option is the likeliest, its log-likelihood divided by its bytes."""
    backbone = answering.backbone
    rows: list[Row] = []
    for choice in asked:
        prompt = answering.prompt(choice.question, raw=False)
        spelled = backbone.writer.tokens(choice.options, prompt.tail)
        rows += [(prompt.ids, ids or backbone.tokenizer(text)["input_ids"])
                 for ids, text in zip(spelled, choice.options, strict=True)]  # fmt: skip
    totals = iter([total for total, _ in likelihoods(backbone, rows)])
    off = [_right(choice, [next(totals) for _ in choice.options]) for choice in asked]
    on, fired = list(off), []
    for i, choice in enumerate(asked):
        if fires(answering, choice.question):
            fired.append(choice.question)
            found = likelihood.score(answering, choice.question, choice.options, memory=True)
            on[i] = _right(choice, [one.total for one in found])
    chance = sum(1 / len(choice.options) for choice in asked) / max(len(asked), 1)
    return Choosing(name, Rate.of(off), Rate.of(on), chance, fired)


def _right(choice: Choice, totals: Sequence[float]) -> bool:
    """Whether the first option, the right one, is likelier than every other; a tie is no hit."""
    right, *others = (total / len(text.encode()) for total, text in zip(totals, choice.options, strict=True))
    return all(right > other for other in others)


def fires(answering: Answering, question: Question, *, raw: bool = False) -> bool:
    """Whether experts would act on the reply, from its beginning on."""
    return bool(answering.request(question, memory=True, raw=raw).experts)


# ---- plain likelihood -----------------------------------------------------------------------------------------------


@torch.inference_mode()
def likelihoods(backbone: Backbone, rows: Sequence[Row]) -> list[tuple[float, bool]]:
    """For each row, the natural log-likelihood of all that is to follow under the plain model, and whether greedy
    decoding would say it."""
    found = [(0.0, True)] * len(rows)
    for part in batches_by_length([len(read) + len(follow) for read, follow in rows], _BATCH_TOKENS):
        h = backbone.read([[*rows[i][0], *rows[i][1]][:-1] for i in part])
        for place, i in enumerate(part):
            read, follow = rows[i]
            chances = torch.log_softmax(backbone.logits(h[place, len(read) - 1 :][: len(follow)]).float(), -1)
            wanted = torch.tensor(list(follow), device=chances.device)
            total = float(chances.gather(-1, wanted[:, None]).double().sum())
            found[i] = total, bool((chances.argmax(-1) == wanted).all())
    return found


# ---- files ----------------------------------------------------------------------------------------------------------


def read_text(path: Path) -> str:
    """A text file that holds something."""
    text = _read(path)
    if len(text.split()) < 2:
        raise InputError(f"{path}: there is no text in it")
    return text


def _read(path: Path) -> str:
    files.require_file(path)
    with files.open_text(path) as stream:
        text = stream.read()
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{path} is not text in UTF-8") from None
    return text


def _drawn(path: Path, n: int | None, seed: int) -> list[Choice]:
    """From all over the file, each group with its share: files are often in an order that says something."""
    return stratified(read_choices(path), n, lambda choice: choice.group, seed)


def read_choices(path: Path) -> list[Choice]:
    """Rows with `question`, `answer` and `perturbed_answer`, a list of wrong ones; they may name a `group`."""
    found, problems = [], []
    for number, line in enumerate(_read(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            found.append(_choice(json.loads(line)))
        except (ValueError, InputError) as fault:
            problems.append(f"line {number}: {getattr(fault, 'message', 'not JSON')}")
    if problems:
        raise BadRows(str(path), problems, hint="each row needs question, answer and perturbed_answer, a list of texts")
    if not found:
        raise InputError(f"{path}: there is nothing to choose in it")
    return found


def _choice(row: Any) -> Choice:
    given = row if isinstance(row, dict) else {}
    question, right, others = (given.get(name) for name in ("question", "answer", "perturbed_answer"))
    texts = [question, right, *(others if isinstance(others, list) else [])]
    if len(texts) < 3 or not all(isinstance(text, str) and text.strip() for text in texts):
        raise InputError("question, answer or perturbed_answer is missing or empty")
    if right in texts[2:]:
        raise InputError("the right answer is among the wrong ones")
    group = given.get("group")
    return Choice(texts[0], texts[1], tuple(texts[2:]), None if group is None else str(group))
