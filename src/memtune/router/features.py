"""What a question and the wordings proposed for it have in common, as numbers that the confirming model reads.

Q words of the question, K words of all proposed wordings behind one another, A words of what they answer, C wordings.
Weights of words are their rarity in this memory. A word meets another when it is the same, when it means nearly the
same (lexicon), or when it is an unknown word that is spelled nearly the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtune.router.evidence import Evidence
from memtune.router.keys import FORMS, Keys
from memtune.router.lexicon import lexicon
from memtune.router.reading import Reading
from memtune.router.words import KINDS_ASKED, Words

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

_SIBLINGS = 48
"""Wordings that share the rarest word, at most, that a proposed one is compared with."""
_THINGS = 2
"""Rarest words for which that is done."""
_SLIP = 0.6
"""Share of letter pairs from which an unknown word is taken for a slip of another."""
_SLIP_WORTH = 0.9
_FEW = 40

OWN = (
    "similar", "told", "lexical", "covered_key", "covered_query", "met_key", "met_query", "unmet_key", "unmet_query",
    "names_missing_in_query", "names_missing_in_key", "given_away", "given_away_met", "apart_from_siblings",
    "relation_met",
    "siblings", "unknown_words", "key_length", "query_length", "rarest_unshared_key", "rarest_unshared_query",
    "all_names_there", "foreign_words", "told_among_siblings", "similar_and_told", "digits_key", "digits_query",
    "key_asks", "key_doubts", "query_asks", "query_doubts", "relation_similar", "wants_the_same",
    *(f"wants_{kind}" for kind in KINDS_ASKED), "answer_has_digits", "answer_is_name", "answer_length",
)  # fmt: skip
MARGINS = (
    "similar", "told", "lexical", "met_key", "met_query", "apart_from_siblings", "relation_met", "given_away_met",
    "names_missing_in_query", "names_missing_in_key", "told_among_siblings", "similar_and_told", "relation_similar",
)  # fmt: skip
LEADS = ("relation_met", "relation_similar", "similar", "told")
NAMES = (*OWN, *(f"{name}_margin" for name in MARGINS), *(f"{name}_lead" for name in LEADS))


@dataclass(frozen=True)
class Query:
    words: Words
    vector: Floats
    form: str
    wants: int
    text: str = ""

    @cached_property
    def reading(self) -> Reading:
        return Reading.of(self.text)

    @cached_property
    def meaning(self) -> Floats:
        return lexicon().vectors(self.words.hashes)


@dataclass(frozen=True)
class Proposed:
    """The wordings to compare with: numbers of keys, and what the word search gave each."""

    keys: NDArray[np.int64]
    lexical: Floats


class Comparison:
    """One question against its proposals. Columns are computed when they are asked for."""

    def __init__(self, query: Query, proposed: Proposed, keys: Keys, evidence: Evidence) -> None:
        self.query, self.proposed, self.keys, self.evidence = query, proposed, keys, evidence

    # ---- words --------------------------------------------------------------------------------------------------

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        return self.keys.word_counts(self.proposed.keys)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        return _starts(self.lengths)

    @cached_property
    def words_K(self) -> NDArray[np.uint32]:
        return self.keys.words_of(self.proposed.keys)

    @cached_property
    def meaning_K(self) -> Floats:
        return lexicon().vectors(self.words_K)

    @cached_property
    def names_K(self) -> Bools:
        found: Bools = self.evidence.names.gather(self.proposed.keys)
        return found

    @cached_property
    def vectors_C(self) -> Floats:
        return self.evidence.vectors(self.proposed.keys)

    @cached_property
    def weight_Q(self) -> Floats:
        return self.keys.rarity(self.query.words.hashes)

    @cached_property
    def weight_K(self) -> Floats:
        return self.keys.rarity(self.words_K)

    @cached_property
    def same_QK(self) -> Bools:
        same: Bools = self.query.words.hashes[:, None] == self.words_K[None, :]
        return same

    @cached_property
    def shared_QC(self) -> Bools:
        """Which words of the question stand in which wording."""
        found: Bools = np.logical_or.reduceat(self.same_QK, self.starts, axis=1)
        return found

    @cached_property
    def shared_K(self) -> Bools:
        found: Bools = np.logical_or.reduce(self.same_QK, axis=0)
        return found

    @cached_property
    def unknown_Q(self) -> Bools:
        """Words of the question that stand in no wording of the memory."""
        unknown: Bools = np.equal(self.keys.frequencies(self.query.words.hashes), 0)
        return unknown

    @cached_property
    def met_QK(self) -> Floats:
        """How nearly each word meets each other. What stands on both sides meets itself and nothing else."""
        near = np.maximum(self.query.meaning @ self.meaning_K.T, 0.0)
        slips = self._slips_QK()
        if slips is not None:
            near = np.maximum(near, slips)
        settled = np.repeat(self.shared_QC, self.lengths, axis=1) | self.shared_K[None, :]
        return np.where(settled, self.same_QK, near).astype(np.float32)

    def _slips_QK(self) -> Floats | None:
        own = self.query.words.spellings
        unsure = self.unknown_Q & (own != 0) & ~self.query.meaning.any(1)
        if not unsure.any():
            return None
        theirs = self.evidence.spellings.gather(self.proposed.keys)
        both = np.bitwise_count(own[:, None] & theirs[None, :])
        either = np.bitwise_count(own[:, None] | theirs[None, :])
        alike = both / np.maximum(either, 1)
        return np.where(unsure[:, None] & (alike >= _SLIP), np.float32(_SLIP_WORTH), np.float32(0))

    # ---- features -----------------------------------------------------------------------------------------------

    def table(self) -> Floats:
        """C rows of features, in the order of NAMES but for the margins, which depend on whose wordings these are."""
        weight_q, weight_k = self.weight_Q, self.weight_K
        total_q, total_k = max(float(weight_q.sum()), 1e-6), self._sums(weight_k) + 1e-6
        met_K, met_QC = self.met_QK.max(0), np.maximum.reduceat(self.met_QK, self.starts, axis=1)
        lone_Q = ~self.shared_QC
        names_q, names_k = self.query.words.names, self.names_K
        given, given_met, answered_QC = self._given_away(lone_Q, total_q)
        similar = self.vectors_C @ self.query.vector
        told = self.evidence.told(self.proposed.keys) @ self.query.vector
        apart, among, siblings = self._among_siblings(met_QC, similar, answered_QC)
        named_k = self._sums(weight_k * names_k)
        digits_k = self._sums((names_k & ((self.words_K & 1) == 1) & ~self.shared_K).astype(np.float32))
        digits_q = (((self.query.words.hashes & 1) == 1)[:, None] & lone_Q & ~answered_QC).sum(0)
        columns = (
            similar, told, self.proposed.lexical,
            self._sums(weight_k * self.shared_K) / total_k, (weight_q @ self.shared_QC) / total_q,
            self._sums(weight_k * met_K) / total_k, (weight_q @ met_QC) / total_q,
            np.maximum.reduceat(weight_k * (1 - met_K), self.starts), (weight_q[:, None] * (1 - met_QC)).max(0),
            self._sums(weight_k * names_k * (1 - met_K)) / (named_k + 1e-6),
            ((weight_q * names_q) @ (1 - met_QC)) / max(float((weight_q * names_q).sum()), 1e-6),
            given, given_met, apart, self._relation_met(),
            np.log(siblings), (weight_q * self.unknown_Q) @ lone_Q / total_q,
            np.log(self.lengths), np.full(len(similar), np.log(max(len(self.query.words), 1))),
            np.maximum.reduceat(weight_k * ~self.shared_K, self.starts), (weight_q[:, None] * lone_Q).max(0),
            (named_k > 0) & (self._sums(weight_k * (names_k & ~self.shared_K)) == 0),
            (weight_q * ~self.unknown_Q) @ (lone_Q & ~answered_QC) / total_q, among, similar + 0.5 * told,
            digits_k > 0, digits_q > 0, *self._forms(), self._relation_similar(), *self._wants(),
        )  # fmt: skip
        return np.stack([np.asarray(c, np.float32) for c in columns], axis=1)

    def _forms(self) -> tuple[Floats, ...]:
        """Whether wording and question ask openly, or for yes or no, or are neither."""
        forms, ones = self.keys.forms_of(self.proposed.keys), np.ones(len(self.proposed.keys), np.float32)
        own = FORMS.index(self.query.form)
        asks, doubts = (np.equal(forms, FORMS.index(name)).astype(np.float32) for name in ("open", "closed"))
        return asks, doubts, ones * (own == FORMS.index("open")), ones * (own == FORMS.index("closed"))

    def _sums(self, values_K: Floats) -> Floats:
        found: Floats = np.add.reduceat(np.asarray(values_K, np.float32), self.starts)
        return found

    def _given_away(self, lone_Q: Bools, total: float) -> tuple[Floats, Floats, Bools]:
        """How much of what the wording leaves open stands in the fact's answer: word for word, and by meaning."""
        words_A, lengths = self.evidence.gists(self.proposed.keys)
        same = self.query.words.hashes[:, None] == words_A[None, :]
        near = np.maximum(self.query.meaning @ lexicon().vectors(words_A).T, 0.0)
        met = np.where(same, np.float32(1), near)
        in_answer, near_answer = _reduced(np.logical_or, same, lengths), _reduced(np.maximum, met, lengths)
        weight = self.weight_Q
        return weight @ (in_answer & lone_Q) / total, weight @ (near_answer * lone_Q) / total, in_answer

    def _wants(self) -> tuple[Floats, ...]:
        """Whether wording and question want the same sort of thing, which sort, and what the answer looks like."""
        ones = np.ones(len(self.proposed.keys), np.float32)
        same = np.equal(self.evidence.wanted(self.proposed.keys), self.query.wants)
        sorts = [ones * float(self.query.wants == kind) for kind in range(len(KINDS_ASKED))]
        return (same.astype(np.float32), *sorts, *self.evidence.shapes(self.proposed.keys).T)

    @cached_property
    def plain(self) -> tuple[Bools, Bools]:
        """Words that are names on neither side, of the question (for each wording) and of the wordings."""
        names_q, names_k = self.query.words.names, self.names_K
        named = np.logical_or.reduceat(self.same_QK & names_k[None, :], self.starts, axis=1)
        also_named = np.logical_or.reduce(self.same_QK & names_q[:, None], axis=0)
        return ~names_q[:, None] & ~named, ~names_k & ~also_named

    @cached_property
    def relations(self) -> NDArray[np.uint64]:
        """What each wording asks, whatever it asks it of: its plain words taken together."""
        marked = np.where(self.plain[1], self.words_K.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15), np.uint64(0))
        found: NDArray[np.uint64] = np.bitwise_xor.reduceat(marked, self.starts)
        return found

    def _relation_similar(self) -> Floats:
        """How near the plain words lie to one another, each side taken together."""
        plain_QC, plain_K = self.plain
        own, theirs = self.query.meaning, self.meaning_K
        mean_C = (plain_QC * lexicon().weights(self.query.words.hashes)[:, None]).T @ own
        weighed = theirs * (plain_K * lexicon().weights(self.words_K))[:, None]
        mean_K = np.add.reduceat(weighed, self.starts, axis=0)
        lengths = np.sqrt(np.einsum("ij,ij->i", mean_C, mean_C) * np.einsum("ij,ij->i", mean_K, mean_K))
        found: Floats = np.einsum("ij,ij->i", mean_C, mean_K) / (lengths + 1e-6)
        return found

    def _relation_met(self) -> Floats:
        """How well the plain words meet one by one."""
        plain_QC, plain_K = self.plain
        met = np.where(plain_K[None, :] & np.repeat(plain_QC, self.lengths, axis=1), self.met_QK, 0)
        best_QC, best_K = np.maximum.reduceat(met, self.starts, axis=1), met.max(0)
        weigh_q, weigh_k = self.weight_Q[:, None] * plain_QC, self.weight_K * plain_K
        total_q, total_k = weigh_q.sum(0), self._sums(weigh_k)
        both = (weigh_q * best_QC).sum(0) / (total_q + 1e-6) + self._sums(weigh_k * best_K) / (total_k + 1e-6)
        none = np.where((total_q > 0) == (total_k > 0), np.float32(0.5), np.float32(0))
        return np.where((total_q > 0) & (total_k > 0), both / 2, none)

    def _among_siblings(self, met_QC: Floats, similar: Floats, answered_QC: Bools) -> tuple[Floats, Floats, Floats]:
        """Facts about one thing share its name: how each stands apart from the others once that is taken out. Only the
        things that the first few proposals are about are looked at."""
        apart, among = similar.copy(), (self.weight_Q @ met_QC) / max(float(self.weight_Q.sum()), 1e-6)
        siblings = np.full(len(similar), float(_FEW), np.float32)
        sharing = self.shared_QC.any(0)
        apart[~sharing] = 0.0
        if not sharing.any():
            return apart, among, siblings
        counts = self.keys.frequencies(self.query.words.hashes)
        rarest = np.where(self.shared_QC, counts[:, None], np.iinfo(np.int64).max).argmin(0)
        siblings[sharing] = np.clip(counts[rarest[sharing]], 1, _FEW)
        for word in list(dict.fromkeys(rarest[sharing].tolist()))[:_THINGS]:
            chosen = np.flatnonzero((rarest == word) & sharing)
            group = self.keys.holding(int(self.query.words.hashes[word]), _SIBLINGS)
            if len(group) > 2:
                apart[chosen] = self._apart(group, chosen)
                among[chosen] = self._among(group, chosen, met_QC, answered_QC)
        return apart, among, siblings

    def _apart(self, group: NDArray[np.int64], chosen: NDArray[np.int64]) -> Floats:
        centre = self.evidence.vectors(group).mean(0)
        query, own = self.query.vector - centre, self.vectors_C[chosen] - centre
        lengths = np.sqrt(np.einsum("ij,ij->i", own, own) * (query @ query))
        found: Floats = own @ query / (lengths + 1e-9)
        return found

    def _among(self, group: NDArray[np.int64], chosen: NDArray[np.int64], met_QC: Floats, answered_QC: Bools) -> Floats:
        """How much is met of what tells the siblings apart: words that many of them say or answer count for little."""
        own = self.query.words.hashes[:, None]
        gists, lengths = self.evidence.gists(group)
        says = np.logical_or.reduceat(
            own == self.keys.words_of(group)[None, :], _starts(self.keys.word_counts(group)), axis=1
        )
        many = (says | _reduced(np.logical_or, own == gists[None, :], lengths)).sum(1)
        weight = np.where(many > 0, np.log((len(group) + 1) / (many + 0.5)), 0.7 * np.log(len(group) + 1))
        weight = np.maximum(weight, 0).astype(np.float32)
        met = np.where(answered_QC, np.float32(1), met_QC)[:, chosen]
        found: Floats = weight @ met / (weight.sum() + 1e-6)
        return found


