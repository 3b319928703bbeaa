"""`python -m tools.router lexicon …`, `python -m tools.router confirm …`."""

from __future__ import annotations

import argparse
from pathlib import Path


def run_lexicon(args: argparse.Namespace) -> None:
    from .lexicon import make

    make(args.encoder, args.corpora, args.out)


def run_confirm(args: argparse.Namespace) -> None:
    from memtune.router.encoders import make_encoder

    from .lessons import Lessons, Recorder, record_real, record_worlds
    from .train import train

    if args.lessons and args.lessons.exists():
        lessons = Lessons.load(args.lessons)
    else:
        encoder, recorder = make_encoder(args.encoder), Recorder()
        record_real(recorder, encoder, args.data, args.seed)
        record_worlds(recorder, encoder, args.seed)
        lessons = recorder.lessons()
        if args.lessons:
            lessons.save(args.lessons)
    print(f"{len(lessons.right):,} lessons")
    train(lessons, args.out, args.seed)


parser = argparse.ArgumentParser(prog="python -m tools.router")
actions = parser.add_subparsers(required=True)
lexicon = actions.add_parser("lexicon", help="distil word vectors from a sentence encoder")
lexicon.add_argument("--encoder", required=True, help="folder of a sentence-transformers model")
lexicon.add_argument("--corpora", type=Path, required=True)
lexicon.add_argument("--out", type=Path, required=True)
lexicon.set_defaults(run=run_lexicon)
confirm = actions.add_parser("confirm", help="train the confirming network for an encoder")
confirm.add_argument("--encoder", required=True, help="its name in the settings")
confirm.add_argument("--data", type=Path, required=True, help="folder with facts/ and corpora/")
confirm.add_argument("--lessons", type=Path, help="file to keep the lessons in, or to take them from")
confirm.add_argument("--seed", type=int, default=0)
confirm.add_argument("--out", type=Path, required=True)
confirm.set_defaults(run=run_confirm)

if __name__ == "__main__":
    args = parser.parse_args()
    args.run(args)
