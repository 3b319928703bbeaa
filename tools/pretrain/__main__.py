"""`python -m tools.pretrain VERB`: tokenizer, mix, train, export, evaluate, card, plot, in this order; deepen."""

from __future__ import annotations

import argparse
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import corpora
from .config import Recipe, load_recipe
from .text.document import PAD, text_of

TOKENIZER_BLOCKS = 450  # of each corpus, about 7 MB
TOKENIZER_DOCUMENTS = 12_000  # of each generator


def tokenizer_texts(recipe: Recipe, folder: Path) -> Iterator[str]:
    from .mix import documents_of, source_seed

    for name, source in recipe.sources.items():
        if source.corpus:
            yield from corpora.training_blocks(folder / source.corpus, recipe.train.seed)[:TOKENIZER_BLOCKS]
        elif source.in_tokenizer:
            stream = documents_of(source, folder, [], source_seed(recipe.train.seed, name))
            yield from (text_of(document) for _, document in zip(range(TOKENIZER_DOCUMENTS), stream, strict=False))


def drill_words(vocabulary: dict[str, int]) -> list[str]:
    """Whole words of the vocabulary, in a fixed order."""
    return sorted(token[1:] for token in vocabulary if token.startswith("Ġ") and token[1:].isalpha() and len(token) > 2)


def run_tokenizer(args: argparse.Namespace) -> None:
    from .tokenizer import train_tokenizer

    recipe = load_recipe(args.config)
    args.work.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(tokenizer_texts(recipe, args.data / "corpora"), recipe.model.vocab_size)
    tokenizer.save(str(args.work / "tokenizer.json"))
    print(f"{tokenizer.get_vocab_size()} entries")


def run_mix(args: argparse.Namespace) -> None:
    from .mix import mix
    from .tokenizer import load_tokenizer

    recipe = load_recipe(args.config)
    tokenizer = load_tokenizer(args.work / "tokenizer.json")
    chosen = [source for name, source in recipe.sources.items() if not args.only or name in args.only]
    mix(chosen, tokenizer, args.data, args.work / "shards", drill_words(tokenizer.get_vocab()), recipe.train.seed)


def run_train(args: argparse.Namespace) -> None:
    from .tokenizer import load_tokenizer
    from .train import Trainer

    recipe = load_recipe(args.config)
    pad = load_tokenizer(args.work / "tokenizer.json").token_to_id(PAD)
    trainer = Trainer(recipe, args.work / "shards", pad, args.device, not args.eager)
    trainer.restore(args.work / "checkpoints")
    signal.signal(signal.SIGTERM, trainer.stop)
    (args.work / "pid").write_text(str(os.getpid()))
    with (args.work / "log.jsonl").open("a", buffering=1) as file:

        def log(row: dict[str, Any]) -> None:
            file.write(json.dumps(row) + "\n")

        trainer.run(args.until or recipe.train.tokens, log, args.work / "checkpoints", args.save_every)


def run_export(args: argparse.Namespace) -> None:
    from .export import export
    from .tokenizer import load_tokenizer
    from .train import checkpoints

    found = checkpoints(args.work / "checkpoints")
    if not found:
        raise SystemExit(f"no checkpoint under {args.work}; run the verb train first")
    tokenizer = load_tokenizer(args.work / "tokenizer.json")
    export(found[-1], tokenizer, load_recipe(args.config).model, args.out, args.weights)


def run_evaluate(args: argparse.Namespace) -> None:
    from .evaluate import measure

    figures = measure(args.model, args.data / "corpora", args.count, args.seed, args.device)
    args.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))


def run_card(args: argparse.Namespace) -> None:
    from .card import card, fill_figures, read_figures
    from .export import put
    from .train import checkpoints, tokens_seen

    figures = read_figures(args.figures)
    tokens = tokens_seen(checkpoints(args.work / "checkpoints")[-1])
    put(args.out, "README.md", card(load_recipe(args.config), tokens, figures, args.command))
    if args.docs:
        fill_figures(args.docs, figures)


def run_deepen(args: argparse.Namespace) -> None:
    from .deepen import deepen

    print(f"{deepen(args.model, args.out, args.times):,} parameters")


def run_plot(args: argparse.Namespace) -> None:
    from .plot import plot_losses

    phases = load_recipe(args.config).phases
    plot_losses(args.work / "log.jsonl", args.out, [phase.until for phase in phases[:-1]])


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m tools.pretrain", description=__doc__)
    verbs = top.add_subparsers(dest="verb", required=True)

    def verb(name: str, run: Any, *shared: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name)
        sub.set_defaults(run=run)
        for option in shared:
            sub.add_argument(f"--{option}", type=Path, required=True, help=SHARED_OPTIONS[option])
        return sub

    verb("tokenizer", run_tokenizer, "config", "work", "data")
    mix = verb("mix", run_mix, "config", "work", "data")
    mix.add_argument("--only", nargs="*", help="make these sources alone")
    train = verb("train", run_train, "config", "work")
    train.add_argument("--device", default="cpu")
    train.add_argument("--eager", action="store_true", help="without torch.compile")
    train.add_argument("--until", type=int, default=0, help="stop after this many tokens")
    train.add_argument("--save-every", type=float, default=180.0, help="seconds between checkpoints")
    export = verb("export", run_export, "config", "work", "out")
    export.add_argument("--weights", choices=("average", "master"), default="average")
    evaluate = verb("evaluate", run_evaluate, "model", "data", "out")
    evaluate.add_argument("--count", type=int, default=200, help="questions of each kind")
    evaluate.add_argument("--seed", type=int, default=1)
    evaluate.add_argument("--device", default="cpu")
    card = verb("card", run_card, "config", "work", "figures", "out")
    card.add_argument("--command", required=True, help="the command that measured, as the card shall show it")
    card.add_argument("--docs", type=Path, help="documentation page with figures marks")
    verb("plot", run_plot, "config", "work", "out")
    larger = verb("deepen", run_deepen, "model", "out")
    larger.add_argument("--times", type=int, default=3, help="as many blocks; the model says what it said")
    return top


SHARED_OPTIONS = {
    "config": "recipe, one of configs/",
    "work": "folder for tokenizer, shards, checkpoints and logs",
    "data": "folder with corpora/, facts/, sql/ and pdf/",
    "out": "what to write",
    "model": "exported folder",
    "figures": "what the verb evaluate wrote",
}

if __name__ == "__main__":
    arguments = parser().parse_args()
    arguments.run(arguments)