def with_margins(table: Floats, facts: NDArray[np.int64], relations: NDArray[np.uint64]) -> Floats:
    """The features with, for some, the lead over the best wording of any other fact, and over the best wording that
    asks something else, of whatever thing."""
    return np.hstack([table, _leads(table, MARGINS, facts), _leads(table, LEADS, relations)])


def _leads(table: Floats, names: Sequence[str], sorts: NDArray[Any]) -> Floats:
    columns = table[:, [OWN.index(name) for name in names]]
    best = np.where((sorts[:, None] != sorts[None, :])[:, :, None], columns[None, :, :], -np.inf).max(1)
    return (columns - np.where(np.isfinite(best), best, 0.0)).astype(np.float32)


def _starts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    starts = np.zeros(len(lengths), np.int64)
    np.cumsum(lengths[:-1], out=starts[1:])
    return starts


def _reduced(ufunc: np.ufunc, values: NDArray[Any], lengths: NDArray[np.int64]) -> NDArray[Any]:
    """`ufunc` over the columns of each entry; entries without columns give nothing."""
    found = np.zeros((len(values), len(lengths)), values.dtype)
    filled = np.flatnonzero(lengths)
    if len(filled):
        found[:, filled] = ufunc.reduceat(values, _starts(lengths[filled]), axis=1)
    return found
