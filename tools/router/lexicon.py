"""The lexicon: word vectors distilled from a sentence encoder, so that the default router needs no second model.

Every word is read by the encoder alone; the vectors are centred, cut to their main axes and kept in a byte a number.
Words come from the encoder's own vocabulary and from the corpora, never from measuring data.

    python -m tools.router lexicon --encoder FOLDER --corpora FOLDER --out src/memtune/router/lexicon.safetensors
"""

from __future__ import annotations

import gzip
import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from memtune.router.words import word_hash, words

CORPORA = ("openstax", "tech", "novels")
PLAIN = re.compile(r"[a-z][a-z'-]+")
WORDS, WIDTH = 24_000, 192
SURFACES = 3  # spellings of a stem that are read


def counted(folder: Path) -> Counter[str]:
    """How often each spelling occurs in the corpora."""
    found: Counter[str] = Counter()
    for name in CORPORA:
        with gzip.open(folder / f"{name}.txt.gz", "rt", encoding="utf-8") as file:
            for line in file:
                found.update(PLAIN.findall(line.casefold()))
    return found


def chosen_stems(counts: Counter[str], vocabulary: set[str]) -> dict[str, list[str]]:
    """The commonest stems, each with its commonest spellings. Words of the encoder's own come first."""
    spellings: dict[str, list[str]] = defaultdict(list)
    for spelling in [w for w, _ in counts.most_common()] + sorted(vocabulary - set(counts)):
        stems = words(spelling)
        if len(stems) == 1:
            spellings[stems[0]].append(spelling)

    def weight(stem: str) -> tuple[bool, int]:
        return any(s in vocabulary for s in spellings[stem]), sum(counts[s] for s in spellings[stem])

    best = sorted(spellings, key=weight, reverse=True)[:WORDS]
    return {stem: spellings[stem][:SURFACES] for stem in best}


def read(encoder: str, stems: dict[str, list[str]]) -> NDArray[np.float32]:
    from sentence_transformers import SentenceTransformer

    flat = [spelling for spellings in stems.values() for spelling in spellings]
    vectors = SentenceTransformer(encoder, device="cpu").encode(flat, batch_size=256, show_progress_bar=True)
    ends = np.cumsum([0] + [len(s) for s in stems.values()])[:-1]
    return np.add.reduceat(np.asarray(vectors, np.float32), ends)


def reduced(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors about their mean, along the axes in which words differ most."""
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors - vectors.mean(0)
    _, _, axes = np.linalg.svd(vectors[::2], full_matrices=False)
    cut = vectors @ axes[:WIDTH].T
    return cut / np.linalg.norm(cut, axis=1, keepdims=True)


def make(encoder: str, corpora: Path, out: Path) -> None:
    counts = counted(corpora)
    known = {line.strip() for line in (Path(encoder) / "vocab.txt").read_text(encoding="utf-8").splitlines()}
    stems = chosen_stems(counts, {w for w in known if PLAIN.fullmatch(w)})
    vectors = reduced(read(encoder, stems))
    hashes = np.array([word_hash(stem) for stem in stems], np.uint32)
    order = np.argsort(hashes)
    totals = np.array([sum(counts[s] for s in spellings) for spellings in stems.values()], np.float64)
    share = (totals + 1) / (totals.sum() + len(totals))
    scale = np.abs(vectors).max(axis=1, keepdims=True)
    table = {
        "hashes": torch.from_numpy(hashes[order].view(np.int32)),
        "vectors": torch.from_numpy(np.round(vectors / scale * 127).astype(np.int8)[order]),
        "shares": torch.from_numpy(share.astype(np.float32)[order]),
    }
    save_file(table, out, metadata={"encoder": Path(encoder).name, "words": str(len(stems))})
