"""Text to token shards: one shard per source, as flat arrays that training maps into memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from tokenizers import Tokenizer

from . import corpora
from .config import SourceConfig
from .contamination import MOST_DIRTY, Contaminated, Forbidden, measuring_texts
from .sources import GENERATORS
from .text.document import END, Document, Part, Piece, text_of
from .text.names import TRAIN

ENCODE_AT_ONCE = 512  # documents
MOST_STRAY = 8  # hits that no source is stopped for, however little of it was read


@dataclass(frozen=True)
class Shard:
    """Tokens of all documents one after the other, the part of each token, and where documents start."""

    tokens: np.ndarray
    parts: np.ndarray
    starts: np.ndarray

    @staticmethod
    def load(folder: Path, name: str) -> Shard:
        arrays = [np.load(folder / f"{name}.{part}.npy", mmap_mode="r") for part in ("tokens", "parts", "starts")]
        return Shard(*arrays)

    def save(self, folder: Path, name: str) -> None:
        for part in ("starts", "parts", "tokens"):
            temporary = folder / f".{name}.{part}.npy"
            np.save(temporary, getattr(self, part))
            temporary.replace(folder / f"{name}.{part}.npy")


def documents_of(source: SourceConfig, corpora_folder: Path, words: list[str], seed: int) -> Iterator[Document]:
    if source.corpus:
        for block in corpora.training_blocks(corpora_folder / source.corpus, seed):
            yield (Piece(block + END, Part.PROSE),)
    else:
        yield from GENERATORS[source.generator](Random(seed), TRAIN, source.settings, words)


def without_measuring_data(
    source: SourceConfig, documents: Iterator[Document], forbidden: Forbidden
) -> Iterator[Document]:
    """Drop the few lines of a corpus, or documents of a generator, that share words with measuring data."""
    seen = dropped = 0
    for document in documents:
        if source.corpus:
            text, hits = forbidden.clean(text_of(document))
            seen, dropped, document = seen + text.count("\n") + hits, dropped + hits, (Piece(text, Part.PROSE),)
        elif forbidden.named_run(text_of(document)) is not None:
            seen, dropped, document = seen + 1, dropped + 1, ()
        else:
            seen += 1
        if dropped > max(MOST_STRAY, seen * MOST_DIRTY):
            raise Contaminated(f"{source.name} seems to hold a copy of measuring data: {dropped} hits in {seen:,}")
        if document:
            yield document


def encode(tokenizer: Tokenizer, documents: list[Document]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Token ids and parts of each document; pieces are encoded apart, as a prompt and its answer are when asked."""
    pieces = [piece for document in documents for piece in document]
    encodings = iter(tokenizer.encode_batch_fast([p.text for p in pieces], add_special_tokens=False))
    for document in documents:
        ids = [next(encodings).ids for _ in document]
        parts = [np.full(len(i), piece.part, np.uint8) for i, piece in zip(ids, document, strict=True)]
        yield np.array([t for piece in ids for t in piece], np.uint16), np.concatenate(parts)


def build_shard(source: SourceConfig, stream: Iterator[Document], tokenizer: Tokenizer) -> Shard:
    tokens, parts, starts, total = [], [], [0], 0
    while not source.tokens or total < source.tokens:
        batch = [document for _, document in zip(range(ENCODE_AT_ONCE), stream, strict=False)]
        if not batch:
            break
        for ids, marks in encode(tokenizer, batch):
            tokens.append(ids)
            parts.append(marks)
            total += len(ids)
            starts.append(total)
    return Shard(np.concatenate(tokens), np.concatenate(parts), np.array(starts, np.int64))


def source_seed(seed: int, name: str) -> int:
    """A seed of its own for each source, so that adding one leaves the others as they are."""
    return int.from_bytes(f"{seed}/{name}".encode(), "big") % (2**61 - 1)


def mix(sources: list[SourceConfig], tokenizer: Tokenizer, data: Path, out: Path, words: list[str], seed: int) -> None:
    """Write one shard per source; Contaminated is raised if any holds measuring data."""
    out.mkdir(parents=True, exist_ok=True)
    forbidden = Forbidden.of(measuring_texts(data))
    for source in sources:
        started = time.monotonic()
        documents = documents_of(source, data / "corpora", words, source_seed(seed, source.name))
        shard = build_shard(source, without_measuring_data(source, documents, forbidden), tokenizer)
        shard.save(out, source.name)
        count, seconds = len(shard.starts) - 1, time.monotonic() - started
        print(f"{source.name}: {len(shard.tokens):,} tokens, {count:,} documents, {seconds:.0f} s", flush=True)
