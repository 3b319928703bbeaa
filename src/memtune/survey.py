"""The first look at an input: against itself and against the memory, before anything is learned or even created."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as change
from hashlib import blake2b

from memtune.core.facts import Fact, wording_hash
from memtune.core.sources import FactSource
from memtune.errors import ConflictError, InputError
from memtune.store import MemoryFolder, Point
from memtune.store.manifest import NOTHING

_SHOWN = 3


@dataclass(frozen=True)
class Disagreement:
    """A fact of the input whose wordings lead to other answers already."""

    question: str
    settled: str
    """What became of it, by ids."""


@dataclass
class Survey:
    """What the first pass over the input found: which of its facts to leave out, which old ones give way."""

    at: Point = NOTHING
    """The version of the memory that it was compared with."""
    left_out: set[int] = field(default_factory=set)
    superseded: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """From the place of a fact in the input to the ids of the memory's facts that it replaces."""
    trimmed: dict[int, set[int]] = field(default_factory=dict)
    """Phrasings of a fact, by hash, that lead to another fact with the same answer already: each leads to one."""
    duplicates: int = 0
    conflicts: list[Disagreement] = field(default_factory=list)
    count: int = 0
    experts: set[str] = field(default_factory=set)
    """Kinds of experts that facts of the input name themselves."""


def survey(folder: MemoryFolder | None, source: FactSource, on_conflict: str, lot_size: int) -> Survey:
    """Read the input once, against itself and the memory, before anything is learned or even created."""
    found, seen = Survey(folder.manifest.point if folder else NOTHING), _Seen()
    for start, facts in in_lots(source, lot_size):
        known = folder.by_wording([wording_hash(w) for f in facts for w in f.wordings]) if folder else {}
        taken = folder.find([f.id for f in facts]) if folder else {}
        for at, fact in enumerate(facts, start):
            held = known.get(wording_hash(fact.question))
            if fact.id in taken and (held is None or held[0] != fact.id):
                raise InputError(
                    f"the id '{fact.id}' is already in the memory, with another question",
                    hint="give the new fact an id of its own, or change the old one with `memtune facts update`",
                )
            _place(found, seen, at, fact, known, on_conflict)
        found.experts |= {fact.expert for fact in facts if fact.expert}
        found.count += len(facts)
    if found.conflicts and on_conflict == "error":
        shown = "; ".join(f"'{conflict.question:.60}'" for conflict in found.conflicts[:_SHOWN])
        more = len(found.conflicts) - _SHOWN
        many = "1 question has" if len(found.conflicts) == 1 else f"{len(found.conflicts)} questions have"
        raise ConflictError(
            f"{many} more than one answer: {shown}" + (f"; and {more} more" if more > 0 else ""),
            hint="mend them, or pass --on-conflict keep-first or keep-last",
        )
    return found


@dataclass
class _Seen:
    """What holds after the input so far: where each wording leads, each fact's answer in 8 bytes, and the memory's
    facts that have given way."""

    place: dict[int, int] = field(default_factory=dict)
    answers: array[int] = field(default_factory=lambda: array("Q"))
    gone: set[str] = field(default_factory=set)
    heirs: dict[str, set[int]] = field(default_factory=dict)
    """Facts of the input that have a wording of a memory's fact which gave way, by its id."""


def _place(
    found: Survey, seen: _Seen, at: int, fact: Fact, known: Mapping[int, tuple[str, str]], on_conflict: str
) -> None:
    """Decide about one fact: learn it, leave it out, or let it take the place of earlier ones."""
    answer, hashes = _answer_hash(fact.answer), [wording_hash(w) for w in fact.wordings]
    seen.answers.append(answer)
    held = _holders(found, seen, hashes, known)
    if held.contradict(fact.answer, answer, seen):
        found.conflicts.append(_disagreement(found, seen, at, fact, hashes, known, on_conflict))
        if on_conflict != "keep-last":
            found.left_out.add(at)
            return
    if not _said(found, seen, at, fact, hashes, known):
        _replace(found, seen, at, fact, hashes[:1], known)  # a further wording alone replaces nothing: it is trimmed
    if _said(found, seen, at, fact, hashes, known):
        found.duplicates += 1
        found.left_out.add(at)
        _restore(found, seen, found.superseded.pop(at, ()))
        return
    said_elsewhere = {h for h in hashes if _holders(found, seen, [h], known).any}
    if said_elsewhere:
        found.trimmed[at] = said_elsewhere
    own = set(hashes) - said_elsewhere
    seen.place.update(dict.fromkeys(own, at))
    for hash_ in own & known.keys():
        seen.heirs.setdefault(known[hash_][0], set()).add(at)


