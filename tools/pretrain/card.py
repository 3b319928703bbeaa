"""The model card, and the table of figures that docs/backbone.md shows too."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from .config import Recipe

CORPORA = """\
- **OpenStax** textbooks (13), Rice University, [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/) at the
  commits used. Access the books for free at <https://openstax.org>.
- **Kubernetes documentation** (2021), the Kubernetes Authors, [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/).
- **Ethereum Improvement Proposals**, [CC0](https://creativecommons.org/publicdomain/zero/1.0/).
- **Python Enhancement Proposals**, public domain.
- **97 novels** published up to 1929, public domain in the United States.
- Text written by the generators in `tools/pretrain/text`: invented names, facts, schemas and queries.

The texts were cut into pieces and tokenised; nothing else was changed. Lines that share long runs of words with
measuring data (WikiText-2 and the fact, SQL and PDF sets) are left out, and a source with many stops the mixing;
docs/backbone.md says where the published weights came before that check."""

CARD = """\
---
language: en
library_name: transformers
pipeline_tag: text-generation
license: apache-2.0
---

# The bundled backbone of memtune

A Llama of {parameters:.1f} million parameters ({layers} layers, {width} wide, {heads} heads, context {context},
vocabulary {vocabulary:,}, bfloat16), trained from nothing on {tokens:.1f} million tokens. It is memtune's embedded
default and laboratory animal: with it demo, tests and benchmarks run without a download, and base model, prompt, RAG
and memory are compared on the same network.

**What it is.** It knows some English, copies an answer from a context, uses a stated fact in several forms, keeps to a
question-and-answer format, and writes simple SQL.

**What it is not.** It knows next to nothing about the world, cannot reason, and was not made safe for people to talk
to. Do not use it for anything but trying and measuring memtune; bring your own model for work.

## Figures

{figures}

Names come from a held-out split whose invented and chosen words occur in no training name; schemas are new combinations
of table and column names that training uses too. In brackets, 95 % intervals. **Comparisons stand at chance.** Decoding
is greedy. The command:

    {command}

## Training data and attribution

{corpora}

The weights are released under Apache-2.0 like the rest of memtune. How they were made: `tools/pretrain/README.md`.
"""


def percent(rate: dict[str, Any], chance: float = 0.0) -> str:
    """The share with its interval, both over chance where chance can win."""
    share, low, high = (100 * (rate[key] - chance) / (1 - chance) for key in ("share", "low", "high"))
    return f"{share:.0f} % ({low:.0f} to {high:.0f}, n = {rate['of']})"


def figures_table(figures: dict[str, Any]) -> str:
    """Every figure with its target for the CPU and the GPU recipe; intervals hold 95 %."""
    prose, use, sql = figures["bits per byte"], figures["use of a stated fact"], figures["text to SQL"]
    prose_targets = {"wikitext2_valid": "at most 2.0 / 1.45", "openstax, held-out hundredth": "at most 1.6 / 1.15"}
    rows = [(f"bits per byte, {name}", f"{value:.3f}", prose_targets[name]) for name, value in prose.items()]
    for form, rate in use.items():
        rows.append(use_row(form, rate))
    for name, rate in sql.items():
        target = "70 % / 90 %" if name.endswith("executes") else "30 % / 70 %"
        rows.append((f"text to SQL, {name}", percent(rate), f"at least {target}"))
    lines = ["| figure | measured | target CPU / GPU |", "|---|---|---|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def use_row(form: str, rate: dict[str, Any]) -> tuple[str, str, str]:
    if form == "chat answers that end":
        return form, percent(rate), "at least 99 %"
    if form == "unanswerable":
        return 'unanswerable: "I don\'t know."', percent(rate), "at least 80 % / 95 %"
    if form.startswith("open"):
        return f"context question, {form}", percent(rate), "at least 80 % / 95 %"
    name = f"{form}, over chance" if rate["chance"] else form
    return name, percent(rate, rate["chance"]), "at least 60 % / 85 %"


def card(recipe: Recipe, tokens: int, figures: dict[str, Any], command: str) -> str:
    model = recipe.model
    return CARD.format(
        parameters=model.parameters / 1e6, layers=model.layers, width=model.width, heads=model.heads,
        context=model.context, vocabulary=model.vocab_size, tokens=tokens / 1e6,
        figures=figures_table(figures), command=command, corpora=CORPORA,
    )  # fmt: skip


def fill_figures(page: Path, figures: dict[str, Any]) -> None:
    """Put the table between the two marks of a documentation page."""
    text = page.read_text(encoding="utf-8")
    filled, count = re.subn(
        r"(<!-- figures -->\n).*?(<!-- /figures -->)",
        lambda marks: f"{marks[1]}{figures_table(figures)}\n{marks[2]}",
        text,
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"{page.name} needs one pair of figures marks, has {count}")
    page.write_text(filled, encoding="utf-8")


def read_figures(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))
