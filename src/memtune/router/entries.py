"""What the router keeps of a segment's facts, as the tensors of its room in the segment's shards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from memtune.core.facts import Fact, normalise, wording_hash
from memtune.router.asked import form
from memtune.router.augment import made
from memtune.router.encoders import Encoder
from memtune.router.keys import FORMS, GIVEN, MADE, NEVER
from memtune.router.vectors import stored
from memtune.router.words import hashed_words, said, shape, wanted

_GIST = 48
"""Distinct words of an answer that are kept: what a question gives away of it."""


@dataclass(frozen=True)
class Wording:
    """A text that leads to a fact, or with the tag NEVER must not."""

    text: str
    tag: int = GIVEN


@dataclass(frozen=True)
class Entry:
    """A fact as the router sees it."""

    wordings: Sequence[Wording]
    answer: str = ""
    question: str = ""

    @classmethod
    def of(cls, fact: Fact, made_each: int = 0) -> Entry:
        """A fact's given wordings, its examples of what must not fire, and some made of its learned wording."""
        given = [Wording(text) for text in fact.wordings]
        never = [Wording(text, NEVER) for text in fact.never]
        known = {normalise(text) for text in (*fact.wordings, *fact.never)}
        new = [text for text in made(fact.question, most=made_each) if normalise(text) not in known]
        more = [Wording(text, MADE) for text in new]
        return cls([*given, *more, *never], fact.answer, fact.question)


def make_keys(entries: Sequence[Entry], encoder: Encoder, form_of_vectors: str) -> dict[str, Tensor]:
    """The router's tensors for a segment, whose rows are these entries."""
    wordings = [(row, w) for row, entry in enumerate(entries) for w in entry.wordings]
    texts = [w.text for _, w in wordings]
    words = [said(text) for text in texts]
    gists = [hashed_words(entry.answer)[:_GIST] for entry in entries]
    hashes = np.array([wording_hash(text) for text in texts], dtype=np.uint64)
    answers = np.array([wording_hash(entry.answer) for entry in entries], dtype=np.uint64)
    told = encoder.encode([f"{entry.question} {entry.answer}" for entry in entries])
    return {
        "rows": torch.tensor([row for row, _ in wordings], dtype=torch.int32),
        "hashes": torch.from_numpy(hashes.view(np.int64)),
        "words": torch.from_numpy(_joined([w.hashes for w in words], np.uint32).view(np.int32)),
        "names": torch.from_numpy(_joined([w.names for w in words], np.bool_)),
        "spellings": torch.from_numpy(_joined([w.spellings for w in words], np.uint64).view(np.int64)),
        "lengths": torch.tensor([len(w) for w in words], dtype=torch.int32),
        "forms": torch.tensor([FORMS.index(form(text)) for text in texts], dtype=torch.uint8),
        "tags": torch.tensor([w.tag for _, w in wordings], dtype=torch.uint8),
        "vectors": stored(encoder.encode(texts), form_of_vectors),
        "told": stored(told, form_of_vectors),
        "gists": torch.from_numpy(_joined(gists, np.uint32).view(np.int32)),
        "gist_lengths": torch.tensor([len(g) for g in gists], dtype=torch.int32),
        "wanted": torch.tensor([wanted(text) for text in texts], dtype=torch.uint8),
        "shapes": torch.tensor([shape(entry.answer) for entry in entries], dtype=torch.float16).reshape(-1, 3),
        "answers": torch.from_numpy(answers.view(np.int64)),
    }


def _joined(parts: Sequence[NDArray[Any]], dtype: type[np.generic]) -> NDArray[Any]:
    return np.concatenate([*parts, np.empty(0, dtype)])