def _disagreement(
    found: Survey, seen: _Seen, at: int, fact: Fact, hashes: Sequence[int], known: Mapping[int, tuple[str, str]],
    on_conflict: str,
) -> Disagreement:  # fmt: skip
    """Which facts this one contradicts, and who stays."""
    held = _holders(found, seen, hashes, known)
    rivals = [f"row {place + 1}" for place in sorted(held.places) if seen.answers[place] != seen.answers[at]]
    rivals += [fact_id for fact_id, said in held.old.items() if said != fact.answer]
    others = ", ".join(rivals)
    if on_conflict != "keep-last":
        return Disagreement(fact.question, f"{fact.id} (row {at + 1}) is left out: {others} stays")
    question = _holders(found, seen, hashes[:1], known)
    if question.contradict(fact.answer, seen.answers[at], seen):
        return Disagreement(fact.question, f"{fact.id} (row {at + 1}) replaces {others}")
    return Disagreement(fact.question, f"{fact.id} (row {at + 1}) gives up wordings that lead to {others}")


def _said(
    found: Survey, seen: _Seen, at: int, fact: Fact, hashes: Sequence[int], known: Mapping[int, tuple[str, str]]
) -> bool:
    """Whether the fact's question has this answer already."""
    question = _holders(found, seen, hashes[:1], known)
    return question.any and not question.contradict(fact.answer, seen.answers[at], seen)


def _replace(
    found: Survey, seen: _Seen, at: int, fact: Fact, hashes: Sequence[int], known: Mapping[int, tuple[str, str]]
) -> None:
    """Let what contradicts this fact give way; what that would have replaced stands again, unless it does too."""
    differing = {p for p in _holders(found, seen, hashes, known).places if seen.answers[p] != seen.answers[at]}
    found.left_out |= differing
    for place in differing:
        _restore(found, seen, found.superseded.pop(place, ()))
    old = _holders(found, seen, hashes, known).old
    found.superseded[at] = tuple(fact_id for fact_id, said in old.items() if said != fact.answer)
    seen.gone |= set(found.superseded[at])


def _restore(found: Survey, seen: _Seen, ids: Sequence[str]) -> None:
    """Let facts of the memory stand again, except those of which another fact of the input has a wording by now."""
    for fact_id in ids:
        heirs = seen.heirs.get(fact_id, set()) - found.left_out
        if heirs:
            found.superseded[max(heirs)] = (*found.superseded.get(max(heirs), ()), fact_id)
        else:
            seen.gone.discard(fact_id)


@dataclass(frozen=True)
class _Held:
    """Who holds some wordings at present: facts of the input by place, facts of the memory by id with their answer."""

    places: set[int]
    old: dict[str, str]

    @property
    def any(self) -> bool:
        return bool(self.places or self.old)

    def contradict(self, answer: str, hashed: int, seen: _Seen) -> bool:
        return any(seen.answers[p] != hashed for p in self.places) or any(said != answer for said in self.old.values())


def _holders(found: Survey, seen: _Seen, hashes: Sequence[int], known: Mapping[int, tuple[str, str]]) -> _Held:
    places = {seen.place[h] for h in hashes if h in seen.place} - found.left_out
    return _Held(places, {i: said for i, said in (known[h] for h in hashes if h in known) if i not in seen.gone})


def trim(fact: Fact, hashes: Collection[int]) -> Fact:
    """The fact without these phrasings."""
    kept = tuple(p for p in fact.phrasings if wording_hash(p) not in hashes)
    return change(fact, phrasings=kept) if hashes else fact


def _answer_hash(answer: str) -> int:
    return int.from_bytes(blake2b(answer.encode(), digest_size=8).digest(), "little")


def in_lots(source: FactSource, size: int) -> Iterator[tuple[int, list[Fact]]]:
    """The input in lots, each with the place of its first fact."""
    start, lot = 0, []
    for fact in source:
        lot.append(fact)
        if len(lot) == size:
            yield start, lot
            start, lot = start + size, []
    if lot:
        yield start, lot
