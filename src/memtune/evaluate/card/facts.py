"""What a ladder says of single facts: recall by group, what went wrong, how it differs from what is right."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from memtune.evaluate.ladder import Judged, Ladder
from memtune.evaluate.scores import plain
from memtune.evaluate.stats import Rate

_COMPARED = 400
"""Words of an answer that are compared; more are shown as they are."""
_NO_GROUP = "(no group)"

Pieces = list[tuple[str, bool]]
"""Words with what is between them, each with whether it differs."""


@dataclass(frozen=True)
class Group:
    name: str
    recalled: Rate


@dataclass(frozen=True)
class Slip:
    """A reply that was not right beside what is; `right` is empty where nothing can be known."""

    id: str
    form: str
    group: str | None
    question: str
    right: str
    said: str
    f1: float
    given: bool


def groups(ladder: Ladder, rung: str) -> list[Group]:
    """Exact recall of learned wordings, worst groups first; among equals, those that say more."""
    outcomes: dict[str, list[bool]] = {}
    for j in ladder.judged[rung]:
        if j.case.role == "recall" and j.case.knowable:
            outcomes.setdefault(j.case.group or _NO_GROUP, []).append(j.score.exact)
    if set(outcomes) == {_NO_GROUP}:
        return []
    found = [Group(name, Rate.of(seen)) for name, seen in outcomes.items()]
    return sorted(found, key=lambda g: (g.recalled.value or 0.0, -g.recalled.n, g.name))


def slips(ladder: Ladder, rung: str, most: int | None = None) -> list[Slip]:
    """Replies that were not right, in turn from each form; those first that share the fewest words with what is."""
    by_form: dict[str, list[Judged]] = {form: [] for form in ladder.forms}
    for j in ladder.judged[rung]:
        if not (j.score.normalised or j.score.exact):
            by_form[j.case.form].append(j)
    for wrong in by_form.values():
        wrong.sort(key=lambda j: (j.score.f1, not j.score.given))
    in_turn = itertools.zip_longest(*by_form.values())
    return [_slip(j) for turn in in_turn for j in turn if j is not None][:most]


def _slip(j: Judged) -> Slip:
    right = max(j.case.answers, key=lambda answer: _likeness(answer, j.said.text), default="")
    return Slip(j.case.id, j.case.form, j.case.group, j.case.text, right, j.said.text, j.score.f1, j.score.given)


def _likeness(right: str, said: str) -> float:
    a, b = set(plain(right).split()), set(plain(said).split())
    return len(a & b) / max(1, len(a | b))


def outcomes(ladder: Ladder, rung: str) -> dict[str, bool]:
    """Whether each fact that was asked for in a learned wording was recalled, every time."""
    found: dict[str, bool] = {}
    for j in ladder.judged.get(rung, []):
        if j.case.role == "recall" and j.case.knowable:
            for fact in j.case.facts:
                found[fact] = found.get(fact, True) and j.score.exact
    return found


def word_differences(right: str, said: str) -> tuple[Pieces, Pieces]:
    """Both texts in pieces, those marked that the other does not have in that place."""
    ours, theirs = _words(right), _words(said)
    matcher = difflib.SequenceMatcher(
        None, [w.casefold() for w in ours[:_COMPARED]], [w.casefold() for w in theirs[:_COMPARED]], autojunk=False
    )
    left: Pieces = []
    across: Pieces = []
    for kind, i, i_end, k, k_end in matcher.get_opcodes():
        left.append((" ".join(ours[i:i_end]), kind != "equal"))
        across.append((" ".join(theirs[k:k_end]), kind != "equal"))
    left.append((" ".join(ours[_COMPARED:]), False))
    across.append((" ".join(theirs[_COMPARED:]), False))
    return [p for p in left if p[0]], [p for p in across if p[0]]


def _words(text: str) -> list[str]:
    return text.split()


def project(vectors: ArrayLike) -> NDArray[np.float64]:
    """Vectors (one a row) to two dimensions: their two principal components, each with its largest weight positive."""
    rows = np.asarray(vectors, dtype=np.float64)
    if rows.ndim != 2:
        raise ValueError(f"vectors have to be a table of one row each, not of shape {rows.shape}")
    if not len(rows):
        return np.zeros((0, 2))
    centred = rows - rows.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    main = axes[:, ::-1][:, :2]
    largest = np.abs(main).argmax(axis=0)
    signs = np.where(main[largest, np.arange(main.shape[1])] < 0, -1.0, 1.0)
    found: NDArray[np.float64] = centred @ (main * signs)
    return np.pad(found, ((0, 0), (0, 2 - found.shape[1])))


def binned(values: Sequence[tuple[float, bool]], most: int = 8) -> list[tuple[float, float, Rate]]:
    """About equally many in each bin, equal values never apart: from, to, how many of them hit."""
    ordered = sorted(values)
    bins: list[list[tuple[float, bool]]] = []
    full = len(ordered) / most
    for value, same in itertools.groupby(ordered, key=lambda pair: pair[0]):
        if not bins or len(bins[-1]) >= full:
            bins.append([])
        bins[-1].extend((value, hit) for _, hit in same)
    return [(part[0][0], part[-1][0], Rate.of(hit for _, hit in part)) for part in bins]
